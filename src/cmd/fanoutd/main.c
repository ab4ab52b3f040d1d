/* SPDX-License-Identifier: Apache-2.0
 *
 * fanoutd: one broker of one region. */
#include "cmd/fanoutd/node.h"
#include "cmd/fanoutd/notify.h"

#include "ports/log.h"

#include <argp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, OPT_CHECK = 256 };

/* One heap for all threads. What NNG's threads receive the loop frees, and the reverse: with a heap for each thread (13 of NNG's) freed memory
 * lies where the next allocation is not made, 10 MiB a broker under load, and is not used again. The lock costs nothing measurable. */
enum { HEAPS = 1 };

/* Freed memory that stays with the process: batches and messages of some 100 KiB come and go all the time, and what went back to the kernel each
 * time is faulted in and zeroed anew, 7 % of all CPU at full rate. Set when the broker stands, so that its tables are mapped by themselves. */
enum { KEPT_BYTES = 4 << 20 };

/* libc reads it, so it must be visible beyond this program. */
__attribute__((visibility("default"))) const char *argp_program_version = "fanoutd " FANOUT_VERSION;

struct args { const char *config; bool is_check; };

static const struct argp_option options[] = {
    { "config", 'c', "FILE", 0, "configuration of this region's broker (YAML)", 0 },
    { "check", OPT_CHECK, NULL, 0, "check the configuration and the schemas that it names, and leave; `fanout doctor` checks keys, certificates and all else", 0 },
    { 0 },
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;

    switch (key) {
    case 'c':
        a->config = arg;
        return 0;
    case OPT_CHECK:
        a->is_check = true;
        return 0;
    case ARGP_KEY_END:
        if (a->config == NULL)
            argp_error(state, "--config FILE is required");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = { options, parse, "",
    "Run one region's fanout broker.\v"
    "Examples:\n"
    "  fanoutd --config /etc/fanout/us-east-1.yaml\n"
    "  fanoutd --check --config deploy/us-east-1.yaml\n\n"
    "Logs are JSON lines on standard error. SIGTERM and SIGINT drain and end with 0. Exit status: 0 drained, 1 failed, 2 usage or configuration.",
    NULL, NULL, NULL };

static void *
wait_for_signal(void *arg)
{
    struct fo_input stop = { .kind = FO_INPUT_STOP };
    sigset_t set;
    int sig;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    for (;;) {
        if (sigwait(&set, &sig) != 0)
            continue;
        fo_log(FO_LOG_INFO, "signal", FO_S("name", sig == SIGTERM ? "SIGTERM" : "SIGINT"));
        if (fo_inbox_post(arg, &stop, true) != FO_OK)
            _exit(EXIT_FAILURE);
    }
    return NULL;
}

/* Before any thread starts, so that each inherits the mask and only the waiter takes the signals. */
static void
block_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* What a restart cannot mend: the service manager is told not to try. */
static bool
is_setting(enum fo_err err)
{
    return err == FO_ERR_CONFIG || err == FO_ERR_PERMISSION || err == FO_ERR_NOT_FOUND || err == FO_ERR_WRONG_KEY || err == FO_ERR_OTHER_REGION
        || err == FO_ERR_SCHEMA || err == FO_ERR_PARSE || err == FO_ERR_INVALID || err == FO_ERR_EXISTS;
}

static int
serve(const struct fo_config *config)
{
    struct fo_node node;
    struct fo_fault fault = { 0 };
    pthread_t waiter;
    enum fo_err err = fo_node_open(&node, config, &fault);

    if (err != FO_OK) {
        fo_log(FO_LOG_ERROR, "start_failed", FO_E(err), FO_S("where", fault.path), FO_S("reason", fault.text));
        fprintf(stderr, "fanoutd: %s: %s: %s\n", fault.path, fo_err_text(err), fault.text);
        return is_setting(err) ? EXIT_USAGE : EXIT_FAILURE;
    }
    if (pthread_create(&waiter, NULL, wait_for_signal, node.inbox) != 0)
        return EXIT_FAILURE;
    fo_log(FO_LOG_INFO, "ready", FO_S("door", config->listen.door), FO_S("link", config->listen.link), FO_S("version", FANOUT_VERSION));
    fo_notify("READY=1");
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    err = fo_node_run(&node);
    fo_node_close(&node);
    fo_log(err == FO_OK ? FO_LOG_INFO : FO_LOG_ERROR, "stopped", FO_E(err));
    return err == FO_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static enum fo_log_level
level_of(const char *name)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };

    for (unsigned i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (enum fo_log_level)i;
    return FO_LOG_INFO;
}

int
main(int argc, char **argv)
{
    struct args args = { 0 };
    struct fo_config *config;
    struct fo_fault fault = { 0 };

    mallopt(M_ARENA_MAX, HEAPS);
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (fo_config_load(args.config, &config, &fault) != FO_OK) {
        fprintf(stderr, "%s: %s\n", fault.path, fault.text);
        return EXIT_USAGE;
    }
    if (args.is_check) {
        printf("%s: configuration of region %s is valid\n", args.config, config->region);
        fo_config_destroy(config);
        return EXIT_SUCCESS;
    }
    fo_log_init(config->region, level_of(config->log.level));
    block_signals();
    /* NNG 1.5.2 may hang when it is closed under traffic: everything of ours is closed by now, the rest is the kernel's. */
    _exit(serve(config));
}
