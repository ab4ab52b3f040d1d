/* SPDX-License-Identifier: Apache-2.0
 *
 * fanout migrate: brings the primary PostgreSQL to the schema that this version needs. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "adapter/migrate_pg.h"
#include "cmd/fanout/commands.h"
#include "cmd/fanout/ledger.h"

enum { KEY_STATUS = 256, KEY_DRY_RUN, KEY_REGION, KEY_PRIMARY, KEY_SQL };

struct options {
    const char *conninfo;
    bool is_status, is_dry_run, is_sql;
    struct fo_migrate_region regions[FO_REGIONS_MAX];
    unsigned regions_count;
    const char *primary;
};

struct tally { unsigned applied, missing, present; bool is_dry_run; };

static const struct argp_option argp_options[] = {
    { "conninfo", 'c', "CONNINFO", 0, "Database to migrate, as a libpq connection string; left out: PGHOST, PGDATABASE and so on", 0 },
    { "status", KEY_STATUS, NULL, 0, "Only show which migrations are applied; exit status 1 when one is missing", 0 },
    { "dry-run", KEY_DRY_RUN, NULL, 0, "Only show what would be applied", 0 },
    { "region", KEY_REGION, "ID[=NAME]", 0, "List this region in the table regions; may be repeated", 0 },
    { "primary", KEY_PRIMARY, "ID", 0, "Of the regions given, this is the primary", 0 },
    { "sql", KEY_SQL, NULL, 0, "Print the migrations' SQL and do nothing else", 0 },
    { 0 },
};
static const char doc[] =
    "Brings the primary PostgreSQL to the schema that this version needs. Safe to repeat, and to run twice at once. "
    "The role that runs it owns the tables; brokers connect as fanout_broker.\v"
    "Examples:\n"
    "  fanout migrate -c 'host=/run/postgresql dbname=fanout user=postgres'\n"
    "  fanout migrate -c \"$DB\" --region eu-west-1 --primary eu-west-1\n"
    "  fanout migrate -c \"$DB\" --status\n"
    "\n"
    "Exit status: 0 done, 1 failed, or with --status a migration is missing, 2 usage error, 3 PostgreSQL is not reachable.";

/* Names of the regions that the routing tables of the clients know. */
static const char *
region_name(const char *id)
{
    static const struct { const char *id, *name; } known[] = {
        { "us-east-1", "US East (N. Virginia)" },
        { "us-west-2", "US West (Oregon)" },
        { "eu-west-1", "EU (Ireland)" },
        { "ap-southeast-1", "Asia Pacific (Singapore)" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].id, id) == 0)
            return known[i].name;
    return id;
}

static void
add_region(struct options *o, char *arg, struct argp_state *state)
{
    char *equals = strchr(arg, '=');

    if (o->regions_count == FO_REGIONS_MAX)
        argp_error(state, "more than %d regions", FO_REGIONS_MAX);
    if (equals != NULL)
        *equals = '\0';
    if (!fo_region_name_is_valid(fo_slice_str(arg)))
        argp_error(state, "--region: '%s' is no region's ID: " FO_REGION_NAME_RULE, arg);
    if (equals != NULL && equals[1] == '\0')
        argp_error(state, "--region: ID or ID=NAME");
    o->regions[o->regions_count++] = (struct fo_migrate_region){ arg, equals ? equals + 1 : region_name(arg), false };
}

static void
mark_primary(struct options *o, struct argp_state *state)
{
    for (unsigned i = 0; i < o->regions_count; i++)
        if (strcmp(o->regions[i].id, o->primary) == 0) {
            o->regions[i].is_primary = true;
            return;
        }
    argp_error(state, "--primary %s: no --region %s is given", o->primary, o->primary);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case 'c': o->conninfo = ledger_conninfo(state, "--conninfo", arg); return 0;
    case KEY_STATUS: o->is_status = true; return 0;
    case KEY_DRY_RUN: o->is_dry_run = true; return 0;
    case KEY_SQL: o->is_sql = true; return 0;
    case KEY_REGION: add_region(o, arg, state); return 0;
    case KEY_PRIMARY: o->primary = arg; return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s' is not understood", arg); return 0;
    case ARGP_KEY_END:
        if (o->primary != NULL)
            mark_primary(o, state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void
on_step(void *ctx, enum fo_migrate_step step, const struct fo_migration *m)
{
    struct tally *t = ctx;
    const char *word = "";

    switch (step) {
    case FO_MIGRATE_WAITING:
        fprintf(stderr, "another migration is running on this database; waiting for it\n");
        return;
    case FO_MIGRATE_PRESENT: word = "present", t->present++; break;
    case FO_MIGRATE_APPLIED: word = "applied", t->applied++; break;
    case FO_MIGRATE_MISSING: word = t->is_dry_run ? "would be applied" : "missing", t->missing++; break;
    }
    printf("%04u %-32s %s\n", m->version, m->name, word);
}

static int
report_fault(const struct fo_fault *fault)
{
    fprintf(stderr, "fanout migrate: %s%s%s\n", fault->path, *fault->path ? ": " : "", *fault->text ? fault->text : fo_err_text(fault->err));
    if (fault->err == FO_ERR_UNAVAILABLE)
        fprintf(stderr, "Is PostgreSQL running, and is --conninfo right?\n");
    return fault->err == FO_ERR_UNAVAILABLE ? CMD_UNREACHABLE : CMD_FAILED;
}

int
cmd_migrate(int argc, char **argv)
{
    static const struct argp argp = { argp_options, on_option, NULL, doc, NULL, NULL, NULL };
    struct options o = { .conninfo = "" };
    struct tally tally = { 0 };
    struct fo_fault fault = { 0 };
    bool only_looks;

    argp_err_exit_status = CMD_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return CMD_USAGE;
    if (o.is_sql) {
        for (unsigned i = 0; i < fo_migrations_count; i++)
            printf("%s\n", fo_migrations[i].sql);
        return CMD_OK;
    }
    only_looks = o.is_status || o.is_dry_run;
    tally.is_dry_run = o.is_dry_run;
    if (fo_migrate(o.conninfo, fo_migrations, fo_migrations_count, only_looks, on_step, &tally, &fault) != FO_OK)
        return report_fault(&fault);
    if (!only_looks && o.regions_count > 0 && fo_migrate_regions(o.conninfo, o.regions, o.regions_count, &fault) != FO_OK)
        return report_fault(&fault);
    if (only_looks)
        printf("%u applied, %u missing\n", tally.present, tally.missing);
    else
        printf("%u applied now; the schema is at version %u\n", tally.applied, fo_migrations_count);
    return o.is_status && tally.missing > 0 ? CMD_FAILED : CMD_OK;
}
