/* SPDX-License-Identifier: Apache-2.0
 *
 * Appending: the loop gathers a group while the writer thread writes and syncs the one before it.
 *
 * The writer:  IDLE -- commit --> BUSY -- written, synced --> IDLE
 *                                  |
 *                                  +-- disk full --> RETRY -- commit --> BUSY (the same group, the same place)
 *                                  +-- any other error --> FAILED, for good
 *
 *   durable_lsn <= end_lsn; the group that is gathered begins where the group being written ends. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "adapter/journal_segments.h"
#include "ports/journal.h"

enum {
    FO_GROUP_RECORDS_MAX = 4096,
    FO_GROUP_IOVECS_MAX = 4 * FO_GROUP_RECORDS_MAX,
    FO_GROUP_ROLLS_MAX = 8,             /* segments that one group may begin */
    FO_APPEND_PARTS_MAX = 64,
};

struct fo_group_entry {
    struct fo_record_header h;          /* body_crc is computed by the writer thread */
    uint64_t segment_base;
    uint32_t iov_first, iov_count;      /* header, body parts, padding */
};

struct fo_group {
    struct fo_group_entry *entries;
    struct iovec *iov;
    uint8_t *headers;                   /* FO_RECORD_HEADER_BYTES each */
    unsigned count, iov_count, rolls;
    unsigned written;                   /* entries that are on disk already, though not yet counted (after a retry) */
};

enum fo_writer_state { FO_WRITER_IDLE, FO_WRITER_BUSY, FO_WRITER_RETRY, FO_WRITER_FAILED };

struct fo_journal_writer {
    struct fo_segments *segments;       /* borrowed, as long as the writer lives */
    uint32_t segment_bytes, record_bytes_max;
    bool is_synced;
    fo_journal_stored_fn stored;
    void *stored_ctx;

    /* Loop thread. */
    uint64_t append_lsn, segment_base, segment_end;
    bool is_segment_awaited;            /* no file was there for it yet when the journal was opened */
    _Atomic uint64_t end_lsn;           /* append_lsn for other threads */

    struct fo_group group[2];
    pthread_mutex_t mu;
    pthread_cond_t cond;
    enum fo_writer_state state;         /* by mu */
    unsigned gathering;                 /* by mu: the loop's group; the other is the writer's */
    bool is_stopping;
    pthread_t thread;
    bool has_thread;

    /* Writer thread. */
    int fd;
    uint64_t fd_base, fd_end;           /* LSN range of its segment */
    int64_t retry_at_ms;
    bool is_full_logged;
    _Atomic uint64_t durable_lsn, fsync_count;
    _Atomic int failed;                 /* enum fo_err */
};

/* Where a journal goes on: the segment, the end of what is in it, and a file (taken over): that segment's, or the one's before it if
 * that was closed and this one is still to be made. */
struct fo_journal_end { struct fo_segment segment; uint64_t lsn; int fd; uint64_t fd_base; };

FO_MUST_CHECK enum fo_err fo_journal_writer_init(struct fo_journal_writer *w, struct fo_segments *segments, uint32_t record_bytes_max,
    bool is_synced, fo_journal_stored_fn stored, void *stored_ctx, struct fo_journal_end end);
/* Finishes the group that is being written, drops the one that gathers, joins the thread. */
void fo_journal_writer_fini(struct fo_journal_writer *w);

/* As in ports/journal.h. */
FO_MUST_CHECK enum fo_err fo_journal_writer_append(struct fo_journal_writer *w, enum fo_record_type type, enum fo_lane lane, uint32_t count,
    struct fo_wall at, const struct fo_slice *body, unsigned parts, uint64_t *ret_lsn);
bool fo_journal_writer_commit(struct fo_journal_writer *w);
bool fo_journal_writer_wants_checkpoint(const struct fo_journal_writer *w);
