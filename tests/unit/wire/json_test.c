/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/emit.h"
#include "wire/json.h"

static void
check_refused(const char *text, size_t n, enum fo_err err)
{
    struct fo_fault fault;
    json_t *json = NULL;

    assert_int_equal(fo_json_parse(fo_slice_of(text, n), &json, &fault), err);
    assert_int_equal(fault.err, err);
    assert_true(fault.text[0] != '\0');
    assert_null(json);
}

static void
bad_text_is_refused_with_line_and_column(void **state)
{
    struct fo_fault fault;
    json_t *json;

    (void)state;
    check_refused("", 0, FO_ERR_TRUNCATED);
    check_refused("{\"a\":1", 6, FO_ERR_TRUNCATED);
    check_refused("[1]]", 4, FO_ERR_TRAILING);
    check_refused("{\"a\":1,\"a\":2}", 13, FO_ERR_DUPLICATE_KEY);
    check_refused("\"\xff\"", 3, FO_ERR_UTF8);
    check_refused("\"\\u0000\"", 8, FO_ERR_INVALID);
    check_refused("{\"\\u0000\":1}", 12, FO_ERR_INVALID);
    check_refused("9223372036854775808", 19, FO_ERR_INVALID);
    check_refused("[1,,2]", 6, FO_ERR_PARSE);
    assert_int_equal(fo_json_parse(FO_SLICE_LIT("{\n  \"a\": !\n}"), &json, &fault), FO_ERR_PARSE);
    assert_non_null(strstr(fault.text, "line 2"));
    assert_non_null(strstr(fault.text, "column"));
}

static void
nesting_is_bounded(void **state)
{
    char text[10000];

    (void)state;
    for (unsigned n = FO_JSON_NESTING_MAX; n <= sizeof text / 2; n = n * 2 + 1) {
        struct fo_fault fault;
        json_t *json = NULL;

        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(fo_json_parse(fo_slice_of(text, 2 * (size_t)n), &json, &fault), n == FO_JSON_NESTING_MAX ? FO_OK : FO_ERR_DEPTH);
        json_decref(n == FO_JSON_NESTING_MAX ? json : NULL);
    }
}

static void
values_go_to_msgpack_and_back(void **state)
{
    static const char text[] = "{\"a\":[null,true,false,0,-1,9223372036854775807,-9223372036854775808,1.5,-0.0,1e300,\"\",\"\\u00e9\\n\"],\"\":{}}";
    struct fo_fault fault;
    struct fo_reader r;
    struct fo_buf out;
    json_t *json, *back;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_json_parse(FO_SLICE_LIT(text), &json, &fault), FO_OK);
    assert_int_equal(fo_json_to_msgpack(json, &out), FO_OK);
    r = fo_reader_of(fo_buf_slice(&out));
    assert_int_equal(fo_json_from_msgpack(&r, &back), FO_OK);
    assert_int_equal(fo_reader_left(&r), 0);
    assert_true(json_equal(json, back));
    json_decref(json);
    json_decref(back);
    fo_buf_fini(&out);
}

static void
what_only_msgpack_has_gets_a_json_form(void **state)
{
    static const char value[] = "\x84\x05\xc4\2\0\xff" "\xff\xd4\xfe\x2a" "\xa1x\xca\x3f\x80\0\0" "\xa1y\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    struct fo_reader r = fo_reader_of(FO_SLICE_LIT(value));
    json_t *json, *expected = json_loads("{\"5\":{\"$base64\":\"AP8=\"},\"-1\":{\"$ext\":-2,\"$base64\":\"Kg==\"},\"x\":1.0,\"y\":18446744073709551616.0}", 0, NULL);

    (void)state;
    assert_int_equal(fo_json_from_msgpack(&r, &json), FO_OK);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
}

static void
bad_msgpack_gives_an_error_and_no_object(void **state)
{
    static const struct { const char *p; size_t n; enum fo_err err; } cases[] = {
        { "\x92\1", 2, FO_ERR_TRUNCATED }, { "\x81\xa1" "a", 3, FO_ERR_TRUNCATED }, { "\x82\1\2\xa1" "1\3", 6, FO_ERR_DUPLICATE_KEY }, { "\x81\xa1\xff\1", 4, FO_ERR_UTF8 },
        { "\x91\xa1\xff", 3, FO_ERR_UTF8 }, { "\x91\xca\x7f\x80\0\0", 6, FO_ERR_INVALID }, { "\x81\xc0\1", 3, FO_ERR_TYPE }, { "\x91\xc1", 2, FO_ERR_PARSE },
        { "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0", 32, FO_ERR_DEPTH },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_reader r = fo_reader_of(fo_slice_of(cases[i].p, cases[i].n));
        json_t *json = NULL;
        assert_int_equal(fo_json_from_msgpack(&r, &json), cases[i].err);
        assert_null(json);
    }
}

static void
check_float(const char *printed, const char *json)
{
    char text[40];

    strcpy(text, printed);
    assert_int_equal(fo_json_float(text), strlen(json));
    assert_string_equal(text, json);
}

/* The decimal comma, and a point of two bytes, whether or not this machine has such a locale; and those that it has. */
static void
numbers_are_written_alike_in_every_locale(void **state)
{
    static const char *const locales[] = { "C", "de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "ps_AF.UTF-8", "de_DE", "fr_FR" };

    (void)state;
    check_float("1,5", "1.5");
    check_float("-1\xd9\xab" "25e-07", "-1.25e-07");
    check_float("1e+300", "1e+300");
    check_float("3", "3.0");
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        struct fo_buf out;
        fo_buf_init(&out);
        struct fo_emit e = fo_emit_of(FO_ENC_JSON, &out);
        if (setlocale(LC_NUMERIC, locales[i]) == NULL)
            continue;
        fo_emit_array(&e, 5);
        fo_emit_float(&e, 1.5);
        fo_emit_float(&e, 3);
        fo_emit_float(&e, -2.5e-7);
        fo_emit_ms(&e, 1250);
        fo_emit_ms(&e, -20);
        fo_emit_array_end(&e);
        (void)setlocale(LC_NUMERIC, "C");
        assert_int_equal(e.err, FO_OK);
        assert_int_equal(fo_buf_add(&out, "", 1), FO_OK);
        assert_string_equal((const char *)out.p, "[1.5,3.0,-2.4999999999999999e-07,1.25,-0.02]");
        fo_buf_fini(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text_is_refused_with_line_and_column),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(values_go_to_msgpack_and_back),
        cmocka_unit_test(what_only_msgpack_has_gets_a_json_form),
        cmocka_unit_test(bad_msgpack_gives_an_error_and_no_object),
        cmocka_unit_test(numbers_are_written_alike_in_every_locale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
