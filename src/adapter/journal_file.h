/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal in files: ports/journal.h over a data directory. JOURNAL.md describes the format and what survives what.
 *
 *   DIR/lock       held while open          DIR/region     whose it is, epoch
 *   DIR/journal/   segments, each named by the LSN of its first byte */
#pragma once
#include "ports/journal.h"
#include "wire/error.h"

enum {
    FO_JOURNAL_SEGMENT_BYTES_MIN = 65536,
    FO_JOURNAL_SEGMENT_BYTES_MAX = 1 << 30,
    FO_JOURNAL_SEGMENT_ALIGN = 4096,
};

struct fo_journal_config {
    const char *dir;                /* made if it does not exist; its parent must */
    const char *region;
    uint32_t segment_bytes;         /* of segments to come; rounded down to FO_JOURNAL_SEGMENT_ALIGN */
    uint32_t record_bytes_max;      /* longest body but a CHECKPOINT's; 0: a quarter of segment_bytes, at most 8 MiB. Kept free at a
                                     * segment's end, so that a record always fits when no checkpoint is wanted */
    uint64_t bytes_max;             /* of all segments; at least two; 0: no bound */
    bool is_synced;                 /* durability power: fdatasync before stored */
    fo_journal_stored_fn stored;
    void *stored_ctx;
};

struct fo_journal_opened {          /* what was found */
    bool is_new;                    /* no record yet */
    bool may_have_lost;             /* the last run did not sync, and the machine has restarted since, or records in the last segment
                                     * are damaged: what was stored may be gone, and its sequences be given out again: the epoch is a new one */
    uint64_t checkpoint_lsn;        /* of the newest good CHECKPOINT, else of the first record: rebuild from here */
    uint64_t torn_bytes;            /* of unfinished commits, cut off at the end */
};

/* Locks, recovers, starts the threads. FO_ERR_LOCKED, FO_ERR_OTHER_REGION, FO_ERR_CORRUPT (the file DIR/region is damaged or gone),
 * FO_ERR_VERSION, FO_ERR_INVALID (config), FO_ERR_PERMISSION, FO_ERR_NO_SPACE, FO_ERR_IO: ret_fault has path and text. */
FO_MUST_CHECK enum fo_err fo_journal_file_open(const struct fo_journal_config *config, struct fo_journal **ret_journal,
    struct fo_journal_opened *ret_opened, struct fo_fault *ret_fault);
/* Finishes a commit in progress (its stored call comes before this returns), drops what was only appended, joins the threads. Readers
 * are closed before. Null is allowed. */
void fo_journal_file_close(struct fo_journal *journal);
/* The part of it that matters to what is on disk: nothing can be appended any more, readers may go on. For a process that ends while a thread
 * still reads; else close after it. */
void fo_journal_file_finish(struct fo_journal *journal);

/* The data directory's epoch: ms since 1970 when it was made, or when a start found that something may have been lost; then it is later than
 * the last one, and on disk before the open returns. */
uint64_t fo_journal_file_epoch(const struct fo_journal *journal);
