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

/* Text of less than 256 bytes, as most is; false, and nothing is read: it is not that. By way of a struct fo_mp its slice would be stored in
 * halves and loaded as a whole right after, for which the CPU waits until both halves have left its store buffer. */
static inline bool
fo_mp_take_short_str(struct fo_reader *r, struct fo_slice *ret_s)
{
    const uint8_t *p = r->p;
    size_t left = fo_reader_left(r), n;

    if (left < 2)
        return false;
    left -= 2;
    if (*p == 0xd9) {
        n = p[1];
        p += 2;
    } else if ((*p & 0xe0) == 0xa0) {
        n = *p & 0x1f;
        p++;
        left++;
    } else {
        return false;
    }
    if (n > left)
        return false;
    ret_s->p = p;
    ret_s->n = n;
    r->p = p + n;
    return true;
}

/* Into memory with room for them, shortest form; each returns the place behind what it wrote. */
enum { FO_MP_HEAD_MAX = 9 };    /* bytes of a head, and of any number */

static inline uint8_t *
fo_mp_put_head(uint8_t *p, uint8_t head, uint64_t v, unsigned n)    /* and the low n bytes of v */
{
    *p = head;
    for (unsigned i = n; i > 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
    return p + 1 + n;
}

static inline uint8_t *
fo_mp_put_uint(uint8_t *p, uint64_t v)
{
    if (v < 0x80)
        return fo_mp_put_head(p, (uint8_t)v, 0, 0);
    if (v <= UINT8_MAX)
        return fo_mp_put_head(p, 0xcc, v, 1);
    if (v <= UINT16_MAX)
        return fo_mp_put_head(p, 0xcd, v, 2);
    if (v <= UINT32_MAX)
        return fo_mp_put_head(p, 0xce, v, 4);
    return fo_mp_put_head(p, 0xcf, v, 8);
}

static inline uint8_t *
fo_mp_put_str_head(uint8_t *p, size_t n)
{
    if (n < 32)
        return fo_mp_put_head(p, (uint8_t)(0xa0 | n), 0, 0);
    if (n <= UINT8_MAX)
        return fo_mp_put_head(p, 0xd9, n, 1);
    if (n <= UINT16_MAX)
        return fo_mp_put_head(p, 0xda, n, 2);
    return fo_mp_put_head(p, 0xdb, n, 4);
}

static inline uint8_t *
fo_mp_put_map(uint8_t *p, uint32_t pairs)
{
    if (pairs < 16)
        return fo_mp_put_head(p, (uint8_t)(0x80 | pairs), 0, 0);
    return pairs <= UINT16_MAX ? fo_mp_put_head(p, 0xde, pairs, 2) : fo_mp_put_head(p, 0xdf, pairs, 4);
}

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
