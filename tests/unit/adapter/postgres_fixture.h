/* SPDX-License-Identifier: Apache-2.0
 *
 * A private PostgreSQL for one test program, by deploy/postgres-local (found by FANOUT_DEPLOY_DIR), and shorthands for
 * asking it. Every function fails the running test when something is wrong. */
#pragma once
#include <stdbool.h>
#include <libpq-fe.h>

struct postgres { char dir[64]; char conninfo[256]; /* of the superuser, database fanout */ };

/* Makes a directory and starts a cluster in it. 0, or -1 with the reason on standard error. */
int postgres_create(struct postgres *pg);
/* Stops it and removes everything. */
int postgres_destroy(struct postgres *pg);
void postgres_start(struct postgres *pg);
/* is_immediate: as if its machine had failed. */
void postgres_stop(struct postgres *pg, bool is_immediate);

/* A new, empty database; ret_conninfo: 256 bytes, for user. */
void postgres_make_database(struct postgres *pg, const char *name, const char *user, char *ret_conninfo);

PGconn *sql_open(const char *conninfo);
/* Runs it; it must succeed. */
void sql_do(const char *conninfo, const char *sql);
/* First column of the first row as text; ret_text: 512 bytes. "" when there is no row or it is null. */
char *sql_text(const char *conninfo, const char *sql, char *ret_text);
long sql_long(const char *conninfo, const char *sql);
/* It must be refused with this SQLSTATE. */
void sql_refused(const char *conninfo, const char *sql, const char *sqlstate);
