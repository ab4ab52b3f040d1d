/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors: what is taken is written again as the same text. */
#include "fuzz.h"

#include "broker/cursor.h"

void
fuzz_one(struct fo_slice input)
{
    char text[FO_CURSOR_SIZE];
    struct fo_cursor c;

    if (fo_cursor_parse(input, &c) != FO_OK)
        return;
    fo_cursor_format(&c, text);
    DEMAND(fo_slice_is_equal(input, fo_slice_str(text)) && fo_region_name_is_valid(fo_slice_str(c.region)));
}
