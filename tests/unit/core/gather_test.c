/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/gather.h"

enum { US = 1000, MS = 1000 * US, WAIT_MAX = MS };

static struct fo_instant
at(int64_t ns)
{
    return (struct fo_instant){ ns };
}

/* Works for busy_percent of so many milliseconds from `from` on, in pieces of 100 us; answers the end. */
static int64_t
work(struct fo_gather *g, int64_t from, int ms, int busy_percent)
{
    for (int piece = 0; piece < ms * 10; piece++, from += 100 * US)
        fo_gather_worked(g, at(from + (100 - busy_percent) * US), at(from + 100 * US));
    return from;
}

static bool
is_due(struct fo_gather *g, int64_t now)
{
    return fo_gather_due(g, at(now)).ns == now;
}

static void
with_time_to_spare_all_is_due(void **state)
{
    struct fo_gather g;
    int64_t now;

    (void)state;
    fo_gather_init(&g, (struct fo_duration){ WAIT_MAX });
    now = work(&g, 0, 1000, 29);
    for (int i = 0; i < 100; i++, now += 10 * US) {
        fo_gather_joined(&g);
        assert_true(is_due(&g, now));
        fo_gather_sealed(&g, at(now));
    }
}

static void
a_busy_loop_waits_but_not_for_more_than_the_limit(void **state)
{
    struct fo_gather g;
    int64_t now;

    (void)state;
    fo_gather_init(&g, (struct fo_duration){ WAIT_MAX });
    now = work(&g, 0, 10, 80);
    assert_in_range(g.wait.ns, 1, WAIT_MAX / 4);        /* not all at once */
    now = work(&g, now, 1000, 80);
    assert_int_equal(g.wait.ns, WAIT_MAX);
    fo_gather_joined(&g);
    fo_gather_sealed(&g, at(now));
    fo_gather_joined(&g);
    assert_true(fo_gather_due(&g, at(now + 10 * US)).ns == now + WAIT_MAX);
    assert_true(is_due(&g, now + WAIT_MAX));
    assert_true(is_due(&g, now + 5 * WAIT_MAX));

    now = work(&g, now, 1000, 35);
    assert_int_equal(g.wait.ns, WAIT_MAX);              /* neither busy nor idle: it stays */
    work(&g, now, 1000, 10);
    assert_int_equal(g.wait.ns, 0);
}

static void
zero_turns_it_off(void **state)
{
    struct fo_gather g;
    int64_t now;

    (void)state;
    fo_gather_init(&g, (struct fo_duration){ 0 });
    now = work(&g, 0, 1000, 100);
    fo_gather_joined(&g);
    fo_gather_sealed(&g, at(now));
    fo_gather_joined(&g);
    assert_true(is_due(&g, now));
}

/* Every request comes 100 us after the one before was sealed, alone. */
static void
who_waits_for_himself_rarely_waits(void **state)
{
    struct fo_gather g;
    int64_t now;
    unsigned held = 0;

    (void)state;
    fo_gather_init(&g, (struct fo_duration){ WAIT_MAX });
    now = work(&g, 0, 1000, 80);
    fo_gather_sealed(&g, at(now));
    for (int i = 0; i < 1000; i++) {
        now += 100 * US;
        fo_gather_joined(&g);
        if (!is_due(&g, now)) {
            held++;
            now = fo_gather_due(&g, at(now)).ns;
        }
        fo_gather_sealed(&g, at(now));
    }
    assert_in_range(held, 3, 10);
}

static void
when_a_second_joins_it_goes_on(void **state)
{
    struct fo_gather g;
    int64_t now;

    (void)state;
    fo_gather_init(&g, (struct fo_duration){ WAIT_MAX });
    now = work(&g, 0, 1000, 80);
    fo_gather_sealed(&g, at(now));
    for (int i = 0; i < 100; i++) {
        now += 100 * US;
        fo_gather_joined(&g);
        assert_false(is_due(&g, now));
        fo_gather_joined(&g);
        now = fo_gather_due(&g, at(now)).ns;
        fo_gather_sealed(&g, at(now));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_time_to_spare_all_is_due),
        cmocka_unit_test(a_busy_loop_waits_but_not_for_more_than_the_limit),
        cmocka_unit_test(zero_turns_it_off),
        cmocka_unit_test(who_waits_for_himself_rarely_waits),
        cmocka_unit_test(when_a_second_joins_it_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
