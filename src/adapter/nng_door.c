/* SPDX-License-Identifier: Apache-2.0
 *
 * The door: one REP socket with many contexts, each of which holds one request at a time.
 *
 *   RECEIVING -- request, posted to the inbox --> HELD -- door_reply --> SENDING -- sent --> RECEIVING
 *       `------- request, inbox full: busy answer -----------------------^
 *
 * A context belongs to NNG's thread while it is RECEIVING or SENDING, to the loop thread while it is HELD; the inbox hands it
 * over. When all are HELD further requests wait in their connections, where TCP holds them back. A request token is the
 * context's index and its generation, so that a late second answer cannot reach another client's request.
 *
 * A client that does not read keeps contexts SENDING. Its connection is closed when an answer has waited too long; sooner when
 * half of the contexts are taken by such answers and its own do not move; at once when they take too much memory. */
#include <stdlib.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/util/platform.h>

#include "adapter/nng_parts.h"
#include "base/assert.h"
#include "ports/log.h"
#include "wire/door.h"

enum { BUSY_RETRY_MS = 100, ANSWER_MS = 5000, STUCK_MS = 500, UNREAD_MIN = 4, SENDING_BYTES_MAX = 128 << 20 };

enum context_state { RECEIVING, HELD, SENDING };
struct fo_nng_context {
    struct fo_nng_door *door;
    nng_ctx ctx;
    nng_aio *aio;
    enum context_state state;
    uint32_t index, generation;
    nng_pipe pipe;              /* of the request */
    size_t answer_bytes;        /* SENDING */
};

static void
receive(struct fo_nng_context *c)
{
    c->state = RECEIVING;
    nng_aio_set_timeout(c->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(c->ctx, c->aio);
}

static struct fo_nng_unread *
unread_of(struct fo_nng_context *c)
{
    return &c->door->unread[(uint32_t)nng_pipe_id(c->pipe) % FO_NNG_UNREAD_SLOTS];
}

static void
drop_client(struct fo_nng_context *c)
{
    fo_log(FO_LOG_WARN, "client_closed", FO_S("reason", "it does not read its answers"));
    nng_pipe_close(c->pipe);
}

static bool
is_too_much(struct fo_nng_context *c)
{
    struct fo_nng_unread *u = unread_of(c);

    if (atomic_load(&u->count) < UNREAD_MIN)
        return false;
    if (atomic_load(&c->door->sending_bytes) > SENDING_BYTES_MAX)
        return true;
    return atomic_load(&c->door->sending) > c->door->contexts_count / 2 && nng_clock() - atomic_load(&u->moved_at_ms) > STUCK_MS;
}

static void
answer(struct fo_nng_context *c, struct fo_nng_spent *spent, struct fo_slice body)
{
    nng_msg *msg;

    if (is_too_much(c)) {
        drop_client(c);
        receive(c);
        return;
    }
    if (fo_nng_msg_of(spent, body, (struct fo_slice){ 0 }, &msg) != 0) {
        receive(c);         /* no memory: the client asks again */
        return;
    }
    c->state = SENDING;
    c->answer_bytes = body.n;
    atomic_fetch_add(&c->door->sending, 1);
    atomic_fetch_add(&c->door->sending_bytes, body.n);
    if (atomic_fetch_add(&unread_of(c)->count, 1) == 0)
        atomic_store(&unread_of(c)->moved_at_ms, nng_clock());
    nng_aio_set_timeout(c->aio, ANSWER_MS);
    nng_aio_set_msg(c->aio, msg);
    nng_ctx_send(c->ctx, c->aio);
}

static void
refuse(struct fo_nng_context *c, nng_msg *msg)
{
    const uint8_t *body = nng_msg_body(msg);
    bool is_json = nng_msg_len(msg) > 0 && (body[0] == '{' || body[0] == '[');

    nng_msg_free(msg);
    atomic_fetch_add(&c->door->refused, 1);
    answer(c, NULL, fo_buf_slice(is_json ? &c->door->busy_json : &c->door->busy_msgpack));
}

static void
take_request(struct fo_nng_context *c, nng_msg *msg)
{
    struct fo_input in = { .kind = FO_INPUT_REQUEST };

    c->state = HELD;
    c->generation++;
    c->pipe = nng_msg_get_pipe(msg);
    in.request = (uint64_t)c->generation << 32 | c->index;
    in.msg = (struct fo_msg){ msg, fo_slice_of(nng_msg_body(msg), nng_msg_len(msg)) };
    /* Once posted, the loop may answer before this call returns: the context is no longer ours. */
    if (fo_inbox_post(c->door->inbox, &in, false) != FO_OK)
        refuse(c, msg);
}

static void
on_done(void *arg)
{
    struct fo_nng_context *c = arg;
    int rv = nng_aio_result(c->aio);
    nng_msg *msg = nng_aio_get_msg(c->aio);

    if (c->state == SENDING) {
        atomic_fetch_sub(&c->door->sending, 1);
        atomic_fetch_sub(&c->door->sending_bytes, c->answer_bytes);
        atomic_fetch_sub(&unread_of(c)->count, 1);
        atomic_store(&unread_of(c)->moved_at_ms, nng_clock());
        if (rv == NNG_ETIMEDOUT)
            drop_client(c);
        if (rv != 0 && msg != NULL)
            nng_msg_free(msg);
        msg = NULL;
    }
    nng_aio_set_msg(c->aio, NULL);
    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    if (c->state == RECEIVING && rv == 0)
        take_request(c, msg);
    else
        receive(c);
}

static enum fo_err
encode_busy(struct fo_nng_door *door)
{
    struct fo_fault busy;
    enum fo_err err;

    fo_fault_set(&busy, FO_ERR_BUSY, "", "too many requests at once; retry after retryAfterMs");
    err = fo_error_answer_encode(FO_ENC_JSON, &busy, BUSY_RETRY_MS, &door->busy_json);
    if (err == FO_OK)
        err = fo_error_answer_encode(FO_ENC_MSGPACK, &busy, BUSY_RETRY_MS, &door->busy_msgpack);
    return err;
}

static int
open_contexts(struct fo_nng_door *door, unsigned count)
{
    int rv;

    door->contexts = calloc(count, sizeof(*door->contexts));
    if (door->contexts == NULL)
        return NNG_ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct fo_nng_context *c = &door->contexts[i];

        *c = (struct fo_nng_context){ .door = door, .index = i };
        if ((rv = nng_aio_alloc(&c->aio, on_done, c)) != 0)
            return rv;
        door->contexts_count++;
        if ((rv = nng_ctx_open(&c->ctx, door->socket)) != 0)
            return rv;
    }
    return 0;
}

enum fo_err
fo_nng_door_open(struct fo_nng_door *door, const struct fo_nng_config *config, const struct fo_nng_tls *tls, struct fo_fault *ret_fault)
{
    enum fo_err err;
    int rv;

    door->inbox = config->inbox;
    err = encode_busy(door);
    if (err != FO_OK)
        return fo_fault_set(ret_fault, err, "listen.door", "%s", fo_err_text(err));
    if ((rv = nng_rep0_open(&door->socket)) != 0 ||
        (rv = nng_socket_set_size(door->socket, NNG_OPT_RECVMAXSZ, config->request_bytes_max)) != 0 ||
        (rv = open_contexts(door, config->requests_max)) != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), "listen.door", "cannot open the socket: %s", nng_strerror(rv));
    err = fo_nng_listener_open(&door->listener, door->socket, "listen.door", config->door, tls, ret_fault);
    for (unsigned i = 0; err == FO_OK && i < door->contexts_count; i++)
        receive(&door->contexts[i]);
    return err;
}

void
fo_nng_door_reply(struct fo_nng_door *door, struct fo_nng_spent *spent, uint64_t request, struct fo_slice body)
{
    uint32_t index = (uint32_t)request;
    struct fo_nng_context *c;

    fo_assert(index < door->contexts_count);
    c = &door->contexts[index];
    fo_assert(c->state == HELD && c->generation == request >> 32);      /* answered exactly once */
    answer(c, spent, body);
}

void
fo_nng_door_close(struct fo_nng_door *door)
{
    if (door->socket.id != 0)
        nng_close(door->socket);
    for (unsigned i = 0; i < door->contexts_count; i++)
        nng_aio_free(door->contexts[i].aio);
    free(door->contexts);
    fo_buf_fini(&door->busy_json);
    fo_buf_fini(&door->busy_msgpack);
    if (door->listener.key != NULL)
        fo_nng_listener_fini(&door->listener);
}
