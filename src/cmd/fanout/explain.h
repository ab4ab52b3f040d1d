/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout explain`: what its two halves share. explain.c asks, explain_print.c shows. */
#pragma once
#include "cmd/fanout/common.h"
#include "cmd/fanout/proof.h"

enum { TOLD_MAX = CMD_BROKERS_MAX };

struct told {                           /* by one broker */
    const char *address;
    const char *region;                 /* whose broker it is: by its answer, else by its configuration; null: not known */
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
    const json_t *ledger_rows;          /* null: the ledger was not asked, or ... */
    bool has_ledger_failed;             /* ... did not answer */
};

/* Whether a broker or the ledger knows the event. */
bool explain_is_found(const struct story *story);
/* Brokers that were asked and did not answer: what they know is not in the story. */
unsigned explain_unanswered(const struct story *story);
/* A timeline, regions and proofs, for people. */
void explain_print(const struct story *story);
/* The same as one JSON value. New reference. */
json_t *explain_json(const struct story *story);
/* True when something that could be checked is wrong. */
bool explain_has_failed_proof(const struct story *story);
