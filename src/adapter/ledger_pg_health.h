/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest health of the links to the peers, on its way into region_health: one slot per region, overwritten, so that a
 * database that is away costs no memory. What cannot be written waits for the next time and never stops the rows. */
#pragma once
#include <pthread.h>

#include "adapter/ledger_pg_conn.h"
#include "broker/broker.h"
#include "wire/event.h"

struct fo_ledger_health_slot { bool is_known, is_healthy; char state[16]; int64_t rtt_us, at_us; uint32_t failures; };

struct fo_ledger_board {
    const struct fo_region_names *regions;
    pthread_mutex_t mutex;                          /* over the slots and has_changed */
    struct fo_ledger_health_slot slot[FO_REGIONS_MAX];
    bool has_changed;                               /* a state, since the last write */

    int64_t written_at_ns;                          /* monotonic; the ledger thread's own from here on */
    bool is_told;                                   /* that it cannot be written */
};

void fo_ledger_board_init(struct fo_ledger_board *b, const struct fo_region_names *regions);
void fo_ledger_board_fini(struct fo_ledger_board *b);
/* Any thread. True: the state is another than before. */
bool fo_ledger_board_put(struct fo_ledger_board *b, const struct fo_broker_health *h);
/* A new connection: everything is due at once. */
void fo_ledger_board_connected(struct fo_ledger_board *b);
/* When the next write is due, on the monotonic clock: soon after a change, every 10 s besides. */
int64_t fo_ledger_board_due_ns(struct fo_ledger_board *b);
/* One short transaction; it also moves this region's complete_to (us 0: not known). FO_ERR_UNAVAILABLE and
 * TIMEOUT: the connection is gone. Whatever else the database says is logged once per connection and is no error. */
FO_MUST_CHECK enum fo_err fo_ledger_board_write(struct fo_ledger_board *b, struct fo_pg *pg, struct fo_wall complete_to, int64_t now_ns);
