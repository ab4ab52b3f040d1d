/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/nng_sockets.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int
fo_nng_sockets_find(bool (*is_it)(const void *ctx, int fd), const void *ctx)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int found = -1;

    if (dir == NULL)
        return -1;
    while (found < 0 && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && is_it(ctx, fd))
            found = fd;
    }
    closedir(dir);
    return found;
}

bool
fo_nng_socket_is_listening(int fd)
{
    int accepts = 0;
    socklen_t n = sizeof(accepts);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 && accepts != 0;
}

struct sockaddr_storage
fo_nng_reachable(const struct sockaddr_storage *bound)
{
    struct sockaddr_storage at = *bound;
    struct sockaddr_in *in = (struct sockaddr_in *)&at;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&at;

    if (at.ss_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_ANY))
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (at.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
        in6->sin6_addr = in6addr_loopback;
    return at;
}

bool
fo_nng_is_same_address(const struct sockaddr_storage *sa, const nng_sockaddr *at)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

    if (sa->ss_family == AF_INET && at->s_family == NNG_AF_INET)
        return in->sin_port == at->s_in.sa_port && in->sin_addr.s_addr == at->s_in.sa_addr;
    if (sa->ss_family == AF_INET6 && at->s_family == NNG_AF_INET6)
        return in6->sin6_port == at->s_in6.sa_port && memcmp(&in6->sin6_addr, at->s_in6.sa_addr, 16) == 0;
    return false;
}
