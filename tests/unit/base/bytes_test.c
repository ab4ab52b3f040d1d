/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static void
integers_are_big_endian(void **state)
{
    uint8_t room[15];
    struct fo_writer w = fo_writer_of(room, sizeof room);
    const uint8_t expected[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88};

    (void)state;
    fo_write_u8(&w, 0x01);
    fo_write_u16(&w, 0x2345);
    fo_write_u32(&w, 0x6789abcd);
    fo_write_u64(&w, 0xffeeddccbbaa9988);
    assert_false(w.overflow);
    assert_int_equal(w.n, sizeof expected);
    assert_memory_equal(room, expected, sizeof expected);
}

static void
reader_reads_back(void **state)
{
    const uint8_t bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 'x', 'y'};
    struct fo_reader r = fo_reader_of(fo_slice_of(bytes, sizeof bytes));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    struct fo_slice s;

    (void)state;
    assert_int_equal(fo_read_u8(&r, &u8), FO_OK);
    assert_int_equal(fo_read_u16(&r, &u16), FO_OK);
    assert_int_equal(fo_read_u32(&r, &u32), FO_OK);
    assert_int_equal(fo_read_u64(&r, &u64), FO_OK);
    assert_int_equal(fo_read_slice(&r, 2, &s), FO_OK);
    assert_int_equal(u8, 0x01);
    assert_int_equal(u16, 0x2345);
    assert_int_equal(u32, 0x6789abcd);
    assert_true(u64 == 0xffeeddccbbaa9988);
    assert_true(fo_slice_is_equal(s, FO_SLICE_LIT("xy")));
    assert_int_equal(fo_reader_left(&r), 0);
}

static void
reader_stays_put_when_too_little_is_left(void **state)
{
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct fo_reader r = fo_reader_of(fo_slice_of(bytes, sizeof bytes));
    struct fo_reader empty = fo_reader_of(fo_slice_of(bytes, 0));
    uint64_t u64 = 77;
    uint8_t u8 = 77;
    struct fo_slice s = {0};

    (void)state;
    assert_int_equal(fo_read_u64(&r, &u64), FO_ERR_TRUNCATED);
    assert_true(u64 == 77);
    assert_int_equal(fo_read_slice(&r, 8, &s), FO_ERR_TRUNCATED);
    assert_int_equal(fo_read_slice(&r, SIZE_MAX, &s), FO_ERR_TRUNCATED);
    assert_int_equal(fo_reader_left(&r), sizeof bytes);
    assert_int_equal(fo_read_u8(&empty, &u8), FO_ERR_TRUNCATED);
    assert_int_equal(u8, 77);
    assert_int_equal(fo_read_slice(&empty, 0, &s), FO_OK);
    assert_int_equal(s.n, 0);
}

static void
writer_remembers_that_it_overflowed(void **state)
{
    uint8_t room[4] = {9, 9, 9, 9};
    struct fo_writer w = fo_writer_of(room, 3);

    (void)state;
    fo_write_u16(&w, 0x0102);
    fo_write_u16(&w, 0x0304);
    assert_true(w.overflow);
    fo_write_u8(&w, 5);         /* would fit, but the message is broken already */
    assert_int_equal(w.n, 2);
    assert_int_equal(room[2], 9);
    assert_int_equal(room[3], 9);
}

static void
buffer_grows_and_keeps_what_it_holds(void **state)
{
    struct fo_buf b;
    uint8_t v;

    (void)state;
    fo_buf_init(&b);
    assert_int_equal(fo_buf_add(&b, NULL, 0), FO_OK);
    for (unsigned i = 0; i < 5000; i++) {
        v = (uint8_t)(i * 7);
        assert_int_equal(fo_buf_add(&b, &v, 1), FO_OK);
    }
    assert_int_equal(b.n, 5000);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(b.p[i], (uint8_t)(i * 7));
    fo_buf_fini(&b);
    assert_null(b.p);
    assert_int_equal(b.n, 0);
}

static void
buffer_refuses_the_impossible_unchanged(void **state)
{
    struct fo_buf b;

    (void)state;
    fo_buf_init(&b);
    assert_int_equal(fo_buf_add(&b, "abc", 3), FO_OK);
    assert_int_equal(fo_buf_reserve(&b, SIZE_MAX), FO_ERR_NO_MEMORY);
    assert_int_equal(fo_buf_reserve(&b, SIZE_MAX - 2), FO_ERR_NO_MEMORY);
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "abc", 3);
    fo_buf_fini(&b);
}

static void
buffer_gives_back_what_it_does_not_use(void **state)
{
    struct fo_buf b;

    (void)state;
    fo_buf_init(&b);
    fo_buf_fit(&b);
    assert_int_equal(fo_buf_reserve(&b, 16384), FO_OK);
    for (uint8_t i = 0; i < 200; i++)
        assert_int_equal(fo_buf_add(&b, &i, 1), FO_OK);
    fo_buf_fit(&b);
    assert_true(b.cap < 512 && b.n == 200);
    for (uint8_t i = 0; i < 200; i++)
        assert_int_equal(b.p[i], i);
    fo_buf_fini(&b);
}

static void
slices_compare_by_bytes(void **state)
{
    (void)state;
    assert_true(fo_slice_is_equal(FO_SLICE_LIT("abc"), fo_slice_str("abc")));
    assert_false(fo_slice_is_equal(FO_SLICE_LIT("abc"), FO_SLICE_LIT("abd")));
    assert_false(fo_slice_is_equal(FO_SLICE_LIT("abc"), FO_SLICE_LIT("ab")));
    assert_true(fo_slice_is_equal(fo_slice_of(NULL, 0), FO_SLICE_LIT("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(reader_reads_back),
        cmocka_unit_test(reader_stays_put_when_too_little_is_left),
        cmocka_unit_test(writer_remembers_that_it_overflowed),
        cmocka_unit_test(buffer_grows_and_keeps_what_it_holds),
        cmocka_unit_test(buffer_refuses_the_impossible_unchanged),
        cmocka_unit_test(buffer_gives_back_what_it_does_not_use),
        cmocka_unit_test(slices_compare_by_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
