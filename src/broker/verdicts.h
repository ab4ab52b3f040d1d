/* SPDX-License-Identifier: Apache-2.0
 *
 * What peers said of this region's events other than that they have them, the newest such words: an ack is cumulative, so of a settled event
 * it tells nothing by itself. Filled by acks as they arrive, and by their records after a restart. */
#pragma once
#include "base/names.h"
#include "broker/delivery_state.h"

enum { FO_VERDICTS_MAX = 1024 };

struct fo_verdicts {
    struct { uint64_t seq; uint8_t peer, lane, verdict; } at[FO_VERDICTS_MAX];  /* a ring */
    unsigned first, count;
    uint64_t forgotten[FO_REGIONS_MAX][FO_LANES];   /* of sequences up to here it is not known any more */
};

/* Exceptions of one peer's ack, all of that lane. */
void fo_verdicts_note(struct fo_verdicts *v, unsigned peer, enum fo_lane lane, const struct fo_exception *x, unsigned n);
/* An ack up to seq could not be read. */
static inline void fo_verdicts_forget(struct fo_verdicts *v, unsigned peer, enum fo_lane lane, uint64_t seq)
{ if (v->forgotten[peer][lane] < seq) v->forgotten[peer][lane] = seq; }
/* How the delivery of an event ended that the peer has settled. FO_DELIVERY_PENDING: not known. */
enum fo_delivery_state fo_verdicts_of(const struct fo_verdicts *v, unsigned peer, enum fo_lane lane, uint64_t seq);
