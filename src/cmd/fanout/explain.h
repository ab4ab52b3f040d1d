/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout explain`: what its two halves share. explain.c asks, explain_print.c shows. */
#pragma once
#include "cmd/fanout/common.h"
#include "cmd/fanout/proof.h"

enum { TOLD_MAX = CMD_BROKERS_MAX };

struct told {                           /* by one broker */
    const char *address;
    json_t *answer;                     /* null: did not answer */
    bool is_found;
    struct proof proof;
};

struct story {
    const char *id, *tenant;
    struct told told[TOLD_MAX];
    unsigned count;
    const struct told *source;          /* the broker that accepted it; null: not among those that answered */
    const struct fo_key_ring *keys;     /* null: none given */
    const json_t *ledger_rows;          /* null: the ledger was not asked */
};

/* A timeline, regions and proofs, for people. */
void explain_print(const struct story *story);
/* The same as one JSON value. New reference. */
json_t *explain_json(const struct story *story);
/* True when something that could be checked is wrong. */
bool explain_has_failed_proof(const struct story *story);
