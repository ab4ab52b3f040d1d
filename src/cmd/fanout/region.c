/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout region ls`: each broker's links to the other regions, as the broker itself sees them. */
#include "cmd/fanout/common.h"
#include "cmd/fanout/links.h"
#include "cmd/fanout/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_WATCH = 0x100 };

struct region_args { struct cmd_common common; bool is_ls, is_watch; };

static const struct argp_option options[] = {
    { "watch", OPT_WATCH, NULL, 0, "show it again every second, until interrupted", 0 },
    { 0 },
};

static const char doc[] =
    "Show regions and the links between them.\n"
    "\v"
    "Every broker given is asked. It tells of itself, whether it refuses publishes and why, and of the direct link to each peer:\n"
    "\n"
    "  STATE      up: works in both directions; down: see the line below the table for why, and what to do\n"
    "  HEALTH     of the way there: healthy; suspect: a probe is late; down: several are; probing: one was\n"
    "             confirmed again; recovering: confirmed, but not yet for long enough to be trusted\n"
    "  URGENT     the connection for the high lane, acks and probes: up or down\n"
    "  BULK       the connection for the normal and the low lane\n"
    "  RTT        round-trip time, smoothed\n"
    "  HEARD      when the peer was last heard directly\n"
    "  IN FLIGHT  batches sent and not acked, per lane: high/normal/low\n"
    "  BACKLOG    events accepted and not acked, likewise\n"
    "  OLDEST     age of the oldest of those\n"
    "  REPEATED   how often what was in flight was sent again for want of an ack, since the start\n"
    "  VIA        the region that relays to a peer that cannot be reached directly\n"
    "\n"
    "Examples:\n"
    "  fanout region ls\n"
    "  fanout region ls -b tcp://127.0.0.1:7101 -b tcp://127.0.0.1:7201 -b tcp://127.0.0.1:7301 --watch\n"
    "  fanout region ls --json | jq '.[].links[] | {region, state, downBecause, rttMs}'\n"
    "\n"
    "Exit status: 0 every broker answered, whatever it said, 1 some did not, 2 usage error, 3 none did.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct region_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
    case OPT_WATCH: a->is_watch = true; return 0;
    case ARGP_KEY_ARG:
        if (strcmp(arg, "ls") != 0 || a->is_ls)
            argp_error(state, "'%s': the one action is ls", arg);
        a->is_ls = true;
        return 0;
    case ARGP_KEY_END:
        if (!a->is_ls)
            argp_error(state, "say what to do: ls");
        if (a->is_watch && a->common.is_json)
            argp_error(state, "--watch and --json exclude each other");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* "1/0/20": one member of every lane. */
static const char *
per_lane(const json_t *link, const char *member, char ret_text[64])
{
    const json_t *lanes = json_object_get(link, "lanes");

    snprintf(ret_text, 64, "%.0f/%.0f/%.0f", cmd_number(json_object_get(lanes, "high"), member, 0),
        cmd_number(json_object_get(lanes, "normal"), member, 0), cmd_number(json_object_get(lanes, "low"), member, 0));
    return ret_text;
}

static double
oldest_ms(const json_t *link)
{
    static const char *const lane[] = { "high", "normal", "low" };
    double oldest = 0;

    for (int i = 0; i < 3; i++) {
        double ms = cmd_number(json_object_get(json_object_get(link, "lanes"), lane[i]), "oldestMs", 0);
        oldest = ms > oldest ? ms : oldest;
    }
    return oldest > 0 ? oldest : -1;
}

static void
print_links(const json_t *links)
{
    static const char *const header[] = { "PEER", "STATE", "HEALTH", "URGENT", "BULK", ">RTT", ">HEARD", ">IN FLIGHT", ">BACKLOG", ">OLDEST",
        ">REPEATED", "VIA" };
    struct table t;
    char text[64], ms[24];
    const json_t *link;
    size_t i;

    table_init(&t, header, 12);
    json_array_foreach(links, i, link) {
        bool has_rtt = cmd_number(link, "rttMs", 0) > 0, has_heard = cmd_number(link, "lastHeardMs", -1) >= 0;
        table_add(&t, "%s", cmd_text(link, "region", "?"));
        table_add(&t, "%s", cmd_text(link, "state", "?"));
        table_add(&t, "%s", cmd_text(link, "health", "-"));
        table_add(&t, "%s", cmd_text(link, "urgent", "?"));
        table_add(&t, "%s", cmd_text(link, "bulk", "?"));
        table_add(&t, "%s", has_rtt ? table_ms(cmd_number(link, "rttMs", -1), ms) : "-");
        if (has_heard)
            table_add(&t, "%s ago", table_ms(cmd_number(link, "lastHeardMs", -1), ms));
        else
            table_add(&t, "never");
        table_add(&t, "%s", per_lane(link, "inFlight", text));
        table_add(&t, "%s", per_lane(link, "backlog", text));
        table_add(&t, "%s", table_ms(oldest_ms(link), ms));
        table_add(&t, "%.0f", cmd_number(link, "retransmits", 0));
        table_add(&t, "%s", cmd_text(link, "via", "-"));
    }
    table_print(&t, stdout, 2);
    table_fini(&t);
}

static void
print_trouble(const char *region, const struct link_trouble *t)
{
    if (t->is_found)
        printf("  %s%s%s\n    -> %s\n", region != NULL ? region : "", region != NULL ? ": " : "", t->text, t->advice);
}

/* Below the table: what is wrong with which link, and what to do. */
static void
print_troubles(const json_t *status)
{
    struct link_trouble t;
    const json_t *link;
    size_t i;

    json_array_foreach(json_object_get(status, "links"), i, link) {
        const char *region = cmd_text(link, "region", "?");

        t = link_down(link);
        print_trouble(region, &t);
        t = link_refusals(json_object_get(link, "refused"), region);
        print_trouble(region, &t);
    }
    t = link_refusals(json_object_get(status, "strangers"), NULL);
    print_trouble(NULL, &t);
}

static void
print_ledger(const json_t *ledger)
{
    const char *error = cmd_text(ledger, "lastError", "");
    char bytes[24];

    if (!json_is_true(json_object_get(ledger, "enabled")))
        fputs("none", stdout);
    else
        printf("%s behind", table_bytes(cmd_number(ledger, "lagBytes", 0), bytes));
    if (error[0] != '\0')
        printf(" (%s)", error);
}

/* Nothing while publishes are taken. */
static void
print_refusing(const json_t *publishing)
{
    char time[24];

    if (strcmp(cmd_text(publishing, "state", "taken"), "refused") == 0)
        printf("  REFUSES PUBLISHES, for %s by now (%.0f events): %s\n", table_ms(cmd_number(publishing, "refusedForMs", 0), time),
            cmd_number(publishing, "refusedEvents", 0), cmd_text(publishing, "reason", "?"));
}

static void
print_status(const char *address, const json_t *status)
{
    const json_t *journal = json_object_get(status, "journal");
    const char *failure = cmd_text(journal, "failure", "ok");
    char up[24], bytes[24];

    printf("%s%s  %s  version %s, up %s, %.0f parked subscribers\n", cmd_text(status, "region", "?"),
        json_is_true(json_object_get(status, "primary")) ? " (primary)" : "", address, cmd_text(status, "version", "?"),
        table_ms(cmd_number(status, "uptimeMs", 0), up), cmd_number(status, "subscribers", 0));
    printf("  journal: %s in %.0f segments%s%s; ledger: ", table_bytes(cmd_number(journal, "bytesOnDisk", 0), bytes),
        cmd_number(journal, "segments", 0), strcmp(failure, "ok") != 0 ? ", FAILED: " : "", strcmp(failure, "ok") != 0 ? failure : "");
    print_ledger(json_object_get(status, "ledger"));
    putchar('\n');
    print_refusing(json_object_get(status, "publishing"));
    print_links(json_object_get(status, "links"));
    print_troubles(status);
}

/* Asks each broker once. Returns how many answered. */
static unsigned
show(const struct region_args *a, fanout_client **client, json_t *ret_all, int *worst)
{
    unsigned answered = 0;
    json_t *status;

    for (unsigned i = 0; i < a->common.brokers; i++) {
        int rc = client[i] == NULL ? CMD_UNREACHABLE
            : cmd_call(client[i], a->common.broker[i], json_pack("{s:s}", "op", "status"), a->common.timeout_ms, &status);
        if (rc != CMD_OK) {
            *worst = rc;
            continue;
        }
        answered++;
        if (a->common.is_json)
            json_array_append(ret_all, status);
        else
            print_status(a->common.broker[i], status);
        json_decref(status);
    }
    fflush(stdout);
    return answered;
}

int
cmd_region(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "ls", doc, children, NULL, NULL };
    struct region_args args = { 0 };
    fanout_client *client[CMD_BROKERS_MAX] = { NULL };
    json_t *all = json_array();
    unsigned answered;
    int worst = CMD_OK;

    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0)
        return CMD_USAGE;
    for (unsigned i = 0; i < args.common.brokers; i++) {
        int rc = cmd_connect_to(&args.common, args.common.broker[i], &client[i]);
        if (rc != CMD_OK)
            return rc;
    }
    for (;;) {
        if (args.is_watch && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        answered = show(&args, client, all, &worst);
        if (!args.is_watch || ferror(stdout))
            break;
        sleep(1);
    }
    if (args.common.is_json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    json_decref(all);
    if (answered == args.common.brokers)
        return CMD_OK;
    return answered == 0 ? worst : CMD_FAILED;
}
