/* SPDX-License-Identifier: Apache-2.0
 *
 * Joins the parts to the transport port. The port's calls come from the loop thread; nothing here waits for the network:
 * a reply is handed to NNG with its context's aio, a PUB socket never makes its sender wait.
 *
 * Sockets are opened once and never churned. Nothing is inserted into a message (nng_msg_insert is broken in 1.5.2). Every socket has a
 * receive limit: without one, NNG allocates what a header claims. */
#include <stdlib.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>

#include "adapter/nng_parts.h"
#include "base/assert.h"

enum {
    FEED_SEND_MESSAGES = 1024,          /* per subscriber; the oldest is dropped beyond */
    FEED_RECEIVE_BYTES_MAX = 1024,
    WRITE_OUT_MS = 20,                  /* a reply that NNG has taken over may still be on its way into the kernel */
};

struct transport {
    struct fo_transport base;           /* first, so that the port's handle is ours */
    struct fo_inbox *inbox;
    struct fo_nng_tls tls;
    struct fo_nng_door door;
    struct fo_nng_inlet inlet;
    struct { nng_socket socket; struct fo_nng_listener listener; } feed;
    struct fo_nng_dialer *dialers; unsigned dialers_count;     /* FO_LINK_CLASSES for each peer */
    struct fo_nng_dialer *of_peer[FO_REGIONS_MAX];              /* the first of a peer's dialers, or null */
    struct fo_nng_watchdog dog;
    struct fo_nng_spent spent;
};

enum fo_err
fo_nng_err(int rv)
{
    switch (rv) {
    case 0: return FO_OK;
    case NNG_ENOMEM: return FO_ERR_NO_MEMORY;
    case NNG_EADDRINUSE: return FO_ERR_LOCKED;
    case NNG_EPERM: return FO_ERR_PERMISSION;
    case NNG_EINVAL: case NNG_EADDRINVAL: case NNG_ENOTSUP: case NNG_ECRYPTO: return FO_ERR_CONFIG;
    case NNG_ECLOSED: return FO_ERR_CLOSED;
    case NNG_ETIMEDOUT: return FO_ERR_TIMEOUT;
    default: return FO_ERR_IO;
    }
}

static struct transport *
ours(struct fo_transport *t)
{
    return (struct transport *)t;
}

static enum fo_err
link_send(struct fo_transport *base, unsigned peer, enum fo_link_class cls, struct fo_slice frame)
{
    struct transport *t = ours(base);

    fo_assert(peer < FO_REGIONS_MAX && t->of_peer[peer] != NULL && cls < FO_LINK_CLASSES);
    return fo_nng_dialer_send(t->of_peer[peer] + cls, &t->spent, frame);
}

static void
door_reply(struct fo_transport *t, uint64_t request, struct fo_slice body)
{
    fo_nng_door_reply(&ours(t)->door, &ours(t)->spent, request, body);
}

static bool
feed_has_subscribers(struct fo_transport *t)
{
    return atomic_load(&ours(t)->feed.listener.pipes.up) > 0;
}

static void
feed_publish(struct fo_transport *t, struct fo_slice topic, struct fo_slice body)
{
    nng_msg *msg;

    if (!feed_has_subscribers(t) || fo_nng_msg_of(NULL, topic, body, &msg) != 0)
        return;
    if (nng_sendmsg(ours(t)->feed.socket, msg, 0) != 0)
        nng_msg_free(msg);
}

static void
msg_free(struct fo_transport *t, struct fo_msg *take_msg)
{
    if (take_msg->handle != NULL)
        fo_nng_spent_keep(&ours(t)->spent, take_msg->handle);
    *take_msg = (struct fo_msg){ 0 };
}

static const struct fo_transport_ops ops = {
    .link_send = link_send,
    .door_reply = door_reply,
    .feed_has_subscribers = feed_has_subscribers,
    .feed_publish = feed_publish,
    .msg_free = msg_free,
};

static enum fo_err
open_feed(struct transport *t, const char *url, struct fo_fault *ret_fault)
{
    int rv;

    if ((rv = nng_pub0_open(&t->feed.socket)) != 0 ||
        (rv = nng_socket_set_int(t->feed.socket, NNG_OPT_SENDBUF, FEED_SEND_MESSAGES)) != 0 ||
        (rv = nng_socket_set_size(t->feed.socket, NNG_OPT_RECVMAXSZ, FEED_RECEIVE_BYTES_MAX)) != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), "listen.feed", "cannot open the socket: %s", nng_strerror(rv));
    return fo_nng_listener_open(&t->feed.listener, t->feed.socket, "listen.feed", url, &t->tls, ret_fault);
}

static enum fo_err
open_links(struct transport *t, const struct fo_nng_config *config, struct fo_fault *ret_fault)
{
    enum fo_err err = FO_OK;

    t->dialers = calloc((size_t)config->peers_count * FO_LINK_CLASSES + 1, sizeof(*t->dialers));
    if (t->dialers == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "peers", "out of memory");
    for (unsigned i = 0; i < config->peers_count; i++) {
        const struct fo_nng_peer *peer = &config->peers[i];

        fo_assert(peer->index < FO_REGIONS_MAX && t->of_peer[peer->index] == NULL);
        t->of_peer[peer->index] = &t->dialers[t->dialers_count];
        for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++) {
            err = fo_nng_dialer_open(&t->dialers[t->dialers_count++], peer, i, (enum fo_link_class)cls, &t->tls, config->inbox, ret_fault);
            if (err != FO_OK)
                return err;
        }
    }
    return err;
}

static bool
is_tls_used(const struct fo_nng_config *config)
{
    bool is_used = fo_nng_url_is_tls(config->door) || fo_nng_url_is_tls(config->link) ||
        (config->feed != NULL && fo_nng_url_is_tls(config->feed));

    for (unsigned i = 0; i < config->peers_count; i++)
        is_used |= fo_nng_url_is_tls(config->peers[i].url);
    return is_used;
}

static enum fo_err
start_watchdog(struct transport *t, struct fo_fault *ret_fault)
{
    struct fo_nng_watchdog *dog = &t->dog;
    enum fo_err err;

    dog->listeners[dog->listeners_count++] = &t->door.listener;
    dog->listeners[dog->listeners_count++] = &t->inlet.listener;
    if (t->feed.listener.key != NULL)
        dog->listeners[dog->listeners_count++] = &t->feed.listener;
    dog->dialers = t->dialers;
    dog->dialers_count = t->dialers_count;
    err = fo_nng_watchdog_start(dog);
    return err == FO_OK ? err : fo_fault_set(ret_fault, err, "", "cannot start a thread");
}

enum fo_err
fo_nng_transport_open(const struct fo_nng_config *config, struct fo_transport **ret_transport, struct fo_fault *ret_fault)
{
    struct transport *t = calloc(1, sizeof(*t));
    enum fo_err err = FO_OK;

    fo_assert(config->requests_max > 0 && config->request_bytes_max > 0 && config->frame_bytes_max > 0);
    if (t == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "", "out of memory");
    t->base.ops = &ops;
    t->inbox = config->inbox;
    if (is_tls_used(config))
        err = fo_nng_tls_read(config, &t->tls, ret_fault);
    if (err == FO_OK)
        err = fo_nng_inlet_open(&t->inlet, config, &t->tls, ret_fault);
    if (err == FO_OK && config->feed != NULL)
        err = open_feed(t, config->feed, ret_fault);
    if (err == FO_OK)
        err = open_links(t, config, ret_fault);
    if (err == FO_OK)                   /* the door last: nobody is let in before the rest stands */
        err = fo_nng_door_open(&t->door, config, &t->tls, ret_fault);
    if (err == FO_OK)
        err = start_watchdog(t, ret_fault);
    fo_nng_tls_fini(&t->tls);           /* NNG has its own copies */
    if (err == FO_OK)
        *ret_transport = &t->base;
    else
        fo_nng_transport_close(&t->base);
    return err;
}

static void
sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

bool
fo_nng_transport_flush(struct fo_transport *base, int timeout_ms)
{
    struct transport *t = ours(base);

    while (atomic_load(&t->door.sending) > 0 && timeout_ms > 0) {
        sleep_ms(1);
        timeout_ms--;
    }
    sleep_ms(WRITE_OUT_MS);
    return atomic_load(&t->door.sending) == 0;
}

static void
empty_inbox(struct transport *t)
{
    struct fo_input inputs[64];
    unsigned n;

    while ((n = fo_inbox_take(t->inbox, inputs, 64, 0)) > 0) {
        for (unsigned i = 0; i < n; i++)
            msg_free(&t->base, &inputs[i].msg);
    }
}

void
fo_nng_transport_close(struct fo_transport *base)
{
    struct transport *t = ours(base);

    fo_nng_watchdog_stop(&t->dog);
    fo_nng_door_close(&t->door);
    for (unsigned i = 0; i < t->dialers_count; i++)
        fo_nng_dialer_close(&t->dialers[i]);
    fo_nng_inlet_close(&t->inlet);
    if (t->feed.socket.id != 0)
        nng_close(t->feed.socket);
    if (t->feed.listener.key != NULL)
        fo_nng_listener_fini(&t->feed.listener);
    empty_inbox(t);
    fo_nng_spent_fini(&t->spent);
    free(t->dialers);
    free(t);
}

const char *
fo_nng_transport_url(const struct fo_transport *base, enum fo_nng_end end)
{
    const struct transport *t = (const struct transport *)base;

    switch (end) {
    case FO_NNG_DOOR: return t->door.listener.url;
    case FO_NNG_FEED: return t->feed.listener.url;
    case FO_NNG_LINK: return t->inlet.listener.url;
    default: return NULL;
    }
}

void
fo_nng_transport_stats(const struct fo_transport *base, struct fo_nng_stats *ret_stats)
{
    struct transport *t = (struct transport *)base;

    *ret_stats = (struct fo_nng_stats){
        .frames_dropped = atomic_load(&t->inlet.dropped),
        .requests_refused = atomic_load(&t->door.refused),
        .listeners_revived = atomic_load(&t->dog.listeners_revived),
        .dialers_redialed = atomic_load(&t->dog.dialers_redialed),
    };
}
