/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor and the writers. A head is read by one switch over its first byte; a length is compared with the bytes
 * left before it is used for anything. */
#include "wire/msgpack.h"

#include "base/assert.h"

enum { SKIP_DEPTH_MAX = 64 };

static inline uint64_t
load_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* The n-byte big-endian number at the cursor; false when fewer bytes are left. */
static inline bool
take_be(struct fo_reader *r, unsigned n, uint64_t *ret_v)
{
    if (fo_reader_left(r) < n)
        return false;
    *ret_v = load_be(r->p, n);
    r->p += n;
    return true;
}

static inline enum fo_err
take_bytes(struct fo_reader *r, enum fo_mp_kind kind, uint64_t n, struct fo_mp *ret_v)
{
    if (n > fo_reader_left(r))
        return FO_ERR_TRUNCATED;
    ret_v->kind = kind;
    ret_v->s = fo_slice_of(r->p, (size_t)n);
    r->p += n;
    return FO_OK;
}

/* Each element takes a byte at least and each pair two: a larger claim cannot be true. */
static inline enum fo_err
take_count(struct fo_reader *r, enum fo_mp_kind kind, uint64_t count, struct fo_mp *ret_v)
{
    if (count > fo_reader_left(r) / (kind == FO_MP_MAP ? 2 : 1))
        return FO_ERR_TRUNCATED;
    ret_v->kind = kind;
    ret_v->count = (uint32_t)count;
    return FO_OK;
}

static inline enum fo_err
take_number(struct fo_reader *r, uint8_t head, struct fo_mp *ret_v)
{
    uint64_t v;
    unsigned n = 1u << (head & 3);

    if (head <= 0xcb) {                     /* float 32, 64 */
        if (!take_be(r, n = head == 0xca ? 4 : 8, &v))
            return FO_ERR_TRUNCATED;
        ret_v->kind = FO_MP_FLOAT;
        if (n == 4) {
            uint32_t bits = (uint32_t)v;
            float f;
            memcpy(&f, &bits, 4);
            ret_v->f = (double)f;
        } else {
            memcpy(&ret_v->f, &v, 8);
        }
        return FO_OK;
    }
    if (!take_be(r, n, &v))
        return FO_ERR_TRUNCATED;
    ret_v->kind = FO_MP_UINT;
    ret_v->u = v;
    if (head >= 0xd0) {                     /* int: sign-extended */
        int64_t i = (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
        if (i < 0) {
            ret_v->kind = FO_MP_INT;
            ret_v->i = i;
        }
    }
    return FO_OK;
}

static inline enum fo_err
take_ext(struct fo_reader *r, uint64_t n, struct fo_mp *ret_v)
{
    if (n >= fo_reader_left(r))             /* the type byte comes first */
        return FO_ERR_TRUNCATED;
    ret_v->ext_type = (int8_t)*r->p++;
    return take_bytes(r, FO_MP_EXT, n, ret_v);
}

static enum fo_err
read_long(struct fo_reader *r, uint8_t head, struct fo_mp *ret_v)
{
    uint64_t n;
    unsigned len_bytes;

    switch (head) {
    case 0xc0:
        ret_v->kind = FO_MP_NIL;
        return FO_OK;
    case 0xc2: case 0xc3:
        ret_v->kind = FO_MP_BOOL;
        ret_v->boolean = head == 0xc3;
        return FO_OK;
    case 0xca: case 0xcb:
    case 0xcc: case 0xcd: case 0xce: case 0xcf:
    case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        return take_number(r, head, ret_v);
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return take_ext(r, 1u << (head - 0xd4), ret_v);
    case 0xc4: case 0xc5: case 0xc6:
        len_bytes = 1u << (head - 0xc4);
        return take_be(r, len_bytes, &n) ? take_bytes(r, FO_MP_BIN, n, ret_v) : FO_ERR_TRUNCATED;
    case 0xc7: case 0xc8: case 0xc9:
        len_bytes = 1u << (head - 0xc7);
        return take_be(r, len_bytes, &n) ? take_ext(r, n, ret_v) : FO_ERR_TRUNCATED;
    case 0xd9: case 0xda: case 0xdb:
        len_bytes = 1u << (head - 0xd9);
        return take_be(r, len_bytes, &n) ? take_bytes(r, FO_MP_STR, n, ret_v) : FO_ERR_TRUNCATED;
    case 0xdc: case 0xdd:
        len_bytes = 2u << (head - 0xdc);
        return take_be(r, len_bytes, &n) ? take_count(r, FO_MP_ARRAY, n, ret_v) : FO_ERR_TRUNCATED;
    case 0xde: case 0xdf:
        len_bytes = 2u << (head - 0xde);
        return take_be(r, len_bytes, &n) ? take_count(r, FO_MP_MAP, n, ret_v) : FO_ERR_TRUNCATED;
    default:                                /* 0xc1 is never used */
        return FO_ERR_PARSE;
    }
}

static inline enum fo_err
read_head(struct fo_reader *r, struct fo_mp *ret_v)
{
    uint8_t head;

    if (r->p >= r->end)
        return FO_ERR_TRUNCATED;
    head = *r->p++;
    if (head < 0x80) {
        ret_v->kind = FO_MP_UINT;
        ret_v->u = head;
        return FO_OK;
    }
    if (head < 0x90)
        return take_count(r, FO_MP_MAP, head & 0x0f, ret_v);
    if (head < 0xa0)
        return take_count(r, FO_MP_ARRAY, head & 0x0f, ret_v);
    if (head < 0xc0)
        return take_bytes(r, FO_MP_STR, head & 0x1f, ret_v);
    if (head >= 0xe0) {
        ret_v->kind = FO_MP_INT;
        ret_v->i = (int8_t)head;
        return FO_OK;
    }
    return read_long(r, head, ret_v);
}

enum fo_err
fo_mp_read(struct fo_reader *r, struct fo_mp *ret_v)
{
    return read_head(r, ret_v);
}

enum fo_err
fo_mp_skip(struct fo_reader *r, unsigned depth_max)
{
    uint64_t left[SKIP_DEPTH_MAX + 1];
    unsigned depth = 0;

    fo_assert(depth_max <= SKIP_DEPTH_MAX);
    left[0] = 1;
    for (;;) {
        struct fo_mp v;
        enum fo_err err;

        while (left[depth] == 0) {
            if (depth-- == 0)
                return FO_OK;
        }
        left[depth]--;
        if ((err = read_head(r, &v)) != FO_OK)
            return err;
        if (v.kind != FO_MP_ARRAY && v.kind != FO_MP_MAP)
            continue;
        if (depth >= depth_max)
            return FO_ERR_DEPTH;
        left[++depth] = v.kind == FO_MP_MAP ? 2 * (uint64_t)v.count : v.count;
    }
}

static enum fo_err
read_kind(struct fo_reader *r, enum fo_mp_kind kind, struct fo_mp *ret_v)
{
    struct fo_reader start = *r;
    enum fo_err err = read_head(r, ret_v);

    if (err == FO_OK && ret_v->kind != kind) {
        *r = start;
        err = FO_ERR_TYPE;
    }
    return err;
}

enum fo_err
fo_mp_read_uint(struct fo_reader *r, uint64_t *ret_v)
{
    struct fo_mp v;
    enum fo_err err = read_kind(r, FO_MP_UINT, &v);

    if (err == FO_OK)
        *ret_v = v.u;
    return err;
}

enum fo_err
fo_mp_read_int(struct fo_reader *r, int64_t *ret_v)
{
    struct fo_reader start = *r;
    struct fo_mp v;
    enum fo_err err = read_head(r, &v);

    if (err != FO_OK)
        return err;
    if (v.kind == FO_MP_UINT && v.u <= INT64_MAX) {
        *ret_v = (int64_t)v.u;
    } else if (v.kind == FO_MP_INT) {
        *ret_v = v.i;
    } else {
        *r = start;
        return FO_ERR_TYPE;
    }
    return FO_OK;
}

enum fo_err
fo_mp_read_str(struct fo_reader *r, struct fo_slice *ret_s)
{
    struct fo_mp v;
    enum fo_err err;

    if (fo_mp_take_short_str(r, ret_s))
        return FO_OK;
    err = read_kind(r, FO_MP_STR, &v);
    if (err == FO_OK)
        *ret_s = v.s;
    return err;
}

enum fo_err
fo_mp_read_bin(struct fo_reader *r, struct fo_slice *ret_s)
{
    struct fo_mp v;
    enum fo_err err = read_kind(r, FO_MP_BIN, &v);

    if (err == FO_OK)
        *ret_s = v.s;
    return err;
}

enum fo_err
fo_mp_read_array(struct fo_reader *r, uint32_t *ret_count)
{
    struct fo_mp v;
    enum fo_err err = read_kind(r, FO_MP_ARRAY, &v);

    if (err == FO_OK)
        *ret_count = v.count;
    return err;
}

enum fo_err
fo_mp_read_map(struct fo_reader *r, uint32_t *ret_pairs)
{
    struct fo_mp v;
    enum fo_err err = read_kind(r, FO_MP_MAP, &v);

    if (err == FO_OK)
        *ret_pairs = v.count;
    return err;
}

/* Room for n more bytes, which it counts as written; null after an overflow. */
static inline uint8_t *
take_room(struct fo_writer *w, size_t n)
{
    uint8_t *p;

    if (w->overflow || n > w->cap - w->n) {
        w->overflow = true;
        return NULL;
    }
    p = w->p + w->n;
    w->n += n;
    return p;
}

static inline void
write_head(struct fo_writer *w, uint8_t head, uint64_t v, unsigned n)
{
    uint8_t *p = take_room(w, 1 + n);

    if (p != NULL)
        fo_mp_put_head(p, head, v, n);
}

static inline void
write_body(struct fo_writer *w, struct fo_slice s)
{
    uint8_t *p;

    if (s.n > 0 && (p = take_room(w, s.n)) != NULL)
        memcpy(p, s.p, s.n);
}

static inline void
write_built(struct fo_writer *w, const uint8_t *head, const uint8_t *end)
{
    write_body(w, fo_slice_of(head, (size_t)(end - head)));
}

void
fo_mp_write_nil(struct fo_writer *w)
{
    write_head(w, 0xc0, 0, 0);
}

void
fo_mp_write_bool(struct fo_writer *w, bool v)
{
    write_head(w, v ? 0xc3 : 0xc2, 0, 0);
}

void
fo_mp_write_uint(struct fo_writer *w, uint64_t v)
{
    uint8_t head[FO_MP_HEAD_MAX];

    write_built(w, head, fo_mp_put_uint(head, v));
}

void
fo_mp_write_int(struct fo_writer *w, int64_t v)
{
    if (v >= 0)
        fo_mp_write_uint(w, (uint64_t)v);
    else if (v >= -32)
        write_head(w, (uint8_t)v, 0, 0);
    else if (v >= INT8_MIN)
        write_head(w, 0xd0, (uint64_t)v, 1);
    else if (v >= INT16_MIN)
        write_head(w, 0xd1, (uint64_t)v, 2);
    else if (v >= INT32_MIN)
        write_head(w, 0xd2, (uint64_t)v, 4);
    else
        write_head(w, 0xd3, (uint64_t)v, 8);
}

void
fo_mp_write_float(struct fo_writer *w, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, 8);
    write_head(w, 0xcb, bits, 8);
}

void
fo_mp_write_str(struct fo_writer *w, struct fo_slice s)
{
    uint8_t head[FO_MP_HEAD_MAX];

    write_built(w, head, fo_mp_put_str_head(head, s.n));
    write_body(w, s);
}

void
fo_mp_write_bin(struct fo_writer *w, struct fo_slice s)
{
    if (s.n <= UINT8_MAX)
        write_head(w, 0xc4, s.n, 1);
    else if (s.n <= UINT16_MAX)
        write_head(w, 0xc5, s.n, 2);
    else
        write_head(w, 0xc6, s.n, 4);
    write_body(w, s);
}

void
fo_mp_write_array(struct fo_writer *w, uint32_t count)
{
    if (count < 16)
        write_head(w, (uint8_t)(0x90 | count), 0, 0);
    else if (count <= UINT16_MAX)
        write_head(w, 0xdc, count, 2);
    else
        write_head(w, 0xdd, count, 4);
}

void
fo_mp_write_map(struct fo_writer *w, uint32_t pairs)
{
    uint8_t head[FO_MP_HEAD_MAX];

    write_built(w, head, fo_mp_put_map(head, pairs));
}
