/* SPDX-License-Identifier: Apache-2.0
 *
 * Own batches that have been read from the journal and are not yet rows, in journal order, with what the acks have said of
 * each target so far. Per batch, not per event; bounded, so that a peer that is away costs rows written as pending, not memory.
 *
 * An ack for something that is a row already is kept as `late`, to settle that row.
 *
 * No I/O; one thread. */
#pragma once
#include "broker/state.h"

enum { FO_LEDGER_LATE_MAX = 1024, FO_LEDGER_LATE_EXCEPTIONS_MAX = 4096 };

struct fo_ledger_exception { uint64_t seq; uint32_t next; uint8_t peer, verdict; };
struct fo_ledger_target { int64_t arrived_at_us; uint32_t attempts; bool is_settled; };
struct fo_ledger_batch {
    uint64_t lsn, epoch, first_seq;
    int64_t at_us;
    fo_region_set targets;              /* without this region */
    uint32_t count, exceptions;         /* exceptions: list in the pool; 0 ends it */
    uint8_t lane, open_count;           /* open: targets not settled */
};

struct fo_ledger_late { uint64_t epoch, from_seq, to_seq; int64_t arrived_at_us; uint32_t attempts; uint8_t peer, lane; };
struct fo_ledger_late_exception { uint64_t seq; uint8_t peer, lane, verdict; };

struct fo_ledger_window {
    struct fo_ledger_batch *batch;      /* ring; index = position & (cap - 1) */
    struct fo_ledger_target *target;    /* [slot * regions + region] */
    struct fo_ledger_exception *exception;
    uint32_t exception_free;
    unsigned cap, regions, exception_used;
    uint64_t first, end;                /* positions */
    uint64_t scan[FO_REGIONS_MAX][FO_LANES];        /* before it nothing of that lane is open for that peer */
    uint64_t pending_to[FO_REGIONS_MAX][FO_LANES];  /* newest sequence that may be a pending row; 0: none */
    struct fo_ledger_late late[FO_LEDGER_LATE_MAX]; unsigned late_count;
    struct fo_ledger_late_exception late_exception[FO_LEDGER_LATE_EXCEPTIONS_MAX]; unsigned late_exception_count;
};

/* cap: batches, a power of two. */
FO_MUST_CHECK enum fo_err fo_ledger_window_init(struct fo_ledger_window *w, unsigned cap, unsigned regions);
void fo_ledger_window_fini(struct fo_ledger_window *w);
void fo_ledger_window_reset(struct fo_ledger_window *w);
/* False: no record may be added before some batch or late ack has been written. */
bool fo_ledger_window_has_room(const struct fo_ledger_window *w);
void fo_ledger_window_add(struct fo_ledger_window *w, uint64_t lsn, const struct fo_batch_header *h, struct fo_wall at, fo_region_set targets);
void fo_ledger_window_ack(struct fo_ledger_window *w, unsigned peer, const struct fo_ack_record *a);

static inline unsigned fo_ledger_window_count(const struct fo_ledger_window *w) { return (unsigned)(w->end - w->first); }
/* i counts from the oldest. */
static inline const struct fo_ledger_batch *fo_ledger_window_batch(const struct fo_ledger_window *w, unsigned i)
{ return &w->batch[(w->first + i) & (w->cap - 1)]; }
static inline const struct fo_ledger_target *fo_ledger_window_target(const struct fo_ledger_window *w, unsigned i, unsigned region)
{ return &w->target[((w->first + i) & (w->cap - 1)) * w->regions + region]; }
/* Verdict on one event at one target: 0 delivered. */
uint8_t fo_ledger_window_verdict(const struct fo_ledger_window *w, const struct fo_ledger_batch *b, uint64_t seq, unsigned region);

/* How many of the oldest batches are to be written now: settled ones, those appended before `wait_until`, and some whatever their
 * state when there is no room; of together at most rows_max events, but one at least. ret_rows may be null. */
unsigned fo_ledger_window_due(const struct fo_ledger_window *w, struct fo_wall wait_until, uint32_t rows_max, uint64_t *ret_rows);
/* The oldest count batches are rows now, and every late ack has been applied. */
void fo_ledger_window_written(struct fo_ledger_window *w, unsigned count);
