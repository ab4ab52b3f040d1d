/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout pub` for many events: lines of standard input, or --count alike. They go through an asynchronous
 * publisher; a line that is not right is complained about with its number and the rest goes on. */
#include "cmd/fanout/pub.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cmd/fanout/interrupt.h"

enum { PROGRESS_NS = 200000000, COMPLAINTS_MAX = 20, READ_BYTES = 65536 };

struct stream {
    const struct pub_args *args;
    struct fanout_publisher_options how;
    fanout_publisher *publisher;
    int64_t begun_ns, shown_ns;
    uint64_t sent;
    bool is_tty;
    pthread_mutex_t lock;           /* what the publisher's thread counts */
    pthread_cond_t room;            /* monotonic; signalled when is_waiting and an answer came */
    bool is_waiting;
    uint64_t answered;              /* of `sent` */
    uint64_t accepted, refused, in_doubt, unsent, duplicates, unfulfilled, complaints;
    int worst_err;                  /* of the refused and those in doubt */
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
    bool is_in_doubt = result->err == FANOUT_ERR_TIMEOUT;
    char why[768];

    pthread_mutex_lock(&s->lock);
    s->answered++;
    if (s->is_waiting)
        pthread_cond_signal(&s->room);
    if (result->err == FANOUT_OK) {
        s->accepted++;
        s->duplicates += result->is_duplicate != 0;
        s->unfulfilled += !result->is_success;
    } else if (result->err == FANOUT_ERR_CLOSED) {
        s->unsent++;
    } else {
        *(is_in_doubt ? &s->in_doubt : &s->refused) += 1;
        s->worst_err = result->err;
        snprintf(why, sizeof(why), "%s%s%s%s%s%s%s", result->code, result->path[0] != '\0' ? " at " : "", result->path,
            result->code[0] != '\0' ? ": " : "", result->message, is_in_doubt ? "; its id is " : "", is_in_doubt ? result->event_id : "");
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

/* Waits until the publisher has room, so that sending does not block where an interruption would not be seen. */
static void
wait_for_room(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->sent - s->answered >= s->how.events_max && interrupt_signal() == 0) {
        int64_t until = now_ns() + PROGRESS_NS;
        struct timespec t = { until / 1000000000, until % 1000000000 };
        s->is_waiting = true;
        (void)pthread_cond_timedwait(&s->room, &s->lock, &t);
        s->is_waiting = false;
        pthread_mutex_unlock(&s->lock);
        show_progress(s, false);
        pthread_mutex_lock(&s->lock);
    }
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
    while (now_ns() < due && interrupt_signal() == 0) {
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
    wait_for_room(s);
    if (interrupt_signal() != 0) {
        free(ticket);
        return;
    }
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

struct lines { struct fo_buf bytes; size_t at; bool is_end; };

/* Reads on behind what has not been handed out. False: nothing more, or interrupted. */
static bool
read_more(struct lines *l)
{
    ssize_t n;

    if (l->is_end || !interrupt_wait_readable(STDIN_FILENO))
        return false;
    l->bytes.n -= l->at;
    if (l->bytes.n > 0)
        memmove(l->bytes.p, l->bytes.p + l->at, l->bytes.n);
    l->at = 0;
    if (fo_buf_reserve(&l->bytes, READ_BYTES + 1) != FO_OK) {
        fputs("fanout: pub: out of memory for a line\n", stderr);
        l->bytes.n = 0;
        return false;
    }
    while ((n = read(STDIN_FILENO, l->bytes.p + l->bytes.n, READ_BYTES)) < 0 && errno == EINTR)
        ;
    l->is_end = n <= 0;
    l->bytes.n += n > 0 ? (size_t)n : 0;
    return true;
}

/* The next line, without its end and NUL-terminated; valid until the next call. Null: no more, or interrupted. */
static char *
next_line(struct lines *l, size_t *ret_n)
{
    char *text, *end = NULL;
    size_t n;

    for (;;) {
        text = (char *)l->bytes.p + l->at;
        n = l->bytes.n - l->at;
        end = n > 0 ? memchr(text, '\n', n) : NULL;
        if (end != NULL || !read_more(l))
            break;
    }
    if (interrupt_signal() != 0 || (end == NULL && n == 0))
        return NULL;
    l->at += end != NULL ? (size_t)(end - text) + 1 : n;
    n = end != NULL ? (size_t)(end - text) : n;
    while (n > 0 && text[n - 1] == '\r')
        n--;
    text[n] = '\0';
    *ret_n = n;
    return text;
}

static void
send_lines(struct stream *s)
{
    struct fanout_event event = s->args->event;
    struct lines lines = { 0 };
    char *text;
    size_t n;

    for (uint64_t line = 1; (text = next_line(&lines, &n)) != NULL; line++) {
        if (n == 0)
            continue;
        show_progress(s, false);
        event.data_json = text;
        event.data_json_size = n;
        if (event.type != NULL)
            send_event(s, &event, line);
        else
            send_whole(s, text, line);
    }
    fo_buf_fini(&lines.bytes);
}

static void
send_alike(struct stream *s)
{
    for (uint64_t i = 1; i <= s->args->count && interrupt_signal() == 0; i++) {
        show_progress(s, false);
        send_event(s, &s->args->event, i);
    }
}

/* Waits for the answers that are due; after an interruption only as long as for one answer. */
static void
finish(struct stream *s)
{
    int64_t until = INT64_MAX;

    while (fanout_publisher_flush(s->publisher, PROGRESS_NS / 1000000) == FANOUT_ERR_TIMEOUT && now_ns() < until && !interrupt_is_urgent()) {
        if (interrupt_signal() != 0 && until == INT64_MAX)
            until = now_ns() + (int64_t)s->args->common.timeout_ms * 1000000;
        show_progress(s, false);
    }
    fanout_publisher_close(s->publisher);
    show_progress(s, true);
}

static void
print_verdict(const struct stream *s)
{
    double seconds = (double)(now_ns() - s->begun_ns) / 1e9;

    printf("%s%llu accepted", interrupt_signal() != 0 ? "interrupted: " : "", (unsigned long long)s->accepted);
    if (s->how.is_detailed || s->how.wait != FANOUT_WAIT_ACCEPTED)     /* else the answers do not say */
        printf(" (%llu known already)", (unsigned long long)s->duplicates);
    printf(", %llu refused", (unsigned long long)s->refused);
    if (s->in_doubt > 0)
        printf(", %llu in doubt", (unsigned long long)s->in_doubt);
    if (s->unsent > 0)
        printf(", %llu not sent", (unsigned long long)s->unsent);
    printf(" in %.2f s: %.0f events/s\n", seconds, (double)s->accepted / (seconds > 0 ? seconds : 1));
}

static int
verdict(const struct stream *s)
{
    if (!s->args->common.is_json)
        print_verdict(s);
    if (s->in_doubt > 0)
        fprintf(stderr, "fanout: %llu were sent and not answered: each may have been accepted, and publishing it again with the same id tells\n",
            (unsigned long long)s->in_doubt);
    if (s->unfulfilled > 0 && s->args->has_wait)
        fprintf(stderr, "fanout: %llu were not delivered as far as --wait asks in time\n", (unsigned long long)s->unfulfilled);
    if (interrupt_signal() != 0)
        return CMD_SIGNAL + interrupt_signal();
    if (s->refused + s->in_doubt == 0)
        return s->unfulfilled > 0 && s->args->has_wait ? CMD_PARTIAL : CMD_OK;
    if (s->accepted > 0)
        return CMD_PARTIAL;
    return s->worst_err == FANOUT_ERR_INVALID ? CMD_FAILED : cmd_exit_of(s->worst_err);
}

int
pub_stream(const struct pub_args *args, fanout_client *client)
{
    struct stream s = { .args = args, .is_tty = isatty(STDERR_FILENO) && !args->common.is_json };
    struct fanout_publisher_options *o = &s.how;
    pthread_condattr_t monotonic;
    int err;

    pthread_mutex_init(&s.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s.room, &monotonic);
    fanout_publisher_options_init(o);
    o->is_blocking = 1;
    o->wait = args->has_wait ? args->wait : FANOUT_WAIT_ACCEPTED;
    o->is_detailed = args->common.is_json;
    if (args->is_stdin)
        o->channels = 1;                /* lines keep their order; a line's own key is in its JSON, where the library does not look */
    err = fanout_publisher_open(client, o, &s.publisher);
    if (err != FANOUT_OK)
        return cmd_complain("pub", err);
    interrupt_catch();
    s.begun_ns = now_ns();
    if (args->is_stdin)
        send_lines(&s);
    else
        send_alike(&s);
    finish(&s);
    return verdict(&s);
}
