/* SPDX-License-Identifier: Apache-2.0
 *
 * The outside of every frame: prefix, lengths, signature; and the reading of header elements. */
#include "wire/frame.h"

#include <sodium.h>

#include "base/assert.h"
#include "wire/frame_parts.h"
#include "wire/msgpack.h"

_Static_assert((int)FO_SIGNATURE_BYTES == (int)crypto_sign_BYTES, "Ed25519 signature");

enum { HEADER_LENGTH_AT = 4 };

enum fo_err
fo_frame_split(struct fo_slice bytes, struct fo_frame *ret_frame)
{
    struct fo_reader r = fo_reader_of(bytes);
    uint8_t magic0, magic1, version, kind;
    uint32_t header_bytes, body_bytes;
    uint64_t rest;

    if (fo_read_u8(&r, &magic0) != FO_OK || fo_read_u8(&r, &magic1) != FO_OK)
        return FO_ERR_TRUNCATED;
    if (magic0 != 'F' || magic1 != 'O')
        return FO_ERR_PROTO;
    if (fo_read_u8(&r, &version) != FO_OK)
        return FO_ERR_TRUNCATED;
    if (version != FO_FRAME_VERSION)        /* before the rest: another version may look different from here on */
        return FO_ERR_VERSION;
    if (fo_read_u8(&r, &kind) != FO_OK || fo_read_u32(&r, &header_bytes) != FO_OK || fo_read_u32(&r, &body_bytes) != FO_OK)
        return FO_ERR_TRUNCATED;
    if (kind < FO_FRAME_BATCH || kind > FO_FRAME_RELAY)
        return FO_ERR_PROTO;
    if (header_bytes > FO_HEADER_BYTES_MAX || body_bytes > FO_BODY_BYTES_MAX)
        return FO_ERR_TOO_LARGE;
    rest = (uint64_t)header_bytes + FO_SIGNATURE_BYTES + body_bytes;
    if (fo_reader_left(&r) != rest)
        return fo_reader_left(&r) < rest ? FO_ERR_TRUNCATED : FO_ERR_TRAILING;

    ret_frame->kind = (enum fo_frame_kind)kind;
    ret_frame->signed_part = fo_slice_of(bytes.p, FO_FRAME_PREFIX + header_bytes);
    ret_frame->header = fo_slice_of(r.p, header_bytes);
    ret_frame->signature = fo_slice_of(r.p + header_bytes, FO_SIGNATURE_BYTES);
    ret_frame->body = fo_slice_of(r.p + header_bytes + FO_SIGNATURE_BYTES, body_bytes);
    return FO_OK;
}

enum fo_err
fo_frame_begin(enum fo_frame_kind kind, size_t header_bytes_max, size_t body_bytes, struct fo_buf *out, struct fo_writer *ret_w)
{
    struct fo_writer w;
    enum fo_err err;

    if (body_bytes > FO_BODY_BYTES_MAX)
        return FO_ERR_TOO_LARGE;
    err = fo_buf_reserve(out, FO_FRAME_PREFIX + header_bytes_max + FO_SIGNATURE_BYTES + body_bytes);
    if (err != FO_OK)
        return err;
    w = fo_writer_of(out->p + out->n, FO_FRAME_PREFIX + header_bytes_max);
    fo_write_u8(&w, 'F');
    fo_write_u8(&w, 'O');
    fo_write_u8(&w, FO_FRAME_VERSION);
    fo_write_u8(&w, (uint8_t)kind);
    fo_write_u32(&w, 0);
    fo_write_u32(&w, 0);
    *ret_w = w;
    return FO_OK;
}

enum fo_err
fo_frame_sign(const struct fo_writer *w, size_t body_bytes, const struct fo_key_pair *key, struct fo_buf *out)
{
    struct fo_writer lengths = fo_writer_of(w->p + HEADER_LENGTH_AT, FO_FRAME_PREFIX - HEADER_LENGTH_AT);

    if (w->overflow)
        return FO_ERR_TOO_LARGE;
    fo_assert(w->p == out->p + out->n && key->secret != NULL);
    fo_write_u32(&lengths, (uint32_t)(w->n - FO_FRAME_PREFIX));
    fo_write_u32(&lengths, (uint32_t)body_bytes);
    crypto_sign_detached(w->p + w->n, NULL, w->p, w->n, key->secret);
    out->n += w->n + FO_SIGNATURE_BYTES;
    return FO_OK;
}

enum fo_err
fo_frame_check_signature(const struct fo_frame *frame, struct fo_slice region, uint64_t key_id, const struct fo_key_ring *keys)
{
    const struct fo_public_key *key = fo_key_ring_find(keys, key_id);

    if (key == NULL)
        return FO_ERR_UNKNOWN_KEY;
    if (!fo_slice_is_equal(region, fo_slice_str(key->region)))
        return FO_ERR_WRONG_KEY;
    if (crypto_sign_verify_detached(frame->signature.p, frame->signed_part.p, frame->signed_part.n, key->key) != 0)
        return FO_ERR_SIGNATURE;
    return FO_OK;
}

uint64_t
fo_header_uint(struct fo_reader *r, uint64_t min, uint64_t max, enum fo_err *err)
{
    uint64_t v;

    if (*err != FO_OK)
        return min;
    if (fo_mp_read_uint(r, &v) != FO_OK || v < min || v > max) {
        *err = FO_ERR_PROTO;
        return min;
    }
    return v;
}

struct fo_slice
fo_header_region(struct fo_reader *r, enum fo_err *err)
{
    struct fo_slice s;

    if (*err == FO_OK && fo_mp_read_str(r, &s) == FO_OK && fo_region_name_is_valid(s))
        return s;
    *err = FO_ERR_PROTO;
    return (struct fo_slice){NULL, 0};
}

void
fo_header_hash(struct fo_reader *r, uint8_t ret_hash[FO_HASH_BYTES], enum fo_err *err)
{
    struct fo_slice s;

    if (*err != FO_OK)
        return;
    if (fo_mp_read_bin(r, &s) != FO_OK || s.n != FO_HASH_BYTES)
        *err = FO_ERR_PROTO;
    else
        memcpy(ret_hash, s.p, FO_HASH_BYTES);
}

uint32_t
fo_header_array(struct fo_reader *r, uint32_t min, uint32_t max, enum fo_err *err)
{
    uint32_t count;

    if (*err != FO_OK)
        return 0;
    if (fo_mp_read_array(r, &count) != FO_OK || count < min || count > max) {
        *err = FO_ERR_PROTO;
        return 0;
    }
    return count;
}

void
fo_header_end(struct fo_reader *r, uint32_t more, enum fo_err *err)
{
    while (*err == FO_OK && more-- > 0)
        if (fo_mp_check(r, FO_NESTING_MAX) != FO_OK)
            *err = FO_ERR_PROTO;
    if (*err == FO_OK && fo_reader_left(r) != 0)
        *err = FO_ERR_PROTO;
}
