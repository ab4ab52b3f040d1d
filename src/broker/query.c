/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audit.h"
#include "broker/query.h"

#include "base/assert.h"
#include "ports/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { QUESTIONS_MAX = 64, STORED_WAIT_MS = 300 };

struct question {
    uint64_t request, after_items;
    enum fo_op op;                      /* PUBLISH: the first answer of a known event */
    uint8_t wait;
    enum fo_encoding encoding;
    struct fo_wall since, until, now;
    uint8_t id[FO_ID_BYTES_MAX], tenant[FO_TENANT_BYTES_MAX];
    size_t id_bytes, tenant_bytes;
    struct fo_known_event known;        /* of PUBLISH; its names are those above */
    struct fo_audit_query audit;
};

/* A publisher who repeats an id does not wait behind an operator's walk over the whole journal. */
enum { QUICK, LONG, WORKERS };

struct worker {
    struct fo_queries *of;
    pthread_t thread;
    pthread_cond_t more;
    struct question queue[QUESTIONS_MAX];
    unsigned head, count;
};

struct fo_queries {
    const struct fo_context *ctx;
    struct fo_inbox *inbox;
    pthread_mutex_t lock;
    struct worker worker[WORKERS];
    unsigned running;
    uint64_t stored_items;
    pthread_cond_t stored;
    atomic_bool is_stopping;
};

/* Called with the lock held. An ack that the loop has seen is on its way to the journal, and readable here once it is durable;
 * on a full disk that may take long, and the answer is then what the journal knows. */
static void
wait_stored(struct fo_queries *q, uint64_t items)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += STORED_WAIT_MS * 1000000l;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (q->stored_items < items && !q->is_stopping)
        if (pthread_cond_clockwait(&q->stored, &q->lock, CLOCK_MONOTONIC, &until) != 0)
            return;
}

static enum fo_err
make_answer(struct fo_queries *q, const struct question *u, struct fo_buf *out)
{
    struct fo_query_view v = { q->ctx, u->now, &q->is_stopping };
    struct fo_slice tenant = fo_slice_of(u->tenant, u->tenant_bytes), id = fo_slice_of(u->id, u->id_bytes);
    json_t *json = NULL;
    enum fo_err err;

    if (u->op == FO_OP_PUBLISH)
        return fo_first_answer_make(&v, &(struct fo_known_event){ tenant, id, u->known.position, u->known.targets, u->known.from_lsn }, u->encoding, u->wait, out);
    if (u->op == FO_OP_REPORT)
        err = fo_report_make(&v, u->since, u->until, &json);
    else if (u->op == FO_OP_AUDIT)
        err = fo_audit_make(&v, &u->audit, &json);
    else
        err = fo_explain_make(&v, tenant, id, &json);
    if (err == FO_OK)
        err = fo_json_answer_encode(u->encoding, json, out);
    json_decref(json);
    return err;
}

static void
answer_question(struct fo_queries *q, const struct question *u)
{
    struct fo_input in = { .kind = FO_INPUT_ANSWER, .request = u->request };
    struct fo_fault fault;
    struct fo_buf out;
    enum fo_err err;

    fo_buf_init(&out);
    err = make_answer(q, u, &out);
    if (err != FO_OK) {
        out.n = 0;
        (void)fo_fault_set(&fault, err, "", "an answer from the journal");
        err = fo_error_answer_encode(u->encoding, &fault, 0, &out);
    }
    if (err != FO_OK)
        fo_log(FO_LOG_ERROR, "answer_failed", FO_E(err));
    in.msg = (struct fo_msg){ out.p, err == FO_OK ? fo_buf_slice(&out) : fo_fallback_answer(u->encoding) };
    err = fo_inbox_post(q->inbox, &in, false);
    fo_assert(err == FO_OK);            /* answers wait for room */
}

static void *
run(void *arg)
{
    struct worker *w = arg;
    struct fo_queries *q = w->of;
    struct question u;

    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (w->count == 0 && !q->is_stopping)
            pthread_cond_wait(&w->more, &q->lock);
        if (q->is_stopping)
            break;
        u = w->queue[w->head];
        w->head = (w->head + 1) % QUESTIONS_MAX;
        w->count--;
        wait_stored(q, u.after_items);
        pthread_mutex_unlock(&q->lock);
        answer_question(q, &u);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

enum fo_err
fo_queries_start(const struct fo_context *ctx, struct fo_inbox *inbox, struct fo_queries **ret_q)
{
    struct fo_queries *q = calloc(1, sizeof *q);

    if (q == NULL)
        return FO_ERR_NO_MEMORY;
    q->ctx = ctx;
    q->inbox = inbox;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->stored, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        q->worker[i].of = q;
        pthread_cond_init(&q->worker[i].more, NULL);
    }
    for (; q->running < WORKERS; q->running++)
        if (pthread_create(&q->worker[q->running].thread, NULL, run, &q->worker[q->running]) != 0) {
            fo_queries_stop(q);
            return FO_ERR_NO_MEMORY;
        }
    *ret_q = q;
    return FO_OK;
}

void
fo_queries_stop(struct fo_queries *q)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    q->is_stopping = true;
    for (unsigned i = 0; i < q->running; i++)
        pthread_cond_signal(&q->worker[i].more);
    pthread_cond_broadcast(&q->stored);
    pthread_mutex_unlock(&q->lock);
    for (unsigned i = 0; i < q->running; i++)
        pthread_join(q->worker[i].thread, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_cond_destroy(&q->worker[i].more);
    pthread_cond_destroy(&q->stored);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void
fo_queries_stored(struct fo_queries *q, uint64_t items)
{
    pthread_mutex_lock(&q->lock);
    q->stored_items = items;
    pthread_cond_broadcast(&q->stored);
    pthread_mutex_unlock(&q->lock);
}

static void
copy_names(struct question *u, struct fo_slice tenant, struct fo_slice id)
{
    u->id_bytes = id.n < sizeof u->id ? id.n : sizeof u->id;
    u->tenant_bytes = tenant.n < sizeof u->tenant ? tenant.n : sizeof u->tenant;
    memcpy(u->id, id.p, u->id_bytes);
    memcpy(u->tenant, tenant.p, u->tenant_bytes);
}

static enum fo_err
queue(struct fo_queries *q, const struct question *u)
{
    struct worker *w = &q->worker[u->op == FO_OP_PUBLISH ? QUICK : LONG];
    enum fo_err err = FO_ERR_BUSY;

    pthread_mutex_lock(&q->lock);
    if (w->count < QUESTIONS_MAX) {
        w->queue[(w->head + w->count++) % QUESTIONS_MAX] = *u;
        pthread_cond_signal(&w->more);
        err = FO_OK;
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

enum fo_err
fo_queries_ask(struct fo_queries *q, uint64_t request, const struct fo_request *req, uint64_t after_items, struct fo_wall now)
{
    struct question u = { .request = request, .op = req->op, .encoding = req->encoding, .since = req->since, .until = req->until, .after_items = after_items, .now = now };

    if (req->op == FO_OP_AUDIT)
        u.audit = req->audit;
    if (req->op == FO_OP_EXPLAIN)
        copy_names(&u, req->tenant, req->id);
    return queue(q, &u);
}

enum fo_err
fo_queries_ask_first(struct fo_queries *q, uint64_t request, enum fo_encoding enc, uint8_t wait, const struct fo_known_event *e, uint64_t after_items, struct fo_wall now)
{
    struct question u = { .request = request, .op = FO_OP_PUBLISH, .wait = wait, .encoding = enc, .known = *e, .after_items = after_items, .now = now };

    copy_names(&u, e->tenant, e->id);
    return queue(q, &u);
}
