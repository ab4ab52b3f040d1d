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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
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
    if (a->ss_family != b->ss_family || a->ss_family == AF_UNIX || port_of(a) != port_of(b))
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
    return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

/* A socket of this process at the listener's address? Of tcp the port suffices: wildcard listeners have local addresses of all kinds. */
static bool
is_at_address(int fd, const struct fo_nng_listener *l, struct sockaddr_storage *ret_local)
{
    socklen_t n = sizeof(*ret_local);

    memset(ret_local, 0, sizeof(*ret_local));
    if (getsockname(fd, (struct sockaddr *)ret_local, &n) != 0 || ret_local->ss_family != l->address.ss_family)
        return false;
    if (ret_local->ss_family == AF_UNIX)
        return strcmp(((struct sockaddr_un *)ret_local)->sun_path, ((const struct sockaddr_un *)&l->address)->sun_path) == 0;
    return port_of(ret_local) == port_of(&l->address);
}

static bool
is_listening(int fd)
{
    int accepts = 0;
    socklen_t n = sizeof(accepts);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 && accepts != 0;
}

struct visit { struct fo_nng_listener *l; struct fo_nng_retired *retired; int substitute; };
typedef bool (*visit_fn)(const struct visit *v, int fd, const struct sockaddr_storage *local);

/* Calls back for each descriptor at the address until told to stop; returns the descriptor at which it was, or -1. */
static int
visit_descriptors(const struct visit *v, visit_fn visit)
{
    DIR *dir = opendir("/proc/self/fd");
    struct sockaddr_storage local;
    struct dirent *entry;
    int found = -1;

    if (dir == NULL)
        return -1;
    while (found < 0 && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && is_at_address(fd, v->l, &local) && visit(v, fd, &local))
            found = fd;
    }
    closedir(dir);
    return found;
}

static bool
is_the_listener(const struct visit *v, int fd, const struct sockaddr_storage *local)
{
    return is_same_address(local, &v->l->address) && is_listening(fd);
}

static void
note(struct fo_nng_retired *retired, int fd)
{
    struct stat st;

    if (retired->left_count < FO_NNG_LEFT_MAX && fstat(fd, &st) == 0)
        retired->left[retired->left_count++] = (struct fo_nng_left){ fd, st.st_ino };
}

static bool
note_any(const struct visit *v, int fd, const struct sockaddr_storage *local)
{
    (void)local;
    note(v->retired, fd);
    return false;
}

static bool
cut_unserved(const struct visit *v, int fd, const struct sockaddr_storage *local)
{
    struct sockaddr_storage remote;
    socklen_t n = sizeof(remote);

    (void)local;
    memset(&remote, 0, sizeof(remote));
    if (is_listening(fd) || (getpeername(fd, (struct sockaddr *)&remote, &n) == 0 && fo_nng_pipes_has_remote(&v->l->pipes, &remote)))
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
    int listening = visit_descriptors(&v, is_the_listener);
    bool is_free;

    if (listening < 0)
        return false;
    v.substitute = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v.substitute < 0)
        return false;
    is_free = quiet(listening) && dup3(v.substitute, listening, O_CLOEXEC) == listening;
    if (is_free) {
        note(retired, listening);
        visit_descriptors(&v, cut_unserved);
    }
    close(v.substitute);
    return is_free;
}

void
fo_nng_rescue_note(struct fo_nng_listener *l, struct fo_nng_retired *retired)
{
    retired->left_count = 0;
    visit_descriptors(&(struct visit){ .l = l, .retired = retired }, note_any);
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
