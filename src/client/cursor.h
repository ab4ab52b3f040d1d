/* SPDX-License-Identifier: Apache-2.0
 *
 * A subscription's cursor: where one broker stands, and what was seen of every source, so that a subscription can go on at
 * another region's broker without handing anything out twice.
 *
 *   f2~REGION~BROKER'S CURSOR~US TO BEGIN AT~SOURCE:EPOCH:LANE:SEQ,SOURCE:EPOCH:LANE:SEQ:TARGETS,...
 *
 * A mark is the last position seen of a source region's lane, among the events that are for the same regions (TARGETS: their names,
 * hashed; none: for all). Each broker that they are for hands these out in order, so whatever of them stands at or before the mark has
 * been seen; of events that are for other regions it says nothing, as the broker that was read from may not have had them. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"

struct fo_mark { char region[FO_REGION_BYTES_MAX + 1]; struct fo_position pos; uint64_t targets; };

#define FO_MARKS_MAX (FO_REGIONS_MAX * FO_LANES)
struct fo_marks { struct fo_mark at[FO_MARKS_MAX]; unsigned count, last; };

/* Parses "us-east-1:18f3c2a1b00:high:42". FO_ERR_PARSE. */
FO_MUST_CHECK enum fo_err fo_position_parse(struct fo_slice text, struct fo_slice *ret_region, struct fo_position *ret_pos);
/* The event there was handed out before. */
bool fo_marks_has(struct fo_marks *m, struct fo_slice region, struct fo_position pos, uint64_t targets);
/* It is now. When there are more kinds than marks some are not noted: they may come twice, and nothing is lost. */
void fo_marks_note(struct fo_marks *m, struct fo_slice region, struct fo_position pos, uint64_t targets);

struct fo_cursor {
    char region[FO_REGION_BYTES_MAX + 1];   /* whose broker; empty: not known */
    struct fo_slice place;                  /* the broker's cursor; borrowed; empty: none yet */
    int64_t begin_us;                       /* where to begin without a place: what brokers stored before was seen; 0: at the earliest */
};
/* Appends the text and a NUL. */
FO_MUST_CHECK enum fo_err fo_cursor_format(const struct fo_cursor *c, const struct fo_marks *m, struct fo_buf *out);
/* Also accepts a broker's own cursor, which gives only the place. place borrows text. FO_ERR_PARSE. */
FO_MUST_CHECK enum fo_err fo_cursor_parse(const char *text, struct fo_cursor *ret_c, struct fo_marks *ret_m);
