/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gaps.h"

#include "base/assert.h"

/* Halves the table at least. A search from far back may walk further than one from near the end before anybody notices: so what
 * counts is a gap's part of the way from it to the end. */
static void
forget_least(struct fo_gaps *g, uint64_t end_lsn)
{
    for (uint64_t part = 16 * FO_GAPS_MAX; g->count > FO_GAPS_MAX / 2; part /= 2) {
        unsigned kept = 0;

        fo_assert(part > 0);
        for (unsigned i = 0; i < g->count; i++)
            if (g->gap[i].to_lsn - g->gap[i].from_lsn > (end_lsn - g->gap[i].from_lsn) / part)
                g->gap[kept++] = g->gap[i];
        g->count = kept;
    }
}

void
fo_gaps_note(struct fo_gaps *g, uint64_t lsn)
{
    uint64_t from = g->last_lsn == 0 ? 0 : g->last_lsn + 1;

    if (lsn <= g->last_lsn)
        return;
    g->last_lsn = lsn;
    if (lsn - from < FO_GAP_BYTES_MIN)
        return;
    if (g->count == FO_GAPS_MAX)
        forget_least(g, lsn);
    g->gap[g->count++] = (struct fo_gap){ from, lsn };
}

uint64_t
fo_gaps_next(const struct fo_gaps *g, uint64_t lsn)
{
    unsigned lo = 0, hi = g->count;

    if (g->last_lsn == 0 || lsn > g->last_lsn)
        return UINT64_MAX;
    while (lo < hi) {                       /* first gap that ends behind lsn */
        unsigned mid = (lo + hi) / 2;

        if (g->gap[mid].to_lsn > lsn)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < g->count && g->gap[lo].from_lsn <= lsn ? g->gap[lo].to_lsn : lsn;
}

bool
fo_gaps_restore(struct fo_gaps *g, struct fo_gap gap)
{
    uint64_t behind = g->count > 0 ? g->gap[g->count - 1].to_lsn : 0;

    if (g->count == FO_GAPS_MAX || gap.from_lsn >= gap.to_lsn || gap.from_lsn < behind || gap.to_lsn > g->last_lsn)
        return false;
    g->gap[g->count++] = gap;
    return true;
}
