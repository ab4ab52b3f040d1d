/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/json.h"
#include "wire/schema.h"

static struct fo_schema_set *
set_with(const char *schema)
{
    struct fo_schema_set *set;
    struct fo_fault fault;

    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    if (fo_schema_set_add(set, "t", FO_LANE_LOW, fo_slice_str(schema), &fault) != FO_OK)
        fail_msg("%s: %s: %s", schema, fault.path, fault.text);
    return set;
}

/* Checks a payload given as JSON text. */
static enum fo_err
check_with(const struct fo_schema_set *set, const char *data, struct fo_fault *fault)
{
    struct fo_buf bytes;
    json_t *json;
    enum fo_err err;

    fo_buf_init(&bytes);
    assert_int_equal(fo_json_parse(fo_slice_str(data), &json, fault), FO_OK);
    assert_int_equal(fo_json_to_msgpack(json, &bytes), FO_OK);
    err = fo_schema_check(set, 0, fo_buf_slice(&bytes), fault);
    json_decref(json);
    fo_buf_fini(&bytes);
    return err;
}

/* path null: the payload fits. */
static void
keyword_cases(void **state)
{
    static const struct { const char *schema, *data, *path, *text; } cases[] = {
        { "{}", "[1,{\"a\":null}]", NULL, NULL },
        { "{\"title\":\"x\",\"description\":\"y\",\"$schema\":\"s\",\"$id\":\"i\",\"examples\":[],\"default\":1}", "1", NULL, NULL },
        { "{\"type\":\"integer\"}", "-3", NULL, NULL },
        { "{\"type\":\"integer\"}", "3.0", NULL, NULL },
        { "{\"type\":\"integer\"}", "3.5", "data", "integer" },
        { "{\"type\":[\"string\",\"null\"]}", "null", NULL, NULL },
        { "{\"type\":[\"string\",\"null\"]}", "true", "data", "null or string" },
        { "{\"type\":\"number\"}", "\"1\"", "data", "number" },
        { "{\"type\":\"boolean\"}", "false", NULL, NULL },
        { "{\"type\":\"object\"}", "[]", "data", "object" },
        { "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "[\"a\",\"b\"]", NULL, NULL },
        { "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "data[1]", "string" },
        { "{\"minItems\":1,\"maxItems\":2}", "[]", "data", "at least 1 items" },
        { "{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", "data", "at most 2 items" },
        { "{\"minItems\":1,\"maxItems\":2}", "{}", NULL, NULL },
        { "{\"minLength\":2,\"maxLength\":3}", "\"\\u00e9\"", "data", "at least 2 characters" },
        { "{\"minLength\":2,\"maxLength\":3}", "\"\\u00e9\\u00e9\\u00e9\"", NULL, NULL },
        { "{\"maxLength\":3}", "\"abcd\"", "data", "at most 3 characters" },
        { "{\"minimum\":1}", "1", NULL, NULL },
        { "{\"minimum\":1}", "0.999", "data", "at least 1" },
        { "{\"maximum\":1.5}", "1.5", NULL, NULL },
        { "{\"maximum\":1.5}", "2", "data", "at most 1.5" },
        { "{\"exclusiveMinimum\":1}", "1", "data", "more than 1" },
        { "{\"exclusiveMinimum\":1}", "1.0001", NULL, NULL },
        { "{\"exclusiveMaximum\":9007199254740993}", "9007199254740992", NULL, NULL },
        { "{\"exclusiveMaximum\":9007199254740993}", "9007199254740993", "data", NULL },
        { "{\"enum\":[\"a\",1,null,true]}", "null", NULL, NULL },
        { "{\"enum\":[\"a\",1,null,true]}", "1.0", NULL, NULL },
        { "{\"enum\":[\"a\",1,null,true]}", "\"b\"", "data", "one of a, 1, null, true" },
        { "{\"enum\":[\"a\"]}", "[]", "data", "a" },
        { "{\"const\":false}", "false", NULL, NULL },
        { "{\"const\":false}", "0", "data", "false" },
        { "{\"required\":[\"a\",\"b\"]}", "{\"b\":1}", "data.a", "required by the schema" },
        { "{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"object\",\"required\":[\"b\"]}}}", "{\"a\":{}}", "data.a.b", "required by the schema" },
        { "{\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{\"a\":1}", NULL, NULL },
        { "{\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{\"a\":1,\"b\":2}", "data.b", NULL },
        { "{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"string\"}}", "{\"a\":1,\"b\":2}", "data.b", "string" },
        { "{\"properties\":{\"a\":{}},\"additionalProperties\":true}", "{\"a\":1,\"b\":2}", NULL, NULL },
        { "{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}}", "{\"a\":[{},{\"b\":0}]}", "data.a[1].b", "null" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_schema_set *set = set_with(cases[i].schema);
        struct fo_fault fault = { 0 };
        enum fo_err err = check_with(set, cases[i].data, &fault);

        if (err != (cases[i].path == NULL ? FO_OK : FO_ERR_SCHEMA))
            fail_msg("%s with %s: %s", cases[i].schema, cases[i].data, fo_err_name(err));
        if (cases[i].path != NULL)
            assert_string_equal(fault.path, cases[i].path);
        if (cases[i].text != NULL)
            assert_string_equal(fault.text, cases[i].text);
        fo_schema_set_destroy(set);
    }
}

static void
what_the_subset_lacks_is_refused_with_its_place(void **state)
{
    static const struct { const char *schema, *pointer; } cases[] = {
        { "true", "/" }, { "[]", "/" }, { "{\"pattern\":\"x\"}", "/pattern" }, { "{\"properties\":{\"a/b~\":{\"$ref\":\"#\"}}}", "/properties/a~1b~0/$ref" },
        { "{\"items\":{\"oneOf\":[]}}", "/items/oneOf" }, { "{\"items\":[{}]}", "/items" }, { "{\"properties\":{\"a\":true}}", "/properties/a" }, { "{\"properties\":[]}", "/properties" },
        { "{\"type\":\"text\"}", "/type" }, { "{\"type\":[]}", "/type" }, { "{\"type\":[\"string\",3]}", "/type" }, { "{\"required\":\"a\"}", "/required" },
        { "{\"required\":[1]}", "/required" }, { "{\"required\":[\"a\",\"a\"]}", "/required" }, { "{\"enum\":[]}", "/enum" }, { "{\"enum\":[[1]]}", "/enum" }, { "{\"enum\":[1],\"const\":1}", "/const" },
        { "{\"const\":{}}", "/const" }, { "{\"minimum\":\"1\"}", "/minimum" }, { "{\"minLength\":-1}", "/minLength" }, { "{\"maxItems\":1.5}", "/maxItems" },
        { "{\"additionalProperties\":{\"format\":\"date\"}}", "/additionalProperties/format" }, { "{\"additionalProperties\":3}", "/additionalProperties" },
    };
    struct fo_schema_set *set;
    struct fo_fault fault;

    (void)state;
    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fo_schema_set_add(set, "t", FO_LANE_HIGH, fo_slice_str(cases[i].schema), &fault), FO_ERR_SCHEMA);
        assert_string_equal(fault.path, cases[i].pointer);
        assert_true(fault.text[0] != '\0');
    }
    assert_int_equal(fo_schema_set_add(set, "t", FO_LANE_HIGH, FO_SLICE_LIT("{\"type\""), &fault), FO_ERR_TRUNCATED);
    assert_null(fo_schema_type_name(set, 0));
    fo_schema_set_destroy(set);
}

static void
a_schema_cannot_nest_without_end(void **state)
{
    char text[2048] = "";
    struct fo_schema_set *set;
    struct fo_fault fault;
    size_t n = 0;

    (void)state;
    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    for (unsigned i = 0; i < 18; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "{\"items\":");
    n += (size_t)snprintf(text + n, sizeof text - n, "{}");
    memset(text + n, '}', 18);
    assert_int_equal(fo_schema_set_add(set, "t", FO_LANE_HIGH, fo_slice_of(text, n + 18), &fault), FO_ERR_SCHEMA);
    fo_schema_set_destroy(set);
}

static void
the_builtin_types_have_their_lanes(void **state)
{
    static const struct { const char *type; enum fo_lane lane; } expected[] = {
        { "order_status", FO_LANE_HIGH }, { "order_created", FO_LANE_NORMAL }, { "menu_updated", FO_LANE_NORMAL }, { "store_status", FO_LANE_HIGH }, { "custom", FO_LANE_NORMAL },
    };
    struct fo_schema_set *set;
    struct fo_fault fault;
    enum fo_lane lane;
    unsigned index;

    (void)state;
    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    assert_int_equal(fo_schema_set_add_builtin(set, &fault), FO_OK);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(fo_schema_set_find(set, fo_slice_str(expected[i].type), &index, &lane), FO_OK);
        assert_int_equal(index, i);
        assert_int_equal(lane, expected[i].lane);
        assert_string_equal(fo_schema_type_name(set, i), expected[i].type);
    }
    assert_null(fo_schema_type_name(set, 5));
    assert_int_equal(fo_schema_set_find(set, FO_SLICE_LIT("order"), &index, &lane), FO_ERR_UNKNOWN_TYPE);
    assert_int_equal(fo_schema_set_add(set, "custom", FO_LANE_LOW, (struct fo_slice){ NULL, 0 }, &fault), FO_ERR_EXISTS);
    fo_schema_set_destroy(set);
}

static void
a_thousand_types_are_found_again(void **state)
{
    struct fo_schema_set *set;
    struct fo_fault fault;
    enum fo_lane lane;
    unsigned index;
    char name[32];

    (void)state;
    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "type-%u", i);
        assert_int_equal(fo_schema_set_add(set, name, (enum fo_lane)(i % 3), (struct fo_slice){ NULL, 0 }, &fault), FO_OK);
    }
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "type-%u", i);
        assert_int_equal(fo_schema_set_find(set, fo_slice_str(name), &index, &lane), FO_OK);
        assert_int_equal(index, i);
        assert_int_equal(lane, i % 3);
    }
    fo_schema_set_destroy(set);
}

static void
type_names_are_plain_words(void **state)
{
    static const char *const bad[] = { "", "a b", "a/b", "\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123x" };
    struct fo_schema_set *set;
    struct fo_fault fault;

    (void)state;
    assert_int_equal(fo_schema_set_create(&set), FO_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fo_schema_set_add(set, bad[i], FO_LANE_LOW, (struct fo_slice){ NULL, 0 }, &fault), FO_ERR_INVALID);
    assert_int_equal(fo_schema_set_add(set, "a.B-c_9", FO_LANE_LOW, (struct fo_slice){ NULL, 0 }, &fault), FO_OK);
    fo_schema_set_destroy(set);
}

static void
malformed_bytes_are_refused_with_and_without_a_schema(void **state)
{
    static const struct { const char *p; size_t n; enum fo_err err; const char *path; } cases[] = {
        { "\x81\xa1" "a\x81\xa1" "b", 6, FO_ERR_TRUNCATED, "data.a.b" }, { "\x82\xa1" "a\1\xa1" "a\2", 7, FO_ERR_DUPLICATE_KEY, "data.a" }, { "\x81\xa1" "a\xa1\xff", 5, FO_ERR_UTF8, "data.a" },
        { "\x81\1\2", 3, FO_ERR_TYPE, "data" }, { "\x80\0", 2, FO_ERR_TRAILING, "data" }, { "\x81\xa1" "a\x91\xcb\x7f\xf8\0\0\0\0\0\0", 13, FO_ERR_INVALID, "data.a" },
    };
    struct fo_schema_set *with = set_with("{\"properties\":{\"a\":{\"properties\":{\"b\":{}}}}}"), *without = set_with("");
    struct fo_fault fault;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_slice data = fo_slice_of(cases[i].p, cases[i].n);
        assert_int_equal(fo_schema_check(without, 0, data, &fault), cases[i].err);
        assert_string_equal(fault.path, "data");
        assert_int_equal(fo_schema_check(with, 0, data, &fault), cases[i].err);
        if (i != 5)
            assert_string_equal(fault.path, cases[i].path);
    }
    assert_int_equal(fo_schema_check(without, 0, (struct fo_slice){ NULL, 0 }, &fault), FO_OK);
    assert_int_equal(fo_schema_check(with, 0, (struct fo_slice){ NULL, 0 }, &fault), FO_ERR_SCHEMA);
    fo_schema_set_destroy(with);
    fo_schema_set_destroy(without);
}

static void
large_objects_are_checked_like_small_ones(void **state)
{
    struct fo_schema_set *set = set_with("{\"required\":[\"k99\"],\"additionalProperties\":{\"type\":\"integer\"}}");
    struct fo_fault fault;
    char text[4096];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%c\"k%u\":%u", i > 0 ? ',' : '{', i, i);
    snprintf(text + n, sizeof text - n, "}");
    assert_int_equal(check_with(set, text, &fault), FO_OK);
    snprintf(text + n, sizeof text - n, ",\"x\":\"\"}");
    assert_int_equal(check_with(set, text, &fault), FO_ERR_SCHEMA);
    assert_string_equal(fault.path, "data.x");
    fo_schema_set_destroy(set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyword_cases),
        cmocka_unit_test(what_the_subset_lacks_is_refused_with_its_place),
        cmocka_unit_test(a_schema_cannot_nest_without_end),
        cmocka_unit_test(the_builtin_types_have_their_lanes),
        cmocka_unit_test(a_thousand_types_are_found_again),
        cmocka_unit_test(type_names_are_plain_words),
        cmocka_unit_test(malformed_bytes_are_refused_with_and_without_a_schema),
        cmocka_unit_test(large_objects_are_checked_like_small_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
