/* SPDX-License-Identifier: Apache-2.0
 *
 * What `fanout explain` checks by itself, believing no broker: signatures, Merkle paths and acks, with the public keys
 * that the operator has. */
#pragma once
#include <jansson.h>

#include "wire/frame.h"

enum proof_state { PROOF_NONE /* nothing to check */, PROOF_VERIFIED, PROOF_NO_KEY, PROOF_FAILED };

struct proof {
    enum proof_state state;
    char text[256];             /* what was found, for people */
    struct fo_position pos;     /* VERIFIED: the event's, as signed */
    char region[FO_REGION_BYTES_MAX + 1];   /* VERIFIED: who signed */
};

/* "verified", "NOT verified", "key unknown", "-". */
const char *proof_state_name(enum proof_state state);
/* An explain answer's batch: that the record is the event asked for, stands in the batch, and the batch is signed by the region
 * that the answer's position names. keys null: no keys were given. */
void proof_check_batch(const json_t *answer, const char *tenant, const char *id, const struct fo_key_ring *keys, struct proof *ret_proof);
/* One delivery's ack frame: signed by that region, to the event's source, and covering the event's position with the state told. */
void proof_check_ack(const json_t *delivery, const struct proof *batch, const struct fo_key_ring *keys, struct proof *ret_proof);
/* True when both answers hold the same record, byte for byte. */
bool proof_is_same_record(const json_t *answer, const json_t *other);
