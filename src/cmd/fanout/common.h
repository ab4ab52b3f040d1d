/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands that talk to brokers share: options, connecting, times, complaints. */
#pragma once
#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <fanout/fanout.h>

#include "base/names.h"
#include "base/time.h"
#include "cmd/fanout/commands.h"

enum { CMD_BROKERS_MAX = FO_REGIONS_MAX, CMD_TIMEOUT_MS = 5000, CMD_DOOR_BYTES = 512 };

struct fo_config;

struct cmd_common {
    const char *broker[CMD_BROKERS_MAX];
    const char *region[CMD_BROKERS_MAX];    /* of each, where a configuration tells; else null */
    unsigned brokers;
    bool is_default_broker;         /* none was named */
    const char *tls_ca, *tls_cert, *tls_key, *tls_name;
    bool is_json;
    int timeout_ms;
    bool is_default_timeout;        /* none was given */
};

/* The shared options as an argp child; its input is a struct cmd_common, which it fills with defaults first. */
extern const struct argp cmd_common_argp;
#define CMD_COMMON_CHILDREN { { &cmd_common_argp, 0, "Broker and output:", 10 }, { 0 } }

/* The library's options for these addresses, which are borrowed. Complains itself, in the command line's words. Returns an exit code. */
int cmd_options(const struct cmd_common *common, const char *const *addresses, unsigned count, struct fanout_options *ret_options);
/* Opens a client for all brokers given (failover), or for one of them. Complains itself. Returns an exit code. */
int cmd_connect(const struct cmd_common *common, fanout_client **ret_client);
int cmd_connect_to(const struct cmd_common *common, const char *address, fanout_client **ret_client);
/* Prints "fanout: what: last error" and returns the exit code that fits a fanout_err. */
int cmd_complain(const char *what, int err);
int cmd_exit_of(int err);
/* One request (taken over) and its answer, both JSON. Complains itself; an error answer is complained about, too, unless it is wanted. */
int cmd_call(fanout_client *client, const char *what, json_t *take_request, int timeout_ms, json_t **ret_answer);

/* A broker's configuration that a command is given; zeroed before, cmd_config_fini after. */
struct cmd_config {
    struct fo_config *config;
    char door[CMD_DOOR_BYTES];      /* where the broker is asked: listen.door, as cmd_reachable_url has it */
};

/* Loads so many configurations. Adds their brokers to common, and what they say of keys and TLS where the command line says nothing; named
 * ones replace the default broker. What is filled in points into ret_config. Complains itself. */
int cmd_load_configs(const char *const *path, unsigned count, struct cmd_common *common, struct cmd_config *ret_config, const char **keys_dir);
void cmd_config_fini(struct cmd_config *config);
/* Takes authority, certificate and key from a configuration, where the command line names none. */
void cmd_default_tls(struct cmd_common *common, const struct fo_config *config);
/* As a client on the same machine reaches it: an address that stands for every interface is reached on loopback. */
void cmd_reachable_url(const char *url, char ret_url[CMD_DOOR_BYTES]);
/* Whether the broker that answers is the one whose configuration was given: several that listen on every interface are all one from here.
 * expected: the configuration's region, or null. Complains itself. Returns CMD_OK or CMD_USAGE. */
int cmd_expect_region(const char *address, const char *expected, const char *region);

/* "90s", "15m", "1h", "7d" before now, or an RFC 3339 time. False: neither. */
bool cmd_parse_time(const char *text, struct fo_wall now, struct fo_wall *ret_t);
/* "250ms", "5s", "1m"; a bare number is milliseconds. False: not a duration, or beyond an int of milliseconds. */
bool cmd_parse_ms(const char *text, int *ret_ms);
/* A whole number from min to max. */
bool cmd_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_v);
struct fo_wall cmd_now(void);

/* Members of an answer, with what to use when they are absent or of another type. */
const char *cmd_text(const json_t *object, const char *name, const char *otherwise);
double cmd_number(const json_t *object, const char *name, double otherwise);
