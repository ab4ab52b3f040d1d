/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that read much of the journal (report, explain, audit), on threads of their own, so that an operator's question
 * delays no event. Answers come back through the inbox. */
#pragma once
#include "broker/context.h"
#include "ports/inbox.h"
#include "wire/door.h"

#include <stdatomic.h>

struct json_t;
struct fo_queries;

/* What a question may look at: nothing of the loop's state. */
struct fo_query_view {
    const struct fo_context *ctx;       /* config, regions, journal, key: what never changes */
    struct fo_wall now;
    const atomic_bool *is_stopping;     /* a long walk ends when it becomes true, with FO_ERR_CLOSED; may be null */
};

FO_MUST_CHECK enum fo_err fo_queries_start(const struct fo_context *ctx, struct fo_inbox *inbox, struct fo_queries **ret_q);
/* Ends the threads; questions not yet begun go unanswered. */
void fo_queries_stop(struct fo_queries *q);
/* Loop thread: so many items of the store's queue are durable. */
void fo_queries_stored(struct fo_queries *q, uint64_t items);
/* Copies what it needs of the request. It is answered once so many items are durable, so that the answer knows all that the
 * loop knew; or without them when that takes long. FO_ERR_BUSY: too many wait. */
FO_MUST_CHECK enum fo_err fo_queries_ask(struct fo_queries *q, uint64_t request, const struct fo_request *req, uint64_t after_items, struct fo_wall now);

/* An event that this region accepted, as far as its id is remembered. from_lsn: it does not stand before it, by the clock of its time. */
struct fo_known_event { struct fo_slice tenant, id; struct fo_position position; fo_region_set targets; uint64_t from_lsn; };

/* Answers a publish whose id was accepted before, with what the first answer said. Otherwise as fo_queries_ask. */
FO_MUST_CHECK enum fo_err fo_queries_ask_first(struct fo_queries *q, uint64_t request, enum fo_encoding enc, uint8_t wait, const struct fo_known_event *e, uint64_t after_items, struct fo_wall now);

/* The answer that a publish of this known event gets; where the journal cannot tell of it, one with all deliveries pending. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_first_answer_make(const struct fo_query_view *v, const struct fo_known_event *e, enum fo_encoding enc, uint8_t wait, struct fo_buf *out);
/* Per type and target region: how many, how they ended, how long they took; of events accepted here in [since, until). */
FO_MUST_CHECK enum fo_err fo_report_make(const struct fo_query_view *v, struct fo_wall since, struct fo_wall until, struct json_t **ret_json);
/* One event's story, from this region's journal. FO_ERR_NOT_FOUND is not an error: {"found": false}. */
FO_MUST_CHECK enum fo_err fo_explain_make(const struct fo_query_view *v, struct fo_slice tenant, struct fo_slice id, struct json_t **ret_json);
