/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/backlog.h"

#include "broker/journal_batch.h"
#include "broker/receive.h"
#include "ports/log.h"

#include <stdio.h>

/* Read in one step for all requests; and for each of those that come when it is spent. A filter that matches nothing in it gets an empty
 * answer and a moved cursor. */
enum { STEP_BYTES_MAX = 8 << 20, STEP_BYTES_MIN = 64 << 10 };

/* What lower lanes may add to an answer that has a high event: it is not to wait for many others that are read for its company. */
enum { COMPANY_BYTES_MAX = 16 << 10 };

/* One lane of one reading. */
struct source {
    enum fo_lane lane;
    struct fo_place *place;
    uint64_t asked_lsn;                 /* where the reading began */
    bool has_batch, is_clean, is_at_end;
    uint64_t next_lsn;
    struct fo_backlog_reader *reader;   /* held; null: none yet */
    struct fo_wall at;
    struct fo_journal_batch *room;      /* for a batch that is read from the journal */
    const struct fo_batch_header *header;
    const struct fo_slice *record;
    char region[FO_REGION_BYTES_MAX + 1];
};

struct reading {
    struct fo_backlog *b;
    const struct fo_filter *filter;
    bool is_any, is_cursor;
    struct fo_wall since;
    uint64_t bytes;
    struct source source[FO_LANES];
};

void
fo_backlog_init(struct fo_backlog *b, struct fo_context *ctx, const struct fo_state *state, struct fo_batch_pool *pool, uint64_t stored_lsn)
{
    *b = (struct fo_backlog){ .ctx = ctx, .state = state, .stored_lsn = stored_lsn, .clean_from_lsn = stored_lsn };
    fo_tail_init(&b->tail, ctx, pool, stored_lsn);
}

static void
close_reader(struct fo_backlog *b, struct fo_backlog_reader *r)
{
    if (r->reader != NULL)
        b->ctx->journal->ops->reader_close(r->reader);
    *r = (struct fo_backlog_reader){ 0 };
}

void
fo_backlog_fini(struct fo_backlog *b)
{
    fo_tail_fini(&b->tail);
    for (unsigned i = 0; i < FO_BACKLOG_READERS_MAX; i++)
        close_reader(b, &b->reader[i]);
}

/* The reader that stands there, else the one that was not used for the longest time; a free one never was. */
static struct fo_backlog_reader *
hold_reader(struct fo_backlog *b, enum fo_lane lane, uint64_t lsn)
{
    struct fo_backlog_reader *found = NULL;

    for (unsigned i = 0; i < FO_BACKLOG_READERS_MAX; i++) {
        struct fo_backlog_reader *r = &b->reader[i];

        if (r->is_held)
            continue;
        if (found == NULL || r->used < found->used)
            found = r;
        if (r->reader != NULL && r->lane == lane && (r->record_lsn == lsn || b->ctx->journal->ops->reader_lsn(r->reader) == lsn)) {
            found = r;
            break;
        }
    }
    found->is_held = true;
    found->lane = lane;
    found->used = ++b->uses;
    return found;
}

/* Readers stay where they are for who comes back; at the end nobody will need them for what is there. */
static void
let_readers_go(struct fo_backlog *b)
{
    for (unsigned i = 0; i < FO_BACKLOG_READERS_MAX; i++) {
        struct fo_backlog_reader *r = &b->reader[i];

        r->is_held = false;
        if (r->reader != NULL && b->ctx->journal->ops->reader_lsn(r->reader) >= b->stored_lsn)
            close_reader(b, r);
    }
}

static void
count_read(struct reading *g, uint64_t bytes)
{
    g->bytes += bytes;
    g->b->step_bytes += bytes;
}

static enum fo_err
read_at(struct fo_backlog *b, struct source *s, uint64_t lsn, struct fo_record *ret_rec)
{
    const struct fo_journal_ops *ops = b->ctx->journal->ops;
    struct fo_journal_reader **r;
    enum fo_err err = FO_OK;

    if (s->reader == NULL)
        s->reader = hold_reader(b, s->lane, lsn);
    r = &s->reader->reader;
    if (*r == NULL)
        err = ops->reader_open(b->ctx->journal, lsn, r);
    else if (ops->reader_lsn(*r) != lsn)
        err = ops->reader_seek(*r, lsn);
    if (err == FO_OK)
        err = ops->read_next(*r, 1u << s->lane, 1u << FO_RECORD_OWN | 1u << FO_RECORD_RECEIVED, ret_rec);
    if (err == FO_OK)
        s->reader->record_lsn = ret_rec->lsn;
    return err;
}

/* Where the cursor stands no record begins. In a journal without damage nobody was given such a cursor. */
static bool
is_made_up(const struct reading *g, const struct source *s, const struct fo_record *rec)
{
    struct fo_journal_stats stats;

    if (!g->is_cursor || rec->lsn != s->asked_lsn || rec->type != 0)
        return false;
    g->b->ctx->journal->ops->stats(g->b->ctx->journal, &stats);
    return stats.quarantined == 0;
}

static void
reach_end(struct reading *g, struct source *s)
{
    *s->place = (struct fo_place){ g->b->stored_lsn, 0 };
    s->is_at_end = true;
}

/* A batch from the journal or from memory; its place is that of its first event, unless it was left behind others. */
static void
enter_batch(struct source *s, uint64_t lsn, fo_region_set targets, const struct fo_batch_header *header, const struct fo_slice *record)
{
    s->has_batch = targets & 1;
    if (!s->has_batch) {
        *s->place = (struct fo_place){ s->next_lsn, 0 };
        return;
    }
    if (lsn != s->place->lsn)
        *s->place = (struct fo_place){ lsn, 0 };    /* it stood on a record of another kind, or between two */
    s->header = header;
    s->record = record;
    snprintf(s->region, sizeof s->region, "%.*s", (int)header->region.n, (const char *)header->region.p);
}

static void
enter_record(struct reading *g, struct source *s, const struct fo_record *rec)
{
    enum fo_err err;

    count_read(g, rec->body.n);
    s->next_lsn = rec->next_lsn;
    s->at = rec->at;
    s->is_clean = rec->type == FO_RECORD_OWN || rec->lsn >= g->b->clean_from_lsn;
    err = rec->at.us >= g->since.us ? fo_journal_batch_read(g->b->ctx, rec, s->room) : FO_ERR_STALE;
    if (err != FO_OK && err != FO_ERR_STALE)
        fo_log(FO_LOG_ERROR, "journal_batch_unreadable", FO_I("lsn", rec->lsn));
    enter_batch(s, rec->lsn, err == FO_OK ? s->room->targets : 0, &s->room->header, s->room->record);
}

static void
enter_kept(struct reading *g, struct source *s, const struct fo_batch *b, uint64_t next_lsn)
{
    count_read(g, b->frame.n);
    s->next_lsn = next_lsn;
    s->at = b->at;
    s->is_clean = b->is_own || b->lsn >= g->b->clean_from_lsn;
    enter_batch(s, b->lsn, b->at.us >= g->since.us ? b->targets : 0, &b->header, b->record);
}

/* Reads the lane's next record. What a client can bring about by its cursor is not logged, and damage is by the journal, once. */
static enum fo_err
read_record(struct reading *g, struct source *s)
{
    struct fo_backlog *b = g->b;
    uint64_t lsn = fo_gaps_next(&b->state->gaps[s->lane], s->place->lsn), next_lsn;
    const struct fo_batch *kept = NULL;
    struct fo_record rec;
    enum fo_err err;

    if (lsn >= b->stored_lsn || (fo_tail_find(&b->tail, s->lane, lsn, &kept, &next_lsn) && kept == NULL)) {
        reach_end(g, s);
        return FO_OK;
    }
    if (kept != NULL) {
        enter_kept(g, s, kept, next_lsn);
        return FO_OK;
    }
    err = read_at(b, s, lsn, &rec);
    if (err == FO_ERR_NOT_FOUND || (err == FO_OK && rec.lsn >= b->stored_lsn)) {
        reach_end(g, s);
        return FO_OK;
    }
    if (err == FO_ERR_CORRUPT && is_made_up(g, s, &rec))
        return FO_ERR_INVALID;
    if (err == FO_ERR_CORRUPT) {
        *s->place = (struct fo_place){ b->ctx->journal->ops->reader_lsn(s->reader->reader), 0 };
        return FO_OK;
    }
    if (err != FO_OK)
        return err;
    enter_record(g, s, &rec);
    return FO_OK;
}

/* Moves on to the batch's next event that is wanted. */
static bool
find_event(struct reading *g, struct source *s)
{
    struct fo_event e;

    for (; s->place->index < s->header->count; s->place->index++) {
        struct fo_slice record = s->record[s->place->index];

        if (s->is_clean && g->is_any)
            return true;
        if (!s->is_clean && fo_receive_verdict(g->b->ctx, s->header->region, record, s->at, &e) != 0)
            continue;
        if (s->is_clean && fo_event_view(record, &e) != FO_OK)
            continue;
        if (g->is_any || fo_filter_match(g->filter, &e))
            return true;
    }
    *s->place = (struct fo_place){ s->next_lsn, 0 };
    s->has_batch = false;
    return false;
}

/* Reads until the lane has an event, or has none. FO_ERR_BUSY: enough for one step. */
static enum fo_err
load(struct reading *g, struct source *s)
{
    while (!s->is_at_end && (!s->has_batch || !find_event(g, s))) {
        bool is_enough = g->b->step_bytes > STEP_BYTES_MAX && g->bytes > STEP_BYTES_MIN;
        enum fo_err err = is_enough ? FO_ERR_BUSY : read_record(g, s);

        if (err != FO_OK)
            return err;
    }
    return FO_OK;
}

static enum fo_backlog_end
gather(struct reading *g, struct fo_stand *stand, struct fo_fill *fill, enum fo_err *ret_err)
{
    uint64_t company_bytes = 0;
    bool has_high = false;

    for (;;) {
        unsigned ready = 0;
        struct source *s;

        for (int i = 0; i < FO_LANES; i++) {
            enum fo_err err = load(g, &g->source[i]);

            if (err == FO_ERR_BUSY)
                return FO_BACKLOG_ENOUGH;
            if (err != FO_OK) {
                *ret_err = err;
                return FO_BACKLOG_FAILED;
            }
            ready |= !g->source[i].is_at_end ? 1u << i : 0;
        }
        if (ready == 0)
            return FO_BACKLOG_END;
        s = &g->source[fo_turn_lane(stand->turn, ready)];
        if (!fo_fill_add(fill, stand, &(struct fo_offer){ s->header, s->region, s->place->index, s->record[s->place->index] }))
            return FO_BACKLOG_FULL;
        company_bytes += s->lane != FO_LANE_HIGH ? s->record[s->place->index].n : 0;
        has_high |= s->lane == FO_LANE_HIGH;
        s->place->index++;
        if (has_high && company_bytes > COMPANY_BYTES_MAX)
            return FO_BACKLOG_FULL;
    }
}

/* A lane that is not at its end has left what is behind its place, appended no earlier than the batch that is looked at, or if there is none
 * than the checkpoint before. */
static struct fo_wall
through(const struct reading *g)
{
    struct fo_wall to = { INT64_MAX };

    for (int i = 0; i < FO_LANES; i++) {
        const struct source *s = &g->source[i];
        struct fo_wall at = s->has_batch ? s->at : fo_state_time_of(g->b->state, s->place->lsn);

        if (!s->is_at_end)
            to = fo_wall_earlier(to, at);
    }
    return to;
}

enum fo_backlog_end
fo_backlog_read(struct fo_backlog *b, const struct fo_filter *filter, bool is_cursor, struct fo_stand *stand, struct fo_fill *fill,
    struct fo_wall *ret_through, enum fo_err *ret_err)
{
    static struct fo_journal_batch room[FO_LANES];     /* loop thread only */
    struct reading g = { .b = b, .filter = filter, .is_any = fo_filter_is_any(filter), .is_cursor = is_cursor, .since = stand->since };
    enum fo_backlog_end end;

    for (int i = 0; i < FO_LANES; i++)
        g.source[i] = (struct source){ .lane = (enum fo_lane)i, .place = &stand->lane[i], .asked_lsn = stand->lane[i].lsn, .room = &room[i] };
    end = gather(&g, stand, fill, ret_err);
    *ret_through = through(&g);
    let_readers_go(b);
    return end;
}

bool
fo_backlog_clamp(const struct fo_backlog *b, uint64_t first_lsn, struct fo_stand *stand)
{
    bool is_gone = false;

    for (int i = 0; i < FO_LANES; i++) {
        struct fo_place *p = &stand->lane[i];
        uint64_t next = fo_gaps_next(&b->state->gaps[i], p->lsn);

        if (p->lsn >= first_lsn)
            continue;
        is_gone |= next < first_lsn;
        *p = (struct fo_place){ first_lsn, 0 };
    }
    return is_gone;
}
