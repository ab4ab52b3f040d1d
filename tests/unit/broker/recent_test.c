/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/recent.h"

static struct fo_recent r;

static struct fo_slice
key_of(unsigned i)
{
    static char text[32];

    return fo_slice_of(text, (size_t)snprintf(text, sizeof text, "wish and cursor %u", i));
}

static struct fo_stand
at(uint64_t lsn)
{
    return (struct fo_stand){ .lane = { { lsn, 0 }, { lsn, 0 }, { lsn, 0 } } };
}

static void
an_answer_is_kept_from_the_second_time_on(void **state)
{
    const struct fo_recent_answer *a;

    (void)state;
    fo_recent_init(&r);
    fo_recent_note(&r, key_of(1), FO_SLICE_LIT("first"), 3, 100, 10);
    assert_null(fo_recent_find(&r, key_of(1)));
    fo_recent_note(&r, key_of(1), FO_SLICE_LIT("second"), 3, 100, 10);
    a = fo_recent_find(&r, key_of(1));
    assert_non_null(a);
    assert_true(fo_slice_is_equal(fo_recent_body(a), FO_SLICE_LIT("second")));
    assert_null(fo_recent_find(&r, key_of(2)));
    fo_recent_fini(&r);
}

static void
a_search_goes_on_where_the_last_one_like_it_stopped(void **state)
{
    struct fo_stand stand = at(5000);

    (void)state;
    fo_recent_init(&r);
    assert_null(fo_recent_searched(&r, key_of(1)));
    fo_recent_note_search(&r, key_of(1), &stand);
    assert_int_equal(fo_recent_searched(&r, key_of(1))->lane[FO_LANE_LOW].lsn, 5000);
    assert_null(fo_recent_searched(&r, key_of(2)));
    assert_null(fo_recent_searched(&r, (struct fo_slice){ 0 }));        /* nor is an empty place taken for one without a key */
    stand = at(9000);
    fo_recent_note_search(&r, key_of(1), &stand);
    assert_int_equal(fo_recent_searched(&r, key_of(1))->lane[FO_LANE_LOW].lsn, 9000);
    fo_recent_fini(&r);
}

static void
the_oldest_search_makes_room(void **state)
{
    (void)state;
    fo_recent_init(&r);
    for (unsigned i = 0; i <= FO_RECENT_SEARCHES; i++) {
        struct fo_stand stand = at(i);

        fo_recent_note_search(&r, key_of(i), &stand);
    }
    assert_null(fo_recent_searched(&r, key_of(0)));
    for (unsigned i = 1; i <= FO_RECENT_SEARCHES; i++)
        assert_int_equal(fo_recent_searched(&r, key_of(i))->lane[FO_LANE_NORMAL].lsn, i);
    fo_recent_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_from_the_second_time_on),
        cmocka_unit_test(a_search_goes_on_where_the_last_one_like_it_stopped),
        cmocka_unit_test(the_oldest_search_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
