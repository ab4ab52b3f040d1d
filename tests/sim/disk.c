/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include "sim.h"

#include <stdlib.h>

enum { HEADER = 48, SEGMENT_HEADER = 64, GROUP_MAX = 32, JOURNAL_READERS_MAX = 256 };

struct fo_journal_reader { struct sim_journal *j; uint64_t lsn; uint8_t *body; };

static uint64_t
record_size(uint64_t n)
{
    return HEADER + ((n + 7) & ~7ull);
}

void
disk_init(struct disk *d, uint32_t segment_bytes, uint32_t record_bytes_max, uint64_t epoch)
{
    *d = (struct disk){ .segment_bytes = segment_bytes, .record_bytes_max = record_bytes_max, .epoch = epoch, .bytes_max = UINT64_MAX,
        .end_lsn = SEGMENT_HEADER, .checkpoint_lsn = SEGMENT_HEADER };
}

void
disk_fini(struct disk *d)
{
    for (unsigned i = 0; i < d->count; i++)
        free(d->rec[i].body);
    free(d->rec);
}

void
disk_lose(struct disk *d, unsigned kept)
{
    uint64_t epoch = d->epoch + 1;

    while (d->count > d->first + kept)
        free(d->rec[--d->count].body);
    if (d->count == d->first) {
        struct disk fresh;

        disk_init(&fresh, d->segment_bytes, d->record_bytes_max, epoch);
        fresh.latency_ns = d->latency_ns;
        disk_fini(d);
        *d = fresh;
        return;
    }
    d->epoch = epoch;
    d->end_lsn = d->rec[d->count - 1].next_lsn;
    d->segment_base = d->rec[d->count - 1].lsn - d->rec[d->count - 1].lsn % d->segment_bytes;
    for (unsigned i = d->first; i < d->count; i++)
        if (d->rec[i].type == FO_RECORD_CHECKPOINT)
            d->checkpoint_lsn = d->rec[i].lsn;
}

void
disk_damage(struct disk *d, unsigned at)
{
    struct disk_record *r = &d->rec[d->first + at];

    if (r->type == FO_RECORD_CHECKPOINT || r->is_damaged)
        return;
    r->is_damaged = true;
    if (r->lsn >= d->checkpoint_lsn)
        d->epoch++;
}

static void
disk_add(struct sim_journal *j, const struct disk_pending *p)
{
    struct disk *d = j->disk;
    struct disk_record *r;
    size_t at = 0;

    if (d->count == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 256;
        d->rec = realloc(d->rec, d->cap * sizeof *d->rec);
    }
    r = &d->rec[d->count++];
    *r = p->rec;
    r->body = malloc(r->n ? r->n : 1);
    for (unsigned i = 0; i < p->parts; at += p->part[i++].n)
        memcpy(r->body + at, p->part[i].p, p->part[i].n);
    d->end_lsn = r->next_lsn;
    d->segment_base = r->lsn - r->lsn % d->segment_bytes;
    if (r->type == FO_RECORD_CHECKPOINT)
        d->checkpoint_lsn = r->lsn;
    trace_note(j->sim, (int)j->node, "durable", r->lsn, fo_crc32c(0, r->body, r->n), record_type_name(r->type));
    truth_durable(j->sim, j->node, r);
}

static bool
is_segment_new(const struct sim_journal *j)
{
    return j->append_lsn == j->segment_base + SEGMENT_HEADER;
}

static uint64_t
room_left(const struct sim_journal *j)
{
    return j->segment_base + j->disk->segment_bytes - j->append_lsn - HEADER;
}

static bool
wants_checkpoint(struct fo_journal *base)
{
    struct sim_journal *j = (struct sim_journal *)base;

    return is_segment_new(j) || room_left(j) < record_size(j->disk->record_bytes_max);
}

static struct disk_pending *
group_add(struct disk_group *g)
{
    if (g->count == g->cap) {
        g->cap = g->cap ? 2 * g->cap : GROUP_MAX;
        g->at = realloc(g->at, g->cap * sizeof *g->at);
    }
    return &g->at[g->count++];
}

static enum fo_err
append(struct fo_journal *base, enum fo_record_type type, enum fo_lane lane, uint32_t count, struct fo_wall at, const struct fo_slice *body, unsigned parts, uint64_t *ret_lsn)
{
    struct sim_journal *j = (struct sim_journal *)base;
    struct disk_pending *p;
    uint64_t n = 0;
    bool must_roll;

    if (j->has_failed)
        return FO_ERR_IO;
    for (unsigned i = 0; i < parts; i++)
        n += body[i].n;
    if (n > j->disk->record_bytes_max)
        return FO_ERR_TOO_LARGE;
    must_roll = record_size(n) > room_left(j) || (type == FO_RECORD_CHECKPOINT && !is_segment_new(j) && wants_checkpoint(base));
    if (type != FO_RECORD_CHECKPOINT && (must_roll || is_segment_new(j)))
        return FO_ERR_INVALID;
    if (j->gather.count >= GROUP_MAX)
        return FO_ERR_FULL;
    if (must_roll) {
        if (j->disk->is_full || j->append_lsn - j->disk->first_lsn > j->disk->bytes_max)
            return FO_ERR_NO_SPACE;
        j->segment_base += j->disk->segment_bytes;
        j->append_lsn = j->segment_base + SEGMENT_HEADER;
    }
    p = group_add(&j->gather);
    *p = (struct disk_pending){ .parts = parts, .state_before = node_state_hash(&j->sim->node[j->node]) };
    p->rec = (struct disk_record){ j->append_lsn, j->append_lsn + record_size(n), type, lane, count, at, NULL, n };
    memcpy(p->part, body, parts * sizeof *body);
    j->append_lsn = p->rec.next_lsn;
    *ret_lsn = p->rec.lsn;
    return FO_OK;
}

static void
post_stored(struct sim_journal *j, enum fo_err err, uint64_t lsn)
{
    node_post(j->sim, j->node, &(struct fo_input){ .kind = FO_INPUT_STORED, .err = err, .lsn = lsn });
}

static void
complete(struct sim *s, const struct task *t)
{
    struct node *n = &s->node[t->node];
    struct sim_journal *j = &n->journal;
    struct disk *d = j->disk;
    unsigned put = j->flight.count;

    if (!n->is_up || n->life != t->life)
        return;
    if (d->is_failing || d->is_full) {
        enum fo_err err = d->is_failing ? FO_ERR_IO : FO_ERR_NO_SPACE;

        s->covered.disk_errors++;
        trace_note(s, (int)t->node, "write_failed", err, 0, fo_err_name(err));
        j->must_retry = err == FO_ERR_NO_SPACE;
        j->has_failed = err == FO_ERR_IO;
        j->is_flying = j->has_failed;           /* some of it may be there all the same */
        post_stored(j, err, d->end_lsn);
        return;
    }
    if (s->bug == BUG_TORN_STORED && put > 1 && sim_chance(s, 50))
        put--;
    for (unsigned i = 0; i < put; i++)
        disk_add(j, &j->flight.at[i]);
    if (s->bug != BUG_EARLY_STORED)
        post_stored(j, FO_OK, j->flight.at[j->flight.count - 1].rec.next_lsn);
    d->end_lsn = j->flight.at[j->flight.count - 1].rec.next_lsn;
    j->flight.count = 0;
    j->is_flying = false;
}

static bool
commit(struct fo_journal *base)
{
    struct sim_journal *j = (struct sim_journal *)base;
    struct sim *s = j->sim;

    if (j->has_failed || j->is_flying || (!j->must_retry && j->gather.count == 0))
        return false;
    if (!j->must_retry) {
        struct disk_group g = j->flight;

        j->flight = j->gather;
        j->gather = g;
        j->gather.count = 0;
    }
    j->must_retry = false;
    j->is_flying = true;
    if (s->bug == BUG_EARLY_STORED)
        post_stored(j, FO_OK, j->flight.at[j->flight.count - 1].rec.next_lsn);
    sim_after(s, 1 + sim_below(s, j->disk->latency_ns), complete, j->node, 0, 0, NULL);
    return true;
}

static void
trim(struct fo_journal *base, uint64_t below_lsn)
{
    struct sim_journal *j = (struct sim_journal *)base;
    struct disk *d = j->disk;

    while (d->first_lsn + d->segment_bytes <= below_lsn && d->first_lsn + d->segment_bytes <= d->segment_base) {
        d->first_lsn += d->segment_bytes;
        while (d->first < d->count && d->rec[d->first].lsn < d->first_lsn) {
            free(d->rec[d->first].body);
            d->rec[d->first++].body = NULL;
        }
        j->sim->covered.trims++;
        trace_note(j->sim, (int)j->node, "trimmed", d->first_lsn, below_lsn, NULL);
    }
}

static void
stats(struct fo_journal *base, struct fo_journal_stats *ret_stats)
{
    struct sim_journal *j = (struct sim_journal *)base;

    *ret_stats = (struct fo_journal_stats){ .first_lsn = j->disk->first_lsn, .end_lsn = j->append_lsn, .durable_lsn = j->disk->end_lsn };
}

static enum fo_err
reader_seek(struct fo_journal_reader *r, uint64_t lsn)
{
    if (lsn != 0 && lsn < r->j->disk->first_lsn)
        return FO_ERR_CURSOR_GONE;
    if (lsn > r->j->append_lsn)
        return FO_ERR_INVALID;
    r->lsn = lsn;
    return FO_OK;
}

static void
reader_close(struct fo_journal_reader *r)
{
    r->j->reader_count--;
    free(r->body);
    free(r);
}

/* Now and then, and not while a process starts: that refuses to then, and is right. */
static bool
has_read_fault(const struct sim_journal *j)
{
    struct sim *s = j->sim;

    return s->plan.disk_fault > 0 && !s->is_healing && s->node[j->node].broker != NULL && sim_chance(s, 5);
}

static enum fo_err
reader_open(struct fo_journal *base, uint64_t lsn, struct fo_journal_reader **ret_reader)
{
    struct sim_journal *j = (struct sim_journal *)base;
    struct fo_journal_reader *r;
    enum fo_err err;

    if (j->reader_count == JOURNAL_READERS_MAX)
        return FO_ERR_FULL;
    r = calloc(1, sizeof *r);
    r->j = j;
    j->reader_count++;
    err = has_read_fault(j) ? FO_ERR_IO : reader_seek(r, lsn);
    if (err != FO_OK)
        reader_close(r);
    else
        *ret_reader = r;
    return err;
}

/* Index of the first retained record at or behind lsn. */
static unsigned
find(const struct disk *d, uint64_t lsn)
{
    unsigned lo = d->first, hi = d->count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (d->rec[mid].lsn < lsn)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static enum fo_err
read_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    const struct disk *d = r->j->disk;
    unsigned i;

    if (r->lsn != 0 && r->lsn < d->first_lsn)
        return FO_ERR_CURSOR_GONE;
    if (has_read_fault(r->j))
        return FO_ERR_IO;
    i = find(d, r->lsn);
    if (i > d->first && d->rec[i - 1].next_lsn > r->lsn)
        sim_fail(r->j->sim, "node %u reads inside the record at %llu", r->j->node, (unsigned long long)d->rec[i - 1].lsn);
    for (; i < d->count; i++) {
        const struct disk_record *k = &d->rec[i];
        bool has_lane = k->type == FO_RECORD_OWN || k->type == FO_RECORD_RECEIVED;

        r->lsn = k->next_lsn;
        if (!(type_mask >> k->type & 1) || (has_lane && !(lane_mask >> k->lane & 1)))
            continue;
        if (k->is_damaged) {
            *ret_rec = (struct fo_record){ .lsn = k->lsn, .next_lsn = k->next_lsn, .type = k->type, .lane = (uint8_t)k->lane, .count = k->count };
            return FO_ERR_CORRUPT;
        }
        free(r->body);                          /* valid until the next call and no longer */
        r->body = malloc(k->n ? k->n : 1);
        memcpy(r->body, k->body, k->n);
        *ret_rec = (struct fo_record){ k->lsn, k->next_lsn, k->type, has_lane ? (uint8_t)k->lane : 0, k->count, k->at, fo_slice_of(r->body, k->n) };
        return FO_OK;
    }
    return FO_ERR_NOT_FOUND;
}

static uint64_t
reader_lsn(const struct fo_journal_reader *r)
{
    return r->lsn;
}

static const struct fo_journal_ops ops = { append, commit, wants_checkpoint, trim, stats, reader_open, read_next, reader_lsn, reader_seek, reader_close };

void
sim_journal_open(struct sim_journal *j, struct sim *s, unsigned node, struct disk *d)
{
    *j = (struct sim_journal){ .base = { &ops }, .sim = s, .node = node, .disk = d };
    if (d->count > 0)
        d->end_lsn = d->rec[d->count - 1].next_lsn;
    j->append_lsn = d->end_lsn;
    j->segment_base = d->segment_base;
    d->is_failing = false;
}

void
sim_journal_crash(struct sim_journal *j, uint64_t live_state, uint64_t *ret_state)
{
    struct sim *s = j->sim;
    unsigned kept = 0;

    *ret_state = j->gather.count > 0 ? j->gather.at[0].state_before : live_state;
    if (j->is_flying || j->must_retry) {
        uint64_t how = sim_below(s, 3);

        kept = how == 0 ? 0 : how == 1 ? j->flight.count : (unsigned)sim_below(s, j->flight.count + 1);
        s->covered.torn_groups += kept > 0 && kept < j->flight.count;
        if (kept < j->flight.count)
            *ret_state = j->flight.at[kept].state_before;
    }
    for (unsigned i = 0; i < kept; i++)
        disk_add(j, &j->flight.at[i]);
}

void
sim_journal_close(struct sim_journal *j)
{
    if (j->reader_count != 0)
        sim_fail(j->sim, "node %u leaves %u journal readers open", j->node, j->reader_count);
    free(j->gather.at);
    free(j->flight.at);
    j->gather = j->flight = (struct disk_group){ 0 };
}
