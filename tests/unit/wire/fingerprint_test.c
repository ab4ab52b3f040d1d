/* SPDX-License-Identifier: Apache-2.0
 *
 * Fingerprints made side by side against libsodium's SipHash: tenants and ids of every length, any number at a time, in each width of
 * vectors that this CPU has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/rng.h"
#include "wire/fingerprint_vec.h"

enum { IDS_MAX = 40, ROUNDS = 200 };

static const uint8_t key[FO_FINGERPRINT_KEY_BYTES] = "0123456789abcde";
static struct fo_identity of[IDS_MAX];

static struct fo_slice
any_text(struct fo_rng *rng, size_t n)
{
    uint8_t *p = malloc(n > 0 ? n : 1);         /* of just the length, so that a sanitizer sees a byte too many read */

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)fo_rng_below(rng, 256);
    return fo_slice_of(p, n);
}

static void
fill(struct fo_rng *rng, unsigned count)
{
    size_t id_bytes = fo_rng_below(rng, FO_ID_BYTES_MAX + 1);
    bool is_alike = fo_rng_below(rng, 4) == 0;

    for (unsigned i = 0; i < count; i++) {
        of[i].tenant = any_text(rng, fo_rng_below(rng, FO_TENANT_BYTES_MAX + 1));
        of[i].id = any_text(rng, is_alike ? id_bytes : fo_rng_below(rng, FO_ID_BYTES_MAX + 1));
    }
}

static void
empty(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free((void *)(uintptr_t)of[i].tenant.p);
        free((void *)(uintptr_t)of[i].id.p);
    }
}

static struct fo_fingerprint
expected(struct fo_identity what)
{
    uint8_t text[256], hash[crypto_shorthash_siphashx24_BYTES];
    struct fo_fingerprint fp;

    text[0] = (uint8_t)what.tenant.n;
    memcpy(text + 1, what.tenant.p, what.tenant.n);
    memcpy(text + 1 + what.tenant.n, what.id.p, what.id.n);
    crypto_shorthash_siphashx24(hash, text, 1 + what.tenant.n + what.id.n, key);
    memcpy(&fp.hi, hash, 8);
    memcpy(&fp.lo, hash + 8, 8);
    return fp;
}

static void
check(fo_fingerprint_vec *many)
{
    struct fo_fingerprint fp[IDS_MAX];
    struct fo_rng rng;

    fo_rng_init(&rng, 9);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned count = round % IDS_MAX + 1;

        fill(&rng, count);
        many(key, of, count, fp);
        for (unsigned i = 0; i < count; i++) {
            struct fo_fingerprint one = expected(of[i]);

            assert_memory_equal(&fp[i], &one, sizeof one);
        }
        empty(count);
    }
}

#if defined(__x86_64__)

static void
test_avx512(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx512f"))
        skip();
    check(fo_fingerprint_vec_avx512);
}

static void
test_avx2(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx2"))
        skip();
    check(fo_fingerprint_vec_avx2);
}

#endif

static void
one_by_one(const uint8_t use[FO_FINGERPRINT_KEY_BYTES], const struct fo_identity *what, uint32_t count, struct fo_fingerprint *ret_fp)
{
    for (uint32_t i = 0; i < count; i++)
        ret_fp[i] = fo_fingerprint(use, what[i]);
}

static void
test_one_or_many(void **state)
{
    (void)state;
    check(one_by_one);
    check(fo_fingerprint_many);
}

/* Where the tenant ends counts, and so does the key. */
static void
test_what_differs(void **state)
{
    const struct fo_identity a = { FO_SLICE_LIT("ab"), FO_SLICE_LIT("c") }, b = { FO_SLICE_LIT("a"), FO_SLICE_LIT("bc") };
    const uint8_t other[FO_FINGERPRINT_KEY_BYTES] = { 1 };
    struct fo_fingerprint fp = fo_fingerprint(key, a), second = fo_fingerprint(key, b), third = fo_fingerprint(other, a);

    (void)state;
    assert_memory_not_equal(&fp, &second, sizeof fp);
    assert_memory_not_equal(&fp, &third, sizeof fp);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(test_avx512),
        cmocka_unit_test(test_avx2),
#endif
        cmocka_unit_test(test_one_or_many),
        cmocka_unit_test(test_what_differs),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
