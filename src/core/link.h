/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending side of the link to one peer region: per lane a window over the lane's durable batches that target the peer,
 * go-back-N from the oldest unacked one.
 *
 * A lane is in one of two states:
 *
 *      following  --offer finds no room, or the connection is down-->  behind
 *      behind     --reading reaches the end of the journal-->          following
 *
 * following: a batch goes out from memory the moment it is durable. behind: batches from read_lsn on are read back from the
 * journal, as the window opens; memory does not grow with the backlog. A lost connection, a lost frame (no ack in time) and a
 * restarted peer all rewind the lane: it is behind again, from the oldest unacked batch.
 *
 *   acked_seq <= sent_seq <= tail_seq
 *
 * Pure: no I/O, no allocation, no clock. */
#pragma once
#include "base/names.h"
#include "core/pace.h"
#include "core/window.h"

struct fo_link_limits {
    struct fo_pace_limits pace;             /* of each connection: high; normal and low together */
    uint32_t window_batches;                /* of each lane */
    uint32_t low_share_percent;             /* of the window: what the low lane may use while the normal lane has a backlog */
    struct fo_duration retransmit_min, retransmit_max;
};

struct fo_link_lane {
    struct fo_window window;
    uint64_t tail_seq;                      /* newest durable sequence that targets the peer */
    uint64_t sent_seq, acked_seq;
    uint64_t held_seq;                      /* never sent again: see fo_link_held_before */
    uint64_t read_lsn;                      /* meaningful while behind */
    bool is_behind;
    uint64_t backlog_events;                /* durable, for the peer, not acked */
    uint64_t uncounted_seq;                 /* what was acked when the lane was restored, and never counted there */
    uint64_t rewound_seq;                   /* sequences up to here are sent again */
    uint32_t rewinds;                       /* in a row, without progress */
    uint32_t timeouts;                      /* in a row, without an ack that moved */
    struct fo_instant oldest_at;            /* with has_oldest: when the oldest unacked batch was sealed, while the window is empty */
    bool has_oldest;
    struct fo_instant progress_at;          /* last ack that moved, or first send into an empty window */
};

struct fo_link {
    const struct fo_link_limits *limits;
    struct fo_link_lane lane[FO_LANES];
    struct fo_pace pace[FO_LINK_CLASSES];
    bool is_up[FO_LINK_CLASSES];            /* the direct connection stands */
    bool is_blocked;                        /* the breaker is open: nothing but probes goes out directly */
    bool is_relayed;                        /* batches go by another region: the direct connection does not matter */
    struct fo_duration rtt;                 /* smoothed; 0: none yet */
    uint64_t retransmits;                   /* rewinds by timeout since start */
};

struct fo_settled { uint64_t from_seq, to_seq; uint32_t attempts; };

static inline enum fo_link_class fo_lane_class(enum fo_lane lane) { return lane == FO_LANE_HIGH ? FO_LINK_URGENT : FO_LINK_BULK; }

/* slots: FO_LANES * limits->window_batches, the caller's. */
void fo_link_init(struct fo_link *l, const struct fo_link_limits *limits, struct fo_slot *slots);
/* Recovery: where the lane stood. It is behind from read_lsn on. */
void fo_link_restore(struct fo_link *l, enum fo_lane lane, uint64_t tail_seq, uint64_t acked_seq, uint64_t read_lsn, uint64_t backlog_events);
/* Nothing up to seq is there to be read any more: the peer holds it, and a crash took the memory of its ack, which will come again.
 * The lane has sent nothing yet. */
void fo_link_held_before(struct fo_link *l, enum fo_lane lane, uint64_t seq);
void fo_link_up(struct fo_link *l, enum fo_link_class cls);
void fo_link_down(struct fo_link *l, enum fo_link_class cls);
/* Another way from now on, direct or relayed, or none: what was on the old one counts as lost, and the window begins small. */
void fo_link_reroute(struct fo_link *l, bool is_blocked, bool is_relayed);
/* The peer's process is a new one: whatever was on the way to the old one is gone. */
void fo_link_peer_restarted(struct fo_link *l);

/* A batch for the peer has become durable. FO_OK: send it now. FO_ERR_FULL: it stays behind and is read back later. */
FO_MUST_CHECK enum fo_err fo_link_offer(struct fo_link *l, enum fo_lane lane, const struct fo_slot *batch, struct fo_instant now);
/* The next of the lanes (a bit each) that may read and send, high first; or one that cannot send and has to look what its oldest unacked
 * batch is. False: none. */
bool fo_link_wants_read(const struct fo_link *l, unsigned lanes, enum fo_lane *ret_lane);
/* A batch for the peer was read back at read_lsn. FO_OK: send it. FO_ERR_STALE: acked meanwhile, go on. read_lsn becomes next_lsn.
 * FO_ERR_FULL: noted as the oldest; it cannot be sent, and read_lsn stays at it. */
FO_MUST_CHECK enum fo_err fo_link_read(struct fo_link *l, enum fo_lane lane, const struct fo_slot *batch, uint64_t next_lsn, struct fo_instant now);
/* Reading has stepped over records up to next_lsn; at_end: nothing more is durable. */
void fo_link_read_past(struct fo_link *l, enum fo_lane lane, uint64_t next_lsn, bool at_end);

/* A verified cumulative ack, already clamped to our epoch. FO_OK: ret_settled (sequences of the lane that targeted the peer).
 * FO_ERR_STALE: nothing new. FO_ERR_PROTO: acks what was never sent. */
FO_MUST_CHECK enum fo_err fo_link_ack(struct fo_link *l, enum fo_lane lane, uint64_t cum_seq, struct fo_instant now, struct fo_settled *ret_settled);
/* Rewinds lanes whose oldest batch waits for its ack too long. Returns when to be called next (ns INT64_MAX: no need). */
struct fo_instant fo_link_check_timeouts(struct fo_link *l, struct fo_instant now);
/* What may be in flight on the lane's connection; it follows the path's delay. */
static inline uint64_t fo_link_window_bytes(const struct fo_link *l, enum fo_lane lane) { return l->pace[fo_lane_class(lane)].window; }
/* When the oldest batch that the peer has not acked was sealed. False: there is none, or it is not yet known which. */
bool fo_link_oldest(const struct fo_link *l, enum fo_lane lane, struct fo_instant *ret_sealed_at);
void fo_link_measure_rtt(struct fo_link *l, struct fo_duration sample);
/* Oldest LSN that this link may still need to read; end_lsn when none. */
uint64_t fo_link_oldest_lsn(const struct fo_link *l, uint64_t end_lsn);
