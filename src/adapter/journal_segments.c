/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of segments and what other threads ask of it; journal_keeper.c makes and deletes the files. */
#include "adapter/journal_segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "adapter/journal_keeper.h"
#include "base/assert.h"
#include "ports/log.h"

/* Zeros are written a fourth faster than records, so the spare is ready at four fifths: soon enough for its sync and its name, and no
 * faster than need be, because each commit that meets a chunk of zeros at the disk waits for it. */
enum { SPARE_LEAD_PART = 4 };

void
fo_segments_init(struct fo_segments *s, int dir_fd, const char *region, uint64_t secret, uint32_t segment_bytes, uint64_t bytes_max,
    bool is_zeroed)
{
    pthread_condattr_t attr;

    *s = (struct fo_segments){.dir_fd = dir_fd, .secret = secret, .segment_bytes = segment_bytes, .bytes_max = bytes_max,
        .is_zeroed = is_zeroed, .spare_fd = -1};
    memcpy(s->region, region, strnlen(region, FO_REGION_BYTES_MAX));
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->keeper_cond, &attr);
    pthread_cond_init(&s->spare_cond, &attr);
    pthread_condattr_destroy(&attr);
}

void
fo_segments_fini(struct fo_segments *s)
{
    if (s->has_keeper) {
        pthread_mutex_lock(&s->mu);
        s->is_stopping = true;
        pthread_cond_broadcast(&s->keeper_cond);
        pthread_mutex_unlock(&s->mu);
        pthread_join(s->keeper, NULL);
    }
    if (s->spare_fd >= 0)
        close(s->spare_fd);
    close(s->dir_fd);
    free(s->table);
    pthread_cond_destroy(&s->keeper_cond);
    pthread_cond_destroy(&s->spare_cond);
    pthread_mutex_destroy(&s->mu);
}

enum fo_err
fo_segments_keeper_start(struct fo_segments *s)
{
    fo_assert(s->count > 0 && !s->has_keeper);
    if (pthread_create(&s->keeper, NULL, fo_keeper_main, s) != 0)
        return FO_ERR_NO_MEMORY;
    s->has_keeper = true;
    return FO_OK;
}

static enum fo_err
add_locked(struct fo_segments *s, struct fo_segment seg)
{
    fo_assert(s->count == 0 || s->table[s->count - 1].end <= seg.base);
    if (s->count == s->cap) {
        unsigned cap = s->cap ? 2 * s->cap : 64;
        struct fo_segment *table = realloc(s->table, cap * sizeof *table);
        if (!table)
            return FO_ERR_NO_MEMORY;
        s->table = table;
        s->cap = cap;
    }
    s->table[s->count++] = seg;
    return FO_OK;
}

enum fo_err
fo_segments_add(struct fo_segments *s, struct fo_segment seg)
{
    enum fo_err err;

    pthread_mutex_lock(&s->mu);
    err = add_locked(s, seg);
    pthread_mutex_unlock(&s->mu);
    return err;
}

enum fo_err
fo_segments_create(struct fo_segments *s, uint64_t base, int *ret_fd)
{
    enum fo_err err = fo_segments_add(s, (struct fo_segment){.base = base, .end = base + s->segment_bytes});

    s->is_urgent = true;        /* nobody to keep pace with yet */
    if (err == FO_OK)
        err = fo_keeper_make_file(s, base, base, ret_fd);
    s->is_urgent = false;
    s->spare_filled = 0;
    return err;
}

/* With the lock held: the first segment that ends beyond lsn; null: none does. */
static struct fo_segment *
find_end_beyond(struct fo_segments *s, uint64_t lsn)
{
    unsigned lo = 0, hi = s->count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (s->table[mid].end > lsn)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < s->count ? &s->table[lo] : NULL;
}

enum fo_err
fo_segments_find(struct fo_segments *s, uint64_t lsn, struct fo_segment *ret_seg)
{
    const struct fo_segment *seg;
    enum fo_err err = FO_ERR_NOT_FOUND;

    pthread_mutex_lock(&s->mu);
    seg = find_end_beyond(s, lsn);
    if (seg != NULL) {
        *ret_seg = *seg;
        err = lsn >= seg->base ? FO_OK : seg == s->table ? FO_ERR_CURSOR_GONE : FO_ERR_CORRUPT;
    }
    pthread_mutex_unlock(&s->mu);
    return err;
}

enum fo_err
fo_segments_open_file(struct fo_segments *s, uint64_t base, int *ret_fd)
{
    char name[FO_SEGMENT_NAME_SIZE];
    int fd;

    fo_segment_name(base, name);
    fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? FO_ERR_CURSOR_GONE : errno == EMFILE || errno == ENFILE ? FO_ERR_BUSY : FO_ERR_IO;
    *ret_fd = fd;
    return FO_OK;
}

/* With the lock held. Null: trimmed meanwhile. */
static struct fo_segment *
find_base(struct fo_segments *s, uint64_t base)
{
    struct fo_segment *seg = find_end_beyond(s, base);

    return seg != NULL && seg->base == base ? seg : NULL;
}

enum fo_err
fo_segments_hold(struct fo_segments *s, uint64_t base, int *ret_fd)
{
    struct fo_segment *seg;
    enum fo_err err;
    bool is_there;

    pthread_mutex_lock(&s->mu);
    seg = find_base(s, base);
    is_there = seg != NULL && !seg->is_leaving;
    if (is_there)
        seg->holders++;
    pthread_mutex_unlock(&s->mu);
    if (!is_there)
        return FO_ERR_CURSOR_GONE;
    err = fo_segments_open_file(s, base, ret_fd);
    if (err != FO_OK)
        fo_segments_release(s, base, -1);
    return err;
}

void
fo_segments_release(struct fo_segments *s, uint64_t base, int fd)
{
    struct fo_segment *seg;

    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&s->mu);
    seg = find_base(s, base);
    if (seg != NULL)
        seg->holders--;
    pthread_mutex_unlock(&s->mu);
}

struct fo_extent
fo_segments_extent(const struct fo_segments *s, uint64_t base)
{
    return (struct fo_extent){base, fo_segment_salt(s->secret, base)};
}

/* With the lock held: bytes_max leaves no room for a segment behind the one that ends at `end`. */
static bool
is_full(const struct fo_segments *s, uint64_t end)
{
    return s->bytes_max != 0 && end + s->segment_bytes - s->table[0].base > s->bytes_max;
}

enum fo_err
fo_segments_may_roll(struct fo_segments *s, uint64_t end)
{
    enum fo_err err = FO_OK;

    pthread_mutex_lock(&s->mu);
    if (is_full(s, end))
        err = FO_ERR_NO_SPACE;
    else if (s->spare == FO_SPARE_FAILED) {
        err = s->spare_err;
        fo_keeper_ask_again(s);
    }
    pthread_mutex_unlock(&s->mu);
    return err;
}

enum fo_err
fo_segments_take_spare(struct fo_segments *s, uint64_t base, int *ret_fd)
{
    enum fo_err err;

    pthread_mutex_lock(&s->mu);
    fo_assert(base == s->table[s->count - 1].end);
    s->is_urgent = true;
    fo_keeper_ask_again(s);
    pthread_cond_signal(&s->keeper_cond);
    while (s->spare != FO_SPARE_READY && s->spare != FO_SPARE_FAILED && !s->is_stopping)
        pthread_cond_wait(&s->spare_cond, &s->mu);
    if (s->spare == FO_SPARE_READY) {
        err = add_locked(s, (struct fo_segment){.base = base, .end = base + s->segment_bytes});
        if (err == FO_OK) {
            *ret_fd = s->spare_fd;
            s->spare = FO_SPARE_NONE;
            s->spare_fd = -1;
            s->spare_filled = s->spare_goal = 0;
        } else {
            err = FO_ERR_NO_SPACE;  /* short of memory: as passing as a full disk */
        }
    } else {
        err = s->spare == FO_SPARE_FAILED ? s->spare_err : FO_ERR_CLOSED;
    }
    s->is_urgent = false;
    pthread_mutex_unlock(&s->mu);
    return err;
}

void
fo_segments_progress(struct fo_segments *s, uint64_t used)
{
    pthread_mutex_lock(&s->mu);
    s->spare_goal = used + used / SPARE_LEAD_PART;
    if (s->spare == FO_SPARE_NONE || (s->spare == FO_SPARE_FILLING && s->spare_filled < s->spare_goal))
        pthread_cond_signal(&s->keeper_cond);
    pthread_mutex_unlock(&s->mu);
}

void
fo_segments_trim(struct fo_segments *s, uint64_t below)
{
    pthread_mutex_lock(&s->mu);
    if (below > s->trim_below) {
        s->trim_below = below;
        if (s->count > 1 && s->table[0].end <= below)
            pthread_cond_signal(&s->keeper_cond);
    }
    pthread_mutex_unlock(&s->mu);
}

void
fo_segments_stats(struct fo_segments *s, struct fo_journal_stats *ret_stats)
{
    unsigned first = 0;
    bool has_spare;

    pthread_mutex_lock(&s->mu);
    has_spare = s->spare == FO_SPARE_FILLING || s->spare == FO_SPARE_READY;
    while (first + 1 < s->count && s->table[first].end <= s->trim_below)
        first++;                                /* about to be deleted: nobody should be sent there any more */
    ret_stats->first_lsn = s->table[first].base;
    ret_stats->segments = s->count + has_spare;
    ret_stats->bytes_on_disk = (uint64_t)(has_spare + s->aside_count) * s->segment_bytes;
    for (unsigned i = 0; i < s->count; i++)
        ret_stats->bytes_on_disk += s->table[i].end - s->table[i].base;
    ret_stats->quarantined = s->quarantined;
    ret_stats->is_full = is_full(s, s->table[s->count - 1].end);
    pthread_mutex_unlock(&s->mu);
}

void
fo_segments_damaged(struct fo_segments *s, uint64_t base, uint64_t lsn, uint64_t bytes, const char *what)
{
    char name[FO_SEGMENT_NAME_SIZE];
    bool is_known = false;

    pthread_mutex_lock(&s->mu);
    for (unsigned i = 0; i < s->damage_count && !is_known; i++)
        is_known = s->damage_known[i] == lsn;
    if (!is_known) {
        s->quarantined++;
        if (s->damage_count < FO_SEGMENTS_DAMAGE_KNOWN_MAX)
            s->damage_known[s->damage_count++] = lsn;
    }
    pthread_mutex_unlock(&s->mu);
    if (is_known)
        return;
    fo_segment_name(base, name);
    fo_log(FO_LOG_ERROR, "journal_damaged", FO_S("segment", name), FO_I("offset", lsn - base), FO_I("bytes", bytes), FO_S("what", what));
}
