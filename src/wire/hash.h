/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (FIPS 180-4) behind one prefix byte, as RFC 6962 hashes leaves and nodes. */
#pragma once
#include "base/bytes.h"

enum { FO_HASH_BYTES = 32 };

/* H(prefix || bytes). Any thread; allocates nothing and cannot fail. */
void fo_hash_prefixed(uint8_t prefix, struct fo_slice bytes, uint8_t ret_hash[FO_HASH_BYTES]);
