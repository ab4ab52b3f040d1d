/* SPDX-License-Identifier: Apache-2.0
 *
 * The line emulator's queue and commands: what arrives, when, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wancommand.h"

enum { PACKET_BYTES = 1000 };
static const uint8_t packet[PACKET_BYTES];

static struct fo_instant
at_ms(int64_t ms)
{
    return (struct fo_instant){ fo_duration_ms(1000000 + ms).ns };
}

static void
setup(struct wan_queue *q, uint64_t seed, const char *rules)
{
    struct wan_rules r = wan_rules_none();
    char text[200];

    strcpy(text, rules);
    assert_int_equal(wan_command_apply(WAN_SET, text, &r), FO_OK);
    wan_queue_init(q, seed);
    wan_queue_set(q, &r, at_ms(0));
}

static void
push_number(struct wan_queue *q, uint32_t number, int64_t ms)
{
    wan_queue_push(q, &number, sizeof number, at_ms(ms));
}

/* How many arrive by then. */
static unsigned
pop_all(struct wan_queue *q, int64_t ms)
{
    struct wan_packet *p;
    unsigned n = 0;

    while ((p = wan_queue_pop(q, at_ms(ms))) != NULL) {
        free(p);
        n++;
    }
    return n;
}

static uint32_t
pop_number(struct wan_queue *q, int64_t ms)
{
    struct wan_packet *p = wan_queue_pop(q, at_ms(ms));
    uint32_t number;

    assert_non_null(p);
    memcpy(&number, p->bytes, sizeof number);
    free(p);
    return number;
}

static void
test_a_perfect_line(void **state)
{
    struct wan_queue q;

    (void)state;
    setup(&q, 1, "");
    push_number(&q, 7, 0);
    assert_int_equal(pop_number(&q, 0), 7);
    assert_null(wan_queue_pop(&q, at_ms(1000)));
    assert_true(wan_queue_next(&q).ns == INT64_MAX);
    wan_queue_fini(&q);
}

static void
test_delay_is_kept_to(void **state)
{
    struct wan_queue q;

    (void)state;
    setup(&q, 1, "delay=250ms");
    push_number(&q, 7, 0);
    assert_int_equal(wan_queue_next(&q).ns, at_ms(250).ns);
    assert_int_equal(pop_all(&q, 249), 0);
    assert_int_equal(pop_all(&q, 250), 1);
    wan_queue_fini(&q);
}

static void
test_jitter_stays_inside_and_keeps_the_order(void **state)
{
    struct wan_queue q;
    int64_t earliest = INT64_MAX, latest = 0;

    (void)state;
    setup(&q, 5, "delay=100ms jitter=20ms");
    for (uint32_t i = 0; i < 500; i++)
        push_number(&q, i, i);
    for (uint32_t i = 0; i < 500; i++)
        assert_int_equal(pop_number(&q, 1000), i);
    for (int64_t ms = 1000; ms < 30000; ms += 50) {
        int64_t took;

        push_number(&q, 0, ms);
        took = wan_queue_next(&q).ns - at_ms(ms).ns;
        earliest = took < earliest ? took : earliest;
        latest = took > latest ? took : latest;
        assert_int_equal(pop_all(&q, ms + 120), 1);
    }
    assert_in_range(earliest, fo_duration_ms(80).ns, fo_duration_ms(85).ns);
    assert_in_range(latest, fo_duration_ms(115).ns, fo_duration_ms(120).ns);
    wan_queue_fini(&q);
}

static void
test_rate_spaces_packets_and_its_queue_is_bounded(void **state)
{
    struct wan_queue q;

    (void)state;
    setup(&q, 1, "rate=1mbit queue=10000B burst=0B");     /* 8 ms for each packet */
    for (int i = 0; i < 50; i++)
        wan_queue_push(&q, packet, PACKET_BYTES, at_ms(0));
    assert_int_equal(q.counters.overflowed, 40);
    assert_int_equal(pop_all(&q, 7), 0);
    assert_int_equal(pop_all(&q, 8), 1);
    assert_int_equal(pop_all(&q, 40), 4);
    wan_queue_push(&q, packet, PACKET_BYTES, at_ms(40));
    assert_int_equal(q.counters.overflowed, 40);
    assert_int_equal(pop_all(&q, 88), 6);
    wan_queue_fini(&q);
}

static void
test_a_pause_saves_a_burst_and_no_more(void **state)
{
    struct wan_queue q;

    (void)state;
    setup(&q, 1, "rate=1mbit queue=100000B burst=3000B");
    for (int i = 0; i < 10; i++)
        wan_queue_push(&q, packet, PACKET_BYTES, at_ms(5000));
    assert_int_equal(pop_all(&q, 5000), 3);
    assert_int_equal(pop_all(&q, 5008), 1);
    wan_queue_fini(&q);
}

static void
test_loss_and_duplicates_come_as_often_as_asked(void **state)
{
    struct wan_queue q;
    unsigned arrived;

    (void)state;
    setup(&q, 42, "loss=10% duplicate=5%");
    for (uint32_t i = 0; i < 10000; i++)
        push_number(&q, i, 0);
    arrived = pop_all(&q, 0);
    assert_in_range(q.counters.lost, 900, 1100);
    assert_in_range(q.counters.duplicated, 380, 520);
    assert_int_equal(arrived, 10000 - q.counters.lost + q.counters.duplicated);
    wan_queue_fini(&q);
}

static void
test_reordered_ones_are_overtaken(void **state)
{
    struct wan_queue q;
    unsigned overtaken = 0;
    uint32_t highest = 0;

    (void)state;
    setup(&q, 3, "delay=50ms reorder=5%");
    for (uint32_t i = 0; i < 1000; i++)
        push_number(&q, i, i);
    for (int i = 0; i < 1000; i++) {
        uint32_t number = pop_number(&q, 5000);

        overtaken += number < highest;
        highest = number > highest ? number : highest;
    }
    assert_in_range(overtaken, 25, 75);
    assert_in_range(q.counters.reordered, 25, 75);
    wan_queue_fini(&q);
}

static void
test_a_cut_loses_what_is_under_way(void **state)
{
    struct wan_queue q;
    struct wan_rules r;

    (void)state;
    setup(&q, 1, "delay=100ms");
    push_number(&q, 1, 0);
    r = q.rules;
    assert_int_equal(wan_command_apply(WAN_CUT, NULL, &r), FO_OK);
    wan_queue_set(&q, &r, at_ms(50));
    push_number(&q, 2, 60);
    assert_int_equal(pop_all(&q, 1000), 0);
    assert_int_equal(q.counters.cut, 2);
    assert_int_equal(wan_command_apply(WAN_HEAL, NULL, &r), FO_OK);
    wan_queue_set(&q, &r, at_ms(1000));
    push_number(&q, 3, 1000);
    assert_int_equal(pop_all(&q, 1099), 0);
    assert_int_equal(pop_number(&q, 1100), 3);
    wan_queue_fini(&q);
}

static void
test_one_seed_decides_everything(void **state)
{
    struct wan_queue a, b, other;
    unsigned same = 0, unlike = 0;

    (void)state;
    setup(&a, 9, "delay=30ms jitter=10ms loss=20% duplicate=10% reorder=10%");
    setup(&b, 9, "delay=30ms jitter=10ms loss=20% duplicate=10% reorder=10%");
    setup(&other, 10, "delay=30ms jitter=10ms loss=20% duplicate=10% reorder=10%");
    for (uint32_t i = 0; i < 1000; i++) {
        push_number(&a, i, i);
        push_number(&b, i, i);
        push_number(&other, i, i);
        same += wan_queue_next(&a).ns == wan_queue_next(&b).ns && a.count == b.count;
        unlike += a.count != other.count;
    }
    assert_int_equal(same, 1000);
    assert_true(unlike > 0);
    wan_queue_fini(&a);
    wan_queue_fini(&b);
    wan_queue_fini(&other);
}

static void
test_what_is_held_is_bounded(void **state)
{
    struct wan_queue q;

    (void)state;
    setup(&q, 1, "delay=10s");
    for (uint32_t i = 0; i < WAN_PACKETS_MAX + 100; i++)
        push_number(&q, i, 0);
    assert_int_equal(q.counters.overflowed, 100);
    assert_int_equal(pop_all(&q, 10000), WAN_PACKETS_MAX);
    wan_queue_fini(&q);
}

static void
test_commands(void **state)
{
    char good[] = "set us-east-1 * delay=1.5s rate=2gbit queue=1MiB loss=0.5%", *bad[] = {
        strdup("delay=5"), strdup("delay=-1ms"), strdup("loss=101%"), strdup("speed=1ms"), strdup("delay"), strdup("rate=1ms"),
    };
    struct wan_rules r = wan_rules_none();
    struct wan_command c;

    (void)state;
    assert_int_equal(wan_command_parse(good, &c), FO_OK);
    assert_int_equal(c.verb, WAN_SET);
    assert_string_equal(c.from, "us-east-1");
    assert_string_equal(c.to, "*");
    assert_int_equal(wan_command_apply(c.verb, c.changes, &r), FO_OK);
    assert_int_equal(r.delay.ns, fo_duration_ms(1500).ns);
    assert_int_equal(r.rate_bps, 2000000000);
    assert_int_equal(r.queue_bytes, 1048576);
    assert_int_equal(r.loss_ppm, 5000);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_not_equal(wan_command_apply(WAN_SET, bad[i], &r), FO_OK);
        assert_int_equal(r.delay.ns, fo_duration_ms(1500).ns);
        free(bad[i]);
    }
    assert_int_equal(wan_command_parse((char[]){ "cut a" }, &c), FO_ERR_MISSING);
    assert_int_equal(wan_command_parse((char[]){ "saw a b" }, &c), FO_ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_perfect_line),
        cmocka_unit_test(test_delay_is_kept_to),
        cmocka_unit_test(test_jitter_stays_inside_and_keeps_the_order),
        cmocka_unit_test(test_rate_spaces_packets_and_its_queue_is_bounded),
        cmocka_unit_test(test_a_pause_saves_a_burst_and_no_more),
        cmocka_unit_test(test_loss_and_duplicates_come_as_often_as_asked),
        cmocka_unit_test(test_reordered_ones_are_overtaken),
        cmocka_unit_test(test_a_cut_loses_what_is_under_way),
        cmocka_unit_test(test_one_seed_decides_everything),
        cmocka_unit_test(test_what_is_held_is_bounded),
        cmocka_unit_test(test_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
