/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/cursor.h"

#include <inttypes.h>
#include <stdio.h>

void
fo_cursor_format(const struct fo_cursor *c, char ret_text[FO_CURSOR_SIZE])
{
    snprintf(ret_text, FO_CURSOR_SIZE, "c1.%s.%" PRIx64 ".%" PRIx64 ".%" PRIx32, c->region, c->epoch, c->lsn, c->index);
}

/* sscanf is lenient about signs, spaces and prefixes; only what comes out again as it went in was ours. */
enum fo_err
fo_cursor_parse(struct fo_slice text, struct fo_cursor *ret_c)
{
    char buf[FO_CURSOR_SIZE], again[FO_CURSOR_SIZE];
    struct fo_cursor c;

    if (text.n == 0 || text.n >= sizeof buf)
        return FO_ERR_INVALID;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    if (sscanf(buf, "c1.%32[a-z0-9-].%16" SCNx64 ".%16" SCNx64 ".%8" SCNx32, c.region, &c.epoch, &c.lsn, &c.index) != 4)
        return FO_ERR_INVALID;
    fo_cursor_format(&c, again);
    if (!fo_slice_is_equal(text, fo_slice_str(again)))
        return FO_ERR_INVALID;
    *ret_c = c;
    return FO_OK;
}
