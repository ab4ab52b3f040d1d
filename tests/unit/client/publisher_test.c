/* SPDX-License-Identifier: Apache-2.0
 *
 * The asynchronous publisher: every event is answered once, keys keep their order, retries repeat nothing, full is said. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fanout/fanout.h>

#include "door.h"

struct tally { atomic_uint ok, unfulfilled, refused, unreachable, in_doubt, busy, closed, other; char last_id[129], last_code[33], last_message[256]; };

static void
count(void *user, const struct fanout_result *result)
{
    struct tally *t = user;

    snprintf(t->last_id, sizeof(t->last_id), "%s", result->event_id);
    snprintf(t->last_code, sizeof(t->last_code), "%s", result->code);
    snprintf(t->last_message, sizeof(t->last_message), "%s", result->message);
    switch (result->err) {
    case FANOUT_OK:
        t->ok++;
        t->unfulfilled += !result->is_success;
        break;
    case FANOUT_ERR_REFUSED: t->refused++; break;
    case FANOUT_ERR_UNREACHABLE: t->unreachable++; break;
    case FANOUT_ERR_TIMEOUT: t->in_doubt++; break;
    case FANOUT_ERR_BUSY: t->busy++; break;
    case FANOUT_ERR_CLOSED: t->closed++; break;
    default: t->other++;
    }
}

static fanout_client *
open_client(const char *url, int timeout_ms)
{
    struct fanout_options o;
    fanout_client *client;

    fanout_options_init(&o);
    o.addresses = &url;
    o.address_count = 1;
    o.timeout_ms = timeout_ms;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    return client;
}

static int
send_one(fanout_publisher *p, const char *type, const char *id, const char *key, struct tally *t)
{
    struct fanout_event e;

    fanout_event_init(&e);
    e.type = type;
    e.id = id;
    e.key = key;
    return fanout_publisher_send(p, &e, count, t);
}

/* Event i of key k is called k-i: per key the numbers must stand ascending at the door. */
static void
check_order(struct door *door, unsigned keys, unsigned expected)
{
    char id[FO_ID_BYTES_MAX + 1];
    unsigned next[16] = { 0 }, key, number;

    assert_int_equal(door->count, expected);
    for (unsigned i = 0; i < expected; i++) {
        assert_int_equal(sscanf(door_id(door, i, id), "%u-%u", &key, &number), 2);
        assert_true(key < keys);
        assert_int_equal(number, next[key]);
        next[key]++;
    }
}

static void
test_all_are_answered_and_keys_keep_their_order(void **state)
{
    enum { KEYS = 7, EACH = 500 };
    struct fanout_publisher_options o;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;
    char id[32], key[16];

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, 5000);
    fanout_publisher_options_init(&o);
    o.is_blocking = 1;
    o.events_max = 300;
    o.request_events_max = 50;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    door.busy_left = 3;
    for (unsigned i = 0; i < EACH; i++) {
        for (unsigned k = 0; k < KEYS; k++) {
            snprintf(id, sizeof(id), "%u-%u", k, i);
            snprintf(key, sizeof(key), "key%u", k);
            assert_int_equal(send_one(p, "custom", id, key, &tally), FANOUT_OK);
        }
    }
    assert_int_equal(fanout_publisher_flush(p, 60000), FANOUT_OK);
    assert_int_equal(tally.ok, KEYS * EACH);
    check_order(&door, KEYS, KEYS * EACH);
    assert_int_equal(door.busy_left, 0);
    assert_true(door.publishes < KEYS * EACH);      /* many went together */
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

/* No tenant is the tenant "default": one order for both ways of saying so. */
static void
test_the_default_tenant_has_one_order(void **state)
{
    enum { EACH = 200 };
    struct fanout_publisher_options o;
    struct fanout_event e;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;
    char id[32], key[16];

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, 5000);
    fanout_publisher_options_init(&o);
    o.channels = 16;
    o.is_blocking = 1;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    fanout_event_init(&e);
    e.type = "custom";
    e.id = id;
    e.key = key;
    for (unsigned i = 0; i < EACH; i++) {
        e.tenant = i % 2 == 0 ? NULL : "default";
        for (unsigned k = 0; k < 4; k++) {
            snprintf(id, sizeof(id), "%u-%u", k, i);
            snprintf(key, sizeof(key), "key%u", k);
            assert_int_equal(fanout_publisher_send(p, &e, count, &tally), FANOUT_OK);
        }
    }
    assert_int_equal(fanout_publisher_flush(p, 60000), FANOUT_OK);
    check_order(&door, 4, 4 * EACH);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

static void
test_a_refused_event_is_told_alone(void **state)
{
    struct fanout_publisher_options o;
    struct tally good = { 0 }, bad = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, 5000);
    for (int is_detailed = 0; is_detailed < 2; is_detailed++) {
        fanout_publisher_options_init(&o);
        o.channels = 1;
        o.is_detailed = is_detailed;
        assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
        for (int i = 0; i < 10; i++)
            assert_int_equal(send_one(p, i == 4 ? "nonsense" : "custom", NULL, NULL, i == 4 ? &bad : &good), FANOUT_OK);
        assert_int_equal(fanout_publisher_flush(p, 10000), FANOUT_OK);
        fanout_publisher_close(p);
    }
    assert_int_equal(good.ok, 18);
    assert_int_equal(bad.refused, 2);
    assert_string_equal(bad.last_code, "unknown_type");
    assert_int_equal(strlen(good.last_id), 36);
    fanout_close(client);
    door_close(&door);
}

/* Accepted, but no peer acknowledged in time: neither an error, nor a success because another event was refused. */
static void
test_a_wait_not_fulfilled_is_told_event_by_event(void **state)
{
    struct fanout_publisher_options o;
    struct tally good = { 0 }, bad = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.is_never_fulfilled = true;
    client = open_client(door.url, 5000);
    fanout_publisher_options_init(&o);
    o.channels = 1;
    o.wait = FANOUT_WAIT_ALL;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    for (int has_refused = 0; has_refused < 2; has_refused++) {
        for (int i = 0; i < 3 + has_refused; i++)
            assert_int_equal(send_one(p, i == 3 ? "nonsense" : "custom", NULL, NULL, i == 3 ? &bad : &good), FANOUT_OK);
        assert_int_equal(fanout_publisher_flush(p, 10000), FANOUT_OK);
    }
    assert_int_equal(good.ok, 6);
    assert_int_equal(good.unfulfilled, 6);
    assert_int_equal(bad.refused, 1);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

static void
test_full_is_said_and_nothing_is_lost_when_the_broker_comes(void **state)
{
    struct fanout_publisher_options o;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;
    char url[64];
    int port = door_free_port();

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    client = open_client(url, 5000);
    fanout_publisher_options_init(&o);
    o.events_max = 20;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_one(p, "custom", NULL, NULL, &tally), FANOUT_OK);
    assert_int_equal(send_one(p, "custom", NULL, NULL, &tally), FANOUT_ERR_FULL);
    assert_int_equal(fanout_publisher_flush(p, 50), FANOUT_ERR_TIMEOUT);
    door_open(&door, "us-east-1", port);
    assert_int_equal(fanout_publisher_flush(p, 30000), FANOUT_OK);
    assert_int_equal(tally.ok, 20);
    assert_int_equal(door.count, 20);
    assert_int_equal(send_one(p, "custom", NULL, NULL, &tally), FANOUT_OK);
    assert_int_equal(send_one(p, NULL, NULL, NULL, &tally), FANOUT_ERR_INVALID);
    assert_int_equal(fanout_publisher_flush(p, 30000), FANOUT_OK);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

static void
test_an_option_out_of_range_is_named(void **state)
{
    struct fanout_publisher_options o;
    fanout_publisher *p;
    fanout_client *client;

    (void)state;
    client = open_client("tcp://127.0.0.1:1", 1000);
    fanout_publisher_options_init(&o);
    o.request_events_max = FO_REQUEST_EVENTS_MAX + 1;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_ERR_INVALID);
    assert_string_equal(fanout_last_error(), "publisher option request_events_max is 10001; it must be from 1 to 10000");
    fanout_close(client);
}

/* A broker closes the connection on a request over its limit. No request is filled beyond it, and what fits in none is refused. */
static void
test_requests_keep_to_the_limit(void **state)
{
    enum { LIMIT = 4096, EVENTS = 300 };
    static char data[LIMIT + 1];
    struct fanout_options co;
    struct fanout_event e;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;
    const char *url = door.url;

    (void)state;
    door_open(&door, "us-east-1", 0);
    assert_int_equal(nng_socket_set_size(door.socket, NNG_OPT_RECVMAXSZ, LIMIT), 0);
    fanout_options_init(&co);
    co.addresses = &url;
    co.address_count = 1;
    co.request_bytes_max = LIMIT;
    assert_int_equal(fanout_open(&co, &client), FANOUT_OK);
    assert_int_equal(fanout_publisher_open(client, NULL, &p), FANOUT_OK);
    fanout_event_init(&e);
    e.type = "custom";
    e.data_json = data;
    memset(data, '1', LIMIT);
    data[0] = '"';
    data[LIMIT - 1] = '"';
    assert_int_equal(fanout_publisher_send(p, &e, count, &tally), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "request_bytes_max is 4096"));
    for (int i = 0; i < EVENTS; i++) {
        e.data_json_size = 2 + (size_t)(i * 37 % 3900);
        data[e.data_json_size - 1] = '"';
        assert_int_equal(fanout_publisher_send(p, &e, count, &tally), FANOUT_OK);
        data[e.data_json_size - 1] = '1';
    }
    assert_int_equal(fanout_publisher_flush(p, 60000), FANOUT_OK);
    assert_int_equal(tally.ok, EVENTS);
    assert_int_equal(door.count, EVENTS);
    assert_int_equal(door.duplicates, 0);           /* no connection was lost */
    assert_true(door.publishes < EVENTS);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

static void
test_patience_has_an_end(void **state)
{
    struct fanout_publisher_options o;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", door_free_port());
    client = open_client(url, 1000);
    fanout_publisher_options_init(&o);
    o.timeout_ms = 200;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    assert_int_equal(send_one(p, "custom", NULL, "k", &tally), FANOUT_OK);
    assert_int_equal(fanout_publisher_flush(p, 20000), FANOUT_OK);
    assert_int_equal(tally.unreachable, 1);
    fanout_publisher_close(p);
    fanout_close(client);
}

struct turn { struct door *door; atomic_uint given_up; };

static void
open_the_door(void *user, const struct fanout_result *result)
{
    struct turn *turn = user;

    assert_int_equal(result->err, FANOUT_ERR_BUSY);
    turn->given_up++;
    pthread_mutex_lock(&turn->door->lock);
    turn->door->busy_left = 0;
    pthread_mutex_unlock(&turn->door->lock);
}

/* Two events wait in one request; when the patience with the first one ends, the second, sent later, has some left and gets through. */
static void
test_patience_is_each_event_s_own(void **state)
{
    struct fanout_publisher_options o;
    struct tally ahead = { 0 }, second = { 0 };
    struct fanout_event e;
    struct door door;
    struct turn turn = { .door = &door };
    fanout_publisher *p;
    fanout_client *client;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.busy_left = UINT_MAX;
    client = open_client(door.url, 5000);
    fanout_publisher_options_init(&o);
    o.channels = 1;
    o.timeout_ms = 2000;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    assert_int_equal(send_one(p, "custom", NULL, NULL, &ahead), FANOUT_OK);
    while (door_publishes(&door) == 0)              /* it is on its way: what follows gathers behind it */
        usleep(1000);
    fanout_event_init(&e);
    e.type = "custom";
    assert_int_equal(fanout_publisher_send(p, &e, open_the_door, &turn), FANOUT_OK);
    usleep(1000000);
    assert_int_equal(send_one(p, "custom", "second", NULL, &second), FANOUT_OK);
    assert_int_equal(fanout_publisher_flush(p, 20000), FANOUT_OK);
    assert_int_equal(ahead.busy, 1);
    assert_int_equal(turn.given_up, 1);
    assert_int_equal(second.ok, 1);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

/* What the broker said last is what the caller is told. */
static void
test_giving_up_tells_the_cause(void **state)
{
    struct fanout_publisher_options o;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.busy_left = UINT_MAX;
    door.refusal = FO_ERR_NO_SPACE;
    client = open_client(door.url, 5000);
    fanout_publisher_options_init(&o);
    o.timeout_ms = 200;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    assert_int_equal(send_one(p, "custom", "chosen", NULL, &tally), FANOUT_OK);
    assert_int_equal(fanout_publisher_flush(p, 20000), FANOUT_OK);
    assert_int_equal(tally.busy, 1);
    assert_string_equal(tally.last_id, "chosen");
    assert_string_equal(tally.last_code, "no_space");
    assert_non_null(strstr(tally.last_message, "as the test wants it"));
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

/* Answered by `timeout`, the broker does not know; gone before its answer, nobody does. Neither is "not accepted". */
static void
test_what_was_sent_and_not_answered_is_in_doubt(void **state)
{
    struct fanout_publisher_options o;
    char id[FO_ID_BYTES_MAX + 1];

    (void)state;
    fanout_publisher_options_init(&o);
    o.timeout_ms = 300;
    for (int is_dying = 0; is_dying < 2; is_dying++) {
        struct tally tally = { 0 };
        fanout_publisher *p;
        fanout_client *client;
        struct door door;
        door_open(&door, "us-east-1", 0);
        door.is_dying = is_dying;
        door.busy_left = is_dying ? 0 : UINT_MAX;
        door.refusal = FO_ERR_TIMEOUT;
        client = open_client(door.url, 5000);
        assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
        assert_int_equal(send_one(p, "custom", is_dying ? NULL : "chosen", NULL, &tally), FANOUT_OK);
        assert_int_equal(fanout_publisher_flush(p, 20000), FANOUT_OK);
        assert_int_equal(tally.in_doubt, 1);
        assert_string_equal(tally.last_id, is_dying ? door_id(&door, 0, id) : "chosen");
        fanout_publisher_close(p);
        fanout_close(client);
        door_close(&door);
    }
}

/* It is asked again, under the same id, until it can say. */
static void
test_a_broker_that_cannot_say_yet_is_asked_again(void **state)
{
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.busy_left = 2;
    door.refusal = FO_ERR_TIMEOUT;
    client = open_client(door.url, 5000);
    assert_int_equal(fanout_publisher_open(client, NULL, &p), FANOUT_OK);
    assert_int_equal(send_one(p, "custom", NULL, NULL, &tally), FANOUT_OK);
    assert_int_equal(fanout_publisher_flush(p, 20000), FANOUT_OK);
    assert_int_equal(tally.ok, 1);
    assert_int_equal(door.count, 1);
    fanout_publisher_close(p);
    fanout_close(client);
    door_close(&door);
}

static void
test_closing_answers_what_is_left(void **state)
{
    struct fanout_publisher_options o;
    struct tally tally = { 0 };
    fanout_publisher *p;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.is_silent = true;
    client = open_client(door.url, 30000);
    fanout_publisher_options_init(&o);
    o.channels = 1;
    o.request_events_max = 10;
    assert_int_equal(fanout_publisher_open(client, &o, &p), FANOUT_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_one(p, "custom", NULL, NULL, &tally), FANOUT_OK);
    while (door_requests(&door) == 0)
        usleep(1000);
    fanout_publisher_close(p);
    assert_in_range(tally.in_doubt, 1, 10);         /* of one request */
    assert_int_equal(tally.closed, 100 - tally.in_doubt);
    fanout_close(client);
    door_close(&door);
}

struct chain { fanout_publisher *publisher; atomic_uint left; };

static void
send_again(void *user, const struct fanout_result *result)
{
    struct chain *chain = user;
    struct fanout_event e;

    assert_int_equal(result->err, FANOUT_OK);
    if (chain->left == 0)
        return;
    chain->left--;
    fanout_event_init(&e);
    e.type = "custom";
    assert_int_equal(fanout_publisher_send(chain->publisher, &e, send_again, chain), FANOUT_OK);
}

static void
test_a_callback_may_send(void **state)
{
    struct chain chain = { .left = 50 };
    struct fanout_event e;
    fanout_client *client;
    struct door door;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, 5000);
    assert_int_equal(fanout_publisher_open(client, NULL, &chain.publisher), FANOUT_OK);
    fanout_event_init(&e);
    e.type = "custom";
    assert_int_equal(fanout_publisher_send(chain.publisher, &e, send_again, &chain), FANOUT_OK);
    for (int i = 0; i < 100 && chain.left > 0; i++)
        assert_int_equal(fanout_publisher_flush(chain.publisher, 10000), FANOUT_OK);
    assert_int_equal(fanout_publisher_flush(chain.publisher, 10000), FANOUT_OK);
    fanout_publisher_close(chain.publisher);
    assert_int_equal(door.count, 51);
    fanout_close(client);
    door_close(&door);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_answered_and_keys_keep_their_order),
        cmocka_unit_test(test_the_default_tenant_has_one_order),
        cmocka_unit_test(test_a_refused_event_is_told_alone),
        cmocka_unit_test(test_a_wait_not_fulfilled_is_told_event_by_event),
        cmocka_unit_test(test_full_is_said_and_nothing_is_lost_when_the_broker_comes),
        cmocka_unit_test(test_an_option_out_of_range_is_named),
        cmocka_unit_test(test_requests_keep_to_the_limit),
        cmocka_unit_test(test_patience_has_an_end),
        cmocka_unit_test(test_patience_is_each_event_s_own),
        cmocka_unit_test(test_giving_up_tells_the_cause),
        cmocka_unit_test(test_what_was_sent_and_not_answered_is_in_doubt),
        cmocka_unit_test(test_a_broker_that_cannot_say_yet_is_asked_again),
        cmocka_unit_test(test_closing_answers_what_is_left),
        cmocka_unit_test(test_a_callback_may_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
