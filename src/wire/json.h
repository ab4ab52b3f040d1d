/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON (jansson) to msgpack and back, under the same limits as msgpack itself. */
#pragma once
#include <jansson.h>
#include "base/bytes.h"
#include "base/names.h"
#include "wire/error.h"

/* What stands around a payload: a request's map, its array of events, an event's map, and two more of an answer's. */
enum { FO_JSON_NESTING_MAX = FO_NESTING_MAX + 5 };

/* Parses JSON text: duplicate keys, bad UTF-8, trailing bytes, nesting over FO_JSON_NESTING_MAX, integers
 * beyond 64 bits with sign and NUL in strings are refused
 * with line and column in ret_fault. The result is the caller's (json_decref). */
FO_MUST_CHECK enum fo_err fo_json_parse(struct fo_slice text, json_t **ret_json, struct fo_fault *ret_fault);
/* Appends the value as msgpack (integers as ints, reals as float64). */
FO_MUST_CHECK enum fo_err fo_json_to_msgpack(const json_t *json, struct fo_buf *out);
/* Reads one msgpack value into a new json_t; bin as {"$base64": "..."}, map keys that are ints as their decimal text,
 * ext as {"$ext": type, "$base64": "..."}. */
FO_MUST_CHECK enum fo_err fo_json_from_msgpack(struct fo_reader *r, json_t **ret_json);
/* Bytes as a base64 string (RFC 4648 section 4); null without memory. */
json_t *fo_json_base64(struct fo_slice bytes);
