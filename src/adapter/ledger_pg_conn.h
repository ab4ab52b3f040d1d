/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of the ledger to PostgreSQL, and what its errors mean for the ledger. One thread, but for break. */
#pragma once
#include <pthread.h>
#include "adapter/libpq_calls.h"
#include "base/bytes.h"

/* Errors of every call; `error` says it in words. After UNAVAILABLE, TIMEOUT, REJECTED and STALE the connection is to be closed.
 *   FO_ERR_UNAVAILABLE  the connection is lost, the server is shutting down or read-only
 *   FO_ERR_TIMEOUT      the server said nothing for answer_ms, or the statement was canceled
 *   FO_ERR_BUSY         deadlock or serialization: the transaction may be tried again
 *   FO_ERR_EXISTS       a unique constraint
 *   FO_ERR_INVALID      PostgreSQL cannot store this value
 *   FO_ERR_REJECTED     anything else: no such table, not permitted, disk full */
struct fo_pg {
    PGconn *conn;
    char error[192], sqlstate[6];
    uint32_t answer_ms;
    pthread_mutex_t mutex;                  /* over sock */
    int sock;                               /* -1: none that may be broken */
};

void fo_pg_init(struct fo_pg *pg, uint32_t answer_ms);
void fo_pg_fini(struct fo_pg *pg);
/* Connects to a server that takes writes; at most 5 s for each host. */
FO_MUST_CHECK enum fo_err fo_pg_open(struct fo_pg *pg, const char *conninfo, const char *application);
void fo_pg_close(struct fo_pg *pg);
/* Any thread: makes a call that hangs fail. False: there is no connection yet, and no way to make open return sooner. */
bool fo_pg_break(struct fo_pg *pg);

/* Runs statements; the results are not wanted. */
FO_MUST_CHECK enum fo_err fo_pg_do(struct fo_pg *pg, const char *sql);
/* One statement with parameters in text form. ret_res may be null, else fo_pq.clear it. */
FO_MUST_CHECK enum fo_err fo_pg_query(struct fo_pg *pg, const char *sql, int count, const char *const *params, PGresult **ret_res);
FO_MUST_CHECK enum fo_err fo_pg_copy_begin(struct fo_pg *pg, const char *sql);
FO_MUST_CHECK enum fo_err fo_pg_copy_put(struct fo_pg *pg, struct fo_slice data);
/* failure: null, or why the data ends early; the server then refuses the whole. */
FO_MUST_CHECK enum fo_err fo_pg_copy_end(struct fo_pg *pg, const char *failure);
