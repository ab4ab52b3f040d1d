/* SPDX-License-Identifier: Apache-2.0
 *
 * Audits: what a region states, with its signature, about the events of a time in its own journal, so that somebody else
 * can lay the statements of two regions side by side. Nobody states anything about another's journal.
 *
 * As source a region tells of the events that it accepted: per target and lane how each ended, as the acks say. As target it tells of
 * what it holds of one source: per lane how many, and what becomes of them here. Both walk a lane in the order of (epoch, sequence), so
 * their running digests are equal exactly when they hold the same records, byte for byte.
 *
 * A statement is one msgpack array and the Ed25519 signature over it; proto/WIRE.md has its elements. */
#pragma once
#include "core/chain.h"
#include "wire/frame.h"

struct json_t;

enum fo_audit_state { FO_AUDIT_DELIVERED, FO_AUDIT_EXPIRED, FO_AUDIT_INCOMPATIBLE, FO_AUDIT_REJECTED,
    FO_AUDIT_UNPROVEN /* settled, but the record of the ack is damaged */, FO_AUDIT_PENDING, FO_AUDIT_STATES };
/* As in the ledger's delivery_status: "delivered", "expired", "incompatible", "failed", "unproven", "pending". */
const char *fo_audit_state_name(enum fo_audit_state state);

enum { FO_AUDIT_LIST_MAX = 10000, FO_AUDIT_DAMAGED_MAX = 16, FO_AUDIT_FLOWS_MAX = (FO_REGIONS_MAX - 1) * FO_LANES };
#define FO_AUDIT_END ((struct fo_mark){ UINT64_MAX, UINT64_MAX })

struct fo_audit_query {                         /* a request, complete in itself */
    struct fo_wall from, to;                    /* events with acceptedtime in [from, to) */
    char source[FO_REGION_BYTES_MAX + 1];       /* as target, of this source's events; empty: as source */
    char target[FO_REGION_BYTES_MAX + 1];       /* as source, for this target alone; empty: for all, and for the ledger */
    struct fo_mark after[FO_LANES], up_to[FO_LANES];    /* only positions behind the one, and not behind the other */
    struct fo_mark ledger;                      /* {epoch, LSN} that the ledger has come to; epoch 0: nothing about the ledger is asked */
    bool is_list;                               /* names events, of one lane, instead of counting */
    enum fo_lane lane;
    uint32_t max;
    uint64_t from_lsn;                          /* where a list goes on */
};

struct fo_audit_flow {                          /* one other region and lane */
    char region[FO_REGION_BYTES_MAX + 1];
    enum fo_lane lane;
    uint64_t count[FO_AUDIT_STATES];            /* as target none is pending */
    uint64_t misplaced;                         /* as target: not behind the one before, so held twice or out of order */
    struct fo_mark first;                       /* first of the counted; epoch 0: none */
    struct fo_mark trimmed;                     /* positions up to here may be gone from this journal; epoch 0: it is complete */
    struct fo_mark up_to;                       /* the digest is about positions up to here; beyond it all is pending */
    uint8_t digest[FO_HASH_BYTES];              /* of the counted ones that are not pending */
};

struct fo_audit_lane {                          /* as source: one lane of own events, whoever they are for */
    uint64_t accepted;
    uint64_t holes;                             /* sequences that were given out and are not in the journal */
    struct fo_mark trimmed, end;                /* likewise; end: the last own position */
    uint64_t ledger_rows, ledger_moving;        /* below the ledger's LSN; of these: not yet settled there as they are here */
    struct fo_mark ledger_up_to;                /* which positions that is */
    uint8_t ledger_digest[FO_HASH_BYTES];
};

struct fo_audit_damage { uint64_t lsn; uint8_t type, lane; uint32_t count; };   /* type 0: not even known what it was */

struct fo_audit_statement {
    char region[FO_REGION_BYTES_MAX + 1];       /* who states it */
    uint64_t key_id, epoch;                     /* epoch: of the data directory */
    struct fo_wall made_at, from, to;           /* made_at: by the region's clock */
    char source[FO_REGION_BYTES_MAX + 1], target[FO_REGION_BYTES_MAX + 1];     /* the question, as in fo_audit_query: what is signed ... */
    struct fo_mark after[FO_LANES], up_to[FO_LANES], ledger;    /* ... answers this one and no wider one */
    struct fo_wall complete_from;               /* when the oldest retained segment was begun; 0: nothing was ever trimmed */
    uint64_t damaged;                           /* records that could not be read */
    struct fo_audit_damage damage[FO_AUDIT_DAMAGED_MAX];    /* the first of them */
    struct fo_audit_lane lane[FO_LANES];
    unsigned flow_count;
    struct fo_audit_flow flow[FO_AUDIT_FLOWS_MAX];
};

static inline bool fo_mark_is_behind(struct fo_mark a, struct fo_mark b) { return a.epoch > b.epoch || (a.epoch == b.epoch && a.seq > b.seq); }

/* The next step of a running digest, which begins with zeros: fo_hash of (digest, epoch, seq, leaf hash of the record); integers are
 * 64 bits, big-endian. */
void fo_audit_digest_event(uint8_t digest[FO_HASH_BYTES], struct fo_mark at, const uint8_t leaf[FO_HASH_BYTES]);
/* fo_hash of (digest, epoch, seq, and tenant, id, outcome each behind its length in 32 bits): a ledger row. outcome: '1' or '0' for success as
 * a whole, '|', then "REGION=STATE" of every target but the source, in the order of their bytes, with commas between. */
void fo_audit_digest_row(uint8_t digest[FO_HASH_BYTES], struct fo_mark at, struct fo_slice tenant, struct fo_slice id, struct fo_slice outcome);
/* The hash of a record, as in a batch's tree. */
void fo_audit_leaf(struct fo_slice record, uint8_t ret_leaf[FO_HASH_BYTES]);

/* Appends the statement to out and sets ret_signature. s->key_id is set; s->region must be the key's (FO_ERR_WRONG_KEY). FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_audit_seal(struct fo_audit_statement *s, const struct fo_key_pair *key, struct fo_buf *out,
    uint8_t ret_signature[FO_SIGNATURE_BYTES]);
/* Reads a statement; believes nothing. FO_ERR_PROTO, FO_ERR_VERSION. */
FO_MUST_CHECK enum fo_err fo_audit_decode(struct fo_slice bytes, struct fo_audit_statement *ret_s);
/* After decode. FO_ERR_UNKNOWN_KEY, FO_ERR_WRONG_KEY, FO_ERR_SIGNATURE. */
FO_MUST_CHECK enum fo_err fo_audit_verify(struct fo_slice bytes, struct fo_slice signature, const struct fo_audit_statement *s,
    const struct fo_key_ring *keys);
/* Whether it answers this very question; to of zero, which leaves it to the region, fits any. */
bool fo_audit_answers(const struct fo_audit_statement *s, const struct fo_audit_query *q);
/* What the statement says of another region and a lane; null: nothing. s may be null. */
const struct fo_audit_flow *fo_audit_flow_of(const struct fo_audit_statement *s, const char *region, enum fo_lane lane);
/* Events of it that are in any state but pending. */
uint64_t fo_audit_settled(const struct fo_audit_flow *f);
/* The same for people and programs. New reference; null without memory. */
struct json_t *fo_audit_to_json(const struct fo_audit_statement *s);

/* Where the values of the request's fields begin, but for the times; null: absent. For door_request.c. */
struct fo_audit_fields { struct fo_reader *source, *target, *after, *up_to, *ledger, *list, *lane, *max, *cursor; };
FO_MUST_CHECK enum fo_err fo_audit_query_decode(const struct fo_audit_fields *f, struct fo_audit_query *ret_q, struct fo_fault *ret_fault);
