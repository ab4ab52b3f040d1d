/* SPDX-License-Identifier: Apache-2.0
 *
 * How long events are gathered before their batch is sealed. A batch has its price, however few events it has: a signature, a sync, an
 * answer, and the same again in each region that it goes to. A loop with time to spare pays it for each request, and nobody waits. One
 * that is busy leaves some time between two batches, so that more requests share each, and is busy less: the wait grows and
 * shrinks until the loop works for about a third of its time.
 *
 *   a batch is due:   at once, if the last one was sealed longer ago than the wait
 *                     at once, if waiting brought no second request when it was tried last: a publisher that sends its next request
 *                              when it has the answer would wait for itself; tried again some batches later, ever more rarely
 *                     else when the wait since the last one is over
 *
 * Pure. */
#pragma once
#include "base/time.h"

struct fo_gather {
    struct fo_duration wait_max;            /* 0: nothing is gathered */
    struct fo_duration wait;                /* now; 0 to wait_max */
    struct fo_instant measured_at;          /* the loop's time since then */
    struct fo_duration busy;                /* and how much of it was work */
    struct fo_instant sealed_at;            /* the last batch */
    unsigned requests;                      /* whose events wait */
    bool is_held;                           /* they waited already */
    unsigned untried;                       /* batches to be sealed at once before waiting is tried again */
    unsigned pause;                         /* how many they are next time */
};

void fo_gather_init(struct fo_gather *g, struct fo_duration wait_max);
/* The loop was at work from one instant to the other, and waited for it from the end of its last work on. */
void fo_gather_worked(struct fo_gather *g, struct fo_instant from, struct fo_instant to);
/* A request's events have joined. */
void fo_gather_joined(struct fo_gather *g);
/* When what waits is due: now or later. */
struct fo_instant fo_gather_due(struct fo_gather *g, struct fo_instant now);
/* It was sealed. */
void fo_gather_sealed(struct fo_gather *g, struct fo_instant now);
