/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/waits.h"

#include "base/assert.h"
#include "broker/answer.h"
#include "broker/delivery_state.h"
#include "ports/log.h"

#include <stdlib.h>

void
fo_waits_init(struct fo_waits *w, struct fo_context *ctx, const uint64_t durable_seq[FO_LANES])
{
    *w = (struct fo_waits){ .ctx = ctx, .deadline = { INT64_MAX } };
    w->durable_last = &w->durable_first;
    memcpy(w->durable_seq, durable_seq, sizeof w->durable_seq);
    fo_buf_init(&w->answer);
}

static void
destroy_list(struct fo_context *ctx, struct fo_wait *list)
{
    while (list != NULL) {
        struct fo_wait *next = list->next;

        fo_wait_destroy(ctx, &list);
        list = next;
    }
}

void
fo_waits_fini(struct fo_waits *w)
{
    destroy_list(w->ctx, w->durable_first);
    destroy_list(w->ctx, w->acks);
    fo_buf_fini(&w->answer);
}

static unsigned
peers_of(const struct fo_context *ctx)
{
    return ctx->regions.count - 1;
}

struct fo_wait *
fo_wait_create(const struct fo_context *ctx, const struct fo_request *req)
{
    bool is_brief = req->is_brief && req->is_many, has_targets = req->wait != FO_WAIT_ACCEPTED && peers_of(ctx) > 0;
    bool has_events = !is_brief || req->wait != FO_WAIT_ACCEPTED;
    uint32_t room = req->events_count > 0 ? req->events_count : 1;
    struct fo_wait *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->encoding = req->encoding;
    w->is_many = req->is_many;
    w->is_brief = is_brief;
    w->wait = req->wait;
    w->event_count = w->tally.count = req->events_count;
    w->deadline = fo_instant_add(ctx->now, fo_duration_ms(req->timeout_ms));
    fo_buf_init(&w->scratch);
    fo_buf_init(&w->ids);
    if (has_events)
        w->event = calloc(room, sizeof *w->event);
    if (has_targets)
        w->target = calloc((size_t)room * peers_of(ctx), sizeof *w->target);
    if ((has_events && w->event == NULL) || (has_targets && w->target == NULL)) {
        free(w->event);
        free(w->target);
        free(w);
        return NULL;
    }
    return w;
}

void
fo_wait_destroy(struct fo_context *ctx, struct fo_wait **take_wait)
{
    struct fo_wait *w = *take_wait;

    *take_wait = NULL;
    for (uint32_t i = 0; i < w->tally.error_count; i++)
        free(w->tally.error[i].fault);
    free(w->tally.error);
    if (w->msg.handle != NULL)
        ctx->transport->ops->msg_free(ctx->transport, &w->msg);
    fo_buf_fini(&w->scratch);
    fo_buf_fini(&w->ids);
    free(w->event);
    free(w->target);
    free(w);
}

void
fo_wait_accepted(const struct fo_context *ctx, struct fo_wait *w, uint32_t index, const struct fo_wait_event *event)
{
    struct fo_publish_tally *t = &w->tally;

    if (w->event != NULL)
        w->event[index] = *event;
    t->last = (struct fo_publish_place){ fo_context_name(ctx, event->source), event->position };
    if (t->accepted++ == 0)
        t->first = t->last;
    t->duplicates += event->is_duplicate;
}

void
fo_wait_refused(struct fo_wait *w, uint32_t index, const struct fo_fault *fault)
{
    struct fo_publish_tally *t = &w->tally;
    struct fo_fault *kept = malloc(sizeof *kept);
    uint32_t at;

    if (t->error == NULL)
        t->error = malloc(w->event_count * sizeof *t->error);
    if (kept == NULL || t->error == NULL) {
        free(kept);
        w->is_unsaid = true;
        return;
    }
    *kept = *fault;
    for (at = t->error_count++; at > 0 && t->error[at - 1].index > index; at--)
        t->error[at] = t->error[at - 1];
    t->error[at] = (struct fo_publish_error){ index, kept };
    if (w->event != NULL)
        w->event[index].fault = kept;
}

static bool
is_durable(const struct fo_waits *w, const struct fo_wait *t)
{
    for (int i = 0; i < FO_LANES; i++)
        if (w->durable_seq[i] < t->need_seq[i])
            return false;
    return true;
}

/* How many targets of event i are delivered, and how many remain open. */
static void
count_targets(const struct fo_context *ctx, const struct fo_wait *t, uint32_t i, unsigned *ret_delivered, unsigned *ret_open)
{
    *ret_delivered = *ret_open = 0;
    for (unsigned p = 0; p < peers_of(ctx); p++) {
        const struct fo_wait_target *g = &t->target[i * peers_of(ctx) + p];

        if (!(t->event[i].targets >> (p + 1) & 1))
            continue;
        *ret_delivered += g->state == FO_DELIVERY_DELIVERED;
        *ret_open += g->state == FO_DELIVERY_PENDING && !g->is_over;
    }
}

static bool
is_event_fulfilled(const struct fo_context *ctx, const struct fo_wait *t, uint32_t i, bool *ret_is_settled)
{
    unsigned delivered, open, peers;

    *ret_is_settled = true;
    if (t->event[i].fault != NULL)
        return false;
    if (t->wait == FO_WAIT_ACCEPTED || t->target == NULL)
        return true;
    count_targets(ctx, t, i, &delivered, &open);
    *ret_is_settled = open == 0;
    peers = (unsigned)__builtin_popcountll(t->event[i].targets >> 1);
    return delivered >= (t->wait == FO_WAIT_ALL || t->wait > peers ? peers : t->wait);
}

/* Nothing that may still happen can change the answer. */
static bool
is_ready(const struct fo_context *ctx, const struct fo_wait *t)
{
    for (uint32_t i = 0; t->wait != FO_WAIT_ACCEPTED && i < t->event_count; i++) {
        bool is_settled;

        if (!is_event_fulfilled(ctx, t, i, &is_settled) && !is_settled)
            return false;
    }
    return true;
}

static unsigned
fill_deliveries(const struct fo_context *ctx, const struct fo_wait *t, uint32_t i, struct fo_delivery *d, int64_t *ret_total_us)
{
    unsigned n = 0;

    for (unsigned p = 0; p < peers_of(ctx); p++) {
        const struct fo_wait_target *g = t->target != NULL ? &t->target[i * peers_of(ctx) + p] : NULL;

        if (!(t->event[i].targets >> (p + 1) & 1))
            continue;
        d[n] = (struct fo_delivery){ .region = fo_context_name(ctx, p + 1), .state = FO_DELIVERY_PENDING, .latency_us = -1 };
        if (g != NULL && g->state != FO_DELIVERY_PENDING) {
            d[n].state = (enum fo_delivery_state)g->state;
            d[n].latency_us = g->latency_us;
            d[n].attempts = g->attempts;
            if (g->latency_us > *ret_total_us)
                *ret_total_us = g->latency_us;
        }
        n++;
    }
    return n;
}

static void
fill_result(const struct fo_context *ctx, const struct fo_wait *t, uint32_t i, struct fo_publish_result *r, struct fo_delivery *d)
{
    const struct fo_wait_event *e = &t->event[i];
    bool is_settled;

    r->event_id = e->id;
    r->fault = e->fault;
    if (e->fault != NULL)
        return;
    r->is_duplicate = e->is_duplicate;
    r->position = e->position;
    r->region = fo_context_name(ctx, e->source);
    r->total_latency_us = e->is_duplicate ? -1 : t->durable_at.us - e->accepted_at.us;
    r->is_success = is_event_fulfilled(ctx, t, i, &is_settled);
    r->deliveries = d;
    r->delivery_count = fill_deliveries(ctx, t, i, d, &r->total_latency_us);
}

/* By which all its events that were accepted are a success, or those whose wait was fulfilled. */
static enum fo_err
answer_brief(struct fo_waits *w, struct fo_wait *t)
{
    bool is_settled;

    t->tally.successes = t->event == NULL ? t->tally.accepted : 0;
    for (uint32_t i = 0; t->event != NULL && i < t->event_count; i++)
        t->tally.successes += is_event_fulfilled(w->ctx, t, i, &is_settled);
    return fo_publish_brief_encode(t->encoding, fo_context_name(w->ctx, 0), &t->tally, &w->answer);
}

static enum fo_err
answer_each(struct fo_waits *w, const struct fo_wait *t)
{
    struct fo_publish_result *results = calloc(t->event_count ? t->event_count : 1, sizeof *results);
    struct fo_delivery *deliveries = calloc((size_t)t->event_count * (peers_of(w->ctx) + 1) + 1, sizeof *deliveries);
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (results != NULL && deliveries != NULL) {
        for (uint32_t i = 0; i < t->event_count; i++)
            fill_result(w->ctx, t, i, &results[i], &deliveries[(size_t)i * peers_of(w->ctx)]);
        err = fo_publish_answer_encode(t->encoding, t->is_many, fo_context_name(w->ctx, 0), results, t->event_count, &w->answer);
    }
    free(results);
    free(deliveries);
    return err;
}

static void
answer(struct fo_waits *w, struct fo_wait *t)
{
    enum fo_err err = FO_ERR_NO_MEMORY;

    w->answer.n = 0;
    if (!t->is_unsaid)
        err = t->is_brief ? answer_brief(w, t) : answer_each(w, t);
    fo_answer_send(w->ctx, t->request, t->encoding, err, fo_buf_slice(&w->answer));
}

/* The one event of the request was accepted before: its first answer has latencies that only the journal remembers. */
static bool
is_answered_before(const struct fo_wait *t)
{
    return !t->is_many && t->tally.duplicates == 1 && t->event[0].source == 0;
}

static void
forget(struct fo_waits *w, struct fo_wait *t)
{
    w->waiting_events -= t->target != NULL ? t->event_count : 0;
    w->count--;
    fo_wait_destroy(w->ctx, &t);
}

static void
finish(struct fo_waits *w, struct fo_wait *t)
{
    if (!is_answered_before(t) || w->first_answer == NULL || !w->first_answer(w->first_answer_user, t))
        answer(w, t);
    forget(w, t);
}

static void
move_text(struct fo_buf *to, struct fo_slice *s)
{
    if (s->n > 0)
        memcpy(to->p + to->n, s->p, s->n);
    s->p = to->p + to->n;
    to->n += s->n;
}

/* The request's bytes are not held while a peer is waited for, which may be long; of all of it the answer needs the ids. */
static void
keep_ids_only(struct fo_context *ctx, struct fo_wait *t)
{
    struct fo_buf kept;
    size_t bytes = 0;

    for (uint32_t i = 0; i < t->event_count; i++)
        bytes += t->event[i].id.n + t->event[i].tenant.n;
    fo_buf_init(&kept);
    if (t->msg.handle == NULL || fo_buf_reserve(&kept, bytes + 1) != FO_OK)
        return;
    for (uint32_t i = 0; i < t->event_count; i++) {
        move_text(&kept, &t->event[i].id);
        move_text(&kept, &t->event[i].tenant);
    }
    ctx->transport->ops->msg_free(ctx->transport, &t->msg);
    t->msg = (struct fo_msg){ 0 };
    fo_buf_fini(&t->scratch);
    fo_buf_fini(&t->ids);
    t->ids = kept;
}

static void
now_durable(struct fo_waits *w, struct fo_wait *t)
{
    t->durable_at = w->ctx->wall;
    if (is_ready(w->ctx, t)) {
        finish(w, t);
        return;
    }
    keep_ids_only(w->ctx, t);
    t->next = w->acks;
    w->acks = t;
}

void
fo_waits_add(struct fo_waits *w, struct fo_wait **take_wait)
{
    struct fo_wait *t = *take_wait;

    *take_wait = NULL;
    w->count++;
    w->waiting_events += t->target != NULL ? t->event_count : 0;
    w->deadline = fo_instant_earlier(w->deadline, t->deadline);
    if (w->durable_first == NULL && is_durable(w, t)) {
        now_durable(w, t);
        return;
    }
    t->next = NULL;
    *w->durable_last = t;
    w->durable_last = &t->next;
    w->durable_bytes += t->bytes;
}

void
fo_waits_flush(struct fo_waits *w)
{
    while (w->durable_first != NULL && is_durable(w, w->durable_first)) {
        struct fo_wait *t = w->durable_first;

        w->durable_first = t->next;
        if (w->durable_first == NULL)
            w->durable_last = &w->durable_first;
        w->durable_bytes -= t->bytes;
        now_durable(w, t);
    }
}

static enum fo_delivery_state
state_of(uint64_t seq, const struct fo_exception *exceptions, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (exceptions[i].seq != seq)
            continue;
        return fo_delivery_state_of((uint8_t)exceptions[i].verdict);
    }
    return FO_DELIVERY_DELIVERED;
}

/* Most acks are about the events of few requests. */
static bool
is_about(const struct fo_wait *t, enum fo_lane lane, const struct fo_settled *span)
{
    return t->target != NULL && t->first_seq[lane] > 0 && t->first_seq[lane] <= span->to_seq && t->need_seq[lane] >= span->from_seq;
}

static void
settle_wait(struct fo_waits *w, struct fo_wait *t, unsigned peer, enum fo_lane lane, const struct fo_settled *span, const struct fo_exception *exceptions, unsigned exception_count)
{
    for (uint32_t i = 0; i < t->event_count; i++) {
        const struct fo_wait_event *e = &t->event[i];
        struct fo_wait_target *g = &t->target[i * peers_of(w->ctx) + peer - 1];

        if (e->fault != NULL || e->source != 0 || e->position.lane != lane || !(e->targets >> peer & 1) || g->state != FO_DELIVERY_PENDING)
            continue;
        if (e->position.seq < span->from_seq || e->position.seq > span->to_seq)
            continue;
        g->state = (uint8_t)state_of(e->position.seq, exceptions, exception_count);
        g->attempts = span->attempts;
        g->latency_us = w->ctx->wall.us - e->accepted_at.us;
    }
}

void
fo_waits_settled(struct fo_waits *w, unsigned peer, enum fo_lane lane, const struct fo_settled *span, const struct fo_exception *exceptions, unsigned exception_count)
{
    fo_assert(peer > 0);
    for (struct fo_wait *t = w->durable_first; t != NULL; t = t->next)
        if (is_about(t, lane, span))
            settle_wait(w, t, peer, lane, span, exceptions, exception_count);
    for (struct fo_wait **at = &w->acks; *at != NULL;) {
        struct fo_wait *t = *at;

        if (!is_about(t, lane, span)) {
            at = &t->next;
            continue;
        }
        settle_wait(w, t, peer, lane, span, exceptions, exception_count);
        if (is_ready(w->ctx, t)) {
            *at = t->next;
            finish(w, t);
        } else {
            at = &t->next;
        }
    }
}

/* Not durable in time: what became of it is not known yet, and a retry with the same id finds out. */
static void
refuse_late(struct fo_waits *w, struct fo_wait *t)
{
    struct fo_fault fault;

    (void)fo_fault_set(&fault, FO_ERR_TIMEOUT, "", "not durable in time and not refused: publish again with the same id to learn its fate");
    fo_answer_refuse(w->ctx, t->request, t->encoding, &fault, 1000);
    forget(w, t);
}

struct fo_instant
fo_waits_check_deadlines(struct fo_waits *w)
{
    struct fo_instant next = { INT64_MAX };
    struct fo_wait **at;

    if (fo_instant_is_before(w->ctx->now, w->deadline))
        return w->deadline;
    for (at = &w->durable_first; *at != NULL;) {
        struct fo_wait *t = *at;

        if (!fo_instant_is_before(w->ctx->now, t->deadline)) {
            *at = t->next;
            w->durable_bytes -= t->bytes;
            refuse_late(w, t);
            continue;
        }
        if (fo_instant_is_before(t->deadline, next))
            next = t->deadline;
        at = &t->next;
    }
    w->durable_last = at;
    for (at = &w->acks; *at != NULL;) {
        struct fo_wait *t = *at;

        if (!fo_instant_is_before(w->ctx->now, t->deadline)) {
            *at = t->next;
            finish(w, t);
            continue;
        }
        if (fo_instant_is_before(t->deadline, next))
            next = t->deadline;
        at = &t->next;
    }
    w->deadline = next;
    return next;
}

void
fo_waits_finish_acks(struct fo_waits *w)
{
    while (w->acks != NULL) {
        struct fo_wait *t = w->acks;

        w->acks = t->next;
        finish(w, t);
    }
}
