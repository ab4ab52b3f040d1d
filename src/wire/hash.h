/* SPDX-License-Identifier: Apache-2.0
 *
 * BLAKE2b-256 (RFC 7693), personalized by what is hashed (section 2.8 of the BLAKE2 paper), so that nothing of one kind has the hash of
 * something of another. */
#pragma once
#include "base/bytes.h"

enum { FO_HASH_BYTES = 32 };

enum fo_hashed { FO_HASHED_RECORD, FO_HASHED_NODE, FO_HASHED_DIGEST, FO_HASHED_LEDGER };

/* Any thread; allocates nothing and cannot fail. */
void fo_hash(enum fo_hashed what, struct fo_slice bytes, uint8_t ret_hash[FO_HASH_BYTES]);
/* The same for each of many, side by side where the CPU has wide vectors. */
void fo_hash_many(enum fo_hashed what, const struct fo_slice *bytes, uint32_t count, uint8_t ret_hash[][FO_HASH_BYTES]);
