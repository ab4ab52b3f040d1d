/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread that looks after all sockets, for two defects of NNG 1.5.2 (gone in 1.10): one connect, FIN, RST kills a tcp
 * or ipc listener for good, and a server that does the same kills a tcp dialer.
 *
 * A dead listener still accepts and greets, so only a complete greeting proves life. The probe connects, reads the eight
 * bytes that NNG greets with and sends them back: a peer that speaks the listener's own protocol is the wrong one for each of REP,
 * SUB and PUB, so a live listener hangs up at once, and a dead one never does. A tls+tcp listener dies of clients that go away in the
 * middle of a handshake, which takes a stall of the process to hit; a probe costs a handshake, so it is knocked at less often (nng_probe_tls.c).
 *
 *   ALIVE -- probe fails --> SUSPECT -- fails again at once --> replaced (nng_listener.c)
 *
 * A dead dialer, of tcp or tls, cannot be told from one whose peer is away. So a dialer without a connection is replaced
 * twice a second, but each fourth one is given three seconds: a slow handshake over a long way needs that. After some 15 s
 * the peer is taken for away, and every dialer is given that long, because each attempt costs NNG 1.5 ms. TLS needs four
 * round trips, so each eighth of its dialers is given twelve seconds: a link whose round trip takes one second comes up too. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapter/nng_parts.h"
#include "adapter/nng_probe_tls.h"
#include "adapter/nng_sockets.h"
#include "ports/log.h"

enum {
    TICK_MS = 300, TLS_TICKS = 10,      /* between probes of tls+tcp listeners */
    PROBE_MS = 200,
    SILENT_ROUNDS_MAX = 10,             /* no greeting at all: rather overload than death, so more patience */
    PATIENCE_MS = 500, PATIENCE_LONG_MS = 3000, PATIENCE_TLS_MS = 12000, LONG_EVERY = 4, TLS_EVERY = 8, SHORT_MAX = 12,
    GREETING_BYTES = 8,
};

enum verdict {
    ALIVE,
    DEAF,                               /* greets and does not listen; or the address answers nobody */
    SILENT,
    UNKNOWN,                            /* could not try */
};

enum probe_state { CONNECTING, GREETING, HANGING_UP, DONE };
struct probe { int fd; enum probe_state state; enum verdict verdict; uint8_t greeting[GREETING_BYTES]; size_t n; };

static struct fo_instant
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct fo_instant){ t.tv_sec * INT64_C(1000000000) + t.tv_nsec };
}

static void
finish(struct probe *p, enum verdict verdict)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    p->state = DONE;
    p->verdict = verdict;
    if (p->fd < 0)
        return;
    /* The listener has hung up already: a reset now costs it nothing and spares the kernel a TIME_WAIT per probe. */
    if (verdict == ALIVE)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(p->fd);
    p->fd = -1;
}

static void
begin(struct probe *p, const struct fo_nng_listener *l)
{
    struct sockaddr_storage to = fo_nng_reachable(&l->address);

    *p = (struct probe){ .state = CONNECTING };
    p->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        finish(p, UNKNOWN);
    else if (connect(p->fd, (struct sockaddr *)&to, l->address_bytes) == 0)
        p->state = GREETING;
    else if (errno == EAGAIN)           /* unix socket, its queue full */
        finish(p, SILENT);
    else if (errno != EINPROGRESS)
        finish(p, errno == ECONNREFUSED || errno == ENOENT ? DEAF : UNKNOWN);
}

static void
read_greeting(struct probe *p)
{
    ssize_t n = recv(p->fd, p->greeting + p->n, GREETING_BYTES - p->n, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        finish(p, SILENT);
        return;
    }
    p->n += (size_t)n;
    if (p->n < GREETING_BYTES)
        return;
    if (send(p->fd, p->greeting, GREETING_BYTES, MSG_NOSIGNAL) == GREETING_BYTES)
        p->state = HANGING_UP;
    else
        finish(p, UNKNOWN);
}

static void
advance(struct probe *p)
{
    int err = 0;
    socklen_t n = sizeof(err);
    uint8_t byte;
    ssize_t got;

    if (p->state == CONNECTING) {
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &n);
        if (err == 0)
            p->state = GREETING;
        else
            finish(p, err == ECONNREFUSED ? DEAF : UNKNOWN);
    } else if (p->state == GREETING) {
        read_greeting(p);
    } else {
        got = recv(p->fd, &byte, 1, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            finish(p, ALIVE);
    }
}

/* All at once, so that three dead listeners take no longer than one. */
static void
run_probes(struct probe *probes, unsigned count)
{
    struct fo_instant deadline = fo_instant_add(now(), fo_duration_ms(PROBE_MS));

    for (;;) {
        struct pollfd fds[FO_NNG_ENDS];
        struct probe *of[FO_NNG_ENDS];
        unsigned n = 0;
        int64_t left_ms = fo_instant_since(deadline, now()).ns / 1000000;

        for (unsigned i = 0; i < count; i++) {
            if (probes[i].state == DONE)
                continue;
            of[n] = &probes[i];
            fds[n++] = (struct pollfd){ .fd = probes[i].fd, .events = probes[i].state == CONNECTING ? POLLOUT : POLLIN };
        }
        if (n == 0)
            return;
        if (left_ms <= 0 || poll(fds, n, (int)left_ms) == 0) {
            for (unsigned i = 0; i < n; i++)
                finish(of[i], of[i]->state == HANGING_UP ? DEAF : SILENT);
            return;
        }
        for (unsigned i = 0; i < n; i++) {
            if (fds[i].revents != 0)
                advance(of[i]);
        }
    }
}

static void
revive(struct fo_nng_watchdog *dog, struct fo_nng_listener *l)
{
    if (!fo_nng_listener_replace(l, now()))
        return;
    atomic_fetch_add(&dog->listeners_revived, 1);
    fo_log(FO_LOG_WARN, "listener_revived", FO_S("listener", l->key), FO_S("url", l->url),
        FO_S("reason", "a connection that ended during its greeting had stopped it"));
}

/* True: it has to be replaced. */
static bool
is_dead(const struct probe *first, const struct probe *second, unsigned *silent_rounds)
{
    if (first->verdict == DEAF && second->verdict == DEAF)
        return true;
    *silent_rounds = second->verdict == SILENT ? *silent_rounds + 1 : 0;
    if (*silent_rounds < SILENT_ROUNDS_MAX)
        return false;
    *silent_rounds = 0;
    return true;
}

static void
check_listeners(struct fo_nng_watchdog *dog, unsigned silent_rounds[FO_NNG_ENDS])
{
    struct probe first[FO_NNG_ENDS], second[FO_NNG_ENDS];
    bool is_any_suspect = false;

    for (unsigned i = 0; i < dog->listeners_count; i++) {
        struct fo_nng_listener *l = dog->listeners[i];

        fo_nng_listener_reap(l, now());
        first[i] = (struct probe){ .fd = -1, .state = DONE, .verdict = ALIVE };
        if (l->is_closed)
            revive(dog, l);
        else if (l->is_probed)
            begin(&first[i], l);
    }
    run_probes(first, dog->listeners_count);
    for (unsigned i = 0; i < dog->listeners_count; i++) {
        second[i] = (struct probe){ .fd = -1, .state = DONE, .verdict = ALIVE };
        if (first[i].verdict == DEAF || first[i].verdict == SILENT) {
            begin(&second[i], dog->listeners[i]);
            is_any_suspect = true;
        }
    }
    if (is_any_suspect)
        run_probes(second, dog->listeners_count);
    for (unsigned i = 0; i < dog->listeners_count; i++) {
        if (is_dead(&first[i], &second[i], &silent_rounds[i]))
            revive(dog, dog->listeners[i]);
    }
}

static void
check_tls_listeners(struct fo_nng_watchdog *dog, unsigned silent_rounds[FO_NNG_ENDS])
{
    for (unsigned i = 0; i < dog->listeners_count; i++) {
        struct fo_nng_listener *l = dog->listeners[i];
        enum fo_nng_life life;

        if (l->tls == NULL || l->is_closed)
            continue;
        life = fo_nng_probe_tls(l);
        if (life == FO_NNG_DEAF)
            life = fo_nng_probe_tls(l);
        silent_rounds[i] = life == FO_NNG_SILENT ? silent_rounds[i] + 1 : 0;
        if (life == FO_NNG_DEAF || silent_rounds[i] >= SILENT_ROUNDS_MAX) {
            silent_rounds[i] = 0;
            revive(dog, l);
        }
    }
}

static struct fo_duration
patience_with(const struct fo_nng_dialer *d)
{
    if (d->tls != NULL && d->redials % TLS_EVERY == TLS_EVERY - 1)
        return fo_duration_ms(PATIENCE_TLS_MS);
    if (d->redials % LONG_EVERY == LONG_EVERY - 1 || d->redials > SHORT_MAX)
        return fo_duration_ms(PATIENCE_LONG_MS);
    return fo_duration_ms(PATIENCE_MS);
}

static void
check_dialers(struct fo_nng_watchdog *dog)
{
    struct fo_instant t = now();

    for (unsigned i = 0; i < dog->dialers_count; i++) {
        struct fo_nng_dialer *d = &dog->dialers[i];

        if (atomic_load(&d->pipes.up) > 0 || d->idle_since.ns == 0) {
            d->idle_since = t;
            d->redials = 0;
        } else if (fo_instant_since(t, d->idle_since).ns >= patience_with(d).ns) {
            if (fo_nng_dialer_redial(d))
                atomic_fetch_add(&dog->dialers_redialed, 1);
            d->idle_since = t;
            d->redials++;
        }
    }
}

/* False: told to stop. */
static bool
wait_tick(struct fo_nng_watchdog *dog)
{
    struct timespec until;
    bool is_stopping;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&dog->mutex);
    while (!dog->is_stopping && pthread_cond_timedwait(&dog->stop, &dog->mutex, &until) == 0)
        continue;
    is_stopping = dog->is_stopping;
    pthread_mutex_unlock(&dog->mutex);
    return !is_stopping;
}

static void *
watch(void *arg)
{
    struct fo_nng_watchdog *dog = arg;
    unsigned silent_rounds[FO_NNG_ENDS] = { 0 }, silent_tls_rounds[FO_NNG_ENDS] = { 0 }, tick = 0;

    pthread_setname_np(pthread_self(), "fo-nng-watch");
    while (wait_tick(dog)) {
        check_listeners(dog, silent_rounds);
        check_dialers(dog);
        if (++tick % TLS_TICKS == 0)
            check_tls_listeners(dog, silent_tls_rounds);
    }
    return NULL;
}

enum fo_err
fo_nng_watchdog_start(struct fo_nng_watchdog *dog)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&dog->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->stop, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&dog->thread, NULL, watch, dog) != 0)
        return FO_ERR_NO_MEMORY;
    dog->is_started = true;
    return FO_OK;
}

void
fo_nng_watchdog_stop(struct fo_nng_watchdog *dog)
{
    if (!dog->is_started)
        return;
    pthread_mutex_lock(&dog->mutex);
    dog->is_stopping = true;
    pthread_cond_signal(&dog->stop);
    pthread_mutex_unlock(&dog->mutex);
    pthread_join(dog->thread, NULL);
    pthread_cond_destroy(&dog->stop);
    pthread_mutex_destroy(&dog->mutex);
    dog->is_started = false;
}
