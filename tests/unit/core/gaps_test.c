/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/gaps.h"

static struct fo_gaps g;                    /* large */

static void
an_empty_lane_has_nothing(void **state)
{
    (void)state;
    g = (struct fo_gaps){ 0 };
    assert_true(fo_gaps_next(&g, 0) == UINT64_MAX);
    assert_true(fo_gaps_next(&g, 1 << 20) == UINT64_MAX);
}

static void
a_search_jumps_to_the_next_record(void **state)
{
    (void)state;
    g = (struct fo_gaps){ 0 };
    fo_gaps_note(&g, 4096);
    fo_gaps_note(&g, 4196);
    fo_gaps_note(&g, 6000000000);
    assert_true(fo_gaps_next(&g, 0) == 4096);
    assert_true(fo_gaps_next(&g, 4096) == 4096);
    assert_true(fo_gaps_next(&g, 4100) == 4100);            /* too small a gap to be worth a place */
    assert_true(fo_gaps_next(&g, 4196) == 4196);
    assert_true(fo_gaps_next(&g, 4204) == 6000000000);
    assert_true(fo_gaps_next(&g, 5999999992) == 6000000000);
    assert_true(fo_gaps_next(&g, 6000000000) == 6000000000);
    assert_true(fo_gaps_next(&g, 6000000008) == UINT64_MAX);
    fo_gaps_note(&g, 5000);                                 /* known: replayed */
    assert_true(g.last_lsn == 6000000000 && g.count == 2);
}

/* Whatever was forgotten, no search ever begins behind a record; a gap that is large for where it is stays known. */
static void
a_full_memory_hides_nothing(void **state)
{
    static uint64_t at[200000];
    struct fo_rng rng;
    uint64_t lsn = 4096, worst = 0;
    unsigned large = 0;

    (void)state;
    g = (struct fo_gaps){ 0 };
    fo_rng_init(&rng, 7);
    for (unsigned i = 0; i < 200000; i++) {
        lsn += 8 + fo_rng_below(&rng, 2000) * 8 + (i == 100000 ? 6000000000 : 0);
        large += i == 100000;
        fo_gaps_note(&g, at[i] = lsn);
    }
    assert_true(large == 1 && g.count <= FO_GAPS_MAX);
    for (unsigned i = 0; i + 1 < 200000; i++) {
        uint64_t next = fo_gaps_next(&g, at[i] + 8);

        assert_true(next <= at[i + 1]);
        if (at[i + 1] - next > worst)
            worst = at[i + 1] - next;
    }
    assert_true(worst < 20000);             /* of single gaps; the large one is known */
}

static void
restores_only_what_can_be(void **state)
{
    (void)state;
    g = (struct fo_gaps){ .last_lsn = 1000000 };
    assert_true(fo_gaps_restore(&g, (struct fo_gap){ 0, 5000 }));
    assert_false(fo_gaps_restore(&g, (struct fo_gap){ 4000, 9000 }));
    assert_false(fo_gaps_restore(&g, (struct fo_gap){ 9000, 9000 }));
    assert_false(fo_gaps_restore(&g, (struct fo_gap){ 9000, 1000001 }));
    assert_true(fo_gaps_restore(&g, (struct fo_gap){ 9000, 1000000 }));
    assert_true(fo_gaps_next(&g, 10000) == 1000000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_empty_lane_has_nothing), cmocka_unit_test(a_search_jumps_to_the_next_record),
        cmocka_unit_test(a_full_memory_hides_nothing), cmocka_unit_test(restores_only_what_can_be) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
