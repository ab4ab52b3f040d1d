/* SPDX-License-Identifier: Apache-2.0
 *
 * What the journal's records add up to: the state that a restart needs. The same apply functions run when a record is appended
 * and when it is read back, so recovery cannot differ from running. Checkpoints hold this state and begin every segment.
 *
 * It is exactly the state of the appended records, never ahead of them: a sequence given out but not yet written must
 * not survive a crash in a checkpoint, or the peers would wait for it for ever. */
#pragma once
#include "broker/context.h"
#include "core/chain.h"
#include "core/epochs.h"
#include "core/gaps.h"

#define FO_MARKS_MAX 1024               /* checkpoints remembered, newest kept */
struct fo_state_mark { uint64_t lsn, events_total; struct fo_wall at; };

struct fo_state_link { uint64_t acked_seq, oldest_lsn; };   /* oldest_lsn: reading from here finds every unacked batch */

struct fo_state {
    struct fo_epochs epochs;
    uint64_t last_seq[FO_LANES];
    uint8_t prev_root[FO_LANES][FO_HASH_BYTES];
    uint64_t tail_seq[FO_REGIONS_MAX][FO_LANES];            /* newest sequence that targeted the region */
    struct fo_state_link link[FO_REGIONS_MAX][FO_LANES];
    struct fo_mark received[FO_REGIONS_MAX][FO_LANES];
    uint64_t events_total;                                  /* own and received, ever */
    struct fo_gaps gaps[FO_LANES];
    struct fo_state_mark mark[FO_MARKS_MAX]; unsigned mark_count;
};

struct fo_ack_span { enum fo_lane lane; uint64_t epoch, from_seq, to_seq; uint32_t attempts; };
struct fo_ack_record {                  /* body of an ACK record, see proto of the journal in fo_ack_record_encode */
    struct fo_slice peer; struct fo_wall arrived_at;
    struct fo_ack_span span[FO_LANES * 2]; unsigned span_count;
    struct fo_exception exception[FO_EXCEPTIONS_MAX]; unsigned exception_count;
    struct fo_slice frame;
    struct fo_slice via;                /* region that carried our batches; n 0: the direct link */
};

/* A later epoch, from the next sequences on. One that is not later changes nothing. */
void fo_state_begin_epoch(struct fo_state *s, uint64_t epoch);
void fo_state_apply_own(struct fo_state *s, const struct fo_batch_header *h, fo_region_set targets, uint64_t lsn);
void fo_state_apply_received(struct fo_state *s, unsigned source, const struct fo_batch_header *h);
void fo_state_apply_ack(struct fo_state *s, unsigned peer, const struct fo_ack_record *a);
/* Any batch, also one that says nothing else to the state. */
void fo_state_apply_lane(struct fo_state *s, enum fo_lane lane, uint64_t lsn);
void fo_state_apply_mark(struct fo_state *s, uint64_t lsn, struct fo_wall at);
/* Newest LSN from which at least `events` events follow; the oldest remembered when there are fewer. */
uint64_t fo_state_lsn_before(const struct fo_state *s, uint64_t events);
/* When the newest remembered checkpoint at or before lsn was appended; us 0: there is none. */
struct fo_wall fo_state_time_of(const struct fo_state *s, uint64_t lsn);
/* Newest remembered LSN appended before t; 0: none. What was appended at t itself may stand on either side of a checkpoint of that time. */
uint64_t fo_state_lsn_at(const struct fo_state *s, struct fo_wall t);

/* [peer, arrived_at_us, [[lane, epoch, from, to, attempts]...], [[lane, seq, verdict]...], frame, via] as msgpack. */
size_t fo_ack_record_bytes_max(size_t frame_bytes);
FO_MUST_CHECK enum fo_err fo_ack_record_encode(const struct fo_ack_record *a, struct fo_buf *out);
FO_MUST_CHECK enum fo_err fo_ack_record_decode(struct fo_slice body, struct fo_ack_record *ret_a);

/* Regions stand by name, so that the table may change between starts. */
FO_MUST_CHECK enum fo_err fo_checkpoint_encode(const struct fo_state *s, const struct fo_context *ctx, struct fo_buf *out);
/* Regions that the table no longer has are dropped. */
FO_MUST_CHECK enum fo_err fo_checkpoint_decode(struct fo_slice body, const struct fo_context *ctx, struct fo_state *ret_s);
