/* SPDX-License-Identifier: Apache-2.0
 *
 * Those who use the brokers: publishers that ask until they know, readers that fetch by cursor. */
#pragma once
#include "base/bytes.h"
#include "truth.h"

enum { PUBLISH_EVENTS_MAX = 8 };

struct publisher {
    unsigned node, count, attempts;
    uint32_t event[PUBLISH_EVENTS_MAX];
    uint64_t request;                           /* 0: none on its way */
    bool is_done, is_many, has_sent;
    unsigned wait, timeout_ms;                  /* wait 255: all */
};

struct reader {
    unsigned node, filter;                      /* filter: enum reader_filter */
    char cursor[160];
    uint64_t request;
    bool has_gap, is_now;
    uint64_t last_seq[TRUTH_NODES][FO_LANES];
    uint64_t empties;                           /* answers without an event, in a row */
    int64_t asked_at_ns;
    uint64_t fresh_epoch;                       /* of its node when it saw an event last */
};

void publishers_start(struct sim *s);
void publisher_answer(struct sim *s, unsigned i, struct fo_slice body);
bool publishers_are_done(const struct sim *s);
void readers_start(struct sim *s);
void reader_answer(struct sim *s, unsigned i, struct fo_slice body);
bool readers_are_done(const struct sim *s);
/* The node's process is gone: requests on their way will never be answered. */
void clients_node_down(struct sim *s, unsigned i);
bool reader_wants(const struct reader *r, const struct truth_event *e);
