/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a reader stands in one broker's journal: a place for each lane, for each lane is read on its own. As text it is
 * "c2.REGION.EPOCH.SINCE.TURN" and ".LSN.INDEX" of high, normal and low, with numbers in hexadecimal: opaque to readers, and
 * the broker believes none of it before it has looked. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "base/time.h"

enum { FO_CURSOR_SIZE = 160 };

/* Of so many events in a row one is the normal lane's and one the low lane's, if anything waits there; else the highest lane goes first. */
enum { FO_TURNS = 10 };

struct fo_place { uint64_t lsn; uint32_t index; };  /* of the next record to read, and of the next event in it */

struct fo_stand {
    struct fo_place lane[FO_LANES];
    struct fo_wall since;               /* what was appended before is not wanted; us 0: no such limit */
    unsigned turn;                      /* below FO_TURNS */
};

struct fo_cursor {
    char region[FO_REGION_BYTES_MAX + 1];
    uint64_t epoch;                     /* of the data directory */
    struct fo_stand stand;
};

void fo_cursor_format(const struct fo_cursor *c, char ret_text[FO_CURSOR_SIZE]);
/* FO_ERR_INVALID: not a text that fo_cursor_format writes. */
FO_MUST_CHECK enum fo_err fo_cursor_parse(struct fo_slice text, struct fo_cursor *ret_c);
/* Whose turn it is among the lanes that have an event (bit per lane, not 0). */
enum fo_lane fo_turn_lane(unsigned turn, unsigned lane_mask);
