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

enum { CHANNELS = 2, EVENTS_MAX = 2000, FETCH_BYTES = 2 << 20, QUEUE_EVENTS = 2 * ACK_RING / CHANNELS };

struct channel {
    char *pending;                  /* encoded events behind room for the head of their request */
    size_t bytes;
    uint32_t count;                 /* events in pending */
    uint32_t in_flight;             /* events of the request under way; 0: none */
    uint32_t request;               /* its id */
    uint64_t *put;                  /* ring: which publishes they are, in flight and pending, from acked on */
    uint64_t queued, acked;
};

struct fanout {
    struct channel channel[CHANNELS];
    struct item found[FETCH_MAX];
};

/* A publish of many: {"brief": true, "events": [...]}, whose count is filled in when it leaves. */
static const char publish_head[] = "\x82\xa5" "brief\xc3\xa6" "events\xdc\0\0";
enum { PUBLISH_HEAD = sizeof publish_head - 1 };

static void
open_fanout(struct client *c)
{
    struct fanout *f = c->state = calloc(1, sizeof *f);

    for (unsigned i = 0; i < CHANNELS && c->role < 0; i++) {
        f->channel[i].pending = malloc(DOOR_HEAD_BYTES + PUBLISH_HEAD + (size_t)QUEUE_EVENTS * (PAYLOAD_BYTES + 32));
        f->channel[i].put = malloc(QUEUE_EVENTS * sizeof(uint64_t));
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
    char *p = f->pending + DOOR_HEAD_BYTES + PUBLISH_HEAD + f->bytes;
    size_t n = is_high ? sizeof high : sizeof normal;   /* the ending NUL is the length's low byte */

    (void)dst;
    memcpy(p, is_high ? high : normal, n);
    memcpy(p + n, payload, PAYLOAD_BYTES);
    f->bytes += n + PAYLOAD_BYTES;
    f->count++;
    f->put[f->queued++ % QUEUE_EVENTS] = c->put;
    return 0;
}

static void
launch(struct client *c, struct channel *f)
{
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
    f->request = door_ask(c->fd, f->pending, PUBLISH_HEAD + bytes);
    memmove(body + PUBLISH_HEAD, body + PUBLISH_HEAD + bytes, f->bytes - bytes);
    f->bytes -= bytes;
    f->count -= count;
    f->in_flight = count;
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
        acked_one(c, f->put[f->acked++ % QUEUE_EVENTS]);
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
