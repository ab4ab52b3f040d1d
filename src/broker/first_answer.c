/* SPDX-License-Identifier: Apache-2.0
 *
 * A publish whose id was accepted before gets the first one's answer: position, deliveries, latencies and attempts, as the journal
 * remembers them. Where it does not, or cannot be read, the position is still known, and that the event was accepted. */
#include "broker/query.h"

#include "broker/ack_cursor.h"
#include "broker/delivery_state.h"
#include "broker/story.h"

#include <stdlib.h>

struct answer {
    const struct fo_query_view *view;
    const struct fo_known_event *event;
    struct fo_story story;
    struct fo_ack_cursor cursor;
    struct fo_delivery delivery[FO_REGIONS_MAX];
    unsigned count;
};

static bool
is_found(const struct answer *a)
{
    const struct fo_batch_header *h = &a->story.batch.header;

    return a->story.rec.type == FO_RECORD_OWN && h->lane == a->event->position.lane && h->first_seq + a->story.index == a->event->position.seq;
}

static enum fo_err
find(struct answer *a, uint64_t from_lsn)
{
    enum fo_err err = fo_story_open(&a->story, a->view, a->event->tenant, a->event->id, from_lsn);

    return err == FO_OK && !is_found(a) ? FO_ERR_NOT_FOUND : err;   /* trimmed; and another region's event has the same id */
}

static void
know_nothing(struct answer *a)
{
    a->count = 0;
    for (fo_region_set t = a->event->targets & ~1ull; t != 0; t &= t - 1)
        a->delivery[a->count++] = (struct fo_delivery){ .region = fo_context_name(a->view->ctx, (unsigned)__builtin_ctzll(t)), .state = FO_DELIVERY_PENDING, .latency_us = -1 };
}

static enum fo_err
read_delivery(struct answer *a, unsigned peer, struct fo_delivery *d)
{
    const struct fo_story *s = &a->story;
    struct fo_ack_cursor *c = &a->cursor;
    enum fo_err err = fo_ack_cursor_open(c, a->view, peer, a->event->position.lane, s->rec.lsn);

    if (err == FO_OK)
        err = fo_ack_cursor_find(c, a->event->position.seq);
    if (err == FO_OK) {
        d->state = fo_delivery_state_of(fo_ack_cursor_verdict(c, a->event->position.seq));
        d->latency_us = c->record.arrived_at.us - s->event.acceptedtime.us;
        d->attempts = c->span.attempts;
    }
    fo_ack_cursor_close(c);
    return err == FO_ERR_NOT_FOUND ? FO_OK : err;
}

static enum fo_err
read_deliveries(struct answer *a)
{
    unsigned i = 0;
    enum fo_err err = FO_OK;

    for (fo_region_set t = a->event->targets & ~1ull; t != 0 && err == FO_OK; t &= t - 1)
        err = read_delivery(a, (unsigned)__builtin_ctzll(t), &a->delivery[i++]);
    return err;
}

static enum fo_err
encode(const struct answer *a, enum fo_encoding enc, uint8_t wait, struct fo_buf *out)
{
    struct fo_publish_result r = { .event_id = a->event->id, .is_duplicate = true, .deliveries = a->delivery, .delivery_count = a->count,
        .total_latency_us = -1, .position = a->event->position };
    unsigned delivered = 0;

    for (unsigned i = 0; i < a->count; i++) {
        delivered += a->delivery[i].state == FO_DELIVERY_DELIVERED;
        if (a->delivery[i].latency_us > r.total_latency_us)
            r.total_latency_us = a->delivery[i].latency_us;
    }
    r.is_success = delivered >= (wait == FO_WAIT_ALL || wait > a->count ? a->count : wait);
    return fo_publish_answer_encode(enc, false, fo_context_name(a->view->ctx, 0), &r, 1, out);
}

enum fo_err
fo_first_answer_make(const struct fo_query_view *v, const struct fo_known_event *e, enum fo_encoding enc, uint8_t wait, struct fo_buf *out)
{
    struct answer *a = calloc(1, sizeof *a);
    struct fo_journal_stats stats;
    enum fo_err err;

    if (a == NULL)
        return FO_ERR_NO_MEMORY;
    a->view = v;
    a->event = e;
    know_nothing(a);
    v->ctx->journal->ops->stats(v->ctx->journal, &stats);
    err = find(a, e->from_lsn);
    if (err == FO_ERR_NOT_FOUND && e->from_lsn > stats.first_lsn) {     /* where it stands was told by a clock that was set since */
        fo_story_close(&a->story);
        err = find(a, 0);
    }
    if (err == FO_OK && read_deliveries(a) != FO_OK)
        know_nothing(a);
    err = encode(a, enc, wait, out);
    fo_story_close(&a->story);
    free(a);
    return err;
}
