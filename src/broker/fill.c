/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/fill.h"

#include "ports/log.h"

enum fo_err
fo_fill_begin(struct fo_fill *fill, const struct fo_context *ctx, enum fo_encoding enc, uint32_t events_max, uint64_t bytes_max, struct fo_buf *out)
{
    *fill = (struct fo_fill){ .events_max = events_max, .bytes_max = bytes_max, .regions = ctx->regions.count };
    out->n = 0;
    return fo_fetch_answer_begin(&fill->answer, enc, out);
}

bool
fo_fill_add(struct fo_fill *fill, struct fo_stand *stand, const struct fo_offer *offer)
{
    const struct fo_batch_header *h = offer->batch;
    uint32_t events = fill->answer.count;
    struct fo_position pos = { h->epoch, h->first_seq + offer->index, h->lane };
    unsigned targets = h->target_count < fill->regions ? h->target_count : 0;
    enum fo_err err;

    if (events >= fill->events_max || (events > 0 && fill->bytes + offer->record.n > fill->bytes_max))
        return false;
    err = fo_fetch_answer_add(&fill->answer, offer->region, &pos, offer->record, h->target, targets);
    if (err == FO_ERR_NO_MEMORY)
        return false;
    if (err != FO_OK)
        fo_log(FO_LOG_ERROR, "event_unreadable", FO_E(err), FO_S("source", offer->region), FO_S("lane", fo_lane_name(pos.lane)), FO_I("seq", (int64_t)pos.seq));
    fill->bytes += offer->record.n;
    stand->turn = stand->turn + 1 < FO_TURNS ? stand->turn + 1 : 0;
    return true;
}
