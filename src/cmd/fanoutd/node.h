/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker joined with its adapters: the only place that knows both. Opened in order (keys, schemas, journal, recovery, sockets,
 * ledger), closed in the reverse; whatever fails says which key of the configuration it concerns. */
#pragma once
#include "adapter/ledger_pg.h"
#include "broker/broker.h"
#include "cmd/fanoutd/clock.h"

struct fo_node {
    const struct fo_config *config;
    struct fo_clock clock;
    struct fo_key_pair key;
    struct fo_key_ring *keys;
    struct fo_schema_set *schemas;
    struct fo_inbox *inbox;
    struct fo_journal *journal;
    struct fo_transport *transport;
    struct fo_broker *broker;
    struct fo_ledger *ledger;
};

FO_MUST_CHECK enum fo_err fo_node_open(struct fo_node *n, const struct fo_config *config, struct fo_fault *ret_fault);
/* Steps until a STOP input has drained or the journal has failed; notifies the service manager. FO_OK: drained. */
FO_MUST_CHECK enum fo_err fo_node_run(struct fo_node *n);
/* Lets the last answers leave, stops the ledger and the journal. The sockets are left to the exit of the process, and so is the ledger's
 * thread, with what it borrows, while PostgreSQL does not answer. */
void fo_node_close(struct fo_node *n);
