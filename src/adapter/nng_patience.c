/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the kernel goes on with a tcp connection over which nothing passes any more.
 *
 * While a line is cut, TCP tries again after 0.2 s, 0.4 s and so on up to two minutes: after a minute of outage a link came back
 * only 20 s after its line. So a dialer's connection is given up when what it sent stays unacknowledged for UNACKED_MS; dialing
 * anew tries every few seconds. The end that only receives learns nothing from that, so what it accepted is asked
 * for a sign of life when it has been quiet, and does not pile up.
 *
 * NNG has no options for these times. A connection's descriptor is found by its two addresses; accepted ones inherit the times
 * from their listener's. Where that fails the kernel's own patience holds. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "adapter/nng_parts.h"
#include "adapter/nng_sockets.h"

enum { UNACKED_MS = 4000, QUIET_S = 20, ASK_EVERY_S = 5, ASK_MAX = 4 };

/* remote null: the one that listens. */
struct ends { const nng_sockaddr *local, *remote; };

static bool
is_between(const void *ctx, int fd)
{
    const struct ends *ends = ctx;
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);

    memset(&sa, 0, sizeof(sa));
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0 || !fo_nng_is_same_address(&sa, ends->local))
        return false;
    if (ends->remote == NULL)
        return fo_nng_socket_is_listening(fd);
    n = sizeof(sa);
    return getpeername(fd, (struct sockaddr *)&sa, &n) == 0 && fo_nng_is_same_address(&sa, ends->remote);
}

void
fo_nng_patience_dialed(nng_pipe pipe)
{
    nng_sockaddr local, remote;
    unsigned ms = UNACKED_MS;
    int fd;

    if (nng_pipe_get_addr(pipe, NNG_OPT_LOCADDR, &local) != 0 || nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &remote) != 0)
        return;
    fd = fo_nng_sockets_find(is_between, &(struct ends){ &local, &remote });
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

void
fo_nng_patience_listening(nng_listener listener)
{
    const struct { int option, value; } inherited[] = { { TCP_KEEPIDLE, QUIET_S }, { TCP_KEEPINTVL, ASK_EVERY_S }, { TCP_KEEPCNT, ASK_MAX } };
    nng_sockaddr local;
    int fd;

    if (nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &local) != 0)
        return;
    fd = fo_nng_sockets_find(is_between, &(struct ends){ &local, NULL });
    for (unsigned i = 0; fd >= 0 && i < sizeof(inherited) / sizeof(inherited[0]); i++)
        (void)setsockopt(fd, IPPROTO_TCP, inherited[i].option, &inherited[i].value, sizeof(inherited[i].value));
}
