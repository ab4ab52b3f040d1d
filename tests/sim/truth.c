/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

int
truth_index(struct sim *s, struct fo_slice subject)
{
    unsigned v = 0;

    if (subject.n < 2 || subject.p[0] != 'e') {
        sim_fail(s, "an event that nobody published: subject '%.*s'", (int)subject.n, (const char *)subject.p);
        return -1;
    }
    for (size_t i = 1; i < subject.n; i++)
        v = v * 10 + subject.p[i] - '0';
    if (v < s->truth.count)
        return (int)v;
    sim_fail(s, "an event that nobody published: e%u", v);
    return -1;
}

struct truth_event *
truth_at(struct sim *s, const char *position)
{
    char region[FO_REGION_BYTES_MAX + 1], lane[8];
    unsigned long long epoch, seq;
    uint32_t event;
    int node, k = 0;

    if (sscanf(position, "%32[a-z0-9-]:%llx:%7[a-z]:%llu", region, &epoch, lane, &seq) != 4) {
        sim_fail(s, "a position that cannot be read: %s", position);
        return NULL;
    }
    node = region_index(region, strlen(region));
    while (k < FO_LANES && strcmp(fo_lane_name((enum fo_lane)k), lane) != 0)
        k++;
    event = node >= 0 && k < FO_LANES && seq < EVENTS_MAX * 2 ? s->truth.lane[node][k].event_of[seq] : 0;
    if (event == 0 || epoch != s->node[node].disk.epoch) {
        sim_fail(s, "a publisher was told of %s, and nothing durable stands there", position);
        return NULL;
    }
    return &s->truth.event[event - 1];
}

static node_set
targets_of(struct sim *s, const struct fo_batch_header *h, node_set *ret_known)
{
    node_set t = 0;

    *ret_known = 0;
    for (unsigned i = 0; i < h->target_count; i++) {
        int g = region_index((const char *)h->target[i].region.p, h->target[i].region.n);

        if (g >= 0)
            t |= 1ull << g;
        else
            sim_fail(s, "a batch targets a region that does not exist");
    }
    *ret_known = t;
    return t;
}

static void
own_event(struct sim *s, unsigned node, uint64_t lsn, const struct fo_batch_header *h, node_set targets, uint64_t seq, const struct fo_event *e)
{
    struct truth_lane *l = &s->truth.lane[node][h->lane];
    int index = truth_index(s, e->subject);
    struct truth_event *t;

    if (index < 0)
        return;
    t = &s->truth.event[index];
    if (t->source != node || t->lane != h->lane || t->targets != targets)
        sim_fail(s, "e%d is stored in another region, lane or for other targets than asked", index);
    if (t->is_durable)
        sim_fail(s, "e%d is stored twice by the region that accepted it", index);
    for (unsigned i = 0; i < s->truth.count; i++) {
        const struct truth_event *o = &s->truth.event[i];
        bool is_twin = t->has_id && o->has_id && o->id == t->id && o != t && o->source == node;

        if (is_twin && o->is_durable && o->lsn >= s->node[node].disk.first_lsn)     /* an id is known for as long as its event is retained */
            sim_fail(s, "e%u and e%d have one id and are both stored by %s", i, index, region_name(node));
    }
    if (seq <= t->after_seq)
        sim_fail(s, "e%d stands before an event that was acknowledged before it was published", index);
    t->is_durable = true;
    t->seq = seq;
    t->lsn = lsn;
    trace_note(s, (int)node, "  accepted e", (uint64_t)index, seq, fo_lane_name(t->lane));
    l->event_of[seq] = (uint32_t)index + 1;
    s->truth.durable_own++;
}

static void
own_batch(struct sim *s, unsigned node, uint64_t lsn, const struct fo_batch_header *h, const struct fo_slice *records)
{
    struct truth_lane *l = &s->truth.lane[node][h->lane];
    node_set known, targets = targets_of(s, h, &known);

    if (h->first_seq != l->last_seq + 1)
        sim_fail(s, "%s stores sequence %llu behind %llu", region_name(node), (unsigned long long)h->first_seq, (unsigned long long)l->last_seq);
    for (unsigned i = 0; i < h->target_count; i++) {
        int g = region_index((const char *)h->target[i].region.p, h->target[i].region.n);

        if (g >= 0 && h->target[i].prev_seq != l->tail[g])
            sim_fail(s, "%s breaks the chain for %s: previous %llu, not %llu", region_name(node), region_name((unsigned)g),
                (unsigned long long)h->target[i].prev_seq, (unsigned long long)l->tail[g]);
        if (g >= 0)
            l->tail[g] = h->first_seq + h->count - 1;
    }
    l->last_seq = h->first_seq + h->count - 1;
    for (uint32_t i = 0; i < h->count; i++) {
        struct fo_event e;

        if (fo_event_decode(records[i], &e) != FO_OK)
            sim_fail(s, "%s stores an event that cannot be decoded", region_name(node));
        else
            own_event(s, node, lsn, h, targets, h->first_seq + i, &e);
    }
}

static void
received_batch(struct sim *s, unsigned node, const struct fo_batch_header *h, const struct fo_slice *records)
{
    int source = region_index((const char *)h->region.p, h->region.n);
    struct truth_lane *l;

    if (source < 0 || source == (int)node) {
        sim_fail(s, "%s stores a batch of nobody", region_name(node));
        return;
    }
    l = &s->truth.lane[source][h->lane];
    if (h->first_seq <= l->held[node])
        sim_fail(s, "%s stores %llu of %s twice", region_name(node), (unsigned long long)h->first_seq, region_name((unsigned)source));
    for (unsigned i = 0; i < h->target_count; i++)
        if (region_index((const char *)h->target[i].region.p, h->target[i].region.n) == (int)node && h->target[i].prev_seq != l->held[node])
            sim_fail(s, "%s stores %llu of %s and has a gap before it: %llu, not %llu", region_name(node), (unsigned long long)h->first_seq, region_name((unsigned)source),
                (unsigned long long)l->held[node], (unsigned long long)h->target[i].prev_seq);
    l->held[node] = h->first_seq + h->count - 1;
    for (uint32_t i = 0; i < h->count; i++) {
        uint32_t index = h->first_seq + i < EVENTS_MAX * 2 ? l->event_of[h->first_seq + i] : 0;
        struct truth_event *t = index > 0 ? &s->truth.event[index - 1] : NULL;
        struct fo_event e;

        if (t == NULL || fo_event_decode(records[i], &e) != FO_OK || truth_index(s, e.subject) != (int)index - 1)
            sim_fail(s, "%s stores an event of %s that is not durable there", region_name(node), region_name((unsigned)source));
        else if (!(t->targets >> node & 1))
            sim_fail(s, "%s stores e%u, which is not for it", region_name(node), index - 1);
        else
            t->received |= 1ull << node;
        trace_note(s, (int)node, "  received e", index - 1, h->first_seq + i, region_name((unsigned)source));
        s->truth.durable_received++;
    }
}

static void
settle(struct sim *s, unsigned node, unsigned peer, const struct fo_ack_record *a, const struct fo_ack_span *span)
{
    struct truth_lane *l = &s->truth.lane[node][span->lane];

    if (span->from_seq != l->settled[peer] + 1)
        sim_fail(s, "%s settles %llu of %s behind %llu", region_name(node), (unsigned long long)span->from_seq, region_name(peer), (unsigned long long)l->settled[peer]);
    l->settled[peer] = span->to_seq;
    for (uint64_t seq = span->from_seq; seq <= span->to_seq && seq < EVENTS_MAX * 2; seq++) {
        struct truth_event *t = l->event_of[seq] > 0 ? &s->truth.event[l->event_of[seq] - 1] : NULL;
        bool is_excepted = false;

        if (t == NULL || !(t->targets >> peer & 1))
            continue;
        if (!(t->received >> peer & 1))
            sim_fail(s, "%s settles e%td, which %s does not hold", region_name(node), t - s->truth.event, region_name(peer));
        for (unsigned i = 0; i < a->exception_count; i++)
            is_excepted |= a->exception[i].lane == span->lane && a->exception[i].seq == seq;
        if (is_excepted)
            t->settled_not |= 1ull << peer;
        else
            t->settled_ok |= 1ull << peer;
        trace_note(s, (int)node, is_excepted ? "  excepted e" : "  delivered e", (uint64_t)(t - s->truth.event), seq, region_name(peer));
        s->truth.settled++;
    }
}

void
truth_durable(struct sim *s, unsigned node, const struct disk_record *r)
{
    static struct fo_ack_record a;
    static struct fo_slice records[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header h;
    struct fo_frame frame;
    struct fo_slice body = fo_slice_of(r->body, r->n);

    if (r->type == FO_RECORD_CHECKPOINT)
        return;
    if (s->plan.is_lossy) {
        lossy_durable(s, node, r);
        return;
    }
    if (r->type == FO_RECORD_ACK) {
        int peer;

        if (fo_ack_record_decode(body, &a) != FO_OK || (peer = region_index((const char *)a.peer.p, a.peer.n)) < 0) {
            sim_fail(s, "%s stores an ACK record that cannot be read", region_name(node));
            return;
        }
        for (unsigned i = 0; i < a.span_count; i++)
            settle(s, node, (unsigned)peer, &a, &a.span[i]);
        return;
    }
    if (fo_frame_split(body, &frame) != FO_OK || fo_batch_header_decode(&frame, &h) != FO_OK || fo_batch_verify(&frame, &h, keys_ring(), records) != FO_OK)
        sim_fail(s, "%s stores a batch that does not verify", region_name(node));
    else if (r->type == FO_RECORD_OWN)
        own_batch(s, node, r->lsn, &h, records);
    else
        received_batch(s, node, &h, records);
}

void
truth_control(struct sim *s, unsigned node, unsigned peer, const struct fo_control *c)
{
    if (s->plan.is_lossy)
        return;
    for (int i = 0; i < FO_LANES; i++) {
        const struct truth_lane *l = &s->truth.lane[peer][i];

        if (c->cum_seq[i] > l->held[node])
            sim_fail(s, "%s acks %llu of %s's %s lane to it, and only %llu is durable", region_name(node), (unsigned long long)c->cum_seq[i], region_name(peer),
                fo_lane_name((enum fo_lane)i), (unsigned long long)l->held[node]);
        if (c->settled_seq[i] > s->truth.lane[node][i].settled[peer])
            sim_fail(s, "%s tells %s to forget exceptions up to %llu, and only %llu is durably settled", region_name(node), region_name(peer),
                (unsigned long long)c->settled_seq[i], (unsigned long long)s->truth.lane[node][i].settled[peer]);
    }
}

/* What readers at target have seen of it. */
static void
check_seen(struct sim *s, unsigned index, unsigned target)
{
    const struct truth_event *t = &s->truth.event[index];
    bool is_expected = target == t->source || (t->settled_ok >> target & 1);

    for (unsigned i = 0; i < s->plan.readers; i++) {
        const struct reader *r = &s->reader[i];

        if (r->node != target || r->has_gap || !reader_wants(r, t))
            continue;
        if (is_expected && !(t->seen >> i & 1))
            sim_fail(s, "e%u, delivered to %s, was never seen by reader %u there", index, region_name(target), i);
        if (!is_expected && t->seen >> i & 1)
            sim_fail(s, "e%u, expired at %s, was seen by reader %u there", index, region_name(target), i);
    }
}

static void
check_event(struct sim *s, unsigned index)
{
    const struct truth_event *t = &s->truth.event[index];
    node_set others = t->targets & ~(1ull << t->source);

    if (t->is_acked && !t->is_durable)
        sim_fail(s, "e%u was acknowledged and is lost", index);
    if (!t->is_durable)
        return;
    if ((t->received & others) != others)
        sim_fail(s, "e%u did not reach every region: %llx of %llx", index, (unsigned long long)t->received, (unsigned long long)others);
    if (((t->settled_ok ^ t->settled_not) & others) != others)
        sim_fail(s, "e%u is not settled exactly once per target: delivered %llx, excepted %llx", index, (unsigned long long)t->settled_ok, (unsigned long long)t->settled_not);
    if ((t->told_ok & ~t->settled_ok) != 0 || (t->told_not & ~t->settled_not) != 0)
        sim_fail(s, "e%u's publisher was told of other deliveries than there were", index);
    for (unsigned g = 0; g < s->plan.nodes; g++)
        if (t->targets >> g & 1)
            check_seen(s, index, g);
}

void
truth_check_end(struct sim *s)
{
    if (s->plan.is_lossy) {
        lossy_check_end(s);
        return;
    }
    for (unsigned i = 0; i < s->truth.count; i++)
        check_event(s, i);
}
