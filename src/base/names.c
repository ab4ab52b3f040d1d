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
