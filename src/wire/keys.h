/* SPDX-License-Identifier: Apache-2.0
 *
 * Region keys (Ed25519, libsodium). The secret half lives in locked memory and is wiped on fini.
 * A public key file: "fanout-public-key v1 REGION KEYID BASE64\n"; a secret key file: "fanout-secret-key v1 REGION KEYID BASE64\n" with mode 0600.
 * Key id: the first 8 bytes, big-endian, of BLAKE2b-256 of the public key, printed as 16 hex digits. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "wire/error.h"

enum { FO_PUBLIC_KEY_BYTES = 32, FO_SECRET_KEY_BYTES = 64, FO_KEY_TEXT_MAX = 256 };

struct fo_public_key { char region[FO_REGION_BYTES_MAX + 1]; uint64_t id; uint8_t key[FO_PUBLIC_KEY_BYTES]; };
struct fo_key_pair { struct fo_public_key public_half; uint8_t *secret; /* sodium_malloc'd, read-only after init */ };
#define FO_KEYS_MAX 256
struct fo_key_ring { struct fo_public_key key[FO_KEYS_MAX]; unsigned count; };

/* Once per process before anything else here; idempotent. FO_ERR_INTERNAL: no entropy. */
FO_MUST_CHECK enum fo_err fo_keys_library_init(void);
/* FO_ERR_UNKNOWN_REGION: not a region's name. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_key_pair_generate(const char *region, struct fo_key_pair *ret_pair);
/* Wipes and frees; harmless on a zeroed or finished pair. */
void fo_key_pair_fini(struct fo_key_pair *pair);
/* ret_text: wiped by the caller. */
FO_MUST_CHECK enum fo_err fo_key_pair_format(const struct fo_key_pair *pair, char ret_text[FO_KEY_TEXT_MAX]);
/* Both parsers take one line, with or without its newline, and check that key id, region and key fit each other.
 * FO_ERR_PARSE, FO_ERR_VERSION, FO_ERR_UNKNOWN_REGION, FO_ERR_CORRUPT (the parts do not fit); ret_fault.text says what. */
FO_MUST_CHECK enum fo_err fo_key_pair_parse(struct fo_slice text, struct fo_key_pair *ret_pair, struct fo_fault *ret_fault);
FO_MUST_CHECK enum fo_err fo_public_key_format(const struct fo_public_key *key, char ret_text[FO_KEY_TEXT_MAX]);
FO_MUST_CHECK enum fo_err fo_public_key_parse(struct fo_slice text, struct fo_public_key *ret_key, struct fo_fault *ret_fault);
/* FO_ERR_EXISTS for the same id twice, FO_ERR_FULL. */
FO_MUST_CHECK enum fo_err fo_key_ring_add(struct fo_key_ring *ring, const struct fo_public_key *key);
/* Null when there is none. */
const struct fo_public_key *fo_key_ring_find(const struct fo_key_ring *ring, uint64_t key_id);
