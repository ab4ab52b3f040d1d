/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashing every event in every region is the largest single cost of a batch, so the fastest implementation at hand is taken: libcrypto's
 * uses the CPU's SHA instructions. Measured for 400 bytes: 240 ns, against 340 ns by nettle, 770 ns for libsodium's BLAKE2b-256 and
 * 980 ns for its SHA-256. The low-level calls keep their state on the stack; EVP would allocate, and could so fail. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wire/hash.h"

#include <openssl/sha.h>

void
fo_hash_prefixed(uint8_t prefix, struct fo_slice bytes, uint8_t ret_hash[FO_HASH_BYTES])
{
    SHA256_CTX state;

    SHA256_Init(&state);
    SHA256_Update(&state, &prefix, 1);
    SHA256_Update(&state, bytes.p, bytes.n);
    SHA256_Final(ret_hash, &state);
}
