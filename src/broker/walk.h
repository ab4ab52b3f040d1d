/* SPDX-License-Identifier: Apache-2.0
 *
 * A question's way through the journal: no further than what was durable when it began, and over when the broker stops. */
#pragma once
#include "broker/query.h"

struct fo_walk {
    struct fo_journal *journal;
    const atomic_bool *is_stopping;     /* may be null */
    struct fo_journal_reader *reader;
    uint64_t end_lsn;                   /* durable when it began */
    bool skips_trimmed;                 /* where records were trimmed meanwhile it goes on from the earliest retained one */
};

/* From that LSN on; 0, and an LSN below: the earliest retained. skips_trimmed is false. Close after any result. */
FO_MUST_CHECK enum fo_err fo_walk_open(struct fo_walk *w, const struct fo_query_view *v, uint64_t from_lsn);
void fo_walk_close(struct fo_walk *w);
/* The next record, as the journal's read_next. FO_ERR_NOT_FOUND: the end. FO_ERR_CLOSED: the broker stops. FO_ERR_CORRUPT: a damaged record,
 * stepped past. FO_ERR_CURSOR_GONE: trimmed meanwhile. */
FO_MUST_CHECK enum fo_err fo_walk_next(struct fo_walk *w, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec);
