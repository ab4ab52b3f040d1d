/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS client protocol: "nats" is core publish/subscribe, "js" publishes with JetStream acks and
 * consumes through an ephemeral push consumer on the local mirror stream M. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

static void
hello(struct client *c)
{
    static const char con[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";
    char b[8192];
    size_t n = 0;
    c->fd = dial(c->port);
    put_all(c->fd, con, sizeof con - 1);
    do {
        ssize_t k = read(c->fd, b + n, sizeof b - 1 - n);
        if (k <= 0)
            die("nats: no PONG");
        n += k;
        b[n] = 0;
    } while (!strstr(b, "PONG\r\n"));
}

static void
open_nats(struct client *c)
{
    hello(c);
    if (c->role >= 0)
        put_all(c->fd, "SUB ev 1\r\n", 10);
}

static void
open_js(struct client *c)
{
    char b[512], j[256];
    hello(c);
    if (c->role < 0) {
        put_all(c->fd, "SUB ack 2\r\n", 11);
        return;
    }
    int nj = snprintf(j, sizeof j,
                      "{\"stream_name\":\"M\",\"config\":{\"deliver_subject\":\"push%d\",\"deliver_policy\":\"new\","
                      "\"ack_policy\":\"none\",\"replay_policy\":\"instant\"}}",
                      (int)getpid());
    int n = snprintf(b, sizeof b, "SUB push%d 1\r\nSUB made 3\r\nPUB $JS.API.CONSUMER.CREATE.M made %d\r\n%s\r\n", (int)getpid(), nj, j);
    put_all(c->fd, b, n);
}

static size_t
put_nats(struct client *c, char *d, const char *pl, bool is_high)
{
    static const char h[] = "PUB ev 256\r\n", hj[] = "PUB ev ack 256\r\n";
    (void)is_high;
    size_t n = c->state ? sizeof hj - 1 : sizeof h - 1;
    memcpy(d, c->state ? hj : h, n);
    memcpy(d + n, pl, PAYLOAD_BYTES);
    memcpy(d + n + PAYLOAD_BYTES, "\r\n", 2);
    return n + PAYLOAD_BYTES + 2;
}

static size_t
put_js(struct client *c, char *d, const char *pl, bool is_high)
{
    c->state = (void *)1;
    return put_nats(c, d, pl, is_high);
}

static size_t
in_nats(struct client *c, const char *p, size_t n)
{
    size_t u = 0;
    for (;;) {
        const char *s = p + u, *e = memchr(s, '\n', n - u);
        if (!e)
            return u;
        size_t line = e + 1 - s;
        if (!memcmp(s, "MSG ", 4)) { /* MSG subject sid [reply] size */
            const char *q = memchr(s + 4, ' ', line - 4);
            int sid = atoi(q + 1);
            const char *z = e - 1;
            while (z[-1] != ' ')
                z--;
            size_t size = strtoul(z, 0, 10);
            if (n - u < line + size + 2)
                return u;
            const char *body = e + 1;
            if (sid == 1)
                event(c, body);
            else if (memmem(body, size, "\"error\"", 7))
                die("jetstream: %.*s", (int)size, body);
            else if (sid == 2)
                acked_one(c, c->acked + 1);
            u += line + size + 2;
            continue;
        }
        if (!memcmp(s, "PING", 4))
            reply(c, "PONG\r\n", 6);
        else if (!memcmp(s, "-ERR", 4))
            die("nats: %.*s", (int)line, s);
        u += line;
    }
}

const struct driver driver_nats = {.name = "nats", .has_acks = false, .open = open_nats, .put = put_nats, .take = in_nats};
const struct driver driver_js = {.name = "js", .has_acks = true, .open = open_js, .put = put_js, .take = in_nats};
