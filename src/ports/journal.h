/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal as the broker sees it: an append-only log of records, each at a log sequence number (LSN: its byte
 * position in the log as a whole, growing for ever). One loop thread appends; durability is reported to it as an
 * input; any thread may read what is durable. */
#pragma once
#include <stdbool.h>

#include "base/bytes.h"
#include "base/names.h"
#include "base/time.h"

enum fo_record_type {
    FO_RECORD_CHECKPOINT = 1,   /* broker state, first in every segment, so that recovery reads no further back */
    FO_RECORD_OWN = 2,          /* a batch that this region accepted: the sealed frame */
    FO_RECORD_RECEIVED = 3,     /* a batch from a peer: the sealed frame, as received */
    FO_RECORD_ACK = 4,          /* a peer's signed ack or hello that settled something, with what it settled */
};

struct fo_record {                      /* view, valid until the reader's next call */
    uint64_t lsn, next_lsn;
    enum fo_record_type type;
    uint8_t lane;                       /* of OWN and RECEIVED; else 0 */
    uint32_t count;                     /* events, likewise */
    struct fo_wall at;                  /* when it was appended, by the broker's clock */
    struct fo_slice body;
};

struct fo_journal;
struct fo_journal_reader;

/* Called on the journal's own thread, once per commit that was taken: everything below durable_lsn is on disk, or err. FO_ERR_NO_SPACE:
 * nothing of the group counts as written; its bodies stay borrowed, and the next commit tries the same group again (after a pause of
 * its own, so committing at once is right). Anything else is final: the journal accepts nothing more. */
typedef void (*fo_journal_stored_fn)(void *ctx, enum fo_err err, uint64_t durable_lsn);

struct fo_journal_stats {
    uint64_t first_lsn, end_lsn, durable_lsn, bytes_on_disk, fsync_count, quarantined;
    unsigned segments;
    bool is_full;               /* bytes_max leaves no room for another segment */
};

struct fo_journal_ops {
    /* Adds one record to the group that gathers; loop thread only. `body` parts are borrowed until the stored call that
     * covers ret_lsn. `lane` of an ACK or CHECKPOINT: FO_LANE_HIGH. FO_ERR_FULL: the group is full, commit first. FO_ERR_NO_SPACE:
     * bytes_max reached or the disk full; nothing was added, later it may work. FO_ERR_TOO_LARGE. FO_ERR_INVALID: a CHECKPOINT is due
     * first. Any other error is final. */
    enum fo_err (*append)(struct fo_journal *j, enum fo_record_type type, enum fo_lane lane, uint32_t count, struct fo_wall at,
        const struct fo_slice *body, unsigned parts, uint64_t *ret_lsn);
    /* Hands the gathered group to the writer: one write, one fdatasync, one stored call. False: the writer is busy or nothing has
     * gathered; commit again on the next stored call. */
    bool (*commit)(struct fo_journal *j);
    /* Ask before each append; when true, append a CHECKPOINT first (it begins the new segment, in the same group if there is one). It
     * stays true until that append succeeds. A CHECKPOINT may be appended at any other time too. */
    bool (*wants_checkpoint)(struct fo_journal *j);
    /* Everything below may be deleted, segment by segment, in the background. */
    void (*trim)(struct fo_journal *j, uint64_t below_lsn);
    void (*stats)(struct fo_journal *j, struct fo_journal_stats *ret_stats);      /* any thread */
    /* Readers: one per user, any thread, reads durable records only. lsn: a record's, or where one will be; 0: the earliest retained.
     * FO_ERR_CURSOR_GONE, FO_ERR_INVALID (beyond the end, or no position), FO_ERR_FULL (too many readers). */
    enum fo_err (*reader_open)(struct fo_journal *j, uint64_t lsn, struct fo_journal_reader **ret_reader);
    /* lane_mask: bit per lane, for OWN and RECEIVED; type_mask: bit per record type (1u << FO_RECORD_OWN); others are stepped over without
     * reading their bodies when that is cheaper. FO_ERR_NOT_FOUND: at the durable end (call again later). FO_ERR_CURSOR_GONE: trimmed
     * away. FO_ERR_CORRUPT: damaged record at ret_rec->lsn; the reader has stepped past it, to ret_rec->next_lsn (when only its body is
     * damaged, type, lane and count are set; else type is 0). */
    enum fo_err (*read_next)(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec);
    uint64_t (*reader_lsn)(const struct fo_journal_reader *r);                    /* where the next call begins */
    enum fo_err (*reader_seek)(struct fo_journal_reader *r, uint64_t lsn);
    void (*reader_close)(struct fo_journal_reader *r);
};
struct fo_journal { const struct fo_journal_ops *ops; };
