/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to peers: durable batches from memory or read back from the journal, and control frames. */
#pragma once
#include "broker/batch.h"
#include "broker/state.h"
#include "core/link.h"

struct fo_peer {
    struct fo_link link;
    struct fo_slot *slots;
    struct fo_journal_reader *reader[FO_LANES];     /* open only while the lane is behind */
    uint64_t session;                               /* the peer's process, 0 not heard yet */
    struct fo_wall heard_sent_at;                   /* its clock, newest */
    struct fo_instant heard_at;                     /* ours; ns 0: never */
    struct fo_instant control_sent_at;
    bool wants_ack;                                 /* owed: something of theirs became durable, or came twice */
};

struct fo_forward {
    struct fo_context *ctx;
    struct fo_link_limits limits;
    struct fo_peer peer[FO_REGIONS_MAX];            /* by region index; [0] unused */
    struct fo_buf frame;                            /* reused */
    uint64_t stored_lsn;                            /* never reads at or past it */
};

/* What a control frame to a peer says of what we hold; filled in by the receiving side. */
typedef void (*fo_forward_acks_fn)(void *user, unsigned peer, struct fo_control *c);

FO_MUST_CHECK enum fo_err fo_forward_init(struct fo_forward *f, struct fo_context *ctx, const struct fo_state *state, uint64_t first_lsn, uint64_t stored_lsn);
void fo_forward_fini(struct fo_forward *f);
void fo_forward_link_up(struct fo_forward *f, unsigned peer, enum fo_link_class cls);
void fo_forward_link_down(struct fo_forward *f, unsigned peer, enum fo_link_class cls);
/* An own batch is durable: to each targeted peer, now or when there is room. */
void fo_forward_batch(struct fo_forward *f, const struct fo_batch *b);
/* Reads back and sends as far as windows allow. True: there is more to do in a next step. */
bool fo_forward_pump(struct fo_forward *f);
/* A control frame of the given kind to one peer; lost if the link is down, the next one repeats it. */
void fo_forward_control(struct fo_forward *f, unsigned peer, enum fo_frame_kind kind, fo_forward_acks_fn acks, void *user);
/* Owed acks, due heartbeats and retransmissions; returns when to call again at the latest. */
struct fo_instant fo_forward_tick(struct fo_forward *f, fo_forward_acks_fn acks, void *user);
/* Notes a verified control frame's sender: process, clock, round trip. */
void fo_forward_heard(struct fo_forward *f, unsigned peer, const struct fo_control *c);
uint64_t fo_forward_oldest_lsn(const struct fo_forward *f, uint64_t end_lsn);
