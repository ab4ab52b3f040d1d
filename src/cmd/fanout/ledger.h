/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the ledger in PostgreSQL, for commands that read it. */
#pragma once
#include <argp.h>
#include <jansson.h>

struct ledger;

/* An option's value, for a parser: a usage error unless libpq understands it, as a connection string, URI or name of a database. Connects nothing. */
const char *ledger_conninfo(struct argp_state *state, const char *option, const char *arg);
/* Connects; read-only. Returns an exit code. ledger_try leaves the reason in ret_why, ledger_open complains itself. */
int ledger_try(const char *conninfo, struct ledger **ret_ledger, char *ret_why, size_t room);
int ledger_open(const char *conninfo, struct ledger **ret_ledger);
void ledger_close(struct ledger *ledger);
/* Runs one statement with text parameters. ret_rows: an array of objects with the columns' names; numbers, booleans and
 * jsonb as themselves, null as null, everything else as text. CMD_FAILED: ledger_last_error says why. */
int ledger_query(struct ledger *ledger, const char *sql, const char *const *params, int count, json_t **ret_rows);
/* Runs one statement that gives no rows. */
int ledger_exec(struct ledger *ledger, const char *sql);
const char *ledger_last_error(const struct ledger *ledger);
