/* SPDX-License-Identifier: Apache-2.0
 *
 * What every part of the broker may look at: fixed after start, but for the clock of the present step and the counters.
 * No part reaches another part's state through it. */
#pragma once
#include "base/rng.h"
#include "broker/config.h"
#include "ports/journal.h"
#include "ports/transport.h"
#include "wire/event.h"
#include "wire/frame.h"

/* Counters since start, for status and metrics. */
struct fo_counters {
    uint64_t accepted_events;       /* durable, own */
    uint64_t refused_events;        /* answered with an error */
    uint64_t duplicate_events;      /* publishes whose id was known */
    uint64_t own_batches;           /* durable, own */
    uint64_t received_events;       /* durable, from peers */
    uint64_t received_batches;
    uint64_t duplicate_batches;     /* from peers, held already */
    uint64_t gap_batches;           /* from peers, an earlier one missing */
    uint64_t refused_frames;        /* did not verify, or broke the protocol */
    uint64_t delivered_events;      /* settled as delivered, counted per target */
    uint64_t excepted_events;       /* settled as expired, incompatible or rejected, per target */
    uint64_t relayed_frames;        /* carried for other regions */
    uint64_t acks_sent, acks_received;
    uint64_t commits;
    uint64_t fetched_events;        /* handed to subscribers by fetch */
    uint64_t feed_events;           /* handed to the plain feed */
};

struct fo_context {
    const struct fo_config *config;
    struct fo_region_names regions;     /* [0] is this region */
    struct fo_journal *journal;
    struct fo_transport *transport;
    const struct fo_key_pair *key;
    const struct fo_key_ring *keys;
    const struct fo_schema_set *schemas;
    uint64_t session;                   /* random, of this process */
    uint64_t epoch;                     /* of the data directory */
    struct fo_rng rng;
    struct fo_instant now;              /* of the present step */
    struct fo_wall wall;                /* the same moment */
    struct fo_instant started_at;
    struct fo_wall started_wall;        /* the same moment */
    struct fo_counters counters;
};

/* The clock of control frames: right when the process began, and going on from there though the wall clock be set. Peers take what is not
 * newer for a repetition, and a round trip lies between two readings of it. */
static inline struct fo_wall fo_context_clock(const struct fo_context *c)
{ return (struct fo_wall){ c->started_wall.us + fo_instant_since(c->now, c->started_at).ns / 1000 }; }
/* Index in the region table, or -1. */
int fo_context_region(const struct fo_context *c, struct fo_slice name);
static inline const char *fo_context_name(const struct fo_context *c, unsigned region) { return c->regions.name[region]; }
static inline fo_region_set fo_context_all(const struct fo_context *c)
{ return c->regions.count == 64 ? ~0ull : (1ull << c->regions.count) - 1; }
