/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's parts side by side: for broker.c, which joins them, and status.c, which shows them. */
#pragma once
#include "broker/broker.h"
#include "broker/fetch.h"
#include "broker/intake.h"
#include "broker/query.h"
#include "broker/receive.h"
#include "broker/room.h"

struct fo_broker {
    struct fo_context ctx;
    struct fo_state state;
    struct fo_batch_pool pool;
    struct fo_dedupe dedupe;
    void *dedupe_memory;
    struct fo_store store;
    struct fo_waits waits;
    struct fo_forward forward;
    struct fo_receive receive;
    struct fo_intake intake;
    struct fo_room room;
    struct fo_fetches fetches;
    struct fo_queries *queries;
    struct fo_broker_ledger ledger;
    uint8_t fingerprint_key[16];
    uint64_t ledger_lsn;                /* everything of ours below is in the ledger */
    uint64_t trimmed_lsn;
    struct { uint64_t below_lsn, items; } trim_next;    /* allowed when that many items are stored: the acks that allow it among them */
    struct fo_instant trim_at;
    uint64_t epoch_told;                /* the last epoch of peers' acks above ours that was logged */
    bool is_draining;
};

/* The answer to the status request. New reference. */
struct json_t *fo_status_make(const struct fo_broker *b);
