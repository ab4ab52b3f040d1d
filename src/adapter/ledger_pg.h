/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's writer: a thread that reads this region's own batches and their acks from the journal, behind its durable end,
 * and writes one realtime_fanout_log row per event to the primary PostgreSQL. How far it has come stands in the
 * database (fanout_ledger_cursor) and moves in the transaction that writes the rows, so a row is there exactly once
 * whatever breaks in between. PostgreSQL may be away for as long as the journal has room, and may come back without its last
 * commits (a standby that lagged): the cursor has gone back with the rows, and what the journal still has is written again.
 *
 *   down --connect, read cursor--> reading and writing --anything fails--> down, again after 0.1 to 2 s
 *
 * A server that hangs is left after answer_timeout_ms; the next try is smaller and more patient, so that one that is merely slow
 * gets there too. Rows are written in journal order. A batch waits for its acks for at most settle_wait_ms; what is open then is written as
 * pending, and a later ack settles the row. */
#pragma once
#include "broker/broker.h"
#include "ports/inbox.h"
#include "ports/journal.h"
#include "wire/event.h"

struct fo_ledger_config {                   /* strings and pointers are borrowed until stop */
    const char *conninfo;                   /* libpq's; several hosts work as they do there */
    const struct fo_region_names *regions;  /* [0] is this region */
    struct fo_journal *journal;
    struct fo_inbox *inbox;                 /* FO_INPUT_LEDGER is posted here; may be null */
    struct fo_epochs epochs;                /* as recovered, they stay while the broker runs; another newest one makes it begin anew */
    uint32_t rows_max;                      /* per transaction */
    uint32_t settle_wait_ms;
    uint32_t answer_timeout_ms;             /* without a sign from the server, after which another connection is tried */
};

struct fo_ledger_status {
    bool is_connected;
    uint64_t lsn;                           /* every own event below it is in the ledger, as far as known */
    uint64_t lag_bytes;                     /* from there to the journal's durable end */
    uint64_t rows_written, rows_repeated, rows_quarantined;     /* since start */
    char error[192];                        /* why it is not connected; empty when it is */
};

struct fo_ledger;
/* Loads libpq. */
FO_MUST_CHECK enum fo_err fo_ledger_start(const struct fo_ledger_config *config, struct fo_ledger **ret_ledger, struct fo_fault *ret_fault);
/* Writes what is settled, for at most timeout_ms, and ends the thread; the journal is closed after this. What is left is written after the
 * next start. False: the thread does not end, as it waits for a server or a name server that says nothing, for longer than timeout_ms and
 * 1 s more. It is left behind, and what the config lends stays lent until the process ends. */
FO_MUST_CHECK bool fo_ledger_stop(struct fo_ledger *l, uint32_t timeout_ms);
/* Any thread, cheap: more has become durable. */
void fo_ledger_poke(struct fo_ledger *l);
/* Any thread, cheap: how the link to a peer is. The newest of each peer is written into region_health, soon after its state has
 * changed and every 10 s besides, while there is a connection. */
void fo_ledger_health(struct fo_ledger *l, const struct fo_broker_health *health);
/* Any thread. */
void fo_ledger_status(struct fo_ledger *l, struct fo_ledger_status *ret_status);
