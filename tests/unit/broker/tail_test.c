/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tail knows, and that it never claims to know more: a search that it answers is answered as the journal would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/tail.h"

enum { FRAME_BYTES = 1000 };

static struct fo_config config;
static struct fo_context ctx;
static struct fo_batch_pool pool;
static struct fo_tail tail;
static uint8_t frame[FRAME_BYTES];

static int
setup(void **state)
{
    (void)state;
    config.limits.tail_bytes_max = 4 * (FRAME_BYTES + sizeof(struct fo_batch));
    ctx = (struct fo_context){ .config = &config, .now = { 1 } };
    fo_batch_pool_init(&pool, 4);
    fo_tail_init(&tail, &ctx, &pool, 100);
    fo_tail_want(&tail, 100);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fo_tail_fini(&tail);
    assert_int_equal(tail.bytes, 0);
    fo_batch_pool_fini(&pool);
    return 0;
}

static void
add(enum fo_lane lane, uint64_t lsn)
{
    struct fo_batch *b = fo_batch_take(&pool, 0);

    assert_non_null(b);
    b->is_own = true;
    b->header.lane = lane;
    b->lsn = lsn;
    b->frame = fo_slice_of(frame, FRAME_BYTES);
    fo_tail_add(&tail, &b);
    assert_null(b);
}

/* found: of the batch; 0: none up to the end. */
static void
check(enum fo_lane lane, uint64_t lsn, uint64_t found, uint64_t next)
{
    const struct fo_batch *b;
    uint64_t next_lsn;

    assert_true(fo_tail_find(&tail, lane, lsn, &b, &next_lsn));
    assert_int_equal(b != NULL ? b->lsn : 0, found);
    if (found != 0)
        assert_int_equal(next_lsn, next);
}

static void
check_unknown(uint64_t lsn)
{
    const struct fo_batch *b;
    uint64_t next_lsn;

    for (int lane = 0; lane < FO_LANES; lane++)
        assert_false(fo_tail_find(&tail, (enum fo_lane)lane, lsn, &b, &next_lsn));
}

/* 100 .. 108 normal, 200 high; 300 .. 310 normal, 400 */
static void
fill(void)
{
    add(FO_LANE_NORMAL, 108);               /* behind a record that is no batch */
    add(FO_LANE_HIGH, 200);
    fo_tail_end(&tail, 300);
    add(FO_LANE_NORMAL, 310);
    fo_tail_end(&tail, 400);
}

static void
finds_each_lanes_next(void **state)
{
    (void)state;
    fill();
    check(FO_LANE_NORMAL, 100, 108, 200);
    check(FO_LANE_NORMAL, 108, 108, 200);
    check(FO_LANE_NORMAL, 200, 310, 400);
    check(FO_LANE_NORMAL, 300, 310, 400);
    check(FO_LANE_HIGH, 100, 200, 300);
    check(FO_LANE_HIGH, 200, 200, 300);
    check(FO_LANE_HIGH, 300, 0, 0);
    check(FO_LANE_LOW, 100, 0, 0);
}

static void
knows_only_where_something_begins(void **state)
{
    (void)state;
    fill();
    check_unknown(0);
    check_unknown(99);
    check_unknown(101);
    check_unknown(109);
    check_unknown(400);                     /* the end: nothing is there yet */
    check_unknown(UINT64_MAX);
}

static void
forgets_the_oldest_first(void **state)
{
    (void)state;
    fill();
    add(FO_LANE_NORMAL, 400);
    fo_tail_end(&tail, 500);
    check(FO_LANE_NORMAL, 100, 108, 200);
    add(FO_LANE_LOW, 500);
    fo_tail_end(&tail, 600);
    check_unknown(100);
    check_unknown(108);
    check(FO_LANE_HIGH, 200, 200, 300);
    check(FO_LANE_LOW, 200, 500, 600);
    for (uint64_t lsn = 600; lsn < 600 + 100 * FO_TAIL_BATCHES_MAX * 3; lsn += 100) {
        add(FO_LANE_LOW, lsn);
        fo_tail_end(&tail, lsn + 100);
        assert_true(tail.count <= 4 && tail.bytes <= config.limits.tail_bytes_max);
        check(FO_LANE_LOW, lsn, lsn, lsn + 100);
    }
}

/* A batch that is too large leaves a hole, so what was before it goes too. */
static void
has_no_holes(void **state)
{
    (void)state;
    fill();
    config.limits.tail_bytes_max = FRAME_BYTES;
    add(FO_LANE_NORMAL, 400);
    fo_tail_end(&tail, 500);
    check_unknown(100);
    check_unknown(300);
    check_unknown(400);
    assert_int_equal(tail.count, 0);
}

static void
keeps_nothing_that_nobody_wants(void **state)
{
    (void)state;
    ctx.now = fo_instant_add(ctx.now, fo_duration_ms(1001));
    fill();
    check_unknown(100);
    fo_tail_want(&tail, tail.end_lsn - config.limits.tail_bytes_max - 1);       /* far behind: of no use */
    add(FO_LANE_NORMAL, 400);
    fo_tail_end(&tail, 500);
    check_unknown(400);
    fo_tail_want(&tail, 500);
    add(FO_LANE_NORMAL, 508);
    fo_tail_end(&tail, 600);
    check(FO_LANE_NORMAL, 500, 508, 600);
    check_unknown(400);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_each_lanes_next, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_only_where_something_begins, setup, teardown),
        cmocka_unit_test_setup_teardown(forgets_the_oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(has_no_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_nothing_that_nobody_wants, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
