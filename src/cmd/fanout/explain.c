/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout explain`: collects one event's story from every broker given, checks the proofs, and has it printed. */
#include "cmd/fanout/explain.h"
#include "cmd/fanout/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/keys_file.h"
#include "broker/config.h"

enum { OPT_TENANT = 0x100, OPT_CONFIG, OPT_KEYS, OPT_LEDGER };

struct explain_args {
    struct cmd_common common;
    const char *id, *tenant, *keys_dir, *ledger;
    const char *config_path[CMD_BROKERS_MAX];
    unsigned configs;
};

static const struct argp_option options[] = {
    { "tenant", OPT_TENANT, "NAME", 0, "the event's tenant (default: default)", 0 },
    { "config", OPT_CONFIG, "FILE", 0, "ask the broker of this configuration at its listen.door (on this machine, where that is 0.0.0.0, [::] or *), with its public keys and TLS", 0 },
    { "keys", OPT_KEYS, "DIR", 0, "directory of the regions' public keys (*.pub), to check signatures with", 0 },
    { "ledger", OPT_LEDGER, "CONNINFO", 0, "show the ledger's row, too", 0 },
    { 0 },
};

static const char doc[] =
    "Tell one event's whole story, and prove it.\n"
    "\v"
    "Every broker given is asked; those on other machines are named by address (-b). The batch's signature, the Merkle path from the event to the signed root, and each region's "
    "signed ack are checked here with the public keys given, not by the brokers.\n"
    "\n"
    "Examples:\n"
    "  fanout explain 01931f6a-7c3e-7000-8000-0242ac120002 --keys .local/keys\n"
    "  fanout explain order-123-paid --tenant acme --config us-east-1.yaml -b tls+tcp://broker.us-west-2.example.com:7101\n"
    "  fanout explain order-123-paid --ledger 'host=/run/postgresql dbname=fanout' --json\n"
    "\n"
    "A broker that does not answer stays in the story, as one that did not: what it knows is not told, and nothing follows from its silence.\n"
    "\n"
    "Exit status: 0 found and nothing disproved, 1 a proof failed or the ledger did not answer, 2 usage error, 3 not found, but not every broker "
    "answered, 4 not found, and all that were asked answered.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct explain_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
    case OPT_TENANT: a->tenant = arg; return 0;
    case OPT_KEYS: a->keys_dir = arg; return 0;
    case OPT_LEDGER: a->ledger = ledger_conninfo(state, "--ledger", arg); return 0;
    case OPT_CONFIG:
        if (a->configs == CMD_BROKERS_MAX)
            argp_error(state, "at most %d configurations", CMD_BROKERS_MAX);
        a->config_path[a->configs++] = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (a->id != NULL)
            argp_error(state, "'%s': one EVENT_ID", arg);
        a->id = arg;
        return 0;
    case ARGP_KEY_END:
        if (a->id == NULL)
            argp_error(state, "an EVENT_ID is needed; `fanout pub` prints it");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static int
load_keys(const char *dir, struct fo_key_ring *ring)
{
    struct fo_fault fault;

    if (fo_keys_library_init() == FO_OK && fo_keys_file_load_ring(dir, ring, &fault) == FO_OK)
        return CMD_OK;
    fprintf(stderr, "fanout: %s: %s\n", fault.path, fault.text);
    return CMD_USAGE;
}

/* One broker's answer. A broker that does not answer is complained about, and stays without one. expected: its region as configured, or
 * null. CMD_USAGE: it is another's. */
static int
ask(const struct explain_args *a, struct story *s, const char *address, const char *expected)
{
    struct told *told = &s->told[s->count];
    fanout_client *client;
    json_t *answer;
    int rc = cmd_connect_to(&a->common, address, &client);

    *told = (struct told){ .address = address, .region = expected };
    if (rc == CMD_OK)
        rc = cmd_call(client, address, json_pack("{s:s, s:s, s:s}", "op", "explain", "id", s->id, "tenant", s->tenant),
            a->common.timeout_ms, &answer);
    if (rc == CMD_USAGE)
        return rc;
    s->count++;
    if (rc != CMD_OK)
        return CMD_OK;
    if ((rc = cmd_expect_region(address, expected, cmd_text(answer, "region", ""))) != CMD_OK) {
        json_decref(answer);
        return rc;
    }
    told->answer = answer;
    told->region = cmd_text(answer, "region", expected);
    told->is_found = json_is_true(json_object_get(answer, "found"));
    if (told->is_found)
        proof_check_batch(answer, s->tenant, s->id, s->keys, &told->proof);
    if (told->is_found && strcmp(cmd_text(answer, "role", ""), "source") == 0)
        s->source = told;
    return CMD_OK;
}

static int
ask_ledger(const struct explain_args *a, const struct story *s, json_t **ret_rows)
{
    const char *const params[] = { s->tenant, s->id };
    struct ledger *ledger;
    int rc = ledger_open(a->ledger, &ledger);

    if (rc != CMD_OK)
        return rc;
    rc = ledger_query(ledger, "SELECT * FROM fanout_explain($1, $2)", params, 2, ret_rows);
    if (rc != CMD_OK)
        fprintf(stderr, "fanout: ledger: %s\n", ledger_last_error(ledger));
    ledger_close(ledger);
    return rc;
}

static void
print_not_found(const struct story *s)
{
    unsigned unanswered = explain_unanswered(s);

    if (unanswered > 0)
        fprintf(stderr, "fanout: no broker that answered knows event '%s' of tenant '%s', but %u did not answer and may have it; ask again when "
            "%s up\n", s->id, s->tenant, unanswered, unanswered == 1 ? "it is" : "they are");
    else
        fprintf(stderr, "fanout: no broker asked knows event '%s' of tenant '%s'; it may be another tenant's (--tenant), another "
            "region's (-b), or no longer retained (--ledger)\n", s->id, s->tenant);
}

static int
explain(const struct explain_args *a, struct story *s)
{
    json_t *rows = NULL, *json;
    bool is_found;

    for (unsigned i = 0; i < a->common.brokers; i++) {
        int rc = ask(a, s, a->common.broker[i], a->common.region[i]);

        if (rc != CMD_OK)
            return rc;
    }
    s->has_ledger_failed = a->ledger != NULL && ask_ledger(a, s, &rows) != CMD_OK;
    s->ledger_rows = rows;
    is_found = explain_is_found(s);
    if (a->common.is_json) {
        json = explain_json(s);
        json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(json);
    } else if (is_found) {
        explain_print(s);
    } else {
        print_not_found(s);
    }
    json_decref(rows);
    if (s->has_ledger_failed || explain_has_failed_proof(s))
        return CMD_FAILED;
    if (is_found)
        return CMD_OK;
    return explain_unanswered(s) > 0 ? CMD_UNREACHABLE : CMD_NOT_FOUND;
}

int
cmd_explain(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "EVENT_ID", doc, children, NULL, NULL };
    struct explain_args args = { .tenant = "default" };
    struct cmd_config config[CMD_BROKERS_MAX] = { 0 };
    struct fo_key_ring *ring = calloc(1, sizeof(*ring));
    struct story story = { 0 };
    int rc = CMD_USAGE;

    if (ring == NULL || argp_parse(&argp, argc, argv, 0, NULL, &args) != 0 ||
        (rc = cmd_load_configs(args.config_path, args.configs, &args.common, config, &args.keys_dir)) != CMD_OK)
        goto cleanup;
    if (args.keys_dir != NULL) {
        if ((rc = load_keys(args.keys_dir, ring)) != CMD_OK)
            goto cleanup;
        story.keys = ring;
    }
    story.id = args.id;
    story.tenant = args.tenant;
    rc = explain(&args, &story);
cleanup:
    for (unsigned i = 0; i < story.count; i++)
        json_decref(story.told[i].answer);
    for (unsigned i = 0; i < CMD_BROKERS_MAX; i++)
        cmd_config_fini(&config[i]);
    free(ring);
    return rc;
}
