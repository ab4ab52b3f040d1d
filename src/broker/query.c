/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/query.h"

#include "ports/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

enum { QUESTIONS_MAX = 64 };

struct question {
    uint64_t request;
    enum fo_op op;
    enum fo_encoding encoding;
    struct fo_wall since, until, now;
    uint8_t id[FO_ID_BYTES_MAX], tenant[FO_TENANT_BYTES_MAX];
    size_t id_bytes, tenant_bytes;
};

struct fo_queries {
    const struct fo_context *ctx;
    struct fo_inbox *inbox;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct question queue[QUESTIONS_MAX];
    unsigned head, count;
    bool is_stopping;
};

static void
send_answer(struct fo_queries *q, const struct question *u, json_t *json, enum fo_err err)
{
    struct fo_input in = { .kind = FO_INPUT_ANSWER, .request = u->request };
    struct fo_fault fault;
    struct fo_buf out;

    fo_buf_init(&out);
    if (err == FO_OK) {
        err = fo_json_answer_encode(u->encoding, json, &out);
    } else {
        (void)fo_fault_set(&fault, err, "", "an answer from the journal");
        err = fo_error_answer_encode(u->encoding, &fault, 0, &out);
    }
    in.msg.body = fo_buf_slice(&out);
    if (err != FO_OK || fo_inbox_post(q->inbox, &in, false) != FO_OK) {
        fo_log(FO_LOG_ERROR, "answer_failed", FO_E(err));
        fo_buf_fini(&out);
    }
}

static void
answer_question(struct fo_queries *q, const struct question *u)
{
    struct fo_query_view v = { q->ctx, u->now };
    json_t *json = NULL;
    enum fo_err err;

    if (u->op == FO_OP_REPORT)
        err = fo_report_make(&v, u->since, u->until, &json);
    else
        err = fo_explain_make(&v, fo_slice_of(u->tenant, u->tenant_bytes), fo_slice_of(u->id, u->id_bytes), &json);
    send_answer(q, u, json, err);
    json_decref(json);
}

static void *
run(void *arg)
{
    struct fo_queries *q = arg;
    struct question u;

    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->count == 0 && !q->is_stopping)
            pthread_cond_wait(&q->more, &q->lock);
        if (q->is_stopping)
            break;
        u = q->queue[q->head];
        q->head = (q->head + 1) % QUESTIONS_MAX;
        q->count--;
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
    pthread_cond_init(&q->more, NULL);
    if (pthread_create(&q->thread, NULL, run, q) != 0) {
        free(q);
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
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
    pthread_join(q->thread, NULL);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

enum fo_err
fo_queries_ask(struct fo_queries *q, uint64_t request, const struct fo_request *req, struct fo_wall now)
{
    struct question u = { .request = request, .op = req->op, .encoding = req->encoding, .since = req->since, .until = req->until, .now = now };
    enum fo_err err = FO_ERR_BUSY;

    u.id_bytes = req->id.n < sizeof u.id ? req->id.n : sizeof u.id;
    u.tenant_bytes = req->tenant.n < sizeof u.tenant ? req->tenant.n : sizeof u.tenant;
    memcpy(u.id, req->id.p, u.id_bytes);
    memcpy(u.tenant, req->tenant.p, u.tenant_bytes);
    pthread_mutex_lock(&q->lock);
    if (q->count < QUESTIONS_MAX) {
        q->queue[(q->head + q->count++) % QUESTIONS_MAX] = u;
        pthread_cond_signal(&q->more);
        err = FO_OK;
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}
