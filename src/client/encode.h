/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as bytes (msgpack). Events are written one after the other into a buffer; the request around them is
 * made when they are sent. */
#pragma once
#include <fanout/publish.h>
#include <fanout/subscribe.h>

#include "base/bytes.h"
#include "wire/error.h"

/* Appends the event as one map, its id being made_id when it has none. On error nothing is appended, and ret_fault says what
 * is wrong with it. FO_ERR_MISSING (type), what fo_json_parse refuses, FO_ERR_INVALID, FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_encode_event(const struct fanout_event *event, const char *made_id, struct fo_buf *out,
    struct fo_fault *ret_fault);
/* The id of the first event in what fo_encode_event wrote; borrowed. FO_ERR_PROTO: it did not write that. */
FO_MUST_CHECK enum fo_err fo_encoded_id(struct fo_slice events, struct fo_slice *ret_id);
/* What a publish request takes beside its events, and what NNG puts before it, at most. */
enum { FO_PUBLISH_HEAD_BYTES_MAX = 96 };

/* Appends a publish request for `count` maps that stand in `events`. Of a timeout_ms that no broker takes the nearest is sent. */
FO_MUST_CHECK enum fo_err fo_encode_publish(struct fo_slice events, uint32_t count, int wait, int timeout_ms, bool is_brief,
    struct fo_buf *out);

struct fo_fetch_ask {
    const struct fanout_filter *filter;
    int from;                   /* enum fanout_from */
    const char *cursor;         /* the broker's own; FROM_CURSOR */
    const char *time;           /* RFC 3339; FROM_TIME */
    unsigned events_max, bytes_max;
    int wait_ms;
};
FO_MUST_CHECK enum fo_err fo_encode_fetch(const struct fo_fetch_ask *ask, struct fo_buf *out);
FO_MUST_CHECK enum fo_err fo_encode_ping(struct fo_buf *out);
