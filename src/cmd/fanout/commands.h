/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands of `fanout`: one file each, one function each, listed in main.c's table.
 *
 * A command parses its own arguments with argp (argv[0] is the whole name, "fanout pub", so that usage texts read
 * right), prints results on standard output and complaints on standard error, and returns one of these: */
#pragma once

enum cmd_exit {
    CMD_OK = 0,
    CMD_FAILED = 1,         /* what was asked for did not succeed */
    CMD_USAGE = 2,          /* arguments or configuration not valid; nothing was done */
    CMD_UNREACHABLE = 3,    /* no broker (or database) answered */
    CMD_NOT_FOUND = 4,      /* the thing named does not exist there */
    CMD_PARTIAL = 5,        /* some events were accepted, some refused */
    CMD_SIGNAL = 128,       /* and the signal's number: ended by it, what was under way is told */
};

int cmd_audit(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_pub(int argc, char **argv);
int cmd_region(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_sub(int argc, char **argv);
