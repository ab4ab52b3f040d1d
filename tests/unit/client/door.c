/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire/fetch_answer.h"

enum { NAP_NS = 5000000, LOOK_MS = 20, SETTLE_NS = 50000000 };

static const struct fo_region_names region_names = { { "us-east-1", "us-west-2", "eu-west-1" }, 3 };

#define MUST(expr)                                                      \
    do {                                                                \
        if (!(expr)) {                                                  \
            fprintf(stderr, "door: %s:%d: %s\n", __FILE__, __LINE__, #expr); \
            abort();                                                    \
        }                                                               \
    } while (0)

static struct fo_wall
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct fo_wall){ (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 };
}

static void
keep(struct door *d, const char *region, struct fo_event *e, struct fo_position pos)
{
    struct door_event *kept = &d->events[d->count];
    size_t max = fo_event_encoded_max(e);
    struct fo_writer w = fo_writer_of(malloc(max), max);

    MUST(d->count < DOOR_EVENTS_MAX && w.p != NULL);
    fo_event_encode(e, &w);
    MUST(!w.overflow);
    kept->record = fo_slice_of(w.p, w.n);
    kept->pos = pos;
    kept->at_us = e->acceptedtime.us;
    kept->only_for = NULL;
    kept->damaged.n = 0;
    snprintf(kept->region, sizeof(kept->region), "%s", region);
    fo_position_format(region, pos, kept->position);
    d->count++;
}

static struct door_event *
find(struct door *d, struct fo_slice id, struct fo_slice tenant)
{
    struct fo_event e;

    for (unsigned i = 0; i < d->count; i++) {
        MUST(fo_event_decode(d->events[i].record, &e) == FO_OK);
        if (fo_slice_is_equal(e.id, id) && fo_slice_is_equal(e.tenant, tenant))
            return &d->events[i];
    }
    return NULL;
}

static void
take_event(struct door *d, struct fo_slice bytes, struct fo_publish_result *result, struct fo_fault *fault)
{
    static const struct fo_delivery done = { "us-west-2", FO_DELIVERY_DELIVERED, 840, 1 };
    static const struct fo_delivery pending = { "us-west-2", FO_DELIVERY_PENDING, -1, 2 };
    const struct fo_event_rules rules = { &region_names, d->schemas, 262144 };
    const struct door_event *known;
    struct fo_event e;

    *result = (struct fo_publish_result){ .total_latency_us = 1200, .is_success = !d->is_never_fulfilled,
        .deliveries = d->is_never_fulfilled ? &pending : &done, .delivery_count = 1 };
    if (fo_event_decode_publish(bytes, &rules, &e, fault) != FO_OK) {
        result->fault = fault;
        return;
    }
    result->event_id = e.id;
    known = find(d, e.id, e.tenant);
    if (known != NULL) {
        d->duplicates++;
        result->is_duplicate = true;
        result->position = known->pos;
        return;
    }
    e.acceptedtime = now();
    e.sourceregion = fo_slice_str(d->region);
    result->position = (struct fo_position){ 0x18f, ++d->seq[e.lane], e.lane };
    keep(d, d->region, &e, result->position);
}

static struct fo_publish_tally
tally_of(const struct fo_publish_result *results, struct fo_fault *faults, uint32_t count, struct fo_publish_error *errors)
{
    struct fo_publish_tally t = { .count = count, .error = errors };

    for (uint32_t i = 0; i < count; i++) {
        if (results[i].fault != NULL) {
            errors[t.error_count++] = (struct fo_publish_error){ i, &faults[i] };
            continue;
        }
        t.last = (struct fo_publish_place){ results[i].region, results[i].position };
        if (t.accepted++ == 0)
            t.first = t.last;
        t.duplicates += results[i].is_duplicate;
        t.successes += results[i].is_success;
    }
    return t;
}

static void
answer_publish(struct door *d, const struct fo_request *request, struct fo_buf *out)
{
    struct fo_publish_result *results = calloc(request->events_count, sizeof(*results));
    struct fo_fault *faults = calloc(request->events_count, sizeof(*faults));
    struct fo_publish_error *errors = calloc(request->events_count, sizeof(*errors));
    struct fo_publish_tally tally;
    struct fo_request rest = *request;
    struct fo_fault busy = { .err = d->refusal != FO_OK ? d->refusal : FO_ERR_BUSY, .text = "as the test wants it" };
    struct fo_slice bytes;

    MUST(results != NULL && faults != NULL && errors != NULL);
    d->publishes++;
    if (d->busy_left > 0) {
        d->busy_left--;
        MUST(fo_error_answer_encode(request->encoding, &busy, 10, out) == FO_OK);
    } else {
        for (uint32_t i = 0; fo_request_next_event(&rest, &bytes); i++)
            take_event(d, bytes, &results[i], &faults[i]);
        tally = tally_of(results, faults, request->events_count, errors);
        MUST((request->is_brief && request->is_many ? fo_publish_brief_encode(request->encoding, d->region, &tally, out)
            : fo_publish_answer_encode(request->encoding, request->is_many, d->region, results, request->events_count, out)) == FO_OK);
    }
    free(results);
    free(faults);
    free(errors);
}

/* Where a fetch begins; cursors are "c1.REGION.INDEX". False: gone. */
static bool
place_of(const struct door *d, const struct fo_request *request, unsigned *ret_index)
{
    char text[64], region[33];

    *ret_index = 0;
    if (request->from == FO_FROM_NOW)
        *ret_index = d->count;
    if (request->from == FO_FROM_TIME) {
        while (*ret_index < d->count && d->events[*ret_index].at_us < request->since.us)
            ++*ret_index;
    }
    if (request->from == FO_FROM_CURSOR) {
        snprintf(text, sizeof(text), "%.*s", (int)request->cursor.n, (const char *)request->cursor.p);
        MUST(sscanf(text, "c1.%32[^.].%u", region, ret_index) == 2);
        MUST(strcmp(region, d->region) == 0);       /* a client must not show one broker another's cursor */
    }
    return request->from != FO_FROM_CURSOR || *ret_index >= d->gone_below;
}

static void
cursor_format(const struct door *d, unsigned index, char ret_text[64])
{
    snprintf(ret_text, 64, "c1.%s.%u", d->region, index);
}

/* An empty answer comes after a short while instead of the time asked for. */
static void
answer_fetch(struct door *d, const struct fo_request *request, struct fo_buf *out)
{
    unsigned max = d->answer_events_max > 0 && d->answer_events_max < request->events_max ? d->answer_events_max : request->events_max;
    struct fo_fault gone = { .err = FO_ERR_CURSOR_GONE };
    struct timespec nap = { 0, NAP_NS };
    struct fo_target only_for = { 0 };
    struct fo_wall through = now();
    struct fo_fetch_answer answer;
    struct fo_event e;
    char cursor[64];
    unsigned i;

    d->fetches++;
    if (!place_of(d, request, &i)) {
        cursor_format(d, d->gone_below, cursor);
        MUST(fo_error_answer_encode_cursor(request->encoding, &gone, 0, fo_slice_str(cursor), out) == FO_OK);
        return;
    }
    MUST(fo_fetch_answer_begin(&answer, request->encoding, out) == FO_OK);
    for (; i < d->count && answer.count < max; i++) {
        MUST(fo_event_decode(d->events[i].record, &e) == FO_OK);
        only_for.region = fo_slice_str(d->events[i].only_for != NULL ? d->events[i].only_for : "");
        if (fo_filter_match(&request->filter, &e))
            MUST(fo_fetch_answer_add(&answer, d->events[i].region, &d->events[i].pos, d->events[i].damaged.n > 0 ? d->events[i].damaged : d->events[i].record,
                &only_for, d->events[i].only_for != NULL) == FO_OK);
    }
    for (unsigned left = i; left < d->count; left++)
        if (d->events[left].at_us < through.us)
            through.us = d->events[left].at_us;
    cursor_format(d, i, cursor);
    MUST(fo_fetch_answer_finish(&answer, fo_slice_str(cursor), through) == FO_OK);
    if (answer.count == 0 && request->timeout_ms > 0) {
        pthread_mutex_unlock(&d->lock);
        nanosleep(&nap, NULL);
        pthread_mutex_lock(&d->lock);
    }
}

static void
answer(struct door *d, struct fo_slice body, struct fo_buf *out)
{
    struct fo_request request;
    struct fo_buf scratch;
    struct fo_fault fault;
    json_t *json;

    fo_buf_init(&scratch);
    d->requests++;
    if (fo_request_decode(body, &scratch, &request, &fault) != FO_OK) {
        MUST(fo_error_answer_encode(request.encoding, &fault, 0, out) == FO_OK);
    } else if (request.op == FO_OP_PUBLISH) {
        answer_publish(d, &request, out);
    } else if (request.op == FO_OP_FETCH) {
        answer_fetch(d, &request, out);
    } else {
        json = json_pack("{s:b, s:s, s:s}", "success", 1, "region", d->region, "version", "test");
        MUST(fo_json_answer_encode(request.encoding, json, out) == FO_OK);
        json_decref(json);
    }
    fo_buf_fini(&scratch);
}

static void *
run(void *arg)
{
    struct door *d = arg;
    struct fo_buf out;
    nng_msg *msg;
    bool is_silent;

    fo_buf_init(&out);
    while (!d->is_leaving) {
        if (nng_recvmsg(d->socket, &msg, 0) != 0)
            continue;                   /* in time for a look at is_leaving */
        out.n = 0;
        pthread_mutex_lock(&d->lock);
        is_silent = d->is_silent;
        if (!is_silent)
            answer(d, fo_slice_of(nng_msg_body(msg), nng_msg_len(msg)), &out);
        else
            d->requests++;
        pthread_mutex_unlock(&d->lock);
        if (d->is_dying && door_publishes(d) > 0) {
            nng_msg_free(msg);
            nng_close(d->socket);
            break;
        }
        nng_msg_clear(msg);
        if (is_silent || nng_msg_append(msg, out.p, out.n) != 0 || nng_sendmsg(d->socket, msg, 0) != 0)
            nng_msg_free(msg);
    }
    fo_buf_fini(&out);
    return NULL;
}

void
door_open(struct door *d, const char *region, int port)
{
    struct fo_fault fault;
    nng_listener listener;
    char url[64];

    memset(d, 0, sizeof(*d));
    snprintf(d->region, sizeof(d->region), "%s", region);
    pthread_mutex_init(&d->lock, NULL);
    d->events = calloc(DOOR_EVENTS_MAX, sizeof(*d->events));
    MUST(d->events != NULL && fo_schema_set_create(&d->schemas) == FO_OK && fo_schema_set_add_builtin(d->schemas, &fault) == FO_OK);
    MUST(nng_rep0_open(&d->socket) == 0 && nng_socket_set_ms(d->socket, NNG_OPT_RECVTIMEO, LOOK_MS) == 0);
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    MUST(nng_listener_create(&listener, d->socket, url) == 0 && nng_listener_start(listener, 0) == 0);
    MUST(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &d->port) == 0);
    snprintf(d->url, sizeof(d->url), "tcp://127.0.0.1:%d", d->port);
    MUST(pthread_create(&d->thread, NULL, run, d) == 0);
}

/* NNG 1.5.2 can hang for ever in closing a socket while a message is under way, so what is under way gets there first. */
void
door_close(struct door *d)
{
    struct timespec settle = { 0, SETTLE_NS };

    d->is_leaving = true;
    pthread_join(d->thread, NULL);
    nanosleep(&settle, NULL);
    nng_close(d->socket);
    for (unsigned i = 0; i < d->count; i++)
        free((void *)(uintptr_t)d->events[i].record.p);
    free(d->events);
    fo_schema_set_destroy(d->schemas);
    pthread_mutex_destroy(&d->lock);
}

static void
add(struct door *d, const char *region, struct fo_event *e, uint64_t seq, const char *only_for)
{
    e->type = FO_SLICE_LIT("custom");
    e->tenant = FO_SLICE_LIT("default");
    e->sourceregion = fo_slice_str(region);
    e->schemaversion = e->mincompatible = 1;
    pthread_mutex_lock(&d->lock);
    keep(d, region, e, (struct fo_position){ 0x18f, seq, e->lane });
    d->events[d->count - 1].only_for = only_for;
    pthread_mutex_unlock(&d->lock);
}

void
door_add(struct door *d, const char *region, const char *id, enum fo_lane lane, uint64_t seq, const char *key)
{
    struct fo_event e = { .id = fo_slice_str(id), .partitionkey = fo_slice_str(key), .acceptedtime = now(), .lane = lane };

    add(d, region, &e, seq, NULL);
}

void
door_add_at(struct door *d, const char *region, const char *id, enum fo_lane lane, uint64_t seq, int64_t at_us, const char *only_for)
{
    struct fo_event e = { .id = fo_slice_str(id), .acceptedtime = at_us > 0 ? (struct fo_wall){ at_us } : now(), .lane = lane };

    add(d, region, &e, seq, only_for);
}

static unsigned
read_locked(struct door *d, const unsigned *count)
{
    unsigned n;

    pthread_mutex_lock(&d->lock);
    n = *count;
    pthread_mutex_unlock(&d->lock);
    return n;
}

unsigned
door_requests(struct door *d)
{
    return read_locked(d, &d->requests);
}

unsigned
door_publishes(struct door *d)
{
    return read_locked(d, &d->publishes);
}

const char *
door_id(struct door *d, unsigned index, char ret_id[FO_ID_BYTES_MAX + 1])
{
    struct fo_event e;

    ret_id[0] = '\0';
    pthread_mutex_lock(&d->lock);
    if (index < d->count) {
        MUST(fo_event_decode(d->events[index].record, &e) == FO_OK);
        snprintf(ret_id, FO_ID_BYTES_MAX + 1, "%.*s", (int)e.id.n, (const char *)e.id.p);
    }
    pthread_mutex_unlock(&d->lock);
    return ret_id[0] != '\0' ? ret_id : NULL;
}

int
door_free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    close(fd);
    return ntohs(a.sin_port);
}
