/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest `cap` events by fingerprint of (tenant, id), so that an id which comes twice gets the first one's answer.
 * A ring of fingerprints in order of arrival and a hash table of ring slots over it; the oldest entry makes room for the newest. What events that
 * came together have in common stands once, in a run: so an event takes 24 bytes when they come by the hundred, 64 when each comes alone, and
 * memory that was not needed yet is not touched.
 *
 *   runs ascend by first, the newest ends at `added`; each has at least one event that is in the ring
 *
 * Fingerprints are 128-bit keyed hashes, so equal means the same event. Pure; caller's memory. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "base/time.h"

enum { FO_DEDUPE_MAX = 1 << 24, FO_DEDUPE_LINE_BYTES = 64, FO_DEDUPE_BUCKET = 15 };

struct fo_dedupe_entry {
    struct fo_fingerprint fp;
    uint64_t seq;
    uint64_t epoch : 48, lane : 8, region : 8;      /* region: index of the one that accepted it */
    fo_region_set targets;
    struct fo_wall accepted_at;
};

struct fo_dedupe_run {                  /* events with ascending sequences, one by one, and all else alike */
    uint64_t first;                     /* how many were added before it */
    uint64_t seq;                       /* of that first one */
    uint64_t epoch : 48, lane : 8, region : 8;
    fo_region_set targets;
    struct fo_wall accepted_at;
};

struct fo_dedupe_bucket {               /* a search compares all tags at once, and needs the ring only for what it looks for */
    uint8_t tag[FO_DEDUPE_BUCKET];      /* high bits of fp.lo; 0: the entry is free */
    uint8_t slot[FO_DEDUPE_BUCKET][3];  /* in the ring, low byte first */
    uint32_t passed;                    /* entries further on whose home is here or before */
};

struct fo_dedupe {
    struct fo_fingerprint *ring;
    struct fo_dedupe_bucket *table;     /* home by the low bits of fp.lo */
    uint32_t cap, table_mask, next, count;
    uint64_t added;                     /* ever */
    struct fo_dedupe_run *run;          /* a ring, too, of run_limit, a power of two that grows as it must */
    uint32_t run_limit, run_first, run_count;
    struct fo_dedupe_entry found;
};

/* Bytes of memory that init wants for cap entries; cap from 1 to FO_DEDUPE_MAX. */
size_t fo_dedupe_memory(uint32_t cap);
/* mem: zeroed, aligned to 8, of fo_dedupe_memory(cap) bytes, the caller's. */
void fo_dedupe_init(struct fo_dedupe *d, void *mem, uint32_t cap);
/* Null when not known. Valid until the next call. */
const struct fo_dedupe_entry *fo_dedupe_find(struct fo_dedupe *d, struct fo_fingerprint fp);
/* A hint that fp will be found or added soon. */
static inline void fo_dedupe_prefetch(const struct fo_dedupe *d, struct fo_fingerprint fp) { __builtin_prefetch(&d->table[(uint32_t)fp.lo & d->table_mask], 1); }
/* FO_ERR_EXISTS: nothing is changed. */
FO_MUST_CHECK enum fo_err fo_dedupe_add(struct fo_dedupe *d, const struct fo_dedupe_entry *entry);
