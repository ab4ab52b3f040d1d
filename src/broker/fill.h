/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer to a fetch while it is filled: events from three lanes, each lane in its order, until it is full. */
#pragma once
#include "broker/context.h"
#include "broker/cursor.h"
#include "wire/fetch_answer.h"

struct fo_fill {
    struct fo_fetch_answer answer;
    uint32_t events_max;
    uint64_t bytes, bytes_max;          /* of records */
    unsigned regions;                   /* that there are: a batch for so many is for every one */
};

/* What a lane has next. */
struct fo_offer { const struct fo_batch_header *batch; const char *region; uint32_t index; struct fo_slice record; };

FO_MUST_CHECK enum fo_err fo_fill_begin(struct fo_fill *fill, const struct fo_context *ctx, enum fo_encoding enc, uint32_t events_max, uint64_t bytes_max,
    struct fo_buf *out);
/* Takes the offer and counts the turn. False: it is full, or there is no memory; nothing was taken. An event that cannot be written is
 * passed over, and said in the log: nobody could read on otherwise. */
bool fo_fill_add(struct fo_fill *fill, struct fo_stand *stand, const struct fo_offer *offer);
static inline uint32_t fo_fill_events(const struct fo_fill *fill) { return fill->answer.count; }
