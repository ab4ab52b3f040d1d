/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

const char *
fo_health_name(enum fo_health_state s)
{
    static const char *const names[FO_HEALTH_STATES] = { "healthy", "suspect", "down", "probing", "recovering" };

    return (unsigned)s < FO_HEALTH_STATES ? names[s] : "unknown";
}

void
fo_health_init(struct fo_health *h, const struct fo_health_limits *limits, struct fo_instant now)
{
    *h = (struct fo_health){ .limits = limits, .state = FO_HEALTH_PROBING, .heard_at = now, .reached_at = now, .changed_at = now };
}

void
fo_health_heard(struct fo_health *h, struct fo_instant now)
{
    h->heard_at = now;
}

void
fo_health_reached(struct fo_health *h, struct fo_instant probe_sent_at)
{
    if (fo_instant_is_before(h->reached_at, probe_sent_at))
        h->reached_at = probe_sent_at;
}

/* The newest confirmed probe is as old as a round trip and the time since the next one: that much is in order. */
static uint32_t
missed(const struct fo_health *h, struct fo_instant now, struct fo_duration rtt)
{
    int64_t probes = (fo_instant_since(now, h->reached_at).ns - rtt.ns) / h->limits->probe_every.ns;

    return probes <= 1 ? 0 : (uint32_t)(probes - 1);
}

bool
fo_health_is_deaf(const struct fo_health *h, struct fo_instant now)
{
    return fo_instant_since(now, h->heard_at).ns >= (int64_t)h->limits->missed_max * h->limits->probe_every.ns;
}

static struct fo_duration
stable_time(const struct fo_health *h)
{
    int64_t t = h->limits->stable_min.ns;

    for (uint32_t i = 1; i < h->flaps && t < h->limits->stable_max.ns; i++)
        t *= 2;
    return (struct fo_duration){ t < h->limits->stable_max.ns ? t : h->limits->stable_max.ns };
}

static enum fo_health_state
next_state(const struct fo_health *h, struct fo_instant now)
{
    struct fo_duration in_state = fo_instant_since(now, h->changed_at);
    bool is_fresh = h->failures == 0;

    switch (h->state) {
    case FO_HEALTH_HEALTHY:
        return is_fresh ? FO_HEALTH_HEALTHY : FO_HEALTH_SUSPECT;
    case FO_HEALTH_SUSPECT:
        if (is_fresh)
            return FO_HEALTH_HEALTHY;
        return h->failures >= h->limits->missed_max ? FO_HEALTH_DOWN : FO_HEALTH_SUSPECT;
    case FO_HEALTH_DOWN:
        return is_fresh ? FO_HEALTH_PROBING : FO_HEALTH_DOWN;
    case FO_HEALTH_PROBING:
        if (h->failures >= h->limits->missed_max)
            return FO_HEALTH_DOWN;
        return is_fresh && fo_instant_is_before(h->changed_at, h->reached_at) ? FO_HEALTH_RECOVERING : FO_HEALTH_PROBING;
    case FO_HEALTH_RECOVERING:
        if (h->failures >= h->limits->missed_max)
            return FO_HEALTH_DOWN;
        return is_fresh && in_state.ns >= stable_time(h).ns ? FO_HEALTH_HEALTHY : FO_HEALTH_RECOVERING;
    case FO_HEALTH_STATES:
        break;
    }
    return h->state;
}

bool
fo_health_check(struct fo_health *h, struct fo_instant now, struct fo_duration rtt)
{
    enum fo_health_state next;

    h->failures = missed(h, now, rtt);
    if (h->state == FO_HEALTH_HEALTHY && h->flaps > 0 && fo_instant_since(now, h->changed_at).ns > 2 * h->limits->stable_max.ns)
        h->flaps = 0;
    next = next_state(h, now);
    if (next == h->state)
        return false;
    h->state = next;
    h->changed_at = now;
    h->transitions++;
    h->flaps += next == FO_HEALTH_DOWN;
    return true;
}
