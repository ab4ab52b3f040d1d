/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/fetch.h"

#include "broker/answer.h"
#include "broker/feed.h"
#include "ports/log.h"

#include <stdio.h>
#include <stdlib.h>

/* To a reader that is far behind an answer gives little, however much was asked for: what is urgent next need not wait for it to go
 * out. One that all but keeps up is through with what is left in a moment, and gets it in few answers, as each has its price; but
 * half a mebibyte, which stays in the core's cache from the record to the socket, is cheaper than one. */
enum { FAR_BYTES = 8 << 20, FAR_ANSWER_BYTES_MAX = 64 << 10, NEAR_ANSWER_BYTES_MAX = 512 << 10, RETRY_BUSY_MS = 500 };
enum { SEARCH_BYTES_MIN = 1 << 10 };    /* a shorter search for nothing is not worth remembering */

void
fo_fetches_init(struct fo_fetches *f, struct fo_context *ctx, const struct fo_state *state, struct fo_batch_pool *pool, uint64_t stored_lsn)
{
    *f = (struct fo_fetches){ .ctx = ctx, .epoch = fo_epochs_current(&state->epochs), .through = { .ctx = ctx } };
    f->fresh_last = &f->fresh;
    fo_backlog_init(&f->backlog, ctx, state, pool, stored_lsn);
    fo_audience_init(&f->audience);
    fo_recent_init(&f->recent);
    fo_buf_init(&f->answer);
}

void
fo_fetches_fini(struct fo_fetches *f)
{
    fo_audience_fini(&f->audience);
    fo_backlog_fini(&f->backlog);
    fo_recent_fini(&f->recent);
    fo_buf_fini(&f->answer);
}

static void
stand_format(const struct fo_fetches *f, const struct fo_stand *stand, char ret_text[FO_CURSOR_SIZE])
{
    struct fo_cursor c = { .epoch = f->epoch, .stand = *stand };

    snprintf(c.region, sizeof c.region, "%s", fo_context_name(f->ctx, 0));
    fo_cursor_format(&c, ret_text);
}

/* In every lane the same place. */
static struct fo_stand
stand_at(uint64_t lsn, struct fo_wall since)
{
    struct fo_stand s = { .since = since };

    for (int i = 0; i < FO_LANES; i++)
        s.lane[i].lsn = lsn;
    return s;
}

static void
reply(struct fo_fetches *f, uint64_t request, struct fo_slice answer)
{
    f->ctx->transport->ops->door_reply(f->ctx->transport, request, answer);
}

/* earliest: where to go on when the cursor is gone. */
static void
answer_error(struct fo_fetches *f, uint64_t request, enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_ms, const struct fo_stand *earliest)
{
    char cursor[FO_CURSOR_SIZE];
    enum fo_err err;

    stand_format(f, earliest, cursor);
    f->answer.n = 0;
    err = fault->err == FO_ERR_CURSOR_GONE ? fo_error_answer_encode_cursor(enc, fault, 0, fo_slice_str(cursor), &f->answer)
        : fo_error_answer_encode(enc, fault, retry_ms, &f->answer);
    fo_answer_send(f->ctx, request, enc, err, fo_buf_slice(&f->answer));
}

/* The finished answer; without memory for it, one that leaves the reader with the cursor that it has. left_at: when what it leaves was
 * appended, or later. */
static struct fo_slice
finish(struct fo_fetches *f, struct fo_fill *fill, const struct fo_stand *stand, struct fo_wall left_at)
{
    struct fo_wall through = fo_through_now(&f->through);
    char cursor[FO_CURSOR_SIZE];

    if (f->fresh != NULL)
        left_at = fo_wall_earlier(left_at, f->fresh->at);
    through = fo_wall_earlier(through, left_at);
    stand_format(f, stand, cursor);
    if (fo_fetch_answer_finish(&fill->answer, fo_slice_str(cursor), through) == FO_OK)
        return fo_buf_slice(&f->answer);
    fo_log(FO_LOG_ERROR, "answer_failed", FO_E(FO_ERR_NO_MEMORY));
    return fo_fallback_answer(fill->answer.enc);
}

static uint64_t
first_lsn(const struct fo_fetches *f)
{
    struct fo_journal_stats stats;

    f->ctx->journal->ops->stats(f->ctx->journal, &stats);
    return stats.first_lsn;
}

static enum fo_err
cursor_take(const struct fo_fetches *f, struct fo_slice text, uint64_t first, struct fo_stand *ret_stand, struct fo_fault *fault)
{
    struct fo_cursor c;
    bool is_ours;

    *ret_stand = stand_at(first, (struct fo_wall){ 0 });
    if (fo_cursor_parse(text, &c) != FO_OK)
        return fo_fault_set(fault, FO_ERR_INVALID, "cursor", "a cursor as an earlier answer gave it");
    if (strcmp(c.region, fo_context_name(f->ctx, 0)) != 0)
        return fo_fault_set(fault, FO_ERR_INVALID, "cursor", "a cursor of region %s, not %s: begin there with from: time", fo_context_name(f->ctx, 0), c.region);
    is_ours = c.epoch == f->epoch;
    for (int i = 0; i < FO_LANES; i++)
        is_ours &= c.stand.lane[i].lsn <= f->backlog.stored_lsn && c.stand.lane[i].index <= FO_BATCH_EVENTS_MAX;
    if (!is_ours)
        return fo_fault_set(fault, FO_ERR_CURSOR_GONE, "cursor", "a cursor of this broker's journal; the answer's cursor is the earliest");
    *ret_stand = c.stand;
    if (fo_backlog_clamp(&f->backlog, first, ret_stand))
        return fo_fault_set(fault, FO_ERR_CURSOR_GONE, "cursor", "a retained position; the answer's cursor is the earliest");
    return FO_OK;
}

/* ret_stand is set in any case: when the cursor is gone, to the earliest. */
static enum fo_err
find_start(const struct fo_fetches *f, const struct fo_request *req, struct fo_stand *ret_stand, struct fo_fault *fault)
{
    struct fo_wall none = { 0 };
    uint64_t first = first_lsn(f), lsn;

    switch (req->from) {
    case FO_FROM_NOW:
        *ret_stand = stand_at(f->backlog.stored_lsn, none);
        return FO_OK;
    case FO_FROM_EARLIEST:
        *ret_stand = stand_at(first, none);
        return FO_OK;
    case FO_FROM_TIME:
        lsn = fo_state_lsn_at(f->backlog.state, req->since);
        *ret_stand = stand_at(lsn > first ? lsn : first, req->since.us > 0 ? req->since : none);
        return FO_OK;
    case FO_FROM_CURSOR:
        return cursor_take(f, req->cursor, first, ret_stand, fault);
    }
    return FO_ERR_INTERNAL;
}

static void
answer_unread(struct fo_fetches *f, uint64_t request, const struct fo_request *req, enum fo_err err, const struct fo_stand *stand)
{
    struct fo_stand earliest = *stand;
    struct fo_fault fault;

    if (err == FO_ERR_INVALID)
        (void)fo_fault_set(&fault, FO_ERR_INVALID, "cursor", "a cursor as an earlier answer gave it");
    else
        (void)fo_fault_set(&fault, err == FO_ERR_CURSOR_GONE ? FO_ERR_CURSOR_GONE : FO_ERR_UNAVAILABLE, "cursor", "a position that can be read now; retry later");
    (void)fo_backlog_clamp(&f->backlog, first_lsn(f), &earliest);
    if (err != FO_ERR_INVALID && err != FO_ERR_CURSOR_GONE)
        fo_log(FO_LOG_ERROR, "journal_read_failed", FO_E(err), FO_I("lsn", stand->lane[FO_LANE_NORMAL].lsn));
    answer_error(f, request, req->encoding, &fault, err == FO_ERR_INVALID ? 0 : RETRY_BUSY_MS, &earliest);
}

static uint64_t
near_bytes_max(uint32_t asked)
{
    return asked < NEAR_ANSWER_BYTES_MAX ? asked : NEAR_ANSWER_BYTES_MAX;
}

static uint64_t
bytes_max_at(const struct fo_fetches *f, const struct fo_request *req, const struct fo_stand *stand)
{
    uint64_t most = near_bytes_max(req->bytes_max);

    for (int i = 0; i < FO_LANES; i++)
        if (f->backlog.stored_lsn - stand->lane[i].lsn > FAR_BYTES)
            most = req->bytes_max < FAR_ANSWER_BYTES_MAX ? req->bytes_max : FAR_ANSWER_BYTES_MAX;
    return most;
}

static enum fo_err
begin(struct fo_fetches *f, const struct fo_request *req, struct fo_slice key, struct fo_stand *ret_stand, struct fo_fill *ret_fill, struct fo_fault *fault)
{
    const struct fo_stand *searched;
    enum fo_err err;

    *ret_stand = stand_at(0, (struct fo_wall){ 0 });
    if (f->audience.parked_count >= f->ctx->config->limits.fetches_max)
        return fo_fault_set(fault, FO_ERR_BUSY, "", "fewer fetches at once; limits.fetches_max are parked");
    if (req->filter.region.n > 0 && fo_context_region(f->ctx, req->filter.region) < 0)
        return fo_region_names_fault(&f->ctx->regions, "filter.region", fault);
    err = find_start(f, req, ret_stand, fault);
    if (err == FO_OK && (searched = fo_recent_searched(&f->recent, key)) != NULL)
        *ret_stand = *searched;
    if (err == FO_OK && fo_fill_begin(ret_fill, f->ctx, req->encoding, req->events_max, bytes_max_at(f, req, ret_stand), &f->answer) != FO_OK)
        err = fo_fault_set(fault, FO_ERR_NO_MEMORY, "", "memory; retry later");
    return err;
}

/* The same answer again, unless a high event has come that it does not have, or what it has may be gone. */
static bool
answer_again(struct fo_fetches *f, uint64_t request, struct fo_slice key)
{
    const struct fo_recent_answer *a = key.n > 0 ? fo_recent_find(&f->recent, key) : NULL;

    if (a == NULL || a->first_lsn != first_lsn(f) || fo_gaps_next(&f->backlog.state->gaps[FO_LANE_HIGH], a->high_lsn) < f->backlog.stored_lsn)
        return false;
    f->ctx->counters.fetched_events += a->events;
    reply(f, request, fo_recent_body(a));
    return true;
}

static void
answer_filled(struct fo_fetches *f, uint64_t request, struct fo_slice key, struct fo_fill *fill, const struct fo_stand *stand, struct fo_wall left_at)
{
    struct fo_slice body = finish(f, fill, stand, left_at);

    if (key.n > 0 && fo_fill_events(fill) > 0 && body.p == f->answer.p)
        fo_recent_note(&f->recent, key, body, fo_fill_events(fill), stand->lane[FO_LANE_HIGH].lsn, first_lsn(f));
    f->ctx->counters.fetched_events += fo_fill_events(fill);
    reply(f, request, body);
}

void
fo_fetches_request(struct fo_fetches *f, uint64_t request, const struct fo_request *req)
{
    uint8_t bytes[FO_RECENT_KEY_BYTES_MAX];
    struct fo_writer key = fo_writer_of(bytes, sizeof bytes);
    struct fo_slice asked;                  /* empty: by no cursor */
    struct fo_stand stand;
    struct fo_fault fault;
    struct fo_fill fill;
    enum fo_backlog_end end;
    struct fo_wall left_at;
    uint64_t from_lsn;
    enum fo_err err;

    if (req->from == FO_FROM_CURSOR && req->cursor.n < FO_CURSOR_SIZE) {
        fo_wish_write(req, req->since, &key);
        fo_write_bytes(&key, req->cursor.p, req->cursor.n);
    }
    asked = fo_slice_of(bytes, key.n);
    if (answer_again(f, request, asked))
        return;
    err = begin(f, req, asked, &stand, &fill, &fault);
    if (err != FO_OK) {
        answer_error(f, request, req->encoding, &fault, err == FO_ERR_BUSY ? RETRY_BUSY_MS : 0, &stand);
        return;
    }
    from_lsn = stand.lane[FO_LANE_NORMAL].lsn;
    fo_tail_want(&f->backlog.tail, from_lsn);
    end = fo_backlog_read(&f->backlog, &req->filter, req->from == FO_FROM_CURSOR, &stand, &fill, &left_at, &err);
    if (end == FO_BACKLOG_FAILED && fo_fill_events(&fill) == 0) {
        answer_unread(f, request, req, err, &stand);
        return;
    }
    if (end == FO_BACKLOG_END) {
        stand.turn = 0;                     /* nobody is owed anything */
        if (stand.since.us <= f->ctx->wall.us)
            stand.since.us = 0;
    }
    if (end == FO_BACKLOG_END && fo_fill_events(&fill) == 0) {
        if (asked.n > 0 && stand.lane[FO_LANE_NORMAL].lsn - from_lsn >= SEARCH_BYTES_MIN)
            fo_recent_note_search(&f->recent, asked, &stand);
        if (req->timeout_ms > 0 && fo_audience_park(&f->audience, request, req, stand.since,
                fo_instant_add(f->ctx->now, fo_duration_ms(req->timeout_ms))) == FO_OK)
            return;
    }
    answer_filled(f, request, asked, &fill, &stand, left_at);
}

void
fo_fetches_add(struct fo_fetches *f, struct fo_batch **take_batch)
{
    for (uint32_t i = 0; !(*take_batch)->is_own && i < (*take_batch)->count; i++)
        if ((*take_batch)->verdict[i] != 0)
            f->backlog.clean_from_lsn = (*take_batch)->lsn + 1;
    fo_through_note(&f->through, *take_batch);
    *f->fresh_last = *take_batch;
    f->fresh_last = &(*take_batch)->next;
    *f->fresh_last = NULL;
    *take_batch = NULL;
}

/* One lane of what has just become durable: all of it, or what a group has been shown. */
struct fresh { const struct fo_batch *batch; uint32_t index, hit; };

/* To the next event at or behind the index. False: none is left. */
static bool
find_shown(const struct fo_group *g, enum fo_lane lane, struct fresh *s)
{
    for (; s->batch != NULL; s->batch = s->batch->next, s->index = 0) {
        if (!(s->batch->targets & 1) || s->batch->header.lane != lane || s->batch->at.us < g->since.us)
            continue;
        while (s->index < s->batch->count && !fo_batch_is_shown(s->batch, s->index))
            s->index++;
        if (s->index < s->batch->count)
            return true;
    }
    return false;
}

static bool
find_hit(const struct fo_audience *a, struct fresh *s)
{
    const struct fo_hit *hit;

    if (s->hit == FO_HIT_NONE)
        return false;
    hit = fo_audience_hit(a, s->hit);
    s->batch = hit->batch;
    s->index = hit->index;
    return true;
}

static void
step(const struct fo_audience *a, const struct fo_group *g, struct fresh *s)
{
    if (g->is_any)
        s->index++;
    else
        s->hit = fo_audience_hit(a, s->hit)->next;
}

/* False: not all fits; stand says where to go on, and ret_left_at when the first of what is left was appended. */
static bool
fill_fresh(const struct fo_fetches *f, const struct fo_group *g, struct fo_fill *fill, struct fo_stand *stand, struct fo_wall *ret_left_at)
{
    struct fresh lane[FO_LANES];

    for (int i = 0; i < FO_LANES; i++)
        lane[i] = (struct fresh){ f->fresh, 0, g->hits[i].first };
    for (;;) {
        unsigned ready = 0;
        struct fresh *s;

        for (int i = 0; i < FO_LANES; i++)
            if (g->is_any ? find_shown(g, (enum fo_lane)i, &lane[i]) : find_hit(&f->audience, &lane[i]))
                ready |= 1u << i;
        if (ready == 0)
            return true;
        s = &lane[fo_turn_lane(stand->turn, ready)];
        if (fo_fill_add(fill, stand, &(struct fo_offer){ &s->batch->header, fo_context_name(f->ctx, s->batch->source), s->index, s->batch->record[s->index] })) {
            step(&f->audience, g, s);
            continue;
        }
        for (int i = 0; i < FO_LANES; i++) {
            if (!(ready >> i & 1))
                continue;
            stand->lane[i] = (struct fo_place){ lane[i].batch->lsn, lane[i].index };
            *ret_left_at = fo_wall_earlier(*ret_left_at, lane[i].batch->at);
        }
        return false;
    }
}

/* Sends one answer to those of a group that are over time, or to all. */
static void
reply_group(struct fo_fetches *f, struct fo_group *g, struct fo_slice answer, uint32_t events, bool all)
{
    struct fo_parked *p = fo_audience_take(&f->audience, g, f->ctx->now, all);

    while (p != NULL) {
        struct fo_parked *next = p->next;

        f->ctx->counters.fetched_events += events;
        reply(f, p->request, answer);
        free(p);
        p = next;
    }
}

static void
serve(struct fo_fetches *f, struct fo_group *g)
{
    struct fo_stand stand = stand_at(f->backlog.stored_lsn, g->since);
    struct fo_wall left_at = { INT64_MAX };
    struct fo_fill fill;
    bool has_room = true, is_begun;

    is_begun = !g->is_short_of_memory && fo_fill_begin(&fill, f->ctx, g->encoding, g->events_max, near_bytes_max(g->bytes_max), &f->answer) == FO_OK;
    if (is_begun)
        has_room = fill_fresh(f, g, &fill, &stand, &left_at);
    if (is_begun && has_room && fo_fill_events(&fill) == 0)
        return;
    if (has_room)
        stand.turn = 0;
    if (!is_begun || fo_fill_events(&fill) == 0) {
        fo_log(FO_LOG_ERROR, "answer_failed", FO_E(FO_ERR_NO_MEMORY));
        reply_group(f, g, fo_fallback_answer(g->encoding), 0, true);    /* parked on, they would miss what could not be added */
        return;
    }
    reply_group(f, g, finish(f, &fill, &stand, left_at), fo_fill_events(&fill), true);
}

void
fo_fetches_deliver(struct fo_fetches *f, uint64_t stored_lsn)
{
    f->backlog.stored_lsn = stored_lsn;
    for (const struct fo_batch *b = f->fresh; b != NULL; b = b->next)
        fo_audience_hear(&f->audience, b);
    for (struct fo_group *g = f->audience.heard, *next; g != NULL; g = next) {
        next = g->heard_next;
        serve(f, g);
    }
    for (struct fo_group *g = f->audience.groups[true], *next; f->fresh != NULL && g != NULL; g = next) {
        next = g->next;
        serve(f, g);
    }
    fo_audience_forget_hits(&f->audience);
    while (f->fresh != NULL) {
        struct fo_batch *b = f->fresh;

        f->fresh = b->next;
        if (b->targets & 1 && f->ctx->transport->ops->feed_has_subscribers(f->ctx->transport))
            fo_feed_batch(f->ctx, b);
        fo_tail_add(&f->backlog.tail, &b);
    }
    fo_tail_end(&f->backlog.tail, stored_lsn);
    f->fresh_last = &f->fresh;
}

static void
answer_late(struct fo_fetches *f, struct fo_group *g, bool all)
{
    struct fo_stand stand = stand_at(f->backlog.stored_lsn, g->since);
    struct fo_fill fill;

    if (stand.since.us <= f->ctx->wall.us)
        stand.since.us = 0;
    if (fo_fill_begin(&fill, f->ctx, g->encoding, g->events_max, g->bytes_max, &f->answer) == FO_OK)
        reply_group(f, g, finish(f, &fill, &stand, (struct fo_wall){ INT64_MAX }), 0, all);
    else
        reply_group(f, g, fo_fallback_answer(g->encoding), 0, all);
}

/* Notes the next deadline. */
static bool
is_anybody_late(struct fo_fetches *f, const struct fo_group *g)
{
    bool is_late = false;

    for (const struct fo_parked *p = g->parked; p != NULL; p = p->next) {
        if (!fo_instant_is_before(f->ctx->now, p->deadline))
            is_late = true;
        else if (fo_instant_is_before(p->deadline, f->audience.deadline))
            f->audience.deadline = p->deadline;
    }
    return is_late;
}

struct fo_instant
fo_fetches_check_deadlines(struct fo_fetches *f, bool all)
{
    struct fo_audience *a = &f->audience;

    if (!all && fo_instant_is_before(f->ctx->now, a->deadline))
        return a->deadline;
    a->deadline = (struct fo_instant){ INT64_MAX };
    for (int i = 0; i < 2; i++)
        for (struct fo_group *g = a->groups[i], *next; g != NULL; g = next) {
            next = g->next;
            if (all || is_anybody_late(f, g))
                answer_late(f, g, all);
        }
    return a->deadline;
}
