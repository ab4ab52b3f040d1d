/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gather.h"

enum { MEASURE_MS = 5, BUSY_PERCENT = 40, IDLE_PERCENT = 30, STEPS = 16, PAUSE_MIN = 16, PAUSE_MAX = 256 };

void
fo_gather_init(struct fo_gather *g, struct fo_duration wait_max)
{
    *g = (struct fo_gather){ .wait_max = wait_max, .pause = PAUSE_MIN };
}

void
fo_gather_worked(struct fo_gather *g, struct fo_instant from, struct fo_instant to)
{
    int64_t all, step = g->wait_max.ns / STEPS;

    g->busy.ns += fo_instant_since(to, from).ns;
    all = fo_instant_since(to, g->measured_at).ns;
    if (all < MEASURE_MS * INT64_C(1000000))
        return;
    if (g->busy.ns * 100 > all * BUSY_PERCENT)
        g->wait.ns = g->wait.ns + step < g->wait_max.ns ? g->wait.ns + step : g->wait_max.ns;
    else if (g->busy.ns * 100 < all * IDLE_PERCENT)
        g->wait.ns = g->wait.ns > step ? g->wait.ns - step : 0;
    g->measured_at = to;
    g->busy.ns = 0;
}

void
fo_gather_joined(struct fo_gather *g)
{
    g->requests++;
}

struct fo_instant
fo_gather_due(struct fo_gather *g, struct fo_instant now)
{
    struct fo_instant due = fo_instant_add(g->sealed_at, g->wait);

    if (g->untried > 0 || !fo_instant_is_before(now, due))
        return now;
    g->is_held = true;
    return due;
}

void
fo_gather_sealed(struct fo_gather *g, struct fo_instant now)
{
    if (g->is_held && g->requests > 1) {
        g->pause = PAUSE_MIN;
    } else if (g->is_held) {
        g->untried = g->pause;
        g->pause = 2 * g->pause < PAUSE_MAX ? 2 * g->pause : PAUSE_MAX;
    } else if (g->untried > 0) {
        g->untried--;
    }
    g->is_held = false;
    g->requests = 0;
    g->sealed_at = now;
}
