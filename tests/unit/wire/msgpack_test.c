/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <msgpack.h>

#include "base/rng.h"
#include "wire/msgpack.h"

static uint8_t bytes[1 << 20];

static struct fo_writer
writer(void)
{
    return fo_writer_of(bytes, sizeof bytes);
}

static struct fo_reader
reader(const struct fo_writer *w)
{
    return fo_reader_of(fo_slice_of(w->p, w->n));
}

static struct fo_reader
reader_of(const void *p, size_t n)
{
    return fo_reader_of(fo_slice_of(p, n));
}
#define READER(lit) reader_of(lit, sizeof(lit) - 1)

static void
integers_take_their_shortest_form_and_come_back(void **state)
{
    static const struct { int64_t v; size_t n; } cases[] = {
        { 0, 1 }, { 127, 1 }, { 128, 2 }, { 255, 2 }, { 256, 3 }, { 65535, 3 }, { 65536, 5 }, { UINT32_MAX, 5 },
        { (int64_t)UINT32_MAX + 1, 9 }, { INT64_MAX, 9 }, { -1, 1 }, { -32, 1 }, { -33, 2 }, { -128, 2 }, { -129, 3 },
        { -32768, 3 }, { -32769, 5 }, { INT32_MIN, 5 }, { (int64_t)INT32_MIN - 1, 9 }, { INT64_MIN, 9 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_writer w = writer();
        struct fo_reader r;
        int64_t v;

        fo_mp_write_int(&w, cases[i].v);
        assert_int_equal(w.n, cases[i].n);
        r = reader(&w);
        assert_int_equal(fo_mp_read_int(&r, &v), FO_OK);
        assert_true(v == cases[i].v);
        assert_int_equal(fo_reader_left(&r), 0);
    }
}

static void
signed_forms_of_small_numbers_are_unsigned_values(void **state)
{
    struct fo_reader r = READER("\xd3\0\0\0\0\0\0\0\x05\xd0\xfb");
    struct fo_mp v;

    (void)state;
    assert_int_equal(fo_mp_read(&r, &v), FO_OK);
    assert_int_equal(v.kind, FO_MP_UINT);
    assert_true(v.u == 5);
    assert_int_equal(fo_mp_read(&r, &v), FO_OK);
    assert_int_equal(v.kind, FO_MP_INT);
    assert_true(v.i == -5);
}

static void
lengths_choose_their_form(void **state)
{
    static const size_t lengths[] = { 0, 31, 32, 255, 256, 65535, 65536 }, heads[] = { 1, 1, 2, 2, 3, 3, 5 };
    static uint8_t text[65536];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct fo_writer w = writer();
        struct fo_reader r;
        struct fo_slice s;

        fo_mp_write_str(&w, fo_slice_of(text, lengths[i]));
        assert_int_equal(w.n, heads[i] + lengths[i]);
        fo_mp_write_bin(&w, fo_slice_of(text, lengths[i]));
        r = reader(&w);
        assert_int_equal(fo_mp_read_str(&r, &s), FO_OK);
        assert_int_equal(s.n, lengths[i]);
        assert_int_equal(fo_mp_read_str(&r, &s), FO_ERR_TYPE);      /* and stays where it is */
        assert_int_equal(fo_mp_read_bin(&r, &s), FO_OK);
        assert_int_equal(s.n, lengths[i]);
        assert_int_equal(fo_reader_left(&r), 0);
    }
}

static void
what_is_claimed_must_be_there(void **state)
{
    static const struct { const char *p; size_t n; } cases[] = {
        { "", 0 }, { "\xa5" "abcd", 5 }, { "\xd9\xff" "abc", 5 }, { "\xdb\xff\xff\xff\xff" "abc", 8 }, { "\xc6\x80\0\0\0" "a", 6 },
        { "\x93\1\2", 3 }, { "\x82\1\2\3", 4 }, { "\xdc\xff\xff\1", 4 }, { "\xdd\xff\xff\xff\xff\1", 6 }, { "\xdf\x80\0\0\0\1\2", 7 },
        { "\xcd\1", 2 }, { "\xcf\1\2\3\4\5\6\7", 8 }, { "\xca\1\2\3", 4 }, { "\xd4\1", 2 }, { "\xc7\3\1\2\3", 5 }, { "\xc9\xff\xff\xff\xff\1", 6 }, { "\xd9", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_reader r = reader_of(cases[i].p, cases[i].n), s = r;
        assert_int_equal(fo_mp_skip(&r, 16), FO_ERR_TRUNCATED);
        assert_int_equal(fo_mp_check(&s, 16), FO_ERR_TRUNCATED);
    }
}

static void
nesting_is_counted_by_containers(void **state)
{
    uint8_t deep[40];

    (void)state;
    for (unsigned n = 0; n < sizeof deep - 1; n++) {
        struct fo_reader r, s;
        memset(deep, 0x91, n);
        deep[n] = 0x80;                     /* an empty map counts as well: n + 1 in all */
        r = s = reader_of(deep, n + 1);
        assert_int_equal(fo_mp_skip(&r, 16), n + 1 <= 16 ? FO_OK : FO_ERR_DEPTH);
        assert_int_equal(fo_mp_check(&s, 16), n + 1 <= 16 ? FO_OK : FO_ERR_DEPTH);
    }
}

/* A map of `count` keys "k0".. with the key at `again` once more at the end. */
static enum fo_err
check_map_of(unsigned count, int again)
{
    struct fo_writer w = writer();
    struct fo_reader r;

    fo_mp_write_map(&w, count + (again >= 0));
    for (unsigned i = 0; i < count + (again >= 0); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i < count ? i : (unsigned)again);
        fo_mp_write_str(&w, fo_slice_str(key));
        fo_mp_write_nil(&w);
    }
    r = reader(&w);
    return fo_mp_check(&r, 16);
}

static void
the_second_of_two_equal_keys_is_noticed_in_maps_of_any_size(void **state)
{
    static const unsigned counts[] = { 1, 2, 14, 15, 16, 17, 100, 4095 };

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        assert_int_equal(check_map_of(counts[i], -1), FO_OK);
        for (unsigned again = 0; again < counts[i]; again += counts[i] > 100 ? 577 : 1)
            assert_int_equal(check_map_of(counts[i], (int)again), FO_ERR_DUPLICATE_KEY);
    }
    assert_int_equal(check_map_of(FO_MP_MAP_KEYS_MAX, -1), FO_OK);
    assert_int_equal(check_map_of(FO_MP_MAP_KEYS_MAX + 1, -1), FO_ERR_TOO_LARGE);
}

static void
keys_and_texts_must_be_text_that_json_can_say(void **state)
{
    static const struct { const char *p; size_t n; enum fo_err err; } cases[] = {
        { "\x81\1\2", 3, FO_ERR_TYPE }, { "\x81\xc4\1a\2", 5, FO_ERR_TYPE }, { "\x81\xa1\xff\2", 4, FO_ERR_UTF8 }, { "\xa1\0", 2, FO_ERR_INVALID },
        { "\xab" "0123456789\xc3", 12, FO_ERR_UTF8 }, { "\xaa" "01234567\0" "9", 11, FO_ERR_INVALID }, { "\xac" "01234567" "\xc3\xa9" "\0" "1", 13, FO_ERR_INVALID },
        { "\xaa" "01234567\xc3\xa9", 11, FO_OK }, { "\xa1\x7f", 2, FO_OK }, { "\xc4\2\xff\0", 4, FO_OK }, { "\xcf\x80\0\0\0\0\0\0\0", 9, FO_ERR_INVALID },
        { "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, FO_OK }, { "\xca\x7f\x80\0\0", 5, FO_ERR_INVALID }, { "\xcb\xff\xf8\0\0\0\0\0\0", 9, FO_ERR_INVALID }, { "\xc1", 1, FO_ERR_PARSE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_reader r = reader_of(cases[i].p, cases[i].n);
        assert_int_equal(fo_mp_check(&r, 16), cases[i].err);
    }
}

static void
a_value_ends_where_it_ends(void **state)
{
    static const char value[] = "\x83\xa1" "a" "\x92\1\xcb\0\0\0\0\0\0\0\0" "\xa1" "b" "\xd6\1" "wxyz" "\xa1" "c" "\x81\xa0\xc0" "next";
    struct fo_reader r = READER(value), s = r;

    (void)state;
    assert_int_equal(fo_mp_skip(&r, 2), FO_OK);
    assert_int_equal(fo_reader_left(&r), 4);
    assert_int_equal(fo_mp_check(&s, 2), FO_OK);
    assert_ptr_equal(r.p, s.p);
}

static void
a_full_writer_says_so(void **state)
{
    for (size_t cap = 0; cap < 12; cap++) {
        struct fo_writer w = fo_writer_of(bytes, cap);
        fo_mp_write_array(&w, 2);
        fo_mp_write_uint(&w, UINT64_MAX);
        fo_mp_write_bool(&w, true);
        assert_int_equal(w.overflow, cap < 11);
        assert_true(w.n <= cap);
    }
    (void)state;
}

/* One random value, written by us and by msgpack-c. */
static void
write_both(struct fo_rng *rng, unsigned depth, struct fo_writer *w, msgpack_packer *theirs)
{
    static const char text[70000];
    uint64_t bits = fo_rng_next(rng) >> fo_rng_below(rng, 64);
    size_t n = fo_rng_below(rng, 40) == 0 ? fo_rng_below(rng, sizeof text) : fo_rng_below(rng, 300);
    uint32_t count = (uint32_t)fo_rng_below(rng, 20);
    double f;

    switch (fo_rng_below(rng, depth > 3 ? 7 : 9)) {
    case 0: fo_mp_write_nil(w); msgpack_pack_nil(theirs); break;
    case 1: fo_mp_write_bool(w, true); msgpack_pack_true(theirs); break;
    case 2: fo_mp_write_uint(w, bits); msgpack_pack_uint64(theirs, bits); break;
    case 3: fo_mp_write_int(w, -(int64_t)(bits >> 1)); msgpack_pack_int64(theirs, -(int64_t)(bits >> 1)); break;
    case 4: fo_mp_write_float(w, f = (double)bits / 3); msgpack_pack_double(theirs, f); break;
    case 5: fo_mp_write_str(w, fo_slice_of(text, n)); msgpack_pack_str_with_body(theirs, text, n); break;
    case 6: fo_mp_write_bin(w, fo_slice_of(text, n)); msgpack_pack_bin_with_body(theirs, text, n); break;
    case 7:
        fo_mp_write_array(w, count);
        msgpack_pack_array(theirs, count);
        for (uint32_t i = 0; i < count; i++)
            write_both(rng, depth + 1, w, theirs);
        break;
    default:
        fo_mp_write_map(w, count);
        msgpack_pack_map(theirs, count);
        for (uint32_t i = 0; i < 2 * count; i++)
            write_both(rng, depth + 1, w, theirs);
    }
}

static void
msgpack_c_writes_the_same_bytes(void **state)
{
    static uint8_t large[8 << 20];
    struct fo_rng rng;

    (void)state;
    fo_rng_init(&rng, 3);
    for (unsigned i = 0; i < 2000; i++) {
        struct fo_writer w = fo_writer_of(large, sizeof large);
        struct fo_reader r;
        msgpack_sbuffer theirs;
        msgpack_packer packer;

        msgpack_sbuffer_init(&theirs);
        msgpack_packer_init(&packer, &theirs, msgpack_sbuffer_write);
        write_both(&rng, 0, &w, &packer);
        assert_false(w.overflow);
        assert_int_equal(w.n, theirs.size);
        assert_memory_equal(w.p, theirs.data, w.n);
        r = reader(&w);
        assert_int_equal(fo_mp_skip(&r, 16), FO_OK);
        assert_int_equal(fo_reader_left(&r), 0);
        msgpack_sbuffer_destroy(&theirs);
    }
}

/* The other way round it would not do: msgpack-c reserves memory for what a length claims. */
static void
what_is_stepped_over_ends_where_msgpack_c_ends(void **state)
{
    unsigned taken = 0;
    struct fo_rng rng;

    (void)state;
    fo_rng_init(&rng, 4);
    for (unsigned i = 0; i < 100000; i++) {
        size_t n = fo_rng_below(&rng, 40) + 1, off = 0;
        struct fo_reader r = reader_of(bytes, n);
        msgpack_unpacked unpacked;

        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)fo_rng_next(&rng);
        if (fo_mp_skip(&r, 16) != FO_OK)
            continue;
        msgpack_unpacked_init(&unpacked);
        assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)bytes, n, &off), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(off, (size_t)(r.p - bytes));
        msgpack_unpacked_destroy(&unpacked);
        taken++;
    }
    assert_true(taken > 10000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_their_shortest_form_and_come_back),
        cmocka_unit_test(signed_forms_of_small_numbers_are_unsigned_values),
        cmocka_unit_test(lengths_choose_their_form),
        cmocka_unit_test(what_is_claimed_must_be_there),
        cmocka_unit_test(nesting_is_counted_by_containers),
        cmocka_unit_test(the_second_of_two_equal_keys_is_noticed_in_maps_of_any_size),
        cmocka_unit_test(keys_and_texts_must_be_text_that_json_can_say),
        cmocka_unit_test(a_value_ends_where_it_ends),
        cmocka_unit_test(a_full_writer_says_so),
        cmocka_unit_test(msgpack_c_writes_the_same_bytes),
        cmocka_unit_test(what_is_stepped_over_ends_where_msgpack_c_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
