/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/health.h"

enum { PROBE_MS = 750 };
static const struct fo_health_limits limits = { { PROBE_MS * 1000000ll }, 3, { 1000 * 1000000ll }, { 8000 * 1000000ll } };
static const struct fo_duration rtt = { 1000000 };

static struct fo_instant
at_ms(int64_t ms)
{
    return (struct fo_instant){ 1000000000000 + ms * 1000000 };
}

/* Probes answered at once from from_ms to to_ms, then none; checks every 50 ms up to until_ms. When `wanted` was reached first, or -1. */
static int64_t
run(struct fo_health *h, int64_t from_ms, int64_t to_ms, int64_t until_ms, enum fo_health_state wanted)
{
    int64_t found = -1;

    for (int64_t t = from_ms; t <= until_ms; t += 50) {
        if (t <= to_ms && (t - from_ms) % PROBE_MS == 0) {
            fo_health_heard(h, at_ms(t));
            fo_health_reached(h, at_ms(t));
        }
        (void)fo_health_check(h, at_ms(t), rtt);
        if (found < 0 && h->state == wanted)
            found = t;
    }
    return found;
}

static void
test_answers_make_it_healthy_and_keep_it_so(void **state)
{
    struct fo_health h;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    assert_int_equal(h.state, FO_HEALTH_PROBING);
    assert_true(fo_health_is_open(&h));
    assert_in_range(run(&h, 0, 60000, 60000, FO_HEALTH_HEALTHY), 1000, 3000);
    assert_int_equal(h.state, FO_HEALTH_HEALTHY);
    assert_int_equal(h.transitions, 2);         /* probing, recovering, healthy: never suspect on the way */
}

static void
test_three_missed_probes_in_a_row_are_down_within_3_s(void **state)
{
    struct fo_health h;
    int64_t down;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    down = run(&h, 0, 30000, 40000, FO_HEALTH_DOWN);
    assert_in_range(down, 30000 + 3 * PROBE_MS, 30000 + 3100);
    assert_false(fo_health_is_open(&h));
    assert_false(fo_health_is_trusted(&h));
    assert_true(fo_health_is_deaf(&h, at_ms(40000)));
}

static void
test_one_late_answer_is_only_suspect(void **state)
{
    struct fo_health h;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    run(&h, 0, 10000, 10000, FO_HEALTH_HEALTHY);
    assert_in_range(run(&h, 10050, 0, 11300, FO_HEALTH_SUSPECT), 10050, 11300);
    assert_true(fo_health_is_trusted(&h));
    fo_health_reached(&h, at_ms(11300));
    assert_true(fo_health_check(&h, at_ms(11300), rtt));
    assert_int_equal(h.state, FO_HEALTH_HEALTHY);
}

static void
test_it_comes_back_half_open_and_then_recovering(void **state)
{
    struct fo_health h;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    run(&h, 0, 5000, 20000, FO_HEALTH_DOWN);
    fo_health_reached(&h, at_ms(20000));
    assert_true(fo_health_check(&h, at_ms(20000), rtt));
    assert_int_equal(h.state, FO_HEALTH_PROBING);
    assert_false(fo_health_check(&h, at_ms(20050), rtt));   /* one answer is not enough */
    fo_health_reached(&h, at_ms(20500));
    assert_true(fo_health_check(&h, at_ms(20500), rtt));
    assert_int_equal(h.state, FO_HEALTH_RECOVERING);
    assert_false(fo_health_is_trusted(&h));
}

/* How long the link takes to be trusted again after it was down. */
static int64_t
time_to_trust(struct fo_health *h, int64_t *t_ms)
{
    int64_t from = *t_ms + 10000, healthy;

    run(h, *t_ms, 0, from - 50, FO_HEALTH_DOWN);            /* silence */
    healthy = run(h, from, from + 12000, from + 12000, FO_HEALTH_HEALTHY);
    *t_ms = from + 12050;
    return healthy - from;
}

static void
test_flapping_makes_it_wait_longer_and_quiet_forgives(void **state)
{
    struct fo_health h;
    int64_t t = 10050, first, third, later;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    run(&h, 0, 10000, 10000, FO_HEALTH_HEALTHY);
    first = time_to_trust(&h, &t);
    (void)time_to_trust(&h, &t);
    third = time_to_trust(&h, &t);
    assert_true(third >= first + 2000);
    run(&h, t, t + 60000, t + 60000, FO_HEALTH_HEALTHY);
    t += 60050;
    later = time_to_trust(&h, &t);
    assert_true(later < third);
}

static void
test_a_long_round_trip_is_not_a_missed_probe(void **state)
{
    struct fo_health h;

    (void)state;
    fo_health_init(&h, &limits, at_ms(0));
    for (int64_t t = 0; t < 60000; t += 50) {
        if (t % PROBE_MS == 0)
            fo_health_reached(&h, at_ms(t - 2000));         /* confirmations of 2 s ago */
        (void)fo_health_check(&h, at_ms(t), fo_duration_ms(2000));
        assert_int_not_equal(h.state, FO_HEALTH_DOWN);
    }
    assert_int_equal(h.state, FO_HEALTH_HEALTHY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_make_it_healthy_and_keep_it_so),
        cmocka_unit_test(test_three_missed_probes_in_a_row_are_down_within_3_s),
        cmocka_unit_test(test_one_late_answer_is_only_suspect),
        cmocka_unit_test(test_it_comes_back_half_open_and_then_recovering),
        cmocka_unit_test(test_flapping_makes_it_wait_longer_and_quiet_forgives),
        cmocka_unit_test(test_a_long_round_trip_is_not_a_missed_probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
