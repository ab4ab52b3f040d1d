/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/feed.h"

#include "ports/log.h"

static void
publish(struct fo_context *ctx, struct fo_slice record, struct fo_buf *body)
{
    uint8_t topic[FO_TOPIC_BYTES_MAX + 1];
    struct fo_writer w = fo_writer_of(topic, sizeof topic);
    struct fo_event e;

    body->n = 0;
    if (fo_event_decode(record, &e) != FO_OK || fo_event_write_json(record, body) != FO_OK) {
        fo_log(FO_LOG_ERROR, "feed_event_unreadable", FO_I("bytes", record.n));
        return;
    }
    fo_event_write_topic(&e, &w);
    fo_write_u8(&w, ' ');
    if (w.overflow)
        return;
    ctx->transport->ops->feed_publish(ctx->transport, fo_slice_of(topic, w.n), fo_buf_slice(body));
    ctx->counters.feed_events++;
}

void
fo_feed_batch(struct fo_context *ctx, const struct fo_batch *b)
{
    struct fo_buf body;

    fo_buf_init(&body);
    for (uint32_t i = 0; i < b->count; i++)
        if (fo_batch_is_shown(b, i))
            publish(ctx, b->record[i], &body);
    fo_buf_fini(&body);
}
