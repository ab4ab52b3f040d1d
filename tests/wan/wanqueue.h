/* SPDX-License-Identifier: Apache-2.0
 *
 * One direction of an emulated line: what happens to each packet that is sent along it, and when it comes out.
 *
 *   push --cut, lost, queue full--> dropped
 *     \--> waits for the rate (token bucket) --> under way (delay, jitter) --> pop
 *
 * Pure but for the allocation of packets: the clock is an argument and one seed decides every random choice, so the same packets
 * at the same times have the same fate. */
#pragma once
#include "base/rng.h"
#include "base/time.h"

enum { WAN_PACKETS_MAX = 65536 };       /* held in one direction, duplicates included */
enum { WAN_PPM = 1000000 };

struct wan_rules {
    struct fo_duration delay, jitter;   /* jitter: up to so much more or less; never reorders by itself */
    uint64_t rate_bps;                  /* 0: as fast as it goes */
    uint32_t queue_bytes, burst_bytes;  /* with a rate: what may wait for it, and what may pass at once after a pause */
    uint32_t loss_ppm, duplicate_ppm;
    uint32_t reorder_ppm;               /* held back, so that later ones overtake */
    bool is_cut;                        /* everything sent or under way is dropped */
};

struct wan_packet { struct fo_instant due; uint64_t serial; uint32_t n; uint8_t bytes[]; };

struct wan_counters { uint64_t in, out, out_bytes, lost, overflowed, cut, duplicated, reordered; };

struct wan_queue {
    struct wan_rules rules;
    struct fo_rng rng;
    struct wan_packet **heap;           /* by due, then serial */
    uint32_t count, cap;
    uint64_t serial;
    struct fo_instant free_at;          /* when the rate has let everything pass; before now: saved up tokens */
    struct fo_instant last_due;         /* of those that keep their order */
    struct wan_counters counters;
};

/* A perfect line: no delay, no limit. */
struct wan_rules wan_rules_none(void);
void wan_queue_init(struct wan_queue *q, uint64_t seed);
void wan_queue_fini(struct wan_queue *q);
/* New rules for what comes; what is under way keeps its time unless the line is cut. */
void wan_queue_set(struct wan_queue *q, const struct wan_rules *rules, struct fo_instant now);
/* Copies the packet. Whatever happens to it is counted. */
void wan_queue_push(struct wan_queue *q, const void *bytes, uint32_t n, struct fo_instant now);
/* The next packet that has arrived by now, the caller's to free; null: none. */
struct wan_packet *wan_queue_pop(struct wan_queue *q, struct fo_instant now);
/* When the next one arrives; ns INT64_MAX: nothing is under way. */
struct fo_instant wan_queue_next(const struct wan_queue *q);
