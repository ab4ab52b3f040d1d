/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT 3.1.1, QoS 0 ("mqtt0") and QoS 1 ("mqtt1") on topic "ev". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

static void
hello(struct client *c, int qos)
{
    unsigned char b[64];
    char id[24];
    int n = snprintf(id, sizeof id, "pb%d_%d", c->role + 1, (int)getpid()), k = 0;
    c->fd = dial(c->port);
    b[k++] = 0x10;
    b[k++] = 10 + 2 + n;
    memcpy(b + k, "\0\4MQTT\4\2\0\0", 10);
    k += 10; /* clean session, no keepalive */
    b[k++] = 0;
    b[k++] = n;
    memcpy(b + k, id, n);
    k += n;
    put_all(c->fd, b, k);
    for (int got = 0; got < 4;) {
        ssize_t r = read(c->fd, b + got, 4 - got);
        if (r <= 0)
            die("mqtt: no CONNACK");
        got += r;
    }
    if (b[0] != 0x20 || b[3])
        die("mqtt: refused %d", b[3]);
    if (c->role >= 0) {
        memcpy(b, "\x82\7\0\1\0\2ev", 8);
        b[8] = qos;
        put_all(c->fd, b, 9);
    }
}

static void
open0(struct client *c)
{
    hello(c, 0);
}
static void
open1(struct client *c)
{
    hello(c, 1);
}

static size_t
enc(char *d, const char *pl, int id)
{
    size_t body = 4 + (id ? 2 : 0) + PAYLOAD_BYTES, k = 0;
    d[k++] = id ? 0x32 : 0x30;
    d[k++] = (char)(body % 128 | 128);
    d[k++] = body / 128;
    memcpy(d + k, "\0\2ev", 4);
    k += 4;
    if (id) {
        d[k++] = id >> 8;
        d[k++] = id;
    }
    memcpy(d + k, pl, PAYLOAD_BYTES);
    return k + PAYLOAD_BYTES;
}

static size_t
put0(struct client *c, char *d, const char *pl, bool is_high)
{
    (void)c;
    (void)is_high;
    return enc(d, pl, 0);
}
static size_t
put1(struct client *c, char *d, const char *pl, bool is_high)
{
    (void)is_high;
    return enc(d, pl, 1 + (c->put - 1) % 65535);
}

static size_t
in_mqtt(struct client *c, const char *p, size_t n)
{
    size_t u = 0;
    for (;;) {
        const unsigned char *s = (const unsigned char *)p + u;
        size_t have = n - u, k = 1, len = 0;
        int sh = 0;
        for (;; k++, sh += 7) {
            if (k >= have)
                return u;
            len |= (size_t)(s[k] & 127) << sh;
            if (!(s[k] & 128))
                break;
        }
        k++;
        if (have < k + len)
            return u;
        if ((s[0] >> 4) == 3) {
            size_t t = s[k] << 8 | s[k + 1];
            int qos = s[0] >> 1 & 3;
            const unsigned char *q = s + k + 2 + t;
            if (qos) {
                unsigned char a[4] = {0x40, 2, q[0], q[1]};
                reply(c, a, 4);
                q += 2;
            }
            event(c, (const char *)q);
        } else if ((s[0] >> 4) == 4)
            acked_one(c, c->acked + 1);
        u += k + len;
    }
}

const struct driver driver_mqtt0 = {.name = "mqtt0", .has_acks = false, .open = open0, .put = put0, .take = in_mqtt};
const struct driver driver_mqtt1 = {.name = "mqtt1", .has_acks = true, .open = open1, .put = put1, .take = in_mqtt};
