/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/cursor.h"

#include <inttypes.h>
#include <stdio.h>

void
fo_cursor_format(const struct fo_cursor *c, char ret_text[FO_CURSOR_SIZE])
{
    int n = snprintf(ret_text, FO_CURSOR_SIZE, "c2.%s.%" PRIx64 ".%" PRIx64 ".%x", c->region, c->epoch, (uint64_t)c->stand.since.us, c->stand.turn);

    for (int i = 0; i < FO_LANES; i++)
        n += snprintf(ret_text + n, FO_CURSOR_SIZE - (size_t)n, ".%" PRIx64 ".%" PRIx32, c->stand.lane[i].lsn, c->stand.lane[i].index);
}

/* sscanf is lenient about signs, spaces and prefixes; only what comes out again as it went in was ours. */
enum fo_err
fo_cursor_parse(struct fo_slice text, struct fo_cursor *ret_c)
{
    char buf[FO_CURSOR_SIZE], again[FO_CURSOR_SIZE];
    struct fo_cursor c;
    struct fo_place *lane = c.stand.lane;
    uint64_t since;

    if (text.n == 0 || text.n >= sizeof buf)
        return FO_ERR_INVALID;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    if (sscanf(buf, "c2.%32[a-z0-9-].%16" SCNx64 ".%16" SCNx64 ".%1x.%16" SCNx64 ".%8" SCNx32 ".%16" SCNx64 ".%8" SCNx32 ".%16" SCNx64 ".%8" SCNx32,
            c.region, &c.epoch, &since, &c.stand.turn, &lane[0].lsn, &lane[0].index, &lane[1].lsn, &lane[1].index, &lane[2].lsn, &lane[2].index) != 10)
        return FO_ERR_INVALID;
    if (since > INT64_MAX || c.stand.turn >= FO_TURNS || !fo_region_name_is_valid(fo_slice_str(c.region)))
        return FO_ERR_INVALID;
    c.stand.since.us = (int64_t)since;
    fo_cursor_format(&c, again);
    if (!fo_slice_is_equal(text, fo_slice_str(again)))
        return FO_ERR_INVALID;
    *ret_c = c;
    return FO_OK;
}

enum fo_lane
fo_turn_lane(unsigned turn, unsigned lane_mask)
{
    if (turn == FO_TURNS / 2 - 1 && (lane_mask >> FO_LANE_NORMAL & 1))
        return FO_LANE_NORMAL;
    if (turn == FO_TURNS - 1 && (lane_mask >> FO_LANE_LOW & 1))
        return FO_LANE_LOW;
    return (enum fo_lane)__builtin_ctz(lane_mask);
}
