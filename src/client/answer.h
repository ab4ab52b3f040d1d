/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as the broker gives them (msgpack), read without trust: what is not understood is FO_ERR_PROTO. */
#pragma once
#include <fanout/publish.h>

#include "base/bytes.h"
#include "wire/error.h"

/* Of what was sent and not answered; for people. */
#define FO_IN_DOUBT "it may have been accepted: publish it again with the same id to learn that"

/* Results own their texts: one block, filled in as the answer is read. A text of n bytes takes n + 1 there and took at
 * least as much in the answer, so a block as large as the answer suffices. */
struct fanout_results {
    size_t count;
    struct fanout_result *at;
    uint32_t *index;                    /* brief: which event each one is about; else null */
    struct fanout_region_result *regions;
    char *texts, *ids;                  /* ids: of events that the answer does not name */
};

/* A publish answer for `count` events that were sent. An error that concerns the whole request stands in each result. Brief, for
 * requests that wait for acceptance only: the failed ones, in ascending order of index. FO_ERR_PROTO, FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_answer_publish(struct fo_slice body, uint32_t count, bool is_brief, struct fanout_results **ret_results);
/* The same error for each, for when there is no answer. Null: out of memory. */
struct fanout_results *fo_results_failed(uint32_t count, int err, const char *message);
/* Fills in the ids that are not told, from the events that were sent (one result each, not brief), if there is memory for that. */
void fo_results_add_ids(struct fanout_results *results, struct fo_slice events);
/* The request was also sent to a broker that did not answer: that the one that did is busy does not say that nothing was taken. */
void fo_result_doubt(struct fanout_result *result);
void fo_results_destroy(struct fanout_results *results);

struct fo_fetched {                     /* view of the answer */
    bool is_error;
    struct fo_fault fault;              /* is_error: what the broker said */
    uint32_t retry_after_ms;
    struct fo_slice cursor;             /* empty when not given */
    int64_t through_us;                 /* what the broker had stored by then has been handed out; 0: not said */
    struct fo_reader events;            /* events_count maps, read with fo_answer_event */
    uint32_t events_count;
};
struct fo_fetched_event { struct fo_slice position, record; uint64_t targets; /* the regions that it is for, hashed; 0: all */ };
FO_MUST_CHECK enum fo_err fo_answer_fetch(struct fo_slice body, struct fo_fetched *ret_fetched);
/* Reads the next of the events. */
FO_MUST_CHECK enum fo_err fo_answer_event(struct fo_reader *r, struct fo_fetched_event *ret_event);
/* The region's name in a ping's answer. */
FO_MUST_CHECK enum fo_err fo_answer_ping(struct fo_slice body, struct fo_slice *ret_region);

/* Which public error a broker's error stands for. */
int fo_answer_err_of(struct fo_slice code, uint32_t retry_after_ms);
