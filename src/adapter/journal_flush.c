/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer thread: seals the records of a group, writes it by as few pwritev as can be, syncs once, tells the loop.
 *
 * A group that crosses into the next segment is written and synced segment by segment, in order, so that nothing ever stands
 * behind a hole.
 *
 * Each write goes on with zeros to the end of its last page. The page is not in the kernel's cache, because the keeper's zeros went past
 * it; if only a part of the page were written, the kernel would read the rest from the disk, in the middle of a commit. Zeros are what
 * stands there anyway: nothing behind a group has ever been written before the group is durable. */
#include "adapter/journal_flush.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "base/crc32c.h"
#include "ports/log.h"

enum { PAGE_BYTES = 4096 };             /* where pages are larger, the kernel still keeps account of blocks of this size */

/* Only a full disk may pass; whatever else a write or a sync says is final, because asking again would get a lie. */
static enum fo_err
write_err(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT ? FO_ERR_NO_SPACE : FO_ERR_IO;
}

static void
seal(struct fo_group *g, struct fo_group_entry *e, uint32_t salt)
{
    const struct iovec *iov = &g->iov[e->iov_first];
    uint32_t crc = salt, left = e->h.length;

    for (unsigned i = 1; left > 0; i++) {       /* the padding behind the body is not part of it */
        crc = fo_crc32c(crc, iov[i].iov_base, iov[i].iov_len);
        left -= (uint32_t)iov[i].iov_len;
    }
    e->h.body_crc = crc;
    fo_record_header_encode(&e->h, salt, iov[0].iov_base);
}

/* How far it is from `at` to the end of its page, but no further than to the segment's end. */
static size_t
padding(uint64_t at, uint64_t end)
{
    uint64_t rest = (PAGE_BYTES - at % PAGE_BYTES) % PAGE_BYTES;

    return (size_t)(rest < end - at ? rest : end - at);
}

/* Writes all n vectors at offset, which fit before end. They are copied piece by piece, because a short write has to cut one and a
 * retry needs them whole. */
static enum fo_err
write_vectors(int fd, const struct iovec *iov, unsigned n, uint64_t offset, uint64_t end)
{
    static const uint8_t zeros[PAGE_BYTES];
    struct iovec piece[IOV_MAX];
    unsigned done = 0;
    size_t cut = 0;                             /* bytes of iov[done] that are written */

    while (done < n) {
        unsigned in_piece = n - done < IOV_MAX - 1 ? n - done : IOV_MAX - 1;
        size_t bytes = 0;
        ssize_t put;

        memcpy(piece, iov + done, in_piece * sizeof *piece);
        piece[0].iov_base = (uint8_t *)piece[0].iov_base + cut;
        piece[0].iov_len -= cut;
        for (unsigned i = 0; i < in_piece; i++)
            bytes += piece[i].iov_len;
        piece[in_piece] = (struct iovec){(void *)(uintptr_t)zeros, padding(offset + bytes, end)};
        put = pwritev(fd, piece, (int)in_piece + (piece[in_piece].iov_len > 0), (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return write_err(errno);
        if (put == 0)
            return FO_ERR_IO;
        if ((size_t)put > bytes)
            put = (ssize_t)bytes;
        offset += (uint64_t)put;
        put += (ssize_t)cut;
        while (done < n && (size_t)put >= iov[done].iov_len)
            put -= (ssize_t)iov[done++].iov_len;
        cut = (size_t)put;
    }
    return FO_OK;
}

/* Turns to the segment, if it is not the one at hand. */
static enum fo_err
enter_segment(struct fo_journal_writer *w, uint64_t base)
{
    enum fo_err err;
    int fd;

    if (base == w->fd_base)
        return FO_OK;
    err = fo_segments_take_spare(w->segments, base, &fd);
    if (err != FO_OK)
        return err;
    close(w->fd);
    w->fd = fd;
    w->fd_base = base;
    w->fd_end = base + w->segment_bytes;
    return FO_OK;
}

/* Entries [first, end) stand in one segment, one behind the other. */
static enum fo_err
write_run(struct fo_journal_writer *w, struct fo_group *g, unsigned first, unsigned end)
{
    struct fo_group_entry *e = &g->entries[first], *last = &g->entries[end - 1];
    struct fo_extent extent = fo_segments_extent(w->segments, e->segment_base);
    unsigned iovecs = last->iov_first + last->iov_count - e->iov_first;
    enum fo_err err = enter_segment(w, e->segment_base);

    if (err != FO_OK)
        return err;
    for (unsigned i = first; i < end; i++)
        seal(g, &g->entries[i], extent.salt);
    err = write_vectors(w->fd, &g->iov[e->iov_first], iovecs, e->h.lsn - w->fd_base, w->fd_end - w->fd_base);
    if (err != FO_OK || !w->is_synced)
        return err;
    if (fdatasync(w->fd) != 0)
        return write_err(errno);
    atomic_fetch_add_explicit(&w->fsync_count, 1, memory_order_relaxed);
    return FO_OK;
}

static enum fo_err
write_group(struct fo_journal_writer *w, struct fo_group *g)
{
    while (g->written < g->count) {
        unsigned first = g->written, end = first + 1;
        enum fo_err err;

        while (end < g->count && g->entries[end].segment_base == g->entries[first].segment_base)
            end++;
        err = write_run(w, g, first, end);
        if (err != FO_OK)
            return err;
        g->written = end;
    }
    return FO_OK;
}

/* With the lock held. True: a group is there to be written. False: told to stop. */
static bool
wait_for_group(struct fo_journal_writer *w)
{
    while (w->state != FO_WRITER_BUSY && !w->is_stopping)
        pthread_cond_wait(&w->cond, &w->mu);
    while (w->state == FO_WRITER_BUSY && !w->is_stopping && w->retry_at_ms > fo_monotonic_ms()) {
        struct timespec until = {w->retry_at_ms / 1000, w->retry_at_ms % 1000 * 1000000};
        pthread_cond_timedwait(&w->cond, &w->mu, &until);
    }
    return w->state == FO_WRITER_BUSY;
}

/* With the lock held. */
static void
settle(struct fo_journal_writer *w, struct fo_group *g, enum fo_err err)
{
    const struct fo_group_entry *last = &g->entries[g->count - 1];

    if (err == FO_OK) {
        uint64_t durable = last->h.lsn + fo_record_size(last->h.length);
        atomic_store_explicit(&w->durable_lsn, durable, memory_order_release);
        g->count = g->iov_count = g->rolls = g->written = 0;
        w->state = FO_WRITER_IDLE;
        w->retry_at_ms = 0;
    } else if (err == FO_ERR_NO_SPACE) {
        w->state = FO_WRITER_RETRY;
        w->retry_at_ms = fo_monotonic_ms() + FO_SEGMENTS_RETRY_MS;
    } else {
        atomic_store_explicit(&w->failed, err, memory_order_relaxed);
        w->state = FO_WRITER_FAILED;
    }
}

/* A full disk is said once, not at every attempt. */
static void
log_failure(struct fo_journal_writer *w, enum fo_err err, uint64_t durable)
{
    if (err == FO_ERR_NO_SPACE && w->is_full_logged)
        return;
    w->is_full_logged = err == FO_ERR_NO_SPACE;
    fo_log(err == FO_ERR_NO_SPACE ? FO_LOG_WARN : FO_LOG_ERROR, "journal_write_failed", FO_E(err), FO_I("durable_lsn", durable));
}

void *
fo_journal_flush_main(void *arg)
{
    struct fo_journal_writer *w = arg;

    pthread_setname_np(pthread_self(), "journal-writer");
    for (;;) {
        struct fo_group *g;
        uint64_t durable;
        enum fo_err err;

        pthread_mutex_lock(&w->mu);
        if (!wait_for_group(w)) {
            pthread_mutex_unlock(&w->mu);
            return NULL;
        }
        g = &w->group[!w->gathering];
        pthread_mutex_unlock(&w->mu);
        err = write_group(w, g);
        pthread_mutex_lock(&w->mu);
        settle(w, g, err);
        pthread_mutex_unlock(&w->mu);
        durable = atomic_load_explicit(&w->durable_lsn, memory_order_relaxed);
        if (err == FO_OK) {
            w->is_full_logged = false;
            fo_segments_progress(w->segments, durable - w->fd_base);
        } else {
            log_failure(w, err, durable);
        }
        w->stored(w->stored_ctx, err, durable);
    }
}
