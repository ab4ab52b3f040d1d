/* SPDX-License-Identifier: Apache-2.0
 *
 * PUB and SUB by libzmq: one call per message; the library owns threads and batching. */
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>
#include "load.h"

static void
open_zmq(struct client *c)
{
    char url[64];
    int unlimited = 0;
    void *s = c->state = zmq_socket(zmq_ctx_new(), c->role < 0 ? ZMQ_PUB : ZMQ_SUB);

    zmq_setsockopt(s, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(s, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    if (c->role >= 0)
        zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", c->port);
    if (zmq_connect(s, url) != 0)
        die("zmq: %s", zmq_strerror(zmq_errno()));
}

static void
send_zmq(struct client *c, const char *payload)
{
    if (zmq_send(c->state, payload, PAYLOAD_BYTES, 0) != PAYLOAD_BYTES)
        die("zmq: %s", zmq_strerror(zmq_errno()));
}

static bool
receive_zmq(struct client *c, int timeout_ms)
{
    char payload[PAYLOAD_BYTES];
    int n = zmq_recv(c->state, payload, sizeof payload, ZMQ_DONTWAIT);

    if (n != PAYLOAD_BYTES) {
        zmq_pollitem_t item = { c->state, 0, ZMQ_POLLIN, 0 };

        zmq_poll(&item, 1, timeout_ms);
        n = zmq_recv(c->state, payload, sizeof payload, ZMQ_DONTWAIT);
    }
    if (n != PAYLOAD_BYTES)
        return false;
    c->now_ns = now_ns();
    for (int k = 0; n == PAYLOAD_BYTES; k++) {
        event(c, payload);
        n = k < 256 ? zmq_recv(c->state, payload, sizeof payload, ZMQ_DONTWAIT) : -1;
    }
    return true;
}

const struct driver driver_zmq = { .name = "zmq", .open = open_zmq, .send = send_zmq, .receive = receive_zmq };
