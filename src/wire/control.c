/* SPDX-License-Identifier: Apache-2.0
 *
 * Control frames (ack, hello, heartbeat): a header and no body. All three carry the same state; the kind only says why it came. */
#include "wire/frame.h"
#include "wire/frame_parts.h"
#include "wire/msgpack.h"

enum { HEADER_ELEMENTS = 11 };          /* and a twelfth, the regions reached, when there are any */

static bool
exceptions_are_valid(const struct fo_control *c)
{
    uint64_t last[FO_LANES] = {0};

    if (c->exception_count > FO_EXCEPTIONS_MAX)
        return false;
    for (unsigned i = 0; i < c->exception_count; i++) {
        const struct fo_exception *e = &c->exception[i];

        if ((unsigned)e->lane >= FO_LANES || e->seq <= last[e->lane] || e->verdict < FO_VERDICT_EXPIRED || e->verdict > FO_VERDICT_REJECTED)
            return false;
        last[e->lane] = e->seq;
    }
    return true;
}

static bool
control_is_valid(const struct fo_control *c)
{
    if (!fo_region_name_is_valid(c->region) || !fo_region_name_is_valid(c->target) || fo_slice_is_equal(c->region, c->target))
        return false;
    if (c->sent_at.us <= 0 || c->echo_at.us < 0 || c->echo_delay_us < 0 || (c->echo_at.us == 0 && c->echo_delay_us != 0))
        return false;
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        if (c->epoch_acked[lane] == 0 && c->cum_seq[lane] != 0)
            return false;
    return c->reach_count <= FO_REACHES_MAX && exceptions_are_valid(c);
}

static bool
kind_is_control(enum fo_frame_kind kind)
{
    return kind == FO_FRAME_ACK || kind == FO_FRAME_HELLO || kind == FO_FRAME_HEARTBEAT;
}

static void
lanes_write(const uint64_t v[FO_LANES], struct fo_writer *w)
{
    fo_mp_write_array(w, FO_LANES);
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        fo_mp_write_uint(w, v[lane]);
}

/* The epochs stand behind the sequences, if there are any. */
static void
settled_write(const struct fo_control *c, struct fo_writer *w)
{
    bool has_epochs = c->settled_epoch[FO_LANE_HIGH] != 0 || c->settled_epoch[FO_LANE_NORMAL] != 0 || c->settled_epoch[FO_LANE_LOW] != 0;

    fo_mp_write_array(w, has_epochs ? 2 * FO_LANES : FO_LANES);
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        fo_mp_write_uint(w, c->settled_seq[lane]);
    for (unsigned lane = 0; has_epochs && lane < FO_LANES; lane++)
        fo_mp_write_uint(w, c->settled_epoch[lane]);
}

static void
header_write(const struct fo_control *c, uint64_t key_id, struct fo_writer *w)
{
    fo_mp_write_array(w, HEADER_ELEMENTS + (c->reach_count > 0));
    fo_mp_write_str(w, c->region);
    fo_mp_write_uint(w, key_id);
    fo_mp_write_str(w, c->target);
    fo_mp_write_uint(w, c->session);
    fo_mp_write_uint(w, (uint64_t)c->sent_at.us);
    lanes_write(c->epoch_acked, w);
    lanes_write(c->cum_seq, w);
    fo_mp_write_array(w, c->exception_count);
    for (unsigned i = 0; i < c->exception_count; i++) {
        fo_mp_write_array(w, 3);
        fo_mp_write_uint(w, c->exception[i].lane);
        fo_mp_write_uint(w, c->exception[i].seq);
        fo_mp_write_uint(w, c->exception[i].verdict);
    }
    fo_mp_write_uint(w, (uint64_t)c->echo_at.us);
    fo_mp_write_uint(w, (uint64_t)c->echo_delay_us);
    settled_write(c, w);
    if (c->reach_count > 0)
        fo_mp_write_array(w, c->reach_count);
    for (unsigned i = 0; i < c->reach_count; i++)
        fo_mp_write_str(w, c->reach[i]);
}

enum fo_err
fo_control_seal(enum fo_frame_kind kind, const struct fo_control *c, const struct fo_key_pair *key, struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err;

    if (!kind_is_control(kind) || !control_is_valid(c))
        return FO_ERR_INVALID;
    if (!fo_slice_is_equal(c->region, fo_slice_str(key->public_half.region)))
        return FO_ERR_WRONG_KEY;
    err = fo_frame_begin(kind, FO_HEADER_BYTES_MAX, 0, out, &w);
    if (err != FO_OK)
        return err;
    header_write(c, key->public_half.id, &w);
    return fo_frame_sign(&w, 0, key, out);
}

static void
lanes_read(struct fo_reader *r, uint64_t ret_v[FO_LANES], enum fo_err *err)
{
    fo_header_array(r, FO_LANES, FO_LANES, err);
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        ret_v[lane] = fo_header_uint(r, 0, UINT64_MAX, err);
}

static void
settled_read(struct fo_reader *r, struct fo_control *c, enum fo_err *err)
{
    uint32_t elements = fo_header_array(r, FO_LANES, 2 * FO_LANES, err);

    if (*err == FO_OK && elements != FO_LANES && elements != 2 * FO_LANES)
        *err = FO_ERR_PROTO;
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        c->settled_seq[lane] = fo_header_uint(r, 0, UINT64_MAX, err);
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        c->settled_epoch[lane] = elements == 2 * FO_LANES ? fo_header_uint(r, 0, UINT64_MAX, err) : 0;
}

static void
exceptions_read(struct fo_reader *r, struct fo_control *c, enum fo_err *err)
{
    c->exception_count = fo_header_array(r, 0, FO_EXCEPTIONS_MAX, err);
    for (unsigned i = 0; i < c->exception_count && *err == FO_OK; i++) {
        fo_header_array(r, 3, 3, err);
        c->exception[i].lane = (enum fo_lane)fo_header_uint(r, 0, FO_LANES - 1, err);
        c->exception[i].seq = fo_header_uint(r, 1, UINT64_MAX, err);
        c->exception[i].verdict = (enum fo_verdict)fo_header_uint(r, FO_VERDICT_EXPIRED, FO_VERDICT_REJECTED, err);
    }
}

static void
reaches_read(struct fo_reader *r, struct fo_control *c, enum fo_err *err)
{
    uint32_t count = fo_header_array(r, 0, FO_REACHES_MAX, err);

    for (uint32_t i = 0; i < count && *err == FO_OK; i++)
        c->reach[c->reach_count++] = fo_header_region(r, err);
}

enum fo_err
fo_control_decode(const struct fo_frame *frame, struct fo_control *ret_c)
{
    struct fo_reader r = fo_reader_of(frame->header);
    enum fo_err err = kind_is_control(frame->kind) && frame->body.n == 0 ? FO_OK : FO_ERR_PROTO;
    uint32_t elements = fo_header_array(&r, HEADER_ELEMENTS, UINT32_MAX, &err);

    ret_c->region = fo_header_region(&r, &err);
    ret_c->key_id = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_c->target = fo_header_region(&r, &err);
    ret_c->session = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_c->sent_at.us = (int64_t)fo_header_uint(&r, 1, INT64_MAX, &err);
    lanes_read(&r, ret_c->epoch_acked, &err);
    lanes_read(&r, ret_c->cum_seq, &err);
    exceptions_read(&r, ret_c, &err);
    ret_c->echo_at.us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    ret_c->echo_delay_us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    settled_read(&r, ret_c, &err);
    ret_c->reach_count = 0;
    if (elements > HEADER_ELEMENTS)
        reaches_read(&r, ret_c, &err);
    fo_header_end(&r, elements - HEADER_ELEMENTS - (elements > HEADER_ELEMENTS), &err);
    if (err == FO_OK && !control_is_valid(ret_c))
        err = FO_ERR_PROTO;
    return err;
}

enum fo_err
fo_control_verify(const struct fo_frame *frame, const struct fo_control *c, const struct fo_key_ring *keys)
{
    if (!kind_is_control(frame->kind) || frame->body.n != 0)
        return FO_ERR_PROTO;
    return fo_frame_check_signature(frame, c->region, c->key_id, keys);
}
