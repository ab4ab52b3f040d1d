/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to an asynchronous publisher: gathering. A load grows while the one before it is in flight, so requests
 * are small when little is sent and large when much is, without a fixed wait. */
#include "client/publisher.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "client/encode.h"
#include "wire/door.h"

FANOUT_API void
fanout_publisher_options_init(struct fanout_publisher_options *options)
{
    *options = (struct fanout_publisher_options){ .channels = 4, .events_max = 16384, .request_events_max = 512,
        .request_bytes_max = 1 << 20, .timeout_ms = 30000 };
}

static void
call_ended(void *user)
{
    struct fo_channel *ch = user;
    struct fanout_publisher *p = ch->publisher;

    pthread_mutex_lock(&p->lock);
    ch->is_done = true;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void
load_destroy(struct fo_load *load)
{
    fo_buf_fini(&load->events);
    free(load->tickets);
    free(load);
}

static void
publisher_destroy(struct fanout_publisher *p)
{
    for (unsigned i = 0; i < p->options.channels; i++)
        fo_call_fini(&p->channel[i].call);
    while (p->spare != NULL) {
        struct fo_load *load = p->spare;
        p->spare = load->next;
        load_destroy(load);
    }
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->room);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int
check_options(const struct fanout_publisher_options *o)
{
    const struct { const char *name; int64_t value, min, max; } range[] = {
        { "channels", o->channels, 1, FO_CHANNELS_MAX },
        { "events_max", o->events_max, 1, UINT_MAX },
        { "request_events_max", o->request_events_max, 1, FO_REQUEST_EVENTS_MAX },
        { "request_bytes_max", o->request_bytes_max, 1024, UINT_MAX },
        { "wait", o->wait, FANOUT_WAIT_ALL, FO_REGIONS_MAX },
        { "timeout_ms", o->timeout_ms, 1, INT_MAX },
    };

    for (unsigned i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
        if (range[i].value < range[i].min || range[i].value > range[i].max)
            return fo_fail(FANOUT_ERR_INVALID, "publisher option %s is %lld; it must be from %lld to %lld", range[i].name,
                (long long)range[i].value, (long long)range[i].min, (long long)range[i].max);
    }
    return FANOUT_OK;
}

FANOUT_API int
fanout_publisher_open(fanout_client *client, const struct fanout_publisher_options *options, fanout_publisher **ret_publisher)
{
    struct fanout_publisher_options defaults;
    struct fanout_publisher *p;
    pthread_condattr_t monotonic;
    enum fo_err err = FO_OK;
    int rc;

    fanout_publisher_options_init(&defaults);
    if (options == NULL)
        options = &defaults;
    if ((rc = check_options(options)) != FANOUT_OK)
        return rc;
    if ((p = calloc(1, sizeof(*p))) == NULL)
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    p->client = client;
    p->options = *options;
    p->load_bytes_max = (options->request_bytes_max < client->conn->request_bytes_max ? options->request_bytes_max
        : client->conn->request_bytes_max) - FO_PUBLISH_HEAD_BYTES_MAX;
    p->is_brief = !options->is_detailed && options->wait == FANOUT_WAIT_ACCEPTED;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &monotonic);
    pthread_cond_init(&p->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (unsigned i = 0; i < options->channels && err == FO_OK; i++) {
        p->channel[i].publisher = p;
        p->channel[i].turn = fo_conn_turn(client->conn);
        err = fo_call_init(&p->channel[i].call, client->conn, call_ended, &p->channel[i]);
    }
    if (err != FO_OK || pthread_create(&p->thread, NULL, fo_publisher_run, p) != 0) {
        publisher_destroy(p);
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory or threads");
    }
    *ret_publisher = p;
    return FANOUT_OK;
}

static struct fo_channel *
channel_of(struct fanout_publisher *p, const struct fanout_event *event)
{
    const char *tenant = event->tenant != NULL ? event->tenant : "default";

    if (event->key == NULL)
        return &p->channel[p->next_channel++ % p->options.channels];
    return &p->channel[fo_crc32c(fo_crc32c(0, tenant, strlen(tenant)), event->key, strlen(event->key)) % p->options.channels];
}

static struct fo_load *
load_create(struct fanout_publisher *p)
{
    struct fo_load *load = p->spare;

    if (load != NULL) {
        p->spare = load->next;
        load->next = NULL;
        return load;
    }
    if ((load = calloc(1, sizeof(*load))) == NULL)
        return NULL;
    load->tickets = calloc(p->options.request_events_max, sizeof(*load->tickets));
    if (load->tickets == NULL) {
        free(load);
        return NULL;
    }
    return load;
}

/* A new load at the channel's end. Null: out of memory. */
static struct fo_load *
add_load(struct fanout_publisher *p, struct fo_channel *ch)
{
    struct fo_load *load = load_create(p);

    if (load == NULL)
        return NULL;
    if (ch->tail != NULL)
        ch->tail->next = load;
    else
        ch->head = load;
    ch->tail = load;
    return load;
}

/* The load that takes the next event. Null: out of memory. */
static struct fo_load *
gathering(struct fanout_publisher *p, struct fo_channel *ch)
{
    struct fo_load *load = ch->tail;

    if (load != NULL && load->count < p->options.request_events_max && !(load == ch->head && ch->state != FO_CHANNEL_IDLE))
        return load;
    return add_load(p, ch);
}

/* The event at the load's end is one too many for a request: it goes into a load of its own. Null: out of memory. */
static struct fo_load *
move_event(struct fanout_publisher *p, struct fo_channel *ch, struct fo_load *from, size_t at)
{
    struct fo_load *load = add_load(p, ch);

    if (load != NULL && fo_buf_add(&load->events, from->events.p + at, from->events.n - at) != FO_OK)
        load = NULL;
    from->events.n = at;
    return load;
}

static int
add_event(struct fanout_publisher *p, const struct fanout_event *event, fanout_publish_fn callback, void *user)
{
    struct fo_channel *ch = channel_of(p, event);
    struct fo_load *load = gathering(p, ch);
    char id[FO_UUID_SIZE] = "";
    struct fo_fault fault;
    size_t at, bytes;

    if (load == NULL)
        return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
    at = load->events.n;
    if (event->id == NULL)
        fo_client_make_id(p->client, id);
    if (fo_encode_event(event, id, &load->events, &fault) != FO_OK)
        return fo_fail_fault(&fault);
    bytes = load->events.n - at + FO_PUBLISH_HEAD_BYTES_MAX;
    if (bytes > p->client->conn->request_bytes_max) {
        load->events.n = at;
        return fo_fail_too_large(p->client, 1, bytes);
    }
    if (load->count > 0 && load->events.n > p->load_bytes_max) {
        if ((load = move_event(p, ch, load, at)) == NULL)
            return fo_fail(FANOUT_ERR_NO_MEMORY, "out of memory");
        at = 0;
    }
    load->tickets[load->count++] = (struct fo_ticket){ callback, user, at, p->sent, fo_conn_now_ms() + p->options.timeout_ms };
    p->queued++;
    p->sent++;
    if (ch->state == FO_CHANNEL_IDLE && load == ch->head && load->count == 1)
        pthread_cond_signal(&p->work);
    return FANOUT_OK;
}

FANOUT_API int
fanout_publisher_send(fanout_publisher *publisher, const struct fanout_event *event, fanout_publish_fn callback, void *user)
{
    struct fanout_publisher *p = publisher;
    bool may_block = p->options.is_blocking && !pthread_equal(pthread_self(), p->thread);
    int rc;

    pthread_mutex_lock(&p->lock);
    while (p->queued >= p->options.events_max && may_block && !p->is_stopping)
        pthread_cond_wait(&p->room, &p->lock);
    if (p->is_stopping)
        rc = fo_fail(FANOUT_ERR_CLOSED, "the publisher is closed");
    else if (p->queued >= p->options.events_max)
        rc = fo_fail(FANOUT_ERR_FULL, "%u events wait for their answers already", p->queued);
    else
        rc = add_event(p, event, callback, user);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* Everything sent before `seq` has been answered. The lock is held. */
static bool
is_settled(const struct fanout_publisher *p, uint64_t seq)
{
    for (unsigned i = 0; i < p->options.channels; i++) {
        const struct fo_load *head = p->channel[i].head;
        if (head != NULL && head->count > 0 && head->tickets[0].seq < seq)
            return false;
    }
    return true;
}

FANOUT_API int
fanout_publisher_flush(fanout_publisher *publisher, int timeout_ms)
{
    struct fanout_publisher *p = publisher;
    int64_t until = timeout_ms < 0 ? INT64_MAX / 4 : fo_conn_now_ms() + timeout_ms;
    struct timespec t = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    uint64_t seq;
    bool is_done;

    pthread_mutex_lock(&p->lock);
    seq = p->sent;
    while (!(is_done = is_settled(p, seq)) && fo_conn_now_ms() < until)
        pthread_cond_timedwait(&p->room, &p->lock, &t);
    pthread_mutex_unlock(&p->lock);
    return is_done ? FANOUT_OK : fo_fail(FANOUT_ERR_TIMEOUT, "not all events have been answered in time");
}

FANOUT_API void
fanout_publisher_close(fanout_publisher *publisher)
{
    struct fanout_publisher *p = publisher;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->room);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    publisher_destroy(p);
}
