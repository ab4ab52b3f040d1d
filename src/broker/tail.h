/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's newest batches, kept in memory for subscribers that all but keep up: what became durable while one was busy with the
 * answer before is handed out without being read back. Nothing is kept while nobody asks for what is that new. */
#pragma once
#include "broker/batch.h"

enum { FO_TAIL_BATCHES_MAX = 64 };

struct fo_tail_batch {
    uint64_t from_lsn;                  /* where a search for this one may begin: the durable end before it, or the batch before */
    struct fo_batch *batch;
};

struct fo_tail {
    struct fo_context *ctx;
    struct fo_batch_pool *pool;
    struct fo_tail_batch at[FO_TAIL_BATCHES_MAX];   /* a ring */
    unsigned first, count;
    uint64_t bytes;                     /* memory they take, at most limits.tail_bytes_max */
    uint64_t end_lsn;                   /* the durable end */
    bool is_at_end;                     /* all that is durable has been added */
    struct fo_instant wanted_until;
};

void fo_tail_init(struct fo_tail *t, struct fo_context *ctx, struct fo_batch_pool *pool, uint64_t end_lsn);
void fo_tail_fini(struct fo_tail *t);
/* Somebody reads from here on. */
void fo_tail_want(struct fo_tail *t, uint64_t lsn);
/* A batch that has become durable, in order; takes it. */
void fo_tail_add(struct fo_tail *t, struct fo_batch **take_batch);
/* That was all of it up to here. */
void fo_tail_end(struct fo_tail *t, uint64_t end_lsn);
/* The lane's first batch at or behind lsn, the tail's until it changes, and where the search for the one behind it begins; null if there is none up
 * to the end. False: the journal has to be asked; so always if neither a batch begins at lsn nor the durable end was there. */
bool fo_tail_find(const struct fo_tail *t, enum fo_lane lane, uint64_t lsn, const struct fo_batch **ret_batch, uint64_t *ret_next_lsn);
