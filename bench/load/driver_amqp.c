/* SPDX-License-Identifier: Apache-2.0
 *
 * AMQP 0-9-1: persistent messages to exchange "ev", each confirmed; consumes queue "sub" and acknowledges. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_END = 0xce, HEAD_BYTES = 7, PREFETCH = 1000 };
enum { CONNECTION = 10, CHANNEL = 20, BASIC = 60, CONFIRM = 85 };

struct text { unsigned char p[512]; size_t n; };

static void
u8(struct text *t, unsigned v)
{
    t->p[t->n++] = (unsigned char)v;
}

static void
u16(struct text *t, unsigned v)
{
    u8(t, v >> 8);
    u8(t, v);
}

static void
u32(struct text *t, uint32_t v)
{
    u16(t, v >> 16);
    u16(t, v & 65535);
}

static void
u64(struct text *t, uint64_t v)
{
    u32(t, (uint32_t)(v >> 32));
    u32(t, (uint32_t)v);
}

static void
bytes(struct text *t, const void *p, size_t n)
{
    memcpy(t->p + t->n, p, n);
    t->n += n;
}

static void
name(struct text *t, const char *s)
{
    u8(t, (unsigned)strlen(s));
    bytes(t, s, strlen(s));
}

/* Answers where the frame's content begins, for end(). */
static size_t
begin(struct text *t, unsigned type, unsigned channel)
{
    u8(t, type);
    u16(t, channel);
    u32(t, 0);
    return t->n;
}

static size_t
method(struct text *t, unsigned channel, unsigned class, unsigned id)
{
    size_t at = begin(t, FRAME_METHOD, channel);

    u16(t, class);
    u16(t, id);
    return at;
}

static void
end(struct text *t, size_t at)
{
    uint32_t n = htobe32((uint32_t)(t->n - at));

    memcpy(t->p + at - 4, &n, 4);
    u8(t, FRAME_END);
}

static void
read_all(int fd, void *p, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = read(fd, (char *)p + got, n - got);

        if (k <= 0)
            die("amqp: closed");
        got += (size_t)k;
    }
}

/* Sends what was built, then waits for that method. */
static void
call(struct client *c, struct text *t, unsigned class, unsigned id)
{
    static unsigned char b[1 << 17];
    unsigned char head[HEAD_BYTES];
    uint32_t n;

    put_all(c->fd, t->p, t->n);
    t->n = 0;
    for (;;) {
        read_all(c->fd, head, sizeof head);
        memcpy(&n, head + 3, 4);
        n = be32toh(n) + 1;
        if (n > sizeof b)
            die("amqp: a frame of %u bytes", n);
        read_all(c->fd, b, n);
        if (head[0] != FRAME_METHOD)
            continue;
        if ((unsigned)(b[0] << 8 | b[1]) == class && (unsigned)(b[2] << 8 | b[3]) == id)
            return;
        if (b[3] == 40 || b[3] == 50)
            die("amqp: closed by the server: %.*s", b[6], (char *)b + 7);
    }
}

static void
open_amqp(struct client *c)
{
    static const char protocol[] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };
    struct text t = { .n = 0 };
    size_t at;

    c->fd = dial(c->port);
    bytes(&t, protocol, sizeof protocol);
    call(c, &t, CONNECTION, 10);
    at = method(&t, 0, CONNECTION, 11), u32(&t, 0), name(&t, "PLAIN"), u32(&t, 12), bytes(&t, "\0guest\0guest", 12), name(&t, "en_US"), end(&t, at);
    call(c, &t, CONNECTION, 30);
    at = method(&t, 0, CONNECTION, 31), u16(&t, 2047), u32(&t, 1 << 17), u16(&t, 0), end(&t, at);
    at = method(&t, 0, CONNECTION, 40), name(&t, "/"), name(&t, ""), u8(&t, 0), end(&t, at);
    call(c, &t, CONNECTION, 41);
    at = method(&t, 1, CHANNEL, 10), name(&t, ""), end(&t, at);
    call(c, &t, CHANNEL, 11);
    if (c->role < 0) {
        at = method(&t, 1, CONFIRM, 10), u8(&t, 0), end(&t, at);
        call(c, &t, CONFIRM, 11);
        return;
    }
    at = method(&t, 1, BASIC, 10), u32(&t, 0), u16(&t, PREFETCH), u8(&t, 0), end(&t, at);
    call(c, &t, BASIC, 11);
    at = method(&t, 1, BASIC, 20), u16(&t, 0), name(&t, "sub"), name(&t, "me"), u8(&t, 0), u32(&t, 0), end(&t, at);
    call(c, &t, BASIC, 21);
}

static size_t
put_amqp(struct client *c, char *dst, const char *payload, bool is_high)
{
    static struct text before[2];           /* everything before the payload, by priority */
    struct text *t = &before[is_high];

    (void)c;
    if (t->n == 0) {
        size_t at = method(t, 1, BASIC, 40);

        u16(t, 0), name(t, "ev"), name(t, ""), u8(t, 0), end(t, at);
        at = begin(t, FRAME_HEADER, 1), u16(t, BASIC), u16(t, 0), u64(t, PAYLOAD_BYTES);
        u16(t, 0x1800), u8(t, 2), u8(t, is_high ? 9 : 0), end(t, at);       /* delivery mode and priority follow */
        u8(t, FRAME_BODY), u16(t, 1), u32(t, PAYLOAD_BYTES);
    }
    memcpy(dst, t->p, t->n);
    memcpy(dst + t->n, payload, PAYLOAD_BYTES);
    dst[t->n + PAYLOAD_BYTES] = (char)FRAME_END;
    return t->n + PAYLOAD_BYTES + 1;
}

/* Answers the tag of a delivery, else 0. */
static uint64_t
take_method(struct client *c, const unsigned char *m)
{
    unsigned class = (unsigned)(m[0] << 8 | m[1]), id = (unsigned)(m[2] << 8 | m[3]);
    uint64_t tag;

    if (class == BASIC && id == 60) {       /* deliver: the consumer's name, then the tag */
        memcpy(&tag, m + 5 + m[4], 8);
        return be64toh(tag);
    }
    if (class == BASIC && id == 80) {
        memcpy(&tag, m + 4, 8);
        (m[12] & 1 ? acked_up_to : acked_one)(c, be64toh(tag));
    } else if (class == BASIC && id == 120)
        die("amqp: nack");
    else if (class != BASIC && (id == 40 || id == 50))
        die("amqp: closed by the server: %.*s", m[6], (const char *)m + 7);
    return 0;
}

static size_t
take_amqp(struct client *c, const char *p, size_t n)
{
    size_t used = 0;
    uint64_t tag = 0, last = 0;
    uint32_t length;

    while (n - used >= HEAD_BYTES + 1) {
        const unsigned char *frame = (const unsigned char *)p + used;

        memcpy(&length, frame + 3, 4);
        length = be32toh(length);
        if (n - used < HEAD_BYTES + length + 1)
            break;
        used += HEAD_BYTES + length + 1;
        if (frame[0] == FRAME_BODY)
            event(c, (const char *)frame + HEAD_BYTES);
        else if (frame[0] == FRAME_METHOD && (last = take_method(c, frame + HEAD_BYTES)) != 0)
            tag = last;
    }
    if (tag != 0) {                         /* this delivery and all before it */
        struct text t = { .n = 0 };
        size_t at = method(&t, 1, BASIC, 80);

        u64(&t, tag), u8(&t, 1), end(&t, at);
        reply(c, t.p, t.n);
    }
    return used;
}

const struct driver driver_amqp = { .name = "amqp", .has_acks = true, .open = open_amqp, .put = put_amqp, .take = take_amqp };
