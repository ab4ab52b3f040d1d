/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers, writers and growing buffers over bytes; see bytes.h. */
#include "base/bytes.h"

#include <stdlib.h>

enum { BUF_BYTES_MIN = 256 };

static enum fo_err
read_be(struct fo_reader *r, size_t n, uint64_t *ret_v)
{
    uint64_t v = 0;

    if (fo_reader_left(r) < n)
        return FO_ERR_TRUNCATED;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | r->p[i];
    r->p += n;
    *ret_v = v;
    return FO_OK;
}

enum fo_err
fo_read_u8(struct fo_reader *r, uint8_t *ret_v)
{
    uint64_t v;
    enum fo_err err = read_be(r, sizeof *ret_v, &v);

    if (err == FO_OK)
        *ret_v = (uint8_t)v;
    return err;
}

enum fo_err
fo_read_u16(struct fo_reader *r, uint16_t *ret_v)
{
    uint64_t v;
    enum fo_err err = read_be(r, sizeof *ret_v, &v);

    if (err == FO_OK)
        *ret_v = (uint16_t)v;
    return err;
}

enum fo_err
fo_read_u32(struct fo_reader *r, uint32_t *ret_v)
{
    uint64_t v;
    enum fo_err err = read_be(r, sizeof *ret_v, &v);

    if (err == FO_OK)
        *ret_v = (uint32_t)v;
    return err;
}

enum fo_err
fo_read_u64(struct fo_reader *r, uint64_t *ret_v)
{
    return read_be(r, sizeof *ret_v, ret_v);
}

enum fo_err
fo_read_slice(struct fo_reader *r, size_t n, struct fo_slice *ret_s)
{
    if (fo_reader_left(r) < n)
        return FO_ERR_TRUNCATED;
    *ret_s = fo_slice_of(r->p, n);
    r->p += n;
    return FO_OK;
}

static void
write_be(struct fo_writer *w, size_t n, uint64_t v)
{
    uint8_t be[8];

    for (size_t i = 0; i < n; i++)
        be[i] = (uint8_t)(v >> 8 * (n - 1 - i));
    fo_write_bytes(w, be, n);
}

void
fo_write_u8(struct fo_writer *w, uint8_t v)
{
    write_be(w, sizeof v, v);
}

void
fo_write_u16(struct fo_writer *w, uint16_t v)
{
    write_be(w, sizeof v, v);
}

void
fo_write_u32(struct fo_writer *w, uint32_t v)
{
    write_be(w, sizeof v, v);
}

void
fo_write_u64(struct fo_writer *w, uint64_t v)
{
    write_be(w, sizeof v, v);
}

void
fo_write_bytes(struct fo_writer *w, const void *p, size_t n)
{
    if (w->overflow || n > w->cap - w->n) {
        w->overflow = true;
        return;
    }
    if (n > 0)          /* memcpy may not be given null, even for nothing */
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

void
fo_buf_init(struct fo_buf *b)
{
    *b = (struct fo_buf){0};
}

void
fo_buf_fini(struct fo_buf *b)
{
    free(b->p);
    fo_buf_init(b);
}

enum fo_err
fo_buf_reserve(struct fo_buf *b, size_t more)
{
    size_t cap = b->cap > 0 ? b->cap : more > BUF_BYTES_MIN ? more : BUF_BYTES_MIN;
    uint8_t *p;

    if (more <= b->cap - b->n)
        return FO_OK;
    if (more > SIZE_MAX / 2 - b->n)     /* also keeps the doubling below from wrapping */
        return FO_ERR_NO_MEMORY;
    while (cap - b->n < more)
        cap *= 2;
    p = realloc(b->p, cap);
    if (!p)
        return FO_ERR_NO_MEMORY;
    b->p = p;
    b->cap = cap;
    return FO_OK;
}

void
fo_buf_fit(struct fo_buf *b)
{
    size_t cap = b->n < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->n;
    uint8_t *p;

    if (b->cap / 2 <= cap)
        return;
    p = realloc(b->p, cap);
    if (!p)
        return;                         /* it stays as it is */
    b->p = p;
    b->cap = cap;
}

enum fo_err
fo_buf_add(struct fo_buf *b, const void *p, size_t n)
{
    enum fo_err err = fo_buf_reserve(b, n);

    if (err != FO_OK)
        return err;
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return FO_OK;
}
