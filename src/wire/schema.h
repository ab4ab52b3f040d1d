/* SPDX-License-Identifier: Apache-2.0
 *
 * Event types: default lane, and the payload's JSON Schema if there is one. The subset of JSON Schema that
 * is supported stands in proto/WIRE.md; a keyword outside it is refused with its place when the schema is loaded.
 * Immutable after loading, so any thread may check against it. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "wire/error.h"

struct fo_schema_set;

FO_MUST_CHECK enum fo_err fo_schema_set_create(struct fo_schema_set **ret_set);
void fo_schema_set_destroy(struct fo_schema_set *set);
/* Registers a type. schema_text: JSON Schema, or n 0 for any payload. FO_ERR_EXISTS, FO_ERR_SCHEMA with ret_fault naming
 * the JSON pointer of what is not supported. */
FO_MUST_CHECK enum fo_err fo_schema_set_add(struct fo_schema_set *set, const char *type, enum fo_lane lane,
    struct fo_slice schema_text, struct fo_fault *ret_fault);
/* The four built-in types with their schemas (compiled in from proto/schemas) and "custom" (normal lane, any payload). */
FO_MUST_CHECK enum fo_err fo_schema_set_add_builtin(struct fo_schema_set *set, struct fo_fault *ret_fault);
/* FO_ERR_UNKNOWN_TYPE. ret_type_index: 0.. in order of registration. */
FO_MUST_CHECK enum fo_err fo_schema_set_find(const struct fo_schema_set *set, struct fo_slice type, unsigned *ret_type_index, enum fo_lane *ret_lane);
/* Checks one msgpack value (n 0: absent) against the type's schema; also its msgpack well-formedness (fo_mp_check). FO_ERR_SCHEMA with the field's path. */
FO_MUST_CHECK enum fo_err fo_schema_check(const struct fo_schema_set *set, unsigned type_index, struct fo_slice data, struct fo_fault *ret_fault);
/* Null behind the last one. */
const char *fo_schema_type_name(const struct fo_schema_set *set, unsigned type_index);
