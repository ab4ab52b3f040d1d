/* SPDX-License-Identifier: Apache-2.0
 *
 * Fanout's door, by NNG's SP protocol (REQ) over bare TCP. The publisher has one request under way; what is put meanwhile leaves together
 * in the next one, and its answer acks all of it. A subscriber fetches with a cursor, and asks again before it looks at what it got. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

enum { HEAD_BYTES = 12, EVENTS_MAX = 10000, FETCH_MAX = 10000, DEPTH_MAX = 32, CURSOR_MAX = 256, FIELD_DATA = 17 };

struct fanout {
    char *pending;                  /* encoded events behind room for the head of their request */
    size_t bytes;
    uint32_t count;                 /* events in pending */
    uint32_t in_flight;             /* events of the request under way; 0: none */
    uint32_t request;
    const char *found[FETCH_MAX];
};

/* A walk over one msgpack answer. The broker is trusted here as far as lengths go: an answer that runs out ends the run. */
struct walk { const unsigned char *p, *end; };

/* One value's head. A string or bin gives its bytes, an array or a map its number of elements. */
struct item { enum { ITEM_OTHER, ITEM_INT, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP } kind; uint64_t n; const char *text; };

static uint64_t
take_be(struct walk *w, unsigned bytes)
{
    uint64_t v = 0;

    if ((size_t)(w->end - w->p) < bytes)
        die("fanout: answer is cut");
    while (bytes--)
        v = v << 8 | *w->p++;
    return v;
}

static struct item
text_item(struct walk *w, uint64_t n)
{
    struct item it = { ITEM_TEXT, n, (const char *)w->p };

    if ((uint64_t)(w->end - w->p) < n)
        die("fanout: answer is cut");
    w->p += n;
    return it;
}

static struct item
take_item(struct walk *w)
{
    unsigned tag = (unsigned)take_be(w, 1);

    if (tag < 0x80)
        return (struct item){ ITEM_INT, tag, NULL };
    if (tag < 0x90)
        return (struct item){ ITEM_MAP, tag & 15, NULL };
    if (tag < 0xa0)
        return (struct item){ ITEM_ARRAY, tag & 15, NULL };
    if (tag < 0xc0)
        return text_item(w, tag & 31);
    switch (tag) {
    case 0xc2: case 0xc3:
        return (struct item){ ITEM_INT, tag & 1, NULL };
    case 0xc4: case 0xc5: case 0xc6:
        return text_item(w, take_be(w, 1u << (tag - 0xc4)));
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
        return (struct item){ ITEM_INT, take_be(w, 1u << (tag - 0xcc)), NULL };
    case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return (struct item){ ITEM_INT, take_be(w, 1u << (tag - 0xd0)), NULL };
    case 0xd9: case 0xda: case 0xdb:
        return text_item(w, take_be(w, 1u << (tag - 0xd9)));
    case 0xdc: case 0xdd:
        return (struct item){ ITEM_ARRAY, take_be(w, 2u << (tag - 0xdc)), NULL };
    case 0xde: case 0xdf:
        return (struct item){ ITEM_MAP, take_be(w, 2u << (tag - 0xde)), NULL };
    case 0xca: case 0xcb:
        take_be(w, tag == 0xca ? 4 : 8);
        return (struct item){ 0 };
    case 0xc0:
        return (struct item){ 0 };
    default:
        if (tag >= 0xe0)
            return (struct item){ ITEM_INT, (uint64_t)(int8_t)tag, NULL };
        die("fanout: unexpected msgpack type %02x", tag);
    }
}

static void
skip(struct walk *w, unsigned depth)
{
    struct item it = take_item(w);
    uint64_t values = it.kind == ITEM_ARRAY ? it.n : it.kind == ITEM_MAP ? 2 * it.n : 0;

    if (depth > DEPTH_MAX)
        die("fanout: answer nests too deep");
    while (values--)
        skip(w, depth + 1);
}

static bool
is_text(const struct item *it, const char *s)
{
    return it->kind == ITEM_TEXT && it->n == strlen(s) && memcmp(it->text, s, it->n) == 0;
}

static void
send_request(struct client *c, char *head, size_t body_bytes)
{
    struct fanout *f = c->state;
    uint64_t length = htobe64(body_bytes + 4);
    uint32_t id = htobe32(0x80000000u | (++f->request & 0x7fffffffu));

    memcpy(head, &length, 8);
    memcpy(head + 8, &id, 4);
    put_all(c->fd, head, HEAD_BYTES + body_bytes);
}

static char *
text_to(char *p, const char *s)
{
    size_t n = strlen(s);

    *p++ = (char)(0xa0 | n);
    memcpy(p, s, n);
    return p + n;
}

static void
fetch(struct client *c, const struct item *cursor)
{
    char message[HEAD_BYTES + 128 + CURSOR_MAX], *p = message + HEAD_BYTES;

    *p++ = (char)0x85;
    p = text_to(text_to(p, "op"), "fetch");
    p = text_to(p, "max");
    memcpy(p, "\xcd\x27\x10", 3);                       /* FETCH_MAX */
    p = text_to(p + 3, "maxBytes");
    memcpy(p, "\xce\x00\x20\x00\x00", 5);               /* 2 MiB */
    p = text_to(p + 5, "waitMs");
    memcpy(p, "\xcd\x03\xe8", 3);                       /* a second */
    p += 3;
    if (cursor) {
        p = text_to(p, "cursor");
        *p++ = (char)0xd9;
        *p++ = (char)cursor->n;
        memcpy(p, cursor->text, cursor->n);
        p += cursor->n;
    } else
        p = text_to(text_to(p, "from"), "now");
    send_request(c, message, (size_t)(p - message) - HEAD_BYTES);
}

/* A publish of many: {"brief": true, "events": [...]}, whose count is filled in when it leaves. */
static const char publish_head[] = "\x82\xa5" "brief\xc3\xa6" "events\xdc\0\0";
enum { PUBLISH_HEAD = sizeof publish_head - 1 };

static void
open_fanout(struct client *c)
{
    static const char hello[8] = "\0SP\0\0\x30\0\0", expected[8] = "\0SP\0\0\x31\0\0";
    struct fanout *f = c->state = calloc(1, sizeof *f);
    char answer[8];

    f->pending = malloc(HEAD_BYTES + PUBLISH_HEAD + (size_t)ACK_RING * (PAYLOAD_BYTES + 32));
    c->fd = dial(c->port);
    put_all(c->fd, hello, sizeof hello);
    for (size_t got = 0; got < sizeof answer;) {
        ssize_t k = read(c->fd, answer + got, sizeof answer - got);

        if (k <= 0)
            die("fanout: closed during the handshake");
        got += (size_t)k;
    }
    if (memcmp(answer, expected, sizeof answer) != 0)
        die("fanout: this is no REP socket");
    if (c->role >= 0)
        fetch(c, NULL);
}

/* {2 type: "custom", 7 priority, 17 data: bin} */
static size_t
put_fanout(struct client *c, char *dst, const char *payload, bool is_high)
{
    static const char high[] = "\x83\x02\xa6" "custom\x07\xa4" "high\x11\xc5\x01", normal[] = "\x83\x02\xa6" "custom\x07\xa6" "normal\x11\xc5\x01";
    struct fanout *f = c->state;
    char *p = f->pending + HEAD_BYTES + PUBLISH_HEAD + f->bytes;
    size_t n = is_high ? sizeof high : sizeof normal;   /* the ending NUL is the length's low byte */

    (void)dst;
    memcpy(p, is_high ? high : normal, n);
    memcpy(p + n, payload, PAYLOAD_BYTES);
    f->bytes += n + PAYLOAD_BYTES;
    f->count++;
    return 0;
}

static void
burst_fanout(struct client *c)
{
    struct fanout *f = c->state;
    char *body = f->pending + HEAD_BYTES;
    uint32_t count = f->count < EVENTS_MAX ? f->count : EVENTS_MAX;
    size_t bytes = f->bytes;
    uint16_t be = htobe16((uint16_t)count);

    if (f->in_flight != 0 || count == 0)
        return;
    if (count < f->count) {
        struct walk w = { (unsigned char *)body + PUBLISH_HEAD, (unsigned char *)body + PUBLISH_HEAD + f->bytes };

        for (uint32_t i = 0; i < count; i++)
            skip(&w, 0);
        bytes = (size_t)((char *)w.p - body) - PUBLISH_HEAD;
    }
    memcpy(body, publish_head, PUBLISH_HEAD);
    memcpy(body + PUBLISH_HEAD - 2, &be, 2);
    send_request(c, f->pending, PUBLISH_HEAD + bytes);
    memmove(body + PUBLISH_HEAD, body + PUBLISH_HEAD + bytes, f->bytes - bytes);
    f->bytes -= bytes;
    f->count -= count;
    f->in_flight = count;
}

static void
take_published(struct client *c, struct walk w)
{
    struct fanout *f = c->state;
    struct item head = take_item(&w);
    const char *all = (const char *)w.p;

    for (uint64_t i = 0; head.kind == ITEM_MAP && i < head.n; i++) {
        struct item key = take_item(&w), value;

        if (!is_text(&key, "success")) {
            skip(&w, 0);
            continue;
        }
        value = take_item(&w);
        if (value.n != 1)
            die("fanout: not accepted: %.*s", (int)(w.end - (const unsigned char *)all), all);
    }
    acked_up_to(c, c->acked + f->in_flight);
    f->in_flight = 0;
    burst_fanout(c);
}

/* One element of events: {"position": ..., "event": {17: bin, ...}} */
static const char *
payload_of(struct walk *w)
{
    struct item head = take_item(w);
    const char *payload = NULL;

    for (uint64_t i = 0; i < head.n; i++) {
        struct item key = take_item(w), record, value;

        if (!is_text(&key, "event")) {
            skip(w, 0);
            continue;
        }
        record = take_item(w);
        for (uint64_t field = 0; field < record.n; field++) {
            key = take_item(w);
            if (key.kind != ITEM_INT || key.n != FIELD_DATA) {
                skip(w, 0);
                continue;
            }
            value = take_item(w);
            payload = value.kind == ITEM_TEXT && value.n == PAYLOAD_BYTES ? value.text : NULL;
        }
    }
    if (!payload)
        die("fanout: an event without its payload");
    return payload;
}

static void
take_fetched(struct client *c, struct walk w)
{
    struct fanout *f = c->state;
    struct item head = take_item(&w), cursor = { 0 };
    const char *all = (const char *)w.p;
    uint64_t count = 0;

    for (uint64_t i = 0; head.kind == ITEM_MAP && i < head.n; i++) {
        struct item key = take_item(&w);

        if (is_text(&key, "cursor"))
            cursor = take_item(&w);
        else if (is_text(&key, "events")) {
            struct item events = take_item(&w);

            while (count < events.n && count < FETCH_MAX)
                f->found[count++] = payload_of(&w);
        } else
            skip(&w, 0);
    }
    if (cursor.kind != ITEM_TEXT || cursor.n >= CURSOR_MAX)
        die("fanout: fetch was refused: %.*s", (int)(w.end - (const unsigned char *)all), all);
    fetch(c, &cursor);
    for (uint64_t i = 0; i < count; i++)
        event(c, f->found[i]);
}

static size_t
take_fanout(struct client *c, const char *p, size_t n)
{
    size_t used = 0;
    uint64_t length;

    while (n - used >= 8) {
        memcpy(&length, p + used, 8);
        length = be64toh(length);
        if (length < 4 || length > READ_BYTES - 8)
            die("fanout: a message of %llu bytes", (unsigned long long)length);
        if (n - used < 8 + length)
            break;
        (c->role < 0 ? take_published : take_fetched)(
            c, (struct walk){ (const unsigned char *)p + used + HEAD_BYTES, (const unsigned char *)p + used + 8 + length });
        used += 8 + length;
    }
    return used;
}

const struct driver driver_fanout = {
    .name = "fanout", .has_acks = true, .open = open_fanout, .put = put_fanout, .take = take_fanout, .burst = burst_fanout,
};
