/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes may be in flight on a link, found out by delay: while acks come back quickly the window grows by what
 * was acked (so it doubles each round trip at first), and as soon as they tell of a standing queue it shrinks, long before anything is
 * lost. A high event then waits behind a short queue on the way, not behind a full one, and a region that comes back is not
 * flooded. After LEDBAT (RFC 6817), with batches for packets.
 *
 *   window_min <= window <= window_max
 *
 * When the least window does not bring the delay down for a while, it is not our queue: the path has become longer, and is measured anew.
 *
 * Pure. */
#pragma once
#include "base/time.h"

enum { FO_PACE_BASES = 8 };             /* minima kept, one a minute */

struct fo_pace_limits { uint64_t window_min, window_max; struct fo_duration queue_delay; };

struct fo_pace {
    const struct fo_pace_limits *limits;
    uint64_t window;                    /* bytes */
    int64_t base_ns[FO_PACE_BASES];     /* least delay seen in each of the last minutes; 0: none */
    unsigned base_at;
    struct fo_instant minute_at, shrunk_at;
    struct fo_instant stuck_at;         /* since when delay has been high with the least window; ns 0: it is not */
};

/* Begins at window_min. */
void fo_pace_init(struct fo_pace *p, const struct fo_pace_limits *limits);
/* Begins again at window_min; what is known of the path stays. */
void fo_pace_restart(struct fo_pace *p);
/* A batch that was sent once was acked after `delay`. */
void fo_pace_acked(struct fo_pace *p, uint64_t bytes, struct fo_duration delay, struct fo_instant now);
