/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/pace.h"

enum { MIN = 1000, MAX = 64000 };
static const struct fo_pace_limits limits = { MIN, MAX, { 50 * 1000000ll } };

static struct fo_instant
at_ms(int64_t ms)
{
    return (struct fo_instant){ 1000000000000 + ms * 1000000 };
}

/* Acks of 1000 bytes each, one every `every_ms`, for so long. */
static int64_t
run(struct fo_pace *p, int64_t from_ms, int64_t for_ms, int64_t every_ms, int64_t delay_ms)
{
    int64_t t = from_ms;

    for (; t < from_ms + for_ms; t += every_ms)
        fo_pace_acked(p, 1000, fo_duration_ms(delay_ms), at_ms(t));
    return t;
}

static void
test_grows_by_what_is_acked_up_to_the_maximum(void **state)
{
    struct fo_pace p;

    (void)state;
    fo_pace_init(&p, &limits);
    assert_int_equal(p.window, MIN);
    fo_pace_acked(&p, 1000, fo_duration_ms(80), at_ms(0));
    assert_int_equal(p.window, 2 * MIN);
    run(&p, 100, 10000, 10, 80);
    assert_int_equal(p.window, MAX);
}

static void
test_shrinks_when_a_queue_stands_but_once_a_round_trip(void **state)
{
    struct fo_pace p;
    uint64_t before;

    (void)state;
    fo_pace_init(&p, &limits);
    run(&p, 0, 10000, 10, 80);
    before = p.window;
    fo_pace_acked(&p, 1000, fo_duration_ms(80 + 150), at_ms(10100));
    assert_int_equal(p.window, before / 2);
    fo_pace_acked(&p, 1000, fo_duration_ms(80 + 150), at_ms(10101));
    assert_int_equal(p.window, before / 2);
    fo_pace_acked(&p, 1000, fo_duration_ms(80 + 150), at_ms(10100 + 231));
    assert_int_equal(p.window, before / 4);
}

static void
test_never_below_the_minimum(void **state)
{
    struct fo_pace p;

    (void)state;
    fo_pace_init(&p, &limits);
    run(&p, 0, 1000, 10, 80);
    run(&p, 1000, 9000, 300, 1000);
    assert_int_equal(p.window, MIN);
}

static void
test_a_longer_path_is_no_queue_for_ever(void **state)
{
    struct fo_pace p;
    int64_t t;

    (void)state;
    fo_pace_init(&p, &limits);
    t = run(&p, 0, 10000, 10, 80);
    t = run(&p, t, 8000, 300, 580);
    assert_int_equal(p.window, MIN);
    run(&p, t, 40000, 100, 580);
    assert_int_equal(p.window, MAX);
}

static void
test_restart_keeps_what_is_known_of_the_path(void **state)
{
    struct fo_pace p;

    (void)state;
    fo_pace_init(&p, &limits);
    run(&p, 0, 10000, 10, 80);
    fo_pace_restart(&p);
    assert_int_equal(p.window, MIN);
    fo_pace_acked(&p, 1000, fo_duration_ms(80 + 150), at_ms(10100));
    assert_int_equal(p.window, MIN);            /* still known to be a queue */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_by_what_is_acked_up_to_the_maximum),
        cmocka_unit_test(test_shrinks_when_a_queue_stands_but_once_a_round_trip),
        cmocka_unit_test(test_never_below_the_minimum),
        cmocka_unit_test(test_a_longer_path_is_no_queue_for_ever),
        cmocka_unit_test(test_restart_keeps_what_is_known_of_the_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
