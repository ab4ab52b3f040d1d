/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout bench`: publishing. An event is copied from a template and patched, so that nearly all of the time measured is
 * the broker's. Requests that the broker is too busy for, or that get no answer, are repeated with the same ids. */
#include "cmd/fanout/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/answer.h"
#include "client/call.h"
#include "client/encode.h"

#define PLACEHOLDER_ID "bench-RRRRRRRRRRRRRRRR-SSSS-NNNNNNNN"
#define PLACEHOLDER_KEY "kKKKKKKKK"
enum { ID_AT_SLOT = 23, ID_AT_NUMBER = 28, RETRY_MS = 5, ANSWER_MS = 10000 };

struct template { struct fo_buf bytes; size_t id_at, key_at, data_at; };

struct slot {
    struct fo_call call;
    struct fo_buf events;               /* of the request in flight or to be repeated */
    uint64_t next, end;                 /* numbers not sent yet: next .. end-1 */
    uint32_t count;                     /* events in the request */
    bool is_flying;
    int64_t repeat_at_ns;               /* 0: nothing to repeat */
};

int64_t
bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct fo_conn *
bench_connect(const struct bench *b, const char *address)
{
    struct fanout_options o;
    struct fo_conn *conn;
    char why[256] = "out of memory";

    if (cmd_options(&b->common, &address, 1, &o) != CMD_OK)
        return NULL;
    if (fo_conn_create(&o, &conn, why) == FO_OK)
        return conn;
    fprintf(stderr, "fanout: %s\n", why);
    return NULL;
}

void
bench_payload_make(const struct bench *b, uint8_t *payload)
{
    size_t pad = b->size - BENCH_HEAD_BYTES - 7;

    memset(payload, 'x', b->size);
    memcpy(payload, "\x85\xa1r\xcf", 4);
    bench_put(payload + BENCH_AT_RUN, b->run, 8);
    memcpy(payload + 12, "\xa1s\xce", 3);
    memcpy(payload + 19, "\xa1n\xce", 3);
    memcpy(payload + 26, "\xa1t\xcf", 3);
    memcpy(payload + BENCH_HEAD_BYTES, "\xa3pad", 4);
    payload[BENCH_HEAD_BYTES + 4] = 0xda;
    bench_put(payload + BENCH_HEAD_BYTES + 5, pad, 2);
}

static size_t
place_of(const struct fo_buf *bytes, const void *what, size_t n)
{
    const uint8_t *at = memmem(bytes->p, bytes->n, what, n);

    if (at == NULL)
        abort();                        /* fo_encode_event has just written it */
    return (size_t)(at - bytes->p);
}

static bool
template_make(const struct bench *b, struct template *t)
{
    struct fanout_event e;
    struct fo_fault fault;
    uint8_t *payload = malloc(b->size);
    char run[17];
    bool is_made = false;

    fo_buf_init(&t->bytes);
    if (payload == NULL)
        return false;
    bench_payload_make(b, payload);
    fanout_event_init(&e);
    e.type = b->type;
    e.id = PLACEHOLDER_ID;
    e.tenant = b->tenant;
    e.key = PLACEHOLDER_KEY;
    e.priority = b->priority;
    e.data_msgpack = payload;
    e.data_msgpack_size = b->size;
    if (fo_encode_event(&e, NULL, &t->bytes, &fault) == FO_OK) {
        t->id_at = place_of(&t->bytes, PLACEHOLDER_ID, strlen(PLACEHOLDER_ID));
        t->key_at = place_of(&t->bytes, PLACEHOLDER_KEY, strlen(PLACEHOLDER_KEY));
        t->data_at = place_of(&t->bytes, payload, BENCH_HEAD_BYTES);
        snprintf(run, sizeof(run), "%016llx", (unsigned long long)b->run);
        memcpy(t->bytes.p + t->id_at + 6, run, 16);
        is_made = true;
    }
    free(payload);
    return is_made;
}

static void
put_hex(uint8_t *p, uint64_t v, unsigned n)
{
    for (; n > 0; v >>= 4)
        p[--n] = (uint8_t)"0123456789abcdef"[v & 15];
}

/* When event n of a slot is due; slots are shifted against each other. */
static int64_t
due_ns(const struct bench *b, unsigned s, uint64_t n)
{
    return b->begun_ns + (int64_t)(((double)n * b->slots + s) / b->rate * 1e9);
}

static bool
slot_fill(const struct bench *b, const struct template *t, struct slot *slot, unsigned s)
{
    int64_t now = bench_now_ns(), at = now;

    slot->events.n = 0;
    slot->count = 0;
    while (slot->next < slot->end && slot->count < b->batch) {
        uint64_t n = slot->next;
        uint8_t *e;
        if (b->rate > 0 && (at = due_ns(b, s, n)) > now)
            break;
        if (fo_buf_add(&slot->events, t->bytes.p, t->bytes.n) != FO_OK)
            return false;
        e = slot->events.p + slot->events.n - t->bytes.n;
        put_hex(e + t->id_at + ID_AT_SLOT, s, 4);
        put_hex(e + t->id_at + ID_AT_NUMBER, n, 8);
        put_hex(e + t->key_at + 1, s * b->keys_per_slot + n % b->keys_per_slot, 8);
        bench_put(e + t->data_at + BENCH_AT_SLOT, s, 4);
        bench_put(e + t->data_at + BENCH_AT_NUMBER, n, 4);
        bench_put(e + t->data_at + BENCH_AT_TIME, (uint64_t)at, 8);
        slot->next++;
        slot->count++;
    }
    return true;
}

static enum fo_err
slot_send(struct fo_conn *conn, struct slot *slot)
{
    struct fo_server *server;
    struct fo_buf request;
    enum fo_err err;

    fo_buf_init(&request);
    err = fo_encode_publish(fo_buf_slice(&slot->events), slot->count, FANOUT_WAIT_ACCEPTED, ANSWER_MS, true, &request);
    if (err == FO_OK)
        err = fo_conn_pick(conn, fo_conn_now_ms() + conn->connect_timeout_ms, 0, &server);
    if (err == FO_OK)
        err = fo_call_start(&slot->call, server, fo_buf_slice(&request), ANSWER_MS);
    fo_buf_fini(&request);
    slot->is_flying = err == FO_OK;
    slot->repeat_at_ns = 0;
    return err;
}

static void
note_latency(struct bench_load *l, const struct slot *slot, const struct template *t)
{
    int64_t now = bench_now_ns();

    for (uint32_t i = 0; i < slot->count; i++) {
        const uint8_t *e = slot->events.p + i * t->bytes.n;
        int64_t at = (int64_t)bench_get(e + t->data_at + BENCH_AT_TIME, 8);
        fo_hist_add(&l->answer_us, now > at ? (uint64_t)(now - at) / 1000 : 0);
    }
}

/* The answer has come, or will not. False: nothing will come of it, the reason stands in l->failure. */
static bool
slot_settle(struct bench_load *l, struct slot *slot, const struct template *t)
{
    struct bench *b = l->bench;
    struct fanout_results *results = NULL;
    nng_msg *answer = NULL;
    unsigned pause_ms = RETRY_MS;
    enum fo_err err = fo_call_take(&slot->call, &answer);
    bool is_busy = err == FO_ERR_TIMEOUT || err == FO_ERR_UNAVAILABLE;

    slot->is_flying = false;
    if (err == FO_OK)
        err = fo_answer_publish(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), slot->count, true, &results);
    if (answer != NULL)
        nng_msg_free(answer);
    for (size_t i = 0; results != NULL && i < results->count; i++) {
        is_busy |= results->at[i].err == FANOUT_ERR_BUSY || results->at[i].err == FANOUT_ERR_TIMEOUT;
        pause_ms = results->at[i].retry_after_ms > pause_ms ? results->at[i].retry_after_ms : pause_ms;
    }
    if (is_busy) {
        slot->repeat_at_ns = bench_now_ns() + (int64_t)pause_ms * 1000000;
        atomic_fetch_add(&b->repeated_requests, 1);
    } else if (err != FO_OK) {
        snprintf(l->failure, sizeof(l->failure), "answer: %s", fo_err_text(err));
    } else {
        atomic_fetch_add(&b->accepted, slot->count - results->count);
        atomic_fetch_add(&b->refused, results->count);
        if (results->count > 0)
            snprintf(l->failure, sizeof(l->failure), "%.40s at %.40s: %.60s", results->at[0].code, results->at[0].path, results->at[0].message);
        else
            note_latency(l, slot, t);
    }
    fo_results_destroy(results);
    return l->failure[0] == '\0';
}

static bool
is_done(struct fo_conn *conn, const struct slot *slot)
{
    bool done;

    pthread_mutex_lock(&conn->lock);
    done = slot->call.state == FO_CALL_DONE;
    pthread_mutex_unlock(&conn->lock);
    return done;
}

/* Waits until a request has ended or the time has come. */
static void
wait_for_slots(struct fo_conn *conn, const struct slot *slots, uint64_t count, int64_t until_ns)
{
    bool has_ended = false;

    pthread_mutex_lock(&conn->lock);
    do {
        for (uint64_t i = 0; i < count; i++)
            has_ended |= slots[i].is_flying && slots[i].call.state == FO_CALL_DONE;
    } while (!has_ended && fo_conn_wait_ns(conn, until_ns));
    pthread_mutex_unlock(&conn->lock);
}

/* One look at a slot. Returns when to look again at the latest (ns); 0: at once; -1: finished; -2: failed. */
static int64_t
slot_step(struct bench_load *l, struct fo_conn *conn, struct slot *slot, unsigned s, const struct template *t)
{
    struct bench *b = l->bench;
    int64_t now = bench_now_ns();
    enum fo_err err;

    if (slot->is_flying)
        return !is_done(conn, slot) ? now + 100000000 : slot_settle(l, slot, t) ? 0 : -2;
    if (slot->repeat_at_ns > now)
        return slot->repeat_at_ns;
    if (slot->repeat_at_ns == 0) {
        if (slot->next == slot->end)
            return -1;
        if (!slot_fill(b, t, slot, s))
            return -2;
        if (slot->count == 0)
            return due_ns(b, s, slot->next);
    }
    if ((err = slot_send(conn, slot)) == FO_OK)
        return 0;
    snprintf(l->failure, sizeof(l->failure), "%s", fo_err_text(err));
    return -2;
}

static void
drive(struct bench_load *l, struct fo_conn *conn, struct slot *slots, const struct template *t)
{
    struct bench *b = l->bench;

    while (!atomic_load(&b->is_stopping)) {
        int64_t until = INT64_MAX;
        uint64_t finished = 0;
        for (uint64_t i = 0; i < b->depth; i++) {
            int64_t next = slot_step(l, conn, &slots[i], l->first_slot + (unsigned)i, t);
            if (next == -2)
                return;
            finished += next == -1;
            until = next >= 0 && next < until ? next : until;
        }
        if (finished == b->depth)
            return;
        if (until > bench_now_ns())
            wait_for_slots(conn, slots, b->depth, until);
    }
}

void *
bench_load_run(void *load)
{
    struct bench_load *l = load;
    struct bench *b = l->bench;
    struct slot *slots = calloc(b->depth, sizeof(*slots));
    struct fo_conn *conn = bench_connect(b, b->common.broker[0]);
    struct template t;
    bool is_ready = template_make(b, &t) && slots != NULL && conn != NULL;

    fo_hist_init(&l->answer_us);
    for (uint64_t i = 0; is_ready && i < b->depth; i++) {
        slots[i].end = bench_slot_events(b, l->first_slot + (unsigned)i);
        is_ready = fo_call_init(&slots[i].call, conn, NULL, NULL) == FO_OK;
    }
    if (is_ready)
        drive(l, conn, slots, &t);
    else
        snprintf(l->failure, sizeof(l->failure), "out of memory");
    for (uint64_t i = 0; slots != NULL && conn != NULL && i < b->depth; i++) {
        fo_call_fini(&slots[i].call);
        fo_buf_fini(&slots[i].events);
    }
    free(slots);
    fo_buf_fini(&t.bytes);
    return NULL;                        /* the connection is left open: the program ends soon */
}
