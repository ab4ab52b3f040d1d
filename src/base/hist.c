/* SPDX-License-Identifier: Apache-2.0
 *
 * Values below 2^SUB_BITS have a bucket each. Above, a value's bucket is named by the position of its highest bit (the
 * group) and the SUB_BITS bits that follow it. */
#include "base/hist.h"

#include <string.h>

#include "base/assert.h"

enum { SUB = 1 << FO_HIST_SUB_BITS };

static unsigned
bucket_of(uint64_t v)
{
    unsigned top;

    if (v < SUB)
        return (unsigned)v;
    top = 63 - (unsigned)__builtin_clzll(v);
    return (top - FO_HIST_SUB_BITS + 1) * SUB + (unsigned)(v >> (top - FO_HIST_SUB_BITS) & (SUB - 1));
}

static uint64_t
lower_bound_of(unsigned bucket)
{
    unsigned group = bucket / SUB, sub = bucket % SUB;

    return group == 0 ? sub : (uint64_t)(SUB + sub) << (group - 1);
}

void
fo_hist_init(struct fo_hist *h)
{
    memset(h, 0, sizeof *h);
}

void
fo_hist_add(struct fo_hist *h, uint64_t value)
{
    h->bucket[bucket_of(value)]++;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
}

void
fo_hist_merge(struct fo_hist *into, const struct fo_hist *from)
{
    for (unsigned i = 0; i < FO_HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

/* The quantile is the value at rank ceil(q * count), the nearest-rank definition. */
uint64_t
fo_hist_quantile(const struct fo_hist *h, double q)
{
    uint64_t rank, seen = 0;

    fo_assert(q >= 0 && q <= 1);
    if (q == 1 || h->count == 0)
        return h->max;
    rank = (uint64_t)(q * (double)h->count);
    if ((double)rank < q * (double)h->count || rank == 0)
        rank++;
    for (unsigned i = 0; i < FO_HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            return lower_bound_of(i);
    }
    return h->max;
}
