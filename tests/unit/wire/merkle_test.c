/* SPDX-License-Identifier: Apache-2.0
 *
 * The Merkle tree against golden roots and paths, and what a path must not prove. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vectors.h"
#include "wire/frame.h"

static char texts[FO_BATCH_EVENTS_MAX][16];
static struct fo_slice records[FO_BATCH_EVENTS_MAX];

static int
setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FO_BATCH_EVENTS_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "record %u", i);
        records[i] = fo_slice_str(texts[i]);
    }
    return fo_keys_library_init() == FO_OK ? 0 : -1;
}

static void
test_golden(void **state)
{
    json_t *vector = vector_load("valid/frame-merkle.json"), *tree, *one;
    uint8_t root[FO_HASH_BYTES], path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    size_t i, j;

    (void)state;
    assert_true(json_array_size(json_object_get(vector, "expect")) >= 10);
    json_array_foreach(json_object_get(vector, "expect"), i, tree) {
        uint32_t count = (uint32_t)json_integer_value(json_object_get(tree, "count"));

        fo_merkle_root(records, count, root);
        assert_true(vector_hex_is(json_object_get(tree, "root"), fo_slice_of(root, sizeof root)));
        json_array_foreach(json_object_get(tree, "paths"), j, one) {
            json_t *hashes = json_object_get(one, "path");
            uint32_t index = (uint32_t)json_integer_value(json_object_get(one, "index"));
            unsigned path_len = fo_merkle_path(records, count, index, path);

            assert_int_equal(path_len, json_array_size(hashes));
            for (unsigned k = 0; k < path_len; k++)
                assert_true(vector_hex_is(json_array_get(hashes, k), fo_slice_of(path[k], FO_HASH_BYTES)));
            assert_true(fo_merkle_proves(records[index], index, count, path, path_len, root));
        }
    }
    json_decref(vector);
}

static void
test_every_path_proves_only_its_record(void **state)
{
    uint8_t root[FO_HASH_BYTES], path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];

    (void)state;
    for (uint32_t count = 1; count <= 40; count++) {
        fo_merkle_root(records, count, root);
        for (uint32_t i = 0; i < count; i++) {
            unsigned path_len = fo_merkle_path(records, count, i, path);

            for (uint32_t j = 0; j < count; j++) {
                assert_int_equal(fo_merkle_proves(records[j], i, count, path, path_len, root), i == j);
                assert_int_equal(fo_merkle_proves(records[i], j, count, path, path_len, root), i == j);
            }
        }
    }
}

static void
test_altered_proof_fails(void **state)
{
    uint8_t root[FO_HASH_BYTES], path[FO_MERKLE_PATH_MAX + 1][FO_HASH_BYTES] = {{0}};
    unsigned path_len;

    (void)state;
    fo_merkle_root(records, 200, root);
    path_len = fo_merkle_path(records, 200, 77, path);
    assert_int_equal(path_len, 8);
    assert_true(fo_merkle_proves(records[77], 77, 200, path, path_len, root));
    assert_false(fo_merkle_proves(records[77], 77, 200, path, path_len - 1, root));
    assert_false(fo_merkle_proves(records[77], 77, 200, path, path_len + 1, root));
    assert_false(fo_merkle_proves(records[77], 77, 100, path, path_len, root));
    assert_false(fo_merkle_proves(records[77], 200, 200, path, path_len, root));
    assert_false(fo_merkle_proves(records[77], 77, 0, path, path_len, root));
    assert_false(fo_merkle_proves(records[77], 77, 257, path, path_len, root));
    for (unsigned bit = 0; bit < path_len * FO_HASH_BYTES * 8; bit++) {
        path[bit / 256][bit / 8 % 32] ^= (uint8_t)(1 << bit % 8);
        assert_false(fo_merkle_proves(records[77], 77, 200, path, path_len, root));
        path[bit / 256][bit / 8 % 32] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A node's two children are 64 bytes; presented as a record they must not pass for one. */
static void
test_inner_node_is_not_a_record(void **state)
{
    uint8_t root[FO_HASH_BYTES], fake_root[FO_HASH_BYTES], children[2 * FO_HASH_BYTES];
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    struct fo_slice fake = fo_slice_of(children, sizeof children);

    (void)state;
    fo_merkle_root(records, 2, root);
    assert_int_equal(fo_merkle_path(records, 2, 1, path), 1);
    memcpy(children, path[0], FO_HASH_BYTES);
    assert_int_equal(fo_merkle_path(records, 2, 0, path), 1);
    memcpy(children + FO_HASH_BYTES, path[0], FO_HASH_BYTES);
    fo_merkle_root(&fake, 1, fake_root);
    assert_memory_not_equal(fake_root, root, FO_HASH_BYTES);
    assert_false(fo_merkle_proves(fake, 0, 1, path, 0, root));
}

/* Short ones are hashed side by side, long ones alone, and a path's end always alone: all by the same rule. */
static void
test_records_of_any_length(void **state)
{
    enum { COUNT = 60, STEP = 577 };
    static uint8_t bytes[COUNT + COUNT * STEP];
    struct fo_slice record[COUNT];
    uint8_t root[FO_HASH_BYTES], path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];

    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (unsigned i = 0; i < COUNT; i++)
        record[i] = fo_slice_of(bytes + i, 1 + (size_t)(i * 7 % COUNT) * STEP);
    fo_merkle_root(record, COUNT, root);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned path_len = fo_merkle_path(record, COUNT, i, path);

        assert_true(fo_merkle_proves(record[i], i, COUNT, path, path_len, root));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_every_path_proves_only_its_record),
        cmocka_unit_test(test_altered_proof_fails),
        cmocka_unit_test(test_inner_node_is_not_a_record),
        cmocka_unit_test(test_records_of_any_length),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
