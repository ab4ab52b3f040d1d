/* SPDX-License-Identifier: Apache-2.0
 *
 * What an audit found, as tables for people. */
#include "cmd/fanout/audit.h"
#include "cmd/fanout/table.h"

#include <stdio.h>
#include <string.h>

static void
print_flows(const json_t *flows)
{
    static const char *const header[] = { "SOURCE", "TARGET", "LANE", ">ACCEPTED", ">DELIVERED", ">DEAD", ">EXPIRED", ">PENDING", ">RECEIVED",
        "DIGEST", ">DRIFT", "" };
    static const char *const count[] = { "accepted", "delivered", "dead", "expired", "pending" };
    struct table t;
    const json_t *flow;
    size_t i;

    table_init(&t, header, 12);
    json_array_foreach(flows, i, flow) {
        bool is_compared = json_object_get(flow, "received") != NULL;
        table_add(&t, "%s", cmd_text(flow, "source", "?"));
        table_add(&t, "%s", cmd_text(flow, "target", "?"));
        table_add(&t, "%s", cmd_text(flow, "lane", "?"));
        for (int k = 0; k < 5; k++)
            table_add(&t, "%.0f", cmd_number(flow, count[k], 0));
        if (is_compared)
            table_add(&t, "%.0f", cmd_number(flow, "received", 0));
        else
            table_add(&t, "-");
        table_add(&t, "%s", cmd_text(flow, "digest", ""));
        table_add(&t, "%.0f", cmd_number(flow, "drift", 0));
        table_add(&t, "%s", cmd_text(flow, "state", ""));
    }
    if (t.count == 0)
        puts("No region that answered accepted anything for another in this time.");
    else
        table_print(&t, stdout, 0);
    table_fini(&t);
}

static void
print_ledger(const json_t *rows)
{
    static const char *const header[] = { "LEDGER OF", "LANE", ">ACCEPTED", ">ROWS", ">NOT YET", ">SETTLING", ">SET ASIDE", ">DRIFT" };
    static const char *const count[] = { "accepted", "rows", "pending", "settling", "quarantined", "drift" };
    struct table t;
    const json_t *row;
    size_t i;

    if (json_array_size(rows) == 0)
        return;
    table_init(&t, header, 8);
    json_array_foreach(rows, i, row) {
        table_add(&t, "%s", cmd_text(row, "source", "?"));
        table_add(&t, "%s", cmd_text(row, "lane", "?"));
        for (int k = 0; k < 6; k++)
            table_add(&t, "%.0f", cmd_number(row, count[k], 0));
    }
    putchar('\n');
    table_print(&t, stdout, 0);
    table_fini(&t);
}

static void
print_regions(const json_t *regions)
{
    const json_t *region;
    size_t i;

    putchar('\n');
    json_array_foreach(regions, i, region)
        printf("%s %s  statement by key %s: %s\n", cmd_text(region, "region", "?"), cmd_text(region, "address", "?"),
            cmd_text(region, "keyId", "-"), cmd_text(region, "signature", "none, not reachable"));
}

static void
print_events(const json_t *result)
{
    static const char *const header[] = { "", "AT", "POSITION", "EVENT", "TENANT", "" };
    static const char *const member[] = { "kind", "where", "position", "id", "tenant", "text" };
    const json_t *events = json_object_get(result, "events"), *event;
    double more = cmd_number(result, "drift", 0) - (double)json_array_size(events);
    struct table t;
    size_t i;

    if (json_array_size(events) == 0)
        return;
    table_init(&t, header, 6);
    json_array_foreach(events, i, event)
        for (int k = 0; k < 6; k++)
            table_add(&t, "%s", cmd_text(event, member[k], ""));
    putchar('\n');
    table_print(&t, stdout, 0);
    table_fini(&t);
    if (more > 0)
        printf("... and %.0f more; --names N names more of them\n", more);
}

static void
print_notes(const json_t *notes)
{
    const json_t *note;
    size_t i;

    if (json_array_size(notes) > 0)
        putchar('\n');
    json_array_foreach(notes, i, note)
        printf("Note: %s.\n", json_string_value(note));
}

double
audit_rows_compared(const json_t *result)
{
    double rows = 0;
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(result, "ledger"), i, row)
        rows += cmd_number(row, "rows", 0);
    return rows;
}

/* The answer in one line. */
static void
print_verdict(const json_t *result)
{
    bool is_complete = json_is_true(json_object_get(result, "complete"));
    double drift = cmd_number(result, "drift", 0), pending = cmd_number(result, "pending", 0);
    double compared = cmd_number(result, "compared", 0), rows = audit_rows_compared(result);

    if (drift > 0) {
        printf("DRIFT: %.0f\n", drift);
        return;
    }
    if (json_is_false(json_object_get(result, "believed"))) {
        puts("Not proven: no drift was seen, but not every answer could be had or believed, see above.");
        return;
    }
    if (compared + rows == 0 && !is_complete) {
        puts("Nothing could be compared, see above.");
        return;
    }
    printf("Zero drift: %.0f deliveries", compared);
    if (json_array_size(json_object_get(result, "ledger")) > 0)
        printf(" and %.0f rows of the ledger", rows);
    fputs(" compared", stdout);
    if (pending > 0)
        printf(", %.0f still pending", pending);
    if (!is_complete)
        fputs("; not everything could be compared, see above", stdout);
    else if (!json_is_true(json_object_get(result, "proven")))
        fputs("; not proven, as no signature was checked", stdout);
    puts(".");
}

void
audit_print(const json_t *result)
{
    printf("Events accepted from %s to %s\n\n", cmd_text(result, "from", "?"), cmd_text(result, "to", "?"));
    print_flows(json_object_get(result, "flows"));
    print_ledger(json_object_get(result, "ledger"));
    print_regions(json_object_get(result, "regions"));
    print_events(result);
    print_notes(json_object_get(result, "notes"));
    putchar('\n');
    print_verdict(result);
}
