/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish requests that have not been answered yet.
 *
 *   request --> durable queue --all its events durable--> answered            (wait: accepted)
 *                                                    \--> ack list --> answered (wait: N, all; or its time is over)
 *
 * No answer says "accepted" before the stored input that covers every event of the request. Bounded by the door's contexts, and by
 * limits.waiting_events_max. */
#pragma once
#include "broker/context.h"
#include "core/link.h"
#include "wire/door.h"

struct fo_wait_target { bool is_over; uint8_t state; uint32_t attempts; int64_t latency_us; };    /* is_over: nothing more will be heard, also of a pending one */
struct fo_wait_event {
    const struct fo_fault *fault;       /* why it was refused; null: it was not */
    struct fo_slice id;
    struct fo_position position;
    unsigned source;                    /* region index of the position; another region's for a duplicate of its event */
    fo_region_set targets;
    struct fo_wall accepted_at;
    struct fo_slice tenant;             /* of a duplicate */
    bool is_duplicate;
};

struct fo_wait {
    struct fo_wait *next;
    uint64_t request;
    struct fo_msg msg;                  /* ids are slices into it, or into scratch or ids; gone once the events are durable */
    struct fo_buf scratch, ids;
    size_t bytes;                       /* of the request */
    enum fo_encoding encoding;
    bool is_many, is_brief;
    bool is_unsaid;                     /* no memory to say what became of each event: the answer says nothing of any */
    uint8_t wait;
    struct fo_instant deadline;
    uint64_t first_seq[FO_LANES], need_seq[FO_LANES];   /* own events it is about, 0: none; those up to the last are to be durable */
    struct fo_wait_event *event; uint32_t event_count;      /* event: null when the tally says all that is asked */
    struct fo_publish_tally tally;      /* its errors are owned, brief or not; the rest of it is for a brief answer */
    struct fo_wait_target *target;      /* event_count * regions - 1, when wait is not accepted; else null */
    struct fo_wall durable_at;
};

struct fo_waits {
    struct fo_context *ctx;
    struct fo_wait *durable_first, **durable_last;
    struct fo_wait *acks;
    unsigned count;
    uint32_t waiting_events;            /* of requests that wait for peers, or will: at most limits.waiting_events_max, or one request's */
    struct fo_instant deadline;         /* no wait's is earlier */
    uint64_t durable_bytes;             /* of the requests in the durable queue */
    struct fo_buf answer;               /* reused */
    uint64_t durable_seq[FO_LANES];
    /* Answers a duplicate in the loop's stead, from the journal. False: it cannot now. May be null. */
    bool (*first_answer)(void *user, const struct fo_wait *t);
    void *first_answer_user;
};

void fo_waits_init(struct fo_waits *w, struct fo_context *ctx, const uint64_t durable_seq[FO_LANES]);
void fo_waits_fini(struct fo_waits *w);
/* A wait for the answer to `req`; null without memory. The caller fills it in and adds or destroys it. */
struct fo_wait *fo_wait_create(const struct fo_context *ctx, const struct fo_request *req);
void fo_wait_destroy(struct fo_context *ctx, struct fo_wait **take_wait);
/* It is about that own event. */
static inline void fo_wait_needs(struct fo_wait *w, enum fo_lane lane, uint64_t seq)
{
    if (w->first_seq[lane] == 0 || seq < w->first_seq[lane])
        w->first_seq[lane] = seq;
    if (seq > w->need_seq[lane])
        w->need_seq[lane] = seq;
}
/* What became of the event at that index of the request; each is told once, those that are accepted in their order. */
void fo_wait_accepted(const struct fo_context *ctx, struct fo_wait *w, uint32_t index, const struct fo_wait_event *event);
void fo_wait_refused(struct fo_wait *w, uint32_t index, const struct fo_fault *fault);
/* Answers at once if nothing is to be waited for. */
void fo_waits_add(struct fo_waits *w, struct fo_wait **take_wait);
/* Own events of the lane up to seq are durable; answered by flush. */
static inline void fo_waits_durable(struct fo_waits *w, enum fo_lane lane, uint64_t seq) { w->durable_seq[lane] = seq; }
void fo_waits_flush(struct fo_waits *w);
/* A peer's verified ack settled this span of ours. exceptions: those of the lane within it. */
void fo_waits_settled(struct fo_waits *w, unsigned peer, enum fo_lane lane, const struct fo_settled *span, const struct fo_exception *exceptions, unsigned exception_count);
/* Answers those that wait for acks with what is known now: the broker is leaving. */
void fo_waits_finish_acks(struct fo_waits *w);
/* Answers what is over time; returns the next deadline (ns INT64_MAX: none). */
struct fo_instant fo_waits_check_deadlines(struct fo_waits *w);
