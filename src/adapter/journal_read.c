/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader walks from header to header. A header has its own checksum, so it can be believed without its body: stepping over an
 * unwanted record costs no more than its header. Where a header is bad, the next good one is searched for. */
#include "adapter/journal_read.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

enum { READERS_MAX = 256 };     /* bounds descriptors and buffers */

struct fo_journal_reader {
    struct fo_segments *segments;
    const struct fo_journal_writer *writer;
    _Atomic unsigned *reader_count;
    uint64_t lsn;               /* of the next record */
    struct fo_segment segment;  /* the one that is open, if fd >= 0 */
    uint64_t file_bytes;
    int fd;
    struct fo_span window;
    bool is_landed;             /* lsn follows from a record; else it was asked for and may be no record's place at all */
    bool is_stepping;           /* the record before was unwanted: reads less ahead */
};

static void
leave_segment(struct fo_journal_reader *r)
{
    if (r->fd >= 0)
        fo_segments_release(r->segments, r->segment.base, r->fd);
    r->fd = -1;
    fo_span_reset(&r->window, -1);
}

enum fo_err
fo_reader_seek(struct fo_journal_reader *r, uint64_t lsn)
{
    struct fo_segment seg;
    enum fo_err err;

    if (lsn % FO_RECORD_ALIGN != 0 || lsn > atomic_load_explicit(&r->writer->end_lsn, memory_order_relaxed))
        return FO_ERR_INVALID;
    err = fo_segments_find(r->segments, lsn, &seg);
    if (err == FO_ERR_CURSOR_GONE && lsn == 0)
        lsn = seg.base;
    else if (err == FO_ERR_CURSOR_GONE)
        return err;
    if (r->fd >= 0 && (lsn < r->segment.base || lsn >= r->segment.end))
        leave_segment(r);
    r->lsn = lsn;
    r->is_landed = r->is_stepping = false;
    return FO_OK;
}

enum fo_err
fo_reader_create(struct fo_segments *s, const struct fo_journal_writer *w, _Atomic unsigned *reader_count, uint64_t lsn,
    struct fo_journal_reader **ret_reader)
{
    struct fo_journal_reader *r;
    enum fo_err err;

    if (atomic_fetch_add(reader_count, 1) >= READERS_MAX) {
        atomic_fetch_sub(reader_count, 1);
        return FO_ERR_FULL;
    }
    r = calloc(1, sizeof *r);
    if (!r) {
        atomic_fetch_sub(reader_count, 1);
        return FO_ERR_NO_MEMORY;
    }
    *r = (struct fo_journal_reader){.segments = s, .writer = w, .reader_count = reader_count, .fd = -1};
    fo_span_init(&r->window);
    err = fo_reader_seek(r, lsn);
    if (err != FO_OK) {
        fo_reader_destroy(r);
        return err;
    }
    *ret_reader = r;
    return FO_OK;
}

void
fo_reader_destroy(struct fo_journal_reader *r)
{
    if (!r)
        return;
    leave_segment(r);
    fo_span_fini(&r->window);
    atomic_fetch_sub(r->reader_count, 1);
    free(r);
}

uint64_t
fo_reader_lsn(const struct fo_journal_reader *r)
{
    return r->lsn;
}

static void
go_to(struct fo_journal_reader *r, uint64_t lsn)
{
    r->lsn = lsn;
    r->is_landed = true;
}

/* Opens the segment that holds r->lsn and steps over its header. FO_ERR_CORRUPT: that segment's file is missing, r is at the next. */
static enum fo_err
enter_segment(struct fo_journal_reader *r)
{
    struct stat st;
    enum fo_err err;

    if (r->fd < 0 || r->lsn < r->segment.base || r->lsn >= r->segment.end) {
        leave_segment(r);
        err = fo_segments_find(r->segments, r->lsn, &r->segment);
        if (err == FO_ERR_CORRUPT) {
            fo_segments_damaged(r->segments, r->lsn, r->lsn, r->segment.base - r->lsn, "segment missing");
            go_to(r, r->segment.base);
        }
        if (err != FO_OK)
            return err;
        err = fo_segments_hold(r->segments, r->segment.base, &r->fd);
        if (err != FO_OK)
            return err;
        if (fstat(r->fd, &st) != 0) {
            leave_segment(r);
            return FO_ERR_IO;
        }
        r->file_bytes = (uint64_t)st.st_size;
        fo_span_reset(&r->window, r->fd);
    }
    if (r->lsn < r->segment.base + FO_SEGMENT_HEADER_BYTES)
        r->lsn = r->segment.base + FO_SEGMENT_HEADER_BYTES;
    return FO_OK;
}

/* Up to where in the open file records may be read. */
static uint64_t
limit_of(const struct fo_journal_reader *r, uint64_t durable_lsn)
{
    uint64_t limit = (durable_lsn < r->segment.end ? durable_lsn : r->segment.end) - r->segment.base;

    return limit < r->file_bytes ? limit : r->file_bytes;
}

/* No good header at r->lsn: to the next one, else to the end of what is durable here. */
static enum fo_err
search_on(struct fo_journal_reader *r, struct fo_extent extent, uint64_t durable_lsn, struct fo_record *ret_rec)
{
    uint64_t from = r->lsn, offset = from - r->segment.base, next;
    enum fo_err err = fo_span_search(&r->window, extent, offset + FO_RECORD_ALIGN, limit_of(r, durable_lsn), &next);

    if (err == FO_ERR_NOT_FOUND)
        next = (durable_lsn < r->segment.end ? durable_lsn : r->segment.end) - r->segment.base;
    else if (err != FO_OK)
        return err;
    /* A place that was only asked for may be no record's at all: then nothing is damaged. */
    if (r->is_landed)
        fo_segments_damaged(r->segments, r->segment.base, from, r->segment.base + next - from, "record header");
    go_to(r, r->segment.base + next);
    *ret_rec = (struct fo_record){.lsn = from, .next_lsn = r->lsn};
    return FO_ERR_CORRUPT;
}

static bool
is_wanted(const struct fo_record_header *h, unsigned lane_mask, unsigned type_mask)
{
    bool has_lane = h->type == FO_RECORD_OWN || h->type == FO_RECORD_RECEIVED;

    return (type_mask >> h->type & 1) && (!has_lane || (lane_mask >> h->lane & 1));
}

static enum fo_err
take(struct fo_journal_reader *r, struct fo_extent extent, const struct fo_record_header *h, uint64_t limit, struct fo_record *ret_rec)
{
    uint64_t lsn = r->lsn;
    struct fo_slice body = {0};
    enum fo_err err = fo_span_body(&r->window, extent, lsn - r->segment.base, limit, h, &body);

    if (err == FO_ERR_CORRUPT)
        fo_segments_damaged(r->segments, r->segment.base, lsn, fo_record_size(h->length), "record body");
    else if (err != FO_OK)
        return err;
    go_to(r, lsn + fo_record_size(h->length));
    *ret_rec = (struct fo_record){.lsn = lsn, .next_lsn = r->lsn, .type = (enum fo_record_type)h->type, .lane = h->lane, .count = h->count,
        .at = {h->at_us}, .body = body};
    return err;
}

enum fo_err
fo_reader_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    for (;;) {
        uint64_t durable_lsn = atomic_load_explicit(&r->writer->durable_lsn, memory_order_acquire);
        struct fo_record_header h;
        struct fo_extent extent;
        uint64_t from = r->lsn, limit;
        enum fo_err err;

        if (r->lsn >= durable_lsn)
            return FO_ERR_NOT_FOUND;
        err = enter_segment(r);
        if (err == FO_ERR_CORRUPT)
            *ret_rec = (struct fo_record){.lsn = from, .next_lsn = r->lsn};
        if (err != FO_OK)
            return err;
        if (r->lsn >= durable_lsn)
            return FO_ERR_NOT_FOUND;
        extent = fo_segments_extent(r->segments, r->segment.base);
        limit = limit_of(r, durable_lsn);
        err = fo_span_header(&r->window, extent, r->lsn - r->segment.base, r->is_stepping ? FO_WINDOW_PEEK_BYTES : FO_WINDOW_AHEAD_BYTES,
            limit, &h);
        if (err == FO_ERR_CORRUPT)
            return search_on(r, extent, durable_lsn, ret_rec);
        if (err != FO_OK)
            return err;
        if (h.type == FO_RECORD_END) {
            go_to(r, r->segment.end);
            continue;
        }
        r->is_stepping = !is_wanted(&h, lane_mask, type_mask);
        if (!r->is_stepping)
            return take(r, extent, &h, limit, ret_rec);
        go_to(r, r->lsn + fo_record_size(h.length));
    }
}
