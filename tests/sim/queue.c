/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <stdlib.h>

static bool
is_before(const struct task *a, const struct task *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void
swap(struct task *a, struct task *b)
{
    struct task t = *a;

    *a = *b;
    *b = t;
}

void
queue_push(struct queue *q, const struct task *t)
{
    size_t i = q->count;

    if (q->count == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 256;
        q->heap = realloc(q->heap, q->cap * sizeof *q->heap);
        if (q->heap == NULL)
            abort();
    }
    q->heap[q->count] = *t;
    q->heap[q->count++].order = q->next_order++;
    for (; i > 0 && is_before(&q->heap[i], &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&q->heap[i], &q->heap[(i - 1) / 2]);
}

bool
queue_pop(struct queue *q, struct task *ret_task)
{
    if (q->count == 0)
        return false;
    *ret_task = q->heap[0];
    q->heap[0] = q->heap[--q->count];
    for (size_t i = 0;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < q->count; child++)
            if (is_before(&q->heap[child], &q->heap[least]))
                least = child;
        if (least == i)
            return true;
        swap(&q->heap[i], &q->heap[least]);
        i = least;
    }
}

void
queue_fini(struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i].take);
    free(q->heap);
    *q = (struct queue){ 0 };
}
