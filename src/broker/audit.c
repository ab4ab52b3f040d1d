/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting. As source:
 *
 *   accepted = delivered + expired + incompatible + rejected + unproven + pending      per target and lane
 *
 * where the pending ones are the lane's end, so that the settled ones are exactly what the target must hold up to one
 * position, which the statement names: acks that are on their way look like nothing but that. */
#include "broker/audit.h"

#include "broker/audit_walk.h"
#include "broker/batch.h"
#include "wire/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct counting {
    struct fo_audit_walk walk;
    struct fo_audit_statement *s;
    struct fo_mark last[FO_LANES];              /* as target */
    bool has_batch[FO_LANES];
    int only;                                   /* as source: the one target that counts; 0: all */
};

static struct fo_audit_flow *
flow_of(struct counting *c, unsigned region, enum fo_lane lane)
{
    unsigned first = c->walk.region != 0 || c->only > 0 ? 0 : (region - 1) * FO_LANES;

    return &c->s->flow[first + (unsigned)lane];
}

static void
add_flows(struct counting *c, unsigned region, const struct fo_mark trimmed[FO_LANES])
{
    for (unsigned i = 0; i < FO_LANES; i++) {
        struct fo_audit_flow *f = &c->s->flow[c->s->flow_count++];

        snprintf(f->region, sizeof f->region, "%s", fo_context_name(c->walk.ctx, region));
        f->lane = (enum fo_lane)i;
        f->trimmed = trimmed[i];
    }
}

static void
count_settled(struct fo_audit_flow *f, const struct fo_audit_event *e, enum fo_audit_state state, const uint8_t leaf[FO_HASH_BYTES])
{
    f->count[state]++;
    if (f->first.epoch == 0)
        f->first = e->at;
    fo_audit_digest_event(f->digest, e->at, leaf);
}

static void
count_ledger(struct counting *c, const struct fo_audit_event *e, const struct fo_audit_fate fate[FO_REGIONS_MAX])
{
    struct fo_audit_lane *l = &c->s->lane[c->walk.batch.header.lane];
    char outcome[FO_OUTCOME_SIZE];

    l->ledger_moving += fo_audit_outcome(&c->walk, fate, c->walk.query->ledger.seq, outcome);
    l->ledger_rows++;
    fo_audit_digest_row(l->ledger_digest, e->at, e->event.tenant, e->event.id, fo_slice_str(outcome));
}

static void
count_own_event(struct counting *c, uint32_t i, bool is_in_ledger)
{
    struct fo_audit_walk *w = &c->walk;
    enum fo_lane lane = w->batch.header.lane;
    struct fo_audit_fate fate[FO_REGIONS_MAX];
    uint8_t leaf[FO_HASH_BYTES];
    struct fo_audit_event e;

    if (!fo_audit_walk_event(w, i, &e))
        return;
    fo_audit_leaf(e.record, leaf);
    c->s->lane[lane].accepted++;
    for (fo_region_set t = w->batch.targets & ~1ull; t != 0; t &= t - 1) {
        unsigned r = (unsigned)__builtin_ctzll(t);
        struct fo_audit_flow *f = flow_of(c, r, lane);

        if (c->only > 0 && r != (unsigned)c->only)
            continue;
        fate[r] = fo_audit_walk_fate(w, &e, r);
        if (fate[r].state != FO_AUDIT_PENDING)
            count_settled(f, &e, fate[r].state, leaf);
        else if (f->count[FO_AUDIT_PENDING]++ == 0)
            f->up_to = (struct fo_mark){ e.at.epoch, e.at.seq - 1 };
    }
    if (is_in_ledger)
        count_ledger(c, &e, fate);
}

/* Sequences are given out without a gap for as long as the data directory lasts. */
static void
count_own_batch(struct counting *c)
{
    const struct fo_batch_header *h = &c->walk.batch.header;
    const struct fo_mark ledger = c->walk.query->ledger;
    struct fo_audit_lane *l = &c->s->lane[h->lane];
    bool is_in_ledger = c->only == 0 && ledger.epoch != 0 && ledger.epoch == c->s->epoch && c->walk.rec.lsn < ledger.seq;

    if (!c->has_batch[h->lane] && !c->walk.has_checkpoint)
        l->trimmed = l->end = (struct fo_mark){ h->first_seq > 1 ? h->epoch : 0, h->first_seq - 1 };
    c->has_batch[h->lane] = true;
    if (h->first_seq > l->end.seq + 1 && h->sealed_at.us >= c->walk.query->from.us)
        l->holes += h->first_seq - l->end.seq - 1;
    l->end = (struct fo_mark){ h->epoch, h->first_seq + h->count - 1 };
    if (is_in_ledger)
        l->ledger_up_to = l->end;
    for (uint32_t i = 0; i < h->count; i++)
        count_own_event(c, i, is_in_ledger);
}

static void
count_received_batch(struct counting *c)
{
    const struct fo_batch_header *h = &c->walk.batch.header;
    struct fo_audit_flow *f = flow_of(c, c->walk.region, h->lane);
    struct fo_mark *last = &c->last[h->lane];
    struct fo_audit_event e;
    uint8_t leaf[FO_HASH_BYTES];

    if (!c->has_batch[h->lane] && !c->walk.has_checkpoint)
        for (unsigned i = 0; i < h->target_count; i++)
            if (fo_context_region(c->walk.ctx, h->target[i].region) == 0)
                f->trimmed = *last = fo_batch_previous(h, i);
    c->has_batch[h->lane] = true;
    for (uint32_t i = 0; i < h->count; i++) {
        bool is_asked = fo_audit_walk_event(&c->walk, i, &e);

        f->misplaced += is_asked && !fo_mark_is_behind(e.at, *last);
        if (fo_mark_is_behind(e.at, *last))
            *last = e.at;
        if (!is_asked)
            continue;
        fo_audit_leaf(e.record, leaf);
        count_settled(f, &e, e.state, leaf);
    }
}

static void
begin_source(struct counting *c)
{
    const struct fo_state *before = &c->walk.checkpoint;
    struct fo_mark trimmed[FO_LANES];

    for (unsigned i = 0; i < FO_LANES; i++) {
        bool is_trimmed = before->last_seq[i] > 0;

        trimmed[i] = (struct fo_mark){ is_trimmed ? fo_epochs_current(&before->epochs) : 0, before->last_seq[i] };
        c->s->lane[i].trimmed = trimmed[i];
        c->s->lane[i].end = (struct fo_mark){ trimmed[i].epoch, before->last_seq[i] };
        c->s->lane[i].ledger_up_to = trimmed[i];
    }
    for (unsigned r = 1; r < c->walk.ctx->regions.count; r++)
        if (c->only == 0 || r == (unsigned)c->only)
            add_flows(c, r, trimmed);
}

static void
end_source(struct counting *c)
{
    for (unsigned i = 0; i < FO_LANES; i++) {
        struct fo_audit_lane *l = &c->s->lane[i];

        bool is_whole = l->ledger_up_to.epoch == l->end.epoch && l->ledger_up_to.seq == l->end.seq;

        if (l->end.epoch < c->s->epoch)         /* nothing of this epoch yet: what else is told of earlier ones was ours and is lost */
            l->end = (struct fo_mark){ c->s->epoch, 0 };
        if (is_whole && c->walk.query->ledger.epoch == c->s->epoch)
            l->ledger_up_to = l->end;
    }
    for (unsigned i = 0; i < c->s->flow_count; i++) {
        struct fo_audit_flow *f = &c->s->flow[i];

        f->trimmed = c->s->lane[f->lane].trimmed;
        if (f->count[FO_AUDIT_PENDING] == 0)
            f->up_to = c->s->lane[f->lane].end;
    }
}

static void
begin_target(struct counting *c)
{
    add_flows(c, c->walk.region, c->walk.checkpoint.received[c->walk.region]);
    for (unsigned i = 0; i < FO_LANES; i++) {
        c->last[i] = c->s->flow[i].trimmed;
        c->s->flow[i].up_to = c->walk.query->up_to[i];
    }
}

static void
conclude(struct counting *c, const struct fo_query_view *v)
{
    const struct fo_state *before = &c->walk.checkpoint;
    struct fo_audit_statement *s = c->s;

    if (c->walk.region == 0)
        end_source(c);
    s->from = c->walk.query->from;
    s->to = c->walk.to;
    s->made_at = v->now;
    if (before->events_total > 0 || !c->walk.has_checkpoint)
        s->complete_from = c->walk.checkpoint_at;
    s->damaged = c->walk.damaged;
    memcpy(s->damage, c->walk.damage, sizeof s->damage);
}

enum fo_err
fo_audit_state(const struct fo_query_view *v, const struct fo_audit_query *q, struct fo_audit_statement *ret_s)
{
    struct counting *c = calloc(1, sizeof *c);
    enum fo_err err;

    if (c == NULL)
        return FO_ERR_NO_MEMORY;
    memset(ret_s, 0, sizeof *ret_s);
    c->s = ret_s;
    snprintf(ret_s->region, sizeof ret_s->region, "%s", fo_context_name(v->ctx, 0));
    snprintf(ret_s->source, sizeof ret_s->source, "%s", q->source);
    snprintf(ret_s->target, sizeof ret_s->target, "%s", q->target);
    memcpy(ret_s->after, q->after, sizeof ret_s->after);
    memcpy(ret_s->up_to, q->up_to, sizeof ret_s->up_to);
    ret_s->ledger = q->ledger;
    ret_s->epoch = v->ctx->epoch;
    c->only = fo_audit_region(v->ctx, q->target);
    err = fo_audit_walk_open(&c->walk, v, q);
    if (err == FO_OK && c->walk.region == 0)
        begin_source(c);
    else if (err == FO_OK)
        begin_target(c);
    while (err == FO_OK && (err = fo_audit_walk_next(&c->walk)) == FO_OK) {
        if (c->walk.region == 0)
            count_own_batch(c);
        else
            count_received_batch(c);
    }
    if (err == FO_ERR_NOT_FOUND) {
        conclude(c, v);
        err = FO_OK;
    }
    fo_audit_walk_close(&c->walk);
    free(c);
    return err;
}
