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
 *   4. the same with connections that were greeted but never fetched, as their clients believe themselves connected. (A mere
 *      shutdown would do for the clients, but NNG's poll thread would then spin on the hang-up.)
 *
 * Whatever fails before step 3 leaves all as it was, and the caller closes the listener instead. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "adapter/nng_parts.h"
#include "adapter/nng_sockets.h"

enum { SETTLE_MS = 10, DRAIN_ROUNDS = 5 };

static void
sleep_ms(long ms)
{
    struct timespec t = { .tv_nsec = ms * 1000000L };

    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* At the listener's address? Connections to a listener on all addresses have local addresses of all kinds, and no other can have its port. */
static bool
is_at_address(int fd, const struct sockaddr_storage *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    struct sockaddr_storage local;
    socklen_t n = sizeof(local);

    memset(&local, 0, sizeof(local));
    if (getsockname(fd, (struct sockaddr *)&local, &n) != 0 || local.ss_family != address->ss_family)
        return false;
    if (local.ss_family == AF_UNIX)
        return strcmp(((struct sockaddr_un *)&local)->sun_path, ((const struct sockaddr_un *)address)->sun_path) == 0;
    if (local.ss_family == AF_INET6)
        return ((struct sockaddr_in6 *)&local)->sin6_port == in6->sin6_port
            && (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) || memcmp(&((struct sockaddr_in6 *)&local)->sin6_addr, &in6->sin6_addr, 16) == 0);
    return ((struct sockaddr_in *)&local)->sin_port == in->sin_port
        && (in->sin_addr.s_addr == htonl(INADDR_ANY) || ((struct sockaddr_in *)&local)->sin_addr.s_addr == in->sin_addr.s_addr);
}

struct visit { struct fo_nng_listener *l; struct fo_nng_retired *retired; int substitute; };

static bool
is_the_listener(const void *ctx, int fd)
{
    return is_at_address(fd, &((const struct visit *)ctx)->l->address) && fo_nng_socket_is_listening(fd);
}

static void
note(struct fo_nng_retired *retired, int fd)
{
    struct stat st;

    if (retired->left_count < FO_NNG_LEFT_MAX && fstat(fd, &st) == 0)
        retired->left[retired->left_count++] = (struct fo_nng_left){ fd, st.st_ino };
}

static bool
note_any(const void *ctx, int fd)
{
    const struct visit *v = ctx;

    if (is_at_address(fd, &v->l->address))
        note(v->retired, fd);
    return false;
}

static bool
cut_unserved(const void *ctx, int fd)
{
    const struct visit *v = ctx;
    struct sockaddr_storage remote;
    socklen_t n = sizeof(remote);

    memset(&remote, 0, sizeof(remote));
    if (!is_at_address(fd, &v->l->address) || fo_nng_socket_is_listening(fd)
        || (getpeername(fd, (struct sockaddr *)&remote, &n) == 0 && fo_nng_pipes_has_remote(&v->l->pipes, &remote)))
        return false;
    if (dup3(v->substitute, fd, O_CLOEXEC) == fd)
        note(v->retired, fd);
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
fo_nng_rescue_address(struct fo_nng_listener *l, struct fo_nng_retired *retired)
{
    struct visit v = { .l = l, .retired = retired };
    int listening = fo_nng_sockets_find(is_the_listener, &v);
    bool is_free;

    if (listening < 0)
        return false;
    v.substitute = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v.substitute < 0)
        return false;
    is_free = quiet(listening) && dup3(v.substitute, listening, O_CLOEXEC) == listening;
    if (is_free) {
        note(retired, listening);
        (void)fo_nng_sockets_find(cut_unserved, &v);
    }
    close(v.substitute);
    return is_free;
}

void
fo_nng_rescue_note(struct fo_nng_listener *l, struct fo_nng_retired *retired)
{
    retired->left_count = 0;
    (void)fo_nng_sockets_find(note_any, &(struct visit){ .l = l, .retired = retired });
}

/* The inode proves that the number still means the socket that was noted. */
void
fo_nng_rescue_sweep(struct fo_nng_retired *retired)
{
    for (unsigned i = 0; i < retired->left_count; i++) {
        struct stat st;

        if (fstat(retired->left[i].fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == retired->left[i].inode)
            close(retired->left[i].fd);
    }
    retired->left_count = 0;
}
