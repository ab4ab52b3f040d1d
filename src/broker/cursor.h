/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader's position in one broker's journal as text, "c1.REGION.EPOCH.LSN.INDEX" with numbers in hexadecimal: opaque to readers,
 * and the broker believes none of it before it has looked. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"

enum { FO_CURSOR_SIZE = 80 };

struct fo_cursor {
    char region[FO_REGION_BYTES_MAX + 1];
    uint64_t epoch, lsn;                /* of the data directory; of the next record to read */
    uint32_t index;                     /* of the next event in it */
};

void fo_cursor_format(const struct fo_cursor *c, char ret_text[FO_CURSOR_SIZE]);
/* FO_ERR_INVALID: not a text that fo_cursor_format writes. */
FO_MUST_CHECK enum fo_err fo_cursor_parse(struct fo_slice text, struct fo_cursor *ret_c);
