/* SPDX-License-Identifier: Apache-2.0
 *
 * The door, with stock REQ sockets on the other side. */
#include "nng_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 64 };

static void
a_request_is_answered_over_every_kind_of_address(void **state)
{
    char dir[] = "/tmp/fanout-nng-XXXXXX", ipc[64], answer[64];
    const char *doors[] = { "tcp://127.0.0.1:0", "tcp://[::1]:0", ipc };

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(ipc, sizeof(ipc), "ipc://%s/door", dir);
    for (unsigned i = 0; i < 3; i++) {
        struct rig rig;
        struct fo_input request;
        nng_socket req;
        size_t n = sizeof(answer);

        rig_init(&rig);
        rig.config.door = doors[i];
        rig_open(&rig);
        req = req_dial(rig_url(&rig, FO_NNG_DOOR));
        assert_int_equal(nng_send(req, "{}", 2, 0), 0);
        request = rig_expect(&rig, FO_INPUT_REQUEST);
        assert_true(fo_slice_is_equal(request.msg.body, FO_SLICE_LIT("{}")));
        rig_reply(&rig, &request, "done");
        assert_int_equal(nng_recv(req, answer, &n, 0), 0);
        assert_memory_equal(answer, "done", n);
        rig_leave(&rig);
    }
    rmdir(dir);
}

struct client { nng_ctx ctx; nng_aio *aio; };

static void
client_ask(struct client *c, nng_socket req, uint32_t number)
{
    nng_msg *msg;

    assert_int_equal(nng_ctx_open(&c->ctx, req), 0);
    assert_int_equal(nng_aio_alloc(&c->aio, NULL, NULL), 0);
    nng_aio_set_timeout(c->aio, PATIENCE_MS);
    assert_int_equal(nng_msg_alloc(&msg, sizeof(number)), 0);
    memcpy(nng_msg_body(msg), &number, sizeof(number));
    nng_aio_set_msg(c->aio, msg);
    nng_ctx_send(c->ctx, c->aio);
    nng_aio_wait(c->aio);
    assert_int_equal(nng_aio_result(c->aio), 0);
    nng_ctx_recv(c->ctx, c->aio);
}

static void
client_check(struct client *c, uint32_t number)
{
    nng_msg *msg;

    nng_aio_wait(c->aio);
    assert_int_equal(nng_aio_result(c->aio), 0);
    msg = nng_aio_get_msg(c->aio);
    assert_int_equal(nng_msg_len(msg), sizeof(number));
    assert_memory_equal(nng_msg_body(msg), &number, sizeof(number));
    nng_msg_free(msg);
    nng_aio_free(c->aio);
    nng_ctx_close(c->ctx);
}

static void
parallel_requests_may_be_answered_in_any_order(void **state)
{
    struct rig rig;
    struct client clients[CLIENTS];
    struct fo_input held[CLIENTS];
    nng_socket req;

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    req = req_dial(rig_url(&rig, FO_NNG_DOOR));
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_ask(&clients[i], req, i);
    for (unsigned i = 0; i < CLIENTS; i++)
        held[i] = rig_expect(&rig, FO_INPUT_REQUEST);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct fo_input *in = &held[(i * 37 + 11) % CLIENTS];

        rig.transport->ops->door_reply(rig.transport, in->request, in->msg.body);
        rig.transport->ops->msg_free(rig.transport, &in->msg);
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_check(&clients[i], i);
    assert_true(fo_nng_transport_flush(rig.transport, PATIENCE_MS));
    rig_leave(&rig);
}

static void
requests_beyond_the_limit_wait_for_their_turn(void **state)
{
    struct rig rig;
    struct fo_input first, second;
    nng_socket a, b;
    char answer[64];
    size_t n = sizeof(answer);

    (void)state;
    rig_init(&rig);
    rig.config.requests_max = 1;
    rig_open(&rig);
    a = req_dial(rig_url(&rig, FO_NNG_DOOR));
    b = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(nng_send(a, "a", 1, 0), 0);
    first = rig_expect(&rig, FO_INPUT_REQUEST);
    assert_int_equal(nng_send(b, "b", 1, 0), 0);
    assert_int_equal(fo_inbox_take(rig.inbox, &second, 1, 100000), 0);
    rig_reply(&rig, &first, "A");
    second = rig_expect(&rig, FO_INPUT_REQUEST);
    assert_true(second.request != first.request);
    rig_reply(&rig, &second, "B");
    assert_int_equal(nng_recv(b, answer, &n, 0), 0);
    assert_memory_equal(answer, "B", n);
    rig_leave(&rig);
}

static void
a_client_that_left_costs_nothing(void **state)
{
    struct rig rig;
    struct fo_input request;
    nng_socket gone, next;
    char answer[64];
    size_t n = sizeof(answer);

    (void)state;
    rig_init(&rig);
    rig.config.requests_max = 1;        /* so that the next one needs the very same context */
    rig_open(&rig);
    gone = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(nng_send(gone, "x", 1, 0), 0);
    request = rig_expect(&rig, FO_INPUT_REQUEST);
    nng_close(gone);
    sleep_ms(50);
    rig_reply(&rig, &request, "nobody reads this");
    next = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(nng_send(next, "y", 1, 0), 0);
    request = rig_expect(&rig, FO_INPUT_REQUEST);
    rig_reply(&rig, &request, "here");
    assert_int_equal(nng_recv(next, answer, &n, 0), 0);
    assert_memory_equal(answer, "here", n);
    rig_leave(&rig);
}

static void
an_oversize_request_costs_its_sender_the_connection_and_nobody_else(void **state)
{
    struct rig rig;
    struct fo_input request;
    nng_socket greedy, modest;
    char *large = test_calloc(1, 70000), answer[64];
    size_t n = sizeof(answer);

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    modest = req_dial(rig_url(&rig, FO_NNG_DOOR));
    greedy = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(nng_send(modest, "m", 1, 0), 0);
    request = rig_expect(&rig, FO_INPUT_REQUEST);
    assert_int_equal(nng_send(greedy, large, 70000, 0), 0);
    assert_int_not_equal(nng_recv(greedy, answer, &n, 0), 0);
    n = sizeof(answer);
    rig_reply(&rig, &request, "still here");
    assert_int_equal(nng_recv(modest, answer, &n, 0), 0);
    assert_memory_equal(answer, "still here", n);
    test_free(large);
    rig_leave(&rig);
}

static void
a_full_inbox_answers_busy_in_the_language_of_the_question(void **state)
{
    struct rig rig;
    struct fo_input in = { .kind = FO_INPUT_FRAME };
    nng_socket req;
    char answer[256];

    (void)state;
    rig_init(&rig);
    rig.inbox_cap = 4;
    rig_open(&rig);
    while (fo_inbox_post(rig.inbox, &in, false) == FO_OK)
        continue;
    req = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(ask(req, "{\"type\":\"custom\"}", answer, sizeof(answer)), 0);
    assert_int_equal(answer[0], '{');
    assert_non_null(strstr(answer, "\"busy\""));
    assert_non_null(strstr(answer, "\"retryAfterMs\""));
    assert_int_equal(ask(req, "\x81\xa4type\xa6" "custom", answer, sizeof(answer)), 0);
    assert_int_equal((uint8_t)answer[0] & 0xf0, 0x80);
    assert_non_null(strstr(answer, "busy"));
    assert_int_equal(rig_stats(&rig).requests_refused, 2);
    rig_leave(&rig);
}

/* A REQ client by hand, which sends two requests and then never reads. */
static int
send_two_and_stall(int port)
{
    static const uint8_t greeting[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
    static const uint8_t requests[] = { 0, 0, 0, 0, 0, 0, 0, 5, 0x80, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 5, 0x80, 0, 0, 2, 'b' };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, greeting, sizeof(greeting), 0), sizeof(greeting));
    assert_int_equal(send(fd, requests, sizeof(requests), 0), sizeof(requests));
    return fd;
}

static void
flush_tells_when_replies_cannot_leave(void **state)
{
    struct rig rig;
    struct fo_input first, second;
    size_t n = 32 << 20;
    uint8_t *large = test_calloc(1, n);
    int fd;

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    fd = send_two_and_stall(rig_port(&rig, FO_NNG_DOOR));
    first = rig_expect(&rig, FO_INPUT_REQUEST);
    second = rig_expect(&rig, FO_INPUT_REQUEST);
    assert_true(fo_nng_transport_flush(rig.transport, 50));
    rig.transport->ops->door_reply(rig.transport, first.request, fo_slice_of(large, n));
    rig.transport->ops->door_reply(rig.transport, second.request, fo_slice_of(large, n));
    assert_false(fo_nng_transport_flush(rig.transport, 50));
    close(fd);
    assert_true(fo_nng_transport_flush(rig.transport, PATIENCE_MS));
    rig.transport->ops->msg_free(rig.transport, &first.msg);
    rig.transport->ops->msg_free(rig.transport, &second.msg);
    test_free(large);
    rig_leave(&rig);
}

static void
an_address_in_use_is_refused_with_advice(void **state)
{
    struct rig first, second;
    struct fo_fault fault = { 0 };

    (void)state;
    rig_init(&first);
    rig_open(&first);
    rig_init(&second);
    assert_int_equal(fo_inbox_create(16, &second.inbox), FO_OK);
    second.config.inbox = second.inbox;
    second.config.door = rig_url(&first, FO_NNG_DOOR);
    assert_int_equal(fo_nng_transport_open(&second.config, &second.transport, &fault), FO_ERR_LOCKED);
    assert_string_equal(fault.path, "listen.door");
    assert_non_null(strstr(fault.text, second.config.door));
    assert_non_null(strstr(fault.text, "in use"));
    fo_inbox_destroy(second.inbox);
    rig_leave(&first);
}

static void
a_bad_address_is_refused_with_its_key(void **state)
{
    const char *bad[] = { "ws://127.0.0.1:0", "tcp://203.0.113.1:7000", "tcp://", "127.0.0.1:7000", "ipc:///nowhere/at/all" };
    struct fo_fault fault;
    struct rig rig;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_init(&rig);
        assert_int_equal(fo_inbox_create(16, &rig.inbox), FO_OK);
        rig.config.inbox = rig.inbox;
        rig.config.feed = bad[i];
        fault = (struct fo_fault){ 0 };
        assert_int_not_equal(fo_nng_transport_open(&rig.config, &rig.transport, &fault), FO_OK);
        assert_string_equal(fault.path, "listen.feed");
        assert_non_null(strstr(fault.text, bad[i]));
        fo_inbox_destroy(rig.inbox);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_over_every_kind_of_address),
        cmocka_unit_test(parallel_requests_may_be_answered_in_any_order),
        cmocka_unit_test(requests_beyond_the_limit_wait_for_their_turn),
        cmocka_unit_test(a_client_that_left_costs_nothing),
        cmocka_unit_test(an_oversize_request_costs_its_sender_the_connection_and_nobody_else),
        cmocka_unit_test(a_full_inbox_answers_busy_in_the_language_of_the_question),
        cmocka_unit_test(flush_tells_when_replies_cannot_leave),
        cmocka_unit_test(an_address_in_use_is_refused_with_advice),
        cmocka_unit_test(a_bad_address_is_refused_with_its_key),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
