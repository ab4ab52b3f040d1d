/* SPDX-License-Identifier: Apache-2.0
 *
 * What a region states of its journal. */
#include "broker/audit.h"
#include "broker/receive.h"
#include "site.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

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
