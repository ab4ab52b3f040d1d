/* SPDX-License-Identifier: Apache-2.0
 *
 * A sliding buffer over one segment file, and the search for the next record in it. One thread each. */
#pragma once
#include "adapter/journal_format.h"

enum { FO_WINDOW_AHEAD_BYTES = 65536, FO_WINDOW_PEEK_BYTES = 4096 };

struct fo_span {
    int fd;                     /* borrowed */
    uint64_t at;                /* offset in the file of p[0] */
    size_t n, cap;
    uint8_t *p;
};

void fo_span_init(struct fo_span *w);
void fo_span_fini(struct fo_span *w);
/* Turns to another file; keeps the memory. */
void fo_span_reset(struct fo_span *w, int fd);
/* The n bytes at offset; valid until the next call. Reads `ahead` bytes when it has to read, but never past limit.
 * FO_ERR_TRUNCATED: the file or limit ends before; FO_ERR_IO; FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_span_get(struct fo_span *w, uint64_t offset, size_t n, size_t ahead, uint64_t limit,
    const uint8_t **ret_p);

/* A segment as a searcher needs it. */
struct fo_extent { uint64_t base_lsn; uint32_t salt; };
/* The header at offset, of a record that ends at or before limit. FO_ERR_CORRUPT: none there; else as above. */
FO_MUST_CHECK enum fo_err fo_span_header(struct fo_span *w, struct fo_extent extent, uint64_t offset, size_t ahead, uint64_t limit,
    struct fo_record_header *ret_h);
/* The whole record, its body verified. FO_ERR_CORRUPT: the body is damaged. */
FO_MUST_CHECK enum fo_err fo_span_body(struct fo_span *w, struct fo_extent extent, uint64_t offset, uint64_t limit,
    const struct fo_record_header *h, struct fo_slice *ret_body);
/* Offset of the first good header at or after `from`. FO_ERR_NOT_FOUND: none before limit. */
FO_MUST_CHECK enum fo_err fo_span_search(struct fo_span *w, struct fo_extent extent, uint64_t from, uint64_t limit, uint64_t *ret_offset);
