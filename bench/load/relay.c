/* SPDX-License-Identifier: Apache-2.0
 *
 * The physical limit: move bytes from one input to K outputs, no parsing.
 *   relay -l PORT | -c PORT   input: listen for, or connect to, one upstream
 *         -o PORT -n K        outputs: accept K connections there, then start
 *         [-d FILE]           append input to FILE, fdatasync in a second thread, and after every sync write the
 *                             8-byte count of durable 256-byte records back upstream (group commit) */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "load.h"

enum { REC = 256 };
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static uint64_t written;
static int in, logfd = -1;

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
        put_all(in, &recs, sizeof recs);
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
    if (cport) /* take a slot upstream first, so that the chain forms */
        in = dial_soon(cport);
    for (int i = 0; i < n; i++)
        out[i] = accept_one(ol);
    if (lport)
        in = accept_one(il);
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
            put_all(out[i], buf, (size_t)k);
    }
    return 0;
}
