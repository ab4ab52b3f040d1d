/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON Schema, a NUL, and a payload in msgpack that is checked against it. */
#include "fuzz.h"

#include <string.h>

void
fuzz_one(struct fo_slice input)
{
    const uint8_t *nul = input.n ? memchr(input.p, 0, input.n) : NULL;
    size_t n = nul != NULL ? (size_t)(nul - input.p) : input.n;
    struct fo_schema_set *set;
    struct fo_fault fault;
    enum fo_lane lane;
    unsigned type;

    DEMAND(fo_schema_set_create(&set) == FO_OK);
    if (fo_schema_set_add(set, "t", FO_LANE_LOW, fo_slice_of(input.p, n), &fault) == FO_OK) {
        DEMAND(fo_schema_set_find(set, FO_SLICE_LIT("t"), &type, &lane) == FO_OK && lane == FO_LANE_LOW);
        if (nul != NULL)
            demand_some(fo_schema_check(set, type, fo_slice_of(nul + 1, input.n - n - 1), &fault));
        DEMAND(fo_schema_set_add(set, "t", FO_LANE_LOW, (struct fo_slice){ 0 }, &fault) == FO_ERR_EXISTS);
    }
    fo_schema_set_destroy(set);
}
