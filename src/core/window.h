/* SPDX-License-Identifier: Apache-2.0
 *
 * In-flight window of one lane on one link: batches sent and not yet acked, oldest first.
 * Bounded in batches and bytes, so a slow peer becomes back-pressure, not memory.
 *
 *   count <= cap,  bytes = sum of the slots' bytes,  slots ascend by last_seq
 *
 * Pure: no I/O, no allocation, no clock. */
#pragma once
#include <stdbool.h>

#include "base/time.h"

struct fo_slot {
    uint64_t lsn, first_seq, last_seq;
    uint32_t bytes, attempts;           /* attempts: this sending included */
    struct fo_instant sent_at;
    struct fo_instant sealed_at;        /* since when its events wait, about; for people */
};

struct fo_window {
    struct fo_slot *slots;              /* caller's memory, `cap` of them */
    uint32_t cap, head, count;
    uint64_t bytes;
};

void fo_window_init(struct fo_window *w, struct fo_slot *slots, uint32_t cap);
static inline bool fo_window_is_empty(const struct fo_window *w) { return w->count == 0; }
/* The oldest slot; the window is not empty. */
const struct fo_slot *fo_window_oldest(const struct fo_window *w);
/* FO_ERR_FULL when `cap` slots are taken; bytes are the caller's to bound. */
FO_MUST_CHECK enum fo_err fo_window_push(struct fo_window *w, const struct fo_slot *slot);
/* Takes the oldest slot out if it is settled by a cumulative ack up to cum_seq. FO_ERR_NOT_FOUND when it is not, or when there is none. */
FO_MUST_CHECK enum fo_err fo_window_settle(struct fo_window *w, uint64_t cum_seq, struct fo_slot *ret_slot);
void fo_window_clear(struct fo_window *w);
