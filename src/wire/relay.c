/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/relay.h"

#include "wire/frame_parts.h"
#include "wire/msgpack.h"

enum { HEADER_ELEMENTS = 4 };

static bool
relay_is_valid(const struct fo_relay *r)
{
    return fo_region_name_is_valid(r->region) && fo_region_name_is_valid(r->target) && !fo_slice_is_equal(r->region, r->target) && r->sent_at.us > 0;
}

enum fo_err
fo_relay_seal(const struct fo_relay *relay, struct fo_slice inner, const struct fo_key_pair *key, struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err;

    if (!relay_is_valid(relay) || inner.n == 0)
        return FO_ERR_INVALID;
    if (!fo_slice_is_equal(relay->region, fo_slice_str(key->public_half.region)))
        return FO_ERR_WRONG_KEY;
    err = fo_frame_begin(FO_FRAME_RELAY, FO_HEADER_BYTES_MAX, inner.n, out, &w);
    if (err != FO_OK)
        return err;
    fo_mp_write_array(&w, HEADER_ELEMENTS);
    fo_mp_write_str(&w, relay->region);
    fo_mp_write_uint(&w, key->public_half.id);
    fo_mp_write_str(&w, relay->target);
    fo_mp_write_uint(&w, (uint64_t)relay->sent_at.us);
    err = fo_frame_sign(&w, inner.n, key, out);
    return err == FO_OK ? fo_buf_add(out, inner.p, inner.n) : err;
}

enum fo_err
fo_relay_decode(const struct fo_frame *frame, struct fo_relay *ret_relay)
{
    struct fo_reader r = fo_reader_of(frame->header);
    enum fo_err err = frame->kind == FO_FRAME_RELAY && frame->body.n > 0 ? FO_OK : FO_ERR_PROTO;
    uint32_t elements = fo_header_array(&r, HEADER_ELEMENTS, UINT32_MAX, &err);

    ret_relay->region = fo_header_region(&r, &err);
    ret_relay->key_id = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_relay->target = fo_header_region(&r, &err);
    ret_relay->sent_at.us = (int64_t)fo_header_uint(&r, 1, INT64_MAX, &err);
    fo_header_end(&r, elements - HEADER_ELEMENTS, &err);
    return err == FO_OK && !relay_is_valid(ret_relay) ? FO_ERR_PROTO : err;
}

enum fo_err
fo_relay_verify(const struct fo_frame *frame, const struct fo_relay *relay, const struct fo_key_ring *keys)
{
    if (frame->kind != FO_FRAME_RELAY)
        return FO_ERR_PROTO;
    return fo_frame_check_signature(frame, relay->region, relay->key_id, keys);
}
