/* SPDX-License-Identifier: Apache-2.0
 *
 * Fanout's door, by NNG's SP protocol (REQ) over bare TCP. The publisher has one request under way; what is put meanwhile leaves together
 * in the next one, and its answer acks all of it. A subscriber fetches with a cursor, and asks again before it looks at what it got. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "door.h"
#include "load.h"

enum { EVENTS_MAX = 2000, FETCH_BYTES = 2 << 20 };

struct fanout {
    char *pending;                  /* encoded events behind room for the head of their request */
    size_t bytes;
    uint32_t count;                 /* events in pending */
    uint32_t in_flight;             /* events of the request under way; 0: none */
    struct item found[FETCH_MAX];
};

/* A publish of many: {"brief": true, "events": [...]}, whose count is filled in when it leaves. */
static const char publish_head[] = "\x82\xa5" "brief\xc3\xa6" "events\xdc\0\0";
enum { PUBLISH_HEAD = sizeof publish_head - 1 };

static void
open_fanout(struct client *c)
{
    struct fanout *f = c->state = calloc(1, sizeof *f);

    f->pending = malloc(DOOR_HEAD_BYTES + PUBLISH_HEAD + (size_t)ACK_RING * (PAYLOAD_BYTES + 32));
    c->fd = dial(c->port);
    door_greet(c->fd);
    if (c->role >= 0)
        door_fetch(c->fd, NULL, FETCH_BYTES, NULL);
}

/* {2 type: "custom", 7 priority, 17 data: bin} */
static size_t
put_fanout(struct client *c, char *dst, const char *payload, bool is_high)
{
    static const char high[] = "\x83\x02\xa6" "custom\x07\xa4" "high\x11\xc5\x01", normal[] = "\x83\x02\xa6" "custom\x07\xa6" "normal\x11\xc5\x01";
    struct fanout *f = c->state;
    char *p = f->pending + DOOR_HEAD_BYTES + PUBLISH_HEAD + f->bytes;
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
    char *body = f->pending + DOOR_HEAD_BYTES;
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
    door_ask(c->fd, f->pending, PUBLISH_HEAD + bytes);
    memmove(body + PUBLISH_HEAD, body + PUBLISH_HEAD + bytes, f->bytes - bytes);
    f->bytes -= bytes;
    f->count -= count;
    f->in_flight = count;
}

static void
take_published(struct client *c, struct walk answer)
{
    struct fanout *f = c->state;

    door_published(answer);
    acked_up_to(c, c->acked + f->in_flight);
    f->in_flight = 0;
    burst_fanout(c);
}

static void
take_fetched(struct client *c, struct walk w)
{
    struct fanout *f = c->state;
    struct item cursor;
    unsigned count = door_fetched(w, &cursor, f->found);

    door_fetch(c->fd, &cursor, FETCH_BYTES, NULL);
    for (unsigned i = 0; i < count; i++) {
        if (f->found[i].n != PAYLOAD_BYTES)
            die("fanout: an event without its payload");
        event(c, f->found[i].text);
    }
}

static size_t
take_fanout(struct client *c, const char *p, size_t n)
{
    size_t used = 0, more;
    struct walk answer;

    while ((more = door_answer(p + used, n - used, &answer)) > 0) {
        (c->role < 0 ? take_published : take_fetched)(c, answer);
        used += more;
    }
    return used;
}

const struct driver driver_fanout = {
    .name = "fanout", .has_acks = true, .open = open_fanout, .put = put_fanout, .take = take_fanout, .burst = burst_fanout,
};
