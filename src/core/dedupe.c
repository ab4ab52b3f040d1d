/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table of buckets, each one line of the cache, whose tags are compared at once. An entry stands in the first bucket from its home on
 * that had room, and each bucket counts those that passed it, so a search is over at the first one that nobody has passed. There are no
 * tombstones, and nothing is moved: the table stays as fast on its thousandth turn of the ring as on its first. */
#include "core/dedupe.h"

#include "base/assert.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    EVICT_AHEAD = 16,                   /* entries whose bucket is fetched before they have to go */
    RUNS_MIN = 4,
    ENTRIES_EXPECTED = 8,               /* in a bucket, on average, at most */
    FREE = 0,                           /* the tag of an entry that is not used */
};

_Static_assert(FO_DEDUPE_MAX <= 1 << 24, "a slot fits into three bytes");
_Static_assert(sizeof(struct fo_dedupe_bucket) == FO_DEDUPE_LINE_BYTES, "a bucket is a line of the cache");

static uint32_t
bucket_count(uint32_t cap)              /* little more than half of their entries are ever used */
{
    uint32_t n = 1;

    while (n * ENTRIES_EXPECTED < cap)
        n *= 2;
    return n;
}

static uint32_t
runs_max(uint32_t cap)
{
    uint32_t n = 2;

    while (n < cap)
        n *= 2;
    return n;
}

size_t
fo_dedupe_memory(uint32_t cap)
{
    return (size_t)cap * sizeof(struct fo_fingerprint) + FO_DEDUPE_LINE_BYTES + bucket_count(cap) * sizeof(struct fo_dedupe_bucket)
        + runs_max(cap) * sizeof(struct fo_dedupe_run);
}

void
fo_dedupe_init(struct fo_dedupe *d, void *mem, uint32_t cap)
{
    uint8_t *ring_end = (uint8_t *)mem + (size_t)cap * sizeof(struct fo_fingerprint);

    fo_assert(cap > 0 && cap <= FO_DEDUPE_MAX);
    *d = (struct fo_dedupe){ .ring = mem, .cap = cap, .table_mask = bucket_count(cap) - 1, .run_limit = runs_max(cap) < RUNS_MIN ? runs_max(cap) : RUNS_MIN };
    d->table = (struct fo_dedupe_bucket *)(void *)(ring_end + (-(uintptr_t)ring_end & (FO_DEDUPE_LINE_BYTES - 1)));
    d->run = (struct fo_dedupe_run *)(d->table + bucket_count(cap));
}

static uint8_t
tag_of(struct fo_fingerprint fp)
{
    uint8_t tag = (uint8_t)(fp.lo >> 56);

    return tag != FREE ? tag : 1;
}

static uint32_t
home_of(const struct fo_dedupe *d, struct fo_fingerprint fp)
{
    return (uint32_t)fp.lo & d->table_mask;
}

static uint32_t
slot_at(const struct fo_dedupe_bucket *b, unsigned i)
{
    return b->slot[i][0] | (uint32_t)b->slot[i][1] << 8 | (uint32_t)b->slot[i][2] << 16;
}

static void
place(struct fo_dedupe_bucket *b, unsigned i, uint8_t tag, uint32_t slot)
{
    b->tag[i] = tag;
    b->slot[i][0] = (uint8_t)slot;
    b->slot[i][1] = (uint8_t)(slot >> 8);
    b->slot[i][2] = (uint8_t)(slot >> 16);
}

/* Bit i is set if entry i of the bucket has that tag. */
static inline uint32_t
find_tags(const struct fo_dedupe_bucket *b, uint8_t tag)
{
#if defined(__SSE2__)
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)b);        /* and one byte that is none */

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) & ((1u << FO_DEDUPE_BUCKET) - 1);
#else
    uint32_t found = 0;

    for (unsigned i = 0; i < FO_DEDUPE_BUCKET; i++)
        found |= (uint32_t)(b->tag[i] == tag) << i;
    return found;
#endif
}

/* False: not known. */
static inline bool
find_slot(const struct fo_dedupe *d, struct fo_fingerprint fp, uint32_t *ret_slot)
{
    uint8_t tag = tag_of(fp);

    for (uint32_t at = home_of(d, fp);; at = (at + 1) & d->table_mask) {
        const struct fo_dedupe_bucket *b = &d->table[at];

        for (uint32_t same = find_tags(b, tag); same != 0; same &= same - 1) {
            uint32_t slot = slot_at(b, (unsigned)__builtin_ctz(same));

            if (d->ring[slot].hi == fp.hi && d->ring[slot].lo == fp.lo) {
                *ret_slot = slot;
                return true;
            }
        }
        if (b->passed == 0)
            return false;
    }
}

static void
evict_oldest(struct fo_dedupe *d)
{
    struct fo_fingerprint fp = d->ring[d->next];
    uint8_t tag = tag_of(fp);

    for (uint32_t at = home_of(d, fp);; at = (at + 1) & d->table_mask) {
        struct fo_dedupe_bucket *b = &d->table[at];

        for (uint32_t same = find_tags(b, tag); same != 0; same &= same - 1) {
            unsigned i = (unsigned)__builtin_ctz(same);

            if (slot_at(b, i) == d->next) {
                b->tag[i] = FREE;
                return;
            }
        }
        b->passed--;
    }
}

static void
table_add(struct fo_dedupe *d, struct fo_fingerprint fp, uint32_t slot)
{
    uint32_t at = home_of(d, fp), free;

    for (; (free = find_tags(&d->table[at], FREE)) == 0; at = (at + 1) & d->table_mask)
        d->table[at].passed++;
    place(&d->table[at], (unsigned)__builtin_ctz(free), tag_of(fp), slot);
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
    const struct fo_dedupe_run *r;
    uint32_t slot, age;
    uint64_t number;

    if (!find_slot(d, fp, &slot))
        return NULL;
    age = d->next > slot ? d->next - slot : d->next + d->cap - slot;        /* 1: the newest */
    number = d->added - age;
    r = run_of(d, number);
    d->found = (struct fo_dedupe_entry){ .fp = fp, .seq = r->seq + (number - r->first), .epoch = r->epoch, .lane = r->lane, .region = r->region,
        .targets = r->targets, .accepted_at = r->accepted_at };
    return &d->found;
}

/* A hint that the entry which has to go some others later will go soon. */
static void
prefetch_oldest(const struct fo_dedupe *d)
{
    uint32_t soon = d->next + EVICT_AHEAD;

    fo_dedupe_prefetch(d, d->ring[soon < d->cap ? soon : soon % d->cap]);
}

enum fo_err
fo_dedupe_add(struct fo_dedupe *d, const struct fo_dedupe_entry *entry)
{
    uint32_t slot;

    if (find_slot(d, entry->fp, &slot))
        return FO_ERR_EXISTS;
    if (d->count == d->cap) {
        prefetch_oldest(d);
        evict_oldest(d);
    } else {
        d->count++;
    }
    run_add(d, entry);
    d->ring[d->next] = entry->fp;
    d->added++;
    table_add(d, entry->fp, d->next);
    d->next = d->next + 1 == d->cap ? 0 : d->next + 1;
    return FO_OK;
}
