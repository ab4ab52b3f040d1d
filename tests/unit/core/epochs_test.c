/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/epochs.h"

static void
none_settles_nothing(void **state)
{
    struct fo_epochs e = {.count = 0};

    (void)state;
    assert_int_equal(fo_epochs_current(&e), 0);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 0, 5), 0);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 7, 5), 0);
}

/* Acks of an epoch whose tail was lost count as far as it was kept, lane by lane. */
static void
older_epoch_counts_as_far_as_kept(void **state)
{
    const uint64_t first[FO_LANES] = {1, 1, 1}, second[FO_LANES] = {11, 1, 5};
    struct fo_epochs e = {.count = 0};

    (void)state;
    fo_epochs_begin(&e, 100, first);
    fo_epochs_begin(&e, 200, second);
    assert_int_equal(fo_epochs_current(&e), 200);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 100, 9), 9);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 100, 10), 10);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 100, 11), 10);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_NORMAL, 100, 3), 0);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_LOW, 100, 99), 4);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 200, 99), 99);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 50, 5), 0);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 150, 99), 10);     /* lost whole, and behind what was kept */
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_HIGH, 300, 5), 0);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_HIGH, 0), 0);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_HIGH, 10), 100);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_HIGH, 11), 200);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_NORMAL, 1), 200);
}

static void
keeps_the_newest(void **state)
{
    struct fo_epochs e = {.count = 0};

    (void)state;
    for (uint64_t i = 1; i <= FO_EPOCHS_MAX + 3; i++)
        fo_epochs_begin(&e, i, (const uint64_t[FO_LANES]){i * 10, i * 10, i * 10});
    assert_int_equal(e.count, FO_EPOCHS_MAX);
    assert_int_equal(fo_epochs_current(&e), FO_EPOCHS_MAX + 3);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_LOW, 3, 5), 0);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_LOW, 39), 0);
    assert_int_equal(fo_epochs_said(&e, FO_LANE_LOW, 39), FO_EPOCH_FORGOTTEN);
    assert_int_equal(fo_epochs_said(&e, FO_LANE_LOW, 40), 4);
    assert_int_equal(fo_epochs_said(&e, FO_LANE_LOW, 0), 0);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_LOW, 4, 45), 45);
    assert_int_equal(fo_epochs_clamp(&e, FO_LANE_LOW, 4, 50), 49);
    assert_int_equal(fo_epochs_of(&e, FO_LANE_LOW, 39), 0);
    assert_int_equal(fo_epochs_prev(&e, FO_LANE_LOW, 19, 39), 1);
    assert_int_equal(fo_epochs_prev(&e, FO_LANE_LOW, 19, 40), 4);
    assert_int_equal(fo_epochs_prev(&e, FO_LANE_LOW, 19, 190), 0);
    assert_int_equal(fo_epochs_prev(&e, FO_LANE_LOW, 19, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_settles_nothing),
        cmocka_unit_test(older_epoch_counts_as_far_as_kept),
        cmocka_unit_test(keeps_the_newest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
