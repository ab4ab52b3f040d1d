/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chain.h"

#include "base/assert.h"
#include "core/epochs.h"

enum fo_err
fo_chain_judge(const struct fo_chain *c, const struct fo_chain_batch *b)
{
    if (b->prev.seq >= b->first_seq || b->first_seq > b->last_seq || b->prev.epoch > b->epoch)
        return FO_ERR_PROTO;
    if (b->epoch < c->staged.epoch)
        return FO_ERR_STALE;
    if (b->epoch == c->staged.epoch && b->last_seq <= c->staged.seq)
        return FO_ERR_STALE;
    if (b->prev.epoch > c->staged.epoch || b->prev.seq > c->staged.seq)
        return FO_ERR_GAP;              /* the same number in an epoch that we know nothing of is another event */
    if (b->epoch == c->staged.epoch)
        return b->first_seq > c->staged.seq ? FO_OK : FO_ERR_PROTO;
    return FO_OK;
}

bool
fo_chain_skip(struct fo_chain *c, struct fo_mark settled)
{
    bool is_settled = c->staged.epoch == c->durable.epoch && c->staged.seq == c->durable.seq;

    if (settled.epoch == FO_EPOCH_FORGOTTEN && c->durable.epoch > settled.epoch)
        settled.epoch = c->durable.epoch;   /* older than the sender knows: the sequences alone tell */
    if (!is_settled || settled.epoch == 0 || settled.epoch < c->durable.epoch || (settled.epoch == c->durable.epoch && settled.seq <= c->durable.seq))
        return false;
    c->staged = c->durable = settled;
    return true;
}

void
fo_chain_stage(struct fo_chain *c, uint64_t epoch, uint64_t last_seq)
{
    fo_assert(epoch >= c->staged.epoch);
    c->staged = (struct fo_mark){ epoch, last_seq };
}

void
fo_chain_stored(struct fo_chain *c, uint64_t epoch, uint64_t last_seq)
{
    fo_assert(epoch > c->durable.epoch || (epoch == c->durable.epoch && last_seq > c->durable.seq));
    c->durable = (struct fo_mark){ epoch, last_seq };
    fo_assert(c->durable.epoch < c->staged.epoch || c->durable.seq <= c->staged.seq);
}
