/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions: nothing twice, nothing left out, across restarts of the reader and across regions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fanout/fanout.h>

#include "door.h"

/* failback_ms 0: as it is by default. */
static fanout_client *
open_failing_back(const char *first, const char *second, int failback_ms)
{
    const char *addresses[] = { first, second };
    struct fanout_options o;
    fanout_client *client;

    fanout_options_init(&o);
    o.addresses = addresses;
    o.address_count = second != NULL ? 2 : 1;
    o.failback_ms = failback_ms > 0 ? failback_ms : o.failback_ms;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    return client;
}

static fanout_client *
open_client(const char *first, const char *second)
{
    return open_failing_back(first, second, 0);
}

/* overlap_ms below 0: as it is by default. */
static fanout_subscription *
subscribe_overlapping(fanout_client *client, int from, const char *cursor, int overlap_ms)
{
    struct fanout_filter f;
    fanout_subscription *sub;

    fanout_filter_init(&f);
    f.from = from;
    f.cursor = cursor;
    f.overlap_ms = overlap_ms >= 0 ? overlap_ms : f.overlap_ms;
    if (fanout_subscribe(client, &f, &sub) != FANOUT_OK)
        fail_msg("%s", fanout_last_error());
    return sub;
}

static fanout_subscription *
subscribe(fanout_client *client, int from, const char *cursor)
{
    return subscribe_overlapping(client, from, cursor, -1);
}

static void
add(struct door *d, unsigned from, unsigned to)
{
    char id[16];

    for (unsigned i = from; i <= to; i++) {
        snprintf(id, sizeof(id), "e%u", i);
        door_add(d, "us-east-1", id, i % 2 ? FO_LANE_HIGH : FO_LANE_LOW, i, "k");
    }
}

static void
expect(fanout_subscription *sub, unsigned from, unsigned to)
{
    const fanout_delivery *d;
    char id[16];

    for (unsigned i = from; i <= to; i++) {
        int err = fanout_subscription_next(sub, 20000, &d);
        if (err != FANOUT_OK)
            fail_msg("event %u: %s", i, fanout_last_error());
        snprintf(id, sizeof(id), "e%u", i);
        assert_string_equal(fanout_delivery_id(d), id);
    }
}

static void
test_events_come_in_order_and_show_all(void **state)
{
    const fanout_delivery *d;
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;
    struct fanout_event e;
    size_t n;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL);
    add(&door, 1, 3);
    sub = subscribe(client, FANOUT_FROM_NOW, NULL);
    assert_int_equal(fanout_subscription_next(sub, 20, &d), FANOUT_ERR_TIMEOUT);
    fanout_event_init(&e);
    e.type = "order_status";
    e.id = "mine";
    e.tenant = "acme";
    e.key = "order-1";
    e.data_json = "{\"order_id\":1,\"status\":\"ready\"}";
    assert_int_equal(fanout_publish(client, &e, 0, NULL), FANOUT_OK);
    assert_int_equal(fanout_subscription_next(sub, 20000, &d), FANOUT_OK);
    assert_string_equal(fanout_delivery_id(d), "mine");
    assert_string_equal(fanout_delivery_type(d), "order_status");
    assert_string_equal(fanout_delivery_tenant(d), "acme");
    assert_string_equal(fanout_delivery_key(d), "order-1");
    assert_string_equal(fanout_delivery_region(d), "us-east-1");
    assert_string_equal(fanout_delivery_position(d), "us-east-1:18f:high:1");
    assert_string_equal(fanout_delivery_data_json(d), "{\"order_id\":1,\"status\":\"ready\"}");
    assert_non_null(strstr(fanout_delivery_event_json(d), "\"specversion\":\"1.0\""));
    assert_non_null(fanout_delivery_data_msgpack(d, &n));
    assert_int_equal(n, 24);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&door);
}

static void
test_a_saved_cursor_goes_on_exactly_behind(void **state)
{
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;
    char cursor[1024];

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL);
    add(&door, 1, 10);
    sub = subscribe(client, FANOUT_FROM_EARLIEST, NULL);
    for (unsigned i = 1; i <= 12; i++) {        /* in the middle of a first answer, at its end, in a later one */
        if (i == 11)
            add(&door, 11, 14);
        expect(sub, i, i);
        snprintf(cursor, sizeof(cursor), "%s", fanout_subscription_cursor(sub));
        fanout_subscription_close(sub);
        sub = subscribe(client, FANOUT_FROM_CURSOR, cursor);
    }
    expect(sub, 13, 14);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&door);
}

static void
test_another_regions_broker_goes_on_without_repeats(void **state)
{
    fanout_subscription *sub;
    fanout_client *client;
    struct door near, far;
    char cursor[1024];

    (void)state;
    door_open(&near, "us-east-1", 0);
    door_open(&far, "eu-west-1", 0);
    near.answer_events_max = 4;
    add(&near, 1, 6);
    add(&far, 1, 9);                    /* it has them at other places of its own */
    client = open_client(near.url, far.url);
    sub = subscribe(client, FANOUT_FROM_EARLIEST, NULL);
    expect(sub, 1, 6);
    door_close(&near);
    expect(sub, 7, 9);
    snprintf(cursor, sizeof(cursor), "%s", fanout_subscription_cursor(sub));
    assert_non_null(strstr(cursor, "~eu-west-1~"));
    fanout_subscription_close(sub);
    fanout_close(client);

    /* and a cursor from there is good for a client that knows only another region's broker */
    door_open(&near, "us-west-2", 0);
    add(&near, 1, 11);
    client = open_client(near.url, NULL);
    sub = subscribe(client, FANOUT_FROM_CURSOR, cursor);
    expect(sub, 10, 11);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&near);
    door_close(&far);
}

enum { AT_US = 1000000 };

/* e9 is high; e2, e4, ... of a low lane are older. */
static void
add_backlog(struct door *d, bool is_high_first)
{
    char id[16];

    if (is_high_first)
        door_add_at(d, "us-east-1", "e9", FO_LANE_HIGH, 9, 9 * AT_US, NULL);
    for (unsigned i = 2; i <= 8; i += 2) {
        snprintf(id, sizeof(id), "e%u", i);
        door_add_at(d, "us-east-1", id, FO_LANE_LOW, i, i * AT_US, NULL);
    }
    if (!is_high_first)
        door_add_at(d, "us-east-1", "e9", FO_LANE_HIGH, 9, 9 * AT_US, NULL);
}

static void
expect_even(fanout_subscription *sub, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i += 2)
        expect(sub, i, i);
}

static void
test_a_lane_that_is_behind_loses_nothing_by_a_failover(void **state)
{
    fanout_subscription *sub;
    fanout_client *client;
    struct door near, far;
    char cursor[1024];

    (void)state;
    door_open(&near, "us-east-1", 0);
    door_open(&far, "eu-west-1", 0);
    near.answer_events_max = 1;
    add_backlog(&near, true);
    add_backlog(&far, false);
    client = open_client(near.url, far.url);
    sub = subscribe_overlapping(client, FANOUT_FROM_EARLIEST, NULL, 0);
    expect(sub, 9, 9);
    snprintf(cursor, sizeof(cursor), "%s", fanout_subscription_cursor(sub));
    expect(sub, 2, 2);
    door_close(&near);
    expect_even(sub, 4, 8);
    fanout_subscription_close(sub);
    sub = subscribe_overlapping(client, FANOUT_FROM_CURSOR, cursor, 0);    /* of the broker that is gone */
    expect_even(sub, 2, 8);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&far);
}

static void
test_a_cursor_within_a_first_answer_goes_back_to_its_beginning(void **state)
{
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;
    char cursor[1024];

    (void)state;
    door_open(&door, "us-east-1", 0);
    add_backlog(&door, true);
    client = open_client(door.url, NULL);
    sub = subscribe_overlapping(client, FANOUT_FROM_EARLIEST, NULL, 0);
    expect(sub, 9, 9);
    snprintf(cursor, sizeof(cursor), "%s", fanout_subscription_cursor(sub));
    fanout_subscription_close(sub);
    sub = subscribe_overlapping(client, FANOUT_FROM_CURSOR, cursor, 0);
    expect_even(sub, 2, 8);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&door);
}

static void
add_high(struct door *d, unsigned seq, const char *only_for)
{
    char id[16];

    snprintf(id, sizeof(id), "e%u", seq);
    door_add_at(d, "us-east-1", id, FO_LANE_HIGH, seq, 0, only_for);
}

/* The other broker went past e90 without having it. */
static void
test_what_only_one_region_has_is_not_taken_for_seen(void **state)
{
    fanout_subscription *sub;
    fanout_client *client;
    struct door near, far;
    int port;

    (void)state;
    door_open(&near, "us-east-1", 0);
    port = near.port;
    door_open(&far, "eu-west-1", 0);
    add_high(&near, 89, NULL);
    add_high(&far, 89, NULL);
    client = open_failing_back(near.url, far.url, 1);
    sub = subscribe_overlapping(client, FANOUT_FROM_EARLIEST, NULL, 0);
    expect(sub, 89, 89);
    door_close(&near);
    add_high(&far, 91, NULL);
    expect(sub, 91, 91);
    door_open(&near, "us-east-1", port);
    add_high(&near, 89, NULL);
    add_high(&near, 90, "us-east-1");
    add_high(&near, 91, NULL);
    add_high(&near, 92, NULL);
    expect(sub, 90, 90);
    expect(sub, 92, 92);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&near);
    door_close(&far);
}

/* It is said and stepped over. */
static void
test_an_event_that_cannot_be_read_costs_no_other(void **state)
{
    static const uint8_t damaged[] = { 0x81, 0x01, 0xc0 };
    const fanout_delivery *d;
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    add(&door, 1, 3);
    door.events[1].damaged = fo_slice_of(damaged, sizeof(damaged));
    client = open_client(door.url, NULL);
    sub = subscribe(client, FANOUT_FROM_EARLIEST, NULL);
    expect(sub, 1, 1);
    assert_int_equal(fanout_subscription_next(sub, 20000, &d), FANOUT_ERR_PROTOCOL);
    expect(sub, 3, 3);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&door);
}

static void
test_a_cursor_that_is_gone_is_said_once(void **state)
{
    const fanout_delivery *d;
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    add(&door, 1, 10);
    door.gone_below = 5;
    client = open_client(door.url, NULL);
    sub = subscribe(client, FANOUT_FROM_CURSOR, "c1.us-east-1.2");
    assert_int_equal(fanout_subscription_next(sub, 20000, &d), FANOUT_ERR_CURSOR_GONE);
    expect(sub, 6, 10);
    fanout_subscription_close(sub);
    fanout_close(client);
    door_close(&door);
}

static void
test_filters_and_options_are_checked(void **state)
{
    struct fanout_filter f;
    fanout_subscription *sub;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL);
    fanout_filter_init(&f);
    f.type_count = 9;
    assert_int_equal(fanout_subscribe(client, &f, &sub), FANOUT_ERR_INVALID);
    fanout_filter_init(&f);
    f.from = FANOUT_FROM_TIME;
    assert_int_equal(fanout_subscribe(client, &f, &sub), FANOUT_ERR_INVALID);
    f.time = "yesterday";
    assert_int_equal(fanout_subscribe(client, &f, &sub), FANOUT_ERR_INVALID);
    fanout_filter_init(&f);
    f.from = FANOUT_FROM_CURSOR;
    f.cursor = "f2~nonsense";
    assert_int_equal(fanout_subscribe(client, &f, &sub), FANOUT_ERR_INVALID);
    fanout_filter_init(&f);
    f.tenant = "with space";            /* the broker's to refuse */
    f.region = "NOT A REGION";
    assert_int_equal(fanout_subscribe(client, &f, &sub), FANOUT_ERR_REFUSED);
    fanout_close(client);
    door_close(&door);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_in_order_and_show_all),
        cmocka_unit_test(test_a_saved_cursor_goes_on_exactly_behind),
        cmocka_unit_test(test_another_regions_broker_goes_on_without_repeats),
        cmocka_unit_test(test_a_lane_that_is_behind_loses_nothing_by_a_failover),
        cmocka_unit_test(test_a_cursor_within_a_first_answer_goes_back_to_its_beginning),
        cmocka_unit_test(test_what_only_one_region_has_is_not_taken_for_seen),
        cmocka_unit_test(test_an_event_that_cannot_be_read_costs_no_other),
        cmocka_unit_test(test_a_cursor_that_is_gone_is_said_once),
        cmocka_unit_test(test_filters_and_options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
