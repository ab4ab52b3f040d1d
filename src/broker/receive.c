/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receive.h"

#include "base/assert.h"
#include "broker/paths.h"
#include "ports/log.h"
#include "wire/fingerprint.h"
#include "wire/relay.h"

#include <stdio.h>

/* An epoch is a time. One from far ahead would make all that its region ever says later old. */
enum { EPOCH_AHEAD_MS_MAX = 24 * 3600 * 1000 };

enum { LOGGED_MAX = 20 };               /* in a second, of a kind */
enum { HIGH_EXCEPTIONS_MIN = 128 };     /* of FO_EXCEPTIONS_MAX: what the other lanes leave to the high one */
enum { IDS_AHEAD = 16 };                /* whose places in the table are fetched before they are remembered */

void
fo_receive_init(struct fo_receive *r, const struct fo_state *state)
{
    for (unsigned p = 1; p < r->ctx->regions.count; p++)
        for (int i = 0; i < FO_LANES; i++)
            r->source[p].chain[i] = (struct fo_chain){ state->received[p][i], state->received[p][i] };
}

uint8_t
fo_receive_verdict(const struct fo_context *ctx, struct fo_slice source, struct fo_slice record, struct fo_wall at, struct fo_event *ret_event)
{
    if (fo_event_decode(record, ret_event) != FO_OK || !fo_slice_is_equal(ret_event->sourceregion, source)) {
        *ret_event = (struct fo_event){ 0 };
        return FO_VERDICT_REJECTED;
    }
    if (ret_event->expirytime.us != 0 && ret_event->expirytime.us <= at.us)
        return FO_VERDICT_EXPIRED;
    if (ret_event->schemaversion < ctx->config->limits.schema_version_min)
        return FO_VERDICT_INCOMPATIBLE;
    return 0;
}

/* Anybody can send frames that are logged; the log is not theirs to fill. */
static bool
may_log(const struct fo_receive *r, struct fo_log_share *l)
{
    if (fo_instant_since(r->ctx->now, l->from).ns >= 1000000000) {
        l->from = r->ctx->now;
        l->count = 0;
    }
    l->unlogged += l->count >= LOGGED_MAX;
    return l->count++ < LOGGED_MAX;
}

static void
refuse(struct fo_receive *r, enum fo_err err, const char *kind, struct fo_slice region)
{
    char name[FO_REGION_BYTES_MAX + 1];
    int claimed = fo_context_region(r->ctx, region);
    struct fo_refusals *refused = &r->source[claimed > 0 ? claimed : 0].refused;

    r->ctx->counters.refused_frames++;
    *refused = (struct fo_refusals){ refused->count + 1, err, r->ctx->now };
    if (!may_log(r, &r->refusals))
        return;
    snprintf(name, sizeof name, "%.*s", (int)region.n, region.n ? (const char *)region.p : "");
    fo_log(FO_LOG_WARN, "frame_refused", FO_E(err), FO_S("kind", kind), FO_S("claims_region", name), FO_I("unlogged_before", r->refusals.unlogged));
    r->refusals.unlogged = 0;
}

/* The ids of a batch's events, until they are remembered: in walks of their own, so that hashes are made side by side and their
 * places in the table have come into the cache. */
struct ids {
    struct fo_identity of[FO_BATCH_EVENTS_MAX];
    struct fo_fingerprint fp[FO_BATCH_EVENTS_MAX];
    struct fo_dedupe_entry entry[FO_BATCH_EVENTS_MAX];
    unsigned count;
};

static void
note_id(struct ids *ids, const struct fo_batch *b, uint32_t i, const struct fo_event *e)
{
    ids->of[ids->count] = (struct fo_identity){ e->tenant, e->id };
    ids->entry[ids->count++] = (struct fo_dedupe_entry){ .seq = b->header.first_seq + i, .epoch = b->header.epoch, .targets = b->targets,
        .accepted_at = e->acceptedtime, .lane = (uint8_t)b->header.lane, .region = (uint8_t)b->source };
}

static void
remember_ids(struct fo_receive *r, struct ids *ids)
{
    fo_fingerprint_many(r->fingerprint_key, ids->of, ids->count, ids->fp);
    for (unsigned i = 0; i < ids->count + IDS_AHEAD; i++) {
        if (i < ids->count)
            fo_dedupe_prefetch(r->dedupe, ids->fp[i]);
        if (i >= IDS_AHEAD) {
            struct fo_dedupe_entry *entry = &ids->entry[i - IDS_AHEAD];
            enum fo_err err;

            entry->fp = ids->fp[i - IDS_AHEAD];
            err = fo_dedupe_add(r->dedupe, entry);
            (void)err;                  /* known: the same id was accepted in two regions; each copy is delivered, the first one answers */
        }
    }
}

/* Judges each record; exceptions go to ret_x. */
static unsigned
judge_records(struct fo_receive *r, struct fo_batch *b, struct fo_exception ret_x[FO_BATCH_EVENTS_MAX], struct ids *ret_ids)
{
    unsigned n = 0;

    ret_ids->count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        struct fo_event e;

        b->verdict[i] = fo_receive_verdict(r->ctx, b->header.region, b->record[i], r->ctx->wall, &e);
        if (e.id.n > 0)
            note_id(ret_ids, b, i, &e);
        if (b->verdict[i] != 0)
            ret_x[n++] = (struct fo_exception){ b->header.lane, b->header.first_seq + i, (enum fo_verdict)b->verdict[i] };
    }
    return n;
}

/* Whether that many exceptions more can be told to the source, until it has settled those that it was told. One batch always can. */
static bool
has_room_for(const struct fo_source *s, enum fo_lane lane, unsigned n)
{
    return n == 0 || s->exception_count == 0 || s->exception_count + n <= FO_EXCEPTIONS_MAX - (lane == FO_LANE_HIGH ? 0 : HIGH_EXCEPTIONS_MIN);
}

/* What was said of a lane's sequences from `seq` on is void: they are given out again, or lost. */
static void
forget_from(struct fo_source *s, enum fo_lane lane, uint64_t seq)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->exception_count; i++)
        if (s->exception[i].x.lane != lane || s->exception[i].x.seq < seq)
            s->exception[kept++] = s->exception[i];
    s->exception_count = kept;
}

static enum fo_err
stage(struct fo_receive *r, uint64_t prev_seq, struct fo_batch **take_batch)
{
    struct fo_batch *b = *take_batch;
    struct fo_source *s = &r->source[b->source];
    struct fo_exception x[FO_BATCH_EVENTS_MAX];
    static struct ids ids;              /* loop thread only */
    enum fo_lane lane = b->header.lane;
    uint64_t epoch = b->header.epoch, last = fo_batch_last_seq(b);
    unsigned n;

    if (epoch != s->chain[lane].staged.epoch)
        forget_from(s, lane, prev_seq + 1);     /* a later epoch gives out again what its sender had lost */
    b->at = r->ctx->wall;
    n = judge_records(r, b, x, &ids);
    if (!has_room_for(s, lane, n))
        return FO_ERR_FULL;
    remember_ids(r, &ids);
    if (fo_store_add_batch(r->store, take_batch) != FO_OK)
        return FO_ERR_NO_MEMORY;
    for (unsigned i = 0; i < n; i++)
        s->exception[s->exception_count++] = (struct fo_kept_exception){ x[i], epoch, r->store->stored_lsn };
    fo_chain_stage(&s->chain[lane], epoch, last);
    return FO_OK;
}

static bool
is_epoch(const struct fo_receive *r, uint64_t epoch)
{
    return epoch <= (uint64_t)r->ctx->wall.us / 1000 + EPOCH_AHEAD_MS_MAX;
}

/* Who it says it is from and what of it is for us. */
static enum fo_err
claim(struct fo_receive *r, struct fo_batch *b, struct fo_mark *ret_prev)
{
    const struct fo_batch_header *h = &b->header;
    int source = fo_context_region(r->ctx, h->region);

    if (source <= 0)
        return FO_ERR_UNKNOWN_REGION;
    b->source = (unsigned)source;
    b->targets = 0;
    for (unsigned i = 0; i < h->target_count; i++) {
        int region = fo_context_region(r->ctx, h->target[i].region);

        if (region >= 0)
            b->targets |= 1ull << region;
        if (region == 0)
            *ret_prev = fo_batch_previous(h, i);
    }
    if (!(b->targets & 1))
        return FO_ERR_PROTO;
    return is_epoch(r, h->epoch) ? FO_OK : FO_ERR_INVALID;
}

static void
batch_frame(struct fo_receive *r, const struct fo_frame *frame, struct fo_batch **take_batch)
{
    struct fo_batch *b = *take_batch;
    struct fo_chain *chain;
    struct fo_chain_batch link = { 0 };
    enum fo_err err;

    if (r->is_draining)
        return;
    err = fo_batch_header_decode(frame, &b->header);
    if (err == FO_OK)
        err = claim(r, b, &link.prev);
    if (err == FO_OK)
        err = fo_batch_verify(frame, &b->header, r->ctx->keys, b->record);
    if (err != FO_OK) {
        refuse(r, err, "batch", b->header.region);
        return;
    }
    b->count = b->header.count;
    chain = &r->source[b->source].chain[b->header.lane];
    link.epoch = b->header.epoch;
    link.first_seq = b->header.first_seq;
    link.last_seq = fo_batch_last_seq(b);
    err = fo_chain_judge(chain, &link);
    r->forward->peer[b->source].wants_ack |= err == FO_ERR_STALE || err == FO_ERR_GAP;
    r->ctx->counters.duplicate_batches += err == FO_ERR_STALE;
    r->ctx->counters.gap_batches += err == FO_ERR_GAP;
    if (err == FO_ERR_PROTO)
        refuse(r, err, "batch", b->header.region);
    if (err != FO_OK || r->store->failure != FO_OK)
        return;                         /* what cannot be stored is not hoarded: it comes again */
    /* One frame is always taken: a larger one than the limit would be repeated for ever. */
    if (r->store->queued_bytes > 0 && r->store->queued_bytes + b->frame.n > r->queue_bytes_max)
        return;
    err = stage(r, link.prev.seq, take_batch);
    if (err == FO_OK || !may_log(r, &r->unstaged))
        return;
    fo_log(FO_LOG_WARN, "batch_not_staged", FO_E(err), FO_S("source", fo_context_name(r->ctx, b->source)), FO_I("unlogged_before", r->unstaged.unlogged));
    r->unstaged.unlogged = 0;
}

void
fo_receive_replayed(struct fo_receive *r, unsigned source, const struct fo_batch_header *h)
{
    struct fo_source *s = &r->source[source];
    unsigned kept = 0;

    for (unsigned i = 0; i < s->exception_count; i++)
        if (s->exception[i].x.lane != h->lane || s->exception[i].epoch >= h->epoch || s->exception[i].x.seq < h->first_seq)
            s->exception[kept++] = s->exception[i];
    s->exception_count = kept;
}

void
fo_receive_restore(struct fo_receive *r, unsigned source, const struct fo_kept_exception *x)
{
    struct fo_source *s = &r->source[source];

    if (s->exception_count == FO_EXCEPTIONS_MAX)
        memmove(&s->exception[0], &s->exception[1], --s->exception_count * sizeof s->exception[0]);     /* the oldest was settled: never were more open */
    s->exception[s->exception_count++] = *x;
}

uint64_t
fo_receive_oldest_lsn(const struct fo_receive *r, uint64_t end_lsn)
{
    uint64_t oldest = end_lsn;

    for (unsigned p = 1; p < r->ctx->regions.count; p++)
        for (unsigned i = 0; i < r->source[p].exception_count; i++)
            if (r->source[p].exception[i].lsn < oldest)
                oldest = r->source[p].exception[i].lsn;
    return oldest;
}

void
fo_receive_stored(struct fo_receive *r, const struct fo_batch *b)
{
    fo_chain_stored(&r->source[b->source].chain[b->header.lane], b->header.epoch, fo_batch_last_seq(b));
    r->forward->peer[b->source].wants_ack = true;
    r->forward->peer[b->source].unacked.bytes += b->frame.n;
    r->forward->peer[b->source].unacked.batches++;
    r->forward->peer[b->source].unacked.is_awaited |= b->header.is_awaited;
    r->ctx->counters.received_batches++;
    r->ctx->counters.received_events += b->count;
}

void
fo_receive_acks(void *receive, unsigned peer, struct fo_control *c)
{
    const struct fo_receive *r = receive;
    const struct fo_source *s = &r->source[peer];

    for (int i = 0; i < FO_LANES; i++) {
        c->epoch_acked[i] = s->chain[i].durable.epoch;
        c->cum_seq[i] = s->chain[i].durable.seq;
        c->settled_seq[i] = r->store->settled_seq[peer][i];
        c->settled_epoch[i] = fo_epochs_said(r->epochs, i, c->settled_seq[i]);
    }
    for (unsigned k = 0; k < s->exception_count; k++) {
        const struct fo_kept_exception *e = &s->exception[k];
        const struct fo_mark *d = &s->chain[e->x.lane].durable;

        if (e->epoch < d->epoch || (e->epoch == d->epoch && e->x.seq <= d->seq))
            c->exception[c->exception_count++] = e->x;
    }
}

static void
forget_settled(struct fo_source *s, const uint64_t settled_seq[FO_LANES])
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->exception_count; i++) {
        if (s->exception[i].x.seq <= settled_seq[s->exception[i].x.lane])
            continue;
        s->exception[kept++] = s->exception[i];
    }
    s->exception_count = kept;
}

/* The exceptions of one lane within a span, in out. */
static unsigned
pick_exceptions(const struct fo_control *c, enum fo_lane lane, uint64_t from_seq, uint64_t to_seq, struct fo_exception *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->exception_count; i++)
        if (c->exception[i].lane == lane && c->exception[i].seq >= from_seq && c->exception[i].seq <= to_seq)
            out[n++] = c->exception[i];
    return n;
}

/* How much of an ack is true of today's sequences. What was kept of an older epoch may end with events for others. */
static uint64_t
clamped(const struct fo_receive *r, unsigned peer, enum fo_lane lane, const struct fo_control *c)
{
    uint64_t cum = fo_epochs_clamp(r->epochs, lane, c->epoch_acked[lane], c->cum_seq[lane]);
    uint64_t tail = r->forward->peer[peer].link.lane[lane].tail_seq;

    return c->epoch_acked[lane] != fo_epochs_current(r->epochs) && cum > tail ? tail : cum;
}

/* The link goes on, and whoever waits hears of it. FO_ERR_STALE: nothing new. */
static enum fo_err
settle(struct fo_receive *r, unsigned peer, enum fo_lane lane, const struct fo_control *c, uint64_t cum, uint32_t *ret_attempts)
{
    static struct fo_exception x[FO_EXCEPTIONS_MAX];    /* loop thread only */
    struct fo_link *l = &r->forward->peer[peer].link;
    uint64_t backlog = l->lane[lane].backlog_events;
    struct fo_settled span;
    enum fo_err err = fo_link_ack(l, lane, cum, r->ctx->now, &span);
    unsigned n;

    *ret_attempts = 1;
    if (err != FO_OK)
        return err;
    n = pick_exceptions(c, lane, span.from_seq, span.to_seq, x);
    fo_verdicts_note(&r->verdicts, peer, lane, x, n);
    fo_waits_settled(r->waits, peer, lane, &span, x, n);
    r->ctx->counters.excepted_events += n;
    backlog -= l->lane[lane].backlog_events;
    r->ctx->counters.delivered_events += backlog > n ? backlog - n : 0;     /* the peer may have named what was not for it */
    *ret_attempts = span.attempts;
    return FO_OK;
}

/* On a full disk acks count although they cannot be recorded: else nothing would be trimmed, and it would stay full. The next record
 * covers them too: until that one is durable, the peer repeats all that it has said of them. */
static void
apply_acks(struct fo_receive *r, unsigned peer, const struct fo_control *c, struct fo_slice frame)
{
    static struct fo_ack_record a;      /* loop thread only; too large for the stack's taste */
    bool has_record = fo_store_reserve_ack(r->store, frame.n) == FO_OK;

    if (!has_record && r->store->failure != FO_ERR_NO_SPACE)
        return;                         /* the peer says it again */
    a = (struct fo_ack_record){ .peer = fo_slice_str(fo_context_name(r->ctx, peer)), .arrived_at = r->ctx->wall, .frame = frame };
    if (r->forward->peer[peer].via != 0)
        a.via = fo_slice_str(fo_context_name(r->ctx, r->forward->peer[peer].via));
    for (int i = 0; i < FO_LANES; i++) {
        uint64_t cum = clamped(r, peer, i, c), from = r->store->recorded_seq[peer][i] + 1;
        uint32_t attempts;
        enum fo_err err = settle(r, peer, i, c, cum, &attempts);

        if (err == FO_ERR_PROTO)
            refuse(r, err, "ack", c->region);
        if (err == FO_ERR_PROTO || !has_record || cum < from)
            continue;
        a.exception_count += pick_exceptions(c, i, from, cum, &a.exception[a.exception_count]);
        a.span[a.span_count++] = (struct fo_ack_span){ i, fo_epochs_of(r->epochs, i, cum), from, cum, attempts };
    }
    if (a.span_count > 0 && fo_store_add_ack(r->store, peer, &a) != FO_OK)
        fo_log(FO_LOG_ERROR, "ack_not_recorded", FO_S("peer", fo_context_name(r->ctx, peer)));
}

/* We have acked what we do not hold: a new data directory, or what `durability: process` may lose. The source keeps none of it for
 * us, and what follows it would be a gap for ever. */
static void
skip_lost(struct fo_receive *r, unsigned peer, const struct fo_control *c)
{
    for (int i = 0; i < FO_LANES; i++) {
        struct fo_chain *chain = &r->source[peer].chain[i];
        uint64_t held = chain->durable.seq;

        if (!fo_chain_skip(chain, (struct fo_mark){ c->settled_epoch[i], c->settled_seq[i] }))
            continue;
        forget_from(&r->source[peer], (enum fo_lane)i, 0);
        fo_log(FO_LOG_ERROR, "received_events_lost", FO_S("source", fo_context_name(r->ctx, peer)), FO_S("lane", fo_lane_name((enum fo_lane)i)),
            FO_I("held_seq", held), FO_I("acked_seq", c->settled_seq[i]));
    }
}

static void
control_frame(struct fo_receive *r, const struct fo_frame *frame, struct fo_slice bytes, bool is_direct)
{
    static struct fo_control c;
    int peer;
    enum fo_err err = fo_control_decode(frame, &c);

    if (err != FO_OK) {
        refuse(r, err, "control", (struct fo_slice){ 0 });
        return;
    }
    peer = fo_context_region(r->ctx, c.region);
    if (peer <= 0)
        err = FO_ERR_UNKNOWN_REGION;
    else if (fo_context_region(r->ctx, c.target) != 0)
        err = FO_ERR_PROTO;
    else
        err = fo_control_verify(frame, &c, r->ctx->keys);
    if (err != FO_OK) {
        refuse(r, err, "control", c.region);
        return;
    }
    r->ctx->counters.acks_received += frame->kind == FO_FRAME_ACK;
    for (int i = 0; i < FO_LANES; i++)
        if (c.epoch_acked[i] > r->epoch_named && is_epoch(r, c.epoch_acked[i]))
            r->epoch_named = c.epoch_acked[i];
    apply_acks(r, (unsigned)peer, &c, bytes);
    forget_settled(&r->source[peer], c.settled_seq);
    if (fo_paths_heard(r->forward, (unsigned)peer, &c, is_direct))
        skip_lost(r, (unsigned)peer, &c);
    r->forward->peer[peer].wants_ack |= frame->kind != FO_FRAME_ACK;     /* probes are answered, answers are not */
}

/* What its origin signed, by whatever way it came. A batch takes the message, which its frame points into. */
static void
origin_frame(struct fo_receive *r, const struct fo_frame *frame, struct fo_slice bytes, struct fo_msg *take_msg, bool is_direct)
{
    struct fo_batch *b;

    if (frame->kind != FO_FRAME_BATCH) {
        control_frame(r, frame, bytes, is_direct);
        return;
    }
    b = fo_batch_take(r->pool, 0);
    if (b == NULL)
        return;                         /* dropped; its sender repeats it */
    b->is_own = false;
    b->msg = *take_msg;
    b->frame = bytes;
    *take_msg = (struct fo_msg){ 0 };
    batch_frame(r, frame, &b);
    if (b != NULL)
        fo_batch_give_back(r->pool, r->ctx->transport, &b);
}

static enum fo_err
relay_frame(struct fo_receive *r, const struct fo_frame *frame, struct fo_msg *take_msg)
{
    struct fo_relay relay;
    struct fo_frame inner;
    int target;
    enum fo_err err = fo_relay_decode(frame, &relay);

    if (err == FO_OK)
        err = fo_context_region(r->ctx, relay.region) > 0 ? fo_relay_verify(frame, &relay, r->ctx->keys) : FO_ERR_UNKNOWN_REGION;
    if (err == FO_OK)
        err = fo_frame_split(frame->body, &inner);
    if (err == FO_OK && inner.kind == FO_FRAME_RELAY)
        err = FO_ERR_PROTO;             /* one carrier, never two */
    if (err != FO_OK)
        return err;
    target = fo_context_region(r->ctx, relay.target);
    if (target < 0)
        return FO_ERR_UNKNOWN_REGION;
    if (target > 0)
        fo_paths_carry(r->forward, (unsigned)target, inner.kind == FO_FRAME_BATCH ? FO_LINK_BULK : FO_LINK_URGENT, take_msg->body);
    else
        origin_frame(r, &inner, frame->body, take_msg, false);
    return FO_OK;
}

void
fo_receive_frame(struct fo_receive *r, struct fo_msg *take_msg)
{
    struct fo_frame frame;
    enum fo_err err = fo_frame_split(take_msg->body, &frame);

    if (err == FO_OK && frame.kind == FO_FRAME_RELAY)
        err = relay_frame(r, &frame, take_msg);
    else if (err == FO_OK)
        origin_frame(r, &frame, take_msg->body, take_msg, true);
    if (err != FO_OK)
        refuse(r, err, "frame", (struct fo_slice){ 0 });
    if (take_msg->handle != NULL)
        r->ctx->transport->ops->msg_free(r->ctx->transport, take_msg);
}
