/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/fetch.h"

#include "broker/cursor.h"
#include "broker/feed.h"
#include "broker/journal_batch.h"
#include "broker/receive.h"
#include "ports/log.h"
#include "wire/fetch_answer.h"

#include <stdio.h>
#include <stdlib.h>

/* Read for one request in one step; a filter that matches nothing in it gets an empty answer and a moved cursor. */
enum { SCAN_BYTES_MAX = 8 << 20, RETRY_BUSY_MS = 500 };

struct fo_parked {
    struct fo_parked *next;
    uint64_t request;
    struct fo_msg msg;
    struct fo_buf scratch;
    struct fo_request req;              /* slices into msg or scratch */
    struct fo_instant deadline;
    struct fo_wall since;               /* from: time; us 0: any */
    uint64_t lsn;                       /* next record, and next event in it */
    uint32_t index;
};

void
fo_fetches_init(struct fo_fetches *f, struct fo_context *ctx, const struct fo_state *state, uint64_t stored_lsn)
{
    *f = (struct fo_fetches){ .ctx = ctx, .state = state, .stored_lsn = stored_lsn, .clean_from_lsn = stored_lsn, .epoch = fo_epochs_current(&state->epochs) };
    f->fresh_last = &f->fresh;
    fo_buf_init(&f->answer);
}

static void
parked_destroy(struct fo_fetches *f, struct fo_parked *p)
{
    if (p->msg.handle != NULL)
        f->ctx->transport->ops->msg_free(f->ctx->transport, &p->msg);
    fo_buf_fini(&p->scratch);
    free(p);
}

void
fo_fetches_fini(struct fo_fetches *f)
{
    while (f->parked != NULL) {
        struct fo_parked *p = f->parked;

        f->parked = p->next;
        parked_destroy(f, p);
    }
    if (f->reader != NULL)
        f->ctx->journal->ops->reader_close(f->reader);
    fo_buf_fini(&f->answer);
}

static void
cursor_format(const struct fo_fetches *f, uint64_t lsn, uint32_t index, char ret_text[FO_CURSOR_SIZE])
{
    struct fo_cursor c = { .epoch = f->epoch, .lsn = lsn, .index = index };

    snprintf(c.region, sizeof c.region, "%s", fo_context_name(f->ctx, 0));
    fo_cursor_format(&c, ret_text);
}

static void
answer_error(struct fo_fetches *f, uint64_t request, enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_ms)
{
    struct fo_journal_stats stats;
    char earliest[FO_CURSOR_SIZE];
    enum fo_err err;

    f->ctx->journal->ops->stats(f->ctx->journal, &stats);
    cursor_format(f, stats.first_lsn, 0, earliest);
    f->answer.n = 0;
    err = fault->err == FO_ERR_CURSOR_GONE ? fo_error_answer_encode_cursor(enc, fault, 0, fo_slice_str(earliest), &f->answer)
        : fo_error_answer_encode(enc, fault, retry_ms, &f->answer);
    if (err != FO_OK)
        fo_log(FO_LOG_ERROR, "answer_failed", FO_E(err));
    f->ctx->transport->ops->door_reply(f->ctx->transport, request, err == FO_OK ? fo_buf_slice(&f->answer) : fo_fallback_answer(enc));
}

/* The reader goes on with the cursor that it has. */
static void
answer_without_memory(struct fo_fetches *f, struct fo_parked *p)
{
    fo_log(FO_LOG_ERROR, "answer_failed", FO_E(FO_ERR_NO_MEMORY));
    f->ctx->transport->ops->door_reply(f->ctx->transport, p->request, fo_fallback_answer(p->req.encoding));
    parked_destroy(f, p);
}

static enum fo_err
cursor_take(const struct fo_fetches *f, struct fo_slice text, uint64_t first_lsn, struct fo_parked *p, struct fo_fault *fault)
{
    char earliest[FO_CURSOR_SIZE];
    struct fo_cursor c;

    cursor_format(f, first_lsn, 0, earliest);
    if (fo_cursor_parse(text, &c) != FO_OK)
        return fo_fault_set(fault, FO_ERR_INVALID, "cursor", "a cursor as an earlier answer gave it");
    if (strcmp(c.region, fo_context_name(f->ctx, 0)) != 0)
        return fo_fault_set(fault, FO_ERR_INVALID, "cursor", "a cursor of region %s, not %s: begin there with from: time", fo_context_name(f->ctx, 0), c.region);
    if (c.epoch != f->epoch || c.lsn > f->stored_lsn || c.index > FO_BATCH_EVENTS_MAX)
        return fo_fault_set(fault, FO_ERR_CURSOR_GONE, "cursor", "a cursor of this broker's journal; the earliest is %s", earliest);
    if (c.lsn < first_lsn)
        return fo_fault_set(fault, FO_ERR_CURSOR_GONE, "cursor", "a retained position; the earliest is %s", earliest);
    p->lsn = c.lsn;
    p->index = c.index;
    return FO_OK;
}

static enum fo_err
find_start(const struct fo_fetches *f, struct fo_parked *p, struct fo_fault *fault)
{
    struct fo_journal_stats stats;

    f->ctx->journal->ops->stats(f->ctx->journal, &stats);
    switch (p->req.from) {
    case FO_FROM_NOW:
        p->lsn = f->stored_lsn;
        return FO_OK;
    case FO_FROM_EARLIEST:
        p->lsn = stats.first_lsn;
        return FO_OK;
    case FO_FROM_TIME:
        p->lsn = fo_state_lsn_at(f->state, p->req.since);
        if (p->lsn < stats.first_lsn)
            p->lsn = stats.first_lsn;
        p->since = p->req.since;
        return FO_OK;
    case FO_FROM_CURSOR:
        return cursor_take(f, p->req.cursor, stats.first_lsn, p, fault);
    }
    return FO_ERR_INTERNAL;
}

struct fill { struct fo_fetch_answer answer; uint32_t events; uint64_t bytes; enum fo_err err; };

static bool
is_full(const struct fo_parked *p, const struct fill *fill, size_t next_bytes)
{
    return fill->events >= p->req.events_max || (fill->events > 0 && fill->bytes + next_bytes > p->req.bytes_max);
}

/* Adds the matching events of one batch from index on. is_clean: every record was judged before and is to be delivered. False: the answer is full, p->index says where to go on. */
static bool
add_batch(struct fo_fetches *f, struct fo_parked *p, struct fill *fill, const struct fo_batch_header *h, const struct fo_slice *records, bool is_clean, struct fo_wall at)
{
    char region[FO_REGION_BYTES_MAX + 1];
    bool is_any = fo_filter_is_any(&p->req.filter);

    snprintf(region, sizeof region, "%.*s", (int)h->region.n, (const char *)h->region.p);
    for (; p->index < h->count; p->index++) {
        struct fo_slice record = records[p->index];
        struct fo_event e;

        if (!is_clean && fo_receive_verdict(f->ctx, h->region, record, at, &e) != 0)
            continue;
        if (is_clean && !is_any && fo_event_view(record, &e) != FO_OK)
            continue;
        if (!is_any && !fo_filter_match(&p->req.filter, &e))
            continue;
        if (is_full(p, fill, record.n))
            return false;
        if (fo_fetch_answer_add(&fill->answer, region, (struct fo_position){ h->epoch, h->first_seq + p->index, h->lane }, record) != FO_OK)
            return false;
        fill->events++;
        fill->bytes += record.n;
    }
    p->index = 0;
    return true;
}

static bool
begin_answer(struct fo_fetches *f, struct fo_parked *p, struct fill *fill)
{
    *fill = (struct fill){ 0 };
    f->answer.n = 0;
    return fo_fetch_answer_begin(&fill->answer, p->req.encoding, &f->answer) == FO_OK;
}

/* Sends what was gathered, and the request is done. */
static void
finish_answer(struct fo_fetches *f, struct fo_parked *p, struct fill *fill)
{
    char cursor[FO_CURSOR_SIZE];

    cursor_format(f, p->lsn, p->index, cursor);
    if (fo_fetch_answer_finish(&fill->answer, fo_slice_str(cursor)) != FO_OK) {
        answer_without_memory(f, p);
        return;
    }
    f->ctx->counters.fetched_events += fill->events;
    f->ctx->transport->ops->door_reply(f->ctx->transport, p->request, fo_buf_slice(&f->answer));
    parked_destroy(f, p);
}

/* One record from the journal. False: the answer is full. */
static bool
add_record(struct fo_fetches *f, struct fo_parked *p, struct fill *fill, const struct fo_record *rec)
{
    static struct fo_journal_batch b;   /* loop thread only */

    if (rec->lsn != p->lsn)
        p->index = 0;                   /* the cursor stood on a record of another kind, or between two */
    p->lsn = rec->lsn;
    if (rec->at.us < p->since.us)
        return true;
    if (fo_journal_batch_read(f->ctx, rec, &b) != FO_OK) {
        fo_log(FO_LOG_ERROR, "journal_batch_unreadable", FO_I("lsn", rec->lsn));
        return true;
    }
    if (!(b.targets & 1))
        return true;
    return add_batch(f, p, fill, &b.header, b.record, rec->type == FO_RECORD_OWN || rec->lsn >= f->clean_from_lsn, rec->at);
}

enum scan { SCAN_FULL, SCAN_END, SCAN_ENOUGH, SCAN_FAILED };

/* Where the cursor stands no record begins. In a journal without damage nobody was given such a cursor. */
static bool
is_made_up(const struct fo_fetches *f, const struct fo_parked *p, uint64_t from, const struct fo_record *rec)
{
    struct fo_journal_stats stats;

    if (p->req.from != FO_FROM_CURSOR || rec->lsn != from || rec->type != 0)
        return false;
    f->ctx->journal->ops->stats(f->ctx->journal, &stats);
    return stats.quarantined == 0;
}

/* Reads from the cursor on until the answer is full, the durable end, or enough for one step. What a client can bring about by its
 * cursor is not logged, and damage is by the journal, once. */
static enum scan
scan_journal(struct fo_fetches *f, struct fo_parked *p, struct fill *fill)
{
    const struct fo_journal_ops *ops = f->ctx->journal->ops;
    uint64_t from = p->lsn;
    enum fo_err err = FO_OK;

    if (f->reader == NULL)
        err = ops->reader_open(f->ctx->journal, p->lsn, &f->reader);
    else if (ops->reader_lsn(f->reader) != p->lsn)
        err = ops->reader_seek(f->reader, p->lsn);
    while (err == FO_OK && p->lsn < f->stored_lsn) {
        struct fo_record rec;

        err = ops->read_next(f->reader, 7, 1u << FO_RECORD_OWN | 1u << FO_RECORD_RECEIVED, &rec);
        if (err == FO_ERR_CORRUPT && is_made_up(f, p, from, &rec))
            err = FO_ERR_INVALID;
        if (err == FO_ERR_CORRUPT) {
            p->lsn = ops->reader_lsn(f->reader);
            p->index = 0;
            err = FO_OK;
            continue;
        }
        if (err != FO_OK || rec.lsn >= f->stored_lsn)
            break;
        if (!add_record(f, p, fill, &rec))
            return SCAN_FULL;
        p->lsn = rec.next_lsn;
        if (rec.next_lsn - from > SCAN_BYTES_MAX)
            return SCAN_ENOUGH;
    }
    if (err != FO_OK && err != FO_ERR_NOT_FOUND) {
        if (err != FO_ERR_INVALID && err != FO_ERR_CURSOR_GONE)
            fo_log(FO_LOG_ERROR, "journal_read_failed", FO_E(err), FO_I("lsn", p->lsn));
        fill->err = err;
        return SCAN_FAILED;             /* the cursor stays: what could not be read is not stepped over */
    }
    p->lsn = f->stored_lsn;
    p->index = 0;
    return SCAN_END;
}

void
fo_fetches_request(struct fo_fetches *f, uint64_t request, const struct fo_request *req, struct fo_msg *take_msg, struct fo_buf *take_scratch)
{
    struct fo_parked *p = calloc(1, sizeof *p);
    struct fo_fault fault;
    struct fill fill;
    enum scan scan;
    enum fo_err err = p != NULL ? FO_OK : fo_fault_set(&fault, FO_ERR_NO_MEMORY, "", "memory; retry later");

    if (p != NULL) {
        p->request = request;
        p->req = *req;
        p->msg = *take_msg;
        p->scratch = *take_scratch;
        *take_msg = (struct fo_msg){ 0 };
        fo_buf_init(take_scratch);
        p->deadline = fo_instant_add(f->ctx->now, fo_duration_ms(req->timeout_ms));
        err = f->parked_count < f->ctx->config->limits.fetches_max ? find_start(f, p, &fault)
            : fo_fault_set(&fault, FO_ERR_BUSY, "", "fewer fetches at once; limits.fetches_max are parked");
        if (err == FO_OK && !begin_answer(f, p, &fill))
            err = fo_fault_set(&fault, FO_ERR_NO_MEMORY, "", "memory; retry later");
    }
    if (err != FO_OK) {
        answer_error(f, request, req->encoding, &fault, err == FO_ERR_BUSY ? RETRY_BUSY_MS : 0);
        if (p != NULL) {
            parked_destroy(f, p);
            return;
        }
        f->ctx->transport->ops->msg_free(f->ctx->transport, take_msg);
        fo_buf_fini(take_scratch);
        return;
    }
    scan = scan_journal(f, p, &fill);
    if (scan == SCAN_FAILED && fill.events == 0) {
        if (fill.err == FO_ERR_INVALID)
            (void)fo_fault_set(&fault, FO_ERR_INVALID, "cursor", "a cursor as an earlier answer gave it");
        else
            (void)fo_fault_set(&fault, fill.err == FO_ERR_CURSOR_GONE ? FO_ERR_CURSOR_GONE : FO_ERR_UNAVAILABLE, "cursor", "a position that can be read now; retry later");
        answer_error(f, request, req->encoding, &fault, fill.err == FO_ERR_INVALID ? 0 : RETRY_BUSY_MS);
        parked_destroy(f, p);
        return;
    }
    if (scan != SCAN_END || fill.events > 0 || req->timeout_ms == 0) {
        finish_answer(f, p, &fill);
        return;
    }
    p->next = f->parked;
    f->parked = p;
    f->parked_count++;
}

void
fo_fetches_add(struct fo_fetches *f, struct fo_batch **take_batch)
{
    for (uint32_t i = 0; !(*take_batch)->is_own && i < (*take_batch)->count; i++)
        if ((*take_batch)->verdict[i] != 0)
            f->clean_from_lsn = (*take_batch)->lsn + 1;
    *f->fresh_last = *take_batch;
    f->fresh_last = &(*take_batch)->next;
    *f->fresh_last = NULL;
    *take_batch = NULL;
}

/* True: answered and gone. */
static bool
serve(struct fo_fetches *f, struct fo_parked *p)
{
    struct fill fill;
    bool has_room = begin_answer(f, p, &fill);

    for (const struct fo_batch *b = f->fresh; b != NULL && has_room; b = b->next) {
        if (!(b->targets & 1) || b->lsn < p->lsn)
            continue;
        p->lsn = b->lsn;
        p->index = 0;
        has_room = add_batch(f, p, &fill, &b->header, b->record, b->is_own || b->lsn >= f->clean_from_lsn, b->at);
    }
    if (has_room) {
        p->lsn = f->stored_lsn;
        p->index = 0;
    }
    if (fill.events == 0 && has_room)
        return false;
    if (fill.events == 0)
        answer_without_memory(f, p);        /* parked on, it would miss what could not be added */
    else
        finish_answer(f, p, &fill);
    return true;
}

void
fo_fetches_deliver(struct fo_fetches *f, struct fo_batch_pool *pool, uint64_t stored_lsn)
{
    f->stored_lsn = stored_lsn;
    for (struct fo_parked **at = &f->parked; *at != NULL;) {
        struct fo_parked *next = (*at)->next;

        if (serve(f, *at)) {
            *at = next;
            f->parked_count--;
        } else {
            at = &(*at)->next;
        }
    }
    while (f->fresh != NULL) {
        struct fo_batch *b = f->fresh;

        f->fresh = b->next;
        if (b->targets & 1 && f->ctx->transport->ops->feed_has_subscribers(f->ctx->transport))
            fo_feed_batch(f->ctx, b);
        fo_batch_give_back(pool, f->ctx->transport, &b);
    }
    f->fresh_last = &f->fresh;
}

struct fo_instant
fo_fetches_check_deadlines(struct fo_fetches *f, bool all)
{
    struct fo_instant next = { INT64_MAX };

    for (struct fo_parked **at = &f->parked; *at != NULL;) {
        struct fo_parked *p = *at;
        struct fill fill;

        if (!all && fo_instant_is_before(f->ctx->now, p->deadline)) {
            if (fo_instant_is_before(p->deadline, next))
                next = p->deadline;
            at = &p->next;
            continue;
        }
        *at = p->next;
        f->parked_count--;
        if (begin_answer(f, p, &fill))
            finish_answer(f, p, &fill);
        else
            answer_without_memory(f, p);
    }
    return next;
}
