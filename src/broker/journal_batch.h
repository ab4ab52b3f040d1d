/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch as it is read back from the journal: one piece for recovery, forwarding, fetching and questions. */
#pragma once
#include "broker/context.h"

struct fo_journal_batch {
    struct fo_batch_header header;
    struct fo_frame frame;
    fo_region_set targets;              /* of the regions we know */
    int source;                         /* region index, or -1: not in the table any more */
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
};

/* Slices point into the record's body. Any error: the body is not a batch, although its checksum holds. */
FO_MUST_CHECK enum fo_err fo_journal_batch_read(const struct fo_context *ctx, const struct fo_record *rec, struct fo_journal_batch *ret_b);
