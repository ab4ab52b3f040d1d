/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing: events are validated, checked against the ids we know, given their position and gathered.
 *
 * One batch is open per lane. It is sealed when the journal is free and, but for the high lane, a loop that is busy has gathered for long
 * enough (core/gather.h) or the batch is half full; when it is full; or when an event with other targets comes: so that the order within
 * a lane is the order of acceptance for every target. */
#pragma once
#include "broker/forward.h"
#include "broker/room.h"
#include "broker/store.h"
#include "broker/verdicts.h"
#include "broker/waits.h"
#include "core/dedupe.h"
#include "core/gather.h"

struct fo_intake {
    struct fo_context *ctx;
    struct fo_store *store;
    struct fo_waits *waits;
    struct fo_forward *forward;                     /* asked only what is acked already */
    struct fo_room *room;
    const struct fo_verdicts *verdicts;
    struct fo_dedupe *dedupe;
    struct fo_batch_pool *pool;
    const uint8_t *fingerprint_key;
    uint64_t epoch;
    const struct fo_epochs *epochs;                 /* our own */
    struct fo_batch *open[FO_LANES];
    struct fo_gather gather;
    uint64_t last_seq[FO_LANES];                    /* given out */
    uint64_t tail_seq[FO_REGIONS_MAX][FO_LANES];    /* sealed: the next header's prev_seq */
    uint8_t prev_root[FO_LANES][FO_HASH_BYTES];
    bool is_draining;                               /* refuses everything new */
};

void fo_intake_init(struct fo_intake *in, const struct fo_state *state);
void fo_intake_fini(struct fo_intake *in);
/* A decoded publish request; takes the message and the scratch buffer. Answers it now or leaves it with the waits. */
void fo_intake_publish(struct fo_intake *in, uint64_t request, const struct fo_request *req, struct fo_msg *take_msg, struct fo_buf *take_scratch);
/* Goes on in a later epoch. False: sequences of the present one were given out already, and nothing has changed. */
bool fo_intake_begin_epoch(struct fo_intake *in, uint64_t epoch);
/* The journal is free: seals the open batches that are due into the store. When the others will be; INT64_MAX: there are none. */
struct fo_instant fo_intake_seal(struct fo_intake *in);
