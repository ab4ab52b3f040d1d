/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout bench`: a subscriber. It asks for the next events before it looks at those that came. */
#include "cmd/fanout/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/answer.h"
#include "client/call.h"
#include "client/encode.h"
#include "wire/event.h"

enum { FETCH_WAIT_MS = 500, FETCH_EVENTS = 4000, FETCH_BYTES = 1 << 20, ANSWER_MS = 10000, PAUSE_MS = 20 };

struct reader {
    struct bench_sub *sub;
    struct fo_conn *conn;
    struct fo_call call;
    struct fanout_filter filter;
    struct fo_buf request, cursor;      /* cursor: NUL-terminated; n 0: none yet */
};

static enum fo_err
ask(struct reader *r, int wait_ms)
{
    struct fo_fetch_ask what = { .filter = &r->filter, .from = FANOUT_FROM_NOW, .events_max = FETCH_EVENTS, .bytes_max = FETCH_BYTES,
        .wait_ms = wait_ms };
    struct fo_server *server;
    enum fo_err err = fo_conn_pick(r->conn, fo_conn_now_ms() + r->conn->connect_timeout_ms, 0, &server);

    if (err != FO_OK)
        return err;
    if (r->cursor.n > 0) {
        what.from = FANOUT_FROM_CURSOR;
        what.cursor = (const char *)r->cursor.p;
    }
    r->request.n = 0;
    if ((err = fo_encode_fetch(&what, &r->request)) != FO_OK)
        return err;
    return fo_call_start(&r->call, server, fo_buf_slice(&r->request), wait_ms + ANSWER_MS);
}

static void
note_event(struct bench_sub *sub, struct fo_slice record, int64_t now_ns)
{
    struct bench *b = sub->bench;
    struct fo_event e;
    uint64_t slot, n, index;
    uint32_t *newest;
    int64_t at;

    if (fo_event_decode(record, &e) != FO_OK || e.data.n != b->size || bench_get(e.data.p + BENCH_AT_RUN, 8) != b->run) {
        sub->strange++;
        return;
    }
    slot = bench_get(e.data.p + BENCH_AT_SLOT, 4);
    n = bench_get(e.data.p + BENCH_AT_NUMBER, 4);
    if (slot >= b->slots || n >= bench_slot_events(b, (unsigned)slot)) {
        sub->strange++;
        return;
    }
    index = bench_slot_first(b, (unsigned)slot) + n;
    if (sub->seen[index / 8] >> (index % 8) & 1) {
        sub->duplicates++;
        return;
    }
    sub->seen[index / 8] |= (uint8_t)(1u << (index % 8));
    newest = &sub->newest[slot * b->keys_per_slot + n % b->keys_per_slot];
    sub->disordered += n + 1 < *newest;
    if (n + 1 > *newest)
        *newest = (uint32_t)n + 1;
    at = (int64_t)bench_get(e.data.p + BENCH_AT_TIME, 8);
    fo_hist_add(&sub->latency_us, now_ns > at ? (uint64_t)(now_ns - at) / 1000 : 0);
    atomic_fetch_add_explicit(&sub->received, 1, memory_order_relaxed);
    sub->last_ns = now_ns;
}

static enum fo_err
keep_cursor(struct reader *r, struct fo_slice cursor)
{
    enum fo_err err;

    r->cursor.n = 0;
    if ((err = fo_buf_add(&r->cursor, cursor.p, cursor.n)) == FO_OK)
        err = fo_buf_add(&r->cursor, "", 1);
    return err;
}

/* One answer: keeps its cursor, asks for more, then counts its events. */
static enum fo_err
step(struct reader *r)
{
    struct fo_fetched_event event;
    struct fo_fetched f;
    nng_msg *answer;
    enum fo_err err;
    int64_t now;

    (void)fo_call_wait(&r->call, INT64_MAX / 4);
    if ((err = fo_call_take(&r->call, &answer)) != FO_OK)
        return err;
    now = bench_now_ns();
    err = fo_answer_fetch(fo_slice_of(nng_msg_body(answer), nng_msg_len(answer)), &f);
    if (err == FO_OK && f.is_error) {
        snprintf(r->sub->failure, sizeof(r->sub->failure), "%s: %.120s", fo_err_name(f.fault.err), f.fault.text);
        err = f.retry_after_ms > 0 ? FO_ERR_UNAVAILABLE : FO_ERR_REJECTED;
    }
    if (err == FO_OK)
        err = keep_cursor(r, f.cursor);
    if (err == FO_OK && !atomic_load(&r->sub->bench->is_stopping))
        err = ask(r, FETCH_WAIT_MS);
    for (uint32_t i = 0; err == FO_OK && i < f.events_count; i++) {
        err = fo_answer_event(&f.events, &event);
        if (err == FO_OK)
            note_event(r->sub, event.record, now);
    }
    nng_msg_free(answer);
    return err;
}

static enum fo_err
follow(struct reader *r)
{
    struct bench *b = r->sub->bench;
    enum fo_err err = ask(r, 0);
    bool is_ready = false;

    while (!atomic_load(&b->is_stopping)) {
        if (err == FO_OK)
            err = step(r);
        if (err == FO_OK && !is_ready) {
            atomic_fetch_add(&b->subscribers_ready, 1);
            is_ready = true;
        }
        if (err != FO_OK && (err != FO_ERR_UNAVAILABLE || !is_ready) && err != FO_ERR_TIMEOUT)
            return err;
        if (err != FO_OK) {
            struct timespec pause = { 0, PAUSE_MS * 1000000 };
            nanosleep(&pause, NULL);
            err = ask(r, FETCH_WAIT_MS);
        }
    }
    return FO_OK;
}

void *
bench_sub_run(void *arg)
{
    struct bench_sub *sub = arg;
    struct bench *b = sub->bench;
    struct reader r = { .sub = sub, .conn = bench_connect(b, sub->address) };
    enum fo_err err = FO_ERR_NO_MEMORY;

    fo_hist_init(&sub->latency_us);
    fanout_filter_init(&r.filter);
    r.filter.tenant = b->tenant;
    if (r.conn != NULL && (err = fo_call_init(&r.call, r.conn, NULL, NULL)) == FO_OK) {
        err = follow(&r);
        fo_call_fini(&r.call);
    }
    if (err != FO_OK && sub->failure[0] == '\0')
        snprintf(sub->failure, sizeof(sub->failure), "%s", fo_err_text(err));
    else if (err == FO_OK)
        sub->failure[0] = '\0';
    fo_buf_fini(&r.request);
    fo_buf_fini(&r.cursor);
    return NULL;
}
