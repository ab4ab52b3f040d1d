/* SPDX-License-Identifier: Apache-2.0
 *
 * The publisher's thread: sends each channel's first load, settles it by its answer, and repeats what did not get
 * through. Callbacks run here, without the lock. */
#include "client/publisher.h"

#include <stdio.h>
#include <string.h>

#include "client/encode.h"

enum { LOOK_MS = 100, PAUSE_MS_MIN = 20, PAUSE_MS_MAX = 500, PICK_MS = 1000 };

static void
id_of(const struct fo_load *load, const struct fo_ticket *ticket, char *ret_id, size_t room)
{
    struct fo_slice id;

    ret_id[0] = '\0';
    if (fo_encoded_id(fo_slice_of(load->events.p + ticket->at, load->events.n - ticket->at), &id) == FO_OK)
        snprintf(ret_id, room, "%.*s", (int)id.n, (const char *)id.p);
}

static void
tell(const struct fo_load *load, uint32_t i, const struct fanout_result *said)
{
    const struct fo_ticket *ticket = &load->tickets[i];
    struct fanout_result result = *said;
    char id[FO_ID_BYTES_MAX * 2];

    if (ticket->callback == NULL)
        return;
    if (result.event_id[0] == '\0') {
        id_of(load, ticket, id, sizeof(id));
        result.event_id = id;
    }
    ticket->callback(ticket->user, &result);
}

/* The head's events are answered: their room is free. The lock is held. */
static void
retire_head(struct fanout_publisher *p, struct fo_channel *ch)
{
    struct fo_load *load = ch->head;

    ch->state = FO_CHANNEL_IDLE;
    ch->pause_ms = 0;
    ch->head = load->next;
    if (ch->head == NULL)
        ch->tail = NULL;
    p->queued -= load->count;
    load->count = 0;
    load->is_in_doubt = false;
    load->events.n = 0;
    load->next = p->spare;
    p->spare = load;
    pthread_cond_broadcast(&p->room);
}

/* Takes the head's first events out of it, but not all. The lock is held. */
static void
drop_first(struct fanout_publisher *p, struct fo_load *load, uint32_t count)
{
    size_t bytes = load->tickets[count].at;

    load->events.n -= bytes;
    memmove(load->events.p, load->events.p + bytes, load->events.n);
    load->count -= count;
    memmove(load->tickets, load->tickets + count, load->count * sizeof(*load->tickets));
    for (uint32_t i = 0; i < load->count; i++)
        load->tickets[i].at -= bytes;
    p->queued -= count;
    pthread_cond_broadcast(&p->room);
}

/* A result of which no broker has said anything. */
static struct fanout_result
result_of(int err, const char *message)
{
    return (struct fanout_result){ .err = err, .code = "", .path = "", .message = message, .event_id = "", .position = "",
        .total_latency_ms = -1 };
}

/* Gives the head's first events the same result. The lock is held, and released during the callbacks. */
static void
fail_first(struct fanout_publisher *p, struct fo_channel *ch, uint32_t count, const struct fanout_result *why)
{
    struct fo_load *load = ch->head;
    struct fanout_result result = *why;

    if (load->is_in_doubt)
        fo_result_doubt(&result);
    ch->state = FO_CHANNEL_FLYING;      /* nothing is added to it while the lock is away */
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < count; i++)
        tell(load, i, &result);
    pthread_mutex_lock(&p->lock);
    if (count < load->count)
        drop_first(p, load, count);
    else
        retire_head(p, ch);
}

/* Tries the head again later, without the events whose patience ends before. The lock is held. */
static void
try_later(struct fanout_publisher *p, struct fo_channel *ch, int64_t pause_ms, const struct fanout_result *why)
{
    const struct fo_load *load = ch->head;
    int64_t now = fo_conn_now_ms();
    uint32_t late = 0;

    while (late < load->count && now + pause_ms >= load->tickets[late].give_up_at_ms)
        late++;
    if (late == load->count) {
        fail_first(p, ch, late, why);
        return;
    }
    if (late > 0)
        fail_first(p, ch, late, why);
    ch->state = FO_CHANNEL_WAITING;
    ch->retry_at_ms = now + pause_ms;
}

static int64_t
next_pause(struct fo_channel *ch)
{
    ch->pause_ms = ch->pause_ms == 0 ? PAUSE_MS_MIN : ch->pause_ms * 2;
    if (ch->pause_ms > PAUSE_MS_MAX)
        ch->pause_ms = PAUSE_MS_MAX;
    return ch->pause_ms;
}

/* True when the broker took nothing because it is busy, or cannot say yet what it took: the whole load can be repeated in order. */
static bool
is_for_later(const struct fanout_results *r, uint32_t count)
{
    if (r->count < count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (r->at[i].err != FANOUT_ERR_BUSY && r->at[i].err != FANOUT_ERR_TIMEOUT)
            return false;
    }
    return true;
}

static void
tell_all(const struct fo_load *load, const struct fanout_results *r, bool is_brief)
{
    struct fanout_result ok = result_of(FANOUT_OK, "");
    size_t next = 0;

    ok.is_success = 1;
    for (uint32_t i = 0; i < load->count; i++) {
        if (!is_brief)
            tell(load, i, &r->at[i]);
        else if (next < r->count && r->index[next] == i)
            tell(load, i, &r->at[next++]);
        else
            tell(load, i, &ok);
    }
}

/* What the broker did not judge: tried again if that may help. text: why; null: what the error says. The lock is held, and released during
 * the callbacks. */
static void
not_answered(struct fanout_publisher *p, struct fo_channel *ch, enum fo_err err, const char *text)
{
    bool is_later = err == FO_ERR_UNAVAILABLE || err == FO_ERR_TIMEOUT;
    int public_err = is_later ? FANOUT_ERR_UNREACHABLE : fo_public_err(err);    /* unless in doubt */
    struct fanout_result why = result_of(public_err, text != NULL ? text : fanout_strerror(public_err));

    if (is_later)
        try_later(p, ch, next_pause(ch), &why);
    else
        fail_first(p, ch, ch->head->count, &why);
}

/* The channel's call has ended. The lock is held, and released during the callbacks. */
static void
settle(struct fanout_publisher *p, struct fo_channel *ch)
{
    bool is_brief = p->is_brief;
    struct fo_load *load = ch->head;
    struct fanout_results *results = NULL;
    nng_msg *answer = NULL;
    enum fo_err err;

    ch->is_done = false;
    pthread_mutex_unlock(&p->lock);
    err = fo_call_take(&ch->call, &answer);
    if (err == FO_OK)
        err = fo_answer_publish(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), load->count, is_brief, &results);
    if (answer != NULL)
        nng_msg_free(answer);
    bool is_later = err == FO_OK && is_for_later(results, load->count);
    if (err == FO_OK && !is_later)
        tell_all(load, results, is_brief);
    pthread_mutex_lock(&p->lock);

    load->is_in_doubt |= err != FO_OK ? ch->call.was_sent : is_later && results->at[0].err == FANOUT_ERR_TIMEOUT;
    if (is_later) {
        int64_t pause = next_pause(ch);
        unsigned asked = results->at[0].retry_after_ms;
        try_later(p, ch, asked > pause ? asked : pause, &results->at[0]);
    } else if (err == FO_OK) {
        retire_head(p, ch);
    } else {
        not_answered(p, ch, err, NULL);
    }
    fo_results_destroy(results);
}

/* Sends the head. The lock is held, and released while a connection is looked for. */
static void
launch(struct fanout_publisher *p, struct fo_channel *ch)
{
    struct fo_conn *conn = p->client->conn;
    int attempt_ms = fo_conn_attempt_ms(conn, conn->timeout_ms);
    const struct fo_load *load = ch->head;
    char why[FO_CONN_WHY_BYTES];
    struct fo_buf request;
    struct fo_server *server;
    enum fo_err err;

    ch->state = FO_CHANNEL_FLYING;      /* from here on nothing is added to it */
    pthread_mutex_unlock(&p->lock);
    fo_buf_init(&request);
    err = fo_conn_pick(conn, fo_conn_now_ms() + PICK_MS, ch->turn, &server);
    if (err == FO_OK)
        err = fo_encode_publish(fo_buf_slice(&load->events), load->count, p->options.wait, attempt_ms / 10 * 9,
            p->is_brief, &request);
    if (err == FO_OK)
        err = fo_call_start(&ch->call, server, fo_buf_slice(&request), attempt_ms);
    fo_buf_fini(&request);
    if (err == FO_ERR_UNAVAILABLE)
        fo_conn_say_why(conn, why);
    pthread_mutex_lock(&p->lock);
    if (err != FO_OK)
        not_answered(p, ch, err, err == FO_ERR_UNAVAILABLE ? why : NULL);
}

/* One look at a channel; true when something was done. The lock is held. */
static bool
step(struct fanout_publisher *p, struct fo_channel *ch, int64_t now)
{
    struct fo_conn *conn = p->client->conn;
    bool is_lost;

    if (ch->state == FO_CHANNEL_FLYING && ch->is_done) {
        settle(p, ch);
        return true;
    }
    if (ch->state == FO_CHANNEL_FLYING) {
        pthread_mutex_lock(&conn->lock);
        is_lost = fo_conn_is_lost(ch->call.server, now);
        pthread_mutex_unlock(&conn->lock);
        if (is_lost) {
            pthread_mutex_unlock(&p->lock);
            fo_call_cancel(&ch->call);
            pthread_mutex_lock(&p->lock);
        }
        return false;
    }
    if (p->is_stopping || ch->head == NULL || ch->head->count == 0 || (ch->state == FO_CHANNEL_WAITING && now < ch->retry_at_ms))
        return false;
    launch(p, ch);
    return true;
}

/* Sleeps until something happens; looks again soon while anything is under way. The lock is held. */
static void
rest(struct fanout_publisher *p, int64_t now)
{
    int64_t until = INT64_MAX;

    for (unsigned i = 0; i < p->options.channels; i++) {
        const struct fo_channel *ch = &p->channel[i];
        if (ch->state == FO_CHANNEL_FLYING && now + LOOK_MS < until)
            until = now + LOOK_MS;
        if (ch->state == FO_CHANNEL_WAITING && ch->retry_at_ms < until)
            until = ch->retry_at_ms;
    }
    if (until == INT64_MAX) {
        pthread_cond_wait(&p->work, &p->lock);
        return;
    }
    struct timespec t = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    pthread_cond_timedwait(&p->work, &p->lock, &t);
}

static void
close_all(struct fanout_publisher *p)
{
    const struct fanout_result closed = result_of(FANOUT_ERR_CLOSED, "the publisher was closed before it was sent");

    for (unsigned i = 0; i < p->options.channels; i++) {
        struct fo_channel *ch = &p->channel[i];
        pthread_mutex_unlock(&p->lock);
        fo_call_stop(&ch->call);
        pthread_mutex_lock(&p->lock);
        if (ch->state == FO_CHANNEL_FLYING && ch->is_done && ch->call.err == FO_OK)
            settle(p, ch);
        else if (ch->state == FO_CHANNEL_FLYING)
            ch->head->is_in_doubt |= ch->call.was_sent;
        while (ch->head != NULL)
            fail_first(p, ch, ch->head->count, &closed);
    }
}

void *
fo_publisher_run(void *arg)
{
    struct fanout_publisher *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->is_stopping) {
        int64_t now = fo_conn_now_ms();
        bool is_busy = false;
        for (unsigned i = 0; i < p->options.channels; i++)
            is_busy |= step(p, &p->channel[i], now);
        if (!is_busy)
            rest(p, now);
    }
    close_all(p);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
