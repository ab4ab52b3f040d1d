/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes that JOURNAL.md promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "adapter/journal_format.h"
#include "base/crc32c.h"

static void
a_record_header_has_the_documented_layout(void **state)
{
    static const uint8_t expected[] = {
        'F', 'O', 'R', '1', 0, 0, 0, 0,                     /* checksum, below */
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,     /* lsn */
        0x00, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x00,     /* group_lsn */
        0x00, 0x06, 0x29, 0xaf, 0x2e, 0x5b, 0x40, 0x01,     /* at_us */
        0x00, 0x01, 0x02, 0x03,                             /* length */
        0x00, 0x00, 0x01, 0x00,                             /* count */
        0xde, 0xad, 0xbe, 0xef,                             /* body_crc */
        3, 2, 0, 0,                                         /* type, lane */
    };
    struct fo_record_header h = {.lsn = 0x0102030405060708, .group_lsn = 0x0002030405060700, .at_us = 0x000629af2e5b4001,
        .length = 0x10203, .count = 256, .body_crc = 0xdeadbeef, .type = 3, .lane = 2}, back;
    uint8_t bytes[FO_RECORD_HEADER_BYTES];
    uint32_t crc;

    (void)state;
    fo_record_header_encode(&h, 77, bytes);
    crc = fo_crc32c(77, expected + 8, sizeof expected - 8);
    assert_memory_equal(bytes, expected, 4);
    assert_memory_equal(bytes + 8, expected + 8, sizeof expected - 8);
    for (int i = 0; i < 4; i++)
        assert_int_equal(bytes[4 + i], crc >> (24 - 8 * i) & 0xff);
    assert_int_equal(fo_record_header_decode(bytes, 77, h.lsn, &back), FO_OK);
    assert_true(back.lsn == h.lsn && back.group_lsn == h.group_lsn && back.at_us == h.at_us);
    assert_true(back.length == h.length && back.count == h.count && back.body_crc == h.body_crc);
    assert_true(back.type == 3 && back.lane == 2);
}

static void
a_header_elsewhere_otherwise_or_flipped_is_none(void **state)
{
    struct fo_record_header h = {.lsn = 4096, .group_lsn = 4096, .length = 10, .count = 1, .type = 2}, back;
    uint8_t bytes[FO_RECORD_HEADER_BYTES];

    (void)state;
    fo_record_header_encode(&h, 77, bytes);
    assert_int_equal(fo_record_header_decode(bytes, 77, 4096, &back), FO_OK);
    assert_int_equal(fo_record_header_decode(bytes, 77, 4104, &back), FO_ERR_CORRUPT);
    assert_int_equal(fo_record_header_decode(bytes, 78, 4096, &back), FO_ERR_CORRUPT);
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(fo_record_header_decode(bytes, 77, 4096, &back), FO_ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
values_that_cannot_be_are_refused_in_spite_of_the_checksum(void **state)
{
    struct fo_record_header good = {.lsn = 4096, .group_lsn = 4096, .type = 2}, h, back;
    uint8_t bytes[FO_RECORD_HEADER_BYTES];

    (void)state;
    h = good;
    h.type = 9;
    fo_record_header_encode(&h, 0, bytes);
    assert_int_equal(fo_record_header_decode(bytes, 0, 4096, &back), FO_ERR_CORRUPT);
    h = good;
    h.lane = 3;
    fo_record_header_encode(&h, 0, bytes);
    assert_int_equal(fo_record_header_decode(bytes, 0, 4096, &back), FO_ERR_CORRUPT);
    h = good;
    h.group_lsn = 4104;
    fo_record_header_encode(&h, 0, bytes);
    assert_int_equal(fo_record_header_decode(bytes, 0, 4096, &back), FO_ERR_CORRUPT);
}

static void
sizes_are_padded_to_eight(void **state)
{
    (void)state;
    assert_true(fo_record_size(0) == 48);
    assert_true(fo_record_size(1) == 56);
    assert_true(fo_record_size(8) == 56);
    assert_true(fo_record_size(9) == 64);
    assert_true(fo_record_size(UINT32_MAX) == 48 + (1ull << 32));
}

static void
a_segment_header_reads_back_and_any_flip_shows(void **state)
{
    struct fo_segment_header h = {.region = "abcdefghijklmnopqrstuvwxyz012345", .base_lsn = 0x40000, .capacity = 65536}, back;
    static uint8_t bytes[FO_SEGMENT_HEADER_BYTES];

    (void)state;
    fo_segment_header_encode(&h, bytes);
    assert_memory_equal(bytes, "FOJOURN\n\0\0\0\3", 12);
    assert_int_equal(fo_segment_header_decode(bytes, &back), FO_OK);
    assert_string_equal(back.region, h.region);
    assert_true(back.base_lsn == h.base_lsn && back.capacity == h.capacity);
    for (unsigned bit = 0; bit < 8 * 64; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(fo_segment_header_decode(bytes, &back), FO_OK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void
another_version_is_told_from_damage(void **state)
{
    const uint8_t version[] = {0, FO_JOURNAL_VERSION - 1, FO_JOURNAL_VERSION + 1, 255};

    (void)state;
    for (unsigned v = 0; v < sizeof version; v++) {
        struct fo_segment_header h = {.region = "x"};
        static uint8_t bytes[FO_SEGMENT_HEADER_BYTES];
        uint32_t crc;

        fo_segment_header_encode(&h, bytes);
        bytes[11] = version[v];
        crc = fo_crc32c(0, bytes, 60);
        for (int i = 0; i < 4; i++)
            bytes[60 + i] = (uint8_t)(crc >> (24 - 8 * i));
        assert_int_equal(fo_segment_header_decode(bytes, &h), FO_ERR_VERSION);
    }
}

static void
names_hold_the_base(void **state)
{
    static const char *const others[] = {"", "0.seg", "0000000000040000.tmp", "0000000000040000.segx", "000000000004000g.seg",
        "0000000000040000xseg", "000000000004000A.seg", "+000000000040000.seg"};
    char name[FO_SEGMENT_NAME_SIZE];
    uint64_t base = 1;

    (void)state;
    fo_segment_name(0x40000, name);
    assert_string_equal(name, "0000000000040000.seg");
    assert_true(fo_segment_name_parse(name, &base));
    assert_true(base == 0x40000);
    fo_segment_name(UINT64_MAX, name);
    assert_true(fo_segment_name_parse(name, &base));
    assert_true(base == UINT64_MAX);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(fo_segment_name_parse(others[i], &base));
}

static void
each_segment_has_its_own_salt(void **state)
{
    (void)state;
    assert_true(fo_segment_salt(1, 0) != fo_segment_salt(1, 65536));
    assert_true(fo_segment_salt(1, 0) != fo_segment_salt(2, 0));
    assert_true(fo_segment_salt(1, 0) != fo_segment_salt(1ull << 32, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_header_has_the_documented_layout),
        cmocka_unit_test(a_header_elsewhere_otherwise_or_flipped_is_none),
        cmocka_unit_test(values_that_cannot_be_are_refused_in_spite_of_the_checksum),
        cmocka_unit_test(sizes_are_padded_to_eight),
        cmocka_unit_test(a_segment_header_reads_back_and_any_flip_shows),
        cmocka_unit_test(another_version_is_told_from_damage),
        cmocka_unit_test(names_hold_the_base),
        cmocka_unit_test(each_segment_has_its_own_salt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
