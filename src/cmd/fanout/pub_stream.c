/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout pub` for many events: lines of standard input, or --count alike. They go through an asynchronous
 * publisher; a line that is not right is complained about with its number and the rest goes on. */
#include "cmd/fanout/pub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_NS = 200000000, COMPLAINTS_MAX = 20 };

struct stream {
    const struct pub_args *args;
    fanout_publisher *publisher;
    int64_t begun_ns, shown_ns;
    uint64_t sent;
    bool is_tty;
    pthread_mutex_t lock;           /* what the publisher's thread counts */
    uint64_t accepted, refused, duplicates, unfulfilled, complaints;
    int worst_err;                  /* of the refused */
};

struct ticket { struct stream *stream; uint64_t line; };

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
complain_line(struct stream *s, uint64_t line, const char *text)
{
    if (s->complaints++ < COMPLAINTS_MAX)
        fprintf(stderr, "%sfanout: %s %llu: %s\n", s->is_tty ? "\r\033[K" : "", s->args->is_stdin ? "line" : "event",
            (unsigned long long)line, text);
    else if (s->complaints == COMPLAINTS_MAX + 1)
        fputs("fanout: further refusals are only counted\n", stderr);
}

static void
print_json(const struct fanout_result *result)
{
    json_t *json = pub_result_json(result);

    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(json);
}

static void
answered(void *user, const struct fanout_result *result)
{
    struct ticket *ticket = user;
    struct stream *s = ticket->stream;
    char why[512];

    pthread_mutex_lock(&s->lock);
    if (result->err == FANOUT_OK) {
        s->accepted++;
        s->duplicates += result->is_duplicate != 0;
        s->unfulfilled += !result->is_success;
    } else {
        s->refused++;
        s->worst_err = result->err;
        snprintf(why, sizeof(why), "%s%s%s%s%s", result->code, result->path[0] != '\0' ? " at " : "", result->path,
            result->code[0] != '\0' ? ": " : "", result->message);
        complain_line(s, ticket->line, why);
    }
    if (s->args->common.is_json)
        print_json(result);
    pthread_mutex_unlock(&s->lock);
    free(ticket);
}

static void
show_progress(struct stream *s, bool is_end)
{
    int64_t now = now_ns();
    double seconds = (double)(now - s->begun_ns) / 1e9;

    if (!s->is_tty || (!is_end && now - s->shown_ns < PROGRESS_NS))
        return;
    s->shown_ns = now;
    pthread_mutex_lock(&s->lock);
    if (is_end)
        fputs("\r\033[K", stderr);
    else if (s->args->count > 0)
        fprintf(stderr, "\r\033[K%llu of %llu accepted, %.0f/s", (unsigned long long)s->accepted, (unsigned long long)s->args->count,
            (double)s->accepted / (seconds > 0 ? seconds : 1));
    else
        fprintf(stderr, "\r\033[K%llu accepted, %.0f/s", (unsigned long long)s->accepted, (double)s->accepted / (seconds > 0 ? seconds : 1));
    pthread_mutex_unlock(&s->lock);
}

/* Waits until the next event may go. */
static void
pace(struct stream *s)
{
    int64_t due;

    if (s->args->rate <= 0)
        return;
    due = s->begun_ns + (int64_t)((double)s->sent / s->args->rate * 1e9);
    while (now_ns() < due) {
        int64_t left = due - now_ns(), nap = left < PROGRESS_NS ? left : PROGRESS_NS;
        struct timespec t = { nap / 1000000000, nap % 1000000000 };
        if (nap > 0)
            nanosleep(&t, NULL);
        show_progress(s, false);
    }
}

static void
count_refusal(struct stream *s, uint64_t line, int err, const char *why)
{
    pthread_mutex_lock(&s->lock);
    s->refused++;
    s->worst_err = err;
    complain_line(s, line, why);
    pthread_mutex_unlock(&s->lock);
}

static void
send_event(struct stream *s, const struct fanout_event *event, uint64_t line)
{
    struct ticket *ticket = malloc(sizeof(*ticket));
    int err = FANOUT_ERR_NO_MEMORY;

    pace(s);
    if (ticket != NULL) {
        *ticket = (struct ticket){ s, line };
        err = fanout_publisher_send(s->publisher, event, answered, ticket);
    }
    if (err == FANOUT_OK) {
        s->sent++;
        return;
    }
    free(ticket);
    count_refusal(s, line, err, fanout_last_error());
}

/* A whole event in JSON: type and id go their own way, every other member goes along under its name. */
static void
send_whole(struct stream *s, const char *text, uint64_t line)
{
    struct fanout_event event = s->args->event;
    json_error_t why;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &why), *type, *id;
    char *rest = NULL;

    if (!json_is_object(json)) {
        count_refusal(s, line, FANOUT_ERR_INVALID, json != NULL ? "an event is a JSON object" : why.text);
        json_decref(json);
        return;
    }
    type = json_incref(json_object_get(json, "type"));
    id = json_incref(json_object_get(json, "id"));
    if (id == NULL) {
        id = json_incref(json_object_get(json, "eventId"));
        json_object_del(json, "eventId");
    }
    json_object_del(json, "type");
    json_object_del(json, "id");
    json_object_update_missing(json, s->args->fields);
    rest = json_dumps(json, JSON_COMPACT);
    event.type = json_string_value(type);
    event.id = json_string_value(id);
    event.key = json_object_get(json, "partitionkey") != NULL ? NULL : event.key;
    event.tenant = json_object_get(json, "tenant") != NULL ? NULL : event.tenant;
    event.priority = json_object_get(json, "priority") != NULL ? NULL : event.priority;
    event.target_count = json_object_get(json, "targets") != NULL ? 0 : event.target_count;
    event.extra_json = rest;
    if (event.type == NULL || (id != NULL && event.id == NULL))
        count_refusal(s, line, FANOUT_ERR_INVALID, event.type == NULL ? "type is missing or not text" : "id is not text");
    else
        send_event(s, &event, line);
    free(rest);
    json_decref(type);
    json_decref(id);
    json_decref(json);
}

static void
send_lines(struct stream *s)
{
    struct fanout_event event = s->args->event;
    char *text = NULL;
    size_t room = 0;
    ssize_t n;

    for (uint64_t line = 1; (n = getline(&text, &room, stdin)) >= 0; line++) {
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            text[--n] = '\0';
        if (n == 0)
            continue;
        show_progress(s, false);
        event.data_json = text;
        event.data_json_size = (size_t)n;
        if (event.type != NULL)
            send_event(s, &event, line);
        else
            send_whole(s, text, line);
    }
    free(text);
}

static void
send_alike(struct stream *s)
{
    for (uint64_t i = 1; i <= s->args->count; i++) {
        show_progress(s, false);
        send_event(s, &s->args->event, i);
    }
}

static int
verdict(const struct stream *s)
{
    double seconds = (double)(now_ns() - s->begun_ns) / 1e9;

    if (!s->args->common.is_json)
        printf("%llu accepted (%llu known already), %llu refused in %.2f s: %.0f events/s\n", (unsigned long long)s->accepted,
            (unsigned long long)s->duplicates, (unsigned long long)s->refused, seconds,
            (double)s->accepted / (seconds > 0 ? seconds : 1));
    if (s->unfulfilled > 0 && s->args->has_wait)
        fprintf(stderr, "fanout: %llu were not delivered as far as --wait asks in time\n", (unsigned long long)s->unfulfilled);
    if (s->refused == 0)
        return s->unfulfilled > 0 && s->args->has_wait ? CMD_PARTIAL : CMD_OK;
    if (s->accepted > 0)
        return CMD_PARTIAL;
    return s->worst_err == FANOUT_ERR_INVALID ? CMD_FAILED : cmd_exit_of(s->worst_err);
}

int
pub_stream(const struct pub_args *args, fanout_client *client)
{
    struct stream s = { .args = args, .is_tty = isatty(STDERR_FILENO) && !args->common.is_json };
    struct fanout_publisher_options o;
    int err;

    pthread_mutex_init(&s.lock, NULL);
    fanout_publisher_options_init(&o);
    o.is_blocking = 1;
    o.wait = args->has_wait ? args->wait : FANOUT_WAIT_ACCEPTED;
    o.is_detailed = args->common.is_json;
    if (args->is_stdin)
        o.channels = 1;                 /* lines keep their order; a line's own key is in its JSON, where the library does not look */
    err = fanout_publisher_open(client, &o, &s.publisher);
    if (err != FANOUT_OK)
        return cmd_complain("pub", err);
    s.begun_ns = now_ns();
    if (args->is_stdin)
        send_lines(&s);
    else
        send_alike(&s);
    while (fanout_publisher_flush(s.publisher, 200) == FANOUT_ERR_TIMEOUT)
        show_progress(&s, false);
    show_progress(&s, true);
    return verdict(&s);
}
