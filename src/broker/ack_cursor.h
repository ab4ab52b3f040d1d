/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds, in order, which ack settled a sequence: one cursor per peer and lane walks the journal's ACK records once, however
 * many sequences are asked for, as long as they ascend. */
#pragma once
#include "broker/state.h"
#include "broker/walk.h"

struct fo_ack_cursor {
    struct fo_walk walk;
    struct fo_slice peer;
    enum fo_lane lane;
    bool has_span;
    struct fo_ack_span span;            /* the newest of the lane that was read */
    struct fo_ack_record record;        /* the record it stood in; slices valid until the next find */
    uint64_t lsn;                       /* that record's */
};

/* peer: region index. Close after any result. */
FO_MUST_CHECK enum fo_err fo_ack_cursor_open(struct fo_ack_cursor *c, const struct fo_query_view *v, unsigned peer, enum fo_lane lane, uint64_t from_lsn);
void fo_ack_cursor_close(struct fo_ack_cursor *c);
/* seq ascends from call to call. FO_ERR_NOT_FOUND: not settled yet, or by an ack that is not there any more. FO_ERR_CLOSED: the broker
 * stops. No other error says anything of the sequence. */
FO_MUST_CHECK enum fo_err fo_ack_cursor_find(struct fo_ack_cursor *c, uint64_t seq);
/* After FO_OK of find: 0 delivered, else enum fo_verdict. */
uint8_t fo_ack_cursor_verdict(const struct fo_ack_cursor *c, uint64_t seq);
