/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's inbox: two rings, urgent and bulk, under one mutex. The loop takes many inputs at once, and a poster wakes it
 * only when it sleeps, so a busy loop costs no system calls.
 *
 *   messages <= cap / 2,  their bytes <= MESSAGE_BYTES_MAX or one message,  urgent.count + bulk.count <= cap
 *
 * Frames and requests come from outside and may be any number, so they get half of the room and hear FO_ERR_FULL. The rest is
 * for what the broker's own threads tell, of which there is little; when even that is used up the poster waits for the loop.
 * One eighth of each take is for bulk if there is any, so that a flood of urgent frames cannot shut the door. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "ports/inbox.h"

enum { MESSAGE_BYTES_MAX = 128 << 20 };

struct ring { struct fo_input *inputs; unsigned head, count; };

struct fo_inbox {
    pthread_mutex_t mutex;
    pthread_cond_t has_input, has_room;
    struct ring urgent, bulk;
    unsigned cap, messages, waiting_for_room;
    size_t message_bytes;
    bool is_loop_waiting;
};

static bool
is_message(const struct fo_input *in)
{
    return in->kind == FO_INPUT_FRAME || in->kind == FO_INPUT_REQUEST;
}

static unsigned
used(const struct fo_inbox *box)
{
    return box->urgent.count + box->bulk.count;
}

static void
ring_put(struct ring *ring, unsigned cap, const struct fo_input *in)
{
    ring->inputs[(ring->head + ring->count++) % cap] = *in;
}

static unsigned
ring_take(struct fo_inbox *box, struct ring *ring, struct fo_input *ret_inputs, unsigned max)
{
    unsigned n = ring->count < max ? ring->count : max;

    for (unsigned i = 0; i < n; i++) {
        ret_inputs[i] = ring->inputs[ring->head];
        ring->head = (ring->head + 1) % box->cap;
        if (is_message(&ret_inputs[i])) {
            box->messages--;
            box->message_bytes -= ret_inputs[i].msg.body.n;
        }
    }
    ring->count -= n;
    return n;
}

enum fo_err
fo_inbox_create(unsigned cap, struct fo_inbox **ret_inbox)
{
    struct fo_inbox *box;
    pthread_condattr_t attr;

    fo_assert(cap >= 2);
    box = calloc(1, sizeof(*box));
    if (box == NULL)
        return FO_ERR_NO_MEMORY;
    box->cap = cap;
    box->urgent.inputs = calloc(cap, sizeof(*box->urgent.inputs));
    box->bulk.inputs = calloc(cap, sizeof(*box->bulk.inputs));
    if (box->urgent.inputs == NULL || box->bulk.inputs == NULL) {
        free(box->urgent.inputs);
        free(box->bulk.inputs);
        free(box);
        return FO_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&box->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->has_input, &attr);
    pthread_cond_init(&box->has_room, &attr);
    pthread_condattr_destroy(&attr);
    *ret_inbox = box;
    return FO_OK;
}

void
fo_inbox_destroy(struct fo_inbox *box)
{
    if (box == NULL)
        return;
    pthread_cond_destroy(&box->has_input);
    pthread_cond_destroy(&box->has_room);
    pthread_mutex_destroy(&box->mutex);
    free(box->urgent.inputs);
    free(box->bulk.inputs);
    free(box);
}

enum fo_err
fo_inbox_post(struct fo_inbox *box, const struct fo_input *in, bool is_urgent)
{
    pthread_mutex_lock(&box->mutex);
    if (is_message(in)) {
        bool is_too_much = box->messages > 0 && box->message_bytes + in->msg.body.n > MESSAGE_BYTES_MAX;

        if (box->messages >= box->cap / 2 || used(box) == box->cap || is_too_much) {
            pthread_mutex_unlock(&box->mutex);
            return FO_ERR_FULL;
        }
        box->messages++;
        box->message_bytes += in->msg.body.n;
    }
    while (used(box) == box->cap) {
        box->waiting_for_room++;
        pthread_cond_wait(&box->has_room, &box->mutex);
        box->waiting_for_room--;
    }
    ring_put(is_urgent ? &box->urgent : &box->bulk, box->cap, in);
    if (box->is_loop_waiting) {
        box->is_loop_waiting = false;
        pthread_cond_signal(&box->has_input);
    }
    pthread_mutex_unlock(&box->mutex);
    return FO_OK;
}

static struct timespec
deadline_after(int timeout_us)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_us / 1000000;
    t.tv_nsec += timeout_us % 1000000 * 1000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* Returns when there is something or the time is over. */
static void
wait_for_input(struct fo_inbox *box, int timeout_us)
{
    struct timespec deadline;

    if (timeout_us > 0)
        deadline = deadline_after(timeout_us);
    while (used(box) == 0) {
        box->is_loop_waiting = true;
        if (timeout_us < 0)
            pthread_cond_wait(&box->has_input, &box->mutex);
        else if (pthread_cond_timedwait(&box->has_input, &box->mutex, &deadline) == ETIMEDOUT)
            break;
    }
    box->is_loop_waiting = false;
}

unsigned
fo_inbox_take(struct fo_inbox *box, struct fo_input *ret_inputs, unsigned max, int timeout_us)
{
    unsigned n, reserved;

    pthread_mutex_lock(&box->mutex);
    if (used(box) == 0 && timeout_us != 0)
        wait_for_input(box, timeout_us);
    reserved = box->bulk.count < max / 8 ? box->bulk.count : max / 8;
    n = ring_take(box, &box->urgent, ret_inputs, max - reserved);
    n += ring_take(box, &box->bulk, ret_inputs + n, max - n);
    if (box->waiting_for_room > 0)
        pthread_cond_broadcast(&box->has_room);
    pthread_mutex_unlock(&box->mutex);
    return n;
}
