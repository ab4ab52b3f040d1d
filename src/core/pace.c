/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pace.h"

#include "base/assert.h"

void
fo_pace_init(struct fo_pace *p, const struct fo_pace_limits *limits)
{
    fo_assert(limits->window_min > 0 && limits->window_min <= limits->window_max && limits->queue_delay.ns > 0);
    *p = (struct fo_pace){ .limits = limits, .window = limits->window_min };
}

void
fo_pace_restart(struct fo_pace *p)
{
    p->window = p->limits->window_min;
}

/* The least delay of the last minutes is the path without a queue; a path that has become longer is believed when they are over. */
static int64_t
base_delay(struct fo_pace *p, int64_t delay_ns, struct fo_instant now)
{
    int64_t least = INT64_MAX;

    if (fo_instant_since(now, p->minute_at).ns >= 60000000000ll) {
        p->base_at = (p->base_at + 1) % FO_PACE_BASES;
        p->base_ns[p->base_at] = 0;
        p->minute_at = now;
    }
    if (p->base_ns[p->base_at] == 0 || delay_ns < p->base_ns[p->base_at])
        p->base_ns[p->base_at] = delay_ns > 0 ? delay_ns : 1;
    for (int i = 0; i < FO_PACE_BASES; i++)
        if (p->base_ns[i] != 0 && p->base_ns[i] < least)
            least = p->base_ns[i];
    return least;
}

enum { STUCK_S_MAX = 10 };

/* The path is longer than it was, or somebody else's queue stands on it: what was least before is so no more. */
static void
measure_anew_if_stuck(struct fo_pace *p, int64_t delay_ns, struct fo_instant now)
{
    if (p->window > p->limits->window_min) {
        p->stuck_at = (struct fo_instant){ 0 };
        return;
    }
    if (p->stuck_at.ns == 0)
        p->stuck_at = now;
    if (fo_instant_since(now, p->stuck_at).ns < STUCK_S_MAX * 1000000000ll)
        return;
    for (int i = 0; i < FO_PACE_BASES; i++)
        p->base_ns[i] = 0;
    p->base_ns[p->base_at] = delay_ns;
    p->stuck_at = (struct fo_instant){ 0 };
}

void
fo_pace_acked(struct fo_pace *p, uint64_t bytes, struct fo_duration delay, struct fo_instant now)
{
    int64_t queue = delay.ns - base_delay(p, delay.ns, now), target = p->limits->queue_delay.ns;

    if (queue < target) {
        p->stuck_at = (struct fo_instant){ 0 };
        p->window += bytes * (uint64_t)((target - queue) * 16 / target) / 16;
        if (p->window > p->limits->window_max)
            p->window = p->limits->window_max;
        return;
    }
    measure_anew_if_stuck(p, delay.ns, now);
    if (fo_instant_since(now, p->shrunk_at).ns < delay.ns)
        return;                         /* once a round trip: the acks of the old window are still coming */
    p->shrunk_at = now;
    p->window = (uint64_t)((double)p->window * (queue > 2 * target ? 0.5 : (double)target / (double)queue));
    if (p->window < p->limits->window_min)
        p->window = p->limits->window_min;
}
