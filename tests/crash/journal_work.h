/* SPDX-License-Identifier: Apache-2.0
 *
 * A life of a journal in which everything happens that it does to its files: made anew, groups small and large, segment after segment,
 * checkpoints, trims, a clean close, a second start that has to begin a new epoch. And the judge who looks at what is left of it.
 *
 * Records are numbered from 0; the number stands in a record's count, and its body follows from it. */
#pragma once
#include "adapter/journal_file.h"

enum { WORK_SEGMENT_BYTES = FO_JOURNAL_SEGMENT_BYTES_MIN, WORK_BODY_MAX = 7000, WORK_FAULT_SIZE = 200 };

/* What the life told the world; in memory shared with whoever judges. */
struct work_told {
    uint32_t acked;             /* records stored: all below this number */
    uint32_t appended;          /* records that were appended at all: none beyond */
    uint32_t trimmed;           /* all below this number may be gone */
    uint64_t epoch;
    uint32_t refused;           /* commits that failed with no_space */
    enum fo_err failed;         /* what ended it early */
    bool is_open;               /* and it did not end while opening */
};

struct work_options { bool is_synced; uint64_t seed; unsigned steps; /* groups in each of the two runs */ };

/* Lives, and returns at the end or at the first final error. */
void work_live(const char *dir, const struct work_options *options, struct work_told *told);

/* Opens what is left, with the same settings. False: ret_fault says how it breaks a promise:
 *   - it opens; the epoch is not an earlier one; nothing is quarantined
 *   - every acknowledged record that was not trimmed is read, in order, without gaps, with its own body
 *   - no record that was never appended
 *   - it takes new records, closes, opens again and has them all */
bool work_judge(const char *dir, const struct work_told *told, char ret_fault[WORK_FAULT_SIZE]);

/* Removes a directory and what is in it. */
void work_remove(const char *path);
void work_copy(const char *from, const char *to);
/* The body of a record: ret_body has room for WORK_BODY_MAX. Returns its length. */
size_t work_body(uint32_t number, uint8_t *ret_body);
