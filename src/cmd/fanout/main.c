/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout`: the command line for publishers, subscribers and operators. This file only finds the subcommand;
 * each one has its own file. */
#include "cmd/fanout/commands.h"
#include "cmd/fanout/nearest.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FANOUT_VERSION
#error "the build passes FANOUT_VERSION"
#endif

struct command {
    const char *name, *help;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    { "pub", "publish events", cmd_pub },
    { "sub", "print events as they come", cmd_sub },
    { "explain", "one event's whole story, proven", cmd_explain },
    { "report", "success rates and latencies per type and region", cmd_report },
    { "audit", "prove that nothing was lost, doubled or changed", cmd_audit },
    { "region", "regions, and the links between them", cmd_region },
    { "doctor", "check configuration, keys, ports, database and peers", cmd_doctor },
    { "bench", "measure rate and latency, check for loss", cmd_bench },
    { "keys", "make, list, export and check region keys", cmd_keys },
    { "migrate", "bring the primary PostgreSQL to the schema needed", cmd_migrate },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void
print_help(FILE *out)
{
    fputs("Usage: fanout COMMAND [OPTION...]\n\nFans events out to every region, and shows where they are.\n\n", out);
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n  help CMD   what a command does, its options and examples\n"
          "  --version  this program's version\n\n"
          "Exit status: 0 done, 1 failed, 2 usage or configuration error, 3 not reachable, 4 not found,\n"
          "5 some events were refused. It is 1, too, when what was printed could not be written, also to a pipe that\n"
          "its reader has closed.\n\n"
          "Commands that talk to a broker find it by -b ADDRESS, else by the environment variable FANOUT_BROKER,\n"
          "else at tcp://127.0.0.1:7101.\n", out);
}

static int
complain_unknown(const char *word)
{
    const char *names[COMMANDS], *meant;

    for (unsigned i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    meant = nearest_name(word, names, COMMANDS);
    fprintf(stderr, "fanout: no command is called '%s'", word);
    if (meant != NULL)
        fprintf(stderr, "; did you mean '%s'?\n", meant);
    else
        fputs("; `fanout --help` lists them\n", stderr);
    return CMD_USAGE;
}

static int
run_command(int argc, char **argv)
{
    char name[64];

    for (unsigned i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof(name), "fanout %s", commands[i].name);
        argv[0] = name;
        return commands[i].run(argc, argv);
    }
    return complain_unknown(argv[0]);
}

static int
dispatch(int argc, char **argv)
{
    static char help_option[] = "--help";
    char *help_argv[] = { NULL, help_option, NULL };

    if (argc < 2) {
        print_help(stderr);
        return CMD_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts(argp_program_version);
        return CMD_OK;
    }
    bool is_help = strcmp(argv[1], "help") == 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (is_help && argc == 2)) {
        print_help(stdout);
        return CMD_OK;
    }
    if (is_help) {
        help_argv[0] = argv[2];
        return run_command(2, help_argv);
    }
    return run_command(argc - 1, argv + 1);
}

/* What a command prints is its result: a part of it that is lost, perhaps in an earlier flush, makes it fail. */
static bool
is_output_whole(void)
{
    bool was_lost = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == 0 && !was_lost)
        return true;
    fprintf(stderr, "fanout: standard output could not be written%s%s; what was printed is not complete\n", errno != 0 ? ": " : "",
        errno != 0 ? strerror(errno) : "");
    return false;
}

/* For argp, which exits by itself after --help. */
static void
check_output_at_exit(void)
{
    if (!is_output_whole())
        _exit(CMD_FAILED);
}

/* Leaves without running exit handlers: NNG's threads are still at work, and its own teardown can hang. */
int
main(int argc, char **argv)
{
    int rc;

    (void)setenv("ARGP_HELP_FMT", "rmargin=120", 0);   /* examples stay on one line, to be copied */
    argp_program_version = "fanout " FANOUT_VERSION;
    argp_err_exit_status = CMD_USAGE;
    (void)signal(SIGPIPE, SIG_IGN);         /* a reader that has gone is an error of the write, the same for every command */
    (void)atexit(check_output_at_exit);
    rc = dispatch(argc, argv);
    if (!is_output_whole() && rc == CMD_OK)
        rc = CMD_FAILED;
    _exit(rc);
}
