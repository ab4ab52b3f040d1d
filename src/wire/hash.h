/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4) behind one prefix byte, as RFC 6962 hashes leaves and nodes. */
#pragma once
#include "base/bytes.h"

enum { FO_HASH_BYTES = 32 };

/* H(prefix || bytes). Any thread; allocates nothing and cannot fail. */
void fo_hash_prefixed(uint8_t prefix, struct fo_slice bytes, uint8_t ret_hash[FO_HASH_BYTES]);
/* The same for each of many. On x86-64 several are hashed side by side, one thread at a time; another thread meanwhile hashes one by
 * one. The first call takes memory (200 KiB) that the process keeps; without it too it is one by one. Cannot fail. */
void fo_hash_prefixed_many(uint8_t prefix, const struct fo_slice *bytes, uint32_t count, uint8_t ret_hash[][FO_HASH_BYTES]);
