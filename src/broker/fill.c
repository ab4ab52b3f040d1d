/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/fill.h"

enum fo_err
fo_fill_begin(struct fo_fill *fill, enum fo_encoding enc, uint32_t events_max, uint64_t bytes_max, struct fo_buf *out)
{
    *fill = (struct fo_fill){ .events_max = events_max, .bytes_max = bytes_max };
    out->n = 0;
    return fo_fetch_answer_begin(&fill->answer, enc, out);
}

bool
fo_fill_add(struct fo_fill *fill, struct fo_stand *stand, const struct fo_offer *offer)
{
    const struct fo_batch_header *h = offer->batch;
    uint32_t events = fill->answer.count;
    struct fo_position pos = { h->epoch, h->first_seq + offer->index, h->lane };

    if (events >= fill->events_max || (events > 0 && fill->bytes + offer->record.n > fill->bytes_max))
        return false;
    if (fo_fetch_answer_add(&fill->answer, offer->region, &pos, offer->record) != FO_OK)
        return false;
    fill->bytes += offer->record.n;
    stand->turn = stand->turn + 1 < FO_TURNS ? stand->turn + 1 : 0;
    return true;
}
