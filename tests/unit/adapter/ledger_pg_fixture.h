/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal with own batches and acks in it, as a broker would leave it, and a ledger reading it into a private
 * PostgreSQL. Region 0 is us-east-1; peers are us-west-2 (1) and eu-west-1 (2). Every function fails the running test
 * when something is wrong. */
#pragma once
#include "adapter/journal_file.h"
#include "adapter/ledger_pg.h"
#include "broker/state.h"
#include "postgres_fixture.h"
#include "wire/frame.h"

enum { WEST = 1, EU = 2, BOTH = 1 << WEST | 1 << EU };

struct shop {
    char owner[256], broker[256];           /* conninfos of a database of its own */
    char dir[64];
    struct fo_region_names regions;
    struct fo_journal *journal;
    struct fo_key_pair key;
    struct fo_inbox *inbox;
    struct fo_ledger *ledger;
    uint64_t next_seq[FO_LANES];
    struct fo_epochs epochs;
    uint64_t durable_lsn;                   /* set by the journal's thread */
    uint32_t settle_wait_ms, rows_max, answer_timeout_ms;
};

struct event_text { const char *id; size_t id_n; const char *tenant, *type, *data; };   /* data: msgpack; null: one byte */

void shop_open(struct shop *s, struct postgres *pg, const char *name, bool is_migrated);
/* Another region's broker beside `first`, on the same database: us-west-2 is its region 0. */
void shop_open_beside(struct shop *s, const struct shop *first);
void shop_close(struct shop *s);
void shop_start(struct shop *s);
void shop_stop(struct shop *s);
/* While stopped: a new epoch begins, in which that lane goes on with first_seq. */
void shop_lose(struct shop *s, enum fo_lane lane, uint64_t first_seq);

/* Stores a batch of these events, accepted at the given time (us since 1970), and returns its first sequence. Targets: mask. */
uint64_t shop_batch(struct shop *s, enum fo_lane lane, fo_region_set targets, const struct event_text *events, uint32_t count, int64_t accepted_us);
/* Likewise `count` events of type order_status whose ids are PREFIX-SEQUENCE. */
uint64_t shop_many(struct shop *s, enum fo_lane lane, fo_region_set targets, const char *prefix, uint32_t count, int64_t accepted_us);
/* Stores what a peer's ack settled. */
void shop_ack(struct shop *s, unsigned peer, enum fo_lane lane, uint64_t from, uint64_t to, uint32_t attempts, int64_t arrived_us,
    const struct fo_exception *x, unsigned x_count);
/* Tells the ledger how the link to a peer is. */
void shop_health(struct shop *s, unsigned peer, const char *state, bool is_healthy, int64_t rtt_us, uint32_t failures);
/* Waits until the query gives this number, for at most 30 s. */
void shop_wait(struct shop *s, const char *sql, long expected);
int64_t wall_us(void);
