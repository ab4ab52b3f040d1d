/* SPDX-License-Identifier: Apache-2.0 */
#include "nng_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>

void
rig_init(struct rig *rig)
{
    *rig = (struct rig){ .inbox_cap = 1024 };
    rig->config = (struct fo_nng_config){
        .door = "tcp://127.0.0.1:0", .feed = "tcp://127.0.0.1:0", .link = "tcp://127.0.0.1:0",
        .requests_max = 64, .request_bytes_max = 65536, .frame_bytes_max = 65536,
    };
}

void
rig_open(struct rig *rig)
{
    struct fo_fault fault = { 0 };

    assert_int_equal(fo_inbox_create(rig->inbox_cap, &rig->inbox), FO_OK);
    rig->config.inbox = rig->inbox;
    if (fo_nng_transport_open(&rig->config, &rig->transport, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
}

void
rig_leave(struct rig *rig)
{
    struct fo_input in;

    while (fo_inbox_take(rig->inbox, &in, 1, 0) > 0)
        rig->transport->ops->msg_free(rig->transport, &in.msg);
}

void
rig_close(struct rig *rig)
{
    fo_nng_transport_close(rig->transport);
    fo_inbox_destroy(rig->inbox);
}

const char *
rig_url(const struct rig *rig, enum fo_nng_end end)
{
    return fo_nng_transport_url(rig->transport, end);
}

int
rig_port(const struct rig *rig, enum fo_nng_end end)
{
    return atoi(strrchr(rig_url(rig, end), ':') + 1);
}

struct fo_nng_stats
rig_stats(const struct rig *rig)
{
    struct fo_nng_stats stats;

    fo_nng_transport_stats(rig->transport, &stats);
    return stats;
}

struct fo_input
rig_expect(struct rig *rig, enum fo_input_kind kind)
{
    double until = seconds() + PATIENCE_MS / 1000.0;
    struct fo_input in;

    while (seconds() < until) {
        if (fo_inbox_take(rig->inbox, &in, 1, 100000) == 0)
            continue;
        if (in.kind == kind)
            return in;
        rig->transport->ops->msg_free(rig->transport, &in.msg);
    }
    fail_msg("no input of kind %d came", (int)kind);
    return in;
}

void
rig_expect_links_up(struct rig *rig, unsigned peers)
{
    for (unsigned i = 0; i < peers * FO_LINK_CLASSES; i++)
        (void)rig_expect(rig, FO_INPUT_LINK_UP);
}

void
rig_reply(struct rig *rig, struct fo_input *request, const char *text)
{
    rig->transport->ops->door_reply(rig->transport, request->request, fo_slice_str(text));
    rig->transport->ops->msg_free(rig->transport, &request->msg);
}

double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
sleep_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

void
fin_rst(int fd)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    shutdown(fd, SHUT_WR);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
}

void
connect_fin_rst(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    fin_rst(fd);
}

nng_socket
req_dial(const char *url)
{
    nng_socket req;

    assert_int_equal(nng_req0_open(&req), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_REQ_RESENDTIME, -1), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_RECVTIMEO, PATIENCE_MS), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_SENDTIMEO, PATIENCE_MS), 0);
    assert_int_equal(nng_dial(req, url, NULL, 0), 0);
    return req;
}

int
ask(nng_socket req, const char *text, char *ret_answer, size_t cap)
{
    size_t n = cap - 1;
    int rv;

    rv = nng_send(req, (void *)(uintptr_t)text, strlen(text), 0);
    if (rv == 0)
        rv = nng_recv(req, ret_answer, &n, 0);
    ret_answer[rv == 0 ? n : 0] = '\0';
    return rv;
}

nng_socket
sub_dial(const char *url, const char *topic)
{
    nng_socket sub;

    assert_int_equal(nng_sub0_open(&sub), 0);
    assert_int_equal(nng_socket_set(sub, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(nng_socket_set_ms(sub, NNG_OPT_RECVTIMEO, PATIENCE_MS), 0);
    assert_int_equal(nng_dial(sub, url, NULL, 0), 0);
    return sub;
}
