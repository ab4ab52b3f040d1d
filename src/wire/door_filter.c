/* SPDX-License-Identifier: Apache-2.0
 *
 * Which events a fetch wants. Runs for each event and each reader: lengths are compared before bytes. */
#include "wire/door.h"

static bool
is_wanted(struct fo_slice wanted, struct fo_slice value)
{
    return wanted.n == 0 || fo_slice_is_equal(wanted, value);
}

bool
fo_filter_match(const struct fo_filter *filter, const struct fo_event *event)
{
    unsigned i = 0;

    if (!is_wanted(filter->tenant, event->tenant) || !is_wanted(filter->key, event->partitionkey)
        || !is_wanted(filter->region, event->sourceregion))
        return false;
    while (i < filter->type_count && !fo_slice_is_equal(filter->type[i], event->type))
        i++;
    return filter->type_count == 0 || i < filter->type_count;
}
