/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/verdicts.h"

void
fo_verdicts_note(struct fo_verdicts *v, unsigned peer, enum fo_lane lane, const struct fo_exception *x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned at = (v->first + v->count) % FO_VERDICTS_MAX;

        if (v->count == FO_VERDICTS_MAX) {
            fo_verdicts_forget(v, v->at[at].peer, (enum fo_lane)v->at[at].lane, v->at[at].seq);
            v->first = (v->first + 1) % FO_VERDICTS_MAX;
            v->count--;
        }
        v->at[at].seq = x[i].seq;
        v->at[at].peer = (uint8_t)peer;
        v->at[at].lane = (uint8_t)lane;
        v->at[at].verdict = (uint8_t)x[i].verdict;
        v->count++;
    }
}

enum fo_delivery_state
fo_verdicts_of(const struct fo_verdicts *v, unsigned peer, enum fo_lane lane, uint64_t seq)
{
    if (seq <= v->forgotten[peer][lane])
        return FO_DELIVERY_PENDING;
    for (unsigned i = 0; i < v->count; i++)      /* in whatever order: the ring turns only when it is full */
        if (v->at[i].seq == seq && v->at[i].peer == peer && v->at[i].lane == (uint8_t)lane)
            return fo_delivery_state_of(v->at[i].verdict);
    return FO_DELIVERY_DELIVERED;
}
