/* SPDX-License-Identifier: Apache-2.0
 *
 * The segment files: which there are, the next one made ready ahead of need, old ones deleted or used again. A keeper thread does the slow
 * parts, so that a commit never waits for zeros to be written or a file to be unlinked unless it has outrun them.
 *
 * The spare:  NONE -> FILLING -> READY -> (taken by the writer) NONE
 *                        |
 *                        +-> FAILED -> NONE when the writer or an append asks again
 *
 * Files are contiguous in LSN: each begins where the one before it ends. Damage found in them is counted here too. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "adapter/journal_window.h"
#include "base/names.h"
#include "ports/journal.h"

enum {
    FO_SEGMENTS_DAMAGE_KNOWN_MAX = 256, /* damaged places told apart; beyond that each finding counts anew */
    FO_SEGMENTS_RETRY_MS = 100,         /* between attempts to make a segment on a full disk */
    FO_SEGMENTS_ASIDE_MAX = 64,         /* trimmed files that wait to become the next ones, or to be deleted bit by bit */
    FO_SEGMENTS_ASIDE_KEPT = 4,         /* of these stay when there is nothing to write */
};

struct fo_segment {
    uint64_t base, end;                         /* LSN range; the file's offset 0 is base */
    unsigned holders;                           /* in the table: readers that have the file open */
    bool is_leaving;                            /* in the table: about to be put aside; nobody may open it any more */
};

enum fo_spare_state { FO_SPARE_NONE, FO_SPARE_FILLING, FO_SPARE_READY, FO_SPARE_FAILED };

struct fo_segments {
    int dir_fd;                                 /* owned */
    char region[FO_REGION_BYTES_MAX + 1];
    uint64_t secret;
    uint32_t segment_bytes;
    uint64_t bytes_max;                         /* 0: no bound */
    bool is_zeroed;

    pthread_mutex_t mu;                         /* guards what follows */
    pthread_cond_t keeper_cond, spare_cond;
    pthread_t keeper;
    bool has_keeper, is_stopping;
    struct fo_segment *table;                   /* ascending; the last one is the writer's */
    unsigned count, cap;
    enum fo_spare_state spare;
    enum fo_err spare_err;
    int64_t spare_failed_at_ms;
    bool is_full_logged;
    int spare_fd;
    uint64_t spare_filled, spare_goal;          /* bytes zeroed, and how many the writer's progress asks for */
    bool is_urgent;                             /* the writer waits */
    uint64_t trim_below;
    uint64_t aside[FO_SEGMENTS_ASIDE_MAX];      /* bases of trimmed files, by now NAME.tmp, which is durable */
    unsigned aside_count;
    int64_t shrink_at_ms;
    uint64_t damage_known[FO_SEGMENTS_DAMAGE_KNOWN_MAX];
    unsigned damage_count;
    uint64_t quarantined;
};

/* Takes over dir_fd. */
void fo_segments_init(struct fo_segments *s, int dir_fd, const char *region, uint64_t secret, uint32_t segment_bytes,
    uint64_t bytes_max, bool is_zeroed);
/* Stops the keeper first. */
void fo_segments_fini(struct fo_segments *s);
FO_MUST_CHECK enum fo_err fo_segments_keeper_start(struct fo_segments *s);

/* Appends to the table. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_segments_add(struct fo_segments *s, struct fo_segment seg);
/* Makes a segment file at once and adds it; for open, before the keeper runs. */
FO_MUST_CHECK enum fo_err fo_segments_create(struct fo_segments *s, uint64_t base, int *ret_fd);

/* Any thread. The segment that holds lsn. FO_ERR_CURSOR_GONE: lsn lies below the first one. FO_ERR_CORRUPT: its file is missing;
 * ret_seg is then the next one. FO_ERR_NOT_FOUND: beyond the last. */
FO_MUST_CHECK enum fo_err fo_segments_find(struct fo_segments *s, uint64_t lsn, struct fo_segment *ret_seg);
/* Opens a segment's file for reading. FO_ERR_CURSOR_GONE: deleted meanwhile. */
FO_MUST_CHECK enum fo_err fo_segments_open_file(struct fo_segments *s, uint64_t base, int *ret_fd);
/* The same for a segment of the table, whose file then keeps its bytes, though perhaps not its name, until it is released. */
FO_MUST_CHECK enum fo_err fo_segments_hold(struct fo_segments *s, uint64_t base, int *ret_fd);
void fo_segments_release(struct fo_segments *s, uint64_t base, int fd);
struct fo_extent fo_segments_extent(const struct fo_segments *s, uint64_t base);

/* Loop thread, when an append is about to leave its segment, which ends at `end`: FO_ERR_NO_SPACE when bytes_max or the disk has no
 * room for the next. It need not be ready yet. */
FO_MUST_CHECK enum fo_err fo_segments_may_roll(struct fo_segments *s, uint64_t end);
/* Writer thread: the next segment's file, now the caller's; waits until it is ready. FO_ERR_NO_SPACE, FO_ERR_IO, FO_ERR_CLOSED. */
FO_MUST_CHECK enum fo_err fo_segments_take_spare(struct fo_segments *s, uint64_t base, int *ret_fd);
/* Writer thread: that many bytes of its segment are in use; the spare's zeros keep ahead of it. */
void fo_segments_progress(struct fo_segments *s, uint64_t used);
/* Deletes, in the background, segments that lie wholly below; never the writer's. Some files are put aside instead, for segments to come. */
void fo_segments_trim(struct fo_segments *s, uint64_t below);
/* Any thread: fills in what concerns the files: first_lsn, segments, bytes_on_disk, quarantined, is_full. */
void fo_segments_stats(struct fo_segments *s, struct fo_journal_stats *ret_stats);
/* Any thread: something damaged at lsn. Logged and counted once. */
void fo_segments_damaged(struct fo_segments *s, uint64_t base, uint64_t lsn, uint64_t bytes, const char *what);
