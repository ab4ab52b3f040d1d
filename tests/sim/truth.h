/* SPDX-License-Identifier: Apache-2.0
 *
 * What is true: for each event what was asked, where it is durable, what was said of it, and who has seen it. */
#pragma once
#include "base/names.h"
#include "wire/frame.h"

struct sim;
struct disk_record;

enum { EVENTS_MAX = 1024, TRUTH_NODES = 5 };
typedef uint64_t node_set;              /* bit per node, by its index in the world */

struct truth_event {                    /* its subject is "e" and its index */
    unsigned source, id;                /* id "i<id>"; events with one id are one event to the brokers */
    node_set targets;
    enum fo_lane lane;
    unsigned tenant, key, type;
    int64_t expiry_us;
    bool has_id, is_asked, is_acked, is_durable, is_given_up;
    uint64_t lsn;                       /* where its source holds it */
    uint64_t seq, after_seq;            /* after_seq: of the lane's newest event that was acked before this one was asked */
    node_set received;                  /* durable at */
    node_set settled_ok, settled_not;   /* by durable ACK records at the source */
    node_set told_ok, told_not;         /* by answers to its publisher */
    uint64_t seen;                      /* bit per reader */
};

struct truth_lane {
    uint64_t last_seq, acked_seq;       /* durable; newest one that a publisher was told of */
    uint64_t tail[TRUTH_NODES];         /* newest durable sequence that targets the node */
    uint64_t held[TRUTH_NODES];         /* newest one of it that is durable there */
    uint64_t settled[TRUTH_NODES];
    uint32_t event_of[EVENTS_MAX * 2];  /* by sequence: index + 1 */
};

struct truth {
    struct truth_event event[EVENTS_MAX];
    unsigned count;
    struct truth_lane lane[TRUTH_NODES][FO_LANES];
    uint64_t durable_own, durable_received, settled, seen;
};

/* A record has reached the disk of node. */
void truth_durable(struct sim *s, unsigned node, const struct disk_record *r);
/* A control frame leaves node for peer: it may speak only of what is durable. */
void truth_control(struct sim *s, unsigned node, unsigned peer, const struct fo_control *c);
/* The event at a position text; null, with a failure noted, when nothing durable stands there. */
struct truth_event *truth_at(struct sim *s, const char *position);
/* Everything has come to rest. */
void truth_check_end(struct sim *s);
/* "e17" -> 17; -1. */
int truth_index(struct sim *s, struct fo_slice subject);
