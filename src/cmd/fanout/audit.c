/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout audit`: lays the regions' signed statements about their own journals, and the ledger, side by side. */
#include "cmd/fanout/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/keys_file.h"
#include "broker/config.h"
#include "wire/door.h"

enum { OPT_FROM = 0x100, OPT_TO, OPT_CONFIG, OPT_KEYS, OPT_LEDGER, OPT_NO_LEDGER, OPT_NAMES };

struct audit_args {
    struct cmd_common common;
    struct fo_wall from, to;
    const char *keys_dir, *ledger;
    bool has_no_ledger;
    uint64_t names_max;
    const char *config_path[CMD_BROKERS_MAX];
    unsigned configs;
};

static const struct argp_option options[] = {
    { "from", OPT_FROM, "TIME", 0, "events accepted from then on: 15m, 1h, 7d ago, or an RFC 3339 time (default 1h)", 0 },
    { "since", OPT_FROM, NULL, OPTION_ALIAS, NULL, 0 },
    { "to", OPT_TO, "TIME", 0, "and before then (default now)", 0 },
    { "config", OPT_CONFIG, "FILE", 0, "ask the broker of this configuration at its listen.door (on this machine, where that is 0.0.0.0, [::] or *), with its public keys, TLS and ledger", 1 },
    { "keys", OPT_KEYS, "DIR", 0, "directory of the regions' public keys (*.pub), to check the statements with", 1 },
    { "ledger", OPT_LEDGER, "CONNINFO", 0, "compare the ledger in PostgreSQL, too", 1 },
    { "no-ledger", OPT_NO_LEDGER, NULL, 0, "leave out the ledger that the configurations name", 1 },
    { "names", OPT_NAMES, "N", 0, "name at most so many events that are not as they should be (default 20); all are counted", 1 },
    { 0 },
};

static const char doc[] =
    "Prove that no accepted event was lost, doubled or changed on its way, or name those that were.\n"
    "\v"
    "Every region answers for its own journal, with its signature. Per source, target and lane the source's accepted events are delivered, dead "
    "(incompatible or refused), expired or pending; what the target holds must be the same events, byte for byte, by count and by a digest over all of "
    "them in order. In the ledger every event must have exactly one row, with the same outcome. What is only on its way is pending, not drift. "
    "On a difference the events are listed by both sides and named.\n"
    "\n"
    "Name every region's broker: events to or from others are not compared, and the audit says so. Brokers on other machines are named by address "
    "(-b); one configuration suffices for keys, TLS and the ledger.\n"
    "\n"
    "With --json, \"drift\" counts differences. \"complete\" is true when every region answered, for all of the time, and whatever is not pending was "
    "compared. \"proven\" is true when the audit is complete, without drift, and every statement's signature was verified with the keys given (--keys "
    "or --config); what \"pending\" counts is still on its way, and not part of that. \"compared\" "
    "counts deliveries. \"believed\" is false when a statement could not be had or believed.\n"
    "\n"
    "Examples:\n"
    "  fanout audit --config /etc/fanout/us-east-1.yaml -b tls+tcp://broker.us-west-2.example.com:7101 -b tls+tcp://broker.eu-west-1.example.com:7101\n"
    "  fanout audit -b tcp://127.0.0.1:7101 -b tcp://127.0.0.1:7201 -b tcp://127.0.0.1:7301 --keys .local/keys --since 24h\n"
    "  fanout audit --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --ledger 'host=/run/postgresql dbname=fanout' --json\n"
    "\n"
    "Exit status: 0 zero drift in what was compared (proven or not, see above), 1 drift, or a statement that cannot be believed, or nothing could be "
    "compared, 2 usage error, 3 a broker or the ledger is not reachable (what was reached has no drift).";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static void
parse_time(struct argp_state *state, const char *arg, struct fo_wall *ret_t)
{
    if (!cmd_parse_time(arg, cmd_now(), ret_t))
        argp_error(state, "'%s' is neither an RFC 3339 time nor an age such as 15m, 1h, 7d", arg);
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct audit_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        a->to = cmd_now();
        a->from.us = a->to.us - INT64_C(3600000000);
        return 0;
    case OPT_FROM: parse_time(state, arg, &a->from); return 0;
    case OPT_TO: parse_time(state, arg, &a->to); return 0;
    case OPT_KEYS: a->keys_dir = arg; return 0;
    case OPT_LEDGER: a->ledger = ledger_conninfo(state, "--ledger", arg); return 0;
    case OPT_NO_LEDGER: a->has_no_ledger = true; return 0;
    case OPT_NAMES:
        if (!cmd_parse_number(arg, 0, 1000000, &a->names_max))
            argp_error(state, "--names: '%s' is not a number from 0 to 1000000", arg);
        return 0;
    case OPT_CONFIG:
        if (a->configs == CMD_BROKERS_MAX)
            argp_error(state, "at most %d configurations", CMD_BROKERS_MAX);
        a->config_path[a->configs++] = arg;
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s': no such argument", arg); return 0;
    case ARGP_KEY_END:
        if (a->from.us >= a->to.us)
            argp_error(state, "--to must be after --from");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int
load_configs(struct audit_args *a, struct cmd_config *config)
{
    int rc = cmd_load_configs(a->config_path, a->configs, &a->common, config, &a->keys_dir);

    for (unsigned i = 0; rc == CMD_OK && i < a->configs; i++) {
        if (a->ledger == NULL && !a->has_no_ledger && config[i].config->ledger.is_enabled)
            a->ledger = config[i].config->ledger.conninfo;
    }
    return rc;
}

void
audit_note(struct audit *a, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_array_append_new(a->notes, json_string(text));
}

struct audit_region *
audit_find(struct audit *a, const char *name)
{
    for (unsigned i = 0; i < a->region_count; i++)
        if (strcmp(a->region[i].name, name) == 0)
            return &a->region[i];
    return NULL;
}

void
audit_name(struct audit *a, const char *kind, const char *source, const char *where, enum fo_lane lane, struct fo_mark at,
    const json_t *event, const char *text)
{
    char position[FO_POSITION_SIZE];

    a->drift++;
    if (json_array_size(a->events) >= a->names_max)
        return;
    fo_position_format(source, (struct fo_position){ at.epoch, at.seq, lane }, position);
    json_array_append_new(a->events, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", kind, "where", where, "source", source,
        "position", position, "id", cmd_text(event, "id", cmd_text(event, "event_id", "")), "tenant", cmd_text(event, "tenant", ""), "text", text));
}

void
audit_progress(const char *doing, const char *what)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s%s%s", doing != NULL ? doing : "", doing != NULL ? " " : "", doing != NULL ? what : "");
}

/* Finds out whose broker it is. expected: what the configuration says, or null. CMD_USAGE: it is another's. */
static int
meet(struct audit *a, struct audit_region *r, const char *expected)
{
    const struct audit_region *other;
    json_t *answer = NULL;
    int rc = cmd_connect_to(a->common, r->address, &r->client);

    r->json = json_pack("{s:s, s:b}", "address", r->address, "reachable", 0);
    json_array_append_new(a->regions, r->json);
    if (expected != NULL)
        json_object_set_new(r->json, "region", json_string(expected));
    if (rc == CMD_OK)
        rc = cmd_call(r->client, r->address, json_pack("{s:s}", "op", "ping"), a->common->timeout_ms, &answer);
    if (rc != CMD_OK) {
        r->client = NULL;
        a->is_partial = true;
        audit_note(a, "no broker answered at %s: what %s accepted was not audited", r->address, expected != NULL ? expected : "its region");
        return CMD_OK;
    }
    if ((rc = cmd_expect_region(r->address, expected, cmd_text(answer, "region", ""))) != CMD_OK) {
        json_decref(answer);
        return rc;
    }
    other = audit_find(a, cmd_text(answer, "region", ""));
    if (other == NULL) {
        snprintf(r->name, sizeof(r->name), "%s", cmd_text(answer, "region", ""));
    } else {
        r->client = NULL;
        audit_note(a, "%s is named twice: %s answers for it, and %s was not asked", other->name, other->address, r->address);
    }
    json_object_set_new(r->json, "region", json_string(cmd_text(answer, "region", "")));
    json_object_set_new(r->json, "reachable", json_true());
    json_object_set_new(r->json, "signature", json_string("not checked"));
    json_decref(answer);
    return CMD_OK;
}

static int
meet_all(struct audit *a)
{
    int rc = CMD_OK;

    for (unsigned i = 0; rc == CMD_OK && i < a->common->brokers; i++) {
        a->region[a->region_count].address = a->common->broker[i];
        rc = meet(a, &a->region[a->region_count++], a->common->region[i]);
    }
    return rc;
}

static void
audit(struct audit *a)
{
    if (a->conninfo != NULL)
        audit_ledger_begin(a);
    for (unsigned i = 0; i < a->region_count; i++) {
        struct audit_region *r = &a->region[i];
        if (r->client != NULL)
            r->own = audit_ask(a, r, &(struct audit_asked){ .ledger = audit_ledger_mark(a, r->name) });
    }
    audit_flows(a);
    if (a->ledger != NULL)
        audit_ledger(a);
    audit_progress(NULL, NULL);
    if (a->keys == NULL)
        audit_note(a, "no signature was checked: give --keys DIR or --config FILE");
}

static bool
is_listed(const struct audit *a, const char *region)
{
    const json_t *listed;
    size_t i;

    json_array_foreach(a->regions, i, listed)
        if (strcmp(cmd_text(listed, "region", ""), region) == 0)
            return true;
    return false;
}

/* Whether every region that the statements know has made one for this audit, too. */
static bool
has_everybody(struct audit *a)
{
    bool has_all = true, has_any = false;
    json_t *missing = json_object();
    const char *name;
    json_t *nothing;

    for (unsigned i = 0; i < a->region_count; i++) {
        const struct fo_audit_statement *s = a->region[i].own;

        has_any |= s != NULL;
        for (unsigned k = 0; s != NULL && k < s->flow_count; k += FO_LANES) {
            const struct audit_region *other = audit_find(a, s->flow[k].region);

            has_all &= other != NULL && other->own != NULL;
            if (!is_listed(a, s->flow[k].region))
                json_object_set_new(missing, s->flow[k].region, json_null());
        }
    }
    json_object_foreach(missing, name, nothing)
        audit_note(a, "%s was not named (-b, --config), or did not answer: what it accepted was not audited", name);
    json_decref(missing);
    return has_all && has_any;
}

static json_t *
result_of(struct audit *a)
{
    bool is_complete = has_everybody(a) && !a->is_partial && !a->has_failed && !a->is_cut;
    bool is_proven;
    uint64_t compared = 0;
    const json_t *flow;
    size_t i;

    json_array_foreach(a->flows, i, flow)
        if (json_object_get(flow, "received") != NULL)
            compared += (uint64_t)cmd_number(flow, "received", 0);
        else
            is_complete = false;
    is_proven = is_complete && a->keys != NULL && a->drift == 0;
    return json_pack("{s:s, s:s, s:I, s:b, s:b, s:I, s:b, s:I, s:O, s:O, s:O, s:O, s:O}", "from", a->from_text, "to", a->to_text, "drift",
        (json_int_t)a->drift, "proven", is_proven, "believed", !a->has_failed, "pending", (json_int_t)a->pending, "complete", is_complete,
        "compared", (json_int_t)compared, "regions", a->regions, "flows", a->flows, "ledger", a->rows, "events", a->events, "notes", a->notes);
}

static int
run(struct audit *a)
{
    bool is_something;
    json_t *result;
    int rc;

    a->regions = json_array(), a->flows = json_array(), a->rows = json_array(), a->events = json_array(), a->notes = json_array();
    fo_wall_format(a->from, a->from_text);
    fo_wall_format(a->to, a->to_text);
    if ((rc = meet_all(a)) != CMD_OK)
        goto cleanup;
    audit(a);
    result = result_of(a);
    if (a->common->is_json) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        audit_print(result);
    }
    is_something = json_is_true(json_object_get(result, "complete")) || cmd_number(result, "compared", 0) + audit_rows_compared(result) > 0;
    json_decref(result);
    rc = a->drift > 0 || a->has_failed ? CMD_FAILED : a->is_partial ? CMD_UNREACHABLE : is_something ? CMD_OK : CMD_FAILED;
cleanup:
    json_decref(a->regions), json_decref(a->flows), json_decref(a->rows), json_decref(a->events), json_decref(a->notes);
    for (unsigned i = 0; i < a->region_count; i++)
        free(a->region[i].own);
    return rc;
}

int
cmd_audit(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "", doc, children, NULL, NULL };
    struct audit_args args = { .names_max = 20 };
    struct cmd_config config[CMD_BROKERS_MAX] = { 0 };
    struct fo_key_ring *ring = calloc(1, sizeof(*ring));
    struct audit a = { .common = &args.common };
    struct fo_fault fault;
    int rc = CMD_USAGE;

    if (ring == NULL || argp_parse(&argp, argc, argv, 0, NULL, &args) != 0 || (rc = load_configs(&args, config)) != CMD_OK)
        goto cleanup;
    if (fo_keys_library_init() != FO_OK || (args.keys_dir != NULL && fo_keys_file_load_ring(args.keys_dir, ring, &fault) != FO_OK)) {
        fprintf(stderr, "fanout: %s: %s\n", fault.path, fault.text);
        rc = CMD_USAGE;
        goto cleanup;
    }
    a.keys = args.keys_dir != NULL ? ring : NULL;
    a.from = args.from;
    a.to = args.to;
    a.names_max = args.names_max;
    a.timeout_ms = args.common.is_default_timeout ? AUDIT_TIMEOUT_MS : args.common.timeout_ms;
    a.conninfo = args.ledger;
    rc = run(&a);
    ledger_close(a.ledger);
cleanup:
    for (unsigned i = 0; i < CMD_BROKERS_MAX; i++)
        cmd_config_fini(&config[i]);
    free(ring);
    return rc;
}
