/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout pub`: publishes one event from the arguments; pub_stream.c publishes many. */
#include "cmd/fanout/pub.h"
#include "cmd/fanout/table.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_ID = 0x100, OPT_TENANT, OPT_KEY, OPT_PRIORITY, OPT_TARGET, OPT_WAIT, OPT_FIELD, OPT_COUNT, OPT_RATE, OPT_SOURCE,
    OPT_SUBJECT, OPT_EXPIRY };

static const struct argp_option options[] = {
    { "id", OPT_ID, "ID", 0, "event id (default: a new UUIDv7); the same id again is answered, not sent again", 0 },
    { "tenant", OPT_TENANT, "NAME", 0, "tenant (default: default)", 0 },
    { "key", OPT_KEY, "KEY", 0, "ordering key: events with the same one stay in order", 0 },
    { "priority", OPT_PRIORITY, "LANE", 0, "high, normal or low (default: the type's own)", 0 },
    { "target", OPT_TARGET, "REGION", 0, "send only there; may be given several times (default: all regions)", 0 },
    { "source", OPT_SOURCE, "URI", 0, "CloudEvents source", 0 },
    { "subject", OPT_SUBJECT, "TEXT", 0, "CloudEvents subject", 0 },
    { "expires", OPT_EXPIRY, "TIME", 0, "RFC 3339 time after which it is not delivered", 0 },
    { "field", OPT_FIELD, "NAME=VALUE", 0, "another attribute, carried on as it is; a JSON value or else text; may be repeated", 0 },
    { "wait", OPT_WAIT, "WHAT", 0, "accepted, a number of regions, or all. Exit status 5 when not fulfilled in time. "
        "Default: one event waits for all but does not mind, many wait for accepted", 0 },
    { "count", OPT_COUNT, "N", 0, "publish N events alike, each with its own id", 0 },
    { "rate", OPT_RATE, "R", 0, "at most R events a second", 0 },
    { 0 },
};

static const char doc[] =
    "Publish events to a region's broker.\n"
    "\v"
    "DATA is the payload as JSON. With - in its place, standard input is read: one payload a line when TYPE is given, "
    "else one whole event a line, as {\"type\": ..., \"data\": ...}.\n"
    "\n"
    "Examples:\n"
    "  fanout pub order_status '{\"order_id\":123,\"status\":\"preparing\",\"previous_status\":\"pending\"}'\n"
    "  fanout pub order_status '{\"order_id\":123,\"status\":\"ready\"}' --key order-123 --wait all --json\n"
    "  fanout pub custom '{}' --count 10000 --rate 1000\n"
    "  fanout pub -b tcp://127.0.0.1:7101 -b tcp://127.0.0.1:7201 - < events.jsonl\n"
    "\n"
    "Exit status: 0 accepted, 1 refused, 2 usage error, 3 no broker reachable, or none that answered (the event may have been "
    "accepted; publishing it again with the same --id tells), 5 accepted but not wholly (some events refused or in doubt, or --wait not "
    "fulfilled), 128 and the signal's number when interrupted (130 by Ctrl-C: many events end with a verdict on those that were sent; "
    "press it twice to wait no longer for answers).";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static void
parse_wait(struct pub_args *a, const char *arg, struct argp_state *state)
{
    uint64_t regions;

    a->has_wait = true;
    if (strcmp(arg, "accepted") == 0)
        a->wait = FANOUT_WAIT_ACCEPTED;
    else if (strcmp(arg, "all") == 0)
        a->wait = FANOUT_WAIT_ALL;
    else if (cmd_parse_number(arg, 0, 64, &regions))
        a->wait = (int)regions;
    else
        argp_error(state, "--wait: '%s' is not accepted, all, or a number of regions up to 64", arg);
}

static void
parse_field(struct pub_args *a, const char *arg, struct argp_state *state)
{
    const char *equals = strchr(arg, '=');
    char *name;
    json_t *value;

    if (equals == NULL || equals == arg)
        argp_error(state, "--field: '%s' is not NAME=VALUE", arg);
    if (a->fields == NULL)
        a->fields = json_object();
    name = strndup(arg, (size_t)(equals - arg));
    value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL)
        value = json_string(equals + 1);
    if (name == NULL || value == NULL || json_object_set_new(a->fields, name, value) != 0)
        argp_error(state, "--field: '%s' is not valid UTF-8", arg);
    free(name);
}

static void
parse_number_option(struct pub_args *a, int key, const char *arg, struct argp_state *state)
{
    char *end;

    if (key == OPT_COUNT) {
        if (!cmd_parse_number(arg, 1, 1000000000, &a->count))
            argp_error(state, "--count: '%s' is not a number from 1 to 1000000000", arg);
        return;
    }
    a->rate = strtod(arg, &end);
    if (*end != '\0' || !(a->rate > 0 && a->rate <= 1e7))
        argp_error(state, "--rate: '%s' is not a number of events a second", arg);
}

static void
parse_positional(struct pub_args *a, char *arg, struct argp_state *state)
{
    if (strcmp(arg, "-") == 0 && !a->is_stdin && a->event.data_json == NULL)
        a->is_stdin = true;
    else if (a->event.type == NULL && !a->is_stdin)
        a->event.type = arg;
    else if (a->event.data_json == NULL && !a->is_stdin)
        a->event.data_json = arg;
    else
        argp_error(state, "'%s': one TYPE and one DATA; put '...' around JSON", arg);
}

static void
check_args(struct pub_args *a, struct argp_state *state)
{
    if (a->event.type == NULL && !a->is_stdin)
        argp_error(state, "a TYPE is needed, such as order_status, or - for standard input");
    if (a->is_stdin && a->count > 0)
        argp_error(state, "--count does not go with standard input");
    if (a->event.id != NULL && (a->is_stdin || a->count > 1))
        argp_error(state, "--id names one event");
    a->event.targets = a->target;
    if (a->fields != NULL)
        a->event.extra_json = a->fields_text = json_dumps(a->fields, JSON_COMPACT);
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct pub_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
    case OPT_ID: a->event.id = arg; return 0;
    case OPT_TENANT: a->event.tenant = arg; return 0;
    case OPT_KEY: a->event.key = arg; return 0;
    case OPT_PRIORITY: a->event.priority = arg; return 0;
    case OPT_SOURCE: a->event.source = arg; return 0;
    case OPT_SUBJECT: a->event.subject = arg; return 0;
    case OPT_EXPIRY: a->event.expirytime = arg; return 0;
    case OPT_TARGET:
        if (a->event.target_count == PUB_TARGETS_MAX)
            argp_error(state, "at most %d targets", PUB_TARGETS_MAX);
        a->target[a->event.target_count++] = arg;
        return 0;
    case OPT_WAIT: parse_wait(a, arg, state); return 0;
    case OPT_FIELD: parse_field(a, arg, state); return 0;
    case OPT_COUNT:
    case OPT_RATE: parse_number_option(a, key, arg, state); return 0;
    case ARGP_KEY_ARG: parse_positional(a, arg, state); return 0;
    case ARGP_KEY_END: check_args(a, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static json_t *
region_json(const struct fanout_region_result *r)
{
    json_t *json = json_pack("{s:s, s:b, s:s}", "region", r->region, "success", r->is_success, "state", r->state);

    if (r->latency_ms >= 0)
        json_object_set_new(json, "latencyMs", json_real(r->latency_ms));
    json_object_set_new(json, "attempts", json_integer(r->attempts));
    return json;
}

json_t *
pub_result_json(const struct fanout_result *result)
{
    json_t *json, *error, *deliveries = json_array();

    if (result->err != FANOUT_OK) {
        json_decref(deliveries);
        error = json_pack("{s:s, s:s}", "code", result->code[0] != '\0' ? result->code : fanout_strerror(result->err), "message",
            result->message);
        if (result->path[0] != '\0')
            json_object_set_new(error, "path", json_string(result->path));
        if (result->retry_after_ms > 0)
            json_object_set_new(error, "retryAfterMs", json_integer(result->retry_after_ms));
        return json_pack("{s:b, s:s, s:o}", "success", 0, "eventId", result->event_id, "error", error);
    }
    json = json_pack("{s:b, s:s, s:s, s:b}", "success", result->is_success, "eventId", result->event_id, "position", result->position,
        "duplicate", result->is_duplicate);
    for (size_t i = 0; i < result->region_count; i++)
        json_array_append_new(deliveries, region_json(&result->regions[i]));
    json_object_set_new(json, "deliveries", deliveries);
    if (result->total_latency_ms >= 0)
        json_object_set_new(json, "totalLatencyMs", json_real(result->total_latency_ms));
    return json;
}

static void
print_result(const struct fanout_result *r)
{
    static const char *const header[] = { "REGION", "STATE", ">LATENCY", ">ATTEMPTS" };
    struct table t;
    char ms[24];

    printf("%s %s at %s\n", r->is_duplicate ? "known already:" : "accepted", r->event_id, r->position);
    if (r->region_count == 0)
        return;
    table_init(&t, header, 4);
    for (size_t i = 0; i < r->region_count; i++) {
        const struct fanout_region_result *d = &r->regions[i];
        table_add(&t, "%s", d->region);
        table_add(&t, "%s", d->state);
        table_add(&t, "%s", table_ms(d->latency_ms, ms));
        table_add(&t, "%u", d->attempts);
    }
    table_print(&t, stdout, 2);
    table_fini(&t);
}

static int
pub_one(const struct pub_args *a, fanout_client *client)
{
    fanout_results *results;
    int err = fanout_publish(client, &a->event, a->has_wait ? a->wait : FANOUT_WAIT_ALL, &results);
    const struct fanout_result *r = results != NULL ? fanout_results_at(results, 0) : NULL;
    int rc;

    if (r != NULL && a->common.is_json) {
        json_t *json = pub_result_json(r);
        json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(json);
    } else if (r != NULL && r->err == FANOUT_OK) {
        print_result(r);
    }
    fflush(stdout);
    if (err == FANOUT_OK || (err == FANOUT_ERR_WAIT && !a->has_wait))
        rc = CMD_OK;
    else
        rc = cmd_complain("pub", err);
    if (err == FANOUT_ERR_TIMEOUT && r != NULL)
        fprintf(stderr, "fanout: pub: its id is %s\n", r->event_id);
    fanout_results_free(results);
    return rc;
}

int
cmd_pub(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "TYPE [DATA]\nTYPE -\n-", doc, children, NULL, NULL };
    struct pub_args args = { 0 };
    fanout_client *client;
    int rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0)
        return CMD_USAGE;
    rc = cmd_connect(&args.common, &client);
    if (rc == CMD_OK)
        rc = args.is_stdin || args.count > 0 ? pub_stream(&args, client) : pub_one(&args, client);
    json_decref(args.fields);
    free(args.fields_text);
    return rc;
}
