/* SPDX-License-Identifier: Apache-2.0
 *
 * One TLS handshake of this process with itself, over loopback. mbedTLS takes a key that does not belong to its certificate, and
 * a certificate that its own CA did not issue, without a word; the first peer would then fail with "cryptographic error".
 * The trial fails at start instead, where the file can be named. */
#include <stdio.h>

#include "adapter/nng_parts.h"

enum { TRIAL_MS = 5000 };

struct trial {
    nng_tls_config *server_config, *client_config;
    nng_stream_listener *listener;
    nng_stream_dialer *dialer;
    nng_stream *server, *client;
    nng_aio *server_aio, *client_aio;
};

static int
make_configs(struct trial *t, const struct fo_nng_tls *tls, nng_tls_auth_mode mode)
{
    int rv;

    if ((rv = nng_tls_config_alloc(&t->server_config, NNG_TLS_MODE_SERVER)) != 0 ||
        (rv = nng_tls_config_alloc(&t->client_config, NNG_TLS_MODE_CLIENT)) != 0 ||
        (rv = nng_tls_config_own_cert(t->server_config, tls->cert, tls->key, NULL)) != 0 ||
        (rv = nng_tls_config_own_cert(t->client_config, tls->cert, tls->key, NULL)) != 0 ||
        (rv = nng_tls_config_ca_chain(t->server_config, tls->ca, NULL)) != 0 ||
        (rv = nng_tls_config_auth_mode(t->server_config, mode)) != 0)
        return rv;
    return nng_tls_config_auth_mode(t->client_config, NNG_TLS_AUTH_MODE_NONE);
}

static int
connect_both(struct trial *t)
{
    char url[64];
    int rv, port;

    if ((rv = nng_aio_alloc(&t->server_aio, NULL, NULL)) != 0 || (rv = nng_aio_alloc(&t->client_aio, NULL, NULL)) != 0 ||
        (rv = nng_stream_listener_alloc(&t->listener, "tls+tcp://127.0.0.1:0")) != 0 ||
        (rv = nng_stream_listener_set_ptr(t->listener, NNG_OPT_TLS_CONFIG, t->server_config)) != 0 ||
        (rv = nng_stream_listener_listen(t->listener)) != 0 ||
        (rv = nng_stream_listener_get_int(t->listener, NNG_OPT_TCP_BOUND_PORT, &port)) != 0)
        return rv;
    snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", port);
    if ((rv = nng_stream_dialer_alloc(&t->dialer, url)) != 0 ||
        (rv = nng_stream_dialer_set_ptr(t->dialer, NNG_OPT_TLS_CONFIG, t->client_config)) != 0)
        return rv;
    nng_aio_set_timeout(t->server_aio, TRIAL_MS);
    nng_aio_set_timeout(t->client_aio, TRIAL_MS);
    nng_stream_listener_accept(t->listener, t->server_aio);
    nng_stream_dialer_dial(t->dialer, t->client_aio);
    nng_aio_wait(t->server_aio);
    nng_aio_wait(t->client_aio);
    if ((rv = nng_aio_result(t->client_aio)) == 0)
        t->client = nng_aio_get_output(t->client_aio, 0);
    if (nng_aio_result(t->server_aio) == 0)
        t->server = nng_aio_get_output(t->server_aio, 0);
    else
        rv = nng_aio_result(t->server_aio);
    return rv;
}

/* One byte across proves the handshake on both sides. */
static int
send_byte(struct trial *t)
{
    char out = 'x', in = 0;
    nng_iov from = { &out, 1 }, to = { &in, 1 };
    int rv;

    if ((rv = nng_aio_set_iov(t->client_aio, 1, &from)) != 0 || (rv = nng_aio_set_iov(t->server_aio, 1, &to)) != 0)
        return rv;
    nng_stream_recv(t->server, t->server_aio);
    nng_stream_send(t->client, t->client_aio);
    nng_aio_wait(t->server_aio);
    nng_aio_wait(t->client_aio);
    rv = nng_aio_result(t->server_aio);
    return rv != 0 ? rv : nng_aio_result(t->client_aio);
}

static int
try_handshake(const struct fo_nng_tls *tls, nng_tls_auth_mode mode)
{
    struct trial t = { 0 };
    int rv;

    if ((rv = make_configs(&t, tls, mode)) == 0 && (rv = connect_both(&t)) == 0)
        rv = send_byte(&t);
    if (t.server != NULL)
        nng_stream_free(t.server);
    if (t.client != NULL)
        nng_stream_free(t.client);
    if (t.listener != NULL)
        nng_stream_listener_free(t.listener);
    if (t.dialer != NULL)
        nng_stream_dialer_free(t.dialer);
    if (t.server_aio != NULL)
        nng_aio_free(t.server_aio);
    if (t.client_aio != NULL)
        nng_aio_free(t.client_aio);
    if (t.server_config != NULL)
        nng_tls_config_free(t.server_config);
    if (t.client_config != NULL)
        nng_tls_config_free(t.client_config);
    return rv;
}

enum fo_err
fo_nng_tls_try(const struct fo_nng_config *config, const struct fo_nng_tls *tls, struct fo_fault *ret_fault)
{
    int rv = try_handshake(tls, NNG_TLS_AUTH_MODE_REQUIRED);

    if (rv == 0)
        return FO_OK;
    if (try_handshake(tls, NNG_TLS_AUTH_MODE_NONE) == 0)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls.ca",
            "%s did not issue %s, or that has expired or may not be used for clients", config->tls.ca, config->tls.cert);
    return fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls.key", "%s is not the key of %s, or that may not be used for servers: %s", config->tls.key, config->tls.cert,
        nng_strerror(rv));
}
