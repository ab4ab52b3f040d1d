/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the directory at open, and where the journal goes on. */
#pragma once
#include "adapter/journal_write.h"
#include "wire/error.h"

struct fo_recovery {
    struct fo_journal_end end;          /* where appending goes on; the file is the caller's */
    uint64_t checkpoint_lsn;            /* of the newest good CHECKPOINT, else of the first record */
    uint64_t torn_bytes;                /* cut off at the end: they belonged to no finished commit */
    unsigned torn_records;              /* of them, whole records of an unfinished commit behind its hole */
    bool is_empty;                      /* no record at all, and none was ever there */
    bool is_lost;                       /* records were there and are gone, all of them */
    bool is_damaged;                    /* records that the state is rebuilt from cannot be read */
};

/* Whether the directory holds any segment. */
FO_MUST_CHECK enum fo_err fo_journal_has_segments(int dir_fd, bool *ret_has);

/* Fills the table of segments, finds the end by reading the last segment wholly, zeroes what is torn, and syncs. Makes the first
 * segment of an empty journal. may_be_lost: after a run without sync; else FO_ERR_CORRUPT when every segment with records is gone,
 * and nothing is touched. FO_ERR_OTHER_REGION, FO_ERR_VERSION, FO_ERR_IO, FO_ERR_NO_SPACE, FO_ERR_NO_MEMORY with ret_fault. */
FO_MUST_CHECK enum fo_err fo_journal_recover(struct fo_segments *s, const char *dir, bool may_be_lost,
    struct fo_recovery *ret_rec, struct fo_fault *ret_fault);
