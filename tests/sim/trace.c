/* SPDX-License-Identifier: Apache-2.0
 *
 * The trace of a schedule. Brokers' log lines are part of it; a line that a healthy program never writes is a failure. */
#include "sim.h"

#include "base/assert.h"
#include "ports/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool trace_expects_failure;

static struct sim *current;             /* of the one that runs: logs and assertions name no world */

static void
mix(struct sim *s, uint64_t v)
{
    s->hash = (s->hash ^ v) * 0x9e3779b97f4a7c15;
    s->hash ^= s->hash >> 29;
}

void
trace_note(struct sim *s, int node, const char *what, uint64_t a, uint64_t b, const char *text)
{
    mix(s, (uint64_t)s->now_ns);
    mix(s, (uint64_t)(node + 1));
    mix(s, fo_crc32c(0, what, strlen(what)));
    mix(s, a);
    mix(s, b);
    if (text != NULL)
        mix(s, fo_crc32c(0, text, strlen(text)));
    current = s;
    if (s->is_printing)
        printf("%12.6f ms  %-10s %-14s %" PRIu64 " %" PRIx64 " %s\n", (double)s->now_ns / 1e6, node < 0 ? "" : region_name((unsigned)node), what, a, b, text ? text : "");
}

const char *
record_type_name(enum fo_record_type type)
{
    static const char *const names[] = { "end", "checkpoint", "own", "received", "ack" };

    return names[type];
}

void
sim_fail(struct sim *s, const char *fmt, ...)
{
    va_list args;

    if (s->failure[0] != '\0')
        return;
    va_start(args, fmt);
    vsnprintf(s->failure, sizeof s->failure, fmt, args);
    va_end(args);
    if (s->is_printing)
        printf("%12.6f ms  FAILURE    %s\n", (double)s->now_ns / 1e6, s->failure);
}

/* Errors that the simulated world provokes; any other line of this level is a defect. */
static bool
is_provoked(const char *event, const char *text)
{
    if (current->plan.is_lossy && (strcmp(event, "received_events_lost") == 0 || strcmp(event, "journal_record_damaged") == 0
        || strcmp(event, "recovery_record_damaged") == 0 || strcmp(event, "events_lost_by_damage") == 0))
        return true;
    if (strcmp(event, "journal_read_failed") == 0)
        return strncmp(text, "error=io ", 9) == 0;
    return strcmp(event, "journal_no_space") == 0 || strcmp(event, "journal_failed") == 0;
}

void
fo_log_write(enum fo_log_level level, const char *event, const struct fo_log_field *fields, unsigned count)
{
    char text[256] = "";
    size_t at = 0;

    if (current == NULL || level == FO_LOG_DEBUG)
        return;
    for (unsigned i = 0; i < count && at < sizeof text; i++) {
        if (fields[i].kind == FO_LOG_STR)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s=%s ", fields[i].key, fields[i].s);
        else
            at += (size_t)snprintf(text + at, sizeof text - at, "%s=%" PRId64 " ", fields[i].key, fields[i].i);
    }
    trace_note(current, -1, event, 0, 0, text);
    if (level == FO_LOG_ERROR && !is_provoked(event, text))
        sim_fail(current, "a broker logs the error %s %s", event, text);
}

/* In place of the library's: an assertion that fails is a finding with a seed. */
_Noreturn void
fo_assert_failed(const char *expr, const char *file, int line)
{
    if (current != NULL) {
        printf("seed %" PRIu64 ": assertion failed at %s:%d: %s\n", current->seed, file, line, expr);
        if (!current->is_printing)
            printf("repeat it with --seed %" PRIu64 " --trace\n", current->seed);
    }
    fflush(stdout);
    _Exit(trace_expects_failure ? 0 : 1);
}
