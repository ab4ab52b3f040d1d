/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribers that fetch: each request names where it stands (a cursor), gets what matches from there on, or is parked until
 * something does. Nothing is kept per subscriber between requests: the position is the subscriber's.
 *
 *   fetch --something matches--> answered
 *        \--at the durable end--> parked --a batch matches--> answered
 *                                       \--its time is over--> answered empty, with the cursor moved on */
#pragma once
#include "broker/store.h"
#include "wire/door.h"

struct fo_parked;
struct fo_fetches {
    struct fo_context *ctx;
    const struct fo_state *state;
    struct fo_journal_reader *reader;
    uint64_t stored_lsn, epoch;
    uint64_t clean_from_lsn;                        /* received batches from here on were judged by this process and hold no exception */
    struct fo_parked *parked;
    unsigned parked_count;
    struct fo_batch *fresh, **fresh_last;           /* durable since the last deliver */
    struct fo_buf answer;
};

void fo_fetches_init(struct fo_fetches *f, struct fo_context *ctx, const struct fo_state *state, uint64_t stored_lsn);
void fo_fetches_fini(struct fo_fetches *f);
/* Takes the message and the scratch buffer. */
void fo_fetches_request(struct fo_fetches *f, uint64_t request, const struct fo_request *req, struct fo_msg *take_msg, struct fo_buf *take_scratch);
/* A durable batch; takes it until deliver. */
void fo_fetches_add(struct fo_fetches *f, struct fo_batch **take_batch);
/* Serves the parked and the feed with what was added, and gives the batches back. stored_lsn: the durable end now. */
void fo_fetches_deliver(struct fo_fetches *f, struct fo_batch_pool *pool, uint64_t stored_lsn);
/* Answers what is over time; returns the next deadline (ns INT64_MAX: none). all: answer every one, the broker is leaving. */
struct fo_instant fo_fetches_check_deadlines(struct fo_fetches *f, bool all);
