/* SPDX-License-Identifier: Apache-2.0
 *
 * RESP: "redisps" PUBLISH on the primary, SUBSCRIBE on the replicas; "redisst" XADD on the primary,
 * XREAD BLOCK on the replicas. Replies to PUBLISH/XADD count as acks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

#define S_(s) s, sizeof(s) - 1
struct rd {
    int st, arrays, entries, bulks, left;
    char id[64];
};

static void
xread(struct client *c, const char *id)
{
    char b[256];
    int n = snprintf(b, sizeof b,
                     "*7\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n$5\r\nBLOCK\r\n$4\r\n1000\r\n$7\r\nSTREAMS\r\n$2\r\nev\r\n");
    /* the element count above excludes the id: 8 elements in all */
    b[1] = '8';
    n += snprintf(b + n, sizeof b - n, "$%zu\r\n%s\r\n", strlen(id), id);
    reply(c, b, n);
}

static void
open_st(struct client *c)
{
    struct rd *r = c->state = calloc(1, sizeof *r);
    r->st = 1;
    c->fd = dial(c->port);
    if (c->role < 0)
        return;
    strcpy(r->id, "$");
    xread(c, r->id);
    put_all(c->fd, c->reply, c->reply_bytes);
    c->reply_bytes = 0;
}

static void
open_ps(struct client *c)
{
    c->state = calloc(1, sizeof(struct rd));
    c->fd = dial(c->port);
    if (c->role >= 0)
        put_all(c->fd, S_("*2\r\n$9\r\nSUBSCRIBE\r\n$2\r\nev\r\n"));
}

static size_t
put_cmd(char *d, const char *head, size_t n, const char *pl)
{
    memcpy(d, head, n);
    memcpy(d + n, pl, PAYLOAD_BYTES);
    memcpy(d + n + PAYLOAD_BYTES, "\r\n", 2);
    return n + PAYLOAD_BYTES + 2;
}

static size_t
put_ps(struct client *c, char *d, const char *pl, bool is_high)
{
    (void)c;
    (void)is_high;
    return put_cmd(d, S_("*3\r\n$7\r\nPUBLISH\r\n$2\r\nev\r\n$256\r\n"), pl);
}

static size_t
put_st(struct client *c, char *d, const char *pl, bool is_high)
{
    (void)c;
    (void)is_high;
    return put_cmd(d, S_("*8\r\n$4\r\nXADD\r\n$2\r\nev\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$6\r\n300000\r\n$1\r\n*\r\n$1\r\nd\r\n$256\r\n"), pl);
}

/* One bulk string arrived. Streams: key, then (id, field, value) per entry. Pub/sub: kind, channel, payload. */
static void
bulk(struct client *c, struct rd *r, const char *p, size_t n)
{
    if (c->role < 0) {
        acked_one(c, c->acked + 1);
        return;
    }
    if (!r->st) {
        if (n == PAYLOAD_BYTES)
            event(c, p);
        return;
    }
    int k = r->bulks++;
    if (k == 0)
        return;
    if (k % 3 == 1) {
        memcpy(r->id, p, n);
        r->id[n] = 0;
    } else if (k % 3 == 0) {
        event(c, p);
        if (--r->entries == 0) {
            r->arrays = r->bulks = 0;
            xread(c, r->id);
        }
    }
}

static size_t
in_redis(struct client *c, const char *p, size_t n)
{
    struct rd *r = c->state;
    size_t u = 0;
    for (;;) {
        const char *s = p + u, *e = memchr(s, '\n', n - u);
        if (!e)
            return u;
        size_t line = e + 1 - s;
        switch (*s) {
        case '$': {
            long size = strtol(s + 1, 0, 10);
            if (n - u < line + size + 2)
                return u;
            u += line + size + 2;
            bulk(c, r, e + 1, size);
            continue;
        }
        case '*':
            if (r->st && c->role >= 0) {
                int k = atoi(s + 1);
                if (k < 0)
                    xread(c, r->id); /* BLOCK timed out */
                else if (++r->arrays == 3)
                    r->entries = k;
            }
            break;
        case ':':
            if (c->role < 0)
                acked_one(c, c->acked + 1);
            break;
        case '-':
            die("redis: %.*s", (int)line, s);
        }
        u += line;
    }
}

const struct driver driver_redisps = {.name = "redisps", .has_acks = true, .open = open_ps, .put = put_ps, .take = in_redis};
const struct driver driver_redisst = {.name = "redisst", .has_acks = true, .open = open_st, .put = put_st, .take = in_redis};
