/* SPDX-License-Identifier: Apache-2.0
 *
 * A world of brokers in one process: production broker, core and wire code over simulated clock, network, disk and
 * clients. One 64-bit seed decides everything that happens; checkers compare what the brokers do with the truth. */
#pragma once
#include "base/crc32c.h"
#include "base/rng.h"
#include "broker/parts.h"

#include "clients.h"
#include "disk.h"
#include "queue.h"
#include "truth.h"

enum { NODES_MAX = 5, PUBLISHERS_MAX = 12, READERS_MAX = 15, REQUESTS_MAX = 64, KEPT_FRAMES_MAX = 16 };
enum { FRESH_EVENTS = 24 };             /* published behind the healing of a lossy schedule */
enum bug { BUG_NONE, BUG_EARLY_STORED, BUG_TORN_STORED };

struct node {
    unsigned index;
    struct fo_config config;
    struct fo_config_peer peers[NODES_MAX];
    unsigned to_global[NODES_MAX], to_local[NODES_MAX];
    struct fo_broker *broker;
    struct sim_journal journal;
    struct sim_transport { struct fo_transport base; struct sim *sim; unsigned node; } transport;
    struct disk disk;
    struct fo_input *inbox;
    unsigned inbox_count, inbox_cap;
    bool is_up, is_stopping, is_stepping, has_expected_state;
    unsigned life;
    int64_t mono_offset_ns, wall_base_us, wake_at_ns;
    struct fo_instant worked_to;                /* of a busy one: it works all the time */
    uint64_t expected_state;
    uint64_t open_request[REQUESTS_MAX];        /* asked and not yet answered by this life */
    unsigned open_count, idle_steps;
    int64_t msgs_out;
};

struct net_link { bool is_up, is_cut; };        /* is_up: what the sender was told; is_cut: frames vanish */
struct net {
    struct net_link link[NODES_MAX][NODES_MAX][FO_LINK_CLASSES];
    struct { uint8_t *p; size_t n; unsigned to; } kept[KEPT_FRAMES_MAX];    /* to be replayed later */
    unsigned loss, duplication, corruption;     /* per thousand */
    int64_t delay_ns, jitter_ns;
};

struct plan {                                   /* drawn from the seed */
    unsigned nodes, publishers, readers, events;
    int64_t active_ns;
    unsigned crash, cut, disk_fault, stop, replay, clock_step;      /* weights of the faults */
    unsigned window_bytes, window_batches, batch_events_max, pending_max;
    uint32_t segment_bytes;
    uint64_t retention_bytes;
    bool is_skewed;
    bool is_lossy;                              /* disks lose what was synced: see lossy.c */
};

/* How often what makes a schedule hard has happened. */
struct coverage { uint64_t kills, torn_groups, drains, disk_errors, cuts, relayed, retransmits, gaps, duplicates, refused_frames, excepted, cursors_gone, trims, gathered, clock_steps; };

struct sim {
    struct coverage covered;
    uint64_t seed;
    enum bug bug;
    bool is_printing, is_healing;
    struct fo_rng rng;
    int64_t now_ns;
    struct queue queue;
    struct plan plan;
    struct node node[NODES_MAX];
    struct net net;
    struct truth truth;
    struct publisher publisher[PUBLISHERS_MAX];
    struct reader reader[READERS_MAX];
    uint64_t next_request;
    int64_t quiet_at_ns;                        /* links and publishers have been quiet since; 0: not */
    bool is_over;
    unsigned fresh_from;                        /* events from here on were published behind the healing */
    uint64_t hash, steps;
    char failure[512];
};

/* sim.c */
void sim_run(struct sim *s, uint64_t seed, enum bug bug, bool is_printing);
__attribute__((format(printf, 2, 3))) void sim_fail(struct sim *s, const char *fmt, ...);      /* the first one counts */
static inline uint64_t sim_below(struct sim *s, uint64_t bound) { return bound ? fo_rng_below(&s->rng, bound) : 0; }
static inline bool sim_chance(struct sim *s, unsigned permille) { return sim_below(s, 1000) < permille; }
/* take: malloc'd, freed behind run. */
void sim_after(struct sim *s, int64_t delay_ns, void (*run)(struct sim *, const struct task *), unsigned node, uint64_t a, uint64_t b, void *take);

/* lossy.c */
void lossy_fault(struct sim *s);
void lossy_durable(struct sim *s, unsigned node, const struct disk_record *r);
void lossy_check_end(struct sim *s);

/* judge.c: what the brokers' own audits say, at rest */
void judge_check_end(struct sim *s);

/* trace.c: what happens goes into the hash, and is printed if asked for */
extern bool trace_expects_failure;       /* an assertion that fails is then what was asked for */
void trace_note(struct sim *s, int node, const char *what, uint64_t a, uint64_t b, const char *text);
const char *record_type_name(enum fo_record_type type);

/* keys.c */
void keys_init(void);
const struct fo_key_pair *keys_pair(unsigned node);
const struct fo_key_ring *keys_ring(void);
const struct fo_schema_set *keys_schemas(void);
const char *region_name(unsigned node);
int region_index(const char *name, size_t n);

/* node.c */
void node_init(struct sim *s, unsigned i);
void node_fini(struct sim *s, unsigned i);
void node_start(struct sim *s, unsigned i);
void node_kill(struct sim *s, unsigned i);
void node_stop(struct sim *s, unsigned i);
void node_post(struct sim *s, unsigned i, const struct fo_input *in);
uint64_t node_state_hash(const struct node *n);
/* Whether it owes anything to anybody, and what. */
bool node_is_busy(const struct sim *s, unsigned i, char *ret_why, size_t size);
/* Copies the bytes; false: the process is not there. */
bool node_request(struct sim *s, unsigned i, uint64_t request, const void *p, size_t n);

/* net.c */
extern const struct fo_transport_ops sim_transport_ops;
void net_node_up(struct sim *s, unsigned i);
void net_node_down(struct sim *s, unsigned i);
void net_cut(struct sim *s, unsigned from, unsigned to, bool tells);
void net_heal(struct sim *s, unsigned from, unsigned to);
void net_replay(struct sim *s);
void net_fini(struct sim *s);
