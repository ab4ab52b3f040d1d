/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout audit`: its parts. What was found gathers in one JSON object, which is printed as it is or as tables. */
#pragma once
#include "cmd/fanout/common.h"
#include "cmd/fanout/ledger.h"
#include "wire/audit.h"

enum { AUDIT_TIMEOUT_MS = 60000, AUDIT_PAGE = 5000 };

struct audit_region {
    const char *address;
    fanout_client *client;          /* null: not reachable */
    char name[FO_REGION_BYTES_MAX + 1];     /* empty: not known, as it did not answer */
    struct fo_audit_statement *own; /* as source; null: none could be had */
    json_t *json;                   /* its entry in "regions"; borrowed */
};

struct audit {
    const struct cmd_common *common;
    struct fo_wall from, to;
    char from_text[FO_RFC3339_SIZE], to_text[FO_RFC3339_SIZE];
    const struct fo_key_ring *keys; /* null: none given */
    const char *conninfo;           /* null: the ledger is not asked */
    struct ledger *ledger;          /* null: not asked, or not reachable */
    uint64_t names_max;             /* events named at most; all are counted */
    int timeout_ms;
    struct audit_region region[CMD_BROKERS_MAX];
    unsigned region_count;
    bool has_failed;                /* something could not be told, or was not believed */
    bool is_partial;                /* a broker or the ledger could not be reached */
    bool is_cut;                    /* a journal no longer retains all of the time asked about, or an ack that said how an event ended */
    uint64_t drift, pending;
    json_t *regions, *flows, *rows, *events, *notes;
};

__attribute__((format(printf, 2, 3)))
void audit_note(struct audit *a, const char *fmt, ...);
/* "asking us-east-1" on a terminal, in one line; null, null: clears it. */
void audit_progress(const char *doing, const char *what);
/* Null: not among those asked. */
struct audit_region *audit_find(struct audit *a, const char *name);

/* A statement of one region, checked: signature, and that it answers this question and no other. source: as audit request's. marks: adds "after" and "upTo"
 * when not null. ledger: [epoch, LSN] or null. On failure says why, and notes it. Caller frees. Null: none. */
struct audit_asked { const char *source, *target; const struct fo_mark *after, *up_to; struct fo_mark ledger; };
struct fo_audit_statement *audit_ask(struct audit *a, struct audit_region *of, const struct audit_asked *asked);

/* Lays every source's flows beside what the targets hold. */
void audit_flows(struct audit *a);
/* Lays the ledger beside every source. */
void audit_ledger(struct audit *a);
/* Connects, and begins the snapshot in which everything is read. */
void audit_ledger_begin(struct audit *a);
/* {epoch, LSN} that the ledger has come to for a region; epoch 0: it has none. */
struct fo_mark audit_ledger_mark(struct audit *a, const char *region);

/* One side's events in the order of their positions, fetched page by page. */
struct audit_feed {
    struct audit *audit;
    struct audit_region *region;    /* whom to ask, or null: the ledger, whose rows come from the cursor "audit_rows" */
    json_t *request;                /* the list request, without its cursor */
    json_t *page;                   /* array of events */
    size_t index;
    bool is_last, has_failed;
    uint8_t digest[FO_HASH_BYTES];  /* of what was handed out, from its hashes */
};
/* The next event, borrowed until the call after; null at the end, or has_failed. */
const json_t *audit_feed_next(struct audit_feed *f, struct fo_mark *ret_at);
void audit_feed_fini(struct audit_feed *f);
/* {"after": ..., "upTo": ...} of one lane, added to a list request. */
void audit_add_mark(json_t *request, const char *name, enum fo_lane lane, struct fo_mark at);
/* A list request of one lane for this audit's time. */
json_t *audit_list_request(const struct audit *a, enum fo_lane lane);

/* An event that is not as it should be: counted as drift, and named while there is room. */
void audit_name(struct audit *a, const char *kind, const char *source, const char *where, enum fo_lane lane, struct fo_mark at,
    const json_t *event, const char *text);

void audit_print(const json_t *result);
/* Rows of the ledger that were compared. */
double audit_rows_compared(const json_t *result);
