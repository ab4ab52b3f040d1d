/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer. A call owns a REQ context; it is used for one request at a time and again for the next.
 *
 *   IDLE --start--> SENDING --sent--> RECEIVING --answer, error, timeout, cancel--> DONE --start or take--> ...
 *
 * The states change under the connection's lock; `notify` is called once per request when DONE is reached, on an NNG
 * thread, without locks. */
#pragma once
#include "base/bytes.h"
#include "client/conn.h"

enum fo_call_state { FO_CALL_IDLE, FO_CALL_SENDING, FO_CALL_RECEIVING, FO_CALL_DONE };

struct fo_call {
    struct fo_conn *conn;
    struct fo_server *server;           /* whom the context belongs to; null: no context yet */
    nng_ctx ctx;
    nng_aio *aio;
    enum fo_call_state state;
    int64_t until_ms;                   /* it ends by then, answered or not */
    enum fo_err err;                    /* in DONE */
    nng_msg *answer;                    /* in DONE with FO_OK, until taken */
    bool was_sent;                      /* the last request left: however it ended, the server may have acted on it */
    void (*notify)(void *user);         /* null: only `changed` is broadcast */
    void *user;
};

FO_MUST_CHECK enum fo_err fo_call_init(struct fo_call *call, struct fo_conn *conn, void (*notify)(void *user), void *user);
/* Ends what is in flight, and waits for that. Nothing can be started any more, but the last request's end can be looked at. */
void fo_call_stop(struct fo_call *call);
/* The same, and gives everything back. */
void fo_call_fini(struct fo_call *call);
/* Sends body (copied) to the server; IDLE or DONE before. Sending and the answer have timeout_ms together. On error nothing is in flight and the state is IDLE. */
FO_MUST_CHECK enum fo_err fo_call_start(struct fo_call *call, struct fo_server *server, struct fo_slice body, int timeout_ms);
/* In flight: ends soon with FO_ERR_UNAVAILABLE. Else nothing. */
void fo_call_cancel(struct fo_call *call);
/* Waits for the end, at most until then (monotonic ms); ends it when the server is lost and another one is there. False: still
 * under way. */
bool fo_call_wait(struct fo_call *call, int64_t until_ms);
/* DONE before. FO_OK: the answer, the caller's (nng_msg_free). FO_ERR_UNAVAILABLE, FO_ERR_TIMEOUT (the server is then under
 * suspicion). */
FO_MUST_CHECK enum fo_err fo_call_take(struct fo_call *call, nng_msg **ret_answer);

/* One exchange with whichever server answers, retried elsewhere until timeout_ms has passed in all. FO_ERR_UNAVAILABLE: it was not
 * sent to anyone. FO_ERR_TIMEOUT: it was, and nobody answered. ret_is_in_doubt (may be null), also with FO_OK: it was sent to someone
 * who did not answer. */
FO_MUST_CHECK enum fo_err fo_conn_exchange(struct fo_conn *c, struct fo_slice body, int timeout_ms, nng_msg **ret_answer,
    bool *ret_is_in_doubt);
/* How long one attempt may take, of so much time in all. */
int fo_conn_attempt_ms(const struct fo_conn *c, int timeout_ms);
