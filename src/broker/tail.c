/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tail.h"

enum { WANTED_MS = 1000 };

void
fo_tail_init(struct fo_tail *t, struct fo_context *ctx, struct fo_batch_pool *pool, uint64_t end_lsn)
{
    *t = (struct fo_tail){ .ctx = ctx, .pool = pool, .end_lsn = end_lsn, .is_at_end = true };
}

static struct fo_tail_batch *
entry_at(const struct fo_tail *t, unsigned i)
{
    return (struct fo_tail_batch *)&t->at[(t->first + i) % FO_TAIL_BATCHES_MAX];
}

static void
drop_oldest(struct fo_tail *t)
{
    struct fo_tail_batch *oldest = entry_at(t, 0);

    t->bytes -= fo_batch_bytes(oldest->batch);
    t->first = (t->first + 1) % FO_TAIL_BATCHES_MAX;
    t->count--;
    fo_batch_give_back(t->pool, t->ctx->transport, &oldest->batch);
}

void
fo_tail_fini(struct fo_tail *t)
{
    while (t->count > 0)
        drop_oldest(t);
}

void
fo_tail_want(struct fo_tail *t, uint64_t lsn)
{
    if (t->end_lsn - lsn <= t->ctx->config->limits.tail_bytes_max)
        t->wanted_until = fo_instant_add(t->ctx->now, fo_duration_ms(WANTED_MS));
}

void
fo_tail_add(struct fo_tail *t, struct fo_batch **take_batch)
{
    bool is_wanted = fo_instant_is_before(t->ctx->now, t->wanted_until);
    uint64_t bytes_max = is_wanted ? t->ctx->config->limits.tail_bytes_max : 0, bytes = fo_batch_bytes(*take_batch);
    uint64_t from_lsn = t->is_at_end ? t->end_lsn : (*take_batch)->lsn;

    t->is_at_end = false;
    while (t->count > 0 && (t->count == FO_TAIL_BATCHES_MAX || t->bytes + bytes > bytes_max))
        drop_oldest(t);
    if (bytes > bytes_max) {
        fo_batch_give_back(t->pool, t->ctx->transport, take_batch);
        return;
    }
    *entry_at(t, t->count++) = (struct fo_tail_batch){ from_lsn, *take_batch };
    t->bytes += bytes;
    *take_batch = NULL;
}

void
fo_tail_end(struct fo_tail *t, uint64_t end_lsn)
{
    t->end_lsn = end_lsn;
    t->is_at_end = true;
}

bool
fo_tail_find(const struct fo_tail *t, enum fo_lane lane, uint64_t lsn, const struct fo_batch **ret_batch, uint64_t *ret_next_lsn)
{
    unsigned i = 0;

    while (i < t->count && entry_at(t, i)->from_lsn != lsn && entry_at(t, i)->batch->lsn != lsn)
        i++;
    if (i == t->count)
        return false;
    while (i < t->count && entry_at(t, i)->batch->header.lane != lane)
        i++;
    *ret_batch = i < t->count ? entry_at(t, i)->batch : NULL;
    *ret_next_lsn = i + 1 < t->count ? entry_at(t, i + 1)->from_lsn : t->end_lsn;
    return true;
}
