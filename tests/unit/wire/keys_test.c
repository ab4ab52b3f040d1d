/* SPDX-License-Identifier: Apache-2.0
 *
 * Key pairs, their texts, and the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "vectors.h"
#include "wire/keys.h"

static int
setup(void **state)
{
    (void)state;
    return fo_keys_library_init() == FO_OK ? 0 : -1;
}

static enum fo_err
parse_vector(json_t *vector, struct fo_public_key *ret_key, struct fo_fault *ret_fault)
{
    const json_t *text = json_object_get(vector, "text");
    struct fo_slice slice = fo_slice_of(json_string_value(text), json_string_length(text));
    struct fo_key_pair pair = {0};
    enum fo_err err;

    if (strcmp(json_string_value(json_object_get(vector, "kind")), "secret_key") != 0)
        return fo_public_key_parse(slice, ret_key, ret_fault);
    err = fo_key_pair_parse(slice, &pair, ret_fault);
    *ret_key = pair.public_half;
    fo_key_pair_fini(&pair);
    return err;
}

static void
check_valid(json_t *vector)
{
    json_t *expect = json_object_get(vector, "expect");
    struct fo_public_key key;
    struct fo_fault fault;
    char id[17];

    assert_int_equal(parse_vector(vector, &key, &fault), FO_OK);
    assert_string_equal(key.region, json_string_value(json_object_get(expect, "region")));
    snprintf(id, sizeof id, "%016llx", (unsigned long long)key.id);
    assert_string_equal(id, json_string_value(json_object_get(expect, "key_id")));
    assert_true(vector_hex_is(json_object_get(expect, "key"), fo_slice_of(key.key, sizeof key.key)));
}

static void
check_invalid(json_t *vector)
{
    struct fo_public_key key;
    struct fo_fault fault = {0};
    enum fo_err err = parse_vector(vector, &key, &fault);

    assert_string_equal(fo_err_name(err), json_string_value(json_object_get(json_object_get(vector, "expect"), "error")));
    assert_int_equal(fault.err, err);
    assert_true(strlen(fault.text) > 10);
}

static void
test_golden_valid(void **state)
{
    (void)state;
    vector_each("valid", "key-", 3, check_valid);
}

static void
test_golden_invalid(void **state)
{
    (void)state;
    vector_each("invalid", "key-", 20, check_invalid);
}

static void
test_generated_pair_survives_its_text(void **state)
{
    struct fo_key_pair pair, again;
    struct fo_public_key public_again;
    char text[FO_KEY_TEXT_MAX];
    struct fo_fault fault;
    uint8_t signature[64];

    (void)state;
    assert_int_equal(fo_key_pair_generate("ap-southeast-2", &pair), FO_OK);
    assert_int_equal(fo_key_pair_format(&pair, text), FO_OK);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(fo_key_pair_parse(fo_slice_str(text), &again, &fault), FO_OK);
    assert_memory_equal(pair.secret, again.secret, FO_SECRET_KEY_BYTES);
    assert_memory_equal(&pair.public_half, &again.public_half, sizeof pair.public_half);
    assert_int_equal(fo_public_key_format(&pair.public_half, text), FO_OK);
    assert_int_equal(fo_public_key_parse(fo_slice_str(text), &public_again, &fault), FO_OK);
    assert_memory_equal(&pair.public_half, &public_again, sizeof public_again);

    crypto_sign_detached(signature, NULL, (const uint8_t *)"text", 4, again.secret);
    assert_int_equal(crypto_sign_verify_detached(signature, (const uint8_t *)"text", 4, public_again.key), 0);
    fo_key_pair_fini(&pair);
    fo_key_pair_fini(&again);
    assert_null(pair.secret);
    fo_key_pair_fini(&pair);
}

static void
test_generated_pairs_differ(void **state)
{
    struct fo_key_pair a, b;

    (void)state;
    assert_int_equal(fo_key_pair_generate("eu-west-1", &a), FO_OK);
    assert_int_equal(fo_key_pair_generate("eu-west-1", &b), FO_OK);
    assert_true(a.public_half.id != b.public_half.id);
    assert_memory_not_equal(a.secret, b.secret, FO_SECRET_KEY_BYTES);
    fo_key_pair_fini(&a);
    fo_key_pair_fini(&b);
}

static void
test_region_names(void **state)
{
    static const char *const bad[] = {"", "EU", "eu_west", "eu west", "eu.west", "\xc3\xbc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-", "-eu", "eu-"};
    struct fo_key_pair pair;

    (void)state;
    assert_true(fo_region_name_is_valid(fo_slice_str("eu-west-1")));
    assert_true(fo_region_name_is_valid(fo_slice_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(fo_region_name_is_valid(fo_slice_str(bad[i])));
        assert_int_equal(fo_key_pair_generate(bad[i], &pair), FO_ERR_UNKNOWN_REGION);
    }
}

static void
test_ring(void **state)
{
    struct fo_key_ring *ring = calloc(1, sizeof *ring);
    struct fo_public_key key = {.region = "r"};

    (void)state;
    assert_non_null(ring);
    assert_null(fo_key_ring_find(ring, 1));
    for (uint64_t id = 1; id <= FO_KEYS_MAX; id++) {
        key.id = id;
        assert_int_equal(fo_key_ring_add(ring, &key), FO_OK);
        assert_int_equal(fo_key_ring_add(ring, &key), FO_ERR_EXISTS);
    }
    key.id = FO_KEYS_MAX + 1;
    assert_int_equal(fo_key_ring_add(ring, &key), FO_ERR_FULL);
    assert_null(fo_key_ring_find(ring, key.id));
    assert_int_equal(fo_key_ring_find(ring, FO_KEYS_MAX)->id, FO_KEYS_MAX);
    free(ring);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_valid),
        cmocka_unit_test(test_golden_invalid),
        cmocka_unit_test(test_generated_pair_survives_its_text),
        cmocka_unit_test(test_generated_pairs_differ),
        cmocka_unit_test(test_region_names),
        cmocka_unit_test(test_ring),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
