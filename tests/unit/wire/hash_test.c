/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes made side by side against libsodium's: every length around a block's, in any order, any number at a time, in each width of
 * vectors that this CPU has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/rng.h"
#include "wire/hash_vec.h"

enum { MESSAGES_MAX = 40, LENGTH_MAX = 3000 };

static uint8_t *memory[MESSAGES_MAX];           /* of just the length, so that a sanitizer sees a byte too many read */
static struct fo_slice message[MESSAGES_MAX];

static void
fill(struct fo_rng *rng, unsigned count, size_t (*length)(struct fo_rng *rng, unsigned i))
{
    for (unsigned i = 0; i < count; i++) {
        size_t n = length(rng, i);

        memory[i] = malloc(n > 0 ? n : 1);
        assert_non_null(memory[i]);
        for (size_t k = 0; k < n; k++)
            memory[i][k] = (uint8_t)fo_rng_below(rng, 256);
        message[i] = fo_slice_of(memory[i], n);
    }
}

static size_t
any_length(struct fo_rng *rng, unsigned i)
{
    (void)i;
    return fo_rng_below(rng, fo_rng_below(rng, 2) ? 300 : LENGTH_MAX);
}

#if defined(__x86_64__)

static const uint8_t personal[16] = "fanout test, 16b";

static void
check(fo_hash_vec *lanes, unsigned count)
{
    uint8_t hash[MESSAGES_MAX][FO_HASH_BYTES], expected[FO_HASH_BYTES];

    lanes(personal, message, count, hash);
    for (unsigned i = 0; i < count; i++) {
        crypto_generichash_blake2b_salt_personal(expected, FO_HASH_BYTES, message[i].p, message[i].n, NULL, 0, NULL, personal);
        assert_memory_equal(hash[i], expected, FO_HASH_BYTES);
        free(memory[i]);
    }
}

static size_t
around_blocks(struct fo_rng *rng, unsigned i)
{
    (void)rng;
    return (size_t)(i / 3) * 128 + i % 3 - (i >= 3);    /* 0 1 2, 127 128 129, 255 256 257 ... */
}

static void
check_width(bool is_there, const char *width, fo_hash_vec *lanes)
{
    struct fo_rng rng;

    if (!is_there) {
        print_message("this CPU has no %s\n", width);
        skip();
    }
    fo_rng_init(&rng, 7);
    for (unsigned count = 1; count <= MESSAGES_MAX; count++) {
        fill(&rng, count, around_blocks);
        check(lanes, count);
        for (unsigned round = 0; round < 10; round++) {
            fill(&rng, count, any_length);
            check(lanes, count);
        }
    }
}

static void
test_avx512(void **state)
{
    (void)state;
    check_width(__builtin_cpu_supports("avx512f"), "AVX-512", fo_hash_vec_avx512);
}

static void
test_avx2(void **state)
{
    (void)state;
    check_width(__builtin_cpu_supports("avx2"), "AVX2", fo_hash_vec_avx2);
}

#endif

/* What something is hashed as counts, and one or many at a time does not. */
static void
test_kinds(void **state)
{
    struct fo_rng rng;
    uint8_t one[4][FO_HASH_BYTES], many[MESSAGES_MAX][FO_HASH_BYTES];

    (void)state;
    fo_rng_init(&rng, 8);
    fill(&rng, MESSAGES_MAX, any_length);
    for (unsigned what = FO_HASHED_RECORD; what <= FO_HASHED_LEDGER; what++) {
        for (unsigned count = 1; count <= MESSAGES_MAX; count += 13) {
            fo_hash_many((enum fo_hashed)what, message, count, many);
            for (unsigned i = count; i-- > 0;) {
                fo_hash((enum fo_hashed)what, message[i], one[what]);
                assert_memory_equal(one[what], many[i], FO_HASH_BYTES);
            }
        }
        for (unsigned other = FO_HASHED_RECORD; other < what; other++)
            assert_memory_not_equal(one[what], one[other], FO_HASH_BYTES);
    }
    for (unsigned i = 0; i < MESSAGES_MAX; i++)
        free(memory[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(test_avx512),
        cmocka_unit_test(test_avx2),
#endif
        cmocka_unit_test(test_kinds),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
