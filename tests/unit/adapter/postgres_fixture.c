/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "postgres_fixture.h"

/* Runs deploy/postgres-local; ret_line: its first line of output, without the end. */
static int
run_script(const struct postgres *pg, const char *verb, const char *more, char *ret_line, size_t size)
{
    const char *deploy = getenv("FANOUT_DEPLOY_DIR");
    char command[1024];
    FILE *out;

    if (deploy == NULL) {
        fprintf(stderr, "FANOUT_DEPLOY_DIR is not set\n");
        return -1;
    }
    snprintf(command, sizeof command, "exec '%s/postgres-local' %s '%s' %s", deploy, verb, pg->dir, more);
    out = popen(command, "r");
    if (out == NULL)
        return -1;
    if (fgets(ret_line, (int)size, out) == NULL)
        *ret_line = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return pclose(out) == 0 ? 0 : -1;
}

int
postgres_create(struct postgres *pg)
{
    snprintf(pg->dir, sizeof pg->dir, "/tmp/fanout-unit-pg-XXXXXX");
    return mkdtemp(pg->dir) != NULL ? run_script(pg, "start", "", pg->conninfo, sizeof pg->conninfo) : -1;
}

int
postgres_destroy(struct postgres *pg)
{
    char line[256], command[128];

    if (run_script(pg, "stop", "immediate", line, sizeof line) != 0)
        return -1;
    snprintf(command, sizeof command, "rm -rf '%s'", pg->dir);
    return system(command) == 0 ? 0 : -1;
}

void
postgres_start(struct postgres *pg)
{
    assert_int_equal(run_script(pg, "start", "", pg->conninfo, sizeof pg->conninfo), 0);
}

void
postgres_stop(struct postgres *pg, bool is_immediate)
{
    char line[256];

    assert_int_equal(run_script(pg, "stop", is_immediate ? "immediate" : "", line, sizeof line), 0);
}

void
postgres_make_database(struct postgres *pg, const char *name, const char *user, char *ret_conninfo)
{
    char sql[128];

    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    sql_do(pg->conninfo, sql);
    assert_true(snprintf(ret_conninfo, 256, "%.*s dbname=%s user=%s", (int)strcspn(pg->conninfo, " "), pg->conninfo, name, user) < 256);
}

PGconn *
sql_open(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);

    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s: %s", conninfo, PQerrorMessage(conn));
    return conn;
}

static PGresult *
query(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);

    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    return res;
}

void
sql_do(const char *conninfo, const char *sql)
{
    PGconn *conn = sql_open(conninfo);

    PQclear(query(conn, sql));
    PQfinish(conn);
}

char *
sql_text(const char *conninfo, const char *sql, char *ret_text)
{
    PGconn *conn = sql_open(conninfo);
    PGresult *res = query(conn, sql);

    snprintf(ret_text, 512, "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    PQfinish(conn);
    return ret_text;
}

long
sql_long(const char *conninfo, const char *sql)
{
    char text[512];

    return atol(sql_text(conninfo, sql, text));
}

void
sql_refused(const char *conninfo, const char *sql, const char *sqlstate)
{
    PGconn *conn = sql_open(conninfo);
    PGresult *res = PQexec(conn, sql);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (state == NULL || strcmp(state, sqlstate) != 0)
        fail_msg("%s: expected %s, got %s", sql, sqlstate, state ? PQerrorMessage(conn) : "success");
    PQclear(res);
    PQfinish(conn);
}
