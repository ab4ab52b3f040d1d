/* SPDX-License-Identifier: Apache-2.0
 *
 * Bare 256-byte records over TCP; "rawack" also reads 8-byte cumulative durable counts back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

static void
open_raw(struct client *c)
{
    c->fd = dial(c->port);
}

static size_t
put_raw(struct client *c, char *d, const char *pl, bool is_high)
{
    (void)c;
    (void)is_high;
    memcpy(d, pl, PAYLOAD_BYTES);
    return PAYLOAD_BYTES;
}

static size_t
in_raw(struct client *c, const char *p, size_t n)
{
    size_t u = 0;
    if (c->role < 0) { /* acks */
        uint64_t v;
        for (; n - u >= 8; u += 8) {
            memcpy(&v, p + u, 8);
            acked_up_to(c, v);
        }
        return u;
    }
    for (; n - u >= PAYLOAD_BYTES; u += PAYLOAD_BYTES)
        event(c, p + u);
    return u;
}

const struct driver driver_raw = {.name = "raw", .has_acks = false, .open = open_raw, .put = put_raw, .take = in_raw};
const struct driver driver_rawack = {.name = "rawack", .has_acks = true, .open = open_raw, .put = put_raw, .take = in_raw};
