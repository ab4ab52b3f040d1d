/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers out of the backlog that were made a moment ago. Subscribers that want the same and fall behind together ask for the
 * same, one after the other: it is read and encoded for the first two of them and copied for the others. An answer is
 * kept from the second time on that it is asked for, so that a lone subscriber costs no memory.
 *
 * And how far searches came that found nothing: those who wait for what seldom comes get the same cursor when their patience is over, all
 * at once, and ask on from there, one after the other. Each goes on where the one before it stopped. */
#pragma once
#include "base/bytes.h"
#include "broker/audience.h"
#include "broker/cursor.h"

enum { FO_RECENT_MAX = 4, FO_RECENT_SEEN_MAX = 64, FO_RECENT_SEARCHES = 32, FO_RECENT_KEY_BYTES_MAX = FO_WISH_BYTES_MAX + FO_CURSOR_SIZE };

struct fo_recent_answer {
    struct fo_buf bytes;                    /* key, then answer */
    size_t key_bytes;
    uint32_t events;
    uint64_t high_lsn;                      /* of the place behind it */
    uint64_t first_lsn;                     /* earliest retained, then */
};

struct fo_recent_search {
    uint8_t key[FO_RECENT_KEY_BYTES_MAX];
    size_t key_bytes;                       /* 0: none */
    struct fo_stand stand;                  /* nothing that is wanted stands before it */
};

struct fo_recent {
    struct fo_recent_answer answer[FO_RECENT_MAX];
    uint32_t seen[FO_RECENT_SEEN_MAX];      /* hashes of keys that were asked for */
    struct fo_recent_search search[FO_RECENT_SEARCHES];
    unsigned next_answer, next_seen, next_search;
};

void fo_recent_init(struct fo_recent *r);
void fo_recent_fini(struct fo_recent *r);
/* Null: not kept. key: whatever decides what is answered. */
const struct fo_recent_answer *fo_recent_find(const struct fo_recent *r, struct fo_slice key);
/* Keeps the answer if its key was seen before, as memory allows; remembers the key else. */
void fo_recent_note(struct fo_recent *r, struct fo_slice key, struct fo_slice answer, uint32_t events, uint64_t high_lsn, uint64_t first_lsn);
static inline struct fo_slice fo_recent_body(const struct fo_recent_answer *a) { return fo_slice_of(a->bytes.p + a->key_bytes, a->bytes.n - a->key_bytes); }
/* Null: no such search. key: what is wanted, and from where on. */
const struct fo_stand *fo_recent_searched(const struct fo_recent *r, struct fo_slice key);
/* It found nothing up to `stand`. */
void fo_recent_note_search(struct fo_recent *r, struct fo_slice key, const struct fo_stand *stand);
