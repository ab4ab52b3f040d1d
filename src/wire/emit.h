/* SPDX-License-Identifier: Apache-2.0
 *
 * One way of writing an answer in either encoding. Counts are given at the opening, as msgpack needs them; commas are
 * JSON's affair and kept here. The first error stays and later calls do nothing, so one look at the end is enough.
 * Strings written must be valid UTF-8. Private to wire. */
#pragma once
#include "wire/door.h"

struct fo_emit { enum fo_encoding enc; struct fo_buf *out; enum fo_err err; bool needs_comma; };

static inline struct fo_emit fo_emit_of(enum fo_encoding enc, struct fo_buf *out) { return (struct fo_emit){ enc, out, FO_OK, false }; }

void fo_emit_map(struct fo_emit *e, uint32_t pairs);
void fo_emit_map_end(struct fo_emit *e);
void fo_emit_array(struct fo_emit *e, uint32_t count);
void fo_emit_array_end(struct fo_emit *e);
/* key: ASCII that JSON need not escape. */
void fo_emit_key(struct fo_emit *e, const char *key);
/* The same for any string. */
void fo_emit_name(struct fo_emit *e, struct fo_slice name);
void fo_emit_str(struct fo_emit *e, struct fo_slice s);
void fo_emit_cstr(struct fo_emit *e, const char *s);
void fo_emit_uint(struct fo_emit *e, uint64_t v);
void fo_emit_int(struct fo_emit *e, int64_t v);
/* JSON: 17 significant digits at most, always with a point or exponent, whatever the application's locale. v is finite. */
void fo_emit_float(struct fo_emit *e, double v);
/* Makes of what printf wrote of a finite number, with the locale's decimal point, the same as JSON has it. In place; text has room for
 * two bytes more. Returns the length. */
size_t fo_json_float(char *text);
void fo_emit_bool(struct fo_emit *e, bool v);
void fo_emit_nil(struct fo_emit *e);
/* Microseconds as milliseconds with up to three decimals. */
void fo_emit_ms(struct fo_emit *e, int64_t us);
/* bytes: one whole value in the encoding at hand. */
void fo_emit_raw(struct fo_emit *e, struct fo_slice bytes);
