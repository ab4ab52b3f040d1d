/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout sub`: prints events as they come, and keeps its place in a file if asked to. */
#include "cmd/fanout/common.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_TYPE = 0x100, OPT_TENANT, OPT_KEY, OPT_REGION, OPT_FROM, OPT_CURSOR, OPT_CURSOR_FILE, OPT_COUNT, TYPES_MAX = 8 };

struct sub_args {
    struct cmd_common common;
    struct fanout_filter filter;
    const char *type[TYPES_MAX];
    const char *from, *cursor, *cursor_file;
    bool is_cursor_saved;               /* in cursor_file */
    char time[FO_RFC3339_SIZE];
    uint64_t count;                     /* 0: without end */
};

static const struct argp_option options[] = {
    { "type", OPT_TYPE, "TYPE", 0, "only this type; may be given up to 8 times", 0 },
    { "tenant", OPT_TENANT, "NAME", 0, "only this tenant", 0 },
    { "key", OPT_KEY, "KEY", 0, "only this ordering key", 0 },
    { "region", OPT_REGION, "REGION", 0, "only events published in this region", 0 },
    { "from", OPT_FROM, "WHERE", 0, "now (default), earliest, an RFC 3339 time, or 15m, 1h, 2d ago", 0 },
    { "cursor", OPT_CURSOR, "CURSOR", 0, "go on behind this place", 0 },
    { "cursor-file", OPT_CURSOR_FILE, "FILE", 0, "go on where FILE says, if it exists, and save the place there after each event", 0 },
    { "count", OPT_COUNT, "N", 0, "stop after N events", 0 },
    { 0 },
};

static const char doc[] =
    "Print a region's events as they come.\n"
    "\v"
    "Each line shows the time, position, type, tenant/key and payload; with --json, the event in CloudEvents' JSON format. "
    "Several -b: when the first broker is lost the next one goes on, without repeats.\n"
    "\n"
    "Examples:\n"
    "  fanout sub -b tcp://127.0.0.1:7201\n"
    "  fanout sub --type order_status --type store_status --from 1h --json\n"
    "  fanout sub --cursor-file /var/lib/orders/cursor --tenant acme\n"
    "  fanout sub --from earliest --count 1\n"
    "\n"
    "Exit status: 0 N events were printed, 1 failed, or the broker knows no such region, or standard output closed, 2 usage error, or the cursor "
    "or its file is no good, 3 no broker reachable.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static void
parse_from(struct sub_args *a, struct argp_state *state)
{
    struct fo_wall t;

    if (a->cursor != NULL || a->from == NULL || strcmp(a->from, "now") == 0)
        return;
    if (strcmp(a->from, "earliest") == 0) {
        a->filter.from = FANOUT_FROM_EARLIEST;
        return;
    }
    if (!cmd_parse_time(a->from, cmd_now(), &t))
        argp_error(state, "--from: '%s' is not now, earliest, an RFC 3339 time, or an age such as 15m, 1h, 2d", a->from);
    fo_wall_format(t, a->time);
    a->filter.from = FANOUT_FROM_TIME;
    a->filter.time = a->time;
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct sub_args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
    case OPT_TYPE:
        if (a->filter.type_count == TYPES_MAX)
            argp_error(state, "at most %d types", TYPES_MAX);
        a->type[a->filter.type_count++] = arg;
        return 0;
    case OPT_TENANT: a->filter.tenant = arg; return 0;
    case OPT_KEY: a->filter.key = arg; return 0;
    case OPT_REGION: a->filter.region = arg; return 0;
    case OPT_FROM: a->from = arg; return 0;
    case OPT_CURSOR: a->cursor = arg; return 0;
    case OPT_CURSOR_FILE: a->cursor_file = arg; return 0;
    case OPT_COUNT:
        if (!cmd_parse_number(arg, 1, UINT64_MAX, &a->count))
            argp_error(state, "--count: '%s' is not a number from 1", arg);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s': no such argument", arg); return 0;
    case ARGP_KEY_END:
        if (a->cursor != NULL && a->from != NULL)
            argp_error(state, "--cursor and --from exclude each other");
        parse_from(a, state);
        a->filter.types = a->type;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The saved place, to be freed; null in ret_text when there is no file yet. */
static int
load_cursor(const char *path, char **ret_text)
{
    FILE *f = fopen(path, "r");
    size_t room = 0;
    char *text = NULL;
    ssize_t n;

    *ret_text = NULL;
    if (f == NULL && errno == ENOENT)
        return CMD_OK;
    n = f != NULL ? getline(&text, &room, f) : -1;
    if (n <= 0)
        fprintf(stderr, "fanout: sub: %s: %s\n", path, f == NULL || ferror(f) ? strerror(errno) : "is empty; remove it to begin anew");
    if (f != NULL)
        fclose(f);
    if (n <= 0) {
        free(text);
        return CMD_USAGE;
    }
    text[strcspn(text, "\r\n")] = '\0';
    *ret_text = text;
    return CMD_OK;
}

static bool
complain_unwritable(const char *path)
{
    fprintf(stderr, "fanout: sub: %s: cannot be written: %s\n", path, strerror(errno));
    return false;
}

/* The new file that takes the old one's name when it is whole, so that a crash leaves one whole cursor. Complains itself; null: cannot be made. */
static FILE *
open_temp(const char *path, char ret_temp[PATH_MAX])
{
    FILE *f = NULL;

    errno = ENAMETOOLONG;
    if ((size_t)snprintf(ret_temp, PATH_MAX, "%s.new", path) < PATH_MAX)
        f = fopen(ret_temp, "w");
    if (f == NULL)
        complain_unwritable(path);
    return f;
}

/* Asked before the first event is printed: it would come again, for want of a place behind it. */
static bool
can_save_cursor(const char *path)
{
    char temp[PATH_MAX];
    FILE *f = open_temp(path, temp);

    if (f == NULL)
        return false;
    fclose(f);
    unlink(temp);
    return true;
}

static bool
save_cursor(const char *path, const char *cursor)
{
    char temp[PATH_MAX];
    bool is_written;
    FILE *f;

    if (cursor[0] == '\0')
        return true;
    if ((f = open_temp(path, temp)) == NULL)
        return false;
    is_written = fprintf(f, "%s\n", cursor) > 0;
    is_written = fclose(f) == 0 && is_written && rename(temp, path) == 0;
    return is_written || complain_unwritable(path);
}

/* A cursor that is none is the caller's mistake, whether the library or the broker says so, and the file that it came from is to be named. */
static int
complain(const struct sub_args *a, int err)
{
    bool is_about_cursor = a->cursor != NULL && (err == FANOUT_ERR_INVALID || err == FANOUT_ERR_REFUSED) && strstr(fanout_last_error(), "cursor") != NULL;

    if (!is_about_cursor)
        return cmd_complain("sub", err);
    if (a->is_cursor_saved)
        fprintf(stderr, "fanout: sub: %s: %s; remove the file to begin anew\n", a->cursor_file, fanout_last_error());
    else
        fprintf(stderr, "fanout: sub: --cursor: %s\n", fanout_last_error());
    return CMD_USAGE;
}

static bool
print_event(const struct sub_args *a, const fanout_delivery *d)
{
    const char *event, *data;
    char time[FO_RFC3339_SIZE] = "";

    if (a->common.is_json) {
        event = fanout_delivery_event_json(d);
        if (event != NULL)
            puts(event);
    } else {
        fo_wall_format(cmd_now(), time);
        data = fanout_delivery_data_json(d);
        printf("%.12s  %s  %s  %s%s%s  %s\n", time + 11, fanout_delivery_position(d), fanout_delivery_type(d),
            fanout_delivery_tenant(d), fanout_delivery_key(d)[0] != '\0' ? "/" : "", fanout_delivery_key(d), data != NULL ? data : "?");
    }
    return fflush(stdout) == 0;
}

static int
follow(const struct sub_args *a, fanout_subscription *sub)
{
    const fanout_delivery *d;
    bool was_away = false;

    for (uint64_t seen = 0; a->count == 0 || seen < a->count;) {
        int err = fanout_subscription_next(sub, 1000, &d);
        if (err == FANOUT_ERR_TIMEOUT)
            continue;
        if (err == FANOUT_ERR_UNREACHABLE) {
            if (!was_away)
                fprintf(stderr, "fanout: %s; waiting\n", fanout_last_error());
            was_away = true;
            continue;
        }
        if (err == FANOUT_ERR_CURSOR_GONE) {
            fputs("fanout: the place is no longer retained: events may have been missed; going on with the earliest\n", stderr);
            continue;
        }
        if (err != FANOUT_OK)
            return complain(a, err);
        was_away = false;
        seen++;
        if (!print_event(a, d))
            return CMD_FAILED;
        if (a->cursor_file != NULL && !save_cursor(a->cursor_file, fanout_subscription_cursor(sub)))
            return CMD_FAILED;
    }
    return CMD_OK;
}

int
cmd_sub(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "", doc, children, NULL, NULL };
    struct sub_args args = { 0 };
    fanout_subscription *sub;
    fanout_client *client;
    char *saved = NULL;
    int rc, err;

    fanout_filter_init(&args.filter);
    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0)
        return CMD_USAGE;
    if (args.cursor_file != NULL && (rc = load_cursor(args.cursor_file, &saved)) != CMD_OK)
        return rc;
    rc = CMD_USAGE;
    if (args.cursor_file != NULL && !can_save_cursor(args.cursor_file))
        goto cleanup;
    args.is_cursor_saved = saved != NULL;
    if (saved != NULL)
        args.cursor = saved;
    if (args.cursor != NULL) {
        args.filter.from = FANOUT_FROM_CURSOR;
        args.filter.cursor = args.cursor;
    }
    if (args.count > 0 && args.count < args.filter.fetch_max)
        args.filter.fetch_max = (unsigned)args.count;
    rc = cmd_connect(&args.common, &client);
    if (rc == CMD_OK) {
        err = fanout_subscribe(client, &args.filter, &sub);
        rc = err == FANOUT_OK ? follow(&args, sub) : complain(&args, err);
    }
cleanup:
    free(saved);
    return rc;
}
