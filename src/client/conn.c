/* SPDX-License-Identifier: Apache-2.0
 *
 * See conn.h. */
#include "client/conn.h"

#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/door.h"

enum {
    STAGGER_MS = 200, STAGGERS_MS_MAX = 1000,   /* head start of each address before the next is tried; of all together at most */
    LOST_MS = 300,              /* without a connection for so long: its calls go elsewhere */
    SUSPECT_MS = 5000,
    REDIAL_MS = 700,            /* a dialer without a connection for so long is replaced, then after twice as long... */
    REDIAL_MS_MAX = 5000,       /* ...up to this, so that a slow handshake is not cut off for ever */
    TRY_MS = 100,               /* after dialing, if there is no connection by then, to find out why */
    TRY_MS_MAX = 10000,         /* of one trial; as long as NNG gives its own greeting */
    RECONNECT_MS_MIN = 20, RECONNECT_MS_MAX = 500,
    ANSWER_BYTES_MAX = FO_REQUEST_EVENTS_MAX * FO_RESULT_BYTES_MAX + 4096,  /* an answer over it would cost the connection */
    REQUEST_BYTES_MIN = 4096, REQUEST_BYTES_MAX = 64 << 20,     /* what a broker's limits.request_bytes_max may be */
    SETTLE_MS = 100, CLOSE_S_MAX = 2,
};

int64_t
fo_conn_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool
fo_conn_wait_ns(struct fo_conn *c, int64_t until_ns)
{
    struct timespec t = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

    return pthread_cond_timedwait(&c->changed, &c->lock, &t) == 0;
}

bool
fo_conn_wait(struct fo_conn *c, int64_t until_ms)
{
    return fo_conn_wait_ns(c, until_ms < INT64_MAX / 1000000 ? until_ms * 1000000 : INT64_MAX);
}

static void
pipe_came_or_went(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct fo_server *s = arg;

    (void)pipe;
    pthread_mutex_lock(&s->conn->lock);
    if (event == NNG_PIPE_EV_ADD_POST) {
        s->pipes++;
        s->suspect_until_ms = 0;
        s->trial_from_ms = fo_conn_now_ms();
        s->redial_wait_ms = REDIAL_MS;
        s->why[0] = '\0';
        s->has_verdict = false;
    } else if (s->pipes > 0 && --s->pipes == 0) {
        s->down_since_ms = fo_conn_now_ms();
        s->is_on_trial = true;
        s->redial_at_ms = s->down_since_ms + s->redial_wait_ms;
        s->try_at_ms = s->down_since_ms + TRY_MS;
        s->region[0] = '\0';            /* another broker may answer there next time */
    }
    pthread_cond_broadcast(&s->conn->changed);
    pthread_mutex_unlock(&s->conn->lock);
}

/* dial_lock is held. A failure is not reported: the keeper tries again. */
static void
server_dial(struct fo_server *s)
{
    if (s->has_dialer)
        (void)nng_dialer_close(s->dialer);
    s->has_dialer = nng_dialer_create(&s->dialer, s->socket, s->address) == 0;
    if (!s->has_dialer)
        return;
    if (s->tls != NULL && nng_dialer_set_ptr(s->dialer, NNG_OPT_TLS_CONFIG, s->tls) != 0)
        return;                         /* never without it: NNG's own would check nothing */
    (void)nng_dialer_start(s->dialer, NNG_FLAG_NONBLOCK);
}

/* dial_lock is held. */
static enum fo_err
server_open(struct fo_server *s)
{
    int64_t now = fo_conn_now_ms();

    if (s->is_open)
        return FO_OK;
    if (nng_req0_open(&s->socket) != 0)
        return FO_ERR_NO_MEMORY;
    if (nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, ANSWER_BYTES_MAX) != 0
        || nng_socket_set_ms(s->socket, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN) != 0
        || nng_socket_set_ms(s->socket, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX) != 0
        || nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_POST, pipe_came_or_went, s) != 0
        || nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, pipe_came_or_went, s) != 0) {
        nng_close(s->socket);
        return FO_ERR_INTERNAL;
    }
    pthread_mutex_lock(&s->conn->lock);
    s->is_open = true;
    s->down_since_ms = now;
    s->redial_wait_ms = REDIAL_MS;
    s->redial_at_ms = now + REDIAL_MS;
    s->try_at_ms = now + TRY_MS;
    pthread_cond_broadcast(&s->conn->changed);  /* the keeper watches it from now on */
    pthread_mutex_unlock(&s->conn->lock);
    server_dial(s);
    return FO_OK;
}

/* When there is something to do for a server. INT64_MAX: not before something changes. The lock is held. */
static int64_t
due_at(const struct fo_server *s)
{
    if (s->is_step_due)
        return 0;
    if (!s->is_open || s->pipes > 0)
        return INT64_MAX;
    return s->try_at_ms < s->redial_at_ms ? s->try_at_ms : s->redial_at_ms;
}

static struct fo_server *
next_due(struct fo_conn *c)
{
    struct fo_server *due = &c->server[0];

    for (unsigned i = 1; i < c->count; i++) {
        if (due_at(&c->server[i]) < due_at(due))
            due = &c->server[i];
    }
    return due;
}

static void
note_step(void *arg)
{
    struct fo_server *s = arg;

    pthread_mutex_lock(&s->conn->lock);
    s->is_step_due = true;
    pthread_cond_broadcast(&s->conn->changed);
    pthread_mutex_unlock(&s->conn->lock);
}

static bool
trial_begin(struct fo_server *s)
{
    const struct fo_reach_to to = { .address = s->address, .what = "door", .self = NNG_REQ0_SELF, .peer = NNG_REQ0_PEER, .tls = s->tls,
        .tls_lenient = s->tls_lenient, .tls_name = s->tls_name, .has_cert = s->conn->has_cert };

    if (s->trial.aio == NULL && fo_reach_init(&s->trial, &to, note_step, s) != FO_OK)
        return false;
    return fo_reach_begin(&s->trial, TRY_MS_MAX);
}

static void
redial(struct fo_server *s)
{
    struct fo_conn *c = s->conn;

    pthread_mutex_lock(&c->dial_lock);
    server_dial(s);
    pthread_mutex_unlock(&c->dial_lock);
}

/* What a trial that is still under way can say is of use only as long as none has come to its end. */
static void
note_trial(struct fo_server *s, bool is_trying)
{
    s->is_trying = is_trying;
    if (s->pipes > 0 || (is_trying && s->has_verdict))
        return;
    strcpy(s->why, s->trial.why);
    s->has_verdict = !is_trying;
}

/* Does what is due. The lock is held, and released meanwhile. */
static void
tend(struct fo_server *s, int64_t now)
{
    pthread_mutex_t *lock = &s->conn->lock;
    bool is_trying;

    if (s->is_step_due) {
        s->is_step_due = false;
        pthread_mutex_unlock(lock);
        is_trying = fo_reach_step(&s->trial);
        pthread_mutex_lock(lock);
        note_trial(s, is_trying);
    } else if (now >= s->try_at_ms) {
        s->try_at_ms = INT64_MAX;
        if (s->is_trying)
            return;
        pthread_mutex_unlock(lock);
        is_trying = trial_begin(s);
        pthread_mutex_lock(lock);
        note_trial(s, is_trying);
    } else {
        s->redial_wait_ms = s->redial_wait_ms * 2 < REDIAL_MS_MAX ? s->redial_wait_ms * 2 : REDIAL_MS_MAX;
        s->redial_at_ms = now + s->redial_wait_ms;
        s->try_at_ms = now + TRY_MS;
        pthread_mutex_unlock(lock);
        redial(s);
        pthread_mutex_lock(lock);
    }
}

static void *
keeper_run(void *arg)
{
    struct fo_conn *c = arg;

    pthread_mutex_lock(&c->lock);
    while (!c->is_stopping) {
        struct fo_server *s = next_due(c);
        int64_t due = due_at(s), now = fo_conn_now_ms();
        if (due == INT64_MAX)
            pthread_cond_wait(&c->changed, &c->lock);
        else if (now < due)
            (void)fo_conn_wait(c, due);
        else
            tend(s, now);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static bool
is_address(const char *address)
{
    static const char *const scheme[] = { "tcp://", "tls+tcp://", "ipc://" };

    for (unsigned i = 0; i < 3; i++) {
        if (strncmp(address, scheme[i], strlen(scheme[i])) == 0)
            return strlen(address) > strlen(scheme[i]) && strlen(address) <= FO_ADDRESS_BYTES_MAX;
    }
    return false;
}

static enum fo_err
server_set_tls(struct fo_server *s, const struct fanout_options *o, char *ret_why)
{
    const struct fo_tls_files files = { o->tls_ca, o->tls_cert, o->tls_key };
    enum fo_err err;

    if (o->tls_ca == NULL) {
        snprintf(ret_why, 256, "a tls+tcp address needs tls_ca, the file of the certificate authority to trust");
        return FO_ERR_INVALID;
    }
    if (fo_tls_name(s->address, o->tls_server_name, s->tls_name) != FO_OK) {
        snprintf(ret_why, 256, "%.120s: no name that its certificate could have: %s", s->address,
            o->tls_server_name != NULL ? "tls_server_name must have 1 to 255 bytes" : "it must be like tls+tcp://HOST:PORT");
        return FO_ERR_INVALID;
    }
    err = fo_tls_client(&files, s->tls_name, &s->tls, ret_why);
    return err == FO_OK ? fo_tls_client(&files, NULL, &s->tls_lenient, ret_why) : err;
}

/* Every address is to have its turn, and half of the time to connect is to be left after the last. */
static int
stagger_ms(const struct fo_conn *c)
{
    int all = c->connect_timeout_ms / 2 < STAGGERS_MS_MAX ? c->connect_timeout_ms / 2 : STAGGERS_MS_MAX;
    int each = all / (int)c->count;

    return each < 1 ? 1 : each < STAGGER_MS ? each : STAGGER_MS;
}

static enum fo_err
conn_configure(struct fo_conn *c, const struct fanout_options *o, char *ret_why)
{
    enum fo_err err = FO_OK;

    if (o->address_count == 0 || o->address_count > FO_ADDRESSES_MAX || o->timeout_ms <= 0 || o->connect_timeout_ms <= 0 || o->failback_ms < 0) {
        snprintf(ret_why, 256, "options need 1 to %d addresses, timeouts above 0, and failback_ms not below 0", FO_ADDRESSES_MAX);
        return FO_ERR_INVALID;
    }
    if (o->request_bytes_max < REQUEST_BYTES_MIN || o->request_bytes_max > REQUEST_BYTES_MAX) {
        snprintf(ret_why, 256, "request_bytes_max is %u; it must be from %d to %d", o->request_bytes_max, REQUEST_BYTES_MIN, REQUEST_BYTES_MAX);
        return FO_ERR_INVALID;
    }
    if (o->tls_key != NULL && o->tls_cert == NULL) {
        snprintf(ret_why, 256, "tls_key needs tls_cert, the certificate that it is the key of");
        return FO_ERR_INVALID;
    }
    c->count = (unsigned)o->address_count;
    c->has_cert = o->tls_cert != NULL;
    c->timeout_ms = o->timeout_ms;
    c->request_bytes_max = o->request_bytes_max;
    c->failback_ms = o->failback_ms;
    c->connect_timeout_ms = o->connect_timeout_ms < o->timeout_ms ? o->connect_timeout_ms : o->timeout_ms;
    c->stagger_ms = stagger_ms(c);
    for (unsigned i = 0; i < c->count && err == FO_OK; i++) {
        struct fo_server *s = &c->server[i];
        if (!is_address(o->addresses[i])) {
            snprintf(ret_why, 256, "%.120s: not an address; it must be like tcp://HOST:PORT, tls+tcp://HOST:PORT or ipc:///PATH",
                o->addresses[i]);
            return FO_ERR_INVALID;
        }
        s->conn = c;
        strcpy(s->address, o->addresses[i]);
        if (fo_tls_is_address(s->address))
            err = server_set_tls(s, o, ret_why);
    }
    return err;
}

static void
conn_free(struct fo_conn *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct fo_server *s = &c->server[i];
        fo_reach_fini(&s->trial);
        if (s->is_open)
            nng_close(s->socket);
        if (s->tls != NULL)
            nng_tls_config_free(s->tls);
        if (s->tls_lenient != NULL)
            nng_tls_config_free(s->tls_lenient);
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->dial_lock);
    free(c);
}

enum fo_err
fo_conn_create(const struct fanout_options *options, struct fo_conn **ret_conn, char *ret_why)
{
    struct fo_conn *c = calloc(1, sizeof(*c));
    pthread_condattr_t monotonic;
    enum fo_err err;

    if (c == NULL)
        return FO_ERR_NO_MEMORY;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->dial_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    err = conn_configure(c, options, ret_why);
    if (err != FO_OK)
        goto cleanup;
    if ((err = server_open(&c->server[0])) != FO_OK)
        goto cleanup;
    if (pthread_create(&c->keeper, NULL, keeper_run, c) != 0) {
        err = FO_ERR_NO_MEMORY;
        goto cleanup;
    }
    *ret_conn = c;
    return FO_OK;
cleanup:
    conn_free(c);
    return err;
}

static void *
close_all(void *arg)
{
    struct fo_conn *c = arg;
    int64_t left = c->cancelled_ms != 0 ? c->cancelled_ms + SETTLE_MS - fo_conn_now_ms() : 0;

    if (left > 0)
        nng_msleep((nng_duration)left);
    conn_free(c);
    return NULL;
}

void
fo_conn_destroy(struct fo_conn *c)
{
    struct timespec until;
    pthread_t closer;

    pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->keeper, NULL);
    if (pthread_create(&closer, NULL, close_all, c) != 0) {
        close_all(c);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_S_MAX;
    if (pthread_timedjoin_np(closer, NULL, &until) != 0)
        pthread_detach(closer);
}

unsigned
fo_conn_turn(struct fo_conn *c)
{
    unsigned turn;

    pthread_mutex_lock(&c->lock);
    turn = c->turns++ % FO_CONN_TURNS;
    pthread_mutex_unlock(&c->lock);
    return turn;
}

/* A server that was lost is not given everything the moment it is back: it may go again, and those who wait for it are many. Its turns grow
 * from none to all between once and twice failback_ms of standing. */
static bool
has_turn(const struct fo_conn *c, struct fo_server *s, int64_t now_ms, unsigned turn)
{
    int64_t stood = now_ms - s->trial_from_ms;

    if (s->is_on_trial && stood >= 2 * (int64_t)c->failback_ms)
        s->is_on_trial = false;
    if (!s->is_on_trial)
        return true;
    return stood >= c->failback_ms && turn < (unsigned)((stood - c->failback_ms) * FO_CONN_TURNS / c->failback_ms);
}

struct fo_server *
fo_conn_best(struct fo_conn *c, int64_t now_ms, unsigned turn)
{
    struct fo_server *on_trial = NULL, *suspect = NULL;

    for (unsigned i = 0; i < c->count; i++) {
        struct fo_server *s = &c->server[i];
        if (!s->is_open || s->pipes == 0)
            continue;
        if (s->suspect_until_ms > now_ms)
            suspect = suspect != NULL ? suspect : s;
        else if (has_turn(c, s, now_ms, turn))
            return s;
        else
            on_trial = on_trial != NULL ? on_trial : s;
    }
    return on_trial != NULL ? on_trial : suspect;
}

static enum fo_err
open_up_to(struct fo_conn *c, unsigned last)
{
    enum fo_err err = FO_OK;

    pthread_mutex_lock(&c->dial_lock);
    for (unsigned i = 0; i <= last && i < c->count && err == FO_OK; i++)
        err = server_open(&c->server[i]);
    pthread_mutex_unlock(&c->dial_lock);
    return err;
}

/* True when there is nothing better to wait for: it is not suspect, or the others have had their time. The lock is held. */
static bool
is_settled(const struct fo_conn *c, const struct fo_server *s, int64_t begun_ms, int64_t now_ms)
{
    return s->suspect_until_ms <= now_ms || now_ms - begun_ms >= c->stagger_ms * (int64_t)(c->count - 1);
}

enum fo_err
fo_conn_pick(struct fo_conn *c, int64_t until_ms, unsigned turn, struct fo_server **ret_server)
{
    int64_t now = fo_conn_now_ms(), begun = now;
    enum fo_err err = FO_OK;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct fo_server *s = fo_conn_best(c, now, turn);
        if (s != NULL && (is_settled(c, s, begun, now) || now >= until_ms)) {
            *ret_server = s;
            break;
        }
        if (now >= until_ms) {
            err = FO_ERR_UNAVAILABLE;
            break;
        }
        unsigned last = s != NULL ? c->count - 1 : (unsigned)((now - begun) / c->stagger_ms);
        if (last >= c->count)
            last = c->count - 1;
        if (!c->server[last].is_open) {
            pthread_mutex_unlock(&c->lock);
            err = open_up_to(c, last);
            pthread_mutex_lock(&c->lock);
            if (err != FO_OK)
                break;
        } else {
            int64_t due = begun + (int64_t)(s != NULL ? last : last + 1) * c->stagger_ms;
            (void)fo_conn_wait(c, due > now && due < until_ms ? due : until_ms);
        }
        now = fo_conn_now_ms();
    }
    pthread_mutex_unlock(&c->lock);
    return err;
}

/* The lock is held. */
static const char *
why_not(const struct fo_server *s)
{
    if (s->pipes > 0)
        return "connected, and was lost under the request";
    if (s->why[0] != '\0')
        return s->why;
    return s->is_open ? "no connection in time" : "not tried in time";
}

void
fo_conn_say_why(struct fo_conn *c, char ret_text[FO_CONN_WHY_BYTES])
{
    const int part_max = FO_ADDRESS_BYTES_MAX + FO_WHY_BYTES + 32;
    int n = snprintf(ret_text, FO_CONN_WHY_BYTES, "no broker can be reached");
    unsigned i;

    pthread_mutex_lock(&c->lock);
    for (i = 0; i < c->count && n + part_max < FO_CONN_WHY_BYTES; i++)
        n += snprintf(ret_text + n, (size_t)(FO_CONN_WHY_BYTES - n), "%s %s: %s", i > 0 ? ";" : ":", c->server[i].address, why_not(&c->server[i]));
    pthread_mutex_unlock(&c->lock);
    if (i < c->count)
        snprintf(ret_text + n, (size_t)(FO_CONN_WHY_BYTES - n), "; and %u more", c->count - i);
}

bool
fo_conn_is_lost(struct fo_server *s, int64_t now_ms)
{
    if (s->pipes > 0 || now_ms - s->down_since_ms < LOST_MS)
        return false;
    struct fo_server *other = fo_conn_best(s->conn, now_ms, 0);
    return other != NULL && other != s;
}

void
fo_conn_suspect(struct fo_server *s, bool is_silent)
{
    int64_t now = fo_conn_now_ms();

    pthread_mutex_lock(&s->conn->lock);
    s->suspect_until_ms = now + (is_silent ? SUSPECT_MS : LOST_MS);
    s->is_on_trial = true;
    s->trial_from_ms = now;
    if (is_silent)
        s->conn->cancelled_ms = now;    /* the answer may still come */
    pthread_mutex_unlock(&s->conn->lock);
}
