/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/nng_probe_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "adapter/nng_sockets.h"

enum { STEP_MS = 2000, GREETING_BYTES = 8, URL_SIZE = 80 };

struct knock { nng_stream_dialer *dialer; nng_stream *stream; nng_aio *aio; };

static bool
address_of(const struct fo_nng_listener *l, char ret_url[URL_SIZE])
{
    const struct sockaddr_storage at = fo_nng_reachable(&l->address);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&at;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&at;
    char host[INET6_ADDRSTRLEN];

    if (at.ss_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(ret_url, URL_SIZE, "tls+tcp://%s:%u", host, ntohs(in->sin_port));
    } else if (at.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(ret_url, URL_SIZE, "tls+tcp://[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        return false;
    }
    return true;
}

static bool
connect_to(struct knock *k, const struct fo_nng_listener *l)
{
    char url[URL_SIZE];

    if (!address_of(l, url) || nng_aio_alloc(&k->aio, NULL, NULL) != 0 || nng_stream_dialer_alloc(&k->dialer, url) != 0
        || nng_stream_dialer_set_ptr(k->dialer, NNG_OPT_TLS_CONFIG, l->probe_tls) != 0)
        return false;
    nng_aio_set_timeout(k->aio, STEP_MS);
    nng_stream_dialer_dial(k->dialer, k->aio);
    nng_aio_wait(k->aio);
    if (nng_aio_result(k->aio) != 0)
        return false;
    k->stream = nng_aio_get_output(k->aio, 0);
    return true;
}

/* All of it, one way or the other. NNG's error. */
static int
pass(struct knock *k, void (*how)(nng_stream *, nng_aio *), uint8_t *bytes, size_t n)
{
    for (size_t done = 0; done < n; done += nng_aio_count(k->aio)) {
        nng_iov iov = { bytes + done, n - done };
        int rv = nng_aio_set_iov(k->aio, 1, &iov);

        if (rv != 0)
            return rv;
        how(k->stream, k->aio);
        nng_aio_wait(k->aio);
        if ((rv = nng_aio_result(k->aio)) != 0)
            return rv;
    }
    return 0;
}

enum fo_nng_life
fo_nng_probe_tls(const struct fo_nng_listener *l)
{
    uint8_t greeting[GREETING_BYTES], more;
    enum fo_nng_life life = FO_NNG_SILENT;
    struct knock k = { 0 };

    if (connect_to(&k, l) && pass(&k, nng_stream_recv, greeting, sizeof(greeting)) == 0 && pass(&k, nng_stream_send, greeting, sizeof(greeting)) == 0)
        life = pass(&k, nng_stream_recv, &more, 1) == NNG_ETIMEDOUT ? FO_NNG_DEAF : FO_NNG_SERVES;
    if (k.stream != NULL)
        nng_stream_free(k.stream);
    if (k.dialer != NULL)
        nng_stream_dialer_free(k.dialer);
    if (k.aio != NULL)
        nng_aio_free(k.aio);
    return life;
}
