/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/journal_window.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"

void
fo_span_init(struct fo_span *w)
{
    *w = (struct fo_span){.fd = -1};
}

void
fo_span_fini(struct fo_span *w)
{
    free(w->p);
    fo_span_init(w);
}

void
fo_span_reset(struct fo_span *w, int fd)
{
    w->fd = fd;
    w->n = 0;
}

static enum fo_err
make_room(struct fo_span *w, size_t want)
{
    uint8_t *p;

    if (want <= w->cap)
        return FO_OK;
    p = realloc(w->p, want);
    if (!p)
        return FO_ERR_NO_MEMORY;
    w->p = p;
    w->cap = want;
    return FO_OK;
}

/* Fills from the end of what is there up to `want` bytes, or to the end of the file. */
static enum fo_err
fill(struct fo_span *w, size_t want)
{
    while (w->n < want) {
        ssize_t got = pread(w->fd, w->p + w->n, want - w->n, (off_t)(w->at + w->n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FO_ERR_IO;
        if (got == 0)
            break;
        w->n += (size_t)got;
    }
    return FO_OK;
}

enum fo_err
fo_span_get(struct fo_span *w, uint64_t offset, size_t n, size_t ahead, uint64_t limit, const uint8_t **ret_p)
{
    size_t want = n > ahead ? n : ahead;
    enum fo_err err;

    if (offset > limit || n > limit - offset)
        return FO_ERR_TRUNCATED;
    if (want > limit - offset)
        want = (size_t)(limit - offset);
    if (offset < w->at || offset + n > w->at + w->n) {
        err = make_room(w, want);
        if (err != FO_OK)
            return err;
        if (offset >= w->at && offset < w->at + w->n) {
            size_t skipped = (size_t)(offset - w->at);
            memmove(w->p, w->p + skipped, w->n - skipped);
            w->n -= skipped;
        } else {
            w->n = 0;
        }
        w->at = offset;
        err = fill(w, want);
        if (err != FO_OK)
            return err;
        if (w->n < n)
            return FO_ERR_TRUNCATED;
    }
    *ret_p = w->p + (offset - w->at);
    return FO_OK;
}

enum fo_err
fo_span_header(struct fo_span *w, struct fo_extent extent, uint64_t offset, size_t ahead, uint64_t limit,
    struct fo_record_header *ret_h)
{
    const uint8_t *p;
    struct fo_record_header h;
    enum fo_err err = fo_span_get(w, offset, FO_RECORD_HEADER_BYTES, ahead, limit, &p);

    if (err == FO_ERR_TRUNCATED)
        return FO_ERR_CORRUPT;
    if (err == FO_OK)
        err = fo_record_header_decode(p, extent.salt, extent.base_lsn + offset, &h);
    if (err != FO_OK)
        return err;
    if (fo_record_size(h.length) > limit - offset)
        return FO_ERR_CORRUPT;
    *ret_h = h;
    return FO_OK;
}

enum fo_err
fo_span_body(struct fo_span *w, struct fo_extent extent, uint64_t offset, uint64_t limit, const struct fo_record_header *h,
    struct fo_slice *ret_body)
{
    const uint8_t *p;
    enum fo_err err;

    err = fo_span_get(w, offset, FO_RECORD_HEADER_BYTES + (size_t)h->length, FO_WINDOW_AHEAD_BYTES, limit, &p);
    if (err == FO_ERR_TRUNCATED)
        return FO_ERR_CORRUPT;
    if (err != FO_OK)
        return err;
    p += FO_RECORD_HEADER_BYTES;
    if (fo_crc32c(extent.salt, p, h->length) != h->body_crc)
        return FO_ERR_CORRUPT;
    *ret_body = fo_slice_of(p, h->length);
    return FO_OK;
}

/* First of the n bytes at p, in steps of the alignment, where a header may begin and would be whole; n: none. */
static size_t
first_candidate(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + FO_RECORD_HEADER_BYTES <= n; i += FO_RECORD_ALIGN)
        if (fo_record_may_begin(p + i))
            return i;
    return n;
}

enum fo_err
fo_span_search(struct fo_span *w, struct fo_extent extent, uint64_t from, uint64_t limit, uint64_t *ret_offset)
{
    struct fo_record_header h;
    const uint8_t *p;
    uint64_t offset = from;
    enum fo_err err;

    for (;;) {
        size_t there, candidate;

        err = fo_span_get(w, offset, FO_RECORD_HEADER_BYTES, FO_WINDOW_AHEAD_BYTES, limit, &p);
        if (err != FO_OK)
            return err == FO_ERR_TRUNCATED ? FO_ERR_NOT_FOUND : err;
        there = (size_t)(w->at + w->n - offset);
        candidate = first_candidate(p, there);
        if (candidate == there) {
            /* The last bytes may hold the beginning of a header that the next look sees whole. */
            offset += (there - FO_RECORD_HEADER_BYTES) / FO_RECORD_ALIGN * FO_RECORD_ALIGN + FO_RECORD_ALIGN;
            continue;
        }
        offset += candidate;
        err = fo_span_header(w, extent, offset, FO_WINDOW_AHEAD_BYTES, limit, &h);
        if (err == FO_OK)
            *ret_offset = offset;
        if (err != FO_ERR_CORRUPT)
            return err;
        offset += FO_RECORD_ALIGN;
    }
}
