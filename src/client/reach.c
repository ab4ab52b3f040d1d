/* SPDX-License-Identifier: Apache-2.0
 *
 * See reach.h. */
#include "client/reach.h"

#include <nng/supplemental/tls/tls.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/conn.h"

enum { TLS_ALERT = 0x15 };

__attribute__((format(printf, 2, 3)))
static void
say(struct fo_reach *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->why, sizeof(r->why), fmt, ap);
    va_end(ap);
}

static void
hang_up(struct fo_reach *r)
{
    if (r->stream != NULL)
        nng_stream_free(r->stream);
    if (r->dialer != NULL)
        nng_stream_dialer_free(r->dialer);
    r->stream = NULL;
    r->dialer = NULL;
}

static void
set_timeout(struct fo_reach *r)
{
    int64_t left = r->until_ms - fo_conn_now_ms();

    nng_aio_set_timeout(r->aio, left > 0 ? (nng_duration)left : 0);
}

static const char *
dial_error(int rv)
{
    switch (rv) {
    case NNG_ECONNREFUSED:
        return "connection refused: nothing listens there";
    case NNG_EADDRINVAL:
        return "there is no such host, or no such port";
    case NNG_EAGAIN:
        return "no name server answers, so the host is not known";
    case NNG_ETIMEDOUT:
        return "no answer to the request for a connection: is the host up, and no firewall between?";
    default:
        return nng_strerror(rv);
    }
}

/* A greeting of NNG: 0 'S' 'P' 0, the protocol, and two bytes 0. */
static bool
is_greeting(const struct fo_reach *r)
{
    return r->got == sizeof(r->greeting) && memcmp(r->greeting, "\0SP\0", 4) == 0;
}

static bool
is_from_peer(const struct fo_reach *r)
{
    return is_greeting(r) && (r->greeting[4] << 8 | r->greeting[5]) == r->to.peer;
}

static void
say_hung_up(struct fo_reach *r, int rv)
{
    if (rv == NNG_ETIMEDOUT)
        say(r, "takes the connection and does not answer: the broker there hangs, or that is none");
    else if (r->to.tls == NULL && strncmp(r->to.address, "tcp:", 4) == 0)
        say(r, "hangs up at once: if it expects TLS, begin the address with tls+tcp://");
    else
        say(r, "hangs up at once: %s", nng_strerror(rv));
}

static void
say_answer(struct fo_reach *r)
{
    if (!is_greeting(r) && r->got > 0 && r->greeting[0] == TLS_ALERT)
        say(r, "expects TLS: begin the address with tls+tcp://");
    else if (!is_greeting(r))
        say(r, "that is no broker's %s: another program listens there", r->to.what);
    else if (!is_from_peer(r))
        say(r, "that is no broker's %s, but another of its addresses", r->to.what);
    else
        say(r, "answers, but no connection came about in time");
}

static bool dial(struct fo_reach *r, enum fo_reach_trial trial);

/* A TLS handshake has failed. True: the next trial is under way. */
static bool
judge_failure(struct fo_reach *r, int rv)
{
    if (r->trial == FO_REACH_LENIENT) {
        r->tls_error = rv;
        return dial(r, FO_REACH_PLAIN);
    }
    if (rv != NNG_ETIMEDOUT)
        return dial(r, FO_REACH_LENIENT);
    say_hung_up(r, rv);
    return false;
}

/* The lenient handshake has succeeded where the proper one had failed. */
static void
judge_certificate(struct fo_reach *r)
{
    bool is_verified = false;

    if (nng_stream_get_bool(r->stream, NNG_OPT_TLS_VERIFIED, &is_verified) == 0 && is_verified)
        say(r, "its certificate is not for %.60s: use an address that it is for, or give the TLS name that it has", r->to.tls_name);
    else
        say(r, "its certificate is not of the authority given, or has expired, or is not for servers");
}

/* The third trial is over. */
static void
judge_plain(struct fo_reach *r)
{
    if (is_greeting(r))
        say(r, "expects no TLS: begin the address with tcp://");
    else if (r->got > 0 && r->greeting[0] != TLS_ALERT)
        say_answer(r);
    else if (!r->to.has_cert)
        say(r, "demands a client's certificate, and none was given (%s)", nng_strerror(r->tls_error));
    else if (r->tls_error == NNG_ECRYPTO)
        say(r, "refuses the client's certificate: of another authority, expired, or not for clients");
    else                                /* mbedTLS tells of a wrong certificate before it hangs up, and not of a wrong signature */
        say(r, "hangs up on the client's certificate: most likely the key given is not that certificate's (%s)", nng_strerror(r->tls_error));
}

static void
send_greeting(struct fo_reach *r)
{
    const uint8_t greeting[8] = { 0, 'S', 'P', 0, (uint8_t)(r->to.self >> 8), (uint8_t)r->to.self, 0, 0 };
    nng_iov iov = { r->greeting, sizeof(r->greeting) };

    memcpy(r->greeting, greeting, sizeof(greeting));
    r->stage = FO_REACH_GREETING;
    set_timeout(r);
    (void)nng_aio_set_iov(r->aio, 1, &iov);     /* fails above 8 parts */
    nng_stream_send(r->stream, r->aio);
}

static void
receive(struct fo_reach *r)
{
    nng_iov iov = { r->greeting + r->got, sizeof(r->greeting) - r->got };

    r->stage = FO_REACH_LISTENING;
    set_timeout(r);
    (void)nng_aio_set_iov(r->aio, 1, &iov);
    nng_stream_recv(r->stream, r->aio);
}

static bool
dial(struct fo_reach *r, enum fo_reach_trial trial)
{
    const char *url = trial == FO_REACH_PLAIN ? r->to.address + strlen("tls+") : r->to.address;
    nng_tls_config *tls = trial == FO_REACH_LENIENT ? r->to.tls_lenient : trial == FO_REACH_PROPER ? r->to.tls : NULL;
    int rv;

    hang_up(r);
    r->trial = trial;
    r->stage = FO_REACH_DIALING;
    r->got = 0;
    if ((rv = nng_stream_dialer_alloc(&r->dialer, url)) != 0
        || (tls != NULL && (rv = nng_stream_dialer_set_ptr(r->dialer, NNG_OPT_TLS_CONFIG, tls)) != 0)) {
        say(r, "%s", dial_error(rv));
        return false;
    }
    set_timeout(r);
    nng_stream_dialer_dial(r->dialer, r->aio);
    return true;
}

static bool
step_connected(struct fo_reach *r, int rv)
{
    if (rv != 0 && r->trial == FO_REACH_PLAIN) {
        judge_plain(r);
        return false;
    }
    if (rv != 0) {
        say(r, "%s", dial_error(rv));
        return false;
    }
    r->stream = nng_aio_get_output(r->aio, 0);
    if (r->trial == FO_REACH_PROPER)
        say_hung_up(r, NNG_ETIMEDOUT);  /* until it does answer */
    send_greeting(r);
    return true;
}

static bool
step_heard(struct fo_reach *r, int rv)
{
    if (rv == 0) {
        r->got += (unsigned)nng_aio_count(r->aio);
        if (r->got < sizeof(r->greeting)) {
            receive(r);
            return true;
        }
    }
    if (r->trial == FO_REACH_LENIENT)
        return false;                   /* it was heard out only because NNG 1.5.2 bears it badly when a client leaves before */
    if (r->trial == FO_REACH_PLAIN)
        judge_plain(r);
    else if (r->got > 0)
        say_answer(r);
    else
        say_hung_up(r, rv);
    return false;
}

bool
fo_reach_step(struct fo_reach *r)
{
    int rv = nng_aio_result(r->aio);
    bool goes_on;

    switch (r->stage) {
    case FO_REACH_DIALING:
        goes_on = step_connected(r, rv);
        break;
    case FO_REACH_GREETING:
        if (rv != 0 && r->to.tls != NULL && r->trial != FO_REACH_PLAIN) {
            goes_on = judge_failure(r, rv);
            break;
        }
        if (r->trial == FO_REACH_LENIENT)
            judge_certificate(r);
        receive(r);                     /* also after an error: there may be an answer */
        goes_on = true;
        break;
    default:
        goes_on = step_heard(r, rv);
    }
    if (!goes_on)
        hang_up(r);
    return goes_on;
}

enum fo_err
fo_reach_init(struct fo_reach *r, const struct fo_reach_to *to, void (*notify)(void *user), void *user)
{
    *r = (struct fo_reach){ .to = *to };
    return nng_aio_alloc(&r->aio, notify, user) == 0 ? FO_OK : FO_ERR_NO_MEMORY;
}

void
fo_reach_fini(struct fo_reach *r)
{
    if (r->aio == NULL)
        return;
    nng_aio_stop(r->aio);
    if (r->stage == FO_REACH_DIALING && r->dialer != NULL && r->stream == NULL && nng_aio_result(r->aio) == 0)
        r->stream = nng_aio_get_output(r->aio, 0);      /* connected, and not yet looked at */
    hang_up(r);
    nng_aio_free(r->aio);
    r->aio = NULL;
}

bool
fo_reach_begin(struct fo_reach *r, int timeout_ms)
{
    r->until_ms = fo_conn_now_ms() + timeout_ms;
    say(r, "%s", dial_error(NNG_ETIMEDOUT));
    if (dial(r, FO_REACH_PROPER))
        return true;
    hang_up(r);
    return false;
}

bool
fo_reach_try(struct fo_reach *r, int timeout_ms)
{
    bool goes_on = fo_reach_begin(r, timeout_ms);

    while (goes_on) {
        nng_aio_wait(r->aio);
        goes_on = fo_reach_step(r);
    }
    return r->trial == FO_REACH_PROPER && is_from_peer(r);
}
