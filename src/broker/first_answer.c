/* SPDX-License-Identifier: Apache-2.0
 *
 * A publish whose id was accepted before gets the first one's answer: position, deliveries, latencies and attempts, as the
 * journal remembers them. */
#include "broker/query.h"

#include "broker/ack_cursor.h"
#include "broker/delivery_state.h"
#include "broker/story.h"

#include <stdlib.h>

static void
fill_delivery(const struct fo_story *s, unsigned peer, struct fo_ack_cursor *c, struct fo_delivery *d)
{
    const char *name = fo_context_name(s->ctx, peer);
    uint64_t seq = s->batch.header.first_seq + s->index;

    *d = (struct fo_delivery){ .region = name, .state = FO_DELIVERY_PENDING, .latency_us = -1 };
    if (fo_ack_cursor_open(c, s->ctx->journal, fo_slice_str(name), s->batch.header.lane, s->rec.lsn) == FO_OK && fo_ack_cursor_find(c, seq) == FO_OK) {
        d->state = fo_delivery_state_of(fo_ack_cursor_verdict(c, seq));
        d->latency_us = c->record.arrived_at.us - s->event.acceptedtime.us;
        d->attempts = c->span.attempts;
    }
    fo_ack_cursor_close(c);
}

static enum fo_err
encode(const struct fo_story *s, enum fo_encoding enc, uint8_t wait, struct fo_ack_cursor *c, struct fo_buf *out)
{
    const struct fo_batch_header *h = &s->batch.header;
    struct fo_delivery d[FO_REGIONS_MAX];
    struct fo_publish_result r = { .event_id = s->id, .is_duplicate = true, .deliveries = d, .total_latency_us = -1,
        .position = { h->epoch, h->first_seq + s->index, h->lane } };
    unsigned delivered = 0, needed;

    for (fo_region_set t = s->batch.targets & ~1ull; t != 0; t &= t - 1) {
        struct fo_delivery *at = &d[r.delivery_count++];

        fill_delivery(s, (unsigned)__builtin_ctzll(t), c, at);
        delivered += at->state == FO_DELIVERY_DELIVERED;
        if (at->latency_us > r.total_latency_us)
            r.total_latency_us = at->latency_us;
    }
    needed = wait == FO_WAIT_ALL || wait > r.delivery_count ? r.delivery_count : wait;
    r.is_success = delivered >= needed;
    return fo_publish_answer_encode(enc, false, fo_context_name(s->ctx, 0), &r, 1, out);
}

enum fo_err
fo_first_answer_make(const struct fo_query_view *v, uint64_t from_lsn, enum fo_encoding enc, uint8_t wait, struct fo_slice tenant, struct fo_slice id, struct fo_buf *out)
{
    struct fo_story *s = calloc(1, sizeof *s);
    struct fo_ack_cursor *c = calloc(1, sizeof *c);
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (s != NULL && c != NULL) {
        err = fo_story_open(s, v->ctx, tenant, id, from_lsn);
        if (err == FO_OK)
            err = encode(s, enc, wait, c, out);
        fo_story_close(s);
    }
    free(c);
    free(s);
    return err;
}
