/* SPDX-License-Identifier: Apache-2.0 */
#include "core/epochs.h"

#include "base/assert.h"

#include <string.h>

void
fo_epochs_begin(struct fo_epochs *e, uint64_t epoch, const uint64_t first_seq[FO_LANES])
{
    fo_assert(epoch > fo_epochs_current(e));
    if (e->count == FO_EPOCHS_MAX) {
        memmove(&e->list[0], &e->list[1], sizeof e->list[0] * (FO_EPOCHS_MAX - 1));
        e->count--;
    }
    e->list[e->count].epoch = epoch;
    memcpy(e->list[e->count].first_seq, first_seq, sizeof e->list[0].first_seq);
    e->count++;
}

uint64_t
fo_epochs_of(const struct fo_epochs *e, enum fo_lane lane, uint64_t seq)
{
    for (unsigned i = e->count; i > 0 && seq > 0; i--)
        if (seq >= e->list[i - 1].first_seq[lane])
            return e->list[i - 1].epoch;
    return 0;
}

uint64_t
fo_epochs_said(const struct fo_epochs *e, enum fo_lane lane, uint64_t seq)
{
    uint64_t epoch = fo_epochs_of(e, lane, seq);

    return epoch != 0 || seq == 0 ? epoch : FO_EPOCH_FORGOTTEN;
}

uint64_t
fo_epochs_prev(const struct fo_epochs *e, enum fo_lane lane, uint64_t epoch, uint64_t prev_seq)
{
    uint64_t prev_epoch = fo_epochs_said(e, lane, prev_seq);

    return prev_epoch != epoch ? prev_epoch : 0;
}

uint64_t
fo_epochs_clamp(const struct fo_epochs *e, enum fo_lane lane, uint64_t epoch, uint64_t cum_seq)
{
    uint64_t kept;
    unsigned i = 0;

    if (e->count > 0 && epoch == fo_epochs_current(e))
        return cum_seq;
    while (i < e->count && e->list[i].epoch <= epoch)
        i++;
    if (i == 0 || i == e->count)
        return 0;
    kept = e->list[i].first_seq[lane] - 1;
    return cum_seq < kept ? cum_seq : kept;
}
