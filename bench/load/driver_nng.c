/* SPDX-License-Identifier: Apache-2.0
 *
 * PUB and SUB by libnng: one call and one message per event; the library owns threads. */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <stdlib.h>
#include "load.h"

enum { BUFFER = 8192, AT_ONCE = 64 };

static void
must(int err)
{
    if (err != 0)
        die("nng: %s", nng_strerror(err));
}

static void
open_nng(struct client *c)
{
    nng_socket *s = c->state = malloc(sizeof *s);
    char url[64];

    if (c->role < 0) {
        must(nng_pub0_open(s));
        must(nng_socket_set_int(*s, NNG_OPT_SENDBUF, BUFFER));
    } else {
        must(nng_sub0_open(s));
        must(nng_socket_set_int(*s, NNG_OPT_RECVBUF, BUFFER));
        must(nng_socket_set(*s, NNG_OPT_SUB_SUBSCRIBE, "", 0));
    }
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", c->port);
    must(nng_dial(*s, url, NULL, 0));
}

static void
send_nng(struct client *c, const char *payload)
{
    must(nng_send(*(nng_socket *)c->state, (void *)(uintptr_t)payload, PAYLOAD_BYTES, 0));
}

static bool
receive_nng(struct client *c, int timeout_ms)
{
    nng_socket s = *(nng_socket *)c->state;
    char payload[PAYLOAD_BYTES];
    size_t n = sizeof payload;

    must(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, timeout_ms));
    if (nng_recv(s, payload, &n, 0) != 0)
        return false;
    c->now_ns = now_ns();
    for (int k = 0; k < AT_ONCE; k++) {
        event(c, payload);
        n = sizeof payload;
        if (nng_recv(s, payload, &n, NNG_FLAG_NONBLOCK) != 0)
            break;
    }
    return true;
}

const struct driver driver_nng = { .name = "nng", .open = open_nng, .send = send_nng, .receive = receive_nng };
