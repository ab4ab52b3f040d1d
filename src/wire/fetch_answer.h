/* SPDX-License-Identifier: Apache-2.0
 *
 * A fetch's answer, written while the events are found:
 *   {"success": true, "events": [{"position": "...", "event": ...}, ...], "cursor": "...", "through": "2026-11-22T21:00:00.000000Z"}
 * An event that is not for every region has "targets" besides, an array of their names.
 * In msgpack an event is its record as it is stored (numbers as keys), in JSON it is CloudEvents JSON. */
#pragma once
#include "wire/door.h"
#include "wire/frame.h"

struct fo_fetch_answer {
    enum fo_encoding enc;
    struct fo_buf *out;         /* appended to; borrowed from begin to finish */
    size_t count_at;            /* in out */
    uint32_t count;             /* events so far */
    struct fo_position last;    /* msgpack: the one before, and its text up to the sequence */
    char last_text[FO_POSITION_SIZE];
    size_t last_text_bytes, last_region_bytes;
};

/* FO_ERR_NO_MEMORY; out is then unchanged. */
FO_MUST_CHECK enum fo_err fo_fetch_answer_begin(struct fo_fetch_answer *a, enum fo_encoding enc, struct fo_buf *out);
/* region: the event's source region, terminated. record: was decoded before. targets: whom it is for; count 0: every region. On an error
 * nothing of this event is in out. FO_ERR_NO_MEMORY, or in JSON what fo_event_write_json gives. */
FO_MUST_CHECK enum fo_err fo_fetch_answer_add(struct fo_fetch_answer *a, const char *region, const struct fo_position *pos, struct fo_slice record,
    const struct fo_target *targets, unsigned target_count);
/* through: what this broker had stored by then has been handed out with this answer's events, as far as the filter wants it. */
FO_MUST_CHECK enum fo_err fo_fetch_answer_finish(struct fo_fetch_answer *a, struct fo_slice cursor, struct fo_wall through);
