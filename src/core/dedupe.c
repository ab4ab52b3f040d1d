/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing with backward-shift deletion: no tombstones, so the table stays as fast on its
 * thousandth turn of the ring as on its first. */
#include "core/dedupe.h"

#include "base/assert.h"

enum { SLOT_BITS = 25, EVICT_AHEAD = 16, RUNS_MIN = 4 };   /* EVICT_AHEAD: entries whose table place is fetched before they have to go */

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
    return (size_t)cap * sizeof(struct fo_fingerprint) + (size_t)table_size(cap) * (sizeof(uint64_t) + sizeof(struct fo_dedupe_run) / 2);
}

void
fo_dedupe_init(struct fo_dedupe *d, void *mem, uint32_t cap)
{
    fo_assert(cap > 0 && cap <= FO_DEDUPE_MAX);
    *d = (struct fo_dedupe){ .ring = mem, .cap = cap, .table_mask = table_size(cap) - 1, .run_limit = table_size(cap) / 2 < RUNS_MIN ? table_size(cap) / 2 : RUNS_MIN };
    d->table = (uint64_t *)(d->ring + cap);
    d->run = (struct fo_dedupe_run *)(d->table + table_size(cap));     /* half as many: no more than cap are ever needed */
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
        const struct fo_fingerprint *known;

        if ((d->table[i] ^ key) >> SLOT_BITS != 0)
            continue;
        known = &d->ring[slot_of(d->table[i])];
        if (known->hi == fp.hi && known->lo == fp.lo)
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
    uint32_t i = (uint32_t)d->ring[d->next].lo & d->table_mask;

    while (slot_of(d->table[i]) != d->next)
        i = (i + 1) & d->table_mask;
    table_remove(d, i);
}

static struct fo_dedupe_run *
run_at(const struct fo_dedupe *d, uint32_t i)
{
    return &d->run[(d->run_first + i) & (d->run_limit - 1)];
}

/* Those whose events have all left the ring once one more is in it. */
static void
drop_runs(struct fo_dedupe *d)
{
    uint64_t oldest = d->added + 1 > d->cap ? d->added + 1 - d->cap : 0;

    while (d->run_count > 0 && (d->run_count > 1 ? run_at(d, 1)->first : d->added) <= oldest) {
        d->run_first = (d->run_first + 1) & (d->run_limit - 1);
        d->run_count--;
    }
}

static bool
continues(const struct fo_dedupe *d, const struct fo_dedupe_run *r, const struct fo_dedupe_entry *e)
{
    return e->seq == r->seq + (d->added - r->first) && e->epoch == r->epoch && e->lane == r->lane && e->region == r->region
        && e->targets == r->targets && e->accepted_at.us == r->accepted_at.us;
}

/* Puts the next event to be added into the newest run, or begins one. */
static void
run_add(struct fo_dedupe *d, const struct fo_dedupe_entry *e)
{
    drop_runs(d);
    if (d->run_count > 0 && continues(d, run_at(d, d->run_count - 1), e))
        return;
    if (d->run_count == d->run_limit) {             /* what stood wrapped at the beginning goes behind the end */
        memcpy(d->run + d->run_limit, d->run, d->run_first * sizeof *d->run);
        d->run_limit *= 2;
    }
    *run_at(d, d->run_count++) = (struct fo_dedupe_run){ .first = d->added, .seq = e->seq, .epoch = e->epoch, .lane = e->lane,
        .region = e->region, .targets = e->targets, .accepted_at = e->accepted_at };
}

/* The run of the event that was added after `number` others. */
static const struct fo_dedupe_run *
run_of(const struct fo_dedupe *d, uint64_t number)
{
    uint32_t low = 0, high = d->run_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (run_at(d, middle)->first <= number)
            low = middle;
        else
            high = middle;
    }
    return run_at(d, low);
}

const struct fo_dedupe_entry *
fo_dedupe_find(struct fo_dedupe *d, struct fo_fingerprint fp)
{
    uint64_t word = d->table[probe(d, fp)], number;
    const struct fo_dedupe_run *r;
    uint32_t slot, age;

    if (word == 0)
        return NULL;
    slot = slot_of(word);
    age = d->next > slot ? d->next - slot : d->next + d->cap - slot;        /* 1: the newest */
    number = d->added - age;
    r = run_of(d, number);
    d->found = (struct fo_dedupe_entry){ .fp = fp, .seq = r->seq + (number - r->first), .epoch = r->epoch, .lane = r->lane, .region = r->region,
        .targets = r->targets, .accepted_at = r->accepted_at };
    return &d->found;
}

enum fo_err
fo_dedupe_add(struct fo_dedupe *d, const struct fo_dedupe_entry *entry)
{
    uint32_t i = probe(d, entry->fp);

    if (d->table[i] != 0)
        return FO_ERR_EXISTS;
    if (d->count == d->cap) {
        fo_dedupe_prefetch(d, d->ring[(d->next + EVICT_AHEAD) % d->cap]);
        evict_oldest(d);
        i = probe(d, entry->fp);        /* what moved may have freed a place before it */
    } else {
        d->count++;
    }
    run_add(d, entry);
    d->ring[d->next] = entry->fp;
    d->added++;
    d->table[i] = entry->fp.lo << SLOT_BITS | (d->next + 1);
    d->next = d->next + 1 == d->cap ? 0 : d->next + 1;
    return FO_OK;
}
