/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_conn.h"

#include <stdio.h>
#include <sys/socket.h>

void
fo_pg_init(struct fo_pg *pg)
{
    *pg = (struct fo_pg){ .sock = -1 };
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
    PQfinish(pg->conn);
    pg->conn = NULL;
}

void
fo_pg_break(struct fo_pg *pg)
{
    pthread_mutex_lock(&pg->mutex);
    if (pg->sock >= 0)
        shutdown(pg->sock, SHUT_RDWR);
    pthread_mutex_unlock(&pg->mutex);
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

    if (PQstatus(pg->conn) != CONNECTION_OK || *s == '\0' || strncmp(s, "08", 2) == 0 || strncmp(s, "57P", 3) == 0 || strcmp(s, "25006") == 0)
        return FO_ERR_UNAVAILABLE;
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
    ExecStatusType status = PQresultStatus(res);

    if (status == expected || (expected == PGRES_COMMAND_OK && status == PGRES_TUPLES_OK))
        return FO_OK;
    keep_error(pg, PQerrorMessage(pg->conn), res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL);
    return translate(pg);
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
    pg->conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(pg->conn) != CONNECTION_OK) {
        keep_error(pg, pg->conn != NULL ? PQerrorMessage(pg->conn) : "out of memory", NULL);
        fo_pg_close(pg);
        return FO_ERR_UNAVAILABLE;
    }
    PQsetNoticeReceiver(pg->conn, on_notice, NULL);
    set_sock(pg, PQsocket(pg->conn));
    err = fo_pg_do(pg, "SET client_min_messages = error; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'");
    if (err != FO_OK)
        return err;
    if (strcmp(PQparameterStatus(pg->conn, "in_hot_standby") ?: "off", "on") == 0
        || strcmp(PQparameterStatus(pg->conn, "default_transaction_read_only") ?: "off", "on") == 0) {
        keep_error(pg, "the server takes no writes: it is a standby or read-only", "25006");
        return FO_ERR_UNAVAILABLE;
    }
    return FO_OK;
}

enum fo_err
fo_pg_do(struct fo_pg *pg, const char *sql)
{
    PGresult *res = PQexec(pg->conn, sql);
    enum fo_err err = judge(pg, res, PGRES_COMMAND_OK);

    PQclear(res);
    return err;
}

enum fo_err
fo_pg_query(struct fo_pg *pg, const char *sql, int count, const char *const *params, PGresult **ret_res)
{
    PGresult *res = PQexecParams(pg->conn, sql, count, NULL, params, NULL, NULL, 0);
    enum fo_err err = judge(pg, res, PGRES_COMMAND_OK);

    if (err == FO_OK && ret_res != NULL)
        *ret_res = res;
    else
        PQclear(res);
    return err;
}

enum fo_err
fo_pg_copy_begin(struct fo_pg *pg, const char *sql)
{
    PGresult *res = PQexec(pg->conn, sql);
    enum fo_err err = judge(pg, res, PGRES_COPY_IN);

    PQclear(res);
    return err;
}

enum fo_err
fo_pg_copy_put(struct fo_pg *pg, struct fo_slice data)
{
    if (data.n == 0 || PQputCopyData(pg->conn, (const char *)data.p, (int)data.n) == 1)
        return FO_OK;
    keep_error(pg, PQerrorMessage(pg->conn), NULL);
    return FO_ERR_UNAVAILABLE;
}

enum fo_err
fo_pg_copy_end(struct fo_pg *pg, const char *failure)
{
    PGresult *res;
    enum fo_err err = FO_OK;

    if (PQputCopyEnd(pg->conn, failure) != 1) {
        keep_error(pg, PQerrorMessage(pg->conn), NULL);
        return FO_ERR_UNAVAILABLE;
    }
    while ((res = PQgetResult(pg->conn)) != NULL) {
        if (err == FO_OK)
            err = judge(pg, res, PGRES_COMMAND_OK);
        PQclear(res);
    }
    return err;
}
