/* SPDX-License-Identifier: Apache-2.0
 *
 * The connections (NNG: pipes) of one socket. NNG tells of a pipe in up to three events:
 *
 *   ADD_PRE -> ADD_POST -> REM_POST     or, when the other side speaks another protocol,  ADD_PRE -> REM_POST
 *
 * but REM_POST may overtake ADD_POST, because they come on different threads. So an entry begins with ADD_PRE and ends with
 * REM_POST, and an ADD_POST without an entry is too late to matter. */
#include <stdlib.h>
#include <string.h>

#include "adapter/nng_parts.h"
#include "adapter/nng_sockets.h"

void
fo_nng_pipes_init(struct fo_nng_pipes *pipes)
{
    *pipes = (struct fo_nng_pipes){ 0 };
    pthread_mutex_init(&pipes->mutex, NULL);
}

void
fo_nng_pipes_fini(struct fo_nng_pipes *pipes)
{
    free(pipes->pipes);
    pthread_mutex_destroy(&pipes->mutex);
}

static struct fo_nng_pipe *
find(struct fo_nng_pipes *pipes, uint32_t id)
{
    for (unsigned i = 0; i < pipes->count; i++) {
        if (pipes->pipes[i].id == id)
            return &pipes->pipes[i];
    }
    return NULL;
}

/* Without memory the pipe stays unknown: it works, but is not counted. */
static void
add(struct fo_nng_pipes *pipes, nng_pipe pipe)
{
    struct fo_nng_pipe entry = { .id = pipe.id, .listener = nng_pipe_listener(pipe).id };

    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &entry.remote) != 0)
        memset(&entry.remote, 0, sizeof(entry.remote));
    if (pipes->count == pipes->cap) {
        unsigned cap = pipes->cap ? pipes->cap * 2 : 16;
        struct fo_nng_pipe *grown = realloc(pipes->pipes, cap * sizeof(*grown));

        if (grown == NULL)
            return;
        pipes->pipes = grown;
        pipes->cap = cap;
    }
    pipes->pipes[pipes->count++] = entry;
}

int
fo_nng_pipes_note(struct fo_nng_pipes *pipes, nng_pipe pipe, nng_pipe_ev ev)
{
    struct fo_nng_pipe *entry;
    int change = 0;

    pthread_mutex_lock(&pipes->mutex);
    entry = find(pipes, pipe.id);
    if (ev == NNG_PIPE_EV_ADD_PRE && entry == NULL) {
        add(pipes, pipe);
    } else if (ev == NNG_PIPE_EV_ADD_POST && entry != NULL && !entry->is_up) {
        entry->is_up = true;
        change = 1;
    } else if (ev == NNG_PIPE_EV_REM_POST && entry != NULL) {
        change = entry->is_up ? -1 : 0;
        *entry = pipes->pipes[--pipes->count];
    }
    if (change > 0)
        atomic_fetch_add(&pipes->up, 1);
    else if (change < 0)
        atomic_fetch_sub(&pipes->up, 1);
    pthread_mutex_unlock(&pipes->mutex);
    return change;
}

unsigned
fo_nng_pipes_count_of(struct fo_nng_pipes *pipes, uint32_t listener)
{
    unsigned n = 0;

    pthread_mutex_lock(&pipes->mutex);
    for (unsigned i = 0; i < pipes->count; i++)
        n += pipes->pipes[i].listener == listener;
    pthread_mutex_unlock(&pipes->mutex);
    return n;
}

bool
fo_nng_pipes_has_remote(struct fo_nng_pipes *pipes, const struct sockaddr_storage *remote)
{
    bool has = false;

    pthread_mutex_lock(&pipes->mutex);
    for (unsigned i = 0; i < pipes->count && !has; i++)
        has = fo_nng_is_same_address(remote, &pipes->pipes[i].remote);
    pthread_mutex_unlock(&pipes->mutex);
    return has;
}

int
fo_nng_pipes_watch(nng_socket socket, nng_pipe_cb on_event, void *arg)
{
    int rv;

    if ((rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_PRE, on_event, arg)) != 0 ||
        (rv = nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_event, arg)) != 0)
        return rv;
    return nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_event, arg);
}
