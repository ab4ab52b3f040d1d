/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>

struct fo_journal_reader { struct fake *of; uint64_t lsn; };

struct site source, target;

static void
fake_stats(struct fo_journal *j, struct fo_journal_stats *ret_stats)
{
    const struct fake *f = (const struct fake *)j;

    *ret_stats = (struct fo_journal_stats){ .first_lsn = (f->trimmed + 1) * LSN_STEP, .end_lsn = (f->count + 1) * LSN_STEP, .durable_lsn = (f->count + 1) * LSN_STEP };
}

static enum fo_err
fake_open(struct fo_journal *j, uint64_t lsn, struct fo_journal_reader **ret_reader)
{
    struct fo_journal_reader *r;

    if (((struct fake *)j)->open_error != FO_OK)
        return ((struct fake *)j)->open_error;
    r = calloc(1, sizeof *r);
    *r = (struct fo_journal_reader){ (struct fake *)j, lsn };
    r->of->readers++;
    *ret_reader = r;
    return FO_OK;
}

static enum fo_err
fake_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    if (r->lsn / LSN_STEP - 1 < r->of->trimmed)
        return FO_ERR_CURSOR_GONE;
    for (; r->lsn / LSN_STEP - 1 < r->of->count; r->lsn += LSN_STEP) {
        const struct line *l = &r->of->line[r->lsn / LSN_STEP - 1];
        bool has_lane = l->type == FO_RECORD_OWN || l->type == FO_RECORD_RECEIVED;

        if (!(type_mask >> l->type & 1) || (has_lane && !(lane_mask >> l->lane & 1)))
            continue;
        if (l->type == FO_RECORD_ACK && r->of->ack_error != FO_OK)
            return r->of->ack_error;
        *ret_rec = (struct fo_record){ .lsn = r->lsn, .next_lsn = r->lsn + LSN_STEP, .type = l->type, .lane = (uint8_t)l->lane, .count = l->count,
            .at = l->at, .body = fo_buf_slice(&l->body) };
        r->lsn += LSN_STEP;
        return l->is_damaged ? FO_ERR_CORRUPT : FO_OK;
    }
    return FO_ERR_NOT_FOUND;
}

static enum fo_err
fake_seek(struct fo_journal_reader *r, uint64_t lsn)
{
    r->lsn = lsn > 0 ? lsn : (r->of->trimmed + 1) * LSN_STEP;
    return FO_OK;
}

static void
fake_close(struct fo_journal_reader *r)
{
    r->of->readers--;
    free(r);
}

static const struct fo_journal_ops fake_ops = { .stats = fake_stats, .reader_open = fake_open, .read_next = fake_next, .reader_seek = fake_seek, .reader_close = fake_close };

struct line *
append(struct site *s, enum fo_record_type type, enum fo_lane lane, uint32_t count, int64_t at_us)
{
    struct line *l = &s->fake.line[s->fake.count++];

    assert_true(s->fake.count <= RECORDS_MAX);
    *l = (struct line){ .type = type, .lane = lane, .count = count, .at = { at_us } };
    return l;
}

void
checkpoint(struct site *s, const struct fo_state *state)
{
    assert_int_equal(fo_checkpoint_encode(state, &s->ctx, &append(s, FO_RECORD_CHECKPOINT, 0, 0, 1)->body), FO_OK);
}

static void
site_init(struct site *s, const char *self, const char *other)
{
    static struct fo_state empty;

    memset(s, 0, sizeof *s);
    s->config.limits.schema_version_min = 1;
    s->fake.journal.ops = &fake_ops;
    s->ctx = (struct fo_context){ .config = &s->config, .regions = { { self, other, "far" }, 3 }, .journal = &s->fake.journal, .key = &s->key, .epoch = EPOCH };
    assert_int_equal(fo_key_pair_generate(self, &s->key), FO_OK);
    checkpoint(s, &empty);
}

static void
site_fini(struct site *s)
{
    assert_int_equal(s->fake.readers, 0);
    for (unsigned i = 0; i < s->fake.count; i++)
        fo_buf_fini(&s->fake.line[i].body);
    fo_key_pair_fini(&s->key);
}

int
setup(void **state)
{
    (void)state;
    if (fo_keys_library_init() != FO_OK)
        return -1;
    site_init(&source, "here", "there");
    site_init(&target, "there", "here");
    return 0;
}

int
teardown(void **state)
{
    (void)state;
    site_fini(&source);
    site_fini(&target);
    return 0;
}

void
seal_batch(uint64_t epoch, uint64_t first, uint32_t count, uint64_t prev, const char *text, struct fo_buf *out)
{
    static uint8_t memory[8][512];
    struct fo_slice record[8];
    struct fo_batch_header h = { .region = fo_slice_str("here"), .epoch = epoch, .lane = FO_LANE_HIGH, .first_seq = first, .count = count,
        .sealed_at = { (int64_t)(first + count) * T }, .target = { { fo_slice_str("there"), prev } }, .target_count = 1 };

    for (uint32_t i = 0; i < count; i++) {
        struct fo_writer w = fo_writer_of(memory[i], sizeof memory[i]);
        char id[32];
        struct fo_event e = { .type = fo_slice_str("custom"), .tenant = fo_slice_str("default"), .sourceregion = fo_slice_str("here"),
            .acceptedtime = { (int64_t)(first + i) * T }, .expirytime = { i == 2 ? (int64_t)(first + i) * T + 1 : 0 }, .schemaversion = 1, .mincompatible = 1,
            .subject = fo_slice_str(text) };

        snprintf(id, sizeof id, "e%llu", (unsigned long long)(first + i));
        e.id = fo_slice_str(id);
        fo_event_encode(&e, &w);
        record[i] = fo_slice_of(w.p, w.n);
    }
    assert_int_equal(fo_batch_seal(&h, record, &source.key, out), FO_OK);
}

void
own(uint64_t first, uint32_t count, uint64_t prev)
{
    seal_batch(EPOCH, first, count, prev, "as sent", &append(&source, FO_RECORD_OWN, FO_LANE_HIGH, count, (int64_t)(first + count) * T)->body);
}

struct line *
received(uint64_t first, uint32_t count, uint64_t prev)
{
    struct line *l = append(&target, FO_RECORD_RECEIVED, FO_LANE_HIGH, count, (int64_t)(first + count) * T);

    seal_batch(EPOCH, first, count, prev, "as sent", &l->body);
    return l;
}

struct line *
acked(uint64_t from, uint64_t to, uint64_t expired)
{
    struct fo_ack_record *a = calloc(1, sizeof *a);
    struct line *l = append(&source, FO_RECORD_ACK, FO_LANE_HIGH, 0, (int64_t)(to + 1) * T);

    *a = (struct fo_ack_record){ .peer = fo_slice_str("there"), .arrived_at = l->at, .span = { { FO_LANE_HIGH, EPOCH, from, to, 1 } }, .span_count = 1,
        .exception = { { FO_LANE_HIGH, expired, FO_VERDICT_EXPIRED } }, .exception_count = expired > 0 };
    assert_int_equal(fo_ack_record_encode(a, &l->body), FO_OK);
    free(a);
    return l;
}
