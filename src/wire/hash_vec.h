/* SPDX-License-Identifier: Apache-2.0
 *
 * BLAKE2b-256 of as many messages side by side as a vector has 64-bit lanes: hash_vec.c, built once for each width of vectors. */
#pragma once
#include "wire/hash.h"
#include "wire/vec.h"

enum { FO_HASH_VEC_MIN = 3 };                 /* from so many on it is quicker than one by one */

/* Any thread; allocates nothing and cannot fail. */
typedef void fo_hash_vec(const uint8_t personal[16], const struct fo_slice *bytes, uint32_t count, uint8_t ret_hash[][FO_HASH_BYTES]);
fo_hash_vec fo_hash_vec_avx512, fo_hash_vec_avx2;         /* for x86-64 CPUs that can do that only */
