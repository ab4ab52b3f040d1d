/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules in which a disk loses what it had promised: a new data directory, a power cut under `durability: process`, or rot.
 * What was lost is lost; but the links, the cursors and everything published behind the healing must work as ever. */
#include "sim.h"

#include <stdlib.h>

static const int64_t ms = 1000000;

static void
start(struct sim *s, const struct task *t)
{
    if (!s->node[t->node].is_up)
        node_start(s, t->node);
}

void
lossy_fault(struct sim *s)
{
    unsigned i = (unsigned)sim_below(s, s->plan.nodes);
    struct disk *d = &s->node[i].disk;

    node_kill(s, i);
    if (d->count > d->first && sim_chance(s, 300))
        disk_damage(d, (unsigned)sim_below(s, d->count - d->first));
    else
        disk_lose(d, sim_chance(s, 300) ? 0 : (unsigned)sim_below(s, d->count - d->first + 1));
    trace_note(s, (int)i, "disk loses", d->end_lsn, d->epoch, NULL);
    sim_after(s, (int64_t)(1 + sim_below(s, 500)) * ms, start, i, 0, 0, NULL);
}

void
lossy_durable(struct sim *s, unsigned node, const struct disk_record *r)
{
    static struct fo_slice records[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header h;
    struct fo_frame frame;

    if (r->type != FO_RECORD_OWN && r->type != FO_RECORD_RECEIVED)
        return;
    if (fo_frame_split(fo_slice_of(r->body, r->n), &frame) != FO_OK || fo_batch_header_decode(&frame, &h) != FO_OK
        || fo_batch_verify(&frame, &h, keys_ring(), records) != FO_OK) {
        sim_fail(s, "%s stores a batch that does not verify", region_name(node));
        return;
    }
    for (uint32_t i = 0; i < h.count; i++) {
        struct fo_event e;
        int index;

        if (fo_event_decode(records[i], &e) != FO_OK || (index = truth_index(s, e.subject)) < 0)
            continue;
        if (r->type == FO_RECORD_OWN) {
            s->truth.event[index].is_durable = true;
            s->truth.durable_own++;
        } else {
            s->truth.event[index].received |= 1ull << node;
        }
        trace_note(s, (int)node, r->type == FO_RECORD_OWN ? "  accepted e" : "  received e", (uint64_t)index, h.first_seq + i, fo_lane_name(h.lane));
    }
}

static void
check_fresh(struct sim *s, unsigned index)
{
    const struct truth_event *t = &s->truth.event[index];
    node_set others = t->targets & ~(1ull << t->source);

    if (!t->is_acked)
        return;
    if (!t->is_durable || (t->received & others) != others)
        sim_fail(s, "e%u, published behind the healing, reached %llx of %llx", index, (unsigned long long)t->received, (unsigned long long)others);
    for (unsigned i = 0; i < s->plan.readers; i++) {
        const struct reader *r = &s->reader[i];

        if (t->expiry_us == 0 && !r->is_now && (t->targets >> r->node & 1) && reader_wants(r, t) && !(t->seen >> i & 1))
            sim_fail(s, "e%u, published behind the healing, was never seen by reader %u", index, i);
    }
}

void
lossy_check_end(struct sim *s)
{
    for (unsigned i = s->fresh_from; i < s->truth.count; i++)
        check_fresh(s, i);
}
