/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back what a subscriber has not seen yet: each lane from its own place, the high lane first, the lower ones with their
 * share. A lane's next record is found without walking over what other lanes have in between (core/gaps.h), and journal readers stay
 * where a subscriber has left them, so that many at different places do not send one reader to and fro. */
#pragma once
#include "broker/fill.h"
#include "broker/state.h"
#include "broker/tail.h"

enum { FO_BACKLOG_READERS_MAX = 8 };

struct fo_backlog_reader {
    struct fo_journal_reader *reader;   /* null: free */
    enum fo_lane lane;
    uint64_t record_lsn;                /* read last: what was not handed out of it is read again */
    uint64_t used;
    bool is_held;                       /* by the reading under way, which may still look at that record */
};

struct fo_backlog {
    struct fo_context *ctx;
    const struct fo_state *state;
    uint64_t stored_lsn;                /* never reads at or past it */
    uint64_t clean_from_lsn;            /* received batches from here on were judged by this process and hold no exception */
    struct fo_tail tail;
    struct fo_backlog_reader reader[FO_BACKLOG_READERS_MAX];
    uint64_t uses;
    uint64_t step_bytes;                /* read in this step; whoever begins one sets it to 0 */
};

enum fo_backlog_end {
    FO_BACKLOG_FULL,
    FO_BACKLOG_END,                     /* nothing durable is left */
    FO_BACKLOG_ENOUGH,                  /* for one step */
    FO_BACKLOG_FAILED,                  /* ret_err; FO_ERR_INVALID: the cursor was made up */
};

void fo_backlog_init(struct fo_backlog *b, struct fo_context *ctx, const struct fo_state *state, struct fo_batch_pool *pool, uint64_t stored_lsn);
void fo_backlog_fini(struct fo_backlog *b);
/* Fills with what matches from stand on, and moves stand behind it. What could not be read is not stepped over.
 * ret_through: nothing that was appended before is left, in any lane; us INT64_MAX: nothing at all is. */
enum fo_backlog_end fo_backlog_read(struct fo_backlog *b, const struct fo_filter *filter, bool is_cursor, struct fo_stand *stand, struct fo_fill *fill,
    struct fo_wall *ret_through, enum fo_err *ret_err);
/* The stand with places that are not retained any more moved to the earliest that is. True: records of a lane are gone between. */
bool fo_backlog_clamp(const struct fo_backlog *b, uint64_t first_lsn, struct fo_stand *stand);
