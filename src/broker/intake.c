/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/intake.h"

#include "base/uuid.h"
#include "broker/answer.h"
#include "ports/log.h"
#include "wire/fingerprint.h"

#include <stdlib.h>

enum { RETRY_BUSY_MS = 100, RETRY_NO_SPACE_MS = 1000 };
enum { LENGTH_BYTES = 4, BODY_BYTES_MIN = 64 << 10, WINDOW_PARTS = 4, EVENTS_AHEAD = 16 };

void
fo_intake_init(struct fo_intake *in, const struct fo_state *state)
{
    in->epoch = fo_epochs_current(&state->epochs);
    in->epochs = &state->epochs;
    memcpy(in->last_seq, state->last_seq, sizeof in->last_seq);
    memcpy(in->tail_seq, state->tail_seq, sizeof in->tail_seq);
    memcpy(in->prev_root, state->prev_root, sizeof in->prev_root);
    fo_gather_init(&in->gather, (struct fo_duration){ in->ctx->config->limits.gather_us_max * INT64_C(1000) });
}

void
fo_intake_fini(struct fo_intake *in)
{
    for (int i = 0; i < FO_LANES; i++)
        if (in->open[i] != NULL)
            fo_batch_give_back(in->pool, in->ctx->transport, &in->open[i]);
}

bool
fo_intake_begin_epoch(struct fo_intake *in, uint64_t epoch)
{
    for (int i = 0; i < FO_LANES; i++)
        if (in->last_seq[i] > 0)
            return false;
    in->epoch = epoch;
    return true;
}

static void
fill_header(struct fo_intake *in, enum fo_lane lane, struct fo_batch *b)
{
    struct fo_batch_header *h = &b->header;
    uint64_t last = in->last_seq[lane];

    h->region = fo_slice_str(fo_context_name(in->ctx, 0));
    h->key_id = in->ctx->key->public_half.id;
    h->epoch = in->epoch;
    h->lane = lane;
    h->count = b->count;
    h->first_seq = last - b->count + 1;
    h->sealed_at = in->ctx->wall;
    h->is_awaited = b->is_awaited;
    h->target_count = 0;
    for (fo_region_set t = b->targets; t != 0; t &= t - 1) {
        unsigned r = (unsigned)__builtin_ctzll(t);

        h->target[h->target_count++] = (struct fo_target){ fo_slice_str(fo_context_name(in->ctx, r)), in->tail_seq[r][lane], fo_epochs_prev(in->epochs, lane, in->epoch, in->tail_seq[r][lane]) };
        in->tail_seq[r][lane] = last;
    }
    memcpy(h->prev_root, in->prev_root[lane], FO_HASH_BYTES);
}

static void
seal(struct fo_intake *in, enum fo_lane lane)
{
    struct fo_batch *b = in->open[lane];
    enum fo_err err;

    in->open[lane] = NULL;
    fill_header(in, lane, b);
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t end = i + 1 < b->count ? b->record_at[i + 1] - LENGTH_BYTES : (uint32_t)b->built.n;

        b->record[i] = fo_slice_of(b->built.p + b->record_at[i], end - b->record_at[i]);
    }
    err = fo_batch_seal_in_place(&b->header, b->record, in->ctx->key, &b->built, &b->frame);
    if (err == FO_OK) {
        memcpy(in->prev_root[lane], b->header.root, FO_HASH_BYTES);
        err = fo_store_add_batch(in->store, &b);
    }
    if (err != FO_OK) {
        /* A defect: memory for it was taken when it was filled. The positions are given out; going on would leave a hole in the chain. */
        fo_log(FO_LOG_ERROR, "batch_not_sealed", FO_E(err));
        abort();
    }
}

/* Its price is spread over so many events that more would not make it much less. */
static bool
is_half_full(const struct fo_intake *in, const struct fo_batch *b)
{
    return b != NULL && (b->count >= in->ctx->config->limits.batch_events_max / 2 || b->built.n - FO_BATCH_HEAD_ROOM >= b->bytes_max / 2);
}

struct fo_instant
fo_intake_seal(struct fo_intake *in)
{
    struct fo_batch *const *open = in->open;
    struct fo_instant due = in->ctx->now;

    if (open[FO_LANE_HIGH] != NULL)
        seal(in, FO_LANE_HIGH);
    if (open[FO_LANE_NORMAL] == NULL && open[FO_LANE_LOW] == NULL)
        return (struct fo_instant){ INT64_MAX };
    if (!in->is_draining && !is_half_full(in, open[FO_LANE_NORMAL]) && !is_half_full(in, open[FO_LANE_LOW]))
        due = fo_gather_due(&in->gather, in->ctx->now);
    if (fo_instant_is_before(in->ctx->now, due))
        return due;
    fo_gather_sealed(&in->gather, in->ctx->now);
    for (int i = 0; i < FO_LANES; i++)
        if (open[i] != NULL)
            seal(in, i);
    return (struct fo_instant){ INT64_MAX };
}

/* A batch is no larger than a part of the smallest window that it has to pass, so that on a slow link a high event does not wait behind
 * a large one; nor so small that each signature would be for a few events only. */
static size_t
body_bytes_max(const struct fo_intake *in, enum fo_lane lane, fo_region_set targets)
{
    size_t bytes = in->ctx->config->limits.batch_bytes_max;

    for (fo_region_set t = targets & ~1ull; t != 0; t &= t - 1) {
        uint64_t window = fo_link_window_bytes(&in->forward->peer[__builtin_ctzll(t)].link, lane);
        size_t part = window > WINDOW_PARTS * BODY_BYTES_MIN ? (size_t)(window / WINDOW_PARTS) : BODY_BYTES_MIN;

        bytes = part < bytes ? part : bytes;
    }
    return bytes;
}

/* With room for its first event, and as many like it as may come with it; and with one put aside for it in the store. */
static struct fo_batch *
begin_batch(struct fo_intake *in, enum fo_lane lane, fo_region_set targets, size_t bytes, uint32_t left)
{
    uint32_t events_max = in->ctx->config->limits.batch_events_max;
    size_t bytes_max = body_bytes_max(in, lane, targets), expected = bytes * (left < events_max ? left : events_max);
    struct fo_batch *b;

    expected = FO_BATCH_HEAD_ROOM + (expected < bytes_max ? expected : bytes_max > bytes ? bytes_max : bytes);
    b = fo_batch_take(in->pool, expected);
    if (b == NULL)
        return NULL;
    if (fo_store_reserve(in->store) != FO_OK) {
        fo_batch_give_back(in->pool, in->ctx->transport, &b);
        return NULL;
    }
    b->is_own = true;
    b->source = 0;
    b->targets = targets;
    b->bytes_max = bytes_max;
    b->is_awaited = false;
    b->built.n = FO_BATCH_HEAD_ROOM;
    return b;
}

/* The lane's open batch with room for `bytes` more; null without memory. From here on nothing that seals it can fail for want of memory.
 * left: events of the request, this one included. */
static struct fo_batch *
open_batch(struct fo_intake *in, enum fo_lane lane, fo_region_set targets, size_t bytes, uint32_t left)
{
    struct fo_batch *b = in->open[lane];

    if (b != NULL && b->targets != targets && b->count < left)
        left = b->count;                /* targets alternate: the next run is as long as this one, say */
    if (b != NULL && (b->targets != targets || b->count >= in->ctx->config->limits.batch_events_max || b->built.n - FO_BATCH_HEAD_ROOM + bytes > b->bytes_max))
        seal(in, lane);
    if (in->open[lane] == NULL)
        in->open[lane] = begin_batch(in, lane, targets, bytes, left);
    else if (fo_buf_reserve(&b->built, bytes) != FO_OK)
        return NULL;
    return in->open[lane];
}

static enum fo_err
give_id(struct fo_intake *in, struct fo_wait *w, struct fo_event *e)
{
    char *text;
    enum fo_err err;

    if (w->ids.cap == 0) {              /* once, so that slices into it stay where they are */
        err = fo_buf_reserve(&w->ids, (size_t)w->event_count * FO_UUID_SIZE);
        if (err != FO_OK)
            return err;
    }
    text = (char *)w->ids.p + w->ids.n;
    fo_uuid7_format(in->ctx->wall, &in->ctx->rng, text);
    e->id = fo_slice_of(text, FO_UUID_SIZE - 1);
    w->ids.n += FO_UUID_SIZE;
    return FO_OK;
}

static void
answer_duplicate(struct fo_intake *in, struct fo_wait *w, uint32_t i, const struct fo_event *e, const struct fo_dedupe_entry *known)
{
    bool is_own = known->region == 0;   /* another region's: its broker knows the deliveries, see explain there */
    unsigned peers = in->ctx->regions.count - 1;

    fo_wait_accepted(in->ctx, w, i, &(struct fo_wait_event){ .id = e->id, .position = { known->epoch, known->seq, known->lane }, .source = known->region,
        .targets = is_own ? known->targets : 0, .accepted_at = known->accepted_at, .tenant = e->tenant, .is_duplicate = true });
    in->ctx->counters.duplicate_events++;
    if (!is_own)
        return;
    fo_wait_needs(w, (enum fo_lane)known->lane, known->seq);
    for (unsigned p = 0; w->target != NULL && p < peers; p++)
        if (in->forward->peer[p + 1].link.lane[known->lane].acked_seq >= known->seq)
            w->target[i * peers + p] = (struct fo_wait_target){ .is_over = true, .latency_us = -1,
                .state = (uint8_t)fo_verdicts_of(in->verdicts, p + 1, (enum fo_lane)known->lane, known->seq) };
}

static enum fo_err
accept(struct fo_intake *in, struct fo_wait *w, uint32_t i, struct fo_event *e, const struct fo_fingerprint *fp)
{
    fo_region_set targets = e->targets != 0 ? e->targets : fo_context_all(in->ctx);
    size_t bytes = fo_event_encoded_max(e) + LENGTH_BYTES;
    struct fo_batch *b = open_batch(in, e->lane, targets, bytes, w->event_count - i);
    struct fo_dedupe_entry entry = { .fp = *fp, .epoch = in->epoch, .targets = targets, .accepted_at = in->ctx->wall, .lane = (uint8_t)e->lane };
    struct fo_writer length;
    uint8_t *record;
    size_t record_bytes;

    if (b == NULL)
        return FO_ERR_NO_MEMORY;
    record = b->built.p + b->built.n + LENGTH_BYTES;
    record_bytes = (size_t)(fo_event_put(e, record) - record);
    length = fo_writer_of(record - LENGTH_BYTES, LENGTH_BYTES);
    fo_write_u32(&length, (uint32_t)record_bytes);
    b->is_awaited |= w->wait != FO_WAIT_ACCEPTED;
    b->record_at[b->count++] = (uint32_t)b->built.n + LENGTH_BYTES;
    b->built.n += LENGTH_BYTES + record_bytes;
    entry.seq = ++in->last_seq[e->lane];
    fo_wait_accepted(in->ctx, w, i, &(struct fo_wait_event){ .id = e->id, .position = { in->epoch, entry.seq, e->lane }, .targets = targets, .accepted_at = in->ctx->wall });
    fo_wait_needs(w, e->lane, entry.seq);
    return fo_dedupe_add(in->dedupe, &entry);
}

/* An event between two walks. */
struct candidate { struct fo_event event; struct fo_fingerprint fp; bool is_refused; };

/* The first walk: all that can be said of an event by itself. */
static enum fo_err
read_event(struct fo_intake *in, struct fo_wait *w, struct fo_slice bytes, struct candidate *ret_c, struct fo_fault *fault)
{
    struct fo_context *ctx = in->ctx;
    const struct fo_event_rules rules = { &ctx->regions, ctx->schemas, ctx->config->limits.event_bytes_max };
    struct fo_event *e = &ret_c->event;
    enum fo_err err = fo_event_decode_publish(bytes, &rules, e, fault);

    if (err != FO_OK)
        return err;
    if (e->sourceregion.n > 0 && !fo_slice_is_equal(e->sourceregion, fo_slice_str(fo_context_name(ctx, 0))))
        return fo_fault_set(fault, FO_ERR_UNKNOWN_REGION, "sourceregion", "this broker's region, %s, or nothing", fo_context_name(ctx, 0));
    if (e->id.n == 0)
        err = give_id(in, w, e);
    if (err != FO_OK)
        return fo_fault_set(fault, err, "", "memory; retry later");
    e->acceptedtime = ctx->wall;
    e->sourceregion = fo_slice_str(fo_context_name(ctx, 0));
    return FO_OK;
}

/* The last: it is known, or gets its place. */
static enum fo_err
take_event(struct fo_intake *in, struct fo_wait *w, uint32_t i, struct candidate *c, struct fo_fault *fault)
{
    const struct fo_dedupe_entry *known = fo_dedupe_find(in->dedupe, c->fp);
    enum fo_err err;

    if (known != NULL) {
        answer_duplicate(in, w, i, &c->event, known);
        return FO_OK;
    }
    if (c->event.expirytime.us != 0 && c->event.expirytime.us <= in->ctx->wall.us)
        return fo_fault_set(fault, FO_ERR_EXPIRED, "expirytime", "a time in the future");
    err = accept(in, w, i, &c->event, &c->fp);
    return err == FO_OK ? FO_OK : fo_fault_set(fault, err, "", "memory; retry later");
}

static void
refuse_event(struct fo_intake *in, struct fo_wait *w, uint32_t i, const struct fo_fault *fault)
{
    in->ctx->counters.refused_events++;
    fo_wait_refused(w, i, fault);
}

/* In between: where their ids would be known comes into the cache. */
static void
look_ahead(const struct fo_intake *in, struct candidate *c, uint32_t n)
{
    struct fo_identity of[EVENTS_AHEAD];
    struct fo_fingerprint fp[EVENTS_AHEAD];

    for (uint32_t k = 0; k < n; k++)
        of[k] = c[k].is_refused ? (struct fo_identity){ FO_SLICE_LIT(""), FO_SLICE_LIT("") } : (struct fo_identity){ c[k].event.tenant, c[k].event.id };
    fo_fingerprint_many(in->fingerprint_key, of, n, fp);
    for (uint32_t k = 0; k < n; k++) {
        c[k].fp = fp[k];
        fo_dedupe_prefetch(in->dedupe, fp[k]);
    }
}

static void
take_events(struct fo_intake *in, struct fo_wait *w, const struct fo_request *req)
{
    static struct candidate ahead[EVENTS_AHEAD];    /* loop thread only */
    struct fo_request rest = *req;
    struct fo_fault fault;
    struct fo_slice event;

    for (uint32_t first = 0; first < w->event_count; first += EVENTS_AHEAD) {
        uint32_t n = w->event_count - first < EVENTS_AHEAD ? w->event_count - first : EVENTS_AHEAD;

        for (uint32_t k = 0; k < n; k++) {
            enum fo_err err = fo_request_next_event(&rest, &event) ? read_event(in, w, event, &ahead[k], &fault)
                : fo_fault_set(&fault, FO_ERR_INTERNAL, "", "a request that was decoded before");

            ahead[k].is_refused = err != FO_OK;
            if (err != FO_OK)
                refuse_event(in, w, first + k, &fault);
        }
        look_ahead(in, ahead, n);
        for (uint32_t k = 0; k < n; k++)
            if (!ahead[k].is_refused && take_event(in, w, first + k, &ahead[k], &fault) != FO_OK)
                refuse_event(in, w, first + k, &fault);
    }
}

/* Why nothing can be taken now; FO_OK if it can. */
static enum fo_err
check_room(struct fo_intake *in, const struct fo_request *req, size_t req_bytes, struct fo_fault *fault, uint32_t *ret_retry_ms)
{
    const struct fo_config *c = in->ctx->config;
    uint64_t pending = in->store->queued_events;

    for (int i = 0; i < FO_LANES; i++)
        pending += in->open[i] != NULL ? in->open[i]->count : 0;
    *ret_retry_ms = RETRY_BUSY_MS;
    if (in->is_draining)
        return fo_fault_set(fault, FO_ERR_UNAVAILABLE, "", "another broker or a retry: this one is shutting down");
    if (fo_room_ask(in->room, req->events_count, fault) != FO_OK) {
        *ret_retry_ms = RETRY_NO_SPACE_MS;
        return FO_ERR_NO_SPACE;
    }
    if (in->store->failure != FO_OK)
        return fo_fault_set(fault, FO_ERR_IO, "", "a working disk; this broker accepts nothing more and is to be restarted");
    if (pending > 0 && pending + req->events_count > c->limits.pending_events_max)
        return fo_fault_set(fault, FO_ERR_BUSY, "", "fewer events at once; %u wait for the disk (limits.pending_events_max)", (unsigned)pending);
    if (req->wait != FO_WAIT_ACCEPTED && in->waits->waiting_events > 0 && in->waits->waiting_events + req->events_count > c->limits.waiting_events_max)
        return fo_fault_set(fault, FO_ERR_BUSY, "", "fewer events at once that wait for peers, or none that does; %u wait (limits.waiting_events_max)", in->waits->waiting_events);
    if (in->waits->durable_bytes > 0 && in->waits->durable_bytes + in->store->queued_bytes + req_bytes > c->limits.pending_bytes_max)
        return fo_fault_set(fault, FO_ERR_BUSY, "", "fewer bytes at once; what waits for the disk fills limits.pending_bytes_max");
    return FO_OK;
}

void
fo_intake_publish(struct fo_intake *in, uint64_t request, const struct fo_request *req, struct fo_msg *take_msg, struct fo_buf *take_scratch)
{
    struct fo_fault fault;
    struct fo_wait *w = NULL;
    uint32_t retry_ms;
    enum fo_err err = check_room(in, req, take_msg->body.n + take_scratch->n, &fault, &retry_ms);

    if (err == FO_OK) {
        w = fo_wait_create(in->ctx, req);
        if (w == NULL)
            err = fo_fault_set(&fault, FO_ERR_NO_MEMORY, "", "memory; retry later");
    }
    if (err != FO_OK) {
        in->ctx->counters.refused_events += req->events_count;
        fo_answer_refuse(in->ctx, request, req->encoding, &fault, retry_ms);
        in->ctx->transport->ops->msg_free(in->ctx->transport, take_msg);
        fo_buf_fini(take_scratch);
        return;
    }
    w->request = request;
    w->bytes = take_msg->body.n + take_scratch->n;
    take_events(in, w, req);
    if (w->event != NULL) {             /* the answer names ids, which stand there */
        w->msg = *take_msg;
        w->scratch = *take_scratch;
    } else {
        in->ctx->transport->ops->msg_free(in->ctx->transport, take_msg);
        fo_buf_fini(take_scratch);
    }
    *take_msg = (struct fo_msg){ 0 };
    fo_buf_init(take_scratch);
    fo_gather_joined(&in->gather);
    fo_waits_add(in->waits, &w);
}
