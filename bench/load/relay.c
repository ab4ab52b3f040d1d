/* SPDX-License-Identifier: Apache-2.0
 *
 * The physical limit: move bytes from one input to K outputs, no parsing.
 *   relay -l PORT | -c PORT   input: listen for, or connect to, one upstream
 *         -o PORT -n K        outputs: accept K connections there, then start
 *         [-d FILE]           append input to FILE, fdatasync in a second thread, and after every sync write the
 *                             8-byte count of durable 256-byte records back upstream (group commit) */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REC = 256 };
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static uint64_t written;
static int in, logfd = -1;

static int
sock(struct sockaddr_in *a, int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return fd;
}

static int
listen_at(int port)
{
    struct sockaddr_in a;
    int fd = sock(&a, port);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 8)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static int
nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void
all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k <= 0)
            exit(0);
        p += k;
        n -= k;
    }
}

static void *
syncer(void *arg)
{
    uint64_t done = 0;
    for (;;) {
        pthread_mutex_lock(&mu);
        while (written == done)
            pthread_cond_wait(&more, &mu);
        uint64_t upto = written;
        pthread_mutex_unlock(&mu);
        if (fdatasync(logfd)) {
            perror("fdatasync");
            exit(1);
        }
        done = upto;
        uint64_t recs = done / REC;
        all(in, (char *)&recs, sizeof recs);
    }
    return arg;
}

int
main(int ac, char **av)
{
    int o, lport = 0, cport = 0, oport = 0, n = 1, out[8];
    const char *file = 0;
    static char buf[65536];
    while ((o = getopt(ac, av, "l:c:o:n:d:")) > 0)
        switch (o) {
        case 'l':
            lport = atoi(optarg);
            break;
        case 'c':
            cport = atoi(optarg);
            break;
        case 'o':
            oport = atoi(optarg);
            break;
        case 'n':
            n = atoi(optarg);
            break;
        case 'd':
            file = optarg;
            break;
        default:
            return 2;
        }
    if (n < 1 || n > 8)
        return 2;
    int ol = listen_at(oport), il = lport ? listen_at(lport) : -1;
    if (file && (logfd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0) {
        perror(file);
        return 1;
    }
    if (cport) { /* take a slot upstream first, so that the chain forms */
        struct sockaddr_in a;
        for (int i = 0;; i++) {
            in = sock(&a, cport);
            if (!connect(in, (void *)&a, sizeof a))
                break;
            close(in);
            usleep(20000);
            if (i > 500) {
                perror("connect");
                return 1;
            }
        }
    }
    for (int i = 0; i < n; i++)
        out[i] = nodelay(accept(ol, 0, 0));
    if (lport)
        in = accept(il, 0, 0);
    nodelay(in);
    pthread_t t;
    if (file)
        pthread_create(&t, 0, syncer, 0);
    for (ssize_t k; (k = read(in, buf, sizeof buf)) > 0;) {
        if (file) {
            if (write(logfd, buf, k) != k) {
                perror("log");
                return 1;
            }
            pthread_mutex_lock(&mu);
            written += k;
            pthread_cond_signal(&more);
            pthread_mutex_unlock(&mu);
        }
        for (int i = 0; i < n; i++)
            all(out[i], buf, k);
    }
    return 0;
}
