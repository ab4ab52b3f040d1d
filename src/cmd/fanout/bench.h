/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout bench`: what its parts share. bench.c has arguments, running and printing, bench_load.c the publishers,
 * bench_sub.c the subscribers.
 *
 * Events are numbered: a slot is one request in flight on one connection; slot s publishes its own events n = 0, 1, 2, ... with
 * its own ordering keys, one request after the other, so that per key the numbers must arrive ascending. The payload carries run,
 * slot, number and time, so that a subscriber can tell loss, repeats, disorder and latency. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hist.h"
#include "client/conn.h"
#include "cmd/fanout/common.h"

enum { BENCH_SUBSCRIBERS_MAX = 64, BENCH_SLOTS_MAX = 1024, BENCH_PAYLOAD_BYTES_MIN = 48 };

struct bench {
    struct cmd_common common;
    const char *type, *priority;
    uint64_t events, connections, depth, batch, size, keys, per_address;
    double rate;                        /* events a second in all; 0: as fast as possible */
    int drain_ms;
    const char *sub_address[BENCH_SUBSCRIBERS_MAX];
    unsigned sub_addresses;

    uint64_t run;                       /* random; in tenant and payloads */
    char tenant[32];
    unsigned slots;
    uint64_t keys_per_slot;
    int64_t begun_ns, published_ns;     /* monotonic: first publish, last answer */
    atomic_bool is_stopping;
    atomic_uint_fast64_t accepted, refused, repeated_requests;
    atomic_uint_fast32_t subscribers_ready;
};

/* What slot s publishes: so many events, the first of which has this number among all. */
static inline uint64_t bench_slot_events(const struct bench *b, unsigned s) { return b->events / b->slots + (s < b->events % b->slots); }
static inline uint64_t bench_slot_first(const struct bench *b, unsigned s)
{
    uint64_t more = b->events % b->slots;
    return b->events / b->slots * s + (s < more ? s : more);
}
int64_t bench_now_ns(void);
/* A connection of its own to one address. Complains itself. */
struct fo_conn *bench_connect(const struct bench *b, const char *address);

/* The payload: map of r(un), s(lot), n(umber), t(ime, ns), pad. Each number has a fixed place. */
enum { BENCH_AT_RUN = 4, BENCH_AT_SLOT = 15, BENCH_AT_NUMBER = 22, BENCH_AT_TIME = 29, BENCH_HEAD_BYTES = 37 };
void bench_payload_make(const struct bench *b, uint8_t *payload);
static inline void bench_put(uint8_t *p, uint64_t v, unsigned n) { for (; n > 0; v >>= 8) p[--n] = (uint8_t)v; }
static inline uint64_t bench_get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

struct bench_load {                     /* one connection with its slots */
    struct bench *bench;
    unsigned first_slot;
    pthread_t thread;
    struct fo_hist answer_us;           /* per event: from its time to the answer */
    char failure[160];                  /* why it gave up; "" when it did not */
};
void *bench_load_run(void *load);

struct bench_sub {                      /* one subscriber */
    struct bench *bench;
    const char *address;
    pthread_t thread;
    uint8_t *seen;                      /* one bit per event */
    uint32_t *newest;                   /* per key: number of the newest event + 1 */
    atomic_uint_fast64_t received;      /* different events */
    uint64_t duplicates, disordered, strange;
    int64_t last_ns;
    struct fo_hist latency_us;
    char failure[160];
};
void *bench_sub_run(void *sub);
