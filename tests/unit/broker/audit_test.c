/* SPDX-License-Identifier: Apache-2.0
 *
 * What a region states of its journal: a source and a target with real sealed batches in journals of this file's own, so that records can be
 * left out, repeated or damaged at will. */
#include "broker/audit.h"
#include "broker/receive.h"
#include "broker/state.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { RECORDS_MAX = 64, EPOCH = 7, LSN_STEP = 64, T = 1000000 };

struct line { enum fo_record_type type; enum fo_lane lane; uint32_t count; struct fo_wall at; struct fo_buf body; bool is_damaged; };
struct fake { struct fo_journal journal; struct line line[RECORDS_MAX]; unsigned count; uint64_t readers; };
struct fo_journal_reader { struct fake *of; uint64_t lsn; };

struct site {                       /* one region's broker, as far as audits see it */
    struct fo_context ctx;
    struct fo_config config;
    struct fake fake;
    struct fo_key_pair key;
};
static struct site source, target;

static void
fake_stats(struct fo_journal *j, struct fo_journal_stats *ret_stats)
{
    const struct fake *f = (const struct fake *)j;

    *ret_stats = (struct fo_journal_stats){ .first_lsn = LSN_STEP, .end_lsn = (f->count + 1) * LSN_STEP, .durable_lsn = (f->count + 1) * LSN_STEP };
}

static enum fo_err
fake_open(struct fo_journal *j, uint64_t lsn, struct fo_journal_reader **ret_reader)
{
    struct fo_journal_reader *r = calloc(1, sizeof *r);

    *r = (struct fo_journal_reader){ (struct fake *)j, lsn };
    r->of->readers++;
    *ret_reader = r;
    return FO_OK;
}

static enum fo_err
fake_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    for (; r->lsn / LSN_STEP - 1 < r->of->count; r->lsn += LSN_STEP) {
        const struct line *l = &r->of->line[r->lsn / LSN_STEP - 1];
        bool has_lane = l->type == FO_RECORD_OWN || l->type == FO_RECORD_RECEIVED;

        if (!(type_mask >> l->type & 1) || (has_lane && !(lane_mask >> l->lane & 1)))
            continue;
        *ret_rec = (struct fo_record){ .lsn = r->lsn, .next_lsn = r->lsn + LSN_STEP, .type = l->type, .lane = (uint8_t)l->lane, .count = l->count,
            .at = l->at, .body = fo_buf_slice(&l->body) };
        r->lsn += LSN_STEP;
        return l->is_damaged ? FO_ERR_CORRUPT : FO_OK;
    }
    return FO_ERR_NOT_FOUND;
}

static void
fake_close(struct fo_journal_reader *r)
{
    r->of->readers--;
    free(r);
}

static const struct fo_journal_ops fake_ops = { .stats = fake_stats, .reader_open = fake_open, .read_next = fake_next, .reader_close = fake_close };

static struct line *
append(struct site *s, enum fo_record_type type, enum fo_lane lane, uint32_t count, int64_t at_us)
{
    struct line *l = &s->fake.line[s->fake.count++];

    assert_true(s->fake.count <= RECORDS_MAX);
    *l = (struct line){ .type = type, .lane = lane, .count = count, .at = { at_us } };
    return l;
}

static void
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

static int
setup(void **state)
{
    (void)state;
    if (fo_keys_library_init() != FO_OK)
        return -1;
    site_init(&source, "here", "there");
    site_init(&target, "there", "here");
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    site_fini(&source);
    site_fini(&target);
    return 0;
}

/* Events first .. first + count - 1 of the high lane, each accepted at its number times T; the third of each batch expires at once. */
static void
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

static void
own(uint64_t first, uint32_t count, uint64_t prev)
{
    seal_batch(EPOCH, first, count, prev, "as sent", &append(&source, FO_RECORD_OWN, FO_LANE_HIGH, count, (int64_t)(first + count) * T)->body);
}

static struct line *
received(uint64_t first, uint32_t count, uint64_t prev)
{
    struct line *l = append(&target, FO_RECORD_RECEIVED, FO_LANE_HIGH, count, (int64_t)(first + count) * T);

    seal_batch(EPOCH, first, count, prev, "as sent", &l->body);
    return l;
}

static struct line *
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

static struct fo_audit_query
query(void)
{
    return (struct fo_audit_query){ .to = { 1000 * (int64_t)T }, .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END }, .max = 100 };
}

static void
ask(const struct site *s, const struct fo_audit_query *q, struct fo_audit_statement *ret_s)
{
    const struct fo_query_view v = { &s->ctx, { 900 * (int64_t)T } };

    assert_int_equal(fo_audit_state(&v, q, ret_s), FO_OK);
}

static void
ask_source(struct fo_audit_statement *ret_s)
{
    struct fo_audit_query q = query();

    ask(&source, &q, ret_s);
    assert_int_equal(ret_s->flow_count, 2 * FO_LANES);
    assert_string_equal(ret_s->flow[0].region, "there");
}

/* About what the source says is settled. */
static void
ask_target(const struct fo_audit_statement *s, struct fo_audit_statement *ret_t)
{
    struct fo_audit_query q = query();

    snprintf(q.source, sizeof q.source, "here");
    for (int i = 0; i < FO_LANES; i++) {
        q.after[i] = s->flow[i].trimmed;
        q.up_to[i] = s->flow[i].up_to;
    }
    ask(&target, &q, ret_t);
    assert_int_equal(ret_t->flow_count, FO_LANES);
}

static void
assert_counts(const struct fo_audit_flow *f, uint64_t delivered, uint64_t expired, uint64_t unproven, uint64_t pending)
{
    assert_int_equal(f->count[FO_AUDIT_DELIVERED], delivered);
    assert_int_equal(f->count[FO_AUDIT_EXPIRED], expired);
    assert_int_equal(f->count[FO_AUDIT_UNPROVEN], unproven);
    assert_int_equal(f->count[FO_AUDIT_PENDING], pending);
}

static bool
is_same(const struct fo_audit_statement *s, const struct fo_audit_statement *t)
{
    return memcmp(s->flow[0].digest, t->flow[0].digest, FO_HASH_BYTES) == 0;
}

static void
both_sides_agree(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    own(1, 4, 0);
    own(5, 2, 4);
    acked(1, 6, 3);
    received(1, 4, 0);
    received(5, 2, 4);
    ask_source(&s);
    ask_target(&s, &t);
    assert_int_equal(s.lane[FO_LANE_HIGH].accepted, 6);
    assert_counts(&s.flow[0], 5, 1, 0, 0);
    assert_counts(&t.flow[0], 5, 1, 0, 0);
    assert_true(is_same(&s, &t));
    assert_int_equal(t.flow[0].misplaced, 0);
    assert_int_equal(s.damaged, 0);
    assert_true(s.complete_from.us == 0);
}

static void
what_is_on_its_way_is_pending(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    own(1, 2, 0);
    acked(1, 2, 0);
    own(3, 2, 2);
    received(1, 2, 0);
    received(3, 2, 2);              /* there already; its ack is not */
    ask_source(&s);
    ask_target(&s, &t);
    assert_counts(&s.flow[0], 2, 0, 0, 2);
    assert_true(s.flow[0].up_to.epoch == EPOCH && s.flow[0].up_to.seq == 2);
    assert_counts(&t.flow[0], 2, 0, 0, 0);
    assert_true(is_same(&s, &t));
}

static void
a_lost_or_changed_or_doubled_batch_shows(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    own(1, 2, 0);
    own(3, 2, 2);
    acked(1, 4, 0);
    received(1, 2, 0);
    ask_source(&s);
    ask_target(&s, &t);
    assert_counts(&t.flow[0], 2, 0, 0, 0);
    assert_false(is_same(&s, &t));

    seal_batch(EPOCH, 3, 2, 2, "as forged", &append(&target, FO_RECORD_RECEIVED, FO_LANE_HIGH, 2, 5 * T)->body);
    ask_target(&s, &t);
    assert_counts(&t.flow[0], 4, 0, 0, 0);
    assert_false(is_same(&s, &t));

    fo_buf_fini(&target.fake.line[--target.fake.count].body);
    received(3, 2, 2);
    ask_target(&s, &t);
    assert_true(is_same(&s, &t));
    received(3, 2, 2);
    ask_target(&s, &t);
    assert_int_equal(t.flow[0].misplaced, 2);
}

static void
another_epochs_events_are_extra(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    seal_batch(EPOCH - 1, 1, 2, 0, "as sent", &append(&target, FO_RECORD_RECEIVED, FO_LANE_HIGH, 2, 3 * T)->body);
    ask_source(&s);                 /* the source has lost its disk and accepted nothing since */
    ask_target(&s, &t);
    assert_counts(&s.flow[0], 0, 0, 0, 0);
    assert_counts(&t.flow[0], 2, 0, 0, 0);
}

static void
the_time_range_is_half_open_on_both_sides(void **state)
{
    static struct fo_audit_statement s, t;
    struct fo_audit_query q = query();

    (void)state;
    own(1, 5, 0);
    acked(1, 5, 3);
    received(1, 5, 0);
    q.from.us = 2 * T;
    q.to.us = 4 * T;
    ask(&source, &q, &s);
    snprintf(q.source, sizeof q.source, "here");
    ask(&target, &q, &t);
    assert_counts(&s.flow[0], 1, 1, 0, 0);
    assert_true(is_same(&s, &t));
    assert_true(s.flow[0].first.seq == 2);
}

static void
a_damaged_ack_leaves_its_events_unproven(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    own(1, 2, 0);
    acked(1, 2, 0)->is_damaged = true;
    own(3, 2, 2);
    acked(3, 4, 0);
    received(1, 2, 0);
    received(3, 2, 2);
    ask_source(&s);
    ask_target(&s, &t);
    assert_counts(&s.flow[0], 2, 0, 2, 0);
    assert_true(is_same(&s, &t));
}

static void
damaged_batches_are_counted_and_leave_a_hole(void **state)
{
    static struct fo_audit_statement s, t;

    (void)state;
    own(1, 2, 0);
    own(3, 2, 2);
    own(5, 1, 4);
    source.fake.line[2].is_damaged = true;
    acked(1, 5, 0);
    received(1, 2, 0);
    received(3, 2, 2)->is_damaged = true;
    received(5, 1, 4);
    ask_source(&s);
    ask_target(&s, &t);
    assert_int_equal(s.damaged, 1);
    assert_int_equal(s.damage[0].count, 2);
    assert_int_equal(s.lane[FO_LANE_HIGH].holes, 2);
    assert_int_equal(t.damaged, 1);
    assert_int_equal(t.damage[0].type, FO_RECORD_RECEIVED);
}

static void
what_was_trimmed_is_told_as_positions(void **state)
{
    static struct fo_audit_statement s, t;
    static struct fo_state before;
    uint64_t first[FO_LANES] = { 1, 1, 1 };

    (void)state;
    memset(&before, 0, sizeof before);
    fo_epochs_begin(&before.epochs, EPOCH, first);
    before.last_seq[FO_LANE_HIGH] = before.events_total = 4;
    before.received[1][FO_LANE_HIGH] = (struct fo_mark){ EPOCH, 4 };
    for (int i = 0; i < 2; i++) {
        struct site *site = i == 0 ? &source : &target;

        fo_buf_fini(&site->fake.line[--site->fake.count].body);
        checkpoint(site, &before);
    }
    own(5, 2, 4);
    acked(5, 6, 0);
    received(5, 2, 4);
    ask_source(&s);
    ask_target(&s, &t);
    assert_true(s.flow[0].trimmed.epoch == EPOCH && s.flow[0].trimmed.seq == 4);
    assert_true(t.flow[0].trimmed.epoch == EPOCH && t.flow[0].trimmed.seq == 4);
    assert_int_equal(s.lane[FO_LANE_HIGH].holes, 0);
    assert_true(is_same(&s, &t));
    assert_true(s.complete_from.us != 0);

    source.fake.line[0].is_damaged = target.fake.line[0].is_damaged = true;     /* then the chain itself says it */
    ask_source(&s);
    ask_target(&s, &t);
    assert_true(s.flow[0].trimmed.seq == 4 && t.flow[0].trimmed.seq == 4);
    assert_int_equal(s.lane[FO_LANE_HIGH].holes, 0);
}

static void
the_ledgers_rows_are_those_below_its_lsn(void **state)
{
    static struct fo_audit_statement s;
    struct fo_audit_query q = query();
    uint8_t digest[FO_HASH_BYTES] = { 0 };
    struct fo_slice tenant = FO_SLICE_LIT("default");

    (void)state;
    own(1, 2, 0);                   /* LSN 128 */
    acked(1, 1, 0);                 /* 192 */
    own(3, 1, 2);                   /* 256 */
    acked(2, 3, 2);                 /* 320 */
    q.ledger = (struct fo_mark){ EPOCH, 256 };
    ask(&source, &q, &s);
    assert_int_equal(s.lane[FO_LANE_HIGH].ledger_rows, 2);
    assert_int_equal(s.lane[FO_LANE_HIGH].ledger_moving, 1);
    assert_true(s.lane[FO_LANE_HIGH].ledger_up_to.seq == 2);
    fo_audit_digest_row(digest, (struct fo_mark){ EPOCH, 1 }, tenant, FO_SLICE_LIT("e1"), FO_SLICE_LIT("1|there=delivered"));
    fo_audit_digest_row(digest, (struct fo_mark){ EPOCH, 2 }, tenant, FO_SLICE_LIT("e2"), FO_SLICE_LIT("0|there=pending"));
    assert_memory_equal(digest, s.lane[FO_LANE_HIGH].ledger_digest, FO_HASH_BYTES);

    q.ledger.epoch = EPOCH - 1;     /* another data directory's cursor says nothing of this journal */
    ask(&source, &q, &s);
    assert_int_equal(s.lane[FO_LANE_HIGH].ledger_rows, 0);
    assert_int_equal(s.lane[FO_LANE_HIGH].accepted, 3);
}

static void
lists_add_up_to_the_digest(void **state)
{
    static struct fo_audit_statement s;
    const struct fo_query_view v = { &source.ctx, { 900 * (int64_t)T } };
    struct fo_audit_query q = query();
    json_t *page, *first;

    (void)state;
    own(1, 3, 0);
    own(4, 3, 3);
    acked(1, 6, 3);
    ask_source(&s);
    q.is_list = true;
    q.max = 1;
    snprintf(q.target, sizeof q.target, "there");
    assert_int_equal(fo_audit_make(&v, &q, &first), FO_OK);
    assert_int_equal(json_array_size(json_object_get(first, "events")), 3);      /* a batch is not cut */
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(first, "events"), 2), "state")), "expired");
    q.from_lsn = strtoull(json_string_value(json_object_get(first, "next")) + 3, NULL, 16);
    assert_int_equal(fo_audit_make(&v, &q, &page), FO_OK);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(page, "events"), 0), "id")), "e4");
    json_decref(first);
    json_decref(page);
    snprintf(q.target, sizeof q.target, "nowhere");
    assert_int_equal(fo_audit_make(&v, &q, &page), FO_ERR_UNKNOWN_REGION);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(both_sides_agree), TEST(what_is_on_its_way_is_pending), TEST(a_lost_or_changed_or_doubled_batch_shows),
        TEST(another_epochs_events_are_extra), TEST(the_time_range_is_half_open_on_both_sides), TEST(a_damaged_ack_leaves_its_events_unproven),
        TEST(damaged_batches_are_counted_and_leave_a_hole), TEST(what_was_trimmed_is_told_as_positions), TEST(the_ledgers_rows_are_those_below_its_lsn),
        TEST(lists_add_up_to_the_digest) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
