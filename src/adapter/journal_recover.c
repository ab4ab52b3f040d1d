/* SPDX-License-Identifier: Apache-2.0
 *
 * Only the last segment that holds records is read wholly; older ones are believed until a reader finds otherwise. Segments
 * behind it are spares that were made ahead of need: nothing in them was ever durable, so they are deleted. */
#include "adapter/journal_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "adapter/journal_scan.h"
#include "ports/log.h"

enum { CHUNK_BYTES = 65536 };

struct found { uint64_t base, file_bytes, capacity; };   /* capacity 0: its header is damaged */

struct listing { int dir_fd; struct found *at; unsigned count, cap; };

static int
by_base(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return (x->base > y->base) - (x->base < y->base);
}

static enum fo_err
listing_add(struct listing *l, uint64_t base)
{
    if (l->count == l->cap) {
        unsigned cap = l->cap ? 2 * l->cap : 64;
        struct found *at = realloc(l->at, cap * sizeof *at);
        if (!at)
            return FO_ERR_NO_MEMORY;
        l->at = at;
        l->cap = cap;
    }
    l->at[l->count++] = (struct found){.base = base};
    return FO_OK;
}

/* Calls found for each entry of the directory. */
static enum fo_err
for_each_name(int dir_fd, enum fo_err (*found)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    enum fo_err err = FO_OK;
    struct dirent *entry;

    if (!stream) {
        err = fo_errno_err(errno);
        if (fd >= 0)
            close(fd);
        return err;
    }
    while (err == FO_OK && (entry = readdir(stream)))
        err = found(ctx, entry->d_name);
    closedir(stream);
    return err;
}

static enum fo_err
note_segment(void *ctx, const char *name)
{
    uint64_t base;

    if (fo_segment_name_parse(name, &base))
        *(bool *)ctx = true;
    return FO_OK;
}

enum fo_err
fo_journal_has_segments(int dir_fd, bool *ret_has)
{
    *ret_has = false;
    return for_each_name(dir_fd, note_segment, ret_has);
}

static enum fo_err
add_to_listing(void *ctx, const char *name)
{
    struct listing *l = ctx;
    size_t n = strlen(name);
    uint64_t base;

    if (fo_segment_name_parse(name, &base))
        return listing_add(l, base);
    if (n > 4 && strcmp(name + n - 4, ".tmp") == 0)
        (void)unlinkat(l->dir_fd, name, 0);     /* a spare that was never finished */
    else if (name[0] != '.')
        fo_log(FO_LOG_WARN, "journal_foreign_file", FO_S("name", name));
    return FO_OK;
}

static enum fo_err
fault(struct fo_fault *ret_fault, enum fo_err err, const char *dir, uint64_t base, const char *text)
{
    char name[FO_SEGMENT_NAME_SIZE];

    fo_segment_name(base, name);
    ret_fault->err = err;
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s/journal/%s", dir, name);
    snprintf(ret_fault->text, sizeof ret_fault->text, "%s", text);
    return err;
}

static enum fo_err
read_header(struct fo_segments *s, const char *dir, struct found *f, struct fo_fault *ret_fault)
{
    uint8_t bytes[FO_SEGMENT_HEADER_BYTES] = {0};
    struct fo_segment_header h;
    struct stat st;
    enum fo_err err;
    int fd;

    err = fo_segments_open_file(s, f->base, &fd);
    if (err != FO_OK)
        return fault(ret_fault, err, dir, f->base, "cannot open the segment");
    if (fstat(fd, &st) != 0 || pread(fd, bytes, sizeof bytes, 0) < 0) {
        close(fd);
        return fault(ret_fault, FO_ERR_IO, dir, f->base, "cannot read the segment");
    }
    close(fd);
    f->file_bytes = (uint64_t)st.st_size;
    err = fo_segment_header_decode(bytes, &h);
    if (err == FO_ERR_VERSION)
        return fault(ret_fault, err, dir, f->base, "the segment has another format than this program's journals; use the program that wrote it, or an empty data directory");
    if (err == FO_OK && h.base_lsn == f->base) {
        if (strcmp(h.region, s->region) != 0)
            return fault(ret_fault, FO_ERR_OTHER_REGION, dir, f->base, "the segment belongs to another region");
        f->capacity = h.capacity;
        return FO_OK;
    }
    /* Its records can be read all the same: the salt does not come from the header. */
    fo_segments_damaged(s, f->base, f->base, sizeof bytes, "segment header");
    return FO_OK;
}

/* A segment ends where it says, else where the next begins, else where its file ends. */
static uint64_t
segment_end(const struct fo_segments *s, const struct found *f, const struct found *next)
{
    uint64_t end = f->base + f->capacity;

    if (f->capacity == 0)
        end = f->base + (f->file_bytes > s->segment_bytes ? f->file_bytes : s->segment_bytes);
    if (next && (end > next->base || f->capacity == 0))
        end = next->base;
    if (next && end < next->base)
        fo_log(FO_LOG_ERROR, "journal_segments_missing", FO_I("from_lsn", end), FO_I("to_lsn", next->base));
    return end;
}

static enum fo_err
scan(struct fo_segments *s, const struct found *f, uint64_t end, struct fo_scan *ret_scan)
{
    uint64_t limit = f->file_bytes < end - f->base ? f->file_bytes : end - f->base;
    enum fo_err err;
    int fd;

    err = fo_segments_open_file(s, f->base, &fd);
    if (err != FO_OK)
        return err;
    err = fo_segment_scan(fd, fo_segments_extent(s, f->base), limit, ret_scan);
    close(fd);
    return err;
}

/* How many bytes from `from` on are not all zero: up to the last one that is not. */
static enum fo_err
measure_tail(int fd, uint64_t from, uint64_t *ret_bytes)
{
    uint8_t chunk[CHUNK_BYTES];
    uint64_t bytes = 0, at = from;
    ssize_t got;

    while ((got = pread(fd, chunk, sizeof chunk, (off_t)at)) > 0) {
        for (size_t i = (size_t)got; i > 0; i--)
            if (chunk[i - 1] != 0) {
                bytes = at + i - from;
                break;
            }
        at += (uint64_t)got;
    }
    *ret_bytes = bytes;
    return got < 0 ? FO_ERR_IO : FO_OK;
}

static enum fo_err
zero(int fd, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[CHUNK_BYTES];

    while (from < to) {
        size_t n = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;

        if (!fo_write_fully(fd, zeros, n, from))
            return fo_errno_err(errno);
        from += n;
    }
    return FO_OK;
}

/* Zeroes what stands behind the end, and gives a shortened file its length back. Whatever was there must go: a stale record left
 * at the right place would one day be taken for a new one. */
static enum fo_err
clear_tail(int fd, uint64_t from, uint64_t file_bytes, uint64_t capacity, uint64_t *ret_torn_bytes)
{
    enum fo_err err = measure_tail(fd, from, ret_torn_bytes);

    if (err == FO_OK)
        err = zero(fd, from, from + *ret_torn_bytes);
    if (err == FO_OK && file_bytes < capacity)
        err = zero(fd, file_bytes > from ? file_bytes : from, capacity);
    return err;
}

/* The last process may have ended because its last sync failed. The kernel then calls those pages clean, and no later sync would write
 * them, although they are still read from its cache; what is written once more it has to write. */
static enum fo_err
write_again(int fd, uint64_t from, uint64_t to)
{
    uint8_t chunk[CHUNK_BYTES];

    while (from < to) {
        size_t n = to - from < sizeof chunk ? (size_t)(to - from) : sizeof chunk;
        ssize_t got = pread(fd, chunk, n, (off_t)from);

        if (got <= 0)
            return FO_ERR_IO;
        if (!fo_write_fully(fd, chunk, (size_t)got, from))
            return fo_errno_err(errno);
        from += (uint64_t)got;
    }
    return FO_OK;
}

/* The last group begins in this segment, or in the one before: then that part of it was synced before this one was written. */
static uint64_t
last_group_offset(const struct fo_scan *sc, uint64_t base)
{
    return sc->last_group_lsn > base ? sc->last_group_lsn - base : FO_SEGMENT_HEADER_BYTES;
}

static enum fo_err
open_end(struct fo_segments *s, const struct found *f, uint64_t segment_end_lsn, const struct fo_scan *sc, struct fo_recovery *rec)
{
    char name[FO_SEGMENT_NAME_SIZE];
    uint8_t header[FO_SEGMENT_HEADER_BYTES];
    struct fo_segment_header h = {.base_lsn = f->base, .capacity = segment_end_lsn - f->base};
    enum fo_err err;
    int fd;

    fo_segment_name(f->base, name);
    fd = openat(s->dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fo_errno_err(errno);
    err = clear_tail(fd, sc->end, f->file_bytes, h.capacity, &rec->torn_bytes);
    if (err == FO_OK && f->capacity == 0) {
        memcpy(h.region, s->region, sizeof h.region);
        fo_segment_header_encode(&h, header);
        if (!fo_write_fully(fd, header, sizeof header, 0))
            err = fo_errno_err(errno);
    }
    /* What the last process wrote and did not sync is taken for durable from here on, so it has to be. With sync, that is the last group at
     * most: each is written when the one before is durable. */
    if (err == FO_OK)
        err = write_again(fd, last_group_offset(sc, f->base), sc->end);
    if (err == FO_OK && fsync(fd) != 0)
        err = fo_errno_err(errno);
    if (err != FO_OK) {
        close(fd);
        return err;
    }
    rec->torn_records = sc->records_cut;
    rec->end = (struct fo_journal_end){{f->base, segment_end_lsn}, f->base + sc->end, fd, f->base};
    return FO_OK;
}

/* LSN of the CHECKPOINT that stands first in an older segment; false when it does not, or is damaged. */
static bool
first_checkpoint(struct fo_segments *s, const struct fo_segment *seg, uint64_t *ret_lsn)
{
    struct fo_span w;
    struct fo_record_header h;
    struct fo_slice body;
    struct fo_extent extent = fo_segments_extent(s, seg->base);
    bool is_good;
    int fd;

    if (fo_segments_open_file(s, seg->base, &fd) != FO_OK)
        return false;
    fo_span_init(&w);
    fo_span_reset(&w, fd);
    is_good = fo_span_header(&w, extent, FO_SEGMENT_HEADER_BYTES, FO_WINDOW_AHEAD_BYTES, seg->end - seg->base, &h) == FO_OK &&
              h.type == FO_RECORD_CHECKPOINT &&
              fo_span_body(&w, extent, FO_SEGMENT_HEADER_BYTES, seg->end - seg->base, &h, &body) == FO_OK;
    fo_span_fini(&w);
    close(fd);
    *ret_lsn = seg->base + FO_SEGMENT_HEADER_BYTES;
    return is_good;
}

static uint64_t
find_checkpoint(struct fo_segments *s, uint64_t newest)
{
    uint64_t lsn = newest;

    for (unsigned i = s->count; lsn == 0 && i-- > 0;)
        if (!first_checkpoint(s, &s->table[i], &lsn))
            lsn = 0;
    return lsn != 0 ? lsn : s->table[0].base + FO_SEGMENT_HEADER_BYTES;
}

/* The file holds no good record. What else is in it, if anything, is the torn beginning of a write. */
static void
delete_spare(struct fo_segments *s, uint64_t base)
{
    char name[FO_SEGMENT_NAME_SIZE];
    uint64_t torn_bytes = 0;
    int fd;

    if (fo_segments_open_file(s, base, &fd) == FO_OK) {
        if (measure_tail(fd, FO_SEGMENT_HEADER_BYTES, &torn_bytes) == FO_OK && torn_bytes > 0)
            fo_log(FO_LOG_WARN, "journal_torn_end_cut", FO_I("lsn", base + FO_SEGMENT_HEADER_BYTES), FO_I("bytes", torn_bytes));
        close(fd);
    }
    fo_segment_name(base, name);
    if (unlinkat(s->dir_fd, name, 0) != 0 || fsync(s->dir_fd) != 0)
        fo_log(FO_LOG_WARN, "journal_spare_not_deleted", FO_S("segment", name), FO_S("reason", strerror(errno)));
}

/* Finds the last segment with a record in it, or the first of all, and opens it for writing. */
static enum fo_err
recover_last(struct fo_segments *s, struct listing *l, bool may_be_lost, struct fo_recovery *rec, struct fo_scan *sc)
{
    unsigned last = l->count - 1;
    struct fo_segment seg;
    enum fo_err err;

    for (;; last--) {
        seg = (struct fo_segment){l->at[last].base, segment_end(s, &l->at[last], NULL)};
        err = scan(s, &l->at[last], seg.end, sc);
        if (err != FO_OK)
            return err;
        if (sc->records > 0 || last == 0)
            break;
    }
    rec->is_lost = sc->records == 0 && seg.base > 0;    /* the earliest segment that is kept always begins with a CHECKPOINT */
    if (rec->is_lost && !may_be_lost)
        return FO_ERR_CORRUPT;
    for (unsigned i = last + 1; i < l->count; i++)
        delete_spare(s, l->at[i].base);
    for (unsigned i = 0; i < last && err == FO_OK; i++)
        err = fo_segments_add(s, (struct fo_segment){l->at[i].base, segment_end(s, &l->at[i], &l->at[i + 1])});
    if (err == FO_OK)
        err = fo_segments_add(s, seg);
    if (err == FO_OK)
        err = open_end(s, &l->at[last], seg.end, sc, rec);
    if (err != FO_OK)
        return err;
    rec->is_damaged = sc->damage_count > 0;
    for (unsigned i = 0; i < sc->damage_count && i < FO_SCAN_DAMAGE_MAX; i++)
        fo_segments_damaged(s, seg.base, seg.base + sc->damage[i].at, sc->damage[i].bytes, "record");
    if (sc->damage_count > FO_SCAN_DAMAGE_MAX)
        fo_log(FO_LOG_ERROR, "journal_damaged_more", FO_I("base_lsn", seg.base), FO_I("places", sc->damage_count - FO_SCAN_DAMAGE_MAX));
    if (l->at[last].file_bytes < seg.end - seg.base)
        fo_log(FO_LOG_WARN, "journal_segment_shortened", FO_I("base_lsn", seg.base), FO_I("bytes", l->at[last].file_bytes),
            FO_I("expected_bytes", seg.end - seg.base));
    if (rec->torn_bytes > 0)
        fo_log(FO_LOG_WARN, "journal_torn_end_cut", FO_I("lsn", rec->end.lsn), FO_I("bytes", rec->torn_bytes),
            FO_I("whole_records", rec->torn_records));
    return FO_OK;
}

enum fo_err
fo_journal_recover(struct fo_segments *s, const char *dir, bool may_be_lost, struct fo_recovery *ret_rec, struct fo_fault *ret_fault)
{
    struct listing l = {.dir_fd = s->dir_fd};
    struct fo_scan *sc = calloc(1, sizeof *sc);
    struct fo_recovery rec = {.end = {.fd = -1}};
    enum fo_err err = sc ? FO_OK : FO_ERR_NO_MEMORY;

    *ret_fault = (struct fo_fault){0};
    if (err == FO_OK)
        err = for_each_name(s->dir_fd, add_to_listing, &l);
    if (err == FO_OK && l.count > 0)
        qsort(l.at, l.count, sizeof *l.at, by_base);
    for (unsigned i = 0; i < l.count && err == FO_OK; i++)
        err = read_header(s, dir, &l.at[i], ret_fault);
    if (err == FO_OK && l.count > 0)
        err = recover_last(s, &l, may_be_lost, &rec, sc);
    if (err != FO_OK)
        goto cleanup;
    if (sc->checkpoint != 0)
        rec.checkpoint_lsn = rec.end.segment.base + sc->checkpoint;
    rec.is_empty = l.count == 0 || (s->count == 1 && sc->records == 0 && !rec.is_lost);
    if (l.count == 0) {
        rec.end = (struct fo_journal_end){.segment = {0, s->segment_bytes}, .lsn = FO_SEGMENT_HEADER_BYTES};
        err = fo_segments_create(s, 0, &rec.end.fd);
    } else if (sc->is_closed || rec.end.lsn + fo_record_size(0) > rec.end.segment.end) {
        /* The next segment is left to the keeper: a broker must start on a full disk, too. */
        uint64_t base = rec.end.segment.end;
        rec.end.segment = (struct fo_segment){base, base + s->segment_bytes};
        rec.end.lsn = base + FO_SEGMENT_HEADER_BYTES;
    }
    if (err == FO_OK)
        rec.checkpoint_lsn = find_checkpoint(s, rec.checkpoint_lsn);
    if (err == FO_OK)
        *ret_rec = rec;
cleanup:
    if (err != FO_OK && ret_fault->text[0] == '\0') {
        snprintf(ret_fault->path, sizeof ret_fault->path, "%s/journal", dir);
        snprintf(ret_fault->text, sizeof ret_fault->text, "cannot open the journal: %s", fo_err_text(err));
        ret_fault->err = err;
    }
    free(sc);
    free(l.at);
    return err;
}
