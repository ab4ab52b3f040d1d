/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes the address from a dead NNG listener and leaves its connections alone.
 *
 * NNG 1.5.2 stops listening for good when a client connects, sends FIN and then RST while the greeting is under way: the transport
 * goes on accepting and greeting, but nobody fetches what it accepted. NNG has no way to start such a listener again, and
 * closing it closes every connection it ever accepted. What is needed is only the address, and that hangs on one descriptor:
 *
 *   1. find the descriptor that listens on the address;
 *   2. let the kernel drop what comes in for it, and NNG accept what had come, so that nothing is about to happen to it;
 *   3. put an unconnected socket in its place (dup3), which frees the address and keeps NNG's books in order;
 *   4. shut down the connections that were greeted but never fetched: their clients believe themselves connected.
 *
 * Whatever fails before step 3 leaves all as it was, and the caller closes the listener instead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapter/nng_parts.h"

enum { SETTLE_MS = 10, DRAIN_ROUNDS = 5 };

static void
sleep_ms(long ms)
{
    struct timespec t = { .tv_nsec = ms * 1000000L };

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

static in_port_t
port_of(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)sa)->sin6_port : ((const struct sockaddr_in *)sa)->sin_port;
}

static bool
is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family || port_of(a) != port_of(b))
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

/* A TCP socket of this process bound to the listener's port? */
static bool
is_on_port(int fd, const struct fo_nng_listener *l, struct sockaddr_storage *ret_local)
{
    socklen_t n = sizeof(*ret_local);

    memset(ret_local, 0, sizeof(*ret_local));
    if (getsockname(fd, (struct sockaddr *)ret_local, &n) != 0)
        return false;
    return ret_local->ss_family == l->address.ss_family && port_of(ret_local) == port_of(&l->address);
}

static bool
is_listening(int fd)
{
    int accepts = 0;
    socklen_t n = sizeof(accepts);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 && accepts != 0;
}

/* Calls back for each descriptor on the port until told to stop; returns the descriptor at which it was, or -1. */
typedef bool (*visit_fn)(struct fo_nng_listener *l, int fd, const struct sockaddr_storage *local);

static int
visit_descriptors(struct fo_nng_listener *l, visit_fn visit)
{
    DIR *dir = opendir("/proc/self/fd");
    struct sockaddr_storage local;
    struct dirent *entry;
    int found = -1;

    if (dir == NULL)
        return -1;
    while (found < 0 && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && is_on_port(fd, l, &local) && visit(l, fd, &local))
            found = fd;
    }
    closedir(dir);
    return found;
}

static bool
is_the_listener(struct fo_nng_listener *l, int fd, const struct sockaddr_storage *local)
{
    return is_same_address(local, &l->address) && is_listening(fd);
}

/* Never stops the visit: every connection without a pipe is shut down. */
static bool
shut_unserved(struct fo_nng_listener *l, int fd, const struct sockaddr_storage *local)
{
    struct sockaddr_storage remote;
    socklen_t n = sizeof(remote);

    (void)local;
    if (!is_listening(fd) && getpeername(fd, (struct sockaddr *)&remote, &n) == 0 && !fo_nng_pipes_has_remote(&l->pipes, &remote))
        shutdown(fd, SHUT_RDWR);
    return false;
}

/* No connection can be completed from here on; waits until NNG has accepted those that were. */
static bool
quiet(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog drop = { .len = 1, .filter = &nothing };

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof(drop)) != 0)
        return false;
    for (int round = 0; round < DRAIN_ROUNDS; round++) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        sleep_ms(SETTLE_MS);
        if (poll(&p, 1, 0) == 0)
            return true;
    }
    return false;
}

bool
fo_nng_rescue_address(struct fo_nng_listener *l)
{
    int listening, substitute;
    bool is_free;

    listening = visit_descriptors(l, is_the_listener);
    if (listening < 0)
        return false;
    substitute = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (substitute < 0)
        return false;
    is_free = quiet(listening) && dup3(substitute, listening, O_CLOEXEC) == listening;
    close(substitute);
    if (is_free)
        visit_descriptors(l, shut_unserved);
    return is_free;
}
