/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribers that fetch: each request names where it stands (a cursor), gets what matches from there on, or is parked until
 * something does. Nothing is kept per subscriber between requests: the position is the subscriber's.
 *
 *   fetch --something matches--> answered
 *        \--at the durable end--> parked --a batch matches--> answered
 *                                       \--its time is over--> answered empty, with the cursor moved on
 *
 * What waits for a subscriber is given to it by lanes: the high one first, of each FO_TURNS events one to each lower lane that has some. */
#pragma once
#include "broker/audience.h"
#include "broker/backlog.h"
#include "broker/recent.h"
#include "broker/store.h"
#include "broker/through.h"

struct fo_fetches {
    struct fo_context *ctx;
    uint64_t epoch;
    struct fo_backlog backlog;
    struct fo_audience audience;
    struct fo_recent recent;
    struct fo_through through;
    struct fo_batch *fresh, **fresh_last;           /* durable since the last deliver */
    struct fo_buf answer;
};

void fo_fetches_init(struct fo_fetches *f, struct fo_context *ctx, const struct fo_state *state, struct fo_batch_pool *pool, uint64_t stored_lsn);
void fo_fetches_fini(struct fo_fetches *f);
void fo_fetches_request(struct fo_fetches *f, uint64_t request, const struct fo_request *req);
/* A durable batch; takes it until deliver. */
void fo_fetches_add(struct fo_fetches *f, struct fo_batch **take_batch);
/* Serves the parked and the feed with what was added, and keeps the batches for the others, or gives them back. stored_lsn: the durable end now. */
void fo_fetches_deliver(struct fo_fetches *f, uint64_t stored_lsn);
/* Answers what is over time; returns the next deadline (ns INT64_MAX: none). all: answer every one, the broker is leaving. */
struct fo_instant fo_fetches_check_deadlines(struct fo_fetches *f, bool all);
