/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded views, readers and writers of bytes. Multi-byte integers are big-endian.
 * A reader never passes its end; a writer that runs out of room sets `overflow` and
 * writes nothing more, so one check at the end is enough. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct fo_slice { const uint8_t *p; size_t n; };          /* borrowed bytes */
#define FO_SLICE_LIT(s) ((struct fo_slice){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct fo_slice fo_slice_of(const void *p, size_t n) { return (struct fo_slice){ p, n }; }
static inline struct fo_slice fo_slice_str(const char *s) { return (struct fo_slice){ (const uint8_t *)s, strlen(s) }; }
static inline bool fo_slice_is_equal(struct fo_slice a, struct fo_slice b)
{ return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

struct fo_reader { const uint8_t *p, *end; };
static inline struct fo_reader fo_reader_of(struct fo_slice s) { return (struct fo_reader){ s.p, s.p + s.n }; }
static inline size_t fo_reader_left(const struct fo_reader *r) { return (size_t)(r->end - r->p); }
/* Each: FO_ERR_TRUNCATED when fewer bytes are left; the reader is then unchanged. */
FO_MUST_CHECK enum fo_err fo_read_u8(struct fo_reader *r, uint8_t *ret_v);
FO_MUST_CHECK enum fo_err fo_read_u16(struct fo_reader *r, uint16_t *ret_v);
FO_MUST_CHECK enum fo_err fo_read_u32(struct fo_reader *r, uint32_t *ret_v);
FO_MUST_CHECK enum fo_err fo_read_u64(struct fo_reader *r, uint64_t *ret_v);
FO_MUST_CHECK enum fo_err fo_read_slice(struct fo_reader *r, size_t n, struct fo_slice *ret_s);

struct fo_writer { uint8_t *p; size_t n, cap; bool overflow; };   /* over caller's memory */
static inline struct fo_writer fo_writer_of(void *p, size_t cap) { return (struct fo_writer){ p, 0, cap, false }; }
void fo_write_u8(struct fo_writer *w, uint8_t v);
void fo_write_u16(struct fo_writer *w, uint16_t v);
void fo_write_u32(struct fo_writer *w, uint32_t v);
void fo_write_u64(struct fo_writer *w, uint64_t v);
void fo_write_bytes(struct fo_writer *w, const void *p, size_t n);

/* A hint that n bytes at p, as far as they lie before end, will be read soon. For walks whose next step stands in the bytes themselves:
 * data that another thread's core has just written is far away. */
static inline void fo_prefetch(const uint8_t *p, size_t n, const uint8_t *end)
{
    for (size_t i = 0; i < n && i < 512; i += 64)
        if ((uintptr_t)p + i < (uintptr_t)end)
            __builtin_prefetch(p + i);
}

/* Growing buffer for cold paths and for pools that keep their capacity. */
struct fo_buf { uint8_t *p; size_t n, cap; };
void fo_buf_init(struct fo_buf *b);                        /* empty, no memory yet */
void fo_buf_fini(struct fo_buf *b);
/* Makes room for `more` bytes after n; in an empty one without memory, for no more than that. FO_ERR_NO_MEMORY; the buffer is then unchanged. */
FO_MUST_CHECK enum fo_err fo_buf_reserve(struct fo_buf *b, size_t more);
/* Gives back the room that is not used, if it is much. */
void fo_buf_fit(struct fo_buf *b);
FO_MUST_CHECK enum fo_err fo_buf_add(struct fo_buf *b, const void *p, size_t n);
static inline struct fo_slice fo_buf_slice(const struct fo_buf *b) { return (struct fo_slice){ b->p, b->n }; }
