/* SPDX-License-Identifier: Apache-2.0
 *
 * Why there is no connection, from listeners that go wrong each in its own way. Over TLS: tests/integration/test_tls.py. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/req.h>

#include "client/reach.h"
#include "door.h"

/* True when a door is found there; why gets what is said. */
static bool
reach(const char *address, int timeout_ms, char why[FO_WHY_BYTES])
{
    const struct fo_reach_to to = { .address = address, .what = "door", .self = NNG_REQ0_SELF, .peer = NNG_REQ0_PEER };
    struct fo_reach r;
    bool is_there;

    assert_int_equal(fo_reach_init(&r, &to, NULL, NULL), FO_OK);
    is_there = fo_reach_try(&r, timeout_ms);
    assert_int_equal(fo_reach_try(&r, timeout_ms), is_there);      /* once more with the same */
    strcpy(why, r.why);
    fo_reach_fini(&r);
    return is_there;
}

static void
expect(const char *address, const char *text)
{
    char why[FO_WHY_BYTES];

    assert_false(reach(address, 5000, why));
    assert_non_null(strstr(why, text));
}

static int
listen_raw(char url[64])
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    snprintf(url, 64, "tcp://127.0.0.1:%d", ntohs(sa.sin_port));
    return fd;
}

struct answerer { int fd; const char *answer; size_t n; };

static void *
answer_two(void *arg)
{
    const struct answerer *a = arg;

    for (int i = 0; i < 2; i++) {
        char heard[8];
        int fd = accept(a->fd, NULL, NULL);
        assert_int_equal(recv(fd, heard, sizeof(heard), MSG_WAITALL), sizeof(heard));
        assert_int_equal(write(fd, a->answer, a->n), a->n);
        close(fd);
    }
    return NULL;
}

static void
expect_after(const char *answer, size_t n, const char *text)
{
    char url[64];
    struct answerer a = { listen_raw(url), answer, n };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, answer_two, &a), 0);
    expect(url, text);
    pthread_join(thread, NULL);
    close(a.fd);
}

static void
test_a_door_is_found(void **state)
{
    struct door door;
    char why[FO_WHY_BYTES];

    (void)state;
    door_open(&door, "us-east-1", 0);
    assert_true(reach(door.url, 5000, why));
    door_close(&door);
}

static void
test_nothing_that_could_answer(void **state)
{
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", door_free_port());
    expect(url, "connection refused");
    expect("ipc:///tmp/there-is-no-such-socket", "connection refused");
    expect("tcp://127.0.0.1:70000", "no such port");
    expect("tcp://*:7101", "no such host");
}

static void
test_what_answers_is_no_door(void **state)
{
    nng_socket feed;
    nng_listener listener;
    char url[64];
    int port;

    (void)state;
    assert_int_equal(nng_pub0_open(&feed), 0);
    assert_int_equal(nng_listen(feed, "tcp://127.0.0.1:0", &listener, 0), 0);
    assert_int_equal(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    expect(url, "another of its addresses");
    nng_close(feed);
    expect_after("HTTP/1.1 400 Bad Request", 24, "another program");
    expect_after("HTTP", 4, "another program");
    expect_after("\x15\x03\x03\x00\x02\x02\x46", 7, "expects TLS");
    expect_after("", 0, "if it expects TLS");
}

static void
test_what_hangs_is_not_waited_for(void **state)
{
    char url[64], why[FO_WHY_BYTES];
    int fd = listen_raw(url);

    (void)state;
    assert_false(reach(url, 100, why));
    assert_non_null(strstr(why, "does not answer"));
    close(fd);
}

/* Ended at whatever stage it has come to; the sanitizers see what is forgotten. */
static void
test_it_can_be_ended_at_any_time(void **state)
{
    struct fo_reach_to to = { .what = "door", .self = NNG_REQ0_SELF, .peer = NNG_REQ0_PEER };
    char url[64];
    int fd = listen_raw(url);

    (void)state;
    to.address = url;
    for (int steps = 0; steps < 3; steps++) {
        struct fo_reach r;
        assert_int_equal(fo_reach_init(&r, &to, NULL, NULL), FO_OK);
        assert_true(fo_reach_begin(&r, 5000));
        for (int i = 0; i < steps; i++) {
            nng_aio_wait(r.aio);
            assert_true(fo_reach_step(&r));
        }
        if (steps == 0)
            nng_aio_wait(r.aio);        /* connected, and not looked at */
        fo_reach_fini(&r);
    }
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_door_is_found),
        cmocka_unit_test(test_nothing_that_could_answer),
        cmocka_unit_test(test_what_answers_is_no_door),
        cmocka_unit_test(test_what_hangs_is_not_waited_for),
        cmocka_unit_test(test_it_can_be_ended_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
