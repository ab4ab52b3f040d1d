/* SPDX-License-Identifier: Apache-2.0
 *
 * See common.h. */
#include "cmd/fanout/common.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"
#include "client/tls.h"

enum { OPT_TLS_CA = 0x1000, OPT_TLS_CERT, OPT_TLS_KEY, OPT_TLS_NAME, OPT_JSON, OPT_TIMEOUT };

static const struct argp_option common_options[] = {
    { "broker", 'b', "ADDRESS", 0, "broker's door, as tcp://HOST:PORT, tls+tcp://HOST:PORT or ipc:///PATH; several: nearest first", 0 },
    { "tls-ca", OPT_TLS_CA, "FILE", 0, "authority (PEM) that the broker's certificate must lead to", 0 },
    { "tls-cert", OPT_TLS_CERT, "FILE", 0, "own certificate (PEM)", 0 },
    { "tls-key", OPT_TLS_KEY, "FILE", 0, "its key (PEM), when not in the same file", 0 },
    { "tls-name", OPT_TLS_NAME, "NAME", 0, "DNS name that the broker's certificate must have (default: the address's host)", 0 },
    { "json", OPT_JSON, NULL, 0, "print JSON", 0 },
    { "timeout", OPT_TIMEOUT, "TIME", 0, "patience for an answer, as 500ms, 5s or 1m (default 5s; audit's statements 1m)", 0 },
    { 0 },
};

static void
set_defaults(struct cmd_common *c)
{
    *c = (struct cmd_common){ .timeout_ms = CMD_TIMEOUT_MS, .is_default_timeout = true };
}

static void
choose_broker(struct cmd_common *c)
{
    const char *env = getenv("FANOUT_BROKER");

    c->is_default_broker = c->brokers == 0;
    if (c->brokers == 0)
        c->broker[c->brokers++] = env != NULL && env[0] != '\0' ? env : "tcp://127.0.0.1:7101";
}

static error_t
parse_common(int key, char *arg, struct argp_state *state)
{
    struct cmd_common *c = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        set_defaults(c);
        return 0;
    case 'b':
        if (c->brokers == CMD_BROKERS_MAX)
            argp_error(state, "at most %d brokers", CMD_BROKERS_MAX);
        c->broker[c->brokers++] = arg;
        return 0;
    case OPT_TLS_CA:
        c->tls_ca = arg;
        return 0;
    case OPT_TLS_CERT:
        c->tls_cert = arg;
        return 0;
    case OPT_TLS_KEY:
        c->tls_key = arg;
        return 0;
    case OPT_TLS_NAME:
        c->tls_name = arg;
        return 0;
    case OPT_JSON:
        c->is_json = true;
        return 0;
    case OPT_TIMEOUT:
        if (!cmd_parse_ms(arg, &c->timeout_ms) || c->timeout_ms == 0)
            argp_error(state, "--timeout: '%s' is not a time such as 500ms, 5s or 1m", arg);
        c->is_default_timeout = false;
        return 0;
    case ARGP_KEY_END:
        choose_broker(c);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp cmd_common_argp = { common_options, parse_common, NULL, NULL, NULL, NULL, NULL };

int
cmd_options(const struct cmd_common *c, const char *const *addresses, unsigned count, struct fanout_options *ret_options)
{
    bool has_tls = false;

    for (unsigned i = 0; i < count; i++)
        has_tls |= fo_tls_is_address(addresses[i]);
    if (has_tls && c->tls_ca == NULL) {
        fputs("fanout: a tls+tcp address needs --tls-ca FILE, the certificate authority to trust\n", stderr);
        return CMD_USAGE;
    }
    if (c->tls_key != NULL && c->tls_cert == NULL) {
        fputs("fanout: --tls-key needs --tls-cert FILE, the certificate that it is the key of\n", stderr);
        return CMD_USAGE;
    }
    if (c->tls_name != NULL && (c->tls_name[0] == '\0' || strlen(c->tls_name) > FO_TLS_NAME_BYTES_MAX)) {
        fprintf(stderr, "fanout: --tls-name: a name has 1 to %d bytes\n", FO_TLS_NAME_BYTES_MAX);
        return CMD_USAGE;
    }
    fanout_options_init(ret_options);
    ret_options->addresses = addresses;
    ret_options->address_count = count;
    ret_options->timeout_ms = c->timeout_ms;
    ret_options->tls_ca = c->tls_ca;
    ret_options->tls_cert = c->tls_cert;
    ret_options->tls_key = c->tls_key;
    ret_options->tls_server_name = c->tls_name;
    return CMD_OK;
}

static int
open_client(const struct cmd_common *c, const char *const *addresses, unsigned count, fanout_client **ret_client)
{
    struct fanout_options o;
    int err = cmd_options(c, addresses, count, &o);

    if (err != CMD_OK)
        return err;
    err = fanout_open(&o, ret_client);
    return err == FANOUT_OK ? CMD_OK : cmd_complain(NULL, err);
}

int
cmd_connect(const struct cmd_common *common, fanout_client **ret_client)
{
    return open_client(common, common->broker, common->brokers, ret_client);
}

int
cmd_connect_to(const struct cmd_common *common, const char *address, fanout_client **ret_client)
{
    return open_client(common, &address, 1, ret_client);
}

int
cmd_exit_of(int err)
{
    switch (err) {
    case FANOUT_OK:
        return CMD_OK;
    case FANOUT_ERR_INVALID:
        return CMD_USAGE;
    case FANOUT_ERR_UNREACHABLE:
    case FANOUT_ERR_TIMEOUT:
        return CMD_UNREACHABLE;
    case FANOUT_ERR_PARTIAL:
    case FANOUT_ERR_WAIT:
        return CMD_PARTIAL;
    default:
        return CMD_FAILED;
    }
}

int
cmd_complain(const char *what, int err)
{
    const char *text = fanout_last_error();

    fprintf(stderr, "fanout: %s%s%s\n", what != NULL ? what : "", what != NULL ? ": " : "",
        text[0] != '\0' ? text : fanout_strerror(err));
    return cmd_exit_of(err);
}

int
cmd_call(fanout_client *client, const char *what, json_t *take_request, int timeout_ms, json_t **ret_answer)
{
    char *request = json_dumps(take_request, JSON_COMPACT), *text;
    const json_t *error;
    json_error_t why;
    json_t *answer;
    int err;

    json_decref(take_request);
    if (request == NULL)
        return cmd_complain(what, FANOUT_ERR_NO_MEMORY);
    err = fo_client_call_json(client, request, timeout_ms, &text);
    free(request);
    if (err != FANOUT_OK)
        return cmd_complain(what, err);
    answer = json_loads(text, 0, &why);
    free(text);
    if (answer == NULL) {
        fprintf(stderr, "fanout: %s: the answer is not JSON: %s\n", what, why.text);
        return CMD_FAILED;
    }
    error = json_object_get(answer, "error");
    if (error != NULL) {
        fprintf(stderr, "fanout: %s: %s: %s\n", what, cmd_text(error, "code", "error"), cmd_text(error, "message", ""));
        err = strcmp(cmd_text(error, "code", ""), "not_found") == 0 ? CMD_NOT_FOUND : CMD_FAILED;
        json_decref(answer);
        return err;
    }
    *ret_answer = answer;
    return CMD_OK;
}

struct fo_wall
cmd_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct fo_wall){ (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 };
}

/* A number with a unit behind it. False when the number or the unit is not right, or ms does not fit. */
static bool
parse_span(const char *text, double *ret_ms)
{
    static const struct { const char *unit; double ms; } units[] = {
        { "ms", 1 }, { "s", 1e3 }, { "m", 60e3 }, { "min", 60e3 }, { "h", 3600e3 }, { "d", 86400e3 },
    };
    char *end;
    double v = strtod(text, &end);

    if (end == text || !(v >= 0) || text[0] == ' ' || text[0] == '+')
        return false;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ret_ms = v * units[i].ms;
            return *ret_ms < 1e15;
        }
    }
    return false;
}

bool
cmd_parse_time(const char *text, struct fo_wall now, struct fo_wall *ret_t)
{
    double ms;

    if (fo_wall_parse(text, strlen(text), ret_t) == FO_OK)
        return true;
    if (!parse_span(text, &ms) || (double)now.us - ms * 1000 <= 0)
        return false;
    ret_t->us = now.us - (int64_t)(ms * 1000);
    return true;
}

bool
cmd_parse_ms(const char *text, int *ret_ms)
{
    uint64_t bare;
    double ms;

    if (cmd_parse_number(text, 0, INT_MAX, &bare)) {
        *ret_ms = (int)bare;
        return true;
    }
    if (!parse_span(text, &ms) || ms > INT_MAX)
        return false;
    *ret_ms = (int)ms;
    return true;
}

bool
cmd_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v)
{
    char *end;
    unsigned long long v;

    if (text[0] < '0' || text[0] > '9' || strlen(text) > 18)
        return false;
    v = strtoull(text, &end, 10);
    if (*end != '\0' || v < min || v > max)
        return false;
    *ret_v = v;
    return true;
}

const char *
cmd_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : otherwise;
}

double
cmd_number(const json_t *object, const char *name, double otherwise)
{
    const json_t *v = json_object_get(object, name);

    return json_is_number(v) ? json_number_value(v) : otherwise;
}
