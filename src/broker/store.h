/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits for the disk. Everything that is to become durable stands in one queue, in order; a commit hands as much of it to the
 * journal as fits into one group, and the stored input takes that group off again. While one group is on its way
 * the next gathers, so the batch grows with the load and nothing waits for company.
 *
 *   gathering --commit--> committing --stored--> handed back, in order
 *        ^                    |
 *        +---- no space ------+      the same group is tried again
 */
#pragma once
#include "broker/batch.h"
#include "broker/state.h"

struct fo_store_item;
struct fo_store {
    struct fo_context *ctx;
    struct fo_state *state;                         /* of the appended records */
    struct fo_batch_pool *pool;
    struct fo_store_item *first, **last;            /* the queue; the committing group is its front */
    struct fo_store_item *next_append;              /* first one not yet handed to the journal */
    struct fo_store_item *free; unsigned free_count;
    unsigned reserved;                              /* of the free ones: for own batches that are open */
    uint64_t queued_bytes, queued_events;           /* of batches; bytes of memory, much more than their frames when those are small */
    uint64_t queued_frame_bytes;
    uint64_t queued_items, stored_items;            /* ever; checkpoints not counted */
    uint64_t stored_lsn;                            /* everything below is durable and handed back */
    uint64_t settled_seq[FO_REGIONS_MAX][FO_LANES]; /* by durable ACK records: what a crash cannot take back */
    uint64_t recorded_seq[FO_REGIONS_MAX][FO_LANES];    /* by queued ones too; settled_seq <= recorded_seq */
    fo_region_set has_settled_exceptions;           /* peers who need not repeat theirs once they are told: whoever tells them clears it */
    unsigned queued_acks;
    unsigned urgent_count;                          /* items that should not wait for company: batches, and acks with exceptions */
    struct fo_instant oldest_lazy_at;               /* when the oldest waiting ACK record was queued */
    bool is_committing;
    enum fo_err failure;                            /* FO_OK; FO_ERR_NO_SPACE: tried again; else final */
    struct fo_instant retry_at;
};

/* Called for each batch that has become durable, in order; takes it. */
typedef void (*fo_store_durable_fn)(void *user, struct fo_batch **take_batch);

void fo_store_init(struct fo_store *s, struct fo_context *ctx, struct fo_state *state, struct fo_batch_pool *pool, uint64_t durable_lsn);
void fo_store_fini(struct fo_store *s);
/* Keeps room for one own batch more, so that adding it cannot fail. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_store_reserve(struct fo_store *s);
/* Queues a sealed or received batch; takes it. FO_ERR_NO_MEMORY: the batch stays the caller's; never an own one, for which room was reserved. */
FO_MUST_CHECK enum fo_err fo_store_add_batch(struct fo_store *s, struct fo_batch **take_batch);
/* Makes room for one ACK record with such a frame, so that adding it next cannot fail. FO_ERR_BUSY: too many wait for the disk; FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_store_reserve_ack(struct fo_store *s, size_t frame_bytes);
/* Queues an ACK record's body; takes the buffer's memory. It does not force a commit of its own unless there are exceptions. */
FO_MUST_CHECK enum fo_err fo_store_add_ack(struct fo_store *s, unsigned peer, const struct fo_ack_record *a);
/* Commits if the journal is free and something is worth it. */
void fo_store_commit(struct fo_store *s);
/* The journal's stored input. */
void fo_store_stored(struct fo_store *s, enum fo_err err, uint64_t durable_lsn, fo_store_durable_fn durable, void *user);
/* What is queued waits for no company: somebody wants to read it. Returns how many items must be stored until it can be. */
uint64_t fo_store_hurry(struct fo_store *s);
/* When commit should be called although nothing arrives (ns INT64_MAX: no need). */
struct fo_instant fo_store_next_due(const struct fo_store *s);
/* No batch that waits has come or was sealed before; us INT64_MAX: none waits. */
struct fo_wall fo_store_oldest_at(const struct fo_store *s);
static inline bool fo_store_is_empty(const struct fo_store *s) { return s->first == NULL; }
