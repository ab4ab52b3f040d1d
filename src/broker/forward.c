/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/forward.h"

#include "ports/log.h"
#include "wire/relay.h"

#include <stdlib.h>

enum { PUMP_BATCHES_MAX = 64 };         /* read back per peer and step, so that the loop stays responsive */
enum { RETRANSMIT_MS_MAX = 5000 };
enum { UNREADABLE_RETRY_MS = 250, UNREADABLE_MS_MAX = 5000, UNREADABLE_STEP_BYTES = 4096 };     /* then it counts as damaged, block by block */

/* A source takes the delay of acks for the path's: it stays small beside what its window and its retransmission bear. */
static struct fo_duration
ack_delay_of(const struct fo_config *c)
{
    uint32_t least_ms = c->link.queue_delay_ms_max < c->link.retransmit_ms_min ? c->link.queue_delay_ms_max : c->link.retransmit_ms_min;
    struct fo_duration most = { fo_duration_ms(least_ms).ns / 8 }, wanted = fo_duration_ms(c->link.ack_delay_ms_max);

    return wanted.ns < most.ns ? wanted : most;
}

enum fo_err
fo_forward_init(struct fo_forward *f, struct fo_context *ctx, const struct fo_state *state, uint64_t first_lsn, uint64_t stored_lsn)
{
    const struct fo_config *c = ctx->config;

    memset(f, 0, sizeof *f);
    f->ctx = ctx;
    f->epochs = &state->epochs;
    f->stored_lsn = stored_lsn;
    fo_buf_init(&f->frame);
    fo_buf_init(&f->relay_frame);
    f->limits = (struct fo_link_limits){ { c->link.window_bytes_min, c->link.window_bytes, fo_duration_ms(c->link.queue_delay_ms_max) },
        c->link.window_batches, c->link.low_share_percent, fo_duration_ms(c->link.retransmit_ms_min), fo_duration_ms(RETRANSMIT_MS_MAX) };
    f->health_limits = (struct fo_health_limits){ fo_duration_ms(c->link.heartbeat_ms), c->link.probes_missed_max,
        fo_duration_ms(c->link.stable_ms_min), fo_duration_ms(c->link.stable_ms_max) };
    f->ack_delay = ack_delay_of(c);
    for (unsigned p = 1; p < ctx->regions.count; p++) {
        struct fo_peer *peer = &f->peer[p];

        peer->slots = calloc((size_t)FO_LANES * c->link.window_batches, sizeof *peer->slots);
        if (peer->slots == NULL)
            return FO_ERR_NO_MEMORY;
        fo_link_init(&peer->link, &f->limits, peer->slots);
        fo_health_init(&peer->health, &f->health_limits, ctx->now);
        for (int i = 0; i < FO_LANES; i++) {
            uint64_t tail = state->tail_seq[p][i], acked = state->link[p][i].acked_seq, lsn = state->link[p][i].oldest_lsn;

            /* What is trimmed was acked: the mark may lie before it, for it moves only when the lane runs empty. */
            peer->is_trimmed[i] = lsn < first_lsn;
            fo_link_restore(&peer->link, i, tail, acked, lsn < first_lsn ? first_lsn : lsn, tail - acked);
        }
    }
    return FO_OK;
}

static void
close_reader(struct fo_forward *f, unsigned peer, enum fo_lane lane)
{
    struct fo_journal_reader **r = &f->peer[peer].reader[lane];

    if (*r != NULL)
        f->ctx->journal->ops->reader_close(*r);
    *r = NULL;
}

void
fo_forward_fini(struct fo_forward *f)
{
    for (unsigned p = 1; p < f->ctx->regions.count; p++) {
        for (int i = 0; i < FO_LANES; i++)
            close_reader(f, p, i);
        free(f->peer[p].slots);
    }
    fo_buf_fini(&f->frame);
    fo_buf_fini(&f->relay_frame);
}

void
fo_forward_link_up(struct fo_forward *f, unsigned peer, enum fo_link_class cls)
{
    fo_link_up(&f->peer[peer].link, cls);
    f->peer[peer].is_greeted = false;
    fo_log(FO_LOG_INFO, "link_connected", FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("class", cls == FO_LINK_URGENT ? "urgent" : "bulk"));
}

void
fo_forward_link_down(struct fo_forward *f, unsigned peer, enum fo_link_class cls)
{
    fo_link_down(&f->peer[peer].link, cls);
    fo_log(FO_LOG_WARN, "link_disconnected", FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("class", cls == FO_LINK_URGENT ? "urgent" : "bulk"));
}

static void
send_direct(struct fo_forward *f, unsigned peer, enum fo_link_class cls, struct fo_slice frame)
{
    enum fo_err err = f->ctx->transport->ops->link_send(f->ctx->transport, peer, cls, frame);

    if (err != FO_OK)
        fo_log(FO_LOG_DEBUG, "link_send_failed", FO_S("peer", fo_context_name(f->ctx, peer)), FO_E(err));
}

void
fo_forward_send(struct fo_forward *f, unsigned peer, enum fo_link_class cls, struct fo_slice frame)
{
    struct fo_relay r = { .region = fo_slice_str(fo_context_name(f->ctx, 0)), .target = fo_slice_str(fo_context_name(f->ctx, peer)), .sent_at = f->ctx->wall };
    unsigned via = f->peer[peer].via;

    if (via == 0) {
        send_direct(f, peer, cls, frame);
        return;
    }
    f->relay_frame.n = 0;
    if (fo_relay_seal(&r, frame, f->ctx->key, &f->relay_frame) != FO_OK) {
        fo_log(FO_LOG_ERROR, "relay_seal_failed", FO_S("peer", fo_context_name(f->ctx, peer)));
        return;
    }
    send_direct(f, via, cls, fo_buf_slice(&f->relay_frame));
}

/* When that was, by the loop's clock. */
static struct fo_instant
instant_of(const struct fo_context *ctx, struct fo_wall wall)
{
    int64_t age_us = ctx->wall.us > wall.us ? ctx->wall.us - wall.us : 0;

    return (struct fo_instant){ ctx->now.ns - age_us * 1000 };
}

void
fo_forward_batch(struct fo_forward *f, const struct fo_batch *b)
{
    struct fo_slot slot = { .lsn = b->lsn, .first_seq = b->header.first_seq, .last_seq = fo_batch_last_seq(b), .bytes = (uint32_t)b->frame.n,
        .sealed_at = instant_of(f->ctx, b->header.sealed_at) };

    for (fo_region_set t = b->targets & ~1ull; t != 0; t &= t - 1) {
        unsigned p = (unsigned)__builtin_ctzll(t);

        if (fo_link_offer(&f->peer[p].link, b->header.lane, &slot, f->ctx->now) == FO_OK)
            fo_forward_send(f, p, fo_lane_class(b->header.lane), b->frame);
    }
}

static bool
find_target(const struct fo_batch_header *h, struct fo_slice peer, uint64_t *ret_prev_seq)
{
    for (unsigned i = 0; i < h->target_count; i++) {
        if (fo_slice_is_equal(h->target[i].region, peer)) {
            *ret_prev_seq = h->target[i].prev_seq;
            return true;
        }
    }
    return false;
}

/* Batches between what was sent and prev_seq are damaged in our journal. The peer would wait for them for ever, so it gets a batch of
 * empty records in their place, signed like any other: it rejects each, and the report names them as failed. */
static void
send_in_place_of_damaged(struct fo_forward *f, unsigned peer, enum fo_lane lane, const struct fo_batch_header *next, uint64_t prev_seq, uint64_t lsn)
{
    static const uint8_t empty[] = { 0x80 };
    static struct fo_slice records[FO_BATCH_EVENTS_MAX];
    struct fo_link *l = &f->peer[peer].link;
    uint64_t sent = l->lane[lane].sent_seq, missing = prev_seq - sent;
    struct fo_batch_header h = { .region = next->region, .key_id = f->ctx->key->public_half.id, .epoch = next->epoch, .lane = lane, .first_seq = sent + 1,
        .count = missing < FO_BATCH_EVENTS_MAX ? (uint32_t)missing : FO_BATCH_EVENTS_MAX, .sealed_at = f->ctx->wall, .target_count = 1 };
    struct fo_slot slot = { .lsn = lsn, .first_seq = h.first_seq, .last_seq = sent + h.count, .sealed_at = instant_of(f->ctx, next->sealed_at) };

    h.target[0] = (struct fo_target){ fo_slice_str(fo_context_name(f->ctx, peer)), sent, fo_epochs_prev(f->epochs, lane, h.epoch, sent) };
    for (uint32_t i = 0; i < h.count; i++)
        records[i] = fo_slice_of(empty, sizeof empty);
    f->frame.n = 0;
    if (fo_batch_seal(&h, records, f->ctx->key, &f->frame) != FO_OK) {
        fo_log(FO_LOG_ERROR, "batch_not_sealed", FO_S("peer", fo_context_name(f->ctx, peer)));
        return;
    }
    slot.bytes = (uint32_t)f->frame.n;
    if (fo_link_read(l, lane, &slot, lsn, f->ctx->now) != FO_OK)
        return;
    fo_log(FO_LOG_ERROR, "events_lost_by_damage", FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("lane", fo_lane_name(lane)),
        FO_I("from_seq", slot.first_seq), FO_I("to_seq", slot.last_seq));
    fo_forward_send(f, peer, fo_lane_class(lane), fo_buf_slice(&f->frame));
}

static void
send_read_back(struct fo_forward *f, unsigned peer, enum fo_lane lane, const struct fo_record *rec)
{
    struct fo_link *l = &f->peer[peer].link;
    struct fo_batch_header h;
    struct fo_frame frame;
    struct fo_slot slot;
    uint64_t prev_seq;

    if (fo_frame_split(rec->body, &frame) != FO_OK || fo_batch_header_decode(&frame, &h) != FO_OK) {
        fo_log(FO_LOG_ERROR, "journal_batch_unreadable", FO_I("lsn", rec->lsn));
        fo_link_read_past(l, lane, rec->next_lsn, false);
        return;
    }
    if (!find_target(&h, fo_slice_str(fo_context_name(f->ctx, peer)), &prev_seq)) {
        fo_link_read_past(l, lane, rec->next_lsn, false);
        return;
    }
    if (f->peer[peer].is_trimmed[lane] && fo_window_is_empty(&l->lane[lane].window))
        fo_link_held_before(l, lane, prev_seq);
    f->peer[peer].is_trimmed[lane] = false;
    if (prev_seq > l->lane[lane].sent_seq) {
        send_in_place_of_damaged(f, peer, lane, &h, prev_seq, rec->lsn);
        return;
    }
    slot = (struct fo_slot){ .lsn = rec->lsn, .first_seq = h.first_seq, .last_seq = h.first_seq + h.count - 1, .bytes = (uint32_t)rec->body.n,
        .sealed_at = instant_of(f->ctx, h.sealed_at) };
    if (fo_link_read(l, lane, &slot, rec->next_lsn, f->ctx->now) == FO_OK)
        fo_forward_send(f, peer, fo_lane_class(lane), rec->body);
}

/* An error may pass. One that stays is of the disk, and only what stands there is given up, as if it were damaged: in steps that double,
 * so that a large hole is left behind, too. */
static void
note_unreadable(struct fo_forward *f, unsigned peer, enum fo_lane lane, enum fo_err err)
{
    struct fo_unreadable *u = &f->peer[peer].unreadable[lane];
    struct fo_link *l = &f->peer[peer].link;
    uint64_t from = l->lane[lane].read_lsn, next = from + u->step_bytes;
    bool is_ours = err == FO_ERR_NO_MEMORY || err == FO_ERR_FULL;   /* nothing of the record's */

    if (u->since.ns == 0) {
        *u = (struct fo_unreadable){ .since = f->ctx->now, .step_bytes = UNREADABLE_STEP_BYTES };
        fo_log(FO_LOG_ERROR, "journal_read_failed", FO_E(err), FO_I("lsn", from), FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("lane", fo_lane_name(lane)));
    } else if (!is_ours && fo_instant_since(f->ctx->now, u->since).ns >= UNREADABLE_MS_MAX * 1000000ll) {
        fo_log(FO_LOG_ERROR, "journal_unreadable_skipped", FO_E(err), FO_I("lsn", from), FO_I("bytes", u->step_bytes), FO_S("peer", fo_context_name(f->ctx, peer)),
            FO_S("lane", fo_lane_name(lane)));
        fo_link_read_past(l, lane, next < f->stored_lsn ? next : f->stored_lsn, next >= f->stored_lsn);
        u->step_bytes *= 2;
    }
    u->retry_at = fo_instant_add(f->ctx->now, fo_duration_ms(UNREADABLE_RETRY_MS));
}

static void
note_readable(struct fo_forward *f, unsigned peer, enum fo_lane lane)
{
    struct fo_unreadable *u = &f->peer[peer].unreadable[lane];

    if (u->since.ns == 0)
        return;
    fo_log(FO_LOG_INFO, "journal_read_again", FO_S("peer", fo_context_name(f->ctx, peer)), FO_S("lane", fo_lane_name(lane)));
    *u = (struct fo_unreadable){ 0 };
}

/* Reads one record for the lane, which follows again at the end. False: not now. */
static bool
read_one(struct fo_forward *f, unsigned peer, enum fo_lane lane)
{
    const struct fo_journal_ops *ops = f->ctx->journal->ops;
    struct fo_peer *p = &f->peer[peer];
    uint64_t from = p->link.lane[lane].read_lsn;
    struct fo_record rec;
    enum fo_err err = FO_OK;

    if (p->reader[lane] == NULL)
        err = ops->reader_open(f->ctx->journal, from, &p->reader[lane]);
    else if (ops->reader_lsn(p->reader[lane]) != from)
        err = ops->reader_seek(p->reader[lane], from);
    if (err == FO_OK)
        err = ops->read_next(p->reader[lane], 1u << lane, 1u << FO_RECORD_OWN, &rec);
    if (err == FO_OK || err == FO_ERR_NOT_FOUND || err == FO_ERR_CORRUPT)
        note_readable(f, peer, lane);
    if (err == FO_ERR_NOT_FOUND || (err == FO_OK && rec.lsn >= f->stored_lsn)) {
        fo_link_read_past(&p->link, lane, from < f->stored_lsn ? f->stored_lsn : from, true);
        close_reader(f, peer, lane);
        return true;                    /* another lane may still be behind */
    }
    if (err == FO_ERR_CORRUPT) {
        fo_log(FO_LOG_ERROR, "journal_record_damaged", FO_I("lsn", rec.lsn), FO_S("peer", fo_context_name(f->ctx, peer)));
        fo_link_read_past(&p->link, lane, ops->reader_lsn(p->reader[lane]), false);
        return true;
    }
    if (err != FO_OK) {
        note_unreadable(f, peer, lane, err);
        return false;
    }
    send_read_back(f, peer, lane, &rec);
    if (p->link.lane[lane].read_lsn == rec.lsn)
        close_reader(f, peer, lane);    /* it cannot be sent now, and a reader keeps its file */
    return true;
}

static unsigned
readable_lanes(const struct fo_forward *f, unsigned peer)
{
    unsigned lanes = 0;

    for (int i = 0; i < FO_LANES; i++)
        lanes |= fo_instant_is_before(f->ctx->now, f->peer[peer].unreadable[i].retry_at) ? 0 : 1u << i;
    return lanes;
}

bool
fo_forward_pump(struct fo_forward *f)
{
    bool has_more = false;

    for (unsigned p = 1; p < f->ctx->regions.count; p++) {
        enum fo_lane lane;
        unsigned lanes = readable_lanes(f, p);
        int left = PUMP_BATCHES_MAX;

        while (left > 0 && fo_link_wants_read(&f->peer[p].link, lanes, &lane)) {
            if (!read_one(f, p, lane))
                lanes &= ~(1u << lane);     /* the others go on */
            left--;
        }
        has_more |= left == 0;
    }
    return has_more;
}

uint64_t
fo_forward_oldest_lsn(const struct fo_forward *f, uint64_t end_lsn)
{
    uint64_t oldest = end_lsn;

    for (unsigned p = 1; p < f->ctx->regions.count; p++) {
        uint64_t lsn = fo_link_oldest_lsn(&f->peer[p].link, end_lsn);

        if (lsn < oldest)
            oldest = lsn;
    }
    return oldest;
}
