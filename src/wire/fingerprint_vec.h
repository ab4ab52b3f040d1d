/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4-128 of as many identities side by side as a vector has 64-bit lanes: fingerprint_vec.c, built once for each width. */
#pragma once
#include "base/assert.h"
#include "wire/fingerprint.h"
#include "wire/vec.h"

enum { FO_IDENTITY_TEXT_BYTES = 1 + FO_TENANT_BYTES_MAX + FO_ID_BYTES_MAX, FO_FINGERPRINT_VEC_MIN = 2 };

typedef void fo_fingerprint_vec(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], const struct fo_identity *of, uint32_t count,
    struct fo_fingerprint *ret_fp);
fo_fingerprint_vec fo_fingerprint_vec_avx512, fo_fingerprint_vec_avx2;     /* for x86-64 CPUs that can do that only */

/* What is hashed: the tenant's length before both, so that ("ab", "c") is not ("a", "bc"). */
static inline size_t
fo_identity_text(struct fo_identity of, uint8_t ret_text[FO_IDENTITY_TEXT_BYTES])
{
    fo_assert(of.tenant.n <= FO_TENANT_BYTES_MAX && of.id.n <= FO_ID_BYTES_MAX);
    ret_text[0] = (uint8_t)of.tenant.n;
    memcpy(ret_text + 1, of.tenant.p, of.tenant.n);
    memcpy(ret_text + 1 + of.tenant.n, of.id.p, of.id.n);
    return 1 + of.tenant.n + of.id.n;
}
