/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing with backward-shift deletion: no tombstones, so the table stays as fast on its
 * thousandth turn of the ring as on its first. */
#include "core/dedupe.h"

#include "base/assert.h"

enum { EVICT_AHEAD = 16 };              /* entries whose table place is fetched before they have to go */

static uint32_t
table_size(uint32_t cap)
{
    uint32_t n = 4;

    while (n < cap * 2)
        n *= 2;
    return n;
}

size_t
fo_dedupe_memory(uint32_t cap)
{
    return (size_t)cap * sizeof(struct fo_dedupe_entry) + (size_t)table_size(cap) * sizeof(uint32_t);
}

void
fo_dedupe_init(struct fo_dedupe *d, void *mem, uint32_t cap)
{
    fo_assert(cap > 0 && cap <= 1u << 24);
    *d = (struct fo_dedupe){ .ring = mem, .cap = cap, .table_mask = table_size(cap) - 1 };
    d->table = (uint32_t *)(d->ring + cap);
}

/* Index in the table where fp stands, or the empty one where it would. */
static uint32_t
probe(const struct fo_dedupe *d, struct fo_fingerprint fp)
{
    uint32_t i = (uint32_t)fp.lo & d->table_mask;

    for (; d->table[i] != 0; i = (i + 1) & d->table_mask) {
        const struct fo_dedupe_entry *e = &d->ring[d->table[i] - 1];

        if (e->fp.hi == fp.hi && e->fp.lo == fp.lo)
            break;
    }
    return i;
}

/* Empties table index i and moves later members of its run back, so that probing finds them. */
static void
table_remove(struct fo_dedupe *d, uint32_t i)
{
    uint32_t j = i;

    for (;;) {
        uint32_t home;

        j = (j + 1) & d->table_mask;
        if (d->table[j] == 0)
            break;
        home = (uint32_t)d->ring[d->table[j] - 1].fp.lo & d->table_mask;
        if (((j - home) & d->table_mask) >= ((j - i) & d->table_mask)) {
            d->table[i] = d->table[j];
            i = j;
        }
    }
    d->table[i] = 0;
}

const struct fo_dedupe_entry *
fo_dedupe_find(const struct fo_dedupe *d, struct fo_fingerprint fp)
{
    uint32_t slot = d->table[probe(d, fp)];

    return slot ? &d->ring[slot - 1] : NULL;
}

enum fo_err
fo_dedupe_add(struct fo_dedupe *d, const struct fo_dedupe_entry *entry)
{
    if (d->table[probe(d, entry->fp)] != 0)
        return FO_ERR_EXISTS;
    fo_dedupe_prefetch(d, d->ring[(d->next + EVICT_AHEAD) % d->cap].fp);
    if (d->count == d->cap)
        table_remove(d, probe(d, d->ring[d->next].fp));
    else
        d->count++;
    d->ring[d->next] = *entry;
    d->table[probe(d, entry->fp)] = d->next + 1;
    d->next = (d->next + 1) % d->cap;
    return FO_OK;
}
