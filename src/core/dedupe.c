/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing with backward-shift deletion: no tombstones, so the table stays as fast on its
 * thousandth turn of the ring as on its first. */
#include "core/dedupe.h"

#include "base/assert.h"

enum { SLOT_BITS = 25, EVICT_AHEAD = 16 };      /* entries whose table place is fetched before they have to go */

_Static_assert(FO_DEDUPE_MAX < 1 << SLOT_BITS, "slot + 1 fits beside the key");

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
    return (size_t)cap * sizeof(struct fo_dedupe_entry) + (size_t)table_size(cap) * sizeof(uint64_t);
}

void
fo_dedupe_init(struct fo_dedupe *d, void *mem, uint32_t cap)
{
    fo_assert(cap > 0 && cap <= FO_DEDUPE_MAX);
    *d = (struct fo_dedupe){ .ring = mem, .cap = cap, .table_mask = table_size(cap) - 1 };
    d->table = (uint64_t *)(d->ring + cap);
}

static uint32_t
slot_of(uint64_t word)
{
    return (uint32_t)(word & ((1u << SLOT_BITS) - 1)) - 1;
}

static uint32_t
home_of(const struct fo_dedupe *d, uint64_t word)
{
    return (uint32_t)(word >> SLOT_BITS) & d->table_mask;
}

/* Index in the table where fp stands, or the empty one where it would. */
static uint32_t
probe(const struct fo_dedupe *d, struct fo_fingerprint fp)
{
    uint64_t key = fp.lo << SLOT_BITS;
    uint32_t i = home_of(d, key);

    for (; d->table[i] != 0; i = (i + 1) & d->table_mask) {
        const struct fo_dedupe_entry *e;

        if ((d->table[i] ^ key) >> SLOT_BITS != 0)
            continue;
        e = &d->ring[slot_of(d->table[i])];
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
        j = (j + 1) & d->table_mask;
        if (d->table[j] == 0)
            break;
        if (((j - home_of(d, d->table[j])) & d->table_mask) >= ((j - i) & d->table_mask)) {
            d->table[i] = d->table[j];
            i = j;
        }
    }
    d->table[i] = 0;
}

static void
evict_oldest(struct fo_dedupe *d)
{
    uint32_t i = (uint32_t)d->ring[d->next].fp.lo & d->table_mask;

    while (slot_of(d->table[i]) != d->next)
        i = (i + 1) & d->table_mask;
    table_remove(d, i);
}

const struct fo_dedupe_entry *
fo_dedupe_find(const struct fo_dedupe *d, struct fo_fingerprint fp)
{
    uint64_t word = d->table[probe(d, fp)];

    return word != 0 ? &d->ring[slot_of(word)] : NULL;
}

enum fo_err
fo_dedupe_add(struct fo_dedupe *d, const struct fo_dedupe_entry *entry)
{
    uint32_t i = probe(d, entry->fp);

    if (d->table[i] != 0)
        return FO_ERR_EXISTS;
    if (d->count == d->cap) {
        fo_dedupe_prefetch(d, d->ring[(d->next + EVICT_AHEAD) % d->cap].fp);
        evict_oldest(d);
        i = probe(d, entry->fp);        /* what moved may have freed a place before it */
    } else {
        d->count++;
    }
    d->ring[d->next] = *entry;
    d->table[i] = entry->fp.lo << SLOT_BITS | (d->next + 1);
    d->next = d->next + 1 == d->cap ? 0 : d->next + 1;
    return FO_OK;
}
