/* SPDX-License-Identifier: Apache-2.0
 *
 * Who waits at the durable end. Parked fetches that want the same and may have as much of it are one group, whose answer is made
 * once. Groups are found by what they filter for: an event is shown to those that may want it, and costs nothing for the others.
 *
 * All that are parked stand at the same place, the durable end: whatever came before they have seen, or not wanted. */
#pragma once
#include "broker/batch.h"
#include "wire/door.h"

enum { FO_AUDIENCE_BUCKETS = 512 };

struct fo_hit { const struct fo_batch *batch; uint32_t index, next; };     /* next: in the audience's hits, or FO_HIT_NONE */
#define FO_HIT_NONE UINT32_MAX

struct fo_parked { struct fo_parked *next; uint64_t request; struct fo_instant deadline; };

struct fo_group;
struct fo_want { struct fo_want *next; struct fo_group *group; uint32_t hash; unsigned field; struct fo_slice value; };

struct fo_group {
    struct fo_group *next, **link;          /* of those that filter, or of those that do not */
    struct fo_group *heard_next;
    struct fo_group *same_hash;
    uint32_t hash;
    struct fo_slice key;                    /* all that makes a group, as bytes of its own */
    enum fo_encoding encoding;
    uint32_t events_max, bytes_max;
    struct fo_wall since;                   /* in the future, when it was parked; us 0: none */
    struct fo_filter filter;                /* slices of the key */
    bool is_any, is_heard, is_short_of_memory;
    struct fo_want want[FO_FILTER_TYPES_MAX]; unsigned want_count;
    struct fo_parked *parked;
    struct { uint32_t first, last, count; } hits[FO_LANES];
};

struct fo_audience {
    struct fo_group *groups[2];             /* by is_any */
    struct fo_group *heard;                 /* those with hits */
    struct fo_group *by_hash[FO_AUDIENCE_BUCKETS];
    struct fo_want *by_value[FO_AUDIENCE_BUCKETS];
    unsigned wants[4];                      /* per field */
    struct fo_buf hits;                     /* struct fo_hit, of the batches heard since the last forget */
    unsigned parked_count;
    struct fo_instant deadline;             /* nobody's is earlier */
};

/* What a fetch wants and how much of it, as bytes. */
enum { FO_WISH_BYTES_MAX = 32 + FO_FILTER_TYPES_MAX * (1 + FO_TYPE_BYTES_MAX) + 3 * 256 };
void fo_wish_write(const struct fo_request *req, struct fo_wall since, struct fo_writer *w);

void fo_audience_init(struct fo_audience *a);
void fo_audience_fini(struct fo_audience *a);
/* req is copied. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_audience_park(struct fo_audience *a, uint64_t request, const struct fo_request *req, struct fo_wall since, struct fo_instant deadline);
/* Shows a batch to those that filter. The batch stays where it is until the hits are forgotten. */
void fo_audience_hear(struct fo_audience *a, const struct fo_batch *b);
const struct fo_hit *fo_audience_hit(const struct fo_audience *a, uint32_t hit);
void fo_audience_forget_hits(struct fo_audience *a);
/* Takes those of a group off that are over time, all: every one. The group is gone with the last. */
struct fo_parked *fo_audience_take(struct fo_audience *a, struct fo_group *g, struct fo_instant now, bool all);
