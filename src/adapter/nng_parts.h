/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the NNG adapter share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "adapter/nng_transport.h"
#include "base/time.h"

/* nng_pipes.c: the connections of one socket, as its pipe callbacks tell. */
struct fo_nng_pipe { uint32_t id, listener; bool is_up; nng_sockaddr remote; };
struct fo_nng_pipes { pthread_mutex_t mutex; struct fo_nng_pipe *pipes; unsigned count, cap; atomic_uint up; };
void fo_nng_pipes_init(struct fo_nng_pipes *pipes);
void fo_nng_pipes_fini(struct fo_nng_pipes *pipes);
/* For every event of a pipe. 1: the pipe can carry messages from now on; -1: no longer; 0: neither. */
int fo_nng_pipes_note(struct fo_nng_pipes *pipes, nng_pipe pipe, nng_pipe_ev ev);
unsigned fo_nng_pipes_count_of(struct fo_nng_pipes *pipes, uint32_t listener);
bool fo_nng_pipes_has_remote(struct fo_nng_pipes *pipes, const struct sockaddr_storage *remote);
/* All three events of a socket to one callback. */
FO_MUST_CHECK int fo_nng_pipes_watch(nng_socket socket, nng_pipe_cb on_event, void *arg);

/* nng_patience.c: the kernel gives up a tcp connection over which nothing passes, in seconds instead of many minutes. */
void fo_nng_patience_dialed(nng_pipe pipe);         /* in ADD_PRE; of any transport */
void fo_nng_patience_listening(nng_listener listener);  /* started; for what it accepts from now on */

/* nng_tls.c */
struct fo_nng_tls { char *cert, *key, *ca; };   /* PEM texts; null: no TLS configured */
FO_MUST_CHECK enum fo_err fo_nng_tls_read(const struct fo_nng_config *config, struct fo_nng_tls *ret_tls, struct fo_fault *ret_fault);
void fo_nng_tls_fini(struct fo_nng_tls *tls);
/* Mutual: either side shows its certificate, and the other's must come from ca. host: what the server's certificate must name. */
FO_MUST_CHECK enum fo_err fo_nng_tls_server(const struct fo_nng_tls *tls, nng_tls_config **ret_config, struct fo_fault *ret_fault);
FO_MUST_CHECK enum fo_err fo_nng_tls_client(const struct fo_nng_tls *tls, const char *host, nng_tls_config **ret_config,
    struct fo_fault *ret_fault);
bool fo_nng_url_is_tls(const char *url);
/* nng_tls_trial.c: do the files go together? */
FO_MUST_CHECK enum fo_err fo_nng_tls_try(const struct fo_nng_config *config, const struct fo_nng_tls *tls, struct fo_fault *ret_fault);

/* nng_listener.c: one socket listening on one URL, whatever becomes of the listener in it. */
enum { FO_NNG_RETIRED_MAX = 16, FO_NNG_LEFT_MAX = 64 };
struct fo_nng_left { int fd; uint64_t inode; };     /* what NNG may forget to close */
struct fo_nng_retired {
    nng_listener listener;
    bool is_closed; struct fo_instant closed_at;
    struct fo_nng_left left[FO_NNG_LEFT_MAX]; unsigned left_count;
};
struct fo_nng_listener {
    nng_socket socket;
    nng_listener current;
    struct fo_nng_retired retired[FO_NNG_RETIRED_MAX]; unsigned retired_count;
    const char *key;                    /* "listen.door" */
    char *url;                          /* with the port bound; null: not in use */
    nng_tls_config *tls, *probe_tls;    /* probe_tls: what the watchdog shows */
    bool is_tcp, is_closed;             /* is_tcp: plain tcp:// */
    struct sockaddr_storage address; socklen_t address_bytes;   /* bound; to be probed if is_probed, over TLS if tls */
    bool is_probed;
    struct fo_nng_pipes pipes;
};
/* Takes over the socket's pipe events. The caller has set the socket's other options. */
FO_MUST_CHECK enum fo_err fo_nng_listener_open(struct fo_nng_listener *l, nng_socket socket, const char *key, const char *url,
    const struct fo_nng_tls *tls, struct fo_fault *ret_fault);
/* Watchdog: a new listener on the same address; established connections go on where possible. False: not possible now, call again. */
FO_MUST_CHECK bool fo_nng_listener_replace(struct fo_nng_listener *l, struct fo_instant now);
void fo_nng_listener_reap(struct fo_nng_listener *l, struct fo_instant now);    /* closes retired ones whose connections are gone */
void fo_nng_listener_fini(struct fo_nng_listener *l);   /* after nng_close */

/* nng_rescue.c: takes the address from the dead listener in l->current without touching its connections, but for those that it
 * accepted and never served: they are cut off and noted in `retired`. False: could not; close the listener instead. */
FO_MUST_CHECK bool fo_nng_rescue_address(struct fo_nng_listener *l, struct fo_nng_retired *retired);
/* Notes the listener and all its connections in `retired`. */
void fo_nng_rescue_note(struct fo_nng_listener *l, struct fo_nng_retired *retired);
/* Closes what was noted and is still there. */
void fo_nng_rescue_sweep(struct fo_nng_retired *retired);

/* nng_spent.c: messages that were received and read, to be sent again. Loop thread. */
enum { FO_NNG_SPENT_MAX = 4 };
struct fo_nng_spent { struct { nng_msg *msg; size_t bytes; } kept[FO_NNG_SPENT_MAX]; unsigned count; size_t bytes; };
void fo_nng_spent_keep(struct fo_nng_spent *s, nng_msg *take_msg);      /* or frees it */
/* A message of the bytes of both, from what is kept if there is one that fits; s null: a new one, on any thread. NNG's error. */
FO_MUST_CHECK int fo_nng_msg_of(struct fo_nng_spent *s, struct fo_slice first, struct fo_slice second, nng_msg **ret_msg);
void fo_nng_spent_fini(struct fo_nng_spent *s);

/* nng_door.c */
struct fo_nng_context;
enum { FO_NNG_UNREAD_SLOTS = 1024 };
struct fo_nng_unread { atomic_uint count; atomic_ullong moved_at_ms; };    /* answers on their way; when one last got through */
struct fo_nng_door {
    nng_socket socket;
    struct fo_nng_listener listener;
    struct fo_nng_context *contexts; unsigned contexts_count;
    struct fo_inbox *inbox;
    struct fo_buf busy_json, busy_msgpack;      /* answers for a full inbox, encoded once */
    atomic_uint sending;
    atomic_ullong sending_bytes;
    struct fo_nng_unread unread[FO_NNG_UNREAD_SLOTS];   /* by connection (its id's low bits) */
    atomic_ullong refused;
};
FO_MUST_CHECK enum fo_err fo_nng_door_open(struct fo_nng_door *door, const struct fo_nng_config *config, const struct fo_nng_tls *tls,
    struct fo_fault *ret_fault);
void fo_nng_door_reply(struct fo_nng_door *door, struct fo_nng_spent *spent, uint64_t request, struct fo_slice body);
void fo_nng_door_close(struct fo_nng_door *door);

/* nng_link.c */
struct fo_nng_dialer {                  /* one connection to one peer */
    nng_socket socket;
    nng_dialer current;
    char *url;
    nng_tls_config *tls;
    unsigned peer; enum fo_link_class cls;
    struct fo_inbox *inbox;
    pthread_mutex_t mutex;              /* keeps LINK_UP and LINK_DOWN in order */
    struct fo_nng_pipes pipes;
    bool is_open;
    struct fo_instant idle_since; unsigned redials;     /* watchdog only */
};
FO_MUST_CHECK enum fo_err fo_nng_dialer_open(struct fo_nng_dialer *d, const struct fo_nng_peer *peer, unsigned position,
    enum fo_link_class cls, const struct fo_nng_tls *tls, struct fo_inbox *inbox, struct fo_fault *ret_fault);
/* Watchdog: closes the dialer and dials anew; only while there is no connection. */
FO_MUST_CHECK bool fo_nng_dialer_redial(struct fo_nng_dialer *d);
FO_MUST_CHECK enum fo_err fo_nng_dialer_send(struct fo_nng_dialer *d, struct fo_nng_spent *spent, struct fo_slice frame);
void fo_nng_dialer_close(struct fo_nng_dialer *d);

struct fo_nng_inlet {                   /* the link listener */
    nng_socket socket;
    struct fo_nng_listener listener;
    nng_aio *aio;
    struct fo_inbox *inbox;
    bool (*is_urgent)(struct fo_slice frame);
    atomic_ullong dropped;
};
FO_MUST_CHECK enum fo_err fo_nng_inlet_open(struct fo_nng_inlet *inlet, const struct fo_nng_config *config, const struct fo_nng_tls *tls,
    struct fo_fault *ret_fault);
void fo_nng_inlet_close(struct fo_nng_inlet *inlet);

/* nng_watchdog.c */
struct fo_nng_watchdog {
    struct fo_nng_listener *listeners[FO_NNG_ENDS]; unsigned listeners_count;
    struct fo_nng_dialer *dialers; unsigned dialers_count;
    pthread_t thread; pthread_mutex_t mutex; pthread_cond_t stop; bool is_started, is_stopping;
    atomic_ullong listeners_revived, dialers_redialed;
};
FO_MUST_CHECK enum fo_err fo_nng_watchdog_start(struct fo_nng_watchdog *dog);
void fo_nng_watchdog_stop(struct fo_nng_watchdog *dog);

/* nng_transport.c */
enum fo_err fo_nng_err(int rv);         /* NNG's errors in our words */
