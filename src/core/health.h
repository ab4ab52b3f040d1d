/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a peer can be reached on the direct link, each direction for itself, and the circuit breaker that follows from it.
 *
 * in:  we heard the peer directly.  out: the peer has told us, by whatever way, that it heard one of our probes directly.
 *
 *      healthy --a probe is late--> suspect --enough in a row--> down <-------------+
 *         ^  ^------an answer---------'                           | an answer       |
 *         |                                                       v                 |
 *         |                                          probing (half open) --late-----+
 *         |                                                       | one more        |
 *         +------stable for a while------ recovering <------------+                 |
 *                                             '-----------late----------------------+
 *
 * How long recovering lasts doubles with each time the link goes down and is forgiven in quiet times, so a
 * flapping link is not trusted at once. Pure. */
#pragma once
#include <stdbool.h>

#include "base/time.h"

enum fo_health_state { FO_HEALTH_HEALTHY, FO_HEALTH_SUSPECT, FO_HEALTH_DOWN, FO_HEALTH_PROBING, FO_HEALTH_RECOVERING, FO_HEALTH_STATES };
const char *fo_health_name(enum fo_health_state s);

struct fo_health_limits {
    struct fo_duration probe_every;
    uint32_t missed_max;                /* probes missed in a row that make it down */
    struct fo_duration stable_min, stable_max;  /* of recovering; twice stable_max in health forgives everything */
};

struct fo_health {
    const struct fo_health_limits *limits;
    enum fo_health_state state;         /* of out, with the breaker */
    struct fo_instant heard_at;         /* in: newest direct frame of the peer */
    struct fo_instant reached_at;       /* out: when the newest probe that the peer confirmed was sent */
    struct fo_instant changed_at;       /* of state */
    uint32_t failures;                  /* probes missed in a row, now */
    uint32_t flaps;                     /* times down, not yet forgiven */
    uint64_t transitions;
};

/* Starts probing, as if everything had been heard at `now`. */
void fo_health_init(struct fo_health *h, const struct fo_health_limits *limits, struct fo_instant now);
void fo_health_heard(struct fo_health *h, struct fo_instant now);
void fo_health_reached(struct fo_health *h, struct fo_instant probe_sent_at);
/* True: the state has changed. Call at least once per probe interval. rtt: what an answer takes when all is well. */
bool fo_health_check(struct fo_health *h, struct fo_instant now, struct fo_duration rtt);
/* Data may be sent directly; half open and recovering let the window do the braking. */
static inline bool fo_health_is_open(const struct fo_health *h) { return h->state != FO_HEALTH_DOWN; }
/* Good enough to leave a working relay for it. */
static inline bool fo_health_is_trusted(const struct fo_health *h) { return h->state == FO_HEALTH_HEALTHY || h->state == FO_HEALTH_SUSPECT; }
/* in: nothing was heard directly for as long as makes a link down. */
bool fo_health_is_deaf(const struct fo_health *h, struct fo_instant now);
