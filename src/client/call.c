/* SPDX-License-Identifier: Apache-2.0
 *
 * See call.h. */
#include "client/call.h"

#include <nng/supplemental/util/platform.h>
#include <string.h>

enum { LOOK_MS = 100, BETWEEN_ATTEMPTS_MS = 20 };

static enum fo_err
err_of(int rv)
{
    switch (rv) {
    case 0:
        return FO_OK;
    case NNG_ETIMEDOUT:
        return FO_ERR_TIMEOUT;
    case NNG_ENOMEM:
        return FO_ERR_NO_MEMORY;
    default:
        return FO_ERR_UNAVAILABLE;
    }
}

static void
call_finish(struct fo_call *call, int rv)
{
    void (*notify)(void *) = call->notify;
    void *user = call->user;

    pthread_mutex_lock(&call->conn->lock);
    call->err = err_of(rv);
    call->answer = rv == 0 ? nng_aio_get_msg(call->aio) : NULL;
    call->state = FO_CALL_DONE;
    pthread_cond_broadcast(&call->conn->changed);
    pthread_mutex_unlock(&call->conn->lock);
    if (notify != NULL)
        notify(user);
}

static void
call_step(void *arg)
{
    struct fo_call *call = arg;
    int rv = nng_aio_result(call->aio);
    int64_t left;

    if (call->state == FO_CALL_SENDING && rv != 0) {
        nng_msg_free(nng_aio_get_msg(call->aio));   /* not sent: still ours */
        nng_aio_set_msg(call->aio, NULL);
    }
    if (call->state == FO_CALL_RECEIVING || rv != 0) {
        call_finish(call, rv);
        return;
    }
    pthread_mutex_lock(&call->conn->lock);
    call->state = FO_CALL_RECEIVING;
    call->was_sent = true;
    pthread_mutex_unlock(&call->conn->lock);
    left = call->until_ms - fo_conn_now_ms();
    nng_aio_set_timeout(call->aio, left > 0 ? (nng_duration)left : 1);
    nng_ctx_recv(call->ctx, call->aio);
}

enum fo_err
fo_call_init(struct fo_call *call, struct fo_conn *conn, void (*notify)(void *user), void *user)
{
    memset(call, 0, sizeof(*call));
    call->conn = conn;
    call->notify = notify;
    call->user = user;
    return nng_aio_alloc(&call->aio, call_step, call) == 0 ? FO_OK : FO_ERR_NO_MEMORY;
}

void
fo_call_stop(struct fo_call *call)
{
    pthread_mutex_lock(&call->conn->lock);
    if (call->state == FO_CALL_SENDING || call->state == FO_CALL_RECEIVING)
        call->conn->cancelled_ms = fo_conn_now_ms();
    pthread_mutex_unlock(&call->conn->lock);
    nng_aio_stop(call->aio);
}

void
fo_call_fini(struct fo_call *call)
{
    if (call->aio == NULL)
        return;
    fo_call_stop(call);
    if (call->server != NULL)
        nng_ctx_close(call->ctx);
    if (call->answer != NULL)
        nng_msg_free(call->answer);
    nng_aio_free(call->aio);
    memset(call, 0, sizeof(*call));
}

/* Contexts belong to a socket, so going to another server means another context. */
static enum fo_err
call_use(struct fo_call *call, struct fo_server *server)
{
    if (call->server == server)
        return FO_OK;
    if (call->server != NULL)
        nng_ctx_close(call->ctx);
    call->server = NULL;
    if (nng_ctx_open(&call->ctx, server->socket) != 0)
        return FO_ERR_NO_MEMORY;
    if (nng_ctx_set_ms(call->ctx, "req:resend-time", NNG_DURATION_INFINITE) != 0) {
        nng_ctx_close(call->ctx);
        return FO_ERR_INTERNAL;
    }
    call->server = server;
    return FO_OK;
}

enum fo_err
fo_call_start(struct fo_call *call, struct fo_server *server, struct fo_slice body, int timeout_ms)
{
    enum fo_err err;
    nng_msg *msg;

    if (call->answer != NULL)
        nng_msg_free(call->answer);
    call->answer = NULL;
    call->was_sent = false;
    call->state = FO_CALL_IDLE;
    if ((err = call_use(call, server)) != FO_OK)
        return err;
    if (nng_msg_alloc(&msg, body.n) != 0)
        return FO_ERR_NO_MEMORY;
    memcpy(nng_msg_body(msg), body.p, body.n);
    call->until_ms = fo_conn_now_ms() + timeout_ms;
    nng_aio_set_timeout(call->aio, timeout_ms);
    nng_aio_set_msg(call->aio, msg);
    pthread_mutex_lock(&call->conn->lock);
    call->state = FO_CALL_SENDING;
    pthread_mutex_unlock(&call->conn->lock);
    nng_ctx_send(call->ctx, call->aio);
    return FO_OK;
}

void
fo_call_cancel(struct fo_call *call)
{
    nng_aio_abort(call->aio, NNG_ECANCELED);
}

bool
fo_call_wait(struct fo_call *call, int64_t until_ms)
{
    struct fo_conn *c = call->conn;
    bool is_done;

    pthread_mutex_lock(&c->lock);
    while (call->state != FO_CALL_DONE) {
        int64_t now = fo_conn_now_ms(), look = now + LOOK_MS < until_ms ? now + LOOK_MS : until_ms;
        if (now >= until_ms)
            break;
        if (call->server->pipes > 0) {
            (void)fo_conn_wait(c, until_ms);
            continue;
        }
        if (fo_conn_is_lost(call->server, now)) {
            pthread_mutex_unlock(&c->lock);
            fo_call_cancel(call);
            pthread_mutex_lock(&c->lock);
        }
        if (call->state != FO_CALL_DONE)
            (void)fo_conn_wait(c, look);
    }
    is_done = call->state == FO_CALL_DONE;
    pthread_mutex_unlock(&c->lock);
    return is_done;
}

enum fo_err
fo_call_take(struct fo_call *call, nng_msg **ret_answer)
{
    enum fo_err err = call->err;

    if (err == FO_OK) {
        *ret_answer = call->answer;
        call->answer = NULL;
    }
    if (err == FO_ERR_TIMEOUT || err == FO_ERR_UNAVAILABLE)
        fo_conn_suspect(call->server, err == FO_ERR_TIMEOUT);
    return err;
}

int
fo_conn_attempt_ms(const struct fo_conn *c, int timeout_ms)
{
    return c->count > 1 && timeout_ms > 1 ? timeout_ms / 2 : timeout_ms;
}

enum fo_err
fo_conn_exchange(struct fo_conn *c, struct fo_slice body, int timeout_ms, nng_msg **ret_answer, bool *ret_is_in_doubt)
{
    int64_t until = fo_conn_now_ms() + timeout_ms, now;
    int attempt_ms = fo_conn_attempt_ms(c, timeout_ms);
    bool is_in_doubt = false;
    struct fo_call call;
    enum fo_err err;

    if ((err = fo_call_init(&call, c, NULL, NULL)) != FO_OK)
        return err;
    err = FO_ERR_UNAVAILABLE;
    while ((now = fo_conn_now_ms()) < until) {
        struct fo_server *s;
        int64_t connect_until = now + c->connect_timeout_ms;
        err = fo_conn_pick(c, connect_until < until ? connect_until : until, fo_conn_turn(c), &s);
        if (err != FO_OK)
            break;
        now = fo_conn_now_ms();
        err = fo_call_start(&call, s, body, until - now < attempt_ms ? (int)(until - now) + 1 : attempt_ms);
        if (err == FO_OK) {
            (void)fo_call_wait(&call, INT64_MAX / 4);   /* its own timeout ends it */
            err = fo_call_take(&call, ret_answer);
        }
        is_in_doubt |= err != FO_OK && call.was_sent;
        if (err != FO_ERR_TIMEOUT && err != FO_ERR_UNAVAILABLE)
            break;
        nng_msleep(BETWEEN_ATTEMPTS_MS);
    }
    fo_call_fini(&call);
    if (ret_is_in_doubt != NULL)
        *ret_is_in_doubt = is_in_doubt;
    if (err != FO_OK && is_in_doubt)
        return FO_ERR_TIMEOUT;
    return err == FO_ERR_TIMEOUT ? FO_ERR_UNAVAILABLE : err;
}
