/* SPDX-License-Identifier: Apache-2.0
 *
 * A new file is reserved with fallocate, so that a full disk shows here and not in the middle of a commit, and then really
 * zeroed, because writing into reserved but unwritten blocks makes each fdatasync commit metadata too (150 instead of 70 us).
 * The zeros follow the writer's progress instead of coming all at once, so that they do not stand before its commits. For the same
 * reason they go past the kernel's cache (O_DIRECT): dirty pages would be written back in great lumps, which held commits up for 20 ms.
 *
 * A trimmed file is not deleted but put aside, to become a later segment: its blocks are there and written, so it needs zeros only. Deleting
 * it would free them and making another take some anew; on a file system that discards what it frees (mount option "discard") the
 * disk is so busy with the 64 MiB of a file that a commit meanwhile waits for 200 ms and more. Files that are not needed any more are
 * therefore cut shorter bit by bit.
 *
 * No file is ever written by both threads at once: the writer gets it when it is whole. */
#include "adapter/journal_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "ports/log.h"

enum { ZERO_CHUNK_BYTES = 256 * 1024, SHRINK_BYTES = 1 << 20, SHRINK_EVERY_MS = 50, FILE_MODE = 0600, TEMPORARY_NAME_SIZE = FO_SEGMENT_NAME_SIZE };

static _Alignas(FO_SEGMENT_HEADER_BYTES) const uint8_t zeros[ZERO_CHUNK_BYTES];     /* aligned as O_DIRECT demands */

static bool
has_trim_work(const struct fo_segments *s)
{
    return s->count > 1 && s->table[0].end <= s->trim_below;
}

/* With the lock held. Whether the oldest segment's file may be used again, beside so many others. Nobody may be reading it. Without zeros a
 * new file costs nothing. What is put aside counts among bytes_max, and so does a spare. */
static bool
is_worth_keeping(const struct fo_segments *s, unsigned others)
{
    const struct fo_segment *oldest = &s->table[0];
    uint64_t rest = s->table[s->count - 1].end - oldest->end, aside = (uint64_t)(others + 2) * s->segment_bytes;

    return s->is_zeroed && oldest->holders == 0 && oldest->end - oldest->base == s->segment_bytes && others < FO_SEGMENTS_ASIDE_MAX
        && (s->bytes_max == 0 || rest + aside <= s->bytes_max);
}

static void
temporary_name(uint64_t base, char name[TEMPORARY_NAME_SIZE])
{
    char final[FO_SEGMENT_NAME_SIZE];

    fo_segment_name(base, final);
    snprintf(name, TEMPORARY_NAME_SIZE, "%.16s.tmp", final);
}

/* Takes the segment's name away, and its file too unless that is to be kept. False: that cannot be done. */
static bool
take_name(struct fo_segments *s, uint64_t base, bool *is_kept)
{
    char name[FO_SEGMENT_NAME_SIZE], temporary[TEMPORARY_NAME_SIZE];

    fo_segment_name(base, name);
    temporary_name(base, temporary);
    if ((*is_kept ? renameat(s->dir_fd, name, s->dir_fd, temporary) : unlinkat(s->dir_fd, name, 0)) == 0)
        return true;
    *is_kept = false;
    if (errno == ENOENT)
        return true;
    fo_log(FO_LOG_WARN, "journal_trim_failed", FO_S("segment", name), FO_S("reason", strerror(errno)));
    return false;
}

/* Until the names are durably gone, a file that was put aside may be found under its old one, and must have its old bytes. */
static bool
sync_names(struct fo_segments *s, const uint64_t *aside, unsigned count)
{
    char temporary[TEMPORARY_NAME_SIZE];

    if (fsync(s->dir_fd) == 0)
        return true;
    fo_log(FO_LOG_WARN, "journal_trim_failed", FO_S("reason", strerror(errno)));
    for (unsigned i = 0; i < count; i++) {
        temporary_name(aside[i], temporary);
        (void)unlinkat(s->dir_fd, temporary, 0);
    }
    return false;
}

/* With the lock held, which it lets go of meanwhile. Oldest first, so that a crash leaves no gap; for the same reason one that cannot
 * be deleted stays, with all behind it, until the next trim. A reader that comes between the file and the table finds no file, and is told
 * the truth. */
static void
trim_now(struct fo_segments *s)
{
    uint64_t aside[FO_SEGMENTS_ASIDE_MAX];
    unsigned deleted = 0, kept = 0;
    bool is_synced;

    while (has_trim_work(s)) {
        bool is_kept = is_worth_keeping(s, s->aside_count + kept), is_gone;
        uint64_t base = s->table[0].base;

        s->table[0].is_leaving = is_kept;
        pthread_mutex_unlock(&s->mu);
        is_gone = take_name(s, base, &is_kept);
        pthread_mutex_lock(&s->mu);
        if (!is_gone) {
            s->table[0].is_leaving = false;
            s->trim_below = base;
            break;
        }
        s->count--;
        memmove(s->table, s->table + 1, s->count * sizeof *s->table);
        deleted++;
        if (is_kept)
            aside[kept++] = base;
    }
    pthread_mutex_unlock(&s->mu);
    is_synced = deleted == 0 || sync_names(s, aside, kept);
    fo_log(FO_LOG_DEBUG, "journal_trimmed", FO_I("segments", deleted), FO_I("put_aside", is_synced ? kept : 0));
    pthread_mutex_lock(&s->mu);
    for (unsigned i = 0; is_synced && i < kept; i++)
        s->aside[s->aside_count++] = aside[i];
}

/* Cuts a bit off a file that was put aside. False: it is gone. */
static bool
cut_shorter(struct fo_segments *s, const char *name)
{
    int fd = openat(s->dir_fd, name, O_WRONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0, left = end > SHRINK_BYTES ? end - SHRINK_BYTES : 0;

    if (left > 0 && (ftruncate(fd, left) != 0 || fsync(fd) != 0))       /* synced, or the file system would gather what to discard */
        left = 0;
    if (fd >= 0)
        close(fd);
    if (left == 0)
        (void)unlinkat(s->dir_fd, name, 0);
    return left > 0;
}

/* With the lock held, which it lets go of meanwhile. */
static void
shrink_aside(struct fo_segments *s)
{
    struct timespec until = {s->shrink_at_ms / 1000, s->shrink_at_ms % 1000 * 1000000};
    char temporary[TEMPORARY_NAME_SIZE];
    bool is_left;

    if (fo_monotonic_ms() < s->shrink_at_ms) {
        pthread_cond_timedwait(&s->keeper_cond, &s->mu, &until);
        return;
    }
    temporary_name(s->aside[s->aside_count - 1], temporary);
    pthread_mutex_unlock(&s->mu);
    is_left = cut_shorter(s, temporary);
    pthread_mutex_lock(&s->mu);
    s->aside_count -= !is_left;
    s->shrink_at_ms = fo_monotonic_ms() + SHRINK_EVERY_MS;
}

/* With the lock held, which it lets go of meanwhile. Nothing is urgent: deletes, or waits for news. */
static void
tidy_or_wait(struct fo_segments *s)
{
    if (has_trim_work(s))
        trim_now(s);
    else if (s->aside_count > FO_SEGMENTS_ASIDE_KEPT)
        shrink_aside(s);
    else
        pthread_cond_wait(&s->keeper_cond, &s->mu);
}

/* Waits until the writer's progress asks for zeros beyond `filled`. False: told to stop. */
static bool
keep_pace(struct fo_segments *s, uint64_t filled)
{
    bool is_stopping;

    pthread_mutex_lock(&s->mu);
    s->spare_filled = filled;
    while (!s->is_stopping && !s->is_urgent && filled >= s->spare_goal)
        tidy_or_wait(s);
    is_stopping = s->is_stopping;
    pthread_mutex_unlock(&s->mu);
    return !is_stopping;
}

/* Through direct_fd if there is one, and if the file system takes it: it may allow O_DIRECT at open and refuse this alignment. */
static bool
write_zeros(int fd, int *direct_fd, size_t n, uint64_t offset)
{
    if (*direct_fd >= 0) {
        if (fo_write_fully(*direct_fd, zeros, n, offset))
            return true;
        if (errno != EINVAL)
            return false;
        close(*direct_fd);
        *direct_fd = -1;
    }
    if (!fo_write_fully(fd, zeros, n, offset))
        return false;
    /* Hands the chunk to the disk now: a whole file of dirty pages at once would delay the commits around it even more. */
    (void)sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
    return true;
}

static enum fo_err
fill_with_zeros(struct fo_segments *s, int fd, const char *name)
{
    int direct_fd = openat(s->dir_fd, name, O_WRONLY | O_DIRECT | O_CLOEXEC);
    enum fo_err err = FO_OK;

    for (uint64_t at = FO_SEGMENT_HEADER_BYTES; err == FO_OK && at < s->segment_bytes;) {
        size_t n = s->segment_bytes - at < ZERO_CHUNK_BYTES ? (size_t)(s->segment_bytes - at) : ZERO_CHUNK_BYTES;

        if (!keep_pace(s, at))
            err = FO_ERR_CLOSED;
        else if (!write_zeros(fd, &direct_fd, n, at))
            err = fo_errno_err(errno);
        at += n;
    }
    if (direct_fd >= 0)
        close(direct_fd);
    return err;
}

static enum fo_err
fill_file(struct fo_segments *s, int fd, const char *name, uint64_t base)
{
    uint8_t header[FO_SEGMENT_HEADER_BYTES];
    struct fo_segment_header h = {.base_lsn = base, .capacity = s->segment_bytes};
    enum fo_err err = FO_OK;
    bool is_reserved;

    memcpy(h.region, s->region, sizeof h.region);
    fo_segment_header_encode(&h, header);
    is_reserved = fallocate(fd, 0, 0, (off_t)s->segment_bytes) == 0;
    if (!is_reserved && errno != EOPNOTSUPP)
        return fo_errno_err(errno);
    if (!fo_write_fully(fd, header, sizeof header, 0))
        return fo_errno_err(errno);
    if (s->is_zeroed || !is_reserved)
        err = fill_with_zeros(s, fd, name);
    if (err == FO_OK && fsync(fd) != 0)
        err = fo_errno_err(errno);
    return err;
}

/* With the lock held: the base of a file that was put aside, which is the caller's now; else that of the segment to be made. */
static uint64_t
take_aside(struct fo_segments *s, uint64_t base)
{
    if (s->aside_count == 0)
        return base;
    base = s->aside[0];                 /* the oldest: the newest may have been cut */
    memmove(s->aside, s->aside + 1, --s->aside_count * sizeof *s->aside);
    return base;
}

enum fo_err
fo_keeper_make_file(struct fo_segments *s, uint64_t base, uint64_t from, int *ret_fd)
{
    char name[FO_SEGMENT_NAME_SIZE], temporary[TEMPORARY_NAME_SIZE];
    enum fo_err err = FO_OK;
    int fd;

    temporary_name(from, temporary);
    fd = openat(s->dir_fd, temporary, O_RDWR | O_CREAT | (from == base ? O_TRUNC : 0) | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fo_errno_err(errno);
    fo_segment_name(base, name);
    err = fill_file(s, fd, temporary, base);
    if (err == FO_OK && (renameat(s->dir_fd, temporary, s->dir_fd, name) != 0 || fsync(s->dir_fd) != 0))
        err = fo_errno_err(errno);
    if (err != FO_OK)
        goto cleanup;
    *ret_fd = fd;
    fd = -1;
cleanup:
    if (fd >= 0) {
        close(fd);
        (void)unlinkat(s->dir_fd, temporary, 0);
    }
    return err;
}

void
fo_keeper_ask_again(struct fo_segments *s)
{
    if (s->spare != FO_SPARE_FAILED || s->spare_err != FO_ERR_NO_SPACE)
        return;
    if (fo_monotonic_ms() - s->spare_failed_at_ms < FO_SEGMENTS_RETRY_MS)
        return;
    s->spare = FO_SPARE_NONE;
    pthread_cond_signal(&s->keeper_cond);
}

static bool
is_spare_due(const struct fo_segments *s)
{
    uint64_t end = s->table[s->count - 1].end;

    if (s->spare != FO_SPARE_NONE || (!s->is_urgent && s->spare_goal == 0))
        return false;
    return s->bytes_max == 0 || end + s->segment_bytes - s->table[0].base <= s->bytes_max;
}

/* With the lock held, which it lets go of meanwhile. */
static void
make_spare(struct fo_segments *s)
{
    uint64_t base = s->table[s->count - 1].end, from = take_aside(s, base);
    enum fo_err err;
    int fd = -1;

    s->spare = FO_SPARE_FILLING;
    s->spare_filled = 0;
    pthread_mutex_unlock(&s->mu);
    err = fo_keeper_make_file(s, base, from, &fd);
    if (err != FO_OK && err != FO_ERR_CLOSED && !s->is_full_logged)     /* a full disk is said once, not at every attempt */
        fo_log(err == FO_ERR_NO_SPACE ? FO_LOG_WARN : FO_LOG_ERROR, "journal_segment_failed", FO_E(err));
    s->is_full_logged = err == FO_ERR_NO_SPACE;
    pthread_mutex_lock(&s->mu);
    s->spare = err == FO_OK ? FO_SPARE_READY : FO_SPARE_FAILED;
    s->spare_err = err;
    s->spare_failed_at_ms = fo_monotonic_ms();
    s->spare_fd = fd;
    pthread_cond_broadcast(&s->spare_cond);
}

void *
fo_keeper_main(void *arg)
{
    struct fo_segments *s = arg;

    pthread_setname_np(pthread_self(), "journal-keeper");
    pthread_mutex_lock(&s->mu);
    while (!s->is_stopping) {
        if (!has_trim_work(s) && is_spare_due(s))
            make_spare(s);
        else
            tidy_or_wait(s);
    }
    pthread_cond_broadcast(&s->spare_cond);
    pthread_mutex_unlock(&s->mu);
    return NULL;
}
