/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker: one loop thread that owns all state. It takes inputs, steps its parts, and their effects go out
 * through the ports. Time comes in with the step and randomness with the start, so the same inputs make the same effects.
 *
 *   recovering --open--> running --STOP--> draining --nothing waits, or its time is over--> stopped
 */
#pragma once
#include "broker/config.h"
#include "core/epochs.h"
#include "ports/inbox.h"
#include "ports/journal.h"
#include "ports/transport.h"
#include "wire/frame.h"
#include "wire/schema.h"

struct fo_broker;
struct json_t;

struct fo_broker_health {               /* of the direct link to one peer, now */
    const char *region, *state;
    bool is_healthy;
    struct fo_duration rtt;
    uint32_t failures;                  /* probes missed in a row */
    struct fo_wall at;
};

struct fo_broker_ledger {               /* what the broker asks of the ledger; any may be null */
    void *user;
    void (*poke)(void *user, uint64_t durable_lsn);             /* more is durable */
    void (*health)(void *user, const struct fo_broker_health *h);   /* a link's state has changed; copies what it keeps */
    struct json_t *(*status)(void *user);                       /* new reference */
};

struct fo_broker_setup {                /* all borrowed until destroy */
    const struct fo_config *config;
    struct fo_journal *journal;
    uint64_t checkpoint_lsn;            /* where recovery begins */
    uint64_t epoch;                     /* of the data directory */
    struct fo_transport *transport;     /* may be set later by fo_broker_set_transport, before the first step */
    struct fo_inbox *inbox;             /* for the questions' thread */
    const struct fo_key_pair *key;
    const struct fo_key_ring *keys;
    const struct fo_schema_set *schemas;
    uint64_t seed;                      /* random */
    uint8_t fingerprint_key[16];        /* random */
};

/* Recovers from the journal. On error ret_fault says what to do. */
FO_MUST_CHECK enum fo_err fo_broker_create(const struct fo_broker_setup *setup, struct fo_instant now, struct fo_wall wall, struct fo_broker **ret_broker, struct fo_fault *ret_fault);
void fo_broker_destroy(struct fo_broker *b);
void fo_broker_set_transport(struct fo_broker *b, struct fo_transport *transport);
/* Before the first step, if at all. */
void fo_broker_set_ledger(struct fo_broker *b, struct fo_broker_ledger ledger);
const struct fo_region_names *fo_broker_regions(const struct fo_broker *b);
/* Of its own sequences; they stay as recovered. */
const struct fo_epochs *fo_broker_epochs(const struct fo_broker *b);
/* Takes the inputs and does what is due. Returns when it wants to be called again at the latest. */
struct fo_instant fo_broker_step(struct fo_broker *b, struct fo_instant now, struct fo_wall wall, struct fo_input *inputs, unsigned count);
/* The loop was at work from one instant to the other: a busy broker does more at a time. Without it the broker takes itself for idle. */
void fo_broker_worked(struct fo_broker *b, struct fo_instant from, struct fo_instant to);
/* After a STOP input: true when nothing accepted waits for the disk or for its answer any more. */
bool fo_broker_is_drained(const struct fo_broker *b);
/* FO_OK, or why the journal accepts nothing more for good. */
enum fo_err fo_broker_failure(const struct fo_broker *b);
/* One line for the service manager: "2 of 2 links up, backlog 0, ...". */
void fo_broker_summary(const struct fo_broker *b, char *ret_text, size_t size);
