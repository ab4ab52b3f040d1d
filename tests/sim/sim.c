/* SPDX-License-Identifier: Apache-2.0
 *
 * A schedule: a plan is drawn, brokers and clients run under faults for a while, then everything is healed and must come to
 * rest. */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REST_MS = 90000 };
static const int64_t ms = 1000000;

void
sim_after(struct sim *s, int64_t delay_ns, void (*run)(struct sim *, const struct task *), unsigned node, uint64_t a, uint64_t b, void *take)
{
    struct task t = { .at_ns = s->now_ns + delay_ns, .run = run, .node = node, .life = s->node[node].life, .a = a, .b = b, .take = take };

    queue_push(&s->queue, &t);
}

static uint64_t
one_of(struct sim *s, const uint64_t *list, unsigned n)
{
    return list[sim_below(s, n)];
}

static void
draw_plan(struct sim *s)
{
    struct plan *p = &s->plan;

    p->nodes = sim_chance(s, 700) ? 3 : 2 + (unsigned)sim_below(s, 3);
    p->publishers = p->nodes + (unsigned)sim_below(s, p->nodes + 1);
    p->readers = p->nodes * 2 + (unsigned)sim_below(s, p->nodes);
    p->events = 30 + (unsigned)sim_below(s, 150);
    p->active_ns = (500 + (int64_t)sim_below(s, sim_chance(s, 150) ? 15000 : 4000)) * ms;
    p->crash = (unsigned)one_of(s, (const uint64_t[]){ 0, 1, 3 }, 3);
    p->cut = (unsigned)one_of(s, (const uint64_t[]){ 0, 1, 4 }, 3);
    p->disk_fault = (unsigned)one_of(s, (const uint64_t[]){ 0, 1, 3 }, 3);
    p->stop = (unsigned)one_of(s, (const uint64_t[]){ 0, 1 }, 2);
    p->replay = (unsigned)one_of(s, (const uint64_t[]){ 0, 2, 10 }, 3);
    p->clock_step = (unsigned)one_of(s, (const uint64_t[]){ 0, 0, 1 }, 3);
    p->window_bytes = (unsigned)one_of(s, (const uint64_t[]){ 1024, 8192, 65536 }, 3);
    p->window_batches = (unsigned)one_of(s, (const uint64_t[]){ 1, 2, 4, 64 }, 4);
    p->batch_events_max = (unsigned)one_of(s, (const uint64_t[]){ 1, 3, 16, 256 }, 4);
    p->pending_max = (unsigned)one_of(s, (const uint64_t[]){ 16, 64, 1024 }, 3);
    p->segment_bytes = (uint32_t)one_of(s, (const uint64_t[]){ 40960, 65536, 1048576 }, 3);
    p->retention_bytes = one_of(s, (const uint64_t[]){ 0, 65536, UINT32_MAX }, 3);
    p->is_skewed = sim_chance(s, 500);
    p->is_lossy = sim_chance(s, 100);
    if (p->is_lossy)
        p->retention_bytes = UINT32_MAX;
    s->net.loss = (unsigned)one_of(s, (const uint64_t[]){ 0, 10, 100, 300 }, 4);
    s->net.duplication = (unsigned)one_of(s, (const uint64_t[]){ 0, 20, 300 }, 3);
    s->net.corruption = (unsigned)one_of(s, (const uint64_t[]){ 0, 0, 20 }, 3);
    s->net.delay_ns = (int64_t)one_of(s, (const uint64_t[]){ 100000, 5 * 1000000, 60 * 1000000 }, 3);
    s->net.jitter_ns = (int64_t)one_of(s, (const uint64_t[]){ 10000, 1000000, 80 * 1000000 }, 3);
}

static void
start_node(struct sim *s, const struct task *t)
{
    if (!s->node[t->node].is_up)
        node_start(s, t->node);
}

static void
heal_link(struct sim *s, const struct task *t)
{
    net_heal(s, t->node, (unsigned)t->a);
}

static void
heal_disk(struct sim *s, const struct task *t)
{
    s->node[t->node].disk.is_full = false;
    trace_note(s, (int)t->node, "disk healed", 0, 0, NULL);
}

static void
fault_cut(struct sim *s)
{
    unsigned from = (unsigned)sim_below(s, s->plan.nodes), to = (unsigned)sim_below(s, s->plan.nodes);
    bool is_both = sim_chance(s, 400), tells = sim_chance(s, 500);
    int64_t lasts = (int64_t)(10 + sim_below(s, sim_chance(s, 300) ? 8000 : 1000)) * ms;

    if (from == to)
        return;
    net_cut(s, from, to, tells);
    sim_after(s, lasts, heal_link, from, to, 0, NULL);
    if (!is_both)
        return;
    net_cut(s, to, from, tells);
    sim_after(s, lasts + (int64_t)sim_below(s, 300) * ms, heal_link, to, from, 0, NULL);
}

static void
fault_disk(struct sim *s)
{
    unsigned i = (unsigned)sim_below(s, s->plan.nodes);
    struct disk *d = &s->node[i].disk;

    switch (sim_below(s, 3)) {
    case 0:
        trace_note(s, (int)i, "disk full", 0, 0, NULL);
        d->is_full = true;
        sim_after(s, (int64_t)(10 + sim_below(s, 1500)) * ms, heal_disk, i, 0, 0, NULL);
        break;
    case 1:
        trace_note(s, (int)i, "disk fails", 0, 0, NULL);
        d->is_failing = true;
        break;
    default:
        d->latency_ns = (int64_t)(1 + sim_below(s, 200)) * (sim_chance(s, 500) ? ms : 10000);
        trace_note(s, (int)i, "disk latency", (uint64_t)d->latency_ns, 0, NULL);
        break;
    }
}

static void
fault_crash(struct sim *s)
{
    unsigned i = (unsigned)sim_below(s, s->plan.nodes);

    node_kill(s, i);
    sim_after(s, (int64_t)(1 + sim_below(s, sim_chance(s, 300) ? 2000 : 100)) * ms, start_node, i, 0, 0, NULL);
}

/* Somebody sets the clock under a running broker, back or forward. */
static void
fault_clock(struct sim *s)
{
    struct node *n = &s->node[sim_below(s, s->plan.nodes)];
    int64_t step_us = 1 + (int64_t)sim_below(s, sim_chance(s, 500) ? 3600000000 : 2000000);

    if (!n->is_up)
        return;
    n->wall_base_us += sim_chance(s, 500) ? -step_us : step_us;
    s->covered.clock_steps++;
    trace_note(s, (int)n->index, "clock set", (uint64_t)n->wall_base_us, 0, NULL);
}

static void
fault(struct sim *s, const struct task *t)
{
    const struct plan *p = &s->plan;
    uint64_t k = sim_below(s, p->crash + p->cut + p->disk_fault + p->stop + p->replay + p->clock_step + 1);

    (void)t;
    if (s->is_healing)
        return;
    if (p->is_lossy && sim_chance(s, 150))
        lossy_fault(s);
    else if (k < p->crash)
        fault_crash(s);
    else if ((k -= p->crash) < p->cut)
        fault_cut(s);
    else if ((k -= p->cut) < p->disk_fault)
        fault_disk(s);
    else if ((k -= p->disk_fault) < p->stop)
        node_stop(s, (unsigned)sim_below(s, p->nodes));
    else if ((k -= p->stop) < p->replay)
        net_replay(s);
    else if (k - p->replay < p->clock_step)
        fault_clock(s);
    sim_after(s, (int64_t)(1 + sim_below(s, 200)) * ms, fault, 0, 0, 0, NULL);
}

static bool
is_quiet(const struct sim *s, char *ret_why, size_t size)
{
    snprintf(ret_why, size, "publishers still ask");
    if (!publishers_are_done(s))
        return false;
    for (unsigned i = 0; i < s->plan.nodes; i++)
        if (node_is_busy(s, i, ret_why, size))
            return false;
    snprintf(ret_why, size, "readers are behind");
    return true;
}

/* Healed: waits until nothing is owed to anybody any more. t->a: since when. */
static void
watch(struct sim *s, const struct task *t)
{
    char why[200];

    if (!is_quiet(s, why, sizeof why)) {
        s->quiet_at_ns = 0;
        for (unsigned i = 0; i < s->plan.readers; i++)
            s->reader[i].empties = 0;
    } else if (s->quiet_at_ns == 0) {
        s->quiet_at_ns = s->now_ns;
    } else if (readers_are_done(s)) {
        s->is_over = true;
        truth_check_end(s);
        judge_check_end(s);
        return;
    }
    if (s->now_ns - (int64_t)t->a > REST_MS * ms)
        sim_fail(s, "healed %d s ago and still not at rest: %s", REST_MS / 1000, why);
    sim_after(s, 50 * ms, watch, 0, t->a, 0, NULL);
}

static void
heal(struct sim *s, const struct task *t)
{
    (void)t;
    trace_note(s, -1, "healing", 0, 0, NULL);
    s->is_healing = true;
    s->fresh_from = s->truth.count;
    if (s->plan.is_lossy)
        publishers_start(s);
    s->net.loss = s->net.corruption = 0;
    for (unsigned i = 0; i < s->plan.nodes; i++) {
        s->node[i].disk.is_full = s->node[i].disk.is_failing = false;
        s->node[i].disk.latency_ns = 2 * ms;
        for (unsigned k = 0; k < s->plan.nodes; k++)
            if (k != i)
                net_heal(s, i, k);
        sim_after(s, (int64_t)(1 + sim_below(s, 500)) * ms, start_node, i, 0, 0, NULL);
    }
    sim_after(s, 50 * ms, watch, 0, (uint64_t)s->now_ns, 0, NULL);
}

void
sim_run(struct sim *s, uint64_t seed, enum bug bug, bool is_printing)
{
    struct task t;

    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->bug = bug;
    s->is_printing = is_printing;
    fo_rng_init(&s->rng, seed);
    draw_plan(s);
    trace_note(s, -1, "schedule", seed, s->plan.nodes, NULL);
    for (unsigned i = 0; i < s->plan.nodes; i++)
        node_init(s, i);
    for (unsigned i = 0; i < s->plan.nodes; i++)
        sim_after(s, (int64_t)sim_below(s, 300) * ms, start_node, i, 0, 0, NULL);
    publishers_start(s);
    readers_start(s);
    sim_after(s, (int64_t)(1 + sim_below(s, 300)) * ms, fault, 0, 0, 0, NULL);
    sim_after(s, s->plan.active_ns, heal, 0, 0, 0, NULL);
    while (!s->is_over && s->failure[0] == '\0' && queue_pop(&s->queue, &t)) {
        s->now_ns = t.at_ns;
        t.run(s, &t);
        free(t.take);
    }
    for (unsigned i = 0; i < s->plan.nodes; i++)
        node_fini(s, i);
    queue_fini(&s->queue);
    net_fini(s);
    trace_note(s, -1, "over", s->truth.durable_own, s->truth.seen, NULL);
}
