/* SPDX-License-Identifier: Apache-2.0
 *
 * One region's process: started on its disk, stepped when something arrives or is due, killed at any moment. A restart may
 * come with other limits, its peers in another order, and another clock. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEP_INPUTS_MAX = 64, IDLE_STEPS_MAX = 3000, DRAIN_MS = 10000, RTT_MS_MAX = 10000, GATHER_US = 100000, TAIL_BYTES_MAX = 1 << 17 };
static const int64_t ms = 1000000;

static uint64_t
mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3;
    return h;
}

/* Of the state by region, whatever their order in this process's table. */
uint64_t
node_state_hash(const struct node *n)
{
    const struct fo_state *s;
    uint64_t h = 0xcbf29ce484222325;

    if (n->broker == NULL)
        return 0;
    s = &n->broker->state;
    for (unsigned i = 0; i < s->epochs.count; i++) {
        h = mix(h, &s->epochs.list[i].epoch, sizeof s->epochs.list[i].epoch);
        h = mix(h, s->epochs.list[i].first_seq, sizeof s->epochs.list[i].first_seq);
    }
    h = mix(h, s->last_seq, sizeof s->last_seq);
    h = mix(h, s->prev_root, sizeof s->prev_root);
    for (unsigned g = 0; g < n->broker->ctx.regions.count; g++) {
        unsigned r = n->to_local[g];

        h = mix(h, s->tail_seq[r], sizeof s->tail_seq[r]);
        for (int i = 0; i < FO_LANES; i++) {
            h = mix(h, &s->link[r][i].acked_seq, sizeof s->link[r][i].acked_seq);
            h = mix(h, &s->link[r][i].oldest_lsn, sizeof s->link[r][i].oldest_lsn);
            h = mix(h, &s->received[r][i].epoch, sizeof s->received[r][i].epoch);
            h = mix(h, &s->received[r][i].seq, sizeof s->received[r][i].seq);
        }
    }
    h = mix(h, &s->events_total, sizeof s->events_total);
    for (unsigned i = 0; i < s->mark_count; i++)
        h = mix(h, &s->mark[i].lsn, sizeof s->mark[i].lsn);
    for (int i = 0; i < FO_LANES; i++) {
        h = mix(h, &s->gaps[i].last_lsn, sizeof s->gaps[i].last_lsn);
        h = mix(h, s->gaps[i].gap, s->gaps[i].count * sizeof s->gaps[i].gap[0]);
    }
    return h;
}

static struct fo_instant
mono_of(const struct sim *s, const struct node *n)
{
    return (struct fo_instant){ s->now_ns + n->mono_offset_ns };
}

/* Of each schedule's brokers, some have much to do. */
static bool
is_busy(const struct sim *s, const struct node *n)
{
    return ((s->seed >> n->index) & 1) != 0;
}

static struct fo_wall
wall_of(const struct sim *s, const struct node *n)
{
    return (struct fo_wall){ n->wall_base_us + s->now_ns / 1000 };
}

static uint32_t
skewed(struct sim *s, uint32_t value, uint32_t least)
{
    uint32_t v = s->plan.is_skewed ? value / 2 + (uint32_t)sim_below(s, value) : value;

    return v < least ? least : v;
}

static void
make_config(struct sim *s, struct node *n)
{
    struct fo_config *c = &n->config;
    unsigned order[NODES_MAX], count = 0;

    for (unsigned g = 0; g < s->plan.nodes; g++)
        if (g != n->index)
            order[count++] = g;
    for (unsigned i = count; i > 1; i--) {
        unsigned k = (unsigned)sim_below(s, i), t = order[i - 1];

        order[i - 1] = order[k];
        order[k] = t;
    }
    *c = (struct fo_config){ .region = (char *)(uintptr_t)region_name(n->index), .peers = n->peers, .peers_count = count };
    n->to_global[0] = n->index;
    for (unsigned i = 0; i < count; i++) {
        n->peers[i].region = (char *)(uintptr_t)region_name(order[i]);
        n->to_global[i + 1] = order[i];
    }
    for (unsigned i = 0; i <= count; i++)
        n->to_local[n->to_global[i]] = i;
    c->limits.event_bytes_max = 4096;
    c->limits.request_bytes_max = 65536;
    c->limits.batch_events_max = skewed(s, s->plan.batch_events_max, 1);
    c->limits.batch_bytes_max = 8192;
    c->limits.gather_us_max = is_busy(s, n) ? GATHER_US : 0;
    c->limits.requests_max = REQUESTS_MAX;
    c->limits.pending_events_max = skewed(s, s->plan.pending_max, PUBLISH_EVENTS_MAX);
    c->limits.pending_bytes_max = s->seed % 16 == 0 ? 1 : 1 << 20;      /* 1: less than any frame */
    c->limits.waiting_events_max = skewed(s, s->plan.pending_max, PUBLISH_EVENTS_MAX);
    c->limits.tail_bytes_max = sim_below(s, 3) * sim_below(s, TAIL_BYTES_MAX);      /* of three nodes one keeps none */
    c->limits.fetches_max = READERS_MAX;
    c->limits.dedupe_events_max = EVENTS_MAX * 4;
    c->limits.schema_version_min = 1;
    c->link.window_bytes = skewed(s, s->plan.window_bytes, 256);
    c->link.window_bytes_min = 1 + (uint32_t)sim_below(s, c->link.window_bytes);
    c->link.queue_delay_ms_max = 1 + (uint32_t)sim_below(s, 100);
    c->link.ack_delay_ms_max = c->link.queue_delay_ms_max;     /* in effect an eighth of it at most */
    c->link.probes_missed_max = 3;
    c->link.stable_ms_min = 100 + (uint32_t)sim_below(s, 900);
    c->link.stable_ms_max = 3000;
    c->link.window_batches = skewed(s, s->plan.window_batches, 1);
    c->link.heartbeat_ms = 250 + (uint32_t)sim_below(s, 750);
    c->link.retransmit_ms_min = 50 + (uint32_t)sim_below(s, 150);
    c->link.low_share_percent = 1 + (uint32_t)sim_below(s, 50);
    c->journal.durability = (char *)(uintptr_t)"power";
    c->journal.segment_bytes = s->plan.segment_bytes;
    c->journal.retention_hours = 24;
    c->journal.bytes_max = 1 << 30;
    c->journal.retention_bytes = s->plan.retention_bytes;
}

static void
check_bounds(struct sim *s, const struct node *n)
{
    const struct fo_broker *b = n->broker;

    if (b->waits.count + b->fetches.audience.parked_count > n->open_count)
        sim_fail(s, "%s keeps %u waits and %u fetches of %u open requests", region_name(n->index), b->waits.count, b->fetches.audience.parked_count, n->open_count);
    for (unsigned p = 1; p < b->ctx.regions.count; p++)
        if (b->forward.peer[p].link.rtt.ns > RTT_MS_MAX * ms)
            sim_fail(s, "%s takes a round trip for %lld ms", region_name(n->index), (long long)(b->forward.peer[p].link.rtt.ns / ms));
    for (unsigned p = 1; p < b->ctx.regions.count; p++)
        for (int i = 0; i < FO_LANES; i++) {
            const struct fo_link_lane *l = &b->forward.peer[p].link.lane[i];

            if (l->window.count > 1 && l->window.bytes > n->config.link.window_bytes + n->config.limits.batch_bytes_max + 8192)
                sim_fail(s, "%s has %llu bytes in flight", region_name(n->index), (unsigned long long)l->window.bytes);
        }
    if (b->waits.waiting_events > n->config.limits.waiting_events_max)
        sim_fail(s, "%s holds %u events that wait for peers", region_name(n->index), b->waits.waiting_events);
    if (b->store.queued_events > n->config.limits.pending_events_max + EVENTS_MAX || b->pool.free_count > b->pool.free_max)
        sim_fail(s, "%s holds %llu events that wait for the disk", region_name(n->index), (unsigned long long)b->store.queued_events);
}

static void step(struct sim *s, const struct task *t);

static void
want_step(struct sim *s, struct node *n, int64_t delay_ns)
{
    if (n->is_stepping)
        return;
    n->is_stepping = true;
    sim_after(s, delay_ns, step, n->index, 0, 0, NULL);
}

static void
wake(struct sim *s, const struct task *t)
{
    struct node *n = &s->node[t->node];

    if (n->is_up && n->life == t->life && t->at_ns == n->wake_at_ns)
        want_step(s, n, 0);
}

static void
restart(struct sim *s, const struct task *t)
{
    if (!s->node[t->node].is_up)
        node_start(s, t->node);
}

/* The process ends by itself: its journal failed, or it has drained. */
static void
leave(struct sim *s, struct node *n, const char *why)
{
    trace_note(s, (int)n->index, "leaves", 0, 0, why);
    node_kill(s, n->index);
    sim_after(s, (1 + (int64_t)sim_below(s, 1000)) * ms, restart, n->index, 0, 0, NULL);
}

static void
go_on(struct sim *s, struct node *n, struct fo_instant due, unsigned inputs)
{
    int64_t due_ns = due.ns == INT64_MAX ? INT64_MAX : due.ns - n->mono_offset_ns;

    n->idle_steps = inputs == 0 && due_ns <= s->now_ns ? n->idle_steps + 1 : 0;
    if (n->idle_steps > IDLE_STEPS_MAX)
        sim_fail(s, "%s spins: it wants to be called again at once and does nothing", region_name(n->index));
    if (n->inbox_count > 0) {
        want_step(s, n, 1000);
    } else if (due_ns != INT64_MAX) {
        n->wake_at_ns = due_ns <= s->now_ns ? s->now_ns + 1000 : due_ns;
        sim_after(s, n->wake_at_ns - s->now_ns, wake, n->index, 0, 0, NULL);
    }
}

static void
step(struct sim *s, const struct task *t)
{
    struct node *n = &s->node[t->node];
    struct fo_input inputs[STEP_INPUTS_MAX];
    struct fo_instant due;
    unsigned count;

    if (!n->is_up || n->life != t->life)
        return;
    n->is_stepping = false;
    count = n->inbox_count < STEP_INPUTS_MAX ? n->inbox_count : STEP_INPUTS_MAX;
    if (count > 0) {
        memcpy(inputs, n->inbox, count * sizeof *inputs);
        memmove(n->inbox, n->inbox + count, (n->inbox_count - count) * sizeof *inputs);
    }
    n->inbox_count -= count;
    s->steps++;
    if (is_busy(s, n)) {
        fo_broker_worked(n->broker, n->worked_to, mono_of(s, n));
        n->worked_to = mono_of(s, n);
    }
    due = fo_broker_step(n->broker, mono_of(s, n), wall_of(s, n), inputs, count);
    s->covered.gathered += n->broker->intake.gather.is_held;
    check_bounds(s, n);
    if (fo_broker_failure(n->broker) != FO_OK)
        leave(s, n, "journal failed");
    else if (n->is_stopping && fo_broker_is_drained(n->broker)) {
        s->covered.drains++;
        leave(s, n, "drained");
    } else
        go_on(s, n, due, count);
}

void
node_post(struct sim *s, unsigned i, const struct fo_input *in)
{
    struct node *n = &s->node[i];

    if (n->inbox_count == n->inbox_cap) {
        n->inbox_cap = n->inbox_cap ? 2 * n->inbox_cap : 64;
        n->inbox = realloc(n->inbox, n->inbox_cap * sizeof *n->inbox);
    }
    n->inbox[n->inbox_count++] = *in;
    want_step(s, n, (int64_t)sim_below(s, 50000));
}

bool
node_request(struct sim *s, unsigned i, uint64_t request, const void *p, size_t n)
{
    struct node *node = &s->node[i];
    struct fo_input in = { .kind = FO_INPUT_REQUEST, .request = request };

    if (!node->is_up || node->open_count == REQUESTS_MAX)
        return false;
    in.msg.handle = malloc(n);
    memcpy(in.msg.handle, p, n);
    in.msg.body = fo_slice_of(in.msg.handle, n);
    node->msgs_out++;
    node->open_request[node->open_count++] = request;
    trace_note(s, (int)i, "request", request, fo_crc32c(0, p, n), NULL);
    node_post(s, i, &in);
    return true;
}

static int64_t
draw_wall(struct sim *s)
{
    int64_t base = 1770000000000000 + (int64_t)sim_below(s, 2000000);

    if (sim_chance(s, 50))
        base += ((int64_t)sim_below(s, 7200) - 3600) * 1000000;     /* somebody has set the clock */
    return base;
}

void
node_start(struct sim *s, unsigned i)
{
    struct node *n = &s->node[i];
    struct fo_broker_setup setup = { .config = &n->config, .journal = &n->journal.base, .transport = &n->transport.base, .key = keys_pair(i),
        .keys = keys_ring(), .schemas = keys_schemas(), .epoch = n->disk.epoch };
    struct fo_fault fault;

    make_config(s, n);
    n->life++;
    n->mono_offset_ns = 1000 * ms + (int64_t)sim_below(s, 1000000) * ms;
    n->worked_to = mono_of(s, n);
    n->wall_base_us = draw_wall(s);
    n->is_stopping = n->is_stepping = false;
    n->idle_steps = 0;
    sim_journal_open(&n->journal, s, i, &n->disk);
    setup.checkpoint_lsn = n->disk.checkpoint_lsn;
    setup.seed = fo_rng_next(&s->rng);
    for (unsigned k = 0; k < sizeof setup.fingerprint_key; k++)
        setup.fingerprint_key[k] = (uint8_t)sim_below(s, 256);
    trace_note(s, (int)i, "starts", n->disk.end_lsn, n->life, NULL);
    if (fo_broker_create(&setup, mono_of(s, n), wall_of(s, n), &n->broker, &fault) != FO_OK) {
        sim_fail(s, "%s does not start: %s", region_name(i), fault.text);
        return;
    }
    n->is_up = true;
    if (n->has_expected_state && !s->plan.is_lossy && node_state_hash(n) != n->expected_state)
        sim_fail(s, "%s recovers another state than its records had made", region_name(i));
    want_step(s, n, 0);
    net_node_up(s, i);
}

static void
take_coverage(struct sim *s, const struct fo_broker *b)
{
    struct coverage *c = &s->covered;

    c->kills++;
    c->relayed += b->ctx.counters.relayed_frames;
    c->gaps += b->ctx.counters.gap_batches;
    c->duplicates += b->ctx.counters.duplicate_batches;
    c->refused_frames += b->ctx.counters.refused_frames;
    c->excepted += b->ctx.counters.excepted_events;
    for (unsigned p = 1; p < b->ctx.regions.count; p++)
        c->retransmits += b->forward.peer[p].link.retransmits;
}

void
node_kill(struct sim *s, unsigned i)
{
    struct node *n = &s->node[i];

    if (!n->is_up)
        return;
    trace_note(s, (int)i, "dies", n->inbox_count, n->open_count, NULL);
    take_coverage(s, n->broker);
    sim_journal_crash(&n->journal, node_state_hash(n), &n->expected_state);
    n->has_expected_state = n->disk.count > 0;
    n->is_up = false;
    fo_broker_destroy(n->broker);
    n->broker = NULL;
    sim_journal_close(&n->journal);
    for (unsigned k = 0; k < n->inbox_count; k++)
        if (n->inbox[k].msg.handle != NULL) {
            free(n->inbox[k].msg.handle);
            n->msgs_out--;
        }
    if (n->msgs_out != 0)
        sim_fail(s, "%s leaves %lld messages behind", region_name(i), (long long)n->msgs_out);
    n->msgs_out = 0;
    n->inbox_count = n->open_count = 0;
    net_node_down(s, i);
    clients_node_down(s, i);
}

static void
give_up_draining(struct sim *s, const struct task *t)
{
    struct node *n = &s->node[t->node];

    if (n->is_up && n->life == t->life)
        leave(s, n, "not drained in time");
}

void
node_stop(struct sim *s, unsigned i)
{
    if (!s->node[i].is_up || s->node[i].is_stopping)
        return;
    s->node[i].is_stopping = true;
    node_post(s, i, &(struct fo_input){ .kind = FO_INPUT_STOP });
    sim_after(s, DRAIN_MS * ms, give_up_draining, i, 0, 0, NULL);
}

/* What it still owes; false: nothing. */
bool
node_is_busy(const struct sim *s, unsigned i, char *ret_why, size_t size)
{
    const struct fo_broker *b = s->node[i].broker;

    snprintf(ret_why, size, "%s is %s", region_name(i), !s->node[i].is_up ? "down" : s->node[i].is_stopping ? "stopping" : "storing");
    if (!s->node[i].is_up || s->node[i].is_stopping || !fo_store_is_empty(&b->store))
        return true;
    for (unsigned p = 1; p < b->ctx.regions.count; p++)
        for (int k = 0; k < FO_LANES; k++) {
            const struct fo_link_lane *l = &b->forward.peer[p].link.lane[k];
            const struct node *to = &s->node[s->node[i].to_global[p]];
            struct fo_mark held = to->is_up ? to->broker->receive.source[to->to_local[i]].chain[k].durable : (struct fo_mark){ 0 };

            snprintf(ret_why, size, "%s to %s, %s lane: acked %llu, sent %llu, tail %llu, %llu events behind; epoch %llx, there %llx:%llu", region_name(i),
                fo_context_name(&b->ctx, p), fo_lane_name((enum fo_lane)k), (unsigned long long)l->acked_seq, (unsigned long long)l->sent_seq,
                (unsigned long long)l->tail_seq, (unsigned long long)l->backlog_events, (unsigned long long)fo_epochs_current(&b->state.epochs),
                (unsigned long long)held.epoch, (unsigned long long)held.seq);
            if (l->acked_seq != l->tail_seq || l->backlog_events != 0 || l->is_behind)
                return true;
        }
    return false;
}

void
node_init(struct sim *s, unsigned i)
{
    struct node *n = &s->node[i];

    n->index = i;
    n->transport.base.ops = &sim_transport_ops;
    n->transport.sim = s;
    n->transport.node = i;
    disk_init(&n->disk, s->plan.segment_bytes, 16384, 0x19c00000000 + i);
    n->disk.latency_ns = (int64_t)(1 + sim_below(s, 3000)) * 1000;
}

void
node_fini(struct sim *s, unsigned i)
{
    node_kill(s, i);
    free(s->node[i].inbox);
    disk_fini(&s->node[i].disk);
}

/* Only the questions' thread posts by this, and a world has none. */
enum fo_err
fo_inbox_post(struct fo_inbox *box, const struct fo_input *in, bool is_urgent)
{
    (void)box;
    (void)in;
    (void)is_urgent;
    return FO_ERR_CLOSED;
}
