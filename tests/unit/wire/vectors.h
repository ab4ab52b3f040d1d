/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden vectors (proto/vectors) for the tests of the wire layer. */
#pragma once
#include <jansson.h>

#include "base/bytes.h"
#include "wire/keys.h"

/* The whole of proto/vectors/PATH; the test fails when it is missing or not JSON. New reference. */
json_t *vector_load(const char *path);
/* Calls check for every file of proto/vectors/FOLDER whose name begins with `prefix`; prints the vector's name before a failure
 * inside would stop the test. At least count_min must be there, so that a moved folder is not a passed test. */
void vector_each(const char *folder, const char *prefix, unsigned count_min, void (*check)(json_t *vector));
/* Hex text as bytes; freed by the caller with free(). */
uint8_t *vector_bytes(const json_t *hex, size_t *ret_n);
bool vector_hex_is(const json_t *hex, struct fo_slice bytes);
/* The ring of keys.json's known keys, and the pair of one region. */
void vector_keys(struct fo_key_ring *ret_ring);
void vector_key_pair(const char *region, struct fo_key_pair *ret_pair);
