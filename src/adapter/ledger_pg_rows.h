/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of realtime_fanout_log in PostgreSQL's binary COPY format. No I/O. */
#pragma once
#include "adapter/ledger_pg_window.h"
#include "wire/event.h"

/* The columns, in the order in which they are written. */
#define FO_LEDGER_COLUMNS \
    "event_type, source_region, target_regions, payload_size, fanout_at, delivery_status, tenant, event_id, epoch, lane, sequence, is_settled"

enum { FO_LEDGER_STATUS_MAX = 512 + FO_REGIONS_MAX * 256 };

/* One batch's rows: what they have in common, written once. */
struct fo_ledger_rows {
    const struct fo_ledger_window *window;
    unsigned index;                         /* of the batch in the window */
    const struct fo_region_names *regions;
    struct fo_buf common;                  /* source_region and target_regions, as fields */
    struct { unsigned region; char acked_at[FO_RFC3339_SIZE]; } target[FO_REGIONS_MAX];
    unsigned target_count;
};

void fo_ledger_rows_init(struct fo_ledger_rows *r, const struct fo_region_names *regions);
void fo_ledger_rows_fini(struct fo_ledger_rows *r);
/* Begins the batch at `index`. */
FO_MUST_CHECK enum fo_err fo_ledger_rows_begin(struct fo_ledger_rows *r, const struct fo_ledger_window *w, unsigned index);
/* Appends the row of the batch's i-th event. FO_ERR_PARSE: the record is not an event. */
FO_MUST_CHECK enum fo_err fo_ledger_rows_add(struct fo_ledger_rows *r, uint32_t i, struct fo_slice record, struct fo_buf *out);
/* What stands before the first row and behind the last. */
FO_MUST_CHECK enum fo_err fo_ledger_rows_open(struct fo_buf *out);
FO_MUST_CHECK enum fo_err fo_ledger_rows_close(struct fo_buf *out);

/* delivery_status of one event as JSON text; FO_LEDGER_STATUS_MAX bytes suffice. Returns its length. */
size_t fo_ledger_status_format(const struct fo_ledger_rows *r, uint64_t seq, struct fo_wall accepted_at, char *ret_text);
/* 'expired' and so on, as in delivery_status. */
const char *fo_ledger_state_name(uint8_t verdict);
