/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/context.h"

int
fo_context_region(const struct fo_context *c, struct fo_slice name)
{
    for (unsigned i = 0; i < c->regions.count; i++)
        if (fo_slice_is_equal(fo_slice_str(c->regions.name[i]), name))
            return (int)i;
    return -1;
}
