/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded cursor over msgpack bytes (https://github.com/msgpack/msgpack/blob/master/spec.md).
 * It walks and checks; it builds no objects and allocates nothing, so that a claimed length costs nothing. */
#pragma once
#include "base/bytes.h"

enum fo_mp_kind { FO_MP_NIL, FO_MP_BOOL, FO_MP_UINT, FO_MP_INT, FO_MP_FLOAT, FO_MP_STR, FO_MP_BIN, FO_MP_ARRAY, FO_MP_MAP, FO_MP_EXT };

struct fo_mp {                  /* one element, without its children */
    enum fo_mp_kind kind;
    union {
        bool boolean;
        uint64_t u;             /* UINT: not negative */
        int64_t i;              /* INT: negative */
        double f;
        struct fo_slice s;      /* STR, BIN, EXT */
        uint32_t count;         /* ARRAY: elements; MAP: pairs; never more than the bytes left could hold */
    };
    int8_t ext_type;
};

/* Reads the next element's head (for STR, BIN, EXT its bytes too). FO_ERR_TRUNCATED, FO_ERR_PARSE (0xc1). */
FO_MUST_CHECK enum fo_err fo_mp_read(struct fo_reader *r, struct fo_mp *ret_v);
/* Steps over one whole value. FO_ERR_DEPTH when nested deeper than depth_max. */
FO_MUST_CHECK enum fo_err fo_mp_skip(struct fo_reader *r, unsigned depth_max);
/* Steps over one value and checks it wholly, so that JSON can say it too: nesting, lengths, UTF-8 without NUL in every string, map keys
 * that are strings, none twice (FO_ERR_DUPLICATE_KEY) and at most FO_MP_MAP_KEYS_MAX (FO_ERR_TOO_LARGE),
 * integers up to INT64_MAX, no NaN nor infinity. */
FO_MUST_CHECK enum fo_err fo_mp_check(struct fo_reader *r, unsigned depth_max);
enum { FO_MP_MAP_KEYS_MAX = 4096 };
FO_MUST_CHECK enum fo_err fo_mp_read_uint(struct fo_reader *r, uint64_t *ret_v);
FO_MUST_CHECK enum fo_err fo_mp_read_int(struct fo_reader *r, int64_t *ret_v);
FO_MUST_CHECK enum fo_err fo_mp_read_str(struct fo_reader *r, struct fo_slice *ret_s);   /* FO_ERR_TYPE unless STR */
FO_MUST_CHECK enum fo_err fo_mp_read_bin(struct fo_reader *r, struct fo_slice *ret_s);
FO_MUST_CHECK enum fo_err fo_mp_read_array(struct fo_reader *r, uint32_t *ret_count);
FO_MUST_CHECK enum fo_err fo_mp_read_map(struct fo_reader *r, uint32_t *ret_pairs);

/* Writers, shortest form. */
void fo_mp_write_nil(struct fo_writer *w);
void fo_mp_write_bool(struct fo_writer *w, bool v);
void fo_mp_write_uint(struct fo_writer *w, uint64_t v);
void fo_mp_write_int(struct fo_writer *w, int64_t v);
void fo_mp_write_float(struct fo_writer *w, double v);      /* float64 */
void fo_mp_write_str(struct fo_writer *w, struct fo_slice s);
void fo_mp_write_bin(struct fo_writer *w, struct fo_slice s);
void fo_mp_write_array(struct fo_writer *w, uint32_t count);
void fo_mp_write_map(struct fo_writer *w, uint32_t pairs);
