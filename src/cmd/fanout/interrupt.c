/* SPDX-License-Identifier: Apache-2.0
 *
 * See interrupt.h. The handler runs on any thread, and a signal may come just before a wait begins: so it writes into a pipe, which
 * waits watch, too. */
#include "cmd/fanout/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught, times;
static int wake[2] = { -1, -1 };

static void
on_signal(int sig)
{
    int before = errno;

    if (caught == 0)
        caught = sig;
    if (++times == 2) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    }
    (void)!write(wake[1], "", 1);
    errno = before;
}

void
interrupt_catch(void)
{
    static const int signals[] = { SIGINT, SIGTERM };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, before;

    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 2; i++) {
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
}

int
interrupt_signal(void)
{
    return caught;
}

bool
interrupt_is_urgent(void)
{
    return times > 1;
}

bool
interrupt_wait_readable(int fd)
{
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = wake[0], .events = POLLIN } };

    while (caught == 0 && poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return caught == 0;
}
