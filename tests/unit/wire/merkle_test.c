/* SPDX-License-Identifier: Apache-2.0
 *
 * The Merkle tree against golden roots and paths, and what a path must not prove. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

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

/* The rule of proto/WIRE.md as it stands there, from the root down, with libsodium's BLAKE2b. */
static void
spell_out(uint32_t first, uint32_t count, uint8_t ret_root[FO_HASH_BYTES])
{
    static const uint8_t of_record[16] = "fanout record", of_node[16] = "fanout node";
    uint8_t bytes[16 * FO_HASH_BYTES];
    uint32_t piece = 1;
    size_t n = 0;

    if (count == 1) {
        crypto_generichash_blake2b_salt_personal(ret_root, FO_HASH_BYTES, records[first].p, records[first].n, NULL, 0, NULL, of_record);
        return;
    }
    while (piece * 16 < count)
        piece *= 16;
    for (uint32_t at = 0; at < count; at += piece, n += FO_HASH_BYTES)
        spell_out(first + at, count - at < piece ? count - at : piece, bytes + n);
    crypto_generichash_blake2b_salt_personal(ret_root, FO_HASH_BYTES, bytes, n, NULL, 0, NULL, of_node);
}

struct proof { uint32_t index, count; uint8_t path[FO_MERKLE_PATH_MAX + 1][FO_HASH_BYTES], root[FO_HASH_BYTES]; unsigned len; };

static bool
proves(const struct proof *p, uint32_t record)
{
    return fo_merkle_proves(records[record], p->index, p->count, p->path, p->len, p->root);
}

static void
swap(uint8_t a[FO_HASH_BYTES], uint8_t b[FO_HASH_BYTES])
{
    uint8_t hash[FO_HASH_BYTES];

    memcpy(hash, a, FO_HASH_BYTES);
    memcpy(a, b, FO_HASH_BYTES);
    memcpy(b, hash, FO_HASH_BYTES);
}

/* A path one hash too short or too long, at either end; with two in each other's place; with one bit wrong somewhere. */
static void
check_altered(struct proof *p)
{
    uint8_t last[FO_HASH_BYTES] = { 0 };

    for (unsigned i = 0; i + 1 < p->len; i++) {
        swap(p->path[i], p->path[i + 1]);
        assert_false(proves(p, p->index));
        swap(p->path[i], p->path[i + 1]);
    }
    for (unsigned i = 0; i < p->len; i++) {
        uint8_t bit = (uint8_t)(1 << (i + p->index) % 8);

        p->path[i][(i + p->index) % FO_HASH_BYTES] ^= bit;
        assert_false(proves(p, p->index));
        p->path[i][(i + p->index) % FO_HASH_BYTES] ^= bit;
    }
    p->len++;
    memcpy(p->path[p->len - 1], last, FO_HASH_BYTES);
    assert_false(proves(p, p->index));
    memcpy(p->path[p->len - 1], p->root, FO_HASH_BYTES);
    assert_false(proves(p, p->index));
    p->len--;
    if (p->len > 0) {
        p->len--;
        assert_false(proves(p, p->index));
        memmove(p->path[0], p->path[1], p->len * sizeof p->path[0]);
        assert_false(proves(p, p->index));
    }
}

static void
check_shape(uint32_t count)
{
    const uint32_t step[] = { 1, 15, 16, 17, 255, 256 };
    struct proof p = { .count = count };
    uint8_t root[FO_HASH_BYTES];

    spell_out(0, count, root);
    fo_merkle_root(records, count, p.root);
    assert_memory_equal(p.root, root, sizeof root);
    for (uint32_t i = 0; i < count; i++) {
        p.index = i;
        p.len = fo_merkle_path(records, count, i, p.path);
        assert_true(p.len <= FO_MERKLE_PATH_MAX);
        assert_true(proves(&p, i));
        for (unsigned k = 0; k < sizeof step / sizeof step[0]; k++) {
            uint32_t other = (i + step[k]) % count;

            assert_int_equal(proves(&p, other), other == i);
            p.index = other;
            assert_int_equal(proves(&p, i), other == i);
            p.index = i;
        }
        check_altered(&p);
    }
}

/* Around every place where a level gets a group more, or the tree a level. */
static void
test_shapes(void **state)
{
    const uint32_t count[] = { 1, 2, 3, 15, 16, 17, 18, 31, 32, 33, 255, 256, 257, 258, 271, 272, 273, 511, 512, 513, 1023, 1024 };

    (void)state;
    for (unsigned i = 0; i < sizeof count / sizeof count[0]; i++)
        check_shape(count[i]);
}

static void
test_every_path_proves_only_its_record(void **state)
{
    struct proof p;

    (void)state;
    for (p.count = 1; p.count <= 40; p.count++) {
        fo_merkle_root(records, p.count, p.root);
        for (uint32_t i = 0; i < p.count; i++) {
            p.len = fo_merkle_path(records, p.count, i, p.path);
            for (uint32_t j = 0; j < p.count; j++) {
                p.index = i;
                assert_int_equal(proves(&p, j), i == j);
                p.index = j;
                assert_int_equal(proves(&p, i), i == j);
            }
        }
    }
}

/* The longest path there is fills the room that callers give, and not more. */
static void
test_longest_path(void **state)
{
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];

    (void)state;
    assert_int_equal(fo_merkle_path(records, FO_BATCH_EVENTS_MAX, 777, path), FO_MERKLE_PATH_MAX);
    assert_int_equal(fo_merkle_path(records, 17, 16, path), 1);     /* carried up, then beside one node */
    assert_int_equal(fo_merkle_path(records, 257, 256, path), 1);
    assert_int_equal(fo_merkle_path(records, 1, 0, path), 0);
}

static void
test_altered_proof_fails(void **state)
{
    struct proof p = { .index = 77, .count = 200 };

    (void)state;
    fo_merkle_root(records, 200, p.root);
    p.len = fo_merkle_path(records, 200, 77, p.path);
    assert_int_equal(p.len, 15 + 12);
    assert_true(proves(&p, 77));
    for (unsigned len = 0; len <= FO_MERKLE_PATH_MAX + 1; len++)
        assert_int_equal(fo_merkle_proves(records[77], 77, 200, p.path, len, p.root), len == p.len);
    assert_false(fo_merkle_proves(records[77], 77, 100, p.path, p.len, p.root));
    assert_false(fo_merkle_proves(records[77], 200, 200, p.path, p.len, p.root));
    assert_false(fo_merkle_proves(records[77], UINT32_MAX, 200, p.path, p.len, p.root));
    assert_false(fo_merkle_proves(records[77], 77, 0, p.path, p.len, p.root));
    assert_false(fo_merkle_proves(records[77], 77, 257, p.path, p.len, p.root));
    assert_false(fo_merkle_proves(records[77], 77, UINT32_MAX, p.path, p.len, p.root));
    for (unsigned bit = 0; bit < p.len * FO_HASH_BYTES * 8; bit++) {
        p.path[bit / 256][bit / 8 % 32] ^= (uint8_t)(1 << bit % 8);
        assert_false(proves(&p, 77));
        p.path[bit / 256][bit / 8 % 32] ^= (uint8_t)(1 << bit % 8);
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

/* A root's are hashed side by side, a path's end alone: by the same rule. */
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
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_every_path_proves_only_its_record),
        cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_altered_proof_fails),
        cmocka_unit_test(test_inner_node_is_not_a_record),
        cmocka_unit_test(test_records_of_any_length),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
