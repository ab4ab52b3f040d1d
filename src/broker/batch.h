/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch in memory: from the first event that opens it (own) or from its frame's arrival (received) until it is durable
 * and handed on. Pooled; the pool's size is bounded by what may be pending. */
#pragma once
#include "broker/context.h"
#include "core/chain.h"

struct fo_batch {
    struct fo_batch *next;
    bool is_own;
    unsigned source;                            /* region index; 0 for own */
    struct fo_batch_header header;              /* own: slices into the region table; received: into the message */
    fo_region_set targets;                      /* of the regions we know */
    uint32_t count;
    size_t bytes_max;                           /* own, while open: of the body */
    bool is_awaited;                            /* own, while open: a publisher waits until peers have it */
    uint32_t record_at[FO_BATCH_EVENTS_MAX];    /* own, while open: offsets into built */
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
    uint8_t verdict[FO_BATCH_EVENTS_MAX];       /* received: 0 or enum fo_verdict */
    struct fo_buf built;                        /* own: room for the head, then the body: see fo_batch_seal_in_place */
    struct fo_msg msg;                          /* received: the frame */
    struct fo_slice frame;
    struct fo_wall at;                          /* own: when it was handed to the journal; received: when it arrived */
    uint64_t lsn;
};

/* The event before the batch that was meant for its i-th target; zeros: none. */
static inline struct fo_mark fo_batch_previous(const struct fo_batch_header *h, unsigned i)
{
    const struct fo_target *t = &h->target[i];

    return (struct fo_mark){ t->prev_seq == 0 ? 0 : t->prev_epoch != 0 ? t->prev_epoch : h->epoch, t->prev_seq };
}
/* Whether its i-th event is handed to subscribers. */
static inline bool fo_batch_is_shown(const struct fo_batch *b, uint32_t i) { return b->is_own || b->verdict[i] == 0; }
/* Memory that it takes. */
static inline uint64_t fo_batch_bytes(const struct fo_batch *b) { return sizeof *b + b->frame.n; }
static inline uint64_t fo_batch_last_seq(const struct fo_batch *b) { return b->header.first_seq + b->count - 1; }

struct fo_batch_pool { struct fo_batch *free; unsigned free_count, free_max; };
void fo_batch_pool_init(struct fo_batch_pool *p, unsigned free_max);
void fo_batch_pool_fini(struct fo_batch_pool *p);
/* An empty batch with room to build so many bytes; null without memory. */
struct fo_batch *fo_batch_take(struct fo_batch_pool *p, size_t built_bytes);
/* Frees the message too. */
void fo_batch_give_back(struct fo_batch_pool *p, struct fo_transport *t, struct fo_batch **take_batch);
