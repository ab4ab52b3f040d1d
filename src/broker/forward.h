/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to peers: durable batches from memory or read back from the journal, and control frames. */
#pragma once
#include "broker/batch.h"
#include "broker/state.h"
#include "core/health.h"
#include "core/link.h"

/* What a lane reads back cannot be read: since when, when it is tried again, and how far it steps then if it must. */
struct fo_unreadable { struct fo_instant since, retry_at; uint64_t step_bytes; };
struct fo_unacked { uint64_t bytes; uint32_t batches; bool is_awaited; };

struct fo_peer {
    struct fo_link link;
    struct fo_health health;                        /* of the direct link */
    unsigned via;                                   /* region that carries our frames to the peer; 0: the direct link does */
    fo_region_set reaches;                          /* whom the peer says it reaches */
    struct fo_slot *slots;
    struct fo_journal_reader *reader[FO_LANES];     /* open only while the lane is behind */
    struct fo_unreadable unreadable[FO_LANES];      /* since.ns 0: it can be read */
    uint64_t session;                               /* the peer's process, 0 not heard yet */
    struct fo_instant restarted_at;                 /* when everything was sent again for a new one */
    struct fo_wall newest_sent_at;                  /* its clock, by whatever way it came */
    struct fo_instant newest_at;                    /* ours, when it came */
    struct fo_wall heard_sent_at;                   /* its clock, newest that came directly */
    struct fo_instant heard_at;                     /* ours; ns 0: never */
    bool is_greeted;                                /* on this connection: a hello goes first */
    struct fo_instant acks_paid_to;                 /* each ack takes it on by ack_delay, silence lets now catch up; see ack_due */
    struct { struct fo_instant from; uint64_t bytes; } carried;     /* for others, in this second */
    struct fo_instant probed_at;                    /* when we last sent what the peer answers at once */
    struct fo_instant health_told_at;
    bool is_trimmed[FO_LANES];                      /* what the restored lane has not read yet begins behind trimmed batches */
    bool wants_ack;                                 /* owed: something of theirs became durable, or came twice */
    struct fo_unacked unacked;                      /* became durable since they were last told */
};

/* A peer's link has changed its state; also called every 10 s while it has not. */
typedef void (*fo_forward_health_fn)(void *user, unsigned peer, const struct fo_peer *p);

struct fo_forward {
    struct fo_context *ctx;
    struct fo_link_limits limits;
    struct fo_peer peer[FO_REGIONS_MAX];            /* by region index; [0] unused */
    struct fo_health_limits health_limits;
    struct fo_duration ack_delay;                   /* between two acks to one peer, in a stream */
    fo_forward_health_fn on_health;                 /* may be null */
    void *on_health_user;
    struct fo_buf frame, relay_frame;               /* reused */
    const struct fo_epochs *epochs;                 /* our own */
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
/* To the peer by the way that stands now, direct or relayed. A frame that cannot be sent is a frame lost on the way:
 * the retransmission timer or the reconnect repairs both alike. */
void fo_forward_send(struct fo_forward *f, unsigned peer, enum fo_link_class cls, struct fo_slice frame);
uint64_t fo_forward_oldest_lsn(const struct fo_forward *f, uint64_t end_lsn);
