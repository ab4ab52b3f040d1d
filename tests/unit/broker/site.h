/* SPDX-License-Identifier: Apache-2.0
 *
 * A source, "here", and a target, "there", with real sealed batches in journals of their own, so that records can be left out, repeated or
 * damaged at will, and reading can fail. */
#pragma once
#include "broker/context.h"
#include "broker/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { RECORDS_MAX = 64, EPOCH = 7, LSN_STEP = 64, T = 1000000 };

struct line { enum fo_record_type type; enum fo_lane lane; uint32_t count; struct fo_wall at; struct fo_buf body; bool is_damaged; };
struct fake {
    struct fo_journal journal;
    struct line line[RECORDS_MAX];
    unsigned count, trimmed;            /* lines before trimmed are gone */
    uint64_t readers;
    enum fo_err ack_error;              /* what reading an ACK record ends with instead */
    enum fo_err open_error;
};

struct site {                       /* one region's broker, as far as questions see it */
    struct fo_context ctx;
    struct fo_config config;
    struct fake fake;
    struct fo_key_pair key;
};
extern struct site source, target;

/* cmocka fixtures: both sites, each with an empty checkpoint; and that no reader is left open. */
int setup(void **state);
int teardown(void **state);
struct line *append(struct site *s, enum fo_record_type type, enum fo_lane lane, uint32_t count, int64_t at_us);
void checkpoint(struct site *s, const struct fo_state *state);
/* Events first .. first + count - 1 of the high lane, each accepted at its number times T; the third of each batch expires at once. */
void seal_batch(uint64_t epoch, uint64_t first, uint32_t count, uint64_t prev, const char *text, struct fo_buf *out);
void own(uint64_t first, uint32_t count, uint64_t prev);
struct line *received(uint64_t first, uint32_t count, uint64_t prev);
/* expired: a sequence, or 0. */
struct line *acked(uint64_t from, uint64_t to, uint64_t expired);
