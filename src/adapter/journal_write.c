/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's half: laying records out in LSN and gathering them; journal_flush.c is the writer thread's half. */
#include "adapter/journal_write.h"

#include <stdlib.h>
#include <unistd.h>

#include "adapter/journal_flush.h"
#include "base/assert.h"

static enum fo_err
group_init(struct fo_group *g)
{
    *g = (struct fo_group){
        .entries = calloc(FO_GROUP_RECORDS_MAX, sizeof *g->entries),
        .iov = calloc(FO_GROUP_IOVECS_MAX, sizeof *g->iov),
        .headers = calloc(FO_GROUP_RECORDS_MAX, FO_RECORD_HEADER_BYTES),
    };
    return g->entries && g->iov && g->headers ? FO_OK : FO_ERR_NO_MEMORY;
}

static void
group_fini(struct fo_group *g)
{
    free(g->entries);
    free(g->iov);
    free(g->headers);
}

enum fo_err
fo_journal_writer_init(struct fo_journal_writer *w, struct fo_segments *segments, uint32_t record_bytes_max, bool is_synced,
    fo_journal_stored_fn stored, void *stored_ctx, struct fo_journal_end end)
{
    pthread_condattr_t attr;

    *w = (struct fo_journal_writer){
        .segments = segments, .segment_bytes = segments->segment_bytes, .record_bytes_max = record_bytes_max, .is_synced = is_synced,
        .stored = stored, .stored_ctx = stored_ctx, .fd = end.fd, .fd_base = end.fd_base,
        .fd_end = end.fd_base == end.segment.base ? end.segment.end : end.segment.base, .append_lsn = end.lsn,
        .segment_base = end.segment.base, .segment_end = end.segment.end, .is_segment_awaited = end.fd_base != end.segment.base,
    };
    atomic_init(&w->end_lsn, end.lsn);
    atomic_init(&w->durable_lsn, end.lsn);
    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (group_init(&w->group[0]) != FO_OK || group_init(&w->group[1]) != FO_OK)
        return FO_ERR_NO_MEMORY;
    if (w->is_segment_awaited)
        fo_segments_progress(segments, 1);      /* has the keeper begin with it */
    if (pthread_create(&w->thread, NULL, fo_journal_flush_main, w) != 0)
        return FO_ERR_NO_MEMORY;
    w->has_thread = true;
    return FO_OK;
}

void
fo_journal_writer_fini(struct fo_journal_writer *w)
{
    if (w->has_thread) {
        pthread_mutex_lock(&w->mu);
        w->is_stopping = true;
        pthread_cond_signal(&w->cond);
        pthread_mutex_unlock(&w->mu);
        pthread_join(w->thread, NULL);
    }
    close(w->fd);
    group_fini(&w->group[0]);
    group_fini(&w->group[1]);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mu);
}

/* What is left for a record, header included, with the END marker's own room kept. */
static uint64_t
room_left(const struct fo_journal_writer *w)
{
    return w->segment_end - w->append_lsn - fo_record_size(0);
}

static bool
is_segment_new(const struct fo_journal_writer *w)
{
    return w->append_lsn == w->segment_base + FO_SEGMENT_HEADER_BYTES;
}

bool
fo_journal_writer_wants_checkpoint(const struct fo_journal_writer *w)
{
    return is_segment_new(w) || room_left(w) < fo_record_size(w->record_bytes_max);
}

/* A CHECKPOINT may take all of a segment but the room of one more record. */
static uint64_t
length_max(const struct fo_journal_writer *w, enum fo_record_type type)
{
    if (type != FO_RECORD_CHECKPOINT)
        return w->record_bytes_max;
    return w->segment_bytes - FO_SEGMENT_HEADER_BYTES - fo_record_size(0) - fo_record_size(w->record_bytes_max) - fo_record_size(0);
}

static struct fo_group_entry *
group_add(struct fo_journal_writer *w, struct fo_group *g, struct fo_record_header h)
{
    struct fo_group_entry *e = &g->entries[g->count];

    h.lsn = w->append_lsn;
    h.group_lsn = g->count == 0 ? h.lsn : g->entries[0].h.lsn;
    *e = (struct fo_group_entry){.h = h, .segment_base = w->segment_base, .iov_first = g->iov_count, .iov_count = 1};
    g->iov[g->iov_count++] = (struct iovec){g->headers + g->count * FO_RECORD_HEADER_BYTES, FO_RECORD_HEADER_BYTES};
    g->count++;
    w->append_lsn += fo_record_size(h.length);
    return e;
}

static void
group_add_body(struct fo_group *g, struct fo_group_entry *e, const struct fo_slice *body, unsigned parts)
{
    static uint8_t zeros[FO_RECORD_ALIGN];
    size_t padding = (size_t)(fo_record_size(e->h.length) - FO_RECORD_HEADER_BYTES - e->h.length);

    for (unsigned i = 0; i < parts; i++)
        if (body[i].n > 0)
            g->iov[g->iov_count++] = (struct iovec){(void *)(uintptr_t)body[i].p, body[i].n};
    if (padding > 0)
        g->iov[g->iov_count++] = (struct iovec){zeros, padding};
    e->iov_count = g->iov_count - e->iov_first;
}

static void
roll(struct fo_journal_writer *w, struct fo_group *g, struct fo_wall at)
{
    group_add(w, g, (struct fo_record_header){.type = FO_RECORD_END, .at_us = at.us});
    w->segment_base = w->segment_end;
    w->segment_end += w->segment_bytes;
    w->append_lsn = w->segment_base + FO_SEGMENT_HEADER_BYTES;
    g->rolls++;
}

enum fo_err
fo_journal_writer_append(struct fo_journal_writer *w, enum fo_record_type type, enum fo_lane lane, uint32_t count, struct fo_wall at,
    const struct fo_slice *body, unsigned parts, uint64_t *ret_lsn)
{
    struct fo_group *g = &w->group[w->gathering];
    struct fo_group_entry *e;
    uint64_t length = 0;
    bool must_roll;
    enum fo_err err = atomic_load_explicit(&w->failed, memory_order_relaxed);

    fo_assert(type >= FO_RECORD_CHECKPOINT && type <= FO_RECORD_ACK && (unsigned)lane < FO_LANES && parts <= FO_APPEND_PARTS_MAX);
    if (err != FO_OK)
        return err;
    for (unsigned i = 0; i < parts; i++)
        length += body[i].n;
    if (length > length_max(w, type))
        return FO_ERR_TOO_LARGE;
    must_roll = fo_record_size(length) > room_left(w) ||
                (type == FO_RECORD_CHECKPOINT && !is_segment_new(w) && fo_journal_writer_wants_checkpoint(w));
    if (type != FO_RECORD_CHECKPOINT && (must_roll || is_segment_new(w)))
        return FO_ERR_INVALID;      /* a CHECKPOINT is due first */
    if (g->count + 2 > FO_GROUP_RECORDS_MAX || g->iov_count + parts + 3 > FO_GROUP_IOVECS_MAX ||
        (must_roll && g->rolls == FO_GROUP_ROLLS_MAX))
        return FO_ERR_FULL;
    if (must_roll || w->is_segment_awaited) {
        err = fo_segments_may_roll(w->segments, must_roll ? w->segment_end : w->segment_base);
        if (err != FO_OK)
            return err;
        w->is_segment_awaited = false;
    }
    if (must_roll)
        roll(w, g, at);
    *ret_lsn = w->append_lsn;
    e = group_add(w, g, (struct fo_record_header){.type = (uint8_t)type, .lane = (uint8_t)lane, .count = count, .at_us = at.us,
        .length = (uint32_t)length});
    group_add_body(g, e, body, parts);
    atomic_store_explicit(&w->end_lsn, w->append_lsn, memory_order_relaxed);
    return FO_OK;
}

bool
fo_journal_writer_commit(struct fo_journal_writer *w)
{
    bool is_handed = true;

    pthread_mutex_lock(&w->mu);
    if (w->state == FO_WRITER_IDLE && w->group[w->gathering].count > 0)
        w->gathering = !w->gathering;
    else if (w->state != FO_WRITER_RETRY)
        is_handed = false;
    if (is_handed) {
        w->state = FO_WRITER_BUSY;
        pthread_cond_signal(&w->cond);
    }
    pthread_mutex_unlock(&w->mu);
    return is_handed;
}
