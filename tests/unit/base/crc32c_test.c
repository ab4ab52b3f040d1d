/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"
#include "base/rng.h"

typedef uint32_t (*crc_fn)(uint32_t crc, const void *p, size_t n);

/* RFC 3720 appendix B.4; there the bytes of each CRC stand least significant first. */
static void
check_vectors(crc_fn crc)
{
    const uint8_t read_command[48] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                                      0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0};
    uint8_t bytes[32];

    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc(0, bytes, sizeof bytes), 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc(0, bytes, sizeof bytes), 0x113fdb5c);
    assert_int_equal(crc(0, read_command, sizeof read_command), 0xd9963a56);
    assert_int_equal(crc(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc(0, NULL, 0), 0);
    assert_int_equal(crc(0xe3069283, NULL, 0), 0xe3069283);
}

static void
published_vectors(void **state)
{
    (void)state;
    check_vectors(fo_crc32c);
    check_vectors(fo_crc32c_by_table);
}

static void
both_ways_agree_at_any_length_and_alignment(void **state)
{
    static uint8_t bytes[10000];
    struct fo_rng rng;

    (void)state;
    fo_rng_init(&rng, 1);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fo_rng_next(&rng);
    for (unsigned n = 0; n < 100; n++)
        for (unsigned at = 0; at < 9; at++)
            assert_int_equal(fo_crc32c(n, bytes + at, n), fo_crc32c_by_table(n, bytes + at, n));
    for (unsigned n = 100; n < sizeof bytes - 9; n += 61)
        assert_int_equal(fo_crc32c(n, bytes + n % 9, n), fo_crc32c_by_table(n, bytes + n % 9, n));
    assert_int_equal(fo_crc32c(0, bytes, sizeof bytes), fo_crc32c_by_table(0, bytes, sizeof bytes));
}

static void
continues_over_pieces(void **state)
{
    const char text[] = "the quick brown fox jumps over the lazy dog";
    size_t n = sizeof text - 1;
    uint32_t whole = fo_crc32c(0, text, n);

    (void)state;
    for (size_t cut = 0; cut <= n; cut++)
        assert_int_equal(fo_crc32c(fo_crc32c(0, text, cut), text + cut, n - cut), whole);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(both_ways_agree_at_any_length_and_alignment),
        cmocka_unit_test(continues_over_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
