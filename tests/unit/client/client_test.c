/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, failing over, publishing and waiting, against a door in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <fanout/fanout.h>

#include "client/client.h"
#include "door.h"

static fanout_client *
open_failing_back(const char *first, const char *second, int timeout_ms, int failback_ms)
{
    const char *addresses[] = { first, second };
    struct fanout_options o;
    fanout_client *client;

    fanout_options_init(&o);
    o.addresses = addresses;
    o.address_count = second != NULL ? 2 : 1;
    o.timeout_ms = timeout_ms;
    if (failback_ms >= 0)
        o.failback_ms = failback_ms;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    return client;
}

static fanout_client *
open_client(const char *first, const char *second, int timeout_ms)
{
    return open_failing_back(first, second, timeout_ms, -1);
}

static int
publish(fanout_client *client, const char *type, const char *data, int wait, fanout_results **ret_results)
{
    struct fanout_event e;

    fanout_event_init(&e);
    e.type = type;
    e.data_json = data;
    return fanout_publish(client, &e, wait, ret_results);
}

static void
test_publish_tells_id_position_and_regions(void **state)
{
    struct door door;
    fanout_client *client;
    fanout_results *results;
    const struct fanout_result *r;
    char id[FO_ID_BYTES_MAX + 1], region[33];

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL, 5000);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "us-east-1");
    assert_int_equal(publish(client, "order_status", "{\"order_id\":1,\"status\":\"ready\"}", FANOUT_WAIT_ALL, &results), FANOUT_OK);
    assert_int_equal(fanout_results_count(results), 1);
    r = fanout_results_at(results, 0);
    assert_string_equal(r->event_id, door_id(&door, 0, id));
    assert_int_equal(strlen(r->event_id), 36);
    assert_string_equal(r->position, "us-east-1:18f:high:1");
    assert_int_equal(r->region_count, 1);
    assert_string_equal(r->regions[0].region, "us-west-2");
    assert_string_equal(r->regions[0].state, "delivered");
    assert_true(r->is_success && r->regions[0].is_success && !r->is_duplicate);
    assert_true(r->regions[0].latency_ms > 0.83 && r->regions[0].latency_ms < 0.85);
    assert_null(fanout_results_at(results, 1));
    fanout_results_free(results);
    fanout_close(client);
    door_close(&door);
}

static void
test_refusal_says_what_and_where(void **state)
{
    struct door door;
    fanout_client *client;
    fanout_results *results;
    const struct fanout_result *r;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL, 5000);
    assert_int_equal(publish(client, "order_status", "{\"order_id\":1}", 0, &results), FANOUT_ERR_REFUSED);
    r = fanout_results_at(results, 0);
    assert_int_equal(r->err, FANOUT_ERR_REFUSED);
    assert_string_equal(r->code, "schema");
    assert_string_equal(r->path, "data.status");
    assert_non_null(strstr(fanout_last_error(), "data.status"));
    fanout_results_free(results);
    /* what cannot be sent at all is refused here, without a result */
    assert_int_equal(publish(client, "custom", "{\"a\":", 0, &results), FANOUT_ERR_INVALID);
    assert_null(results);
    assert_int_equal(publish(client, NULL, NULL, 0, NULL), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "type"));
    assert_int_equal(door.count, 0);
    fanout_close(client);
    door_close(&door);
}

static void
test_many_have_a_result_each(void **state)
{
    struct fanout_event e[3];
    struct door door;
    fanout_client *client;
    fanout_results *results;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL, 5000);
    for (int i = 0; i < 3; i++) {
        fanout_event_init(&e[i]);
        e[i].type = i == 1 ? "nonsense" : "custom";
    }
    e[2].id = "chosen";
    e[2].extra_json = "{\"colour\":\"red\"}";
    assert_int_equal(fanout_publish_many(client, e, 3, 0, &results), FANOUT_ERR_PARTIAL);
    assert_int_equal(fanout_results_count(results), 3);
    assert_int_equal(fanout_results_at(results, 0)->err, FANOUT_OK);
    assert_string_equal(fanout_results_at(results, 1)->code, "unknown_type");
    assert_int_equal(strlen(fanout_results_at(results, 1)->event_id), 36);
    assert_string_equal(fanout_results_at(results, 2)->event_id, "chosen");
    fanout_results_free(results);
    assert_int_equal(fanout_publish(client, &e[2], 0, &results), FANOUT_OK);
    assert_true(fanout_results_at(results, 0)->is_duplicate);
    fanout_results_free(results);
    assert_int_equal(fanout_publish_many(client, e, 0, 0, NULL), FANOUT_ERR_INVALID);
    assert_int_equal(fanout_publish_many(client, e, FO_REQUEST_EVENTS_MAX + 1, 0, &results), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "10001 events"));
    assert_null(results);
    fanout_close(client);
    door_close(&door);
}

static void
test_wait_not_fulfilled_and_busy_are_told_apart(void **state)
{
    struct door door;
    fanout_client *client;
    fanout_results *results;

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.is_never_fulfilled = true;
    client = open_client(door.url, NULL, 5000);
    assert_int_equal(publish(client, "custom", "1", FANOUT_WAIT_ALL, &results), FANOUT_ERR_WAIT);
    assert_string_equal(fanout_results_at(results, 0)->regions[0].state, "pending");
    assert_true(fanout_results_at(results, 0)->regions[0].latency_ms < 0);
    fanout_results_free(results);
    door.busy_left = 1;
    assert_int_equal(publish(client, "custom", "1", 0, &results), FANOUT_ERR_BUSY);
    assert_int_equal(fanout_results_at(results, 0)->retry_after_ms, 10);
    fanout_results_free(results);
    fanout_close(client);
    door_close(&door);
}

/* The broker may have taken the event, and here has: that is another thing than "not accepted", and the id is told in time for trying again. */
static void
test_what_was_sent_and_not_answered_is_in_doubt(void **state)
{
    struct door door, silent;
    fanout_client *client;
    fanout_results *results;
    char id[FO_ID_BYTES_MAX + 1];

    (void)state;
    door_open(&door, "us-east-1", 0);
    door.is_dying = true;
    client = open_client(door.url, NULL, 1000);
    assert_int_equal(publish(client, "custom", "1", 0, &results), FANOUT_ERR_TIMEOUT);
    assert_non_null(strstr(fanout_last_error(), "the same id"));
    assert_int_equal(fanout_results_at(results, 0)->err, FANOUT_ERR_TIMEOUT);
    assert_string_equal(fanout_results_at(results, 0)->event_id, door_id(&door, 0, id));
    assert_string_equal(fanout_results_at(results, 0)->message, fanout_last_error());
    fanout_results_free(results);
    fanout_close(client);
    door_close(&door);

    door_open(&door, "us-east-1", 0);
    door.busy_left = 1;
    door.refusal = FO_ERR_TIMEOUT;                  /* the broker does not know itself */
    client = open_client(door.url, NULL, 5000);
    assert_int_equal(publish(client, "custom", "1", 0, &results), FANOUT_ERR_TIMEOUT);
    assert_string_equal(fanout_results_at(results, 0)->code, "timeout");
    assert_int_equal(strlen(fanout_results_at(results, 0)->event_id), 36);
    fanout_results_free(results);
    fanout_close(client);

    door_open(&silent, "us-west-2", 0);
    silent.is_silent = true;
    door.busy_left = 1;
    door.refusal = FO_OK;
    client = open_client(silent.url, door.url, 1000);
    assert_int_equal(publish(client, "custom", "1", 0, &results), FANOUT_ERR_TIMEOUT);  /* the second is busy, the first may have it */
    assert_int_equal(fanout_results_at(results, 0)->err, FANOUT_ERR_TIMEOUT);
    fanout_results_free(results);
    fanout_close(client);
    door_close(&silent);
    door_close(&door);
}

/* A broker closes the connection on a request over its limit, without a word. Up to the last byte before that, it is taken. */
static void
test_too_large_is_said_before_it_costs_the_connection(void **state)
{
    enum { LIMIT = 65536 };
    static char data[LIMIT + 3];
    struct fanout_event e[2];
    struct fanout_options o;
    struct door door;
    fanout_client *client;
    fanout_results *results;
    const char *url = door.url;
    size_t taken = 0, refused = 0;

    (void)state;
    door_open(&door, "us-east-1", 0);
    assert_int_equal(nng_socket_set_size(door.socket, NNG_OPT_RECVMAXSZ, LIMIT), 0);
    fanout_options_init(&o);
    o.addresses = &url;
    o.address_count = 1;
    o.request_bytes_max = LIMIT;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    fanout_event_init(&e[0]);
    memset(data, '1', sizeof(data));
    data[0] = '"';
    e[0].type = "custom";
    e[0].data_json = data;
    for (e[0].data_json_size = LIMIT - 250; e[0].data_json_size <= LIMIT; e[0].data_json_size++) {
        data[e[0].data_json_size - 1] = '"';
        int err = fanout_publish(client, &e[0], 0, NULL);
        data[e[0].data_json_size - 1] = '1';
        assert_true(err == FANOUT_ERR_INVALID || (err == FANOUT_OK && refused == 0));
        *(err == FANOUT_OK ? &taken : &refused) += 1;
    }
    assert_true(taken > 0 && refused > 0);
    assert_non_null(strstr(fanout_last_error(), "request_bytes_max is 65536"));
    e[0].data_json_size = LIMIT / 2;
    data[LIMIT / 2 - 1] = '"';
    e[1] = e[0];
    assert_int_equal(fanout_publish_many(client, e, 2, 0, &results), FANOUT_ERR_INVALID);
    assert_null(results);
    assert_non_null(strstr(fanout_last_error(), "2 events take 65"));
    fanout_close(client);
    o.request_bytes_max = 0;
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "request_bytes_max"));
    door_close(&door);
}

static void
test_nobody_there_is_unreachable(void **state)
{
    const char *addresses[1];
    struct fanout_options o;
    fanout_client *client;
    fanout_results *results;
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", door_free_port());
    fanout_options_init(&o);
    addresses[0] = url;
    o.addresses = addresses;
    o.address_count = 1;
    o.connect_timeout_ms = 1000;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    assert_int_equal(fanout_ping(client, NULL), FANOUT_ERR_UNREACHABLE);
    assert_non_null(strstr(fanout_last_error(), url));
    assert_non_null(strstr(fanout_last_error(), "connection refused"));
    assert_int_equal(publish(client, "custom", "1", 0, &results), FANOUT_ERR_UNREACHABLE);
    assert_int_equal(strlen(fanout_results_at(results, 0)->event_id), 36);
    fanout_results_free(results);
    fanout_close(client);
    addresses[0] = "http://example.org";
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
    addresses[0] = "tls+tcp://127.0.0.1:1";
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "tls_ca"));
    o.tls_key = "client.key";
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "tls_cert"));
    o.address_count = 0;
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
}

static void
test_as_many_addresses_as_regions(void **state)
{
    const char *addresses[65];
    struct fanout_options o;
    struct door door;
    fanout_client *client;
    char away[64], region[33];

    (void)state;
    door_open(&door, "us-east-1", 0);
    snprintf(away, sizeof(away), "tcp://127.0.0.1:%d", door_free_port());
    for (unsigned i = 0; i < 65; i++)
        addresses[i] = i == 63 ? door.url : away;
    fanout_options_init(&o);
    o.addresses = addresses;
    o.address_count = 65;
    assert_int_equal(fanout_open(&o, &client), FANOUT_ERR_INVALID);
    assert_non_null(strstr(fanout_last_error(), "1 to 64"));
    o.address_count = 64;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "us-east-1");
    fanout_close(client);
    o.address_count = 63;
    o.connect_timeout_ms = 1000;
    assert_int_equal(fanout_open(&o, &client), FANOUT_OK);
    assert_int_equal(fanout_ping(client, region), FANOUT_ERR_UNREACHABLE);
    assert_non_null(strstr(fanout_last_error(), " more"));     /* not all fit */
    fanout_close(client);
    door_close(&door);
}

static void
test_the_next_address_takes_over_and_gives_back(void **state)
{
    struct door near, far;
    fanout_client *client;
    char region[33], url[64];
    int port = door_free_port();

    (void)state;
    door_open(&far, "eu-west-1", 0);
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    client = open_client(url, far.url, 10000);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "eu-west-1");
    door_open(&near, "us-east-1", port);
    for (int i = 0; i < 1000 && strcmp(region, "us-east-1") != 0; i++) {
        usleep(10000);
        assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    }
    assert_string_equal(region, "us-east-1");
    door_close(&near);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "eu-west-1");
    fanout_close(client);
    door_close(&far);
}

/* Who answers after the near door was lost and has come back: `pings` further pings, 10 ms apart. True: the near one did at last. */
static bool
comes_back(int failback_ms, int pings)
{
    struct door near, far;
    fanout_client *client;
    char region[33], url[64];
    bool is_back;

    door_open(&near, "us-east-1", 0);
    door_open(&far, "eu-west-1", 0);
    strcpy(url, near.url);
    client = open_failing_back(url, far.url, 10000, failback_ms);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "us-east-1");
    int port = near.port;
    door_close(&near);
    assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    assert_string_equal(region, "eu-west-1");
    door_open(&near, "us-east-1", port);
    for (int i = 0; i < pings && strcmp(region, "us-east-1") != 0; i++) {
        usleep(10000);
        assert_int_equal(fanout_ping(client, region), FANOUT_OK);
    }
    is_back = strcmp(region, "us-east-1") == 0;
    fanout_close(client);
    door_close(&near);
    door_close(&far);
    return is_back;
}

static void
test_a_lost_address_must_prove_itself(void **state)
{
    (void)state;
    assert_true(comes_back(0, 1000));
    assert_true(comes_back(300, 3000));
    assert_false(comes_back(300000, 300));
}

/* The silent broker may have accepted the event; the other one gets it under the same id. */
static void
test_a_silent_broker_is_left_with_the_same_id(void **state)
{
    struct door silent, other;
    fanout_client *client;
    fanout_results *results;
    char id[FO_ID_BYTES_MAX + 1];

    (void)state;
    door_open(&silent, "us-east-1", 0);
    door_open(&other, "eu-west-1", 0);
    silent.is_silent = true;
    client = open_client(silent.url, other.url, 2000);
    assert_int_equal(publish(client, "custom", "[1]", 0, &results), FANOUT_OK);
    assert_string_equal(fanout_results_at(results, 0)->event_id, door_id(&other, 0, id));
    assert_string_equal(fanout_results_at(results, 0)->position, "eu-west-1:18f:normal:1");
    fanout_results_free(results);
    assert_int_equal(silent.requests, 1);
    fanout_close(client);
    door_close(&silent);
    door_close(&other);
}

/* Accepts connections and ends each with FIN and RST while the greeting is under way, so many times. */
static void
kill_dialers(int listening, unsigned times)
{
    struct linger reset = { 1, 0 };

    for (unsigned i = 0; i < times; i++) {
        int fd = accept(listening, NULL, NULL);
        assert_true(fd >= 0);
        shutdown(fd, SHUT_WR);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
}

/* With NNG 1.5.2 the dialer is dead after that, and only a new one gets through. */
static void
test_a_dialer_killed_by_fin_and_rst_is_replaced(void **state)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listening = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    socklen_t n = sizeof(a);
    fanout_client *client;
    struct door door;
    char url[64];
    int err = FANOUT_ERR_UNREACHABLE;

    (void)state;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    assert_int_equal(bind(listening, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(listen(listening, 10), 0);
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", ntohs(a.sin_port));
    client = open_client(url, NULL, 10000);
    kill_dialers(listening, 2);         /* the second dial is another dialer's, if the first was dead */
    close(listening);
    door_open(&door, "us-east-1", ntohs(a.sin_port));
    for (int i = 0; i < 10 && err != FANOUT_OK; i++)
        err = fanout_ping(client, NULL);
    assert_int_equal(err, FANOUT_OK);
    fanout_close(client);
    door_close(&door);
}

static void
test_json_goes_through_as_it_is(void **state)
{
    struct door door;
    fanout_client *client;
    char *answer;

    (void)state;
    door_open(&door, "us-east-1", 0);
    client = open_client(door.url, NULL, 5000);
    assert_int_equal(fo_client_call_json(client, "{\"op\":\"status\"}", 2000, &answer), FANOUT_OK);
    assert_string_equal(answer, "{\"success\":true,\"region\":\"us-east-1\",\"version\":\"test\"}");
    free(answer);
    assert_int_equal(fo_client_call_json(client, "{\"op\":\"nonsense\"}", 2000, &answer), FANOUT_OK);
    assert_non_null(strstr(answer, "\"error\""));
    free(answer);
    fanout_close(client);
    door_close(&door);
}

static void
test_every_error_has_a_text(void **state)
{
    (void)state;
    for (int err = FANOUT_OK; err <= FANOUT_ERR_INTERNAL; err++)
        assert_string_not_equal(fanout_strerror(err), "unknown error");
    assert_string_equal(fanout_strerror(-1), "unknown error");
    assert_string_equal(fanout_strerror(1000), "unknown error");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_tells_id_position_and_regions),
        cmocka_unit_test(test_refusal_says_what_and_where),
        cmocka_unit_test(test_many_have_a_result_each),
        cmocka_unit_test(test_wait_not_fulfilled_and_busy_are_told_apart),
        cmocka_unit_test(test_what_was_sent_and_not_answered_is_in_doubt),
        cmocka_unit_test(test_too_large_is_said_before_it_costs_the_connection),
        cmocka_unit_test(test_nobody_there_is_unreachable),
        cmocka_unit_test(test_as_many_addresses_as_regions),
        cmocka_unit_test(test_the_next_address_takes_over_and_gives_back),
        cmocka_unit_test(test_a_lost_address_must_prove_itself),
        cmocka_unit_test(test_a_silent_broker_is_left_with_the_same_id),
        cmocka_unit_test(test_a_dialer_killed_by_fin_and_rst_is_replaced),
        cmocka_unit_test(test_json_goes_through_as_it_is),
        cmocka_unit_test(test_every_error_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
