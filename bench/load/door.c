/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"
#include <endian.h>
#include <string.h>
#include <unistd.h>
#include "load.h"

enum { DEPTH_MAX = 32, FIELD_DATA = 17, CURSOR_MAX = 256, WAIT_MS = 1000 };

static inline uint64_t
take_be(struct walk *w, unsigned bytes)
{
    const unsigned char *p = w->p;
    uint64_t v;

    if ((size_t)(w->end - p) < bytes)
        die("fanout: answer is cut");
    w->p += bytes;
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        return (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
    default:
        memcpy(&v, p, sizeof v);
        return be64toh(v);
    }
}

static inline struct item
text_item(struct walk *w, uint64_t n)
{
    struct item it = { ITEM_TEXT, n, (const char *)w->p };

    if ((uint64_t)(w->end - w->p) < n)
        die("fanout: answer is cut");
    w->p += n;
    return it;
}

static inline struct item
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

static inline bool
is_text(const struct item *it, const char *s)
{
    return it->kind == ITEM_TEXT && it->n == strlen(s) && memcmp(it->text, s, it->n) == 0;
}

void
door_greet(int fd)
{
    static const char hello[8] = "\0SP\0\0\x30\0\0", expected[8] = "\0SP\0\0\x31\0\0";
    char answer[8];

    put_all(fd, hello, sizeof hello);
    for (size_t got = 0; got < sizeof answer;) {
        ssize_t k = read(fd, answer + got, sizeof answer - got);

        if (k <= 0)
            die("fanout: closed during the handshake");
        got += (size_t)k;
    }
    if (memcmp(answer, expected, sizeof answer) != 0)
        die("fanout: this is no REP socket");
}

uint32_t
door_ask(int fd, char *message, size_t body_bytes)
{
    static uint32_t request;
    uint64_t length = htobe64(body_bytes + 4);
    uint32_t id = 0x80000000u | (++request & 0x7fffffffu), be = htobe32(id);

    memcpy(message, &length, 8);
    memcpy(message + 8, &be, 4);
    put_all(fd, message, DOOR_HEAD_BYTES + body_bytes);
    return id;
}

uint32_t
door_request(const char *p)
{
    uint32_t be;

    memcpy(&be, p + 8, 4);
    return be32toh(be);
}

size_t
door_answer(const char *p, size_t n, struct walk *ret_answer)
{
    uint64_t length;

    if (n < 8)
        return 0;
    memcpy(&length, p, 8);
    length = be64toh(length);
    if (length < 4 || length > DOOR_ANSWER_MAX)
        die("fanout: a message of %llu bytes", (unsigned long long)length);
    if (n < 8 + length)
        return 0;
    *ret_answer = (struct walk){ (const unsigned char *)p + DOOR_HEAD_BYTES, (const unsigned char *)p + 8 + length };
    return 8 + length;
}

static char *
text_to(char *p, const char *s)
{
    size_t n = strlen(s);

    *p++ = (char)(0xa0 | n);
    memcpy(p, s, n);
    return p + n;
}

static char *
number_to(char *p, uint32_t v)
{
    *p++ = (char)0xce;
    v = htobe32(v);
    memcpy(p, &v, 4);
    return p + 4;
}

void
door_fetch(int fd, const struct item *cursor, uint32_t bytes_max, const char *type)
{
    char message[DOOR_HEAD_BYTES + 256 + CURSOR_MAX], *p = message + DOOR_HEAD_BYTES;

    *p++ = (char)(type != NULL ? 0x86 : 0x85);
    p = text_to(text_to(p, "op"), "fetch");
    p = text_to(p, "max");
    p = number_to(p, FETCH_MAX);
    p = number_to(text_to(p, "maxBytes"), bytes_max);
    p = number_to(text_to(p, "waitMs"), WAIT_MS);
    if (type != NULL) {
        p = text_to(p, "filter");
        *p++ = (char)0x81;
        p = text_to(text_to(p, "type"), type);
    }
    if (cursor) {
        p = text_to(p, "cursor");
        *p++ = (char)0xd9;
        *p++ = (char)cursor->n;
        memcpy(p, cursor->text, cursor->n);
        p += cursor->n;
    } else
        p = text_to(text_to(p, "from"), "now");
    door_ask(fd, message, (size_t)(p - message) - DOOR_HEAD_BYTES);
}

/* One element of events: {"position": ..., "event": {17: bin, ...}} */
static struct item
payload_of(struct walk *w)
{
    struct item head = take_item(w), payload = { 0 };

    for (uint64_t i = 0; i < head.n; i++) {
        struct item key = take_item(w), record;

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
            payload = take_item(w);
        }
    }
    if (payload.kind != ITEM_TEXT)
        die("fanout: an event without its payload");
    return payload;
}

unsigned
door_fetched(struct walk w, struct item *ret_cursor, struct item ret_payload[FETCH_MAX])
{
    struct item head = take_item(&w), cursor = { 0 };
    const char *all = (const char *)w.p;
    unsigned count = 0;

    for (uint64_t i = 0; head.kind == ITEM_MAP && i < head.n; i++) {
        struct item key = take_item(&w);

        if (is_text(&key, "cursor"))
            cursor = take_item(&w);
        else if (is_text(&key, "events")) {
            struct item events = take_item(&w);

            if (events.n > FETCH_MAX)
                die("fanout: more events than were asked for");
            while (count < events.n)
                ret_payload[count++] = payload_of(&w);
        } else
            skip(&w, 0);
    }
    if (cursor.kind != ITEM_TEXT || cursor.n >= CURSOR_MAX)
        die("fanout: fetch was refused: %.*s", (int)(w.end - (const unsigned char *)all), all);
    *ret_cursor = cursor;
    return count;
}

void
door_published(struct walk w)
{
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
}
