/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk that audits make: one region's batches in this journal, in the order of their positions, and beside it what the acks
 * say of each. Private to audit*.c. */
#pragma once
#include "broker/ack_cursor.h"
#include "broker/audit.h"
#include "broker/journal_batch.h"
#include "broker/walk.h"

/* "1|" and "REGION=STATE," of every region. */
enum { FO_OUTCOME_SIZE = 4 + FO_REGIONS_MAX * (FO_REGION_BYTES_MAX + 16) };

struct fo_audit_walk {
    const struct fo_context *ctx;
    const struct fo_audit_query *query;
    struct fo_wall to;
    unsigned region;                    /* whose events: 0 this region's own, else the source's */
    struct fo_walk walk;
    enum fo_err failure;                /* of reading acks: nothing that was counted may be stated */
    bool has_checkpoint;
    struct fo_wall checkpoint_at;
    struct fo_state checkpoint;         /* what lies before the first retained record; zeros when that is nothing, or not readable */
    struct fo_record rec;               /* the present batch's */
    struct fo_journal_batch batch;
    uint64_t damaged;
    struct fo_audit_damage damage[FO_AUDIT_DAMAGED_MAX];
    struct fo_ack_cursor *cursor;       /* [region * FO_LANES + lane]; own events only */
    bool *is_open;                      /* likewise: something is pending there, so all behind it is */
    unsigned order[FO_REGIONS_MAX];     /* region table in the order of names */
};

struct fo_audit_event {
    struct fo_mark at;
    struct fo_slice record;
    struct fo_event event;
    enum fo_audit_state state;          /* of a received event: what this region does with it */
};

struct fo_audit_fate { enum fo_audit_state state; uint64_t ack_lsn; };  /* ack_lsn: UINT64_MAX while pending */

/* A walk is large: heap. FO_ERR_UNKNOWN_REGION. Close after any result. */
FO_MUST_CHECK enum fo_err fo_audit_walk_open(struct fo_audit_walk *w, const struct fo_query_view *v, const struct fo_audit_query *q);
void fo_audit_walk_close(struct fo_audit_walk *w);
/* The next batch of the region. FO_ERR_NOT_FOUND: the end. FO_ERR_CLOSED: the broker stops. Any other error, also one met while acks of
 * events before were read: the walk is worth nothing. */
FO_MUST_CHECK enum fo_err fo_audit_walk_next(struct fo_audit_walk *w);
/* The batch's i-th event; false when it is not asked about. */
bool fo_audit_walk_event(struct fo_audit_walk *w, uint32_t i, struct fo_audit_event *ret_e);
/* Own events, in their order: what became of one at a target of its batch. */
struct fo_audit_fate fo_audit_walk_fate(struct fo_audit_walk *w, const struct fo_audit_event *e, unsigned target);
/* fate: by region, filled for the batch's targets. before_lsn: acks from there on do not count. Returns whether one such was met.
 * See fo_audit_digest_row for the text. */
bool fo_audit_outcome(const struct fo_audit_walk *w, const struct fo_audit_fate fate[FO_REGIONS_MAX], uint64_t before_lsn,
    char ret_text[FO_OUTCOME_SIZE]);
/* Index of the query's region, -1: unknown; 0 for an empty name. */
int fo_audit_region(const struct fo_context *ctx, const char *name);
