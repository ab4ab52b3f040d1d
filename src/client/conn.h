/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to the brokers of one client: a REQ socket per address, opened when first needed, nearest first.
 *
 * NNG reconnects by itself, except that in 1.5.2 a connection that is closed and reset while it is being made ends a tcp
 * dialer for good. So a thread, the keeper, replaces the dialer of a socket that has been without a connection for a while, and
 * some time after each dialing finds out by a trial connection why there is none. It sleeps as long as every opened socket is connected.
 *
 * Locks: `lock` guards what changes here and the state of calls; no NNG function is called while it is held, because
 * NNG's callbacks take it. `changed` is broadcast when a connection comes or goes and when a call ends. */
#pragma once
#include <fanout/client.h>

#include <nng/nng.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/names.h"
#include "client/reach.h"
#include "client/tls.h"

enum { FO_ADDRESSES_MAX = FO_REGIONS_MAX, FO_ADDRESS_BYTES_MAX = 255, FO_CONN_WHY_BYTES = 2048 };

struct fo_conn;

struct fo_server {                      /* one address */
    struct fo_conn *conn;
    char address[FO_ADDRESS_BYTES_MAX + 1];
    char tls_name[FO_TLS_NAME_BYTES_MAX + 1];
    struct nng_tls_config *tls, *tls_lenient;   /* null: not a tls+tcp address; lenient: for the trial alone */
    nng_socket socket;
    nng_dialer dialer;                  /* keeper's and opener's, under dial_lock */
    bool is_open, has_dialer;
    unsigned pipes;                     /* connections that stand: 0 or 1 */
    int64_t down_since_ms, redial_at_ms, redial_wait_ms;
    struct fo_reach trial;              /* keeper's */
    bool is_trying, is_step_due, has_verdict;
    int64_t try_at_ms;
    char why[FO_WHY_BYTES];             /* the trial's; empty: there is nothing to tell */
    int64_t suspect_until_ms;           /* did not answer in time: others first until then */
    bool is_on_trial;                   /* was lost, and is not yet back for long enough to be preferred */
    int64_t trial_from_ms;
    char region[FO_REGION_BYTES_MAX + 1];   /* as its broker said; empty: not asked yet */
};

struct fo_conn {
    pthread_mutex_t lock;
    pthread_cond_t changed;             /* monotonic clock */
    pthread_mutex_t dial_lock;          /* opening sockets and replacing dialers; taken before `lock` */
    pthread_t keeper;
    bool is_stopping;
    struct fo_server server[FO_ADDRESSES_MAX];
    unsigned count;
    int timeout_ms, connect_timeout_ms, failback_ms;
    int stagger_ms;                     /* head start of each address before the next is tried */
    bool has_cert;                      /* of its own, to show */
    unsigned request_bytes_max;
    unsigned turns;                     /* given out */
    int64_t cancelled_ms;               /* when a request was last given up whose answer may still be on its way; 0: never */
};

int64_t fo_conn_now_ms(void);
/* Waits for `changed` until then (monotonic ms); the lock is held. False: the time has come. */
bool fo_conn_wait(struct fo_conn *c, int64_t until_ms);
bool fo_conn_wait_ns(struct fo_conn *c, int64_t until_ns);

/* FO_ERR_INVALID with the reason in ret_why (room for 256 bytes), FO_ERR_NO_MEMORY. Dials the first address. */
FO_MUST_CHECK enum fo_err fo_conn_create(const struct fanout_options *options, struct fo_conn **ret_conn, char *ret_why);
/* Closes the sockets; no call may be in flight. In NNG 1.5.2 closing while a message is being received can hang for ever: answers
 * to requests given up get a moment to arrive first, and a close that hangs all the same is left behind with its memory. */
void fo_conn_destroy(struct fo_conn *c);

/* Who asks, as a number below FO_CONN_TURNS: an address that was lost and is back is given those below a growing number, so that who
 * keeps its turn moves back to it once. The next one; the lock is not held. */
enum { FO_CONN_TURNS = 16 };
unsigned fo_conn_turn(struct fo_conn *c);
/* The nearest address that is connected and not under suspicion, else the nearest that is connected; opens further addresses one by
 * one while there is none. FO_ERR_UNAVAILABLE at until_ms. */
FO_MUST_CHECK enum fo_err fo_conn_pick(struct fo_conn *c, int64_t until_ms, unsigned turn, struct fo_server **ret_server);
/* The same without waiting or opening; null when none is connected. The lock is held. */
struct fo_server *fo_conn_best(struct fo_conn *c, int64_t now_ms, unsigned turn);
/* "no broker can be reached: ADDRESS: why; ADDRESS: ...", for people. The lock is not held. */
void fo_conn_say_why(struct fo_conn *c, char ret_text[FO_CONN_WHY_BYTES]);
/* True when the connection has been gone for a moment and another address is connected. The lock is held. */
bool fo_conn_is_lost(struct fo_server *s, int64_t now_ms);
/* It did not answer in time (is_silent), or the connection was lost under a request, which is known here a moment before the
 * connection counts as gone. The lock is not held. */
void fo_conn_suspect(struct fo_server *s, bool is_silent);
