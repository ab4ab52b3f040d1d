/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fingerprint.h"

#include "base/assert.h"
#include "base/names.h"

#include <sodium.h>

void
fo_fingerprint(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], struct fo_slice tenant, struct fo_slice id, uint64_t *ret_hi, uint64_t *ret_lo)
{
    uint8_t text[1 + FO_TENANT_BYTES_MAX + FO_ID_BYTES_MAX], hash[crypto_shorthash_siphashx24_BYTES];

    fo_assert(tenant.n <= FO_TENANT_BYTES_MAX && id.n <= FO_ID_BYTES_MAX);
    text[0] = (uint8_t)tenant.n;        /* so that ("ab", "c") is not ("a", "bc") */
    memcpy(text + 1, tenant.p, tenant.n);
    memcpy(text + 1 + tenant.n, id.p, id.n);
    crypto_shorthash_siphashx24(hash, text, 1 + tenant.n + id.n, key);
    memcpy(ret_hi, hash, 8);
    memcpy(ret_lo, hash + 8, 8);
}
