/* SPDX-License-Identifier: Apache-2.0
 *
 * One transaction after the other: rows of the window's oldest batches, late acks, and the cursor.
 *
 * What PostgreSQL refuses is narrowed down, so that one bad row delays nothing for long and is the only one set aside:
 *
 *   COPY into the table --unique constraint--> COPY beside it, then merge --cannot be stored--> half as many batches, ...,
 *   one batch --cannot be stored--> row by row: what is still refused goes into realtime_fanout_quarantine
 *
 * Merging is the exception because it costs: on two cores COPY into the table took 120,000 to 150,000 rows/s, with the merge 31,000. */
#pragma once
#include "adapter/ledger_pg.h"
#include "adapter/ledger_pg_conn.h"
#include "adapter/ledger_pg_rows.h"

struct fo_ledger_writer {
    const struct fo_ledger_config *config;
    struct fo_pg *pg;
    struct fo_ledger_window *window;
    struct fo_journal_reader *reader;       /* of batches' records, when they become rows */
    struct fo_ledger_rows rows;
    struct fo_buf out;                      /* COPY data */
    unsigned batches_max;                   /* per transaction, after a refusal; doubles again */
    unsigned batches_tried;                 /* in the last one */
    struct fo_wall read_to;                 /* what was acknowledged before it has been read from the journal; us 0: not known */
    uint64_t epoch, lsn;                    /* of the cursor as we left it in the database */
    uint64_t rows_written, rows_repeated, rows_quarantined;
};

FO_MUST_CHECK enum fo_err fo_ledger_writer_init(struct fo_ledger_writer *wr, const struct fo_ledger_config *config, struct fo_pg *pg,
    struct fo_ledger_window *window);
void fo_ledger_writer_fini(struct fo_ledger_writer *wr);
/* After connecting: reads the cursor, or makes it, and notes what rows are pending. ret_lsn: where reading goes on. */
FO_MUST_CHECK enum fo_err fo_ledger_writer_resume(struct fo_ledger_writer *wr, uint64_t *ret_lsn);
/* What was acknowledged before this instant is in the ledger once the window's oldest `count` batches are; us 0: not known. */
struct fo_wall fo_ledger_writer_complete_to(const struct fo_ledger_writer *wr, unsigned count);
/* The last transaction was not answered in time: the next one is half as big. */
void fo_ledger_writer_was_slow(struct fo_ledger_writer *wr);
/* Writes the oldest `count` batches (0: only late acks and the cursor) or fewer, and takes what it wrote off the window. next_lsn: where
 * the record after the window's newest begins. Errors as of struct fo_pg, and FO_ERR_STALE: somebody else moved the cursor. */
FO_MUST_CHECK enum fo_err fo_ledger_write(struct fo_ledger_writer *wr, unsigned count, uint64_t next_lsn);
