/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

json_t *
vector_load(const char *path)
{
    char full[PATH_MAX];
    json_error_t error;
    json_t *json;

    snprintf(full, sizeof full, "%s/%s", FO_VECTORS_DIR, path);
    json = json_load_file(full, 0, &error);
    if (json == NULL)
        fail_msg("%s:%d: %s", full, error.line, error.text);
    return json;
}

void
vector_each(const char *folder, const char *prefix, unsigned count_min, void (*check)(json_t *vector))
{
    char path[512];
    struct dirent **entries;
    unsigned seen = 0;
    int count;

    snprintf(path, sizeof path, "%s/%s", FO_VECTORS_DIR, folder);
    count = scandir(path, &entries, NULL, alphasort);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        if (strncmp(entries[i]->d_name, prefix, strlen(prefix)) == 0) {
            json_t *vector;

            snprintf(path, sizeof path, "%s/%.200s", folder, entries[i]->d_name);
            vector = vector_load(path);
            printf("# %s\n", path);
            check(vector);
            json_decref(vector);
            seen++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(seen >= count_min);
}

uint8_t *
vector_bytes(const json_t *hex, size_t *ret_n)
{
    size_t digits = json_string_length(hex), n = 0;
    uint8_t *bytes = malloc(digits / 2 + 1);

    assert_non_null(bytes);
    assert_int_equal(sodium_hex2bin(bytes, digits / 2, json_string_value(hex), digits, NULL, &n, NULL), 0);
    assert_int_equal(n * 2, digits);
    *ret_n = n;
    return bytes;
}

bool
vector_hex_is(const json_t *hex, struct fo_slice bytes)
{
    size_t n;
    uint8_t *expected = vector_bytes(hex, &n);
    bool is_equal = fo_slice_is_equal(bytes, fo_slice_of(expected, n));

    free(expected);
    return is_equal;
}

void
vector_keys(struct fo_key_ring *ret_ring)
{
    json_t *keys = vector_load("keys.json"), *line;
    struct fo_public_key key;
    struct fo_fault fault;
    size_t i;

    memset(ret_ring, 0, sizeof *ret_ring);
    json_array_foreach(json_object_get(keys, "known"), i, line) {
        assert_int_equal(fo_public_key_parse(fo_slice_str(json_string_value(line)), &key, &fault), FO_OK);
        assert_int_equal(fo_key_ring_add(ret_ring, &key), FO_OK);
    }
    json_decref(keys);
}

void
vector_key_pair(const char *region, struct fo_key_pair *ret_pair)
{
    json_t *keys = vector_load("keys.json"), *line;
    struct fo_fault fault;
    size_t i;

    json_array_foreach(json_object_get(keys, "secret"), i, line) {
        assert_int_equal(fo_key_pair_parse(fo_slice_str(json_string_value(line)), ret_pair, &fault), FO_OK);
        if (strcmp(ret_pair->public_half.region, region) == 0)
            break;
        fo_key_pair_fini(ret_pair);
    }
    json_decref(keys);
    assert_non_null(ret_pair->secret);
}
