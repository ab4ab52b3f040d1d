/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "adapter/ledger_pg_window.h"

enum { CAP = 64, REGIONS = 3, A = 1, B = 2 };
static const struct fo_wall never = { 0 }, late = { 1000000 };

static struct fo_ledger_window w;

static void
add(enum fo_lane lane, uint64_t first_seq, uint32_t count, fo_region_set targets)
{
    struct fo_batch_header h = { .epoch = 7, .first_seq = first_seq, .lane = lane, .count = count };

    fo_ledger_window_add(&w, 100 * first_seq, &h, (struct fo_wall){ 500000 }, targets);
}

static void
ack(unsigned peer, enum fo_lane lane, uint64_t from, uint64_t to, const struct fo_exception *x, unsigned x_count)
{
    static struct fo_ack_record a;

    a = (struct fo_ack_record){ .arrived_at = { 42 }, .span_count = 1, .exception_count = x_count };
    a.span[0] = (struct fo_ack_span){ lane, 7, from, to, 1 };
    if (x_count > 0)
        memcpy(a.exception, x, x_count * sizeof *x);
    fo_ledger_window_ack(&w, peer, &a);
}

static unsigned
due(struct fo_wall wait_until, uint32_t rows_max)
{
    return fo_ledger_window_due(&w, wait_until, rows_max, NULL);
}

static void
test_settled_prefix_is_due(void **state)
{
    (void)state;
    add(FO_LANE_HIGH, 1, 4, 1 << A | 1 << B);
    add(FO_LANE_LOW, 1, 2, 1 << A);
    add(FO_LANE_HIGH, 5, 4, 1 << B);
    add(FO_LANE_HIGH, 9, 1, 1);
    assert_int_equal(due(never, 100), 0);
    ack(A, FO_LANE_HIGH, 1, 4, NULL, 0);
    ack(A, FO_LANE_LOW, 1, 2, NULL, 0);
    assert_int_equal(due(never, 100), 0);           /* B is open in the oldest */
    ack(B, FO_LANE_HIGH, 1, 4, NULL, 0);
    assert_int_equal(due(never, 100), 2);           /* the third waits for B */
    ack(B, FO_LANE_HIGH, 5, 8, NULL, 0);
    assert_int_equal(due(never, 100), 4);
    assert_int_equal(due(never, 6), 2);
    assert_int_equal(due(never, 1), 1);             /* one at least */
    fo_ledger_window_written(&w, 4);
    assert_int_equal(fo_ledger_window_count(&w), 0);
    assert_int_equal(w.late_count, 0);
}

static void
test_ack_of_a_part_settles_nothing_yet(void **state)
{
    (void)state;
    add(FO_LANE_HIGH, 1, 4, 1 << A);
    ack(A, FO_LANE_HIGH, 1, 3, NULL, 0);
    assert_int_equal(due(never, 100), 0);
    ack(A, FO_LANE_HIGH, 4, 4, NULL, 0);
    assert_int_equal(due(never, 100), 1);
}

static void
test_waiting_ends(void **state)
{
    (void)state;
    add(FO_LANE_HIGH, 1, 1, 1 << A);
    assert_int_equal(due((struct fo_wall){ 499999 }, 100), 0);
    assert_int_equal(due((struct fo_wall){ 500000 }, 100), 1);
}

static void
test_late_acks_are_kept_once(void **state)
{
    struct fo_exception x[] = { { FO_LANE_HIGH, 3, FO_VERDICT_EXPIRED }, { FO_LANE_LOW, 3, FO_VERDICT_EXPIRED } };

    (void)state;
    add(FO_LANE_HIGH, 1, 4, 1 << A | 1 << B);
    assert_int_equal(due(late, 100), 1);
    fo_ledger_window_written(&w, 1);
    add(FO_LANE_HIGH, 5, 1, 1 << A);
    ack(A, FO_LANE_HIGH, 1, 5, x, 2);               /* a pending row and a batch in the window */
    assert_int_equal(w.late_count, 1);
    assert_int_equal(w.late[0].to_seq, 5);
    assert_int_equal(w.late_exception_count, 1);
    assert_int_equal(due(never, 100), 1);
    fo_ledger_window_written(&w, 1);
    assert_int_equal(w.late_count, 0);
    ack(A, FO_LANE_HIGH, 6, 9, NULL, 0);            /* nothing of A's is pending any more */
    assert_int_equal(w.late_count, 0);
    ack(B, FO_LANE_LOW, 1, 9, NULL, 0);
    assert_int_equal(w.late_count, 0);
    ack(B, FO_LANE_HIGH, 1, 4, NULL, 0);
    assert_int_equal(w.late_count, 1);
}

static void
test_exceptions_belong_to_event_and_peer(void **state)
{
    struct fo_exception x[] = { { FO_LANE_HIGH, 2, FO_VERDICT_EXPIRED }, { FO_LANE_HIGH, 5, FO_VERDICT_REJECTED } };

    (void)state;
    add(FO_LANE_HIGH, 1, 4, 1 << A | 1 << B);
    add(FO_LANE_HIGH, 5, 1, 1 << A);
    ack(A, FO_LANE_HIGH, 1, 5, x, 2);
    ack(B, FO_LANE_HIGH, 1, 4, NULL, 0);
    assert_int_equal(fo_ledger_window_verdict(&w, fo_ledger_window_batch(&w, 0), 2, A), FO_VERDICT_EXPIRED);
    assert_int_equal(fo_ledger_window_verdict(&w, fo_ledger_window_batch(&w, 0), 2, B), 0);
    assert_int_equal(fo_ledger_window_verdict(&w, fo_ledger_window_batch(&w, 0), 1, A), 0);
    assert_int_equal(fo_ledger_window_verdict(&w, fo_ledger_window_batch(&w, 1), 5, A), FO_VERDICT_REJECTED);
    assert_int_equal(w.exception_used, 2);
    fo_ledger_window_written(&w, 2);
    assert_int_equal(w.exception_used, 0);
}

/* A peer that is away costs rows written as pending, not memory; and the ring goes round. */
static void
test_full_window_is_forced_out(void **state)
{
    uint64_t seq = 1;

    (void)state;
    for (int round = 0; round < 10; round++) {
        while (fo_ledger_window_has_room(&w))
            add(FO_LANE_HIGH, seq++, 1, 1 << A);
        assert_int_equal(fo_ledger_window_count(&w), CAP);
        assert_int_equal(due(never, 1000), CAP / 4);
        fo_ledger_window_written(&w, CAP / 4);
        assert_int_equal(due(never, 1000), 0);
    }
    ack(A, FO_LANE_HIGH, 1, seq - 1, NULL, 0);
    assert_int_equal(w.late_count, 1);
    assert_int_equal(due(never, 1000), CAP - CAP / 4);
}

static int
setup(void **state)
{
    (void)state;
    return fo_ledger_window_init(&w, CAP, REGIONS) == FO_OK ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    fo_ledger_window_fini(&w);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settled_prefix_is_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ack_of_a_part_settles_nothing_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_acks_are_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exceptions_belong_to_event_and_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_window_is_forced_out, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
