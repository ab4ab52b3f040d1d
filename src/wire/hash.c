/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashing every event in every region is the largest single cost of a batch, so a batch's records are hashed side by side by hash_vec.c;
 * one alone is libsodium's work. Measured for records of 331 bytes, in one run: 50 ns each side by side with AVX-512, 175 ns with AVX2,
 * 325 ns by libsodium. (SHA-256 side by side, by libipsec-mb, took twice as long as BLAKE2b did here before it went in two sets.) */
#include "wire/hash.h"
#include "wire/hash_vec.h"

#include <sodium.h>

static const uint8_t personal[][crypto_generichash_blake2b_PERSONALBYTES] = {
    [FO_HASHED_RECORD] = "fanout record",
    [FO_HASHED_NODE] = "fanout node",
    [FO_HASHED_DIGEST] = "fanout digest",
    [FO_HASHED_LEDGER] = "fanout ledger",
};

void
fo_hash(enum fo_hashed what, struct fo_slice bytes, uint8_t ret_hash[FO_HASH_BYTES])
{
    (void)crypto_generichash_blake2b_salt_personal(ret_hash, FO_HASH_BYTES, bytes.p, bytes.n, NULL, 0, NULL, personal[what]);
}

void
fo_hash_many(enum fo_hashed what, const struct fo_slice *bytes, uint32_t count, uint8_t ret_hash[][FO_HASH_BYTES])
{
    fo_hash_vec *side_by_side = count >= FO_HASH_VEC_MIN ? FO_VEC_OF_THIS_CPU(fo_hash_vec) : NULL;

    if (side_by_side != NULL) {
        side_by_side(personal[what], bytes, count, ret_hash);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        fo_hash(what, bytes[i], ret_hash[i]);
}
