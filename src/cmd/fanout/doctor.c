/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout doctor`: looks at everything that a broker needs, and says what to do about what is wrong. */
#include "cmd/fanout/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_CONFIG = 'c' };

static const struct argp_option options[] = {
    { "config", OPT_CONFIG, "FILE", 0, "the broker's configuration", 0 },
    { 0 },
};

static const char doc[] =
    "Check a broker's configuration, keys, data directory, addresses, peers and database, and whether it takes publishes.\n"
    "\v"
    "Works with the broker running or not, and changes nothing. Each line is ok, warn or FAIL, with what to do. Run it on the broker's "
    "machine as the broker's user. The running broker is asked at listen.door, or under the address of -b if that is not "
    "reachable from here; --timeout is how long it has to answer.\n"
    "\n"
    "Examples:\n"
    "  fanout doctor --config /etc/fanout/us-east-1.yaml\n"
    "  fanout doctor -c deploy/us-east-1.yaml --json | jq '.[] | select(.state != \"ok\")'\n"
    "\n"
    "Exit status: 0 nothing failed, 1 something did, 2 usage error.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct doctor *d = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &d->common; return 0;
    case OPT_CONFIG: d->config_path = arg; return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s': no such argument", arg); return 0;
    case ARGP_KEY_END:
        if (d->config_path == NULL)
            argp_error(state, "--config FILE is needed");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

void
doctor_say(struct doctor *d, enum finding finding, const char *check, const char *advice, const char *fmt, ...)
{
    static const char *const state[] = { "ok", "warn", "FAIL" };
    char text[512];
    json_t *line;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->has_failed |= finding == FINDING_FAIL;
    line = json_pack("{s:s, s:s, s:s}", "check", check, "state", state[finding], "text", text);
    if (advice != NULL && finding != FINDING_OK)
        json_object_set_new(line, "advice", json_string(advice));
    json_array_append_new(d->findings, line);
    if (d->common.is_json)
        return;
    printf("%-4s  %-9s  %s\n", state[finding], check, text);
    if (advice != NULL && finding != FINDING_OK)
        printf("                 -> %s\n", advice);
    fflush(stdout);
}

static void
examine(struct doctor *d)
{
    struct fo_fault fault;

    if (fo_config_load(d->config_path, &d->config, &fault) != FO_OK) {
        doctor_say(d, FINDING_FAIL, "config", "correct the file; deploy/*.yaml shows every key", "%s %s", fault.path, fault.text);
        return;
    }
    doctor_say(d, FINDING_OK, "config", NULL, "%s: region %s%s, %u peers", d->config_path, d->config->region,
        d->config->is_primary ? " (primary)" : "", d->config->peers_count);
    doctor_check_keys(d);
    doctor_check_tls(d);
    doctor_check_addresses(d);
    doctor_check_data(d);
    doctor_check_publishing(d);
    doctor_check_peers(d);
    doctor_check_database(d);
}

int
cmd_doctor(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "", doc, children, NULL, NULL };
    struct doctor d = { 0 };

    if (argp_parse(&argp, argc, argv, 0, NULL, &d) != 0)
        return CMD_USAGE;
    if (d.common.brokers > 1) {
        fputs("fanout doctor: -b: one address at most, under which the broker of the configuration is reached\n", stderr);
        return CMD_USAGE;
    }
    d.findings = json_array();
    examine(&d);
    if (d.common.is_json) {
        json_dumpf(d.findings, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(d.findings);
    json_decref(d.status);
    fo_config_destroy(d.config);
    return d.has_failed ? CMD_FAILED : CMD_OK;
}
