/* SPDX-License-Identifier: Apache-2.0
 *
 * ACK records and checkpoints as msgpack. Both are ours and behind a checksum, yet read with the same care as a peer's
 * bytes: a journal may have been copied from elsewhere. */
#include "broker/state.h"

#include "wire/msgpack.h"

#include <string.h>

#define TRY(expr)                       \
    do {                                \
        enum fo_err try_ = (expr);      \
        if (try_ != FO_OK)              \
            return try_;                \
    } while (0)

enum { CHECKPOINT_VERSION = 2, ACK_BYTES_MAX = FO_EXCEPTIONS_MAX * 16 + FO_HEADER_BYTES_MAX + 1024 };

size_t
fo_ack_record_bytes_max(size_t frame_bytes)
{
    return ACK_BYTES_MAX + frame_bytes;
}

enum fo_err
fo_ack_record_encode(const struct fo_ack_record *a, struct fo_buf *out)
{
    struct fo_writer w;

    TRY(fo_buf_reserve(out, fo_ack_record_bytes_max(a->frame.n)));
    w = fo_writer_of(out->p + out->n, out->cap - out->n);
    fo_mp_write_array(&w, 6);
    fo_mp_write_str(&w, a->peer);
    fo_mp_write_int(&w, a->arrived_at.us);
    fo_mp_write_array(&w, a->span_count);
    for (unsigned i = 0; i < a->span_count; i++) {
        fo_mp_write_array(&w, 5);
        fo_mp_write_uint(&w, a->span[i].lane);
        fo_mp_write_uint(&w, a->span[i].epoch);
        fo_mp_write_uint(&w, a->span[i].from_seq);
        fo_mp_write_uint(&w, a->span[i].to_seq);
        fo_mp_write_uint(&w, a->span[i].attempts);
    }
    fo_mp_write_array(&w, a->exception_count);
    for (unsigned i = 0; i < a->exception_count; i++) {
        fo_mp_write_array(&w, 3);
        fo_mp_write_uint(&w, a->exception[i].lane);
        fo_mp_write_uint(&w, a->exception[i].seq);
        fo_mp_write_uint(&w, a->exception[i].verdict);
    }
    fo_mp_write_bin(&w, a->frame);
    fo_mp_write_str(&w, a->via);
    if (w.overflow)
        return FO_ERR_TOO_LARGE;
    out->n += w.n;
    return FO_OK;
}

static enum fo_err
read_u64(struct fo_reader *r, uint64_t max, uint64_t *ret_v)
{
    TRY(fo_mp_read_uint(r, ret_v));
    return *ret_v <= max ? FO_OK : FO_ERR_PROTO;
}

static enum fo_err
read_span(struct fo_reader *r, struct fo_ack_span *p)
{
    uint64_t lane, attempts;
    uint32_t n;

    TRY(fo_mp_read_array(r, &n));
    if (n != 5)
        return FO_ERR_PROTO;
    TRY(read_u64(r, FO_LANES - 1, &lane));
    TRY(fo_mp_read_uint(r, &p->epoch));
    TRY(fo_mp_read_uint(r, &p->from_seq));
    TRY(fo_mp_read_uint(r, &p->to_seq));
    TRY(read_u64(r, UINT32_MAX, &attempts));
    p->lane = (enum fo_lane)lane;
    p->attempts = (uint32_t)attempts;
    return FO_OK;
}

static enum fo_err
read_exception(struct fo_reader *r, struct fo_exception *e)
{
    uint64_t lane, verdict;
    uint32_t n;

    TRY(fo_mp_read_array(r, &n));
    if (n != 3)
        return FO_ERR_PROTO;
    TRY(read_u64(r, FO_LANES - 1, &lane));
    TRY(fo_mp_read_uint(r, &e->seq));
    TRY(read_u64(r, FO_VERDICT_REJECTED, &verdict));
    e->lane = (enum fo_lane)lane;
    e->verdict = (enum fo_verdict)verdict;
    return FO_OK;
}

enum fo_err
fo_ack_record_decode(struct fo_slice body, struct fo_ack_record *ret_a)
{
    struct fo_reader r = fo_reader_of(body);
    uint32_t elements, n;

    ret_a->span_count = ret_a->exception_count = 0;
    ret_a->via = (struct fo_slice){ 0 };
    TRY(fo_mp_read_array(&r, &elements));
    if (elements < 5)
        return FO_ERR_PROTO;
    TRY(fo_mp_read_str(&r, &ret_a->peer));
    TRY(fo_mp_read_int(&r, &ret_a->arrived_at.us));
    TRY(fo_mp_read_array(&r, &n));
    if (n > sizeof ret_a->span / sizeof ret_a->span[0])
        return FO_ERR_PROTO;
    for (; ret_a->span_count < n; ret_a->span_count++)
        TRY(read_span(&r, &ret_a->span[ret_a->span_count]));
    TRY(fo_mp_read_array(&r, &n));
    if (n > FO_EXCEPTIONS_MAX)
        return FO_ERR_PROTO;
    for (; ret_a->exception_count < n; ret_a->exception_count++)
        TRY(read_exception(&r, &ret_a->exception[ret_a->exception_count]));
    TRY(fo_mp_read_bin(&r, &ret_a->frame));
    return elements > 5 ? fo_mp_read_str(&r, &ret_a->via) : FO_OK;
}

static void
write_region(struct fo_writer *w, const struct fo_state *s, unsigned r, const char *name)
{
    fo_mp_write_array(w, 2);
    fo_mp_write_str(w, fo_slice_str(name));
    fo_mp_write_array(w, FO_LANES * 5);
    for (int i = 0; i < FO_LANES; i++) {
        fo_mp_write_uint(w, s->tail_seq[r][i]);
        fo_mp_write_uint(w, s->link[r][i].acked_seq);
        fo_mp_write_uint(w, s->link[r][i].oldest_lsn);
        fo_mp_write_uint(w, s->received[r][i].epoch);
        fo_mp_write_uint(w, s->received[r][i].seq);
    }
}

static size_t
gaps_bytes_max(const struct fo_state *s)
{
    size_t n = 0;

    for (int k = 0; k < FO_LANES; k++)
        n += 24 + s->gaps[k].count * (size_t)18;
    return n;
}

static void
write_gaps(struct fo_writer *w, const struct fo_gaps *g)
{
    fo_mp_write_uint(w, g->last_lsn);
    fo_mp_write_array(w, 2 * g->count);
    for (unsigned i = 0; i < g->count; i++) {
        fo_mp_write_uint(w, g->gap[i].from_lsn);
        fo_mp_write_uint(w, g->gap[i].to_lsn);
    }
}

/* [version, [[epoch, first x3]...], [last_seq, prev_root]x3, [[region, [tail, acked, oldest, epoch, seq]x3]...], events_total, [[lsn, events_total, at]...],
 * [last_lsn, [from, to, ...]]x3] */
enum fo_err
fo_checkpoint_encode(const struct fo_state *s, const struct fo_context *ctx, struct fo_buf *out)
{
    struct fo_writer w;

    TRY(fo_buf_reserve(out, 4096 + gaps_bytes_max(s) + FO_EPOCHS_MAX * 48 + (size_t)ctx->regions.count * 200 + (size_t)s->mark_count * 32));
    w = fo_writer_of(out->p + out->n, out->cap - out->n);
    fo_mp_write_array(&w, 7);
    fo_mp_write_uint(&w, CHECKPOINT_VERSION);
    fo_mp_write_array(&w, s->epochs.count);
    for (unsigned i = 0; i < s->epochs.count; i++) {
        fo_mp_write_array(&w, 1 + FO_LANES);
        fo_mp_write_uint(&w, s->epochs.list[i].epoch);
        for (int k = 0; k < FO_LANES; k++)
            fo_mp_write_uint(&w, s->epochs.list[i].first_seq[k]);
    }
    fo_mp_write_array(&w, FO_LANES * 2);
    for (int k = 0; k < FO_LANES; k++) {
        fo_mp_write_uint(&w, s->last_seq[k]);
        fo_mp_write_bin(&w, fo_slice_of(s->prev_root[k], FO_HASH_BYTES));
    }
    fo_mp_write_array(&w, ctx->regions.count);
    for (unsigned r = 0; r < ctx->regions.count; r++)
        write_region(&w, s, r, ctx->regions.name[r]);
    fo_mp_write_uint(&w, s->events_total);
    fo_mp_write_array(&w, s->mark_count);
    for (unsigned i = 0; i < s->mark_count; i++) {
        fo_mp_write_array(&w, 3);
        fo_mp_write_uint(&w, s->mark[i].lsn);
        fo_mp_write_uint(&w, s->mark[i].events_total);
        fo_mp_write_int(&w, s->mark[i].at.us);
    }
    fo_mp_write_array(&w, FO_LANES * 2);
    for (int k = 0; k < FO_LANES; k++)
        write_gaps(&w, &s->gaps[k]);
    if (w.overflow)
        return FO_ERR_TOO_LARGE;
    out->n += w.n;
    return FO_OK;
}

static enum fo_err
read_epochs(struct fo_reader *r, struct fo_state *s)
{
    uint32_t n, k;

    TRY(fo_mp_read_array(r, &n));
    if (n > FO_EPOCHS_MAX)
        return FO_ERR_PROTO;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t epoch, first[FO_LANES];

        TRY(fo_mp_read_array(r, &k));
        if (k != 1 + FO_LANES)
            return FO_ERR_PROTO;
        TRY(fo_mp_read_uint(r, &epoch));
        for (int j = 0; j < FO_LANES; j++)
            TRY(fo_mp_read_uint(r, &first[j]));
        if (epoch <= fo_epochs_current(&s->epochs))
            return FO_ERR_PROTO;
        fo_epochs_begin(&s->epochs, epoch, first);
    }
    return FO_OK;
}

static enum fo_err
read_lanes(struct fo_reader *r, struct fo_state *s)
{
    struct fo_slice root;
    uint32_t n;

    TRY(fo_mp_read_array(r, &n));
    if (n != FO_LANES * 2)
        return FO_ERR_PROTO;
    for (int k = 0; k < FO_LANES; k++) {
        TRY(fo_mp_read_uint(r, &s->last_seq[k]));
        TRY(fo_mp_read_bin(r, &root));
        if (root.n != FO_HASH_BYTES)
            return FO_ERR_PROTO;
        memcpy(s->prev_root[k], root.p, FO_HASH_BYTES);
    }
    return FO_OK;
}

static enum fo_err
read_region(struct fo_reader *r, const struct fo_context *ctx, struct fo_state *s)
{
    struct fo_slice name;
    uint64_t v[FO_LANES * 5];
    uint32_t n;
    int region;

    TRY(fo_mp_read_array(r, &n));
    if (n != 2)
        return FO_ERR_PROTO;
    TRY(fo_mp_read_str(r, &name));
    TRY(fo_mp_read_array(r, &n));
    if (n != FO_LANES * 5)
        return FO_ERR_PROTO;
    for (int i = 0; i < FO_LANES * 5; i++)
        TRY(fo_mp_read_uint(r, &v[i]));
    region = fo_context_region(ctx, name);
    if (region < 0)
        return FO_OK;
    for (int i = 0; i < FO_LANES; i++) {
        const uint64_t *p = &v[i * 5];

        if (p[1] > p[0])
            return FO_ERR_PROTO;
        s->tail_seq[region][i] = p[0];
        s->link[region][i] = (struct fo_state_link){ p[1], p[2] };
        s->received[region][i] = (struct fo_mark){ p[3], p[4] };
    }
    return FO_OK;
}

static enum fo_err
read_marks(struct fo_reader *r, struct fo_state *s)
{
    uint32_t n, k;

    TRY(fo_mp_read_array(r, &n));
    if (n > FO_MARKS_MAX)
        return FO_ERR_PROTO;
    for (; s->mark_count < n; s->mark_count++) {
        struct fo_state_mark *m = &s->mark[s->mark_count];

        TRY(fo_mp_read_array(r, &k));
        if (k != 3)
            return FO_ERR_PROTO;
        TRY(fo_mp_read_uint(r, &m->lsn));
        TRY(fo_mp_read_uint(r, &m->events_total));
        TRY(fo_mp_read_int(r, &m->at.us));
    }
    return FO_OK;
}

static enum fo_err
read_gaps(struct fo_reader *r, struct fo_gaps *g)
{
    uint32_t n;

    TRY(fo_mp_read_uint(r, &g->last_lsn));
    TRY(fo_mp_read_array(r, &n));
    if (n % 2 != 0)
        return FO_ERR_PROTO;
    for (uint32_t i = 0; i < n; i += 2) {
        struct fo_gap gap;

        TRY(fo_mp_read_uint(r, &gap.from_lsn));
        TRY(fo_mp_read_uint(r, &gap.to_lsn));
        if (!fo_gaps_restore(g, gap))
            return FO_ERR_PROTO;
    }
    return FO_OK;
}

enum fo_err
fo_checkpoint_decode(struct fo_slice body, const struct fo_context *ctx, struct fo_state *ret_s)
{
    struct fo_reader r = fo_reader_of(body);
    uint64_t version;
    uint32_t n;

    memset(ret_s, 0, sizeof *ret_s);
    TRY(fo_mp_read_array(&r, &n));
    if (n < 7)
        return FO_ERR_PROTO;
    TRY(fo_mp_read_uint(&r, &version));
    if (version != CHECKPOINT_VERSION)
        return FO_ERR_VERSION;
    TRY(read_epochs(&r, ret_s));
    TRY(read_lanes(&r, ret_s));
    TRY(fo_mp_read_array(&r, &n));
    for (uint32_t i = 0; i < n; i++)
        TRY(read_region(&r, ctx, ret_s));
    TRY(fo_mp_read_uint(&r, &ret_s->events_total));
    TRY(read_marks(&r, ret_s));
    TRY(fo_mp_read_array(&r, &n));
    if (n != FO_LANES * 2)
        return FO_ERR_PROTO;
    for (int k = 0; k < FO_LANES; k++)
        TRY(read_gaps(&r, &ret_s->gaps[k]));
    return FO_OK;
}
