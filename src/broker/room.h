/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether publishes find room in the journal, and what takes it when they do not: asked by the intake before it takes a request,
 * shown by status, and logged once when refusing begins and once when it has ended. Loop thread only. */
#pragma once
#include "broker/forward.h"
#include "broker/store.h"

enum fo_room_cause {
    FO_ROOM_FREE,
    FO_ROOM_PEERS,                  /* what waits for peers fills this region's share of journal.bytes_max */
    FO_ROOM_JOURNAL,                /* the journal has reached journal.bytes_max, and all of it is needed */
    FO_ROOM_DISK,                   /* the file system of data_dir is full */
};
const char *fo_room_cause_name(enum fo_room_cause cause);

struct fo_room {                    /* the first four are the owner's to set */
    struct fo_context *ctx;
    const struct fo_store *store;
    const struct fo_forward *forward;
    const uint64_t *ledger_lsn;     /* everything of ours below is in the ledger */
    enum fo_room_cause cause;       /* of the refusing that was logged; FREE: publishes are taken */
    struct fo_instant since;
    uint64_t refused_events;        /* since then */
    bool has_refused;               /* since the last check */
};

/* Who needs the journal's oldest records, and how much is kept for whoever is furthest behind. */
struct fo_room_use {
    const char *held_for;           /* a region, "ledger"; null: nobody is behind */
    uint64_t held_bytes;
    uint64_t limit_bytes;           /* of what refuses, or would first: the share for what waits for peers, or journal.bytes_max; 0: none */
};

/* Now. */
enum fo_room_cause fo_room_look(const struct fo_room *r);
/* FO_OK, or FO_ERR_NO_SPACE with what to tell the publisher; the events count as refused for want of room. */
FO_MUST_CHECK enum fo_err fo_room_ask(struct fo_room *r, uint32_t events, struct fo_fault *ret_fault);
/* Call once a second: notices that refusing has begun although nobody publishes, and that it has ended. */
void fo_room_check(struct fo_room *r);
struct fo_room_use fo_room_use(const struct fo_room *r, enum fo_room_cause cause);
/* One sentence without a full stop, for people; empty when there is room. */
void fo_room_explain(const struct fo_room *r, enum fo_room_cause cause, char *ret_text, size_t size);
