/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chain.h"

#include "base/assert.h"

enum fo_err
fo_chain_judge(const struct fo_chain *c, uint64_t epoch, uint64_t prev_seq, uint64_t first_seq, uint64_t last_seq)
{
    if (prev_seq >= first_seq || first_seq > last_seq)
        return FO_ERR_PROTO;
    if (epoch < c->staged.epoch)
        return FO_ERR_STALE;
    if (epoch == c->staged.epoch) {
        if (last_seq <= c->staged.seq)
            return FO_ERR_STALE;
        if (prev_seq > c->staged.seq)
            return FO_ERR_GAP;
        return first_seq > c->staged.seq ? FO_OK : FO_ERR_PROTO;
    }
    return prev_seq <= c->staged.seq ? FO_OK : FO_ERR_GAP;
}

bool
fo_chain_skip(struct fo_chain *c, uint64_t seq)
{
    bool is_settled = c->staged.epoch == c->durable.epoch && c->staged.seq == c->durable.seq;

    if (!is_settled || seq <= c->durable.seq)
        return false;
    c->staged.seq = c->durable.seq = seq;
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
