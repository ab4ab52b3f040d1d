/* SPDX-License-Identifier: Apache-2.0 */
#include "wanqueue.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { HOLD_MS_MIN = 1, HOLD_MS_SPAN = 10 };    /* how long a packet is held back that others shall overtake */
#define NS_PER_S UINT64_C(1000000000)

struct wan_rules
wan_rules_none(void)
{
    return (struct wan_rules){ .queue_bytes = 131072, .burst_bytes = 3000 };
}

void
wan_queue_init(struct wan_queue *q, uint64_t seed)
{
    *q = (struct wan_queue){ .rules = wan_rules_none() };
    fo_rng_init(&q->rng, seed);
}

static void
drop_all(struct wan_queue *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        free(q->heap[i]);
    q->count = 0;
}

void
wan_queue_fini(struct wan_queue *q)
{
    drop_all(q);
    free(q->heap);
}

static struct fo_duration
time_of(uint64_t bytes, uint64_t rate_bps)
{
    return (struct fo_duration){ (int64_t)(bytes * 8 * NS_PER_S / rate_bps) };
}

/* Bytes that have not yet passed the rate limit. */
static uint64_t
waiting_bytes(const struct wan_queue *q, struct fo_instant now)
{
    if (q->rules.rate_bps == 0 || !fo_instant_is_before(now, q->free_at))
        return 0;
    return (uint64_t)((double)fo_instant_since(q->free_at, now).ns * (double)q->rules.rate_bps / 8e9);
}

void
wan_queue_set(struct wan_queue *q, const struct wan_rules *rules, struct fo_instant now)
{
    uint64_t waiting = waiting_bytes(q, now);

    if (rules->is_cut) {
        q->counters.cut += q->count;
        drop_all(q);
        waiting = 0;
    }
    q->rules = *rules;
    q->free_at = rules->rate_bps > 0 ? fo_instant_add(now, time_of(waiting, rules->rate_bps)) : now;
}

static bool
is_hit(struct wan_queue *q, uint32_t ppm)
{
    return ppm > 0 && fo_rng_below(&q->rng, WAN_PPM) < ppm;
}

/* When the packet has passed the rate limit. False: too much waits already. */
static bool
pass_rate(struct wan_queue *q, uint32_t n, struct fo_instant now, struct fo_instant *ret_at)
{
    struct fo_instant earliest;

    *ret_at = now;
    if (q->rules.rate_bps == 0)
        return true;
    if (waiting_bytes(q, now) > 0 && waiting_bytes(q, now) + n > q->rules.queue_bytes)
        return false;
    earliest = (struct fo_instant){ now.ns - time_of(q->rules.burst_bytes, q->rules.rate_bps).ns };
    if (fo_instant_is_before(q->free_at, earliest))
        q->free_at = earliest;
    q->free_at = fo_instant_add(q->free_at, time_of(n, q->rules.rate_bps));
    if (fo_instant_is_before(now, q->free_at))
        *ret_at = q->free_at;
    return true;
}

static struct fo_instant
choose_due(struct wan_queue *q, struct fo_instant leaves)
{
    struct fo_instant due = fo_instant_add(leaves, q->rules.delay);

    if (q->rules.jitter.ns > 0)
        due.ns += (int64_t)fo_rng_below(&q->rng, 2 * (uint64_t)q->rules.jitter.ns + 1) - q->rules.jitter.ns;
    if (fo_instant_is_before(due, leaves))
        due = leaves;
    if (is_hit(q, q->rules.reorder_ppm)) {
        q->counters.reordered++;
        return (struct fo_instant){ due.ns + fo_duration_ms(HOLD_MS_MIN).ns
            + (int64_t)fo_rng_below(&q->rng, (uint64_t)fo_duration_ms(HOLD_MS_SPAN).ns) };
    }
    if (fo_instant_is_before(due, q->last_due))
        due = q->last_due;
    q->last_due = due;
    return due;
}

static bool
is_sooner(const struct wan_packet *a, const struct wan_packet *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->serial < b->serial;
}

static void
heap_insert(struct wan_queue *q, struct wan_packet *p)
{
    uint32_t at = q->count++;

    for (; at > 0 && is_sooner(p, q->heap[(at - 1) / 2]); at = (at - 1) / 2)
        q->heap[at] = q->heap[(at - 1) / 2];
    q->heap[at] = p;
}

static bool
grow(struct wan_queue *q)
{
    uint32_t cap = q->cap == 0 ? 256 : q->cap * 2;
    struct wan_packet **heap;

    if (q->count < q->cap)
        return true;
    if (cap > WAN_PACKETS_MAX || (heap = realloc(q->heap, cap * sizeof(struct wan_packet *))) == NULL)
        return false;
    q->heap = heap;
    q->cap = cap;
    return true;
}

static void
send_along(struct wan_queue *q, const void *bytes, uint32_t n, struct fo_instant leaves)
{
    struct wan_packet *p = grow(q) ? malloc(sizeof(*p) + n) : NULL;

    if (p == NULL) {
        q->counters.overflowed++;
        return;
    }
    *p = (struct wan_packet){ .due = choose_due(q, leaves), .serial = q->serial++, .n = n };
    memcpy(p->bytes, bytes, n);
    heap_insert(q, p);
}

void
wan_queue_push(struct wan_queue *q, const void *bytes, uint32_t n, struct fo_instant now)
{
    struct fo_instant leaves;

    q->counters.in++;
    if (q->rules.is_cut) {
        q->counters.cut++;
    } else if (is_hit(q, q->rules.loss_ppm)) {
        q->counters.lost++;
    } else if (!pass_rate(q, n, now, &leaves)) {
        q->counters.overflowed++;
    } else {
        send_along(q, bytes, n, leaves);
        if (is_hit(q, q->rules.duplicate_ppm)) {
            q->counters.duplicated++;
            send_along(q, bytes, n, leaves);
        }
    }
}

struct wan_packet *
wan_queue_pop(struct wan_queue *q, struct fo_instant now)
{
    struct wan_packet *first, *last;
    uint32_t at = 0;

    if (q->count == 0 || fo_instant_is_before(now, q->heap[0]->due))
        return NULL;
    first = q->heap[0];
    last = q->heap[--q->count];
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < q->count && is_sooner(q->heap[child + 1], q->heap[child]))
            child++;
        if (child >= q->count || !is_sooner(q->heap[child], last))
            break;
        q->heap[at] = q->heap[child];
        at = child;
    }
    q->heap[at] = last;
    q->counters.out++;
    q->counters.out_bytes += first->n;
    return first;
}

struct fo_instant
wan_queue_next(const struct wan_queue *q)
{
    return q->count > 0 ? q->heap[0]->due : (struct fo_instant){ INT64_MAX };
}
