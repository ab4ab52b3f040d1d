/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads one segment from its first record to its end and says where that is.
 *
 * A place that does not hold a good record is judged by what follows:
 *  - nothing good: the torn end of the last write; the segment ends there;
 *  - a record of a later group: the place was durable once, so it is damage: quarantined, stepped over;
 *  - only records of the same, last group: if the place was never written (zeros where blocks are missing), power failed
 *    before that group's sync, nothing of it was acknowledged, and it is cut there, so that no hole stays in the log;
 *    else damage, as before. */
#pragma once
#include "adapter/journal_window.h"

enum { FO_SCAN_DAMAGE_MAX = 64 };

struct fo_scan_damage { uint64_t at, bytes; };

struct fo_scan {
    uint64_t end;               /* offset behind the last record that counts */
    uint64_t checkpoint;        /* offset of the last good CHECKPOINT; 0: none */
    uint64_t last_group_lsn;    /* of the last record that counts */
    unsigned records;           /* that count, the END marker included */
    unsigned records_cut;       /* good ones behind a hole in the last group */
    bool is_closed;             /* by an END marker */
    struct fo_scan_damage damage[FO_SCAN_DAMAGE_MAX];   /* in ascending order, all below end */
    unsigned damage_count;      /* may exceed the room above */
};

/* limit: the file's size. FO_ERR_IO, FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_segment_scan(int fd, struct fo_extent extent, uint64_t limit, struct fo_scan *ret_scan);
