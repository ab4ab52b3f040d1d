/* SPDX-License-Identifier: Apache-2.0 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/migrate_pg.h"

/* Any number will do as long as it stays the same: "fanout" in ASCII. */
#define LOCK_KEY "112568767309172"

struct run {
    PGconn *conn;
    struct fo_fault *fault;
};

static void
on_notice(void *ctx, const PGresult *res)
{
    (void)ctx, (void)res;
}

/* The first line of what libpq says, without its "ERROR:  ". */
static void
fault_from_pg(struct fo_fault *fault, enum fo_err err, const char *place, const char *message)
{
    while (strncmp(message, "ERROR:", 6) == 0 || strncmp(message, "FATAL:", 6) == 0)
        message += 6 + strspn(message + 6, " ");
    *fault = (struct fo_fault){ .err = err };
    snprintf(fault->path, sizeof fault->path, "%s", place);
    snprintf(fault->text, sizeof fault->text, "%.*s", (int)strcspn(message, "\n"), message);
}

static enum fo_err
failed(struct run *r, const char *place)
{
    bool is_lost = PQstatus(r->conn) != CONNECTION_OK;

    fault_from_pg(r->fault, is_lost ? FO_ERR_UNAVAILABLE : FO_ERR_REJECTED, place, PQerrorMessage(r->conn));
    return r->fault->err;
}

static enum fo_err
run_open(struct run *r, const char *conninfo, struct fo_fault *fault)
{
    const char *const key[] = { "dbname", NULL }, *const value[] = { conninfo, NULL };

    *r = (struct run){ PQconnectdbParams(key, value, 1), fault };       /* as elsewhere: a database's name alone will do */
    if (r->conn == NULL)
        return FO_ERR_NO_MEMORY;
    if (PQstatus(r->conn) != CONNECTION_OK) {
        fault_from_pg(fault, FO_ERR_UNAVAILABLE, "database", PQerrorMessage(r->conn));
        return FO_ERR_UNAVAILABLE;
    }
    PQsetNoticeReceiver(r->conn, on_notice, NULL);
    return FO_OK;
}

static enum fo_err
execute(struct run *r, const char *place, const char *sql)
{
    PGresult *res = PQexec(r->conn, sql);
    ExecStatusType status = PQresultStatus(res);

    PQclear(res);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? FO_OK : failed(r, place);
}

/* One value in text form; ret_value empty when there is no row. */
static enum fo_err
query(struct run *r, const char *place, const char *sql, int count, const char *const *params, char *ret_value, size_t size)
{
    PGresult *res = PQexecParams(r->conn, sql, count, NULL, params, NULL, NULL, 0);
    enum fo_err err = FO_OK;

    if (PQresultStatus(res) == PGRES_COMMAND_OK || (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 0))
        *ret_value = '\0';
    else if (PQresultStatus(res) == PGRES_TUPLES_OK)
        snprintf(ret_value, size, "%s", PQgetvalue(res, 0, 0));
    else
        err = failed(r, place);
    PQclear(res);
    return err;
}

static enum fo_err
lock(struct run *r, fo_migrate_fn step, void *ctx)
{
    char got[8];
    enum fo_err err = query(r, "lock", "SELECT pg_try_advisory_lock(" LOCK_KEY ")", 0, NULL, got, sizeof got);

    if (err != FO_OK || got[0] == 't')
        return err;
    step(ctx, FO_MIGRATE_WAITING, NULL);
    return query(r, "lock", "SELECT pg_advisory_lock(" LOCK_KEY ")", 0, NULL, got, sizeof got);
}

/* What the database has of m: its recorded checksum (empty: nothing) and the checksum that m has now. */
static enum fo_err
look_up(struct run *r, const struct fo_migration *m, bool has_table, char ret_recorded[65], char ret_now[65])
{
    char version[16];
    enum fo_err err;

    snprintf(version, sizeof version, "%u", m->version);
    *ret_recorded = '\0';
    if (has_table && (err = query(r, m->name, "SELECT checksum FROM fanout_migrations WHERE version = $1::integer", 1,
                          (const char *const[]){ version }, ret_recorded, 65)) != FO_OK)
        return err;
    return query(r, m->name, "SELECT encode(sha256(convert_to($1::text, 'UTF8')), 'hex')", 1, (const char *const[]){ m->sql }, ret_now, 65);
}

static enum fo_err
apply(struct run *r, const struct fo_migration *m, const char *checksum)
{
    char version[16], none[8];
    enum fo_err err;

    snprintf(version, sizeof version, "%u", m->version);
    if ((err = execute(r, m->name, "BEGIN")) != FO_OK)
        return err;
    if ((err = execute(r, m->name, m->sql)) == FO_OK
        && (err = query(r, m->name, "INSERT INTO fanout_migrations (version, name, checksum) VALUES ($1::integer, $2, $3)", 3,
                (const char *const[]){ version, m->name, checksum }, none, sizeof none)) == FO_OK)
        err = execute(r, m->name, "COMMIT");
    if (err != FO_OK)
        PQclear(PQexec(r->conn, "ROLLBACK"));
    return err;
}

static enum fo_err
migrate_one(struct run *r, const struct fo_migration *m, bool has_table, bool is_dry_run, fo_migrate_fn step, void *ctx)
{
    char recorded[65], now[65];
    enum fo_err err = look_up(r, m, has_table, recorded, now);

    if (err != FO_OK)
        return err;
    if (*recorded != '\0' && strcmp(recorded, now) != 0)
        return fo_fault_set(r->fault, FO_ERR_CORRUPT, m->name,
            "migration %04u was applied with another content; add a new migration instead of editing it", m->version);
    if (*recorded == '\0' && !is_dry_run && (err = apply(r, m, now)) != FO_OK)
        return err;
    step(ctx, *recorded != '\0' ? FO_MIGRATE_PRESENT : is_dry_run ? FO_MIGRATE_MISSING : FO_MIGRATE_APPLIED, m);
    return FO_OK;
}

enum fo_err
fo_migrate(const char *conninfo, const struct fo_migration *list, unsigned count, bool is_dry_run, fo_migrate_fn step, void *ctx,
    struct fo_fault *ret_fault)
{
    struct run r;
    char value[32] = "";
    bool has_table;
    enum fo_err err = run_open(&r, conninfo, ret_fault);

    if (err != FO_OK || (!is_dry_run && (err = lock(&r, step, ctx)) != FO_OK))
        goto cleanup;
    if (!is_dry_run && (err = execute(&r, "fanout_migrations", "CREATE TABLE IF NOT EXISTS fanout_migrations (version integer PRIMARY KEY,"
                            " name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())")) != FO_OK)
        goto cleanup;
    if ((err = query(&r, "fanout_migrations", "SELECT to_regclass('fanout_migrations') IS NOT NULL", 0, NULL, value, sizeof value)) != FO_OK)
        goto cleanup;
    has_table = value[0] == 't';
    value[0] = '\0';
    if (has_table && (err = query(&r, "fanout_migrations", "SELECT coalesce(max(version), 0) FROM fanout_migrations", 0, NULL, value, sizeof value)) != FO_OK)
        goto cleanup;
    if (strtoul(value, NULL, 10) > count) {
        err = fo_fault_set(ret_fault, FO_ERR_VERSION, "fanout_migrations",
            "the database is at version %s, this program knows %u: use the newer program", value, count);
        goto cleanup;
    }
    for (unsigned i = 0; err == FO_OK && i < count; i++)
        err = migrate_one(&r, &list[i], has_table, is_dry_run, step, ctx);
cleanup:
    PQfinish(r.conn);
    return err;
}

enum fo_err
fo_migrate_regions(const char *conninfo, const struct fo_migrate_region *regions, unsigned count, struct fo_fault *ret_fault)
{
    struct run r;
    char none[8];
    enum fo_err err = run_open(&r, conninfo, ret_fault);

    if (err == FO_OK)
        err = execute(&r, "regions", "BEGIN");
    for (unsigned i = 0; err == FO_OK && i < count; i++)
        if (regions[i].is_primary)
            err = query(&r, "regions", "UPDATE regions SET is_primary = false, is_read_replica = true WHERE is_primary AND id <> $1", 1,
                (const char *const[]){ regions[i].id }, none, sizeof none);
    for (unsigned i = 0; err == FO_OK && i < count; i++) {
        const struct fo_migrate_region *g = &regions[i];

        err = query(&r, "regions", "INSERT INTO regions (id, name, is_primary, is_read_replica) VALUES ($1, $2, $3::boolean, NOT $3::boolean)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, is_primary = excluded.is_primary, is_read_replica = excluded.is_read_replica", 3,
            (const char *const[]){ g->id, g->name, g->is_primary ? "true" : "false" }, none, sizeof none);
    }
    if (err == FO_OK)
        err = execute(&r, "regions", "COMMIT");
    PQfinish(r.conn);
    return err;
}
