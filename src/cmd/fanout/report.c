/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout report`: success rates and latencies per type and region, from brokers' journals or from the ledger.
 *
 * Each broker reports on the events that it accepted. Percentiles of different brokers cannot be merged, so several
 * brokers' rows stand one below the other, with their source; counts of events are added up. */
#include "cmd/fanout/common.h"
#include "cmd/fanout/ledger.h"
#include "cmd/fanout/table.h"

#include <stdio.h>
#include <string.h>

enum { OPT_SINCE = 0x100, OPT_UNTIL, OPT_LEDGER };

struct report_args {
    struct cmd_common common;
    const char *ledger;
    struct fo_wall since, until;
};

static const struct argp_option options[] = {
    { "since", OPT_SINCE, "TIME", 0, "events accepted from then on: 15m, 1h, 7d ago, or an RFC 3339 time (default 1h)", 0 },
    { "until", OPT_UNTIL, "TIME", 0, "and before then (default now)", 0 },
    { "ledger", OPT_LEDGER, "CONNINFO", 0, "ask the ledger in PostgreSQL instead of brokers", 0 },
    { 0 },
};

static const char doc[] =
    "Report how many events reached each region, and how fast.\n"
    "\v"
    "Brokers report on what they accepted and still retain; the ledger on all regions. A delivery is delivered when the target "
    "region has it durably and its signed ack has arrived; latency is from acceptance to that.\n"
    "\n"
    "Examples:\n"
    "  fanout report\n"
    "  fanout report -b tcp://127.0.0.1:7101 -b tcp://127.0.0.1:7201 --since 15m\n"
    "  fanout report --ledger 'host=/run/postgresql dbname=fanout' --since 7d --json\n"
    "\n"
    "Exit status: 0 done, 1 some broker or the ledger could not tell, 2 usage error, 3 not reachable.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct report_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        a->until = cmd_now();
        a->since.us = a->until.us - INT64_C(3600000000);
        return 0;
    case OPT_SINCE:
    case OPT_UNTIL:
        if (!cmd_parse_time(arg, cmd_now(), key == OPT_SINCE ? &a->since : &a->until))
            argp_error(state, "'%s' is neither an RFC 3339 time nor an age such as 15m, 1h, 7d", arg);
        return 0;
    case OPT_LEDGER: a->ledger = ledger_conninfo(state, "--ledger", arg); return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s': no such argument", arg); return 0;
    case ARGP_KEY_END:
        if (a->since.us >= a->until.us)
            argp_error(state, "--until must be after --since");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static double
member(const json_t *row, const char *name, const char *other_name)
{
    return cmd_number(row, name, cmd_number(row, other_name, -1));
}

static void
add_row(struct table *t, const char *source, const json_t *row)
{
    static const char *const latency[][2] = { { "p50Ms", "p50_ms" }, { "p95Ms", "p95_ms" }, { "p99Ms", "p99_ms" }, { "maxMs", "max_ms" } };
    static const char *const count[] = { "total", "delivered", "pending", "expired", "incompatible", "failed" };
    bool has_latency = cmd_number(row, "delivered", 0) > 0;
    char ms[24];

    table_add(t, "%s", source);
    table_add(t, "%s", cmd_text(row, "type", "?"));
    table_add(t, "%s", cmd_text(row, "region", "?"));
    for (int i = 0; i < 6; i++)
        table_add(t, "%.0f", cmd_number(row, count[i], 0));
    table_add(t, "%.2f %%", 100 * member(row, "successRate", "success_rate"));
    for (int i = 0; i < 4; i++)
        table_add(t, "%s", table_ms(has_latency ? member(row, latency[i][0], latency[i][1]) : -1, ms));
}

static void
print_deliveries(const json_t *reports)
{
    static const char *const header[] = { "SOURCE", "TYPE", "REGION", ">TOTAL", ">DELIVERED", ">PENDING", ">EXPIRED", ">INCOMPAT.",
        ">FAILED", ">SUCCESS", ">P50", ">P95", ">P99", ">MAX" };
    struct table t;
    const json_t *report, *row;
    size_t i, j;

    table_init(&t, header, 14);
    json_array_foreach(reports, i, report)
        json_array_foreach(json_object_get(report, "rows"), j, row)
            add_row(&t, cmd_text(row, "source", cmd_text(report, "region", "all")), row);
    if (t.count == 0)
        puts("Nothing was published in this time.");
    else
        table_print(&t, stdout, 0);
    table_fini(&t);
}

/* Events of all sources by type: an event is successful when all its targets have it. */
static json_t *
sum_events(const json_t *reports)
{
    json_t *sums = json_object(), *list = json_array(), *sum;
    const json_t *report, *event;
    const char *type;
    size_t i, j;

    json_array_foreach(reports, i, report) {
        json_array_foreach(json_object_get(report, "events"), j, event) {
            type = cmd_text(event, "type", "?");
            sum = json_object_get(sums, type);
            if (sum == NULL) {
                sum = json_pack("{s:s, s:I, s:I}", "type", type, "total", (json_int_t)0, "successful", (json_int_t)0);
                json_object_set_new(sums, type, sum);
                json_array_append(list, sum);
            }
            json_integer_set(json_object_get(sum, "total"),
                json_integer_value(json_object_get(sum, "total")) + (json_int_t)cmd_number(event, "total", 0));
            json_integer_set(json_object_get(sum, "successful"),
                json_integer_value(json_object_get(sum, "successful")) + (json_int_t)cmd_number(event, "successful", 0));
        }
    }
    json_decref(sums);
    return list;
}

static void
print_events(const json_t *events)
{
    static const char *const header[] = { "TYPE", ">EVENTS", ">SUCCESSFUL", ">RATE" };
    struct table t;
    const json_t *event;
    size_t i;

    if (json_array_size(events) == 0)
        return;
    table_init(&t, header, 4);
    json_array_foreach(events, i, event) {
        double total = cmd_number(event, "total", 0), successful = cmd_number(event, "successful", 0);
        table_add(&t, "%s", cmd_text(event, "type", "?"));
        table_add(&t, "%.0f", total);
        table_add(&t, "%.0f", successful);
        table_add(&t, "%.2f %%", total > 0 ? 100 * successful / total : 0);
    }
    putchar('\n');
    table_print(&t, stdout, 0);
    table_fini(&t);
}

static int
ask_ledger(const struct report_args *a, json_t *reports)
{
    static const char rows_sql[] = "SELECT type, region, total, delivered, pending, expired, incompatible, failed, "
        "success_rate AS \"successRate\", p50_ms AS \"p50Ms\", p95_ms AS \"p95Ms\", p99_ms AS \"p99Ms\", max_ms AS \"maxMs\" "
        "FROM fanout_report($1, $2)";
    static const char events_sql[] = "SELECT event_type AS type, count(*) AS total, "
        "count(*) FILTER (WHERE (delivery_status->>'success')::boolean) AS successful FROM realtime_fanout_log "
        "WHERE fanout_at >= $1::timestamptz AND fanout_at < $2::timestamptz GROUP BY event_type ORDER BY event_type";
    char since[FO_RFC3339_SIZE], until[FO_RFC3339_SIZE];
    const char *const params[] = { since, until };
    json_t *rows, *events;
    struct ledger *ledger;
    int rc = ledger_open(a->ledger, &ledger);

    if (rc != CMD_OK)
        return rc;
    fo_wall_format(a->since, since);
    fo_wall_format(a->until, until);
    rc = ledger_query(ledger, rows_sql, params, 2, &rows);
    if (rc == CMD_OK) {
        rc = ledger_query(ledger, events_sql, params, 2, &events);
        if (rc == CMD_OK)
            json_array_append_new(reports, json_pack("{s:s, s:s, s:s, s:O, s:o}", "source", "ledger", "from", since, "until", until,
                "rows", rows, "events", events));
        json_decref(rows);
    }
    if (rc != CMD_OK)
        fprintf(stderr, "fanout: ledger: %s; is the schema migrated? `fanout migrate --status` tells\n", ledger_last_error(ledger));
    ledger_close(ledger);
    return rc;
}

static int
ask_brokers(const struct report_args *a, json_t *reports)
{
    char since[FO_RFC3339_SIZE], until[FO_RFC3339_SIZE];
    int worst = CMD_OK;

    fo_wall_format(a->since, since);
    fo_wall_format(a->until, until);
    for (unsigned i = 0; i < a->common.brokers; i++) {
        const char *address = a->common.broker[i];
        fanout_client *client;
        json_t *report;
        int rc = cmd_connect_to(&a->common, address, &client);
        if (rc != CMD_OK)
            return rc;
        rc = cmd_call(client, address, json_pack("{s:s, s:s, s:s}", "op", "report", "since", since, "until", until),
            a->common.timeout_ms, &report);
        if (rc == CMD_OK)
            json_array_append_new(reports, report);
        else
            worst = rc;
    }
    return worst != CMD_OK && json_array_size(reports) > 0 ? CMD_FAILED : worst;
}

int
cmd_report(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "", doc, children, NULL, NULL };
    struct report_args args = { 0 };
    json_t *reports = json_array(), *events;
    int rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0)
        return CMD_USAGE;
    rc = args.ledger != NULL ? ask_ledger(&args, reports) : ask_brokers(&args, reports);
    events = sum_events(reports);
    if (json_array_size(reports) > 0 && args.common.is_json) {
        json_t *all = json_pack("{s:O, s:O}", "sources", reports, "events", events);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(all);
    } else if (json_array_size(reports) > 0) {
        print_deliveries(reports);
        print_events(events);
    }
    json_decref(events);
    json_decref(reports);
    return rc;
}
