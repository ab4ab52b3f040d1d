/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames from peers. A frame is nothing but bytes until its signature, by a key of the region that it names, has
 * verified; only then is it judged against the chain of what we hold, and only when it is durable is it acked.
 *
 *   frame --split, decode--> claimed --verify--> believed --chain: next--> staged --stored--> acked, delivered
 *                               \-> refused, logged      \--chain: held, gap--> acked again as far as we are */
#pragma once
#include "broker/forward.h"
#include "broker/store.h"
#include "broker/verdicts.h"
#include "broker/waits.h"
#include "core/chain.h"
#include "core/dedupe.h"

struct fo_kept_exception { struct fo_exception x; uint64_t epoch, lsn; };  /* its record stands at lsn or behind */

struct fo_refusals { uint64_t count; enum fo_err last; struct fo_instant last_at; };

struct fo_source {                              /* one region that sends to us */
    struct fo_refusals refused;                 /* frames that claim to be its, since start; anybody can make that claim */
    struct fo_chain chain[FO_LANES];
    struct fo_kept_exception exception[FO_EXCEPTIONS_MAX]; unsigned exception_count;  /* staged and not yet known to be settled at the source */
};

/* How often one thing is logged in this second; and how often it was not, for want of sense. */
struct fo_log_share { struct fo_instant from; unsigned count; uint64_t unlogged; };

struct fo_receive {
    struct fo_context *ctx;
    struct fo_store *store;
    struct fo_forward *forward;
    struct fo_waits *waits;
    struct fo_dedupe *dedupe;
    struct fo_batch_pool *pool;
    const struct fo_epochs *epochs;             /* our own */
    const uint8_t *fingerprint_key;
    uint64_t epoch_named;                       /* latest epoch of our sequences that an ack has named */
    struct fo_source source[FO_REGIONS_MAX];    /* by region index; [0]: no more than what was refused and names no known peer */
    struct fo_verdicts verdicts;                /* of peers, on our own events */
    struct fo_log_share refusals, unstaged;
    bool is_draining;                           /* batches are dropped and come again after the restart */
    uint64_t queue_bytes_max;                   /* staged and not durable; beyond it frames are dropped and come again, but one is always taken */
};

void fo_receive_init(struct fo_receive *r, const struct fo_state *state);
/* Takes the message. */
void fo_receive_frame(struct fo_receive *r, struct fo_msg *take_msg);
/* Oldest LSN that is still needed to tell sources of exceptions after a restart, end_lsn when none. */
uint64_t fo_receive_oldest_lsn(const struct fo_receive *r, uint64_t end_lsn);
/* Recovery: a durable batch; of a later epoch, it takes the place of what was said of its sequences before. */
void fo_receive_replayed(struct fo_receive *r, unsigned source, const struct fo_batch_header *h);
/* Recovery: an exception of a durable batch, which the source may not have heard of. */
void fo_receive_restore(struct fo_receive *r, unsigned source, const struct fo_kept_exception *x);
/* A received batch is durable. */
void fo_receive_stored(struct fo_receive *r, const struct fo_batch *b);
/* Fills in what we hold of the peer's lanes (fo_forward_acks_fn; user is the fo_receive). */
void fo_receive_acks(void *receive, unsigned peer, struct fo_control *c);
/* What a record deserves, by its own words, who sent it, and the time of its arrival alone, so that a restart judges alike: 0, or why it is
 * not handed to subscribers. source: the region of its batch; ret_event is empty when the record is no event of that region. */
uint8_t fo_receive_verdict(const struct fo_context *ctx, struct fo_slice source, struct fo_slice record, struct fo_wall at, struct fo_event *ret_event);
