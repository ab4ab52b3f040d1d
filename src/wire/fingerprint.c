/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fingerprint.h"
#include "wire/fingerprint_vec.h"

#include <sodium.h>

_Static_assert(sizeof(struct fo_fingerprint) == crypto_shorthash_siphashx24_BYTES, "a fingerprint is the hash as it comes");

struct fo_fingerprint
fo_fingerprint(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], struct fo_identity of)
{
    uint8_t text[FO_IDENTITY_TEXT_BYTES], hash[crypto_shorthash_siphashx24_BYTES];
    size_t n = fo_identity_text(of, text);
    struct fo_fingerprint fp;

    crypto_shorthash_siphashx24(hash, text, n, key);
    memcpy(&fp, hash, sizeof fp);
    return fp;
}

void
fo_fingerprint_many(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], const struct fo_identity *of, uint32_t count, struct fo_fingerprint *ret_fp)
{
    fo_fingerprint_vec *side_by_side = count >= FO_FINGERPRINT_VEC_MIN ? FO_VEC_OF_THIS_CPU(fo_fingerprint_vec) : NULL;

    if (side_by_side != NULL) {
        side_by_side(key, of, count, ret_fp);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        ret_fp[i] = fo_fingerprint(key, of[i]);
}
