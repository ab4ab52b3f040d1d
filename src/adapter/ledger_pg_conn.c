/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

/* The server's side of a dead connection: it must let go of the cursor's row soon, whatever it was doing. How long a statement may take is
 * for answer_ms to say, which grows for a server that is slow: a bound of the role's would end the same statement for ever. Some of the
 * settings are not known to every version. */
#define SESSION "SET client_min_messages = error; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC';" \
    " SET IntervalStyle = 'postgres'; SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 10;" \
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000;" \
    " SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '5s' ELSE '0' END, false) FROM pg_settings" \
    " WHERE name IN ('client_connection_check_interval', 'statement_timeout', 'transaction_timeout')"

void
fo_pg_init(struct fo_pg *pg, uint32_t answer_ms)
{
    *pg = (struct fo_pg){ .sock = -1, .answer_ms = answer_ms };
    pthread_mutex_init(&pg->mutex, NULL);
}

void
fo_pg_fini(struct fo_pg *pg)
{
    fo_pg_close(pg);
    pthread_mutex_destroy(&pg->mutex);
}

static void
set_sock(struct fo_pg *pg, int sock)
{
    pthread_mutex_lock(&pg->mutex);
    pg->sock = sock;
    pthread_mutex_unlock(&pg->mutex);
}

void
fo_pg_close(struct fo_pg *pg)
{
    set_sock(pg, -1);
    fo_pq.finish(pg->conn);
    pg->conn = NULL;
}

bool
fo_pg_break(struct fo_pg *pg)
{
    bool has_sock;

    pthread_mutex_lock(&pg->mutex);
    has_sock = pg->sock >= 0;
    if (has_sock)
        shutdown(pg->sock, SHUT_RDWR);
    pthread_mutex_unlock(&pg->mutex);
    return has_sock;
}

/* Keeps the first line of what the server or libpq said, without "ERROR:  ". */
static void
keep_error(struct fo_pg *pg, const char *message, const char *sqlstate)
{
    while (strncmp(message, "ERROR:", 6) == 0 || strncmp(message, "FATAL:", 6) == 0)
        message += 6 + strspn(message + 6, " ");
    snprintf(pg->error, sizeof pg->error, "%.*s", (int)strcspn(message, "\n"), message);
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", sqlstate != NULL ? sqlstate : "");
}

static enum fo_err
translate(const struct fo_pg *pg)
{
    const char *s = pg->sqlstate;

    if (fo_pq.status(pg->conn) != CONNECTION_OK || *s == '\0' || strncmp(s, "08", 2) == 0 || strncmp(s, "57P", 3) == 0 || strcmp(s, "25006") == 0)
        return FO_ERR_UNAVAILABLE;
    if (strcmp(s, "57014") == 0)
        return FO_ERR_TIMEOUT;
    if (strcmp(s, "23505") == 0)
        return FO_ERR_EXISTS;
    if (strncmp(s, "40", 2) == 0)
        return FO_ERR_BUSY;
    if (strncmp(s, "22", 2) == 0 || strncmp(s, "23", 2) == 0 || strncmp(s, "54", 2) == 0)
        return FO_ERR_INVALID;
    return FO_ERR_REJECTED;
}

static enum fo_err
judge(struct fo_pg *pg, const PGresult *res, ExecStatusType expected)
{
    ExecStatusType status = fo_pq.resultStatus(res);

    if (status == expected || (expected == PGRES_COMMAND_OK && status == PGRES_TUPLES_OK))
        return FO_OK;
    keep_error(pg, fo_pq.errorMessage(pg->conn), res != NULL ? fo_pq.resultErrorField(res, PG_DIAG_SQLSTATE) : NULL);
    return translate(pg);
}

static enum fo_err
lost(struct fo_pg *pg)
{
    keep_error(pg, fo_pq.errorMessage(pg->conn), NULL);
    return FO_ERR_UNAVAILABLE;
}

/* Until the server has said something, or takes more when is_writing. */
static enum fo_err
wait_server(struct fo_pg *pg, bool is_writing)
{
    struct pollfd p = { fo_pq.socket(pg->conn), (short)(is_writing ? POLLIN | POLLOUT : POLLIN), 0 };
    int n;

    while ((n = poll(&p, 1, (int)pg->answer_ms)) < 0 && errno == EINTR)
        ;
    if (n == 0) {
        snprintf(pg->error, sizeof pg->error, "no answer from the server within %u ms", pg->answer_ms);
        return FO_ERR_TIMEOUT;
    }
    return n > 0 && ((p.revents & ~POLLOUT) == 0 || fo_pq.consumeInput(pg->conn) == 1) ? FO_OK : lost(pg);
}

static enum fo_err
flush(struct fo_pg *pg)
{
    enum fo_err err = FO_OK;
    int rv;

    while (err == FO_OK && (rv = fo_pq.flush(pg->conn)) != 0)
        err = rv < 0 ? lost(pg) : wait_server(pg, true);
    return err;
}

/* ret_res: null when the statement is over. */
static enum fo_err
next_result(struct fo_pg *pg, PGresult **ret_res)
{
    enum fo_err err = FO_OK;

    while (err == FO_OK && fo_pq.isBusy(pg->conn))
        err = wait_server(pg, false);
    if (err == FO_OK)
        *ret_res = fo_pq.getResult(pg->conn);
    return err;
}

/* Takes every result of what was sent. The first failure is what counts; ret_res, if not null, gets the last result. */
static enum fo_err
finish(struct fo_pg *pg, int was_sent, PGresult **ret_res)
{
    PGresult *res = NULL, *last = NULL;
    enum fo_err err = was_sent == 1 ? flush(pg) : lost(pg), failure = FO_OK;

    while (err == FO_OK && (err = next_result(pg, &res)) == FO_OK && res != NULL) {
        if (failure == FO_OK)
            failure = judge(pg, res, PGRES_COMMAND_OK);
        fo_pq.clear(last);
        last = res;
    }
    if (err == FO_OK)
        err = failure;
    if (err == FO_OK && ret_res != NULL)
        *ret_res = last;
    else
        fo_pq.clear(last);
    return err;
}

static void
on_notice(void *ctx, const PGresult *res)
{
    (void)ctx, (void)res;
}

enum fo_err
fo_pg_open(struct fo_pg *pg, const char *conninfo, const char *application)
{
    /* What stands before dbname gives way to the conninfo in it; a dead TCP peer is noticed within half a minute. */
    const char *keys[] = { "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "application_name", "dbname", NULL };
    const char *values[] = { "5", "10", "5", "3", "30000", application, conninfo, NULL };
    enum fo_err err;

    fo_pg_close(pg);
    /* It blocks, in looking up names too, but goes on to the next host when one does not answer, which PQconnectPoll leaves undone. */
    pg->conn = fo_pq.connectdbParams(keys, values, 1);
    if (fo_pq.status(pg->conn) != CONNECTION_OK) {
        keep_error(pg, pg->conn != NULL ? fo_pq.errorMessage(pg->conn) : "out of memory", NULL);
        fo_pg_close(pg);
        return FO_ERR_UNAVAILABLE;
    }
    fo_pq.setNoticeReceiver(pg->conn, on_notice, NULL);
    set_sock(pg, fo_pq.socket(pg->conn));
    if (fo_pq.setnonblocking(pg->conn, 1) != 0)
        return lost(pg);
    if ((err = fo_pg_do(pg, SESSION)) != FO_OK)
        return err;
    if (strcmp(fo_pq.parameterStatus(pg->conn, "in_hot_standby") ?: "off", "on") == 0
        || strcmp(fo_pq.parameterStatus(pg->conn, "default_transaction_read_only") ?: "off", "on") == 0) {
        keep_error(pg, "the server takes no writes: it is a standby or read-only", "25006");
        return FO_ERR_UNAVAILABLE;
    }
    return FO_OK;
}

enum fo_err
fo_pg_do(struct fo_pg *pg, const char *sql)
{
    return finish(pg, fo_pq.sendQuery(pg->conn, sql), NULL);
}

enum fo_err
fo_pg_query(struct fo_pg *pg, const char *sql, int count, const char *const *params, PGresult **ret_res)
{
    return finish(pg, fo_pq.sendQueryParams(pg->conn, sql, count, NULL, params, NULL, NULL, 0), ret_res);
}

enum fo_err
fo_pg_copy_begin(struct fo_pg *pg, const char *sql)
{
    PGresult *res = NULL;
    enum fo_err err = fo_pq.sendQuery(pg->conn, sql) == 1 ? flush(pg) : lost(pg);

    if (err != FO_OK || (err = next_result(pg, &res)) != FO_OK)
        return err;
    if ((err = judge(pg, res, PGRES_COPY_IN)) != FO_OK) {
        enum fo_err ended = finish(pg, 1, NULL);

        if (ended != FO_OK)
            err = ended;
    }
    fo_pq.clear(res);
    return err;
}

enum fo_err
fo_pg_copy_put(struct fo_pg *pg, struct fo_slice data)
{
    enum fo_err err;
    int rv;

    if (data.n == 0)
        return FO_OK;
    while ((rv = fo_pq.putCopyData(pg->conn, (const char *)data.p, (int)data.n)) == 0)
        if ((err = wait_server(pg, true)) != FO_OK)
            return err;
    return rv == 1 ? flush(pg) : lost(pg);
}

enum fo_err
fo_pg_copy_end(struct fo_pg *pg, const char *failure)
{
    enum fo_err err;
    int rv;

    while ((rv = fo_pq.putCopyEnd(pg->conn, failure)) == 0)
        if ((err = wait_server(pg, true)) != FO_OK)
            return err;
    return finish(pg, rv, NULL);
}
