/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to happen, by virtual time. Ties go by the order of pushing, so that a seed replays exactly. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;
struct task {
    int64_t at_ns;
    uint64_t order;
    void (*run)(struct sim *s, const struct task *t);
    unsigned node, life;                /* life: of the node when it was pushed */
    uint64_t a, b;
    void *take;                         /* malloc'd; the queue frees it behind run */
};
struct queue { struct task *heap; size_t count, cap; uint64_t next_order; };

void queue_push(struct queue *q, const struct task *t);
bool queue_pop(struct queue *q, struct task *ret_task);
void queue_fini(struct queue *q);
