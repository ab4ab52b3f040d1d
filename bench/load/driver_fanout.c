/* SPDX-License-Identifier: Apache-2.0
 *
 * Fanout's door, by NNG's SP protocol (REQ) over bare TCP. The publisher has two channels on its connection (libfanout's has four), and events
 * take turns: each channel has one request under way, what is put meanwhile leaves together in its next one, and the answer acks
 * all of it. Order is that of the channel. A subscriber fetches with a cursor, and asks again before it looks at what it got. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "door.h"
#include "load.h"

enum { CHANNELS = 2, EVENTS_MAX = 2000, FETCH_BYTES = 2 << 20, QUEUE_EVENTS = 2 * ACK_RING / CHANNELS, SPENT_BYTES = 2 << 20 };

struct channel {
    char *queue;                    /* encoded events that did not leave yet, from `from` to `to`; room for the head of their request before them */
    size_t from, to;
    uint32_t in_flight;             /* events of the request under way; 0: none */
    uint32_t request;               /* its id */
    struct put { uint64_t id; uint16_t bytes; } *put;       /* ring: what was put, from the first that is not acked on */
    uint64_t queued, left, acked;   /* events ever put, gone out, acked */
};

struct fanout {
    struct channel channel[CHANNELS];
    struct item found[FETCH_MAX];
};

/* A publish of many: {"brief": true, "events": [...]}, whose count is filled in when it leaves. */
static const char publish_head[] = "\x82\xa5" "brief\xc3\xa6" "events\xdc\0\0";
enum { PUBLISH_HEAD = sizeof publish_head - 1, HEAD_BYTES = DOOR_HEAD_BYTES + PUBLISH_HEAD };

static void
open_fanout(struct client *c)
{
    struct fanout *f = c->state = calloc(1, sizeof *f);

    for (unsigned i = 0; i < CHANNELS && c->role < 0; i++) {
        f->channel[i] = (struct channel){ .queue = malloc(2 * SPENT_BYTES + (size_t)QUEUE_EVENTS * (PAYLOAD_BYTES + 32)), .from = HEAD_BYTES, .to = HEAD_BYTES,
            .put = malloc(QUEUE_EVENTS * sizeof(struct put)) };
        if (!f->channel[i].queue || !f->channel[i].put)
            die("no memory");
    }
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
    struct channel *f = &((struct fanout *)c->state)->channel[c->channel];
    char *p = f->queue + f->to;
    size_t n = is_high ? sizeof high : sizeof normal;   /* the ending NUL is the length's low byte */

    (void)dst;
    memcpy(p, is_high ? high : normal, n);
    memcpy(p + n, payload, PAYLOAD_BYTES);
    f->to += n + PAYLOAD_BYTES;
    f->put[f->queued++ % QUEUE_EVENTS] = (struct put){ c->put, (uint16_t)(n + PAYLOAD_BYTES) };
    return 0;
}

/* What went out makes room, when it is much and no less than what is still to go. */
static void
make_room(struct channel *f)
{
    size_t rest = f->to - f->from;

    if (f->from < SPENT_BYTES || f->from < rest + HEAD_BYTES)
        return;
    memcpy(f->queue + HEAD_BYTES, f->queue + f->from, rest);
    f->from = HEAD_BYTES;
    f->to = HEAD_BYTES + rest;
}

static void
launch(struct client *c, struct channel *f)
{
    uint64_t queued = f->queued - f->left, count = queued < EVENTS_MAX ? queued : EVENTS_MAX;
    char *body = f->queue + f->from - PUBLISH_HEAD;
    uint16_t be = htobe16((uint16_t)count);
    size_t bytes = 0;

    if (f->in_flight != 0 || count == 0)
        return;
    for (uint64_t i = 0; i < count; i++)
        bytes += f->put[f->left++ % QUEUE_EVENTS].bytes;
    memcpy(body, publish_head, PUBLISH_HEAD);
    memcpy(body + PUBLISH_HEAD - 2, &be, 2);
    f->request = door_ask(c->fd, body - DOOR_HEAD_BYTES, PUBLISH_HEAD + bytes);
    f->from += bytes;
    f->in_flight = (uint32_t)count;
    make_room(f);
}

static void
burst_fanout(struct client *c)
{
    struct fanout *f = c->state;

    for (unsigned i = 0; i < CHANNELS && c->role < 0; i++)
        launch(c, &f->channel[i]);
}

static void
take_published(struct client *c, uint32_t request, struct walk answer)
{
    struct channel *f = ((struct fanout *)c->state)->channel, *end = f + CHANNELS;

    while (f < end && (f->in_flight == 0 || f->request != request))
        f++;
    if (f == end)
        die("fanout: an answer to nothing");
    door_published(answer);
    for (; f->in_flight > 0; f->in_flight--)
        acked_one(c, f->put[f->acked++ % QUEUE_EVENTS].id);
    launch(c, f);
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
        if (c->role < 0)
            take_published(c, door_request(p + used), answer);
        else
            take_fetched(c, answer);
        used += more;
    }
    return used;
}

const struct driver driver_fanout = {
    .name = "fanout", .has_acks = true, .channels = CHANNELS, .open = open_fanout, .put = put_fanout, .take = take_fanout, .burst = burst_fanout,
};
