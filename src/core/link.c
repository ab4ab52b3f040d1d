/* SPDX-License-Identifier: Apache-2.0 */
#include "core/link.h"

#include "base/assert.h"

static void
lane_check(const struct fo_link_lane *n)
{
    fo_assert(n->acked_seq <= n->sent_seq && n->sent_seq <= n->tail_seq);
}

void
fo_link_init(struct fo_link *l, const struct fo_link_limits *limits, struct fo_slot *slots)
{
    *l = (struct fo_link){ .limits = limits };
    for (int i = 0; i < FO_LINK_CLASSES; i++)
        fo_pace_init(&l->pace[i], &limits->pace);
    for (int i = 0; i < FO_LANES; i++)
        fo_window_init(&l->lane[i].window, slots + (size_t)i * limits->window_batches, limits->window_batches);
}

void
fo_link_restore(struct fo_link *l, enum fo_lane lane, uint64_t tail_seq, uint64_t acked_seq, uint64_t read_lsn, uint64_t backlog_events)
{
    struct fo_link_lane *n = &l->lane[lane];

    fo_assert(acked_seq <= tail_seq);
    n->tail_seq = tail_seq;
    n->sent_seq = n->acked_seq = acked_seq;
    n->read_lsn = read_lsn;
    n->is_behind = acked_seq < tail_seq;
    n->backlog_events = backlog_events;
    n->rewound_seq = tail_seq;          /* whether the process before us had sent them is not known: count this as a second attempt */
    n->rewinds = acked_seq < tail_seq ? 1 : 0;
    n->uncounted_seq = acked_seq;
    n->has_oldest = false;
}

void
fo_link_held_before(struct fo_link *l, enum fo_lane lane, uint64_t seq)
{
    struct fo_link_lane *n = &l->lane[lane];

    fo_assert(fo_window_is_empty(&n->window) && seq <= n->tail_seq);
    n->held_seq = seq;
    if (n->sent_seq < seq)
        n->sent_seq = seq;
}

/* The count is for people: after a restart it is taken from the checkpoint and may be a little high until the lane is empty. */
static void
settle_backlog(struct fo_link_lane *n, const struct fo_slot *batch)
{
    uint64_t count = batch->last_seq - batch->first_seq + 1;

    n->backlog_events -= count < n->backlog_events ? count : n->backlog_events;
}

/* Everything unacked is to be sent again. */
static void
rewind_lane(struct fo_link_lane *n)
{
    lane_check(n);
    n->timeouts = 0;
    if (fo_window_is_empty(&n->window))
        return;
    n->oldest_at = fo_window_oldest(&n->window)->sealed_at;
    n->has_oldest = true;
    n->read_lsn = fo_window_oldest(&n->window)->lsn;
    n->rewinds = fo_window_oldest(&n->window)->attempts;
    n->is_behind = true;
    n->rewound_seq = n->sent_seq;
    n->sent_seq = n->acked_seq > n->held_seq ? n->acked_seq : n->held_seq;
    fo_window_clear(&n->window);
}

static void
rewind_class(struct fo_link *l, enum fo_link_class cls)
{
    for (int i = 0; i < FO_LANES; i++)
        if (fo_lane_class(i) == cls)
            rewind_lane(&l->lane[i]);
}

void
fo_link_up(struct fo_link *l, enum fo_link_class cls)
{
    l->is_up[cls] = true;
    rewind_class(l, cls);
}

void
fo_link_down(struct fo_link *l, enum fo_link_class cls)
{
    l->is_up[cls] = false;
}

static bool
can_send(const struct fo_link *l, enum fo_lane lane)
{
    return l->is_relayed || (l->is_up[fo_lane_class(lane)] && !l->is_blocked);
}

void
fo_link_reroute(struct fo_link *l, bool is_blocked, bool is_relayed)
{
    if (l->is_blocked == is_blocked && l->is_relayed == is_relayed)
        return;
    l->is_blocked = is_blocked;
    l->is_relayed = is_relayed;
    for (int i = 0; i < FO_LINK_CLASSES; i++)
        fo_pace_restart(&l->pace[i]);
    for (int i = 0; i < FO_LANES; i++)
        rewind_lane(&l->lane[i]);
}

void
fo_link_peer_restarted(struct fo_link *l)
{
    for (int i = 0; i < FO_LANES; i++)
        rewind_lane(&l->lane[i]);
}

static bool
is_waiting(const struct fo_link_lane *n)
{
    return n->is_behind && n->sent_seq < n->tail_seq;
}

/* Room for one more batch. One batch always fits into an empty window, however large it is. Normal and low share one
 * connection and so one window: normal leaves the low lane its share while low waits, and low takes no more than its share while normal waits. */
static bool
has_room(const struct fo_link *l, enum fo_lane lane)
{
    const struct fo_link_lane *n = &l->lane[lane];
    uint64_t all = l->pace[fo_lane_class(lane)].window, share = all * l->limits->low_share_percent / 100, used;

    if (!can_send(l, lane) || n->window.count == n->window.cap)
        return false;
    if (fo_window_is_empty(&n->window))
        return true;
    if (lane == FO_LANE_HIGH)
        return n->window.bytes < all;
    used = l->lane[FO_LANE_NORMAL].window.bytes + l->lane[FO_LANE_LOW].window.bytes;
    if (lane == FO_LANE_NORMAL)
        return is_waiting(&l->lane[FO_LANE_LOW]) ? n->window.bytes < all - share : used < all;
    return is_waiting(&l->lane[FO_LANE_NORMAL]) ? n->window.bytes < share : used < all;
}

static void
put_in_flight(struct fo_link_lane *n, const struct fo_slot *batch, struct fo_instant now)
{
    struct fo_slot slot = *batch;

    slot.sent_at = now;
    slot.attempts = batch->last_seq <= n->rewound_seq ? n->rewinds + 1 : 1;
    if (fo_window_is_empty(&n->window))
        n->progress_at = now;
    if (fo_window_push(&n->window, &slot) != FO_OK)
        fo_assert(!"has_room was asked");
    n->sent_seq = batch->last_seq;
}

enum fo_err
fo_link_offer(struct fo_link *l, enum fo_lane lane, const struct fo_slot *batch, struct fo_instant now)
{
    struct fo_link_lane *n = &l->lane[lane];

    fo_assert(batch->first_seq > n->tail_seq);
    n->tail_seq = batch->last_seq;
    n->backlog_events += batch->last_seq - batch->first_seq + 1;
    lane_check(n);
    if (n->is_behind)
        return FO_ERR_FULL;
    if (!has_room(l, lane)) {
        n->is_behind = true;
        n->read_lsn = batch->lsn;
        n->oldest_at = batch->sealed_at;
        n->has_oldest = true;           /* looked at only if nothing is in flight */
        return FO_ERR_FULL;
    }
    put_in_flight(n, batch, now);
    return FO_OK;
}

/* Nothing is in flight and nothing can be: what waits first is still in the journal. */
static bool
wants_oldest(const struct fo_link *l, enum fo_lane lane)
{
    const struct fo_link_lane *n = &l->lane[lane];

    return !n->has_oldest && is_waiting(n) && fo_window_is_empty(&n->window) && !can_send(l, lane);
}

bool
fo_link_wants_read(const struct fo_link *l, unsigned lanes, enum fo_lane *ret_lane)
{
    for (int i = 0; i < FO_LANES; i++) {
        if ((lanes >> i & 1) && ((l->lane[i].is_behind && has_room(l, i)) || wants_oldest(l, i))) {
            *ret_lane = i;
            return true;
        }
    }
    return false;
}

enum fo_err
fo_link_read(struct fo_link *l, enum fo_lane lane, const struct fo_slot *batch, uint64_t next_lsn, struct fo_instant now)
{
    struct fo_link_lane *n = &l->lane[lane];

    fo_assert(batch->last_seq <= n->tail_seq);
    n->read_lsn = next_lsn;
    if (batch->last_seq <= n->sent_seq) {
        if (batch->last_seq > n->uncounted_seq)
            settle_backlog(n, batch);
        return FO_ERR_STALE;
    }
    if (!can_send(l, lane)) {
        n->oldest_at = batch->sealed_at;
        n->has_oldest = true;
        n->read_lsn = batch->lsn;
        return FO_ERR_FULL;
    }
    put_in_flight(n, batch, now);
    return FO_OK;
}

void
fo_link_read_past(struct fo_link *l, enum fo_lane lane, uint64_t next_lsn, bool at_end)
{
    struct fo_link_lane *n = &l->lane[lane];

    n->read_lsn = next_lsn;
    if (at_end)
        n->is_behind = false;
}

enum fo_err
fo_link_ack(struct fo_link *l, enum fo_lane lane, uint64_t cum_seq, struct fo_instant now, struct fo_settled *ret_settled)
{
    struct fo_link_lane *n = &l->lane[lane];
    struct fo_settled s = { n->acked_seq + 1, cum_seq, 1 };
    struct fo_slot slot;

    lane_check(n);
    if (cum_seq <= n->acked_seq)
        return FO_ERR_STALE;
    if (cum_seq > n->tail_seq)
        return FO_ERR_PROTO;
    while (fo_window_settle(&n->window, cum_seq, &slot) == FO_OK) {
        settle_backlog(n, &slot);
        if (slot.attempts == 1)
            fo_pace_acked(&l->pace[fo_lane_class(lane)], slot.bytes, fo_instant_since(now, slot.sent_at), now);
        if (slot.attempts > s.attempts)
            s.attempts = slot.attempts;
    }
    n->acked_seq = cum_seq;
    n->has_oldest = false;              /* it is the window's oldest, or to be read */
    if (n->sent_seq < cum_seq)
        n->sent_seq = cum_seq;          /* sent before a rewind, and it had arrived after all */
    if (cum_seq <= n->rewound_seq && n->rewinds > s.attempts)
        s.attempts = n->rewinds;
    if (cum_seq >= n->rewound_seq)
        n->rewinds = 0;
    n->progress_at = now;
    n->timeouts = 0;
    if (cum_seq == n->tail_seq)
        n->backlog_events = 0;
    lane_check(n);
    *ret_settled = s;
    return FO_OK;
}

/* Doubles with every timeout that brought no ack. */
static struct fo_duration
timeout_of(const struct fo_link *l, const struct fo_link_lane *n)
{
    int64_t t = 4 * l->rtt.ns;

    if (t < l->limits->retransmit_min.ns)
        t = l->limits->retransmit_min.ns;
    for (uint32_t i = 0; i < n->timeouts && t < l->limits->retransmit_max.ns; i++)
        t *= 2;
    if (t > l->limits->retransmit_max.ns)
        t = l->limits->retransmit_max.ns;
    return (struct fo_duration){ t };
}

struct fo_instant
fo_link_check_timeouts(struct fo_link *l, struct fo_instant now)
{
    struct fo_instant next = { INT64_MAX };

    for (int i = 0; i < FO_LANES; i++) {
        struct fo_link_lane *n = &l->lane[i];
        struct fo_instant due;

        if (fo_window_is_empty(&n->window) || !can_send(l, i))
            continue;
        due = fo_instant_add(n->progress_at, timeout_of(l, n));
        if (!fo_instant_is_before(now, due)) {
            uint32_t timeouts = n->timeouts;

            rewind_lane(n);
            n->timeouts = timeouts + 1;
            l->retransmits++;
            continue;
        }
        if (fo_instant_is_before(due, next))
            next = due;
    }
    return next;
}

bool
fo_link_oldest(const struct fo_link *l, enum fo_lane lane, struct fo_instant *ret_sealed_at)
{
    const struct fo_link_lane *n = &l->lane[lane];

    if (n->acked_seq == n->tail_seq || (fo_window_is_empty(&n->window) && !n->has_oldest))
        return false;
    *ret_sealed_at = fo_window_is_empty(&n->window) ? n->oldest_at : fo_window_oldest(&n->window)->sealed_at;
    return true;
}

void
fo_link_measure_rtt(struct fo_link *l, struct fo_duration sample)
{
    if (sample.ns < 0)
        return;
    l->rtt.ns = l->rtt.ns == 0 ? sample.ns : l->rtt.ns + (sample.ns - l->rtt.ns) / 8;   /* RFC 6298 section 2's alpha */
}

uint64_t
fo_link_oldest_lsn(const struct fo_link *l, uint64_t end_lsn)
{
    uint64_t oldest = end_lsn;

    for (int i = 0; i < FO_LANES; i++) {
        const struct fo_link_lane *n = &l->lane[i];
        uint64_t lsn = end_lsn;

        if (!fo_window_is_empty(&n->window))
            lsn = fo_window_oldest(&n->window)->lsn;
        else if (n->is_behind)
            lsn = n->read_lsn;
        if (lsn < oldest)
            oldest = lsn;
    }
    return oldest;
}
