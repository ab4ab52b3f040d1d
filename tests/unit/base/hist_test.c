/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hist.h"

static struct fo_hist h, other;         /* 30 KiB each */

static void
empty_is_zero(void **state)
{
    (void)state;
    fo_hist_init(&h);
    assert_true(fo_hist_quantile(&h, 0) == 0);
    assert_true(fo_hist_quantile(&h, 0.5) == 0);
    assert_true(fo_hist_quantile(&h, 1) == 0);
}

static void
small_values_are_exact(void **state)
{
    (void)state;
    fo_hist_init(&h);
    for (uint64_t v = 1; v <= 100; v++)
        fo_hist_add(&h, v);
    assert_true(fo_hist_quantile(&h, 0) == 1);
    assert_true(fo_hist_quantile(&h, 0.01) == 1);
    assert_true(fo_hist_quantile(&h, 0.5) == 50);
    assert_true(fo_hist_quantile(&h, 0.99) == 99);
    assert_true(fo_hist_quantile(&h, 1) == 100);
    assert_true(h.count == 100);
    assert_true(h.sum == 5050);
}

/* Each value alone: its quantile is at most it, and at most 1.6 % below. */
static void
every_magnitude_is_close(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta;
            uint64_t q;

            fo_hist_init(&h);
            fo_hist_add(&h, v);
            q = fo_hist_quantile(&h, 0.5);
            assert_true(q <= v);
            assert_true(v - q <= v / 64);
        }
    fo_hist_init(&h);
    fo_hist_add(&h, UINT64_MAX);
    assert_true(fo_hist_quantile(&h, 0.5) >= UINT64_MAX - UINT64_MAX / 64);
    assert_true(fo_hist_quantile(&h, 1) == UINT64_MAX);
}

static void
merging_adds_up(void **state)
{
    (void)state;
    fo_hist_init(&h);
    fo_hist_init(&other);
    for (uint64_t v = 1; v <= 50; v++)
        fo_hist_add(&h, v);
    for (uint64_t v = 51; v <= 100; v++)
        fo_hist_add(&other, v);
    fo_hist_merge(&h, &other);
    assert_true(h.count == 100);
    assert_true(h.max == 100);
    assert_true(h.sum == 5050);
    assert_true(fo_hist_quantile(&h, 0.5) == 50);
    assert_true(fo_hist_quantile(&h, 0.25) == 25);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(every_magnitude_is_close),
        cmocka_unit_test(merging_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
