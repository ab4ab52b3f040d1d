/* SPDX-License-Identifier: Apache-2.0
 *
 * What all drivers stand on: connections, the clock, and the end of a run that cannot go on. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

void
die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in
loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int
without_delay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int
try_dial(int port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return without_delay(fd);
    close(fd);
    return -1;
}

int
dial(int port)
{
    int fd = try_dial(port);

    if (fd < 0)
        die("connect to port %d: %s", port, strerror(errno));
    return fd;
}

int
dial_soon(int port)
{
    for (int i = 0; i < 500; i++) {
        int fd = try_dial(port);

        if (fd >= 0)
            return fd;
        usleep(20000);
    }
    die("nobody listens at port %d", port);
}

int
listen_at(int port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 8) != 0)
        die("listen at port %d: %s", port, strerror(errno));
    return fd;
}

int
accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        die("accept: %s", strerror(errno));
    return without_delay(fd);
}

void
put_all(int fd, const void *p, size_t n)
{
    const char *from = p;

    while (n > 0) {
        ssize_t k = write(fd, from, n);

        if (k < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, 1000);
            continue;
        }
        if (k <= 0)
            die("write: %s", strerror(errno));
        from += k;
        n -= (size_t)k;
    }
}
