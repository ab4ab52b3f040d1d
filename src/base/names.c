/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include "base/assert.h"

const char *
fo_lane_name(enum fo_lane lane)
{
    static const char *const names[FO_LANES] = {"high", "normal", "low"};

    fo_assert((unsigned)lane < FO_LANES);
    return names[lane];
}

bool
fo_region_name_is_valid(struct fo_slice name)
{
    static const bool is_usual[256] = {['-'] = true, ['0' ... '9'] = true, ['a' ... 'z'] = true};
    bool is_valid = name.n > 0 && name.n <= FO_REGION_BYTES_MAX && name.p[0] != '-' && name.p[name.n - 1] != '-';

    for (size_t i = 0; is_valid && i < name.n; i++)
        is_valid = is_usual[name.p[i]];
    return is_valid;
}
