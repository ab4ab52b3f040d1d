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
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/nng_parts.h"

enum { UNACKED_MS = 4000, QUIET_S = 20, ASK_EVERY_S = 5, ASK_MAX = 4 };

static bool
is_at(const struct sockaddr_storage *sa, const nng_sockaddr *at)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

    if (sa->ss_family == AF_INET && at->s_family == NNG_AF_INET)
        return in->sin_port == at->s_in.sa_port && in->sin_addr.s_addr == at->s_in.sa_addr;
    if (sa->ss_family == AF_INET6 && at->s_family == NNG_AF_INET6)
        return in6->sin6_port == at->s_in6.sa_port && memcmp(&in6->sin6_addr, at->s_in6.sa_addr, 16) == 0;
    return false;
}

/* remote null: the one that listens. */
static bool
is_between(int fd, const nng_sockaddr *local, const nng_sockaddr *remote)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa), m = sizeof(int);
    int accepts = 0;

    memset(&sa, 0, sizeof(sa));
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0 || !is_at(&sa, local))
        return false;
    if (remote == NULL)
        return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &m) == 0 && accepts != 0;
    n = sizeof(sa);
    return getpeername(fd, (struct sockaddr *)&sa, &n) == 0 && is_at(&sa, remote);
}

static int
find(const nng_sockaddr *local, const nng_sockaddr *remote)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int found = -1;

    if (dir == NULL)
        return -1;
    while (found < 0 && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && is_between(fd, local, remote))
            found = fd;
    }
    closedir(dir);
    return found;
}

void
fo_nng_patience_dialed(nng_pipe pipe)
{
    nng_sockaddr local, remote;
    unsigned ms = UNACKED_MS;
    int fd;

    if (nng_pipe_get_addr(pipe, NNG_OPT_LOCADDR, &local) != 0 || nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &remote) != 0)
        return;
    fd = find(&local, &remote);
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
    fd = find(&local, NULL);
    for (unsigned i = 0; fd >= 0 && i < sizeof(inherited) / sizeof(inherited[0]); i++)
        (void)setsockopt(fd, IPPROTO_TCP, inherited[i].option, &inherited[i].value, sizeof(inherited[i].value));
}
