/* SPDX-License-Identifier: Apache-2.0
 *
 * See ledger.h. */
#include "cmd/fanout/ledger.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fanout/commands.h"

struct ledger { PGconn *conn; char why[256]; };

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_NUMERIC = 1700,
    OID_JSON = 114, OID_JSONB = 3802 };

static void
keep_error(struct ledger *l, char *why, size_t room)
{
    snprintf(why, room, "%s", PQerrorMessage(l->conn));
    why[strcspn(why, "\n")] = '\0';
}

const char *
ledger_conninfo(struct argp_state *state, const char *option, const char *arg)
{
    bool is_name = strchr(arg, '=') == NULL && strstr(arg, "://") == NULL;
    char *why = NULL;
    PQconninfoOption *parsed = is_name ? NULL : PQconninfoParse(arg, &why);

    if (parsed == NULL && why != NULL)
        argp_error(state, "%s: %.*s", option, (int)strcspn(why, "\n"), why);
    PQfreemem(why);
    PQconninfoFree(parsed);
    return arg;
}

int
ledger_try(const char *conninfo, struct ledger **ret_ledger, char *ret_why, size_t room)
{
    const char *const key[] = { "dbname", "connect_timeout", "application_name", NULL };
    const char *const value[] = { conninfo, "5", "fanout", NULL };
    struct ledger *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        snprintf(ret_why, room, "out of memory");
        return CMD_FAILED;
    }
    l->conn = PQconnectdbParams(key, value, 1);
    if (l->conn == NULL || PQstatus(l->conn) != CONNECTION_OK) {
        keep_error(l, ret_why, room);
        ledger_close(l);
        return CMD_UNREACHABLE;
    }
    PQclear(PQexec(l->conn, "SET default_transaction_read_only = on"));
    *ret_ledger = l;
    return CMD_OK;
}

int
ledger_open(const char *conninfo, struct ledger **ret_ledger)
{
    char why[256];
    int rc = ledger_try(conninfo, ret_ledger, why, sizeof(why));

    if (rc != CMD_OK)
        fprintf(stderr, "fanout: ledger: %s\n", why);
    return rc;
}

void
ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    PQfinish(ledger->conn);
    free(ledger);
}

const char *
ledger_last_error(const struct ledger *ledger)
{
    return ledger->why;
}

static json_t *
value_of(const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);

    if (PQgetisnull(result, row, column))
        return json_null();
    switch (PQftype(result, column)) {
    case OID_BOOL:
        return json_boolean(text[0] == 't');
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return json_integer(strtoll(text, NULL, 10));
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        return json_real(strtod(text, NULL));
    case OID_JSON:
    case OID_JSONB:
        return json_loads(text, JSON_DECODE_ANY, NULL);
    default:
        return json_string(text);
    }
}

int
ledger_query(struct ledger *ledger, const char *sql, const char *const *params, int count, json_t **ret_rows)
{
    PGresult *result = PQexecParams(ledger->conn, sql, count, NULL, params, NULL, NULL, 0);
    json_t *rows;

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        keep_error(ledger, ledger->why, sizeof(ledger->why));
        PQclear(result);
        return CMD_FAILED;
    }
    rows = json_array();
    for (int r = 0; r < PQntuples(result); r++) {
        json_t *row = json_object();
        for (int c = 0; c < PQnfields(result); c++)
            json_object_set_new(row, PQfname(result, c), value_of(result, r, c));
        json_array_append_new(rows, row);
    }
    PQclear(result);
    *ret_rows = rows;
    return CMD_OK;
}

int
ledger_exec(struct ledger *ledger, const char *sql)
{
    PGresult *result = PQexec(ledger->conn, sql);
    bool is_done = PQresultStatus(result) == PGRES_COMMAND_OK;

    if (!is_done)
        keep_error(ledger, ledger->why, sizeof(ledger->why));
    PQclear(result);
    return is_done ? CMD_OK : CMD_FAILED;
}
