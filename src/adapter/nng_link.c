/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: PUB sockets that dial the peers, and the SUB socket that the peers dial.
 *
 * A PUB socket drops its oldest message without a word when a connection's queue is full, and everything while there is no
 * connection: what is sent here may be lost, and the core's window, acks and retransmission make up for it. One
 * socket per connection, because PUB sends each message to every connection it has. Buffers are sized before the first
 * dial or listen and never again: resizing them later overflows the heap, in 1.10 too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>

#include "adapter/nng_parts.h"
#include "base/assert.h"
#include "ports/log.h"

enum {
    LINK_SEND_MESSAGES = 1024,          /* well above any window */
    INLET_RECEIVE_MESSAGES = 8192,      /* the most that NNG allows */
    PUB_RECEIVE_BYTES_MAX = 1024,       /* nobody sends to a PUB socket; 0 would mean without limit */
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 800,
};

static void
on_dialer_pipe(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
    struct fo_nng_dialer *d = arg;
    struct fo_input in = { .peer = d->peer, .cls = d->cls };
    int change;

    if (ev == NNG_PIPE_EV_ADD_PRE)
        fo_nng_patience_dialed(pipe);
    pthread_mutex_lock(&d->mutex);
    change = fo_nng_pipes_note(&d->pipes, pipe, ev);
    if (change != 0) {
        in.kind = change > 0 ? FO_INPUT_LINK_UP : FO_INPUT_LINK_DOWN;
        /* While an old connection goes, a new one may stand already: that is not DOWN. */
        if (change > 0 || atomic_load(&d->pipes.up) == 0) {
            enum fo_err err = fo_inbox_post(d->inbox, &in, true);

            fo_assert(err == FO_OK);
        }
    }
    pthread_mutex_unlock(&d->mutex);
}

static int
dial(struct fo_nng_dialer *d)
{
    nng_dialer dialer;
    int rv;

    rv = nng_dialer_create(&dialer, d->socket, d->url);
    if (rv != 0)
        return rv;
    if ((d->tls != NULL && (rv = nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, d->tls)) != 0) ||
        (rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK)) != 0) {
        nng_dialer_close(dialer);
        return rv;
    }
    d->current = dialer;
    return 0;
}

static enum fo_err
make_client_tls(struct fo_nng_dialer *d, const struct fo_nng_tls *tls, const char *key, struct fo_fault *ret_fault)
{
    nng_url *parsed;
    enum fo_err err;

    if (nng_url_parse(&parsed, d->url) != 0)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, key, "%s is not a valid URL", d->url);
    err = fo_nng_tls_client(tls, parsed->u_hostname, &d->tls, ret_fault);
    nng_url_free(parsed);
    return err;
}

enum fo_err
fo_nng_dialer_open(struct fo_nng_dialer *d, const struct fo_nng_peer *peer, unsigned position, enum fo_link_class cls,
    const struct fo_nng_tls *tls, struct fo_inbox *inbox, struct fo_fault *ret_fault)
{
    char key[32];
    enum fo_err err;
    int rv;

    snprintf(key, sizeof(key), "peers[%u].link", position);
    *d = (struct fo_nng_dialer){ .peer = peer->index, .cls = cls, .inbox = inbox, .is_open = true };
    pthread_mutex_init(&d->mutex, NULL);
    fo_nng_pipes_init(&d->pipes);
    d->url = strdup(peer->url);
    if (d->url == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, key, "out of memory");
    if (fo_nng_url_is_tls(d->url) && (err = make_client_tls(d, tls, key, ret_fault)) != FO_OK)
        return err;
    if (d->tls == NULL && strncmp(d->url, "tcp://", 6) != 0 && strncmp(d->url, "ipc://", 6) != 0)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, key, "%s: begin it with tcp://, tls+tcp:// or ipc://", d->url);
    if ((rv = nng_pub0_open(&d->socket)) != 0 ||
        (rv = nng_socket_set_int(d->socket, NNG_OPT_SENDBUF, LINK_SEND_MESSAGES)) != 0 ||
        (rv = nng_socket_set_size(d->socket, NNG_OPT_RECVMAXSZ, PUB_RECEIVE_BYTES_MAX)) != 0 ||
        (rv = nng_socket_set_ms(d->socket, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN)) != 0 ||
        (rv = nng_socket_set_ms(d->socket, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX)) != 0 ||
        (rv = fo_nng_pipes_watch(d->socket, on_dialer_pipe, d)) != 0 || (rv = dial(d)) != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), key, "cannot dial %s: %s", d->url, nng_strerror(rv));
    return FO_OK;
}

bool
fo_nng_dialer_redial(struct fo_nng_dialer *d)
{
    int rv;

    if (d->current.id != 0)
        nng_dialer_close(d->current);
    d->current = (nng_dialer){ 0 };
    rv = dial(d);
    if (rv != 0)
        fo_log(FO_LOG_WARN, "dialer_not_back", FO_S("url", d->url), FO_S("reason", nng_strerror(rv)));
    else
        fo_log(FO_LOG_DEBUG, "dialer_redialed", FO_S("url", d->url), FO_S("class", d->cls == FO_LINK_URGENT ? "urgent" : "bulk"));
    return rv == 0;
}

enum fo_err
fo_nng_dialer_send(struct fo_nng_dialer *d, struct fo_nng_spent *spent, struct fo_slice frame)
{
    nng_msg *msg;

    if (atomic_load(&d->pipes.up) == 0)
        return FO_ERR_CLOSED;
    if (fo_nng_msg_of(spent, frame, (struct fo_slice){ 0 }, &msg) != 0)
        return FO_ERR_NO_MEMORY;
    if (nng_sendmsg(d->socket, msg, 0) != 0) {      /* a PUB socket never makes its sender wait */
        nng_msg_free(msg);
        return FO_ERR_CLOSED;
    }
    return FO_OK;
}

void
fo_nng_dialer_close(struct fo_nng_dialer *d)
{
    if (!d->is_open)
        return;
    if (d->socket.id != 0)
        nng_close(d->socket);
    if (d->tls != NULL)
        nng_tls_config_free(d->tls);
    free(d->url);
    fo_nng_pipes_fini(&d->pipes);
    pthread_mutex_destroy(&d->mutex);
}

/* The one receive that is always pending. A full inbox costs the frame: its sender repeats it, more slowly. */
static void
on_frame(void *arg)
{
    struct fo_nng_inlet *inlet = arg;
    int rv = nng_aio_result(inlet->aio);
    struct fo_input in = { .kind = FO_INPUT_FRAME };
    nng_msg *msg;
    bool is_urgent;

    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    if (rv == 0) {
        msg = nng_aio_get_msg(inlet->aio);
        nng_aio_set_msg(inlet->aio, NULL);
        in.msg = (struct fo_msg){ msg, fo_slice_of(nng_msg_body(msg), nng_msg_len(msg)) };
        is_urgent = inlet->is_urgent != NULL && inlet->is_urgent(in.msg.body);
        if (fo_inbox_post(inlet->inbox, &in, is_urgent) != FO_OK) {
            nng_msg_free(msg);
            atomic_fetch_add(&inlet->dropped, 1);
        }
    }
    nng_recv_aio(inlet->socket, inlet->aio);
}

enum fo_err
fo_nng_inlet_open(struct fo_nng_inlet *inlet, const struct fo_nng_config *config, const struct fo_nng_tls *tls, struct fo_fault *ret_fault)
{
    enum fo_err err;
    int rv;

    inlet->inbox = config->inbox;
    inlet->is_urgent = config->is_urgent;
    if ((rv = nng_aio_alloc(&inlet->aio, on_frame, inlet)) != 0 ||
        (rv = nng_sub0_open(&inlet->socket)) != 0 ||
        (rv = nng_socket_set_int(inlet->socket, NNG_OPT_RECVBUF, INLET_RECEIVE_MESSAGES)) != 0 ||
        (rv = nng_socket_set_size(inlet->socket, NNG_OPT_RECVMAXSZ, config->frame_bytes_max)) != 0 ||
        (rv = nng_socket_set(inlet->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0)) != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), "listen.link", "cannot open the socket: %s", nng_strerror(rv));
    nng_aio_set_timeout(inlet->aio, NNG_DURATION_INFINITE);
    err = fo_nng_listener_open(&inlet->listener, inlet->socket, "listen.link", config->link, tls, ret_fault);
    if (err == FO_OK)
        nng_recv_aio(inlet->socket, inlet->aio);
    return err;
}

void
fo_nng_inlet_close(struct fo_nng_inlet *inlet)
{
    if (inlet->socket.id != 0)
        nng_close(inlet->socket);
    if (inlet->aio != NULL)
        nng_aio_free(inlet->aio);
    if (inlet->listener.key != NULL)
        fo_nng_listener_fini(&inlet->listener);
}
