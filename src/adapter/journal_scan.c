/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/journal_scan.h"

#include <string.h>

#include "ports/journal.h"

enum { SECTOR_BYTES = 512 };

struct scanner {
    struct fo_span w;
    struct fo_extent extent;
    uint64_t limit;
    struct fo_scan now;
    bool has_hole;              /* in what may be the last group; `before_hole` is how things stood before it */
    struct fo_scan before_hole;
};

static bool
is_all_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* A write that power cut short leaves whole sectors as they were, and they were zeros. The first sector may be shared with an older
 * record: then what was to come behind that one is zero, where a record that was written begins with its magic number. */
static enum fo_err
looks_unwritten(struct scanner *sc, uint64_t from, uint64_t to, bool *ret_is)
{
    uint64_t sector = (from + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    uint64_t head_end = sector > from && sector < to ? sector : to;
    size_t head = head_end - from < FO_RECORD_HEADER_BYTES ? (size_t)(head_end - from) : FO_RECORD_HEADER_BYTES;
    const uint8_t *p;
    enum fo_err err = fo_span_get(&sc->w, from, head, FO_WINDOW_AHEAD_BYTES, sc->limit, &p);

    if (err != FO_OK)
        return err;
    *ret_is = is_all_zero(p, head);
    for (; !*ret_is && sector + SECTOR_BYTES <= to; sector += SECTOR_BYTES) {
        err = fo_span_get(&sc->w, sector, SECTOR_BYTES, FO_WINDOW_AHEAD_BYTES, sc->limit, &p);
        if (err != FO_OK)
            return err;
        *ret_is = is_all_zero(p, SECTOR_BYTES);
    }
    return FO_OK;
}

/* The place [from, to) is bad and a good record follows. */
static enum fo_err
step_over(struct scanner *sc, uint64_t from, uint64_t to)
{
    bool is_unwritten;
    enum fo_err err = looks_unwritten(sc, from, to, &is_unwritten);

    if (err != FO_OK)
        return err;
    if (is_unwritten && !sc->has_hole) {
        sc->has_hole = true;
        sc->before_hole = sc->now;
    }
    if (sc->now.damage_count < FO_SCAN_DAMAGE_MAX)
        sc->now.damage[sc->now.damage_count] = (struct fo_scan_damage){from, to - from};
    sc->now.damage_count++;
    return FO_OK;
}

static void
accept(struct scanner *sc, uint64_t offset, const struct fo_record_header *h)
{
    if (sc->has_hole && h->group_lsn > sc->extent.base_lsn + sc->before_hole.end)
        sc->has_hole = false;           /* its group was committed after the hole's, so the hole was durable */
    if (h->type == FO_RECORD_CHECKPOINT)
        sc->now.checkpoint = offset;
    sc->now.is_closed = h->type == FO_RECORD_END;
    sc->now.last_group_lsn = h->group_lsn;
    sc->now.end = offset + fo_record_size(h->length);
    sc->now.records++;
}

/* The next good record at or after offset; FO_ERR_NOT_FOUND. */
static enum fo_err
next_good(struct scanner *sc, uint64_t offset, uint64_t *ret_offset, struct fo_record_header *ret_h)
{
    struct fo_slice body;
    enum fo_err err;

    for (;;) {
        err = fo_span_search(&sc->w, sc->extent, offset, sc->limit, &offset);
        if (err == FO_OK)
            err = fo_span_header(&sc->w, sc->extent, offset, FO_WINDOW_AHEAD_BYTES, sc->limit, ret_h);
        if (err != FO_OK)
            return err;
        err = fo_span_body(&sc->w, sc->extent, offset, sc->limit, ret_h, &body);
        if (err != FO_ERR_CORRUPT) {
            *ret_offset = offset;
            return err;
        }
        offset += fo_record_size(ret_h->length);    /* a good header says where its record ends, whatever became of the body */
    }
}

enum fo_err
fo_segment_scan(int fd, struct fo_extent extent, uint64_t limit, struct fo_scan *ret_scan)
{
    struct scanner sc = {.extent = extent, .limit = limit, .now = {.end = FO_SEGMENT_HEADER_BYTES}};
    enum fo_err err = FO_OK;

    fo_span_init(&sc.w);
    fo_span_reset(&sc.w, fd);
    while (err == FO_OK && !sc.now.is_closed) {
        struct fo_record_header h;
        uint64_t good;

        err = next_good(&sc, sc.now.end, &good, &h);
        if (err == FO_OK && good > sc.now.end)
            err = step_over(&sc, sc.now.end, good);
        if (err == FO_OK)
            accept(&sc, good, &h);
    }
    fo_span_fini(&sc.w);
    if (err != FO_OK && err != FO_ERR_NOT_FOUND)
        return err;
    if (sc.has_hole) {
        sc.before_hole.records_cut = sc.now.records - sc.before_hole.records;
        sc.now = sc.before_hole;
    }
    *ret_scan = sc.now;
    return FO_OK;
}
