/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: sealing, reading the header, verifying.
 *
 * The same rules hold when sealing and when reading (header_is_valid), so that we never send what a peer must refuse. */
#include "base/assert.h"
#include "wire/frame.h"
#include "wire/frame_parts.h"
#include "wire/msgpack.h"

enum { HEADER_ELEMENTS = 10, LENGTH_BYTES = 4 };

static bool
targets_are_valid(const struct fo_batch_header *h)
{
    if (h->target_count < 1 || h->target_count > FO_REGIONS_MAX)
        return false;
    for (unsigned i = 0; i < h->target_count; i++) {
        if (!fo_region_name_is_valid(h->target[i].region) || h->target[i].prev_seq >= h->first_seq ||
            h->target[i].prev_epoch >= h->epoch || (h->target[i].prev_seq == 0 && h->target[i].prev_epoch != 0))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (fo_slice_is_equal(h->target[i].region, h->target[j].region))
                return false;
    }
    return true;
}

/* Everything but the hashes and the key id, of which any value is one. */
static bool
header_is_valid(const struct fo_batch_header *h)
{
    return fo_region_name_is_valid(h->region) && h->epoch >= 1 && (unsigned)h->lane < FO_LANES && h->count >= 1 &&
           h->count <= FO_BATCH_EVENTS_MAX && h->first_seq >= 1 && h->first_seq <= UINT64_MAX - h->count && h->sealed_at.us > 0 &&
           targets_are_valid(h);
}

static void
header_write(const struct fo_batch_header *h, struct fo_writer *w)
{
    fo_mp_write_array(w, HEADER_ELEMENTS + h->is_awaited);
    fo_mp_write_str(w, h->region);
    fo_mp_write_uint(w, h->key_id);
    fo_mp_write_uint(w, h->epoch);
    fo_mp_write_uint(w, h->lane);
    fo_mp_write_uint(w, h->first_seq);
    fo_mp_write_uint(w, h->count);
    fo_mp_write_uint(w, (uint64_t)h->sealed_at.us);
    fo_mp_write_array(w, h->target_count);
    for (unsigned i = 0; i < h->target_count; i++) {
        fo_mp_write_array(w, 2 + (h->target[i].prev_epoch != 0));
        fo_mp_write_str(w, h->target[i].region);
        fo_mp_write_uint(w, h->target[i].prev_seq);
        if (h->target[i].prev_epoch != 0)
            fo_mp_write_uint(w, h->target[i].prev_epoch);
    }
    fo_mp_write_bin(w, fo_slice_of(h->prev_root, FO_HASH_BYTES));
    fo_mp_write_bin(w, fo_slice_of(h->root, FO_HASH_BYTES));
    if (h->is_awaited)
        fo_mp_write_uint(w, 1);
}

/* FO_ERR_INVALID: an empty record. FO_ERR_TOO_LARGE. */
static enum fo_err
body_bytes_of(const struct fo_slice *records, uint32_t count, size_t *ret_bytes)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (records[i].n == 0)
            return FO_ERR_INVALID;
        if (records[i].n > FO_BODY_BYTES_MAX)
            return FO_ERR_TOO_LARGE;
        bytes += LENGTH_BYTES + records[i].n;
    }
    if (bytes > FO_BODY_BYTES_MAX)
        return FO_ERR_TOO_LARGE;
    *ret_bytes = bytes;
    return FO_OK;
}

/* Everything before the body, at the end of `out`, which gets room for room_bytes behind it. */
static enum fo_err
seal_head(struct fo_batch_header *h, const struct fo_slice *records, size_t body_bytes, size_t room_bytes, const struct fo_key_pair *key, struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err = fo_frame_begin(FO_FRAME_BATCH, FO_BATCH_HEADER_BYTES_MAX, room_bytes, out, &w);

    if (err != FO_OK)
        return err;
    h->key_id = key->public_half.id;
    fo_merkle_root(records, h->count, h->root);
    header_write(h, &w);
    return fo_frame_sign(&w, body_bytes, key, out);
}

/* The body's size; what must be known of a batch before anything is written. */
static enum fo_err
check_sealable(const struct fo_batch_header *h, const struct fo_slice *records, const struct fo_key_pair *key, size_t *ret_body_bytes)
{
    if (!header_is_valid(h))
        return FO_ERR_INVALID;
    if (!fo_slice_is_equal(h->region, fo_slice_str(key->public_half.region)))
        return FO_ERR_WRONG_KEY;
    return body_bytes_of(records, h->count, ret_body_bytes);
}

enum fo_err
fo_batch_seal_in_place(struct fo_batch_header *h, const struct fo_slice *records, const struct fo_key_pair *key, const struct fo_buf *built,
    struct fo_slice *ret_frame)
{
    uint8_t bytes[FO_BATCH_HEAD_ROOM];
    struct fo_buf head = { bytes, 0, sizeof bytes };
    size_t body_bytes;
    enum fo_err err = check_sealable(h, records, key, &body_bytes);

    if (err == FO_OK)
        err = seal_head(h, records, body_bytes, 0, key, &head);
    if (err != FO_OK)
        return err;
    fo_assert(head.p == bytes && built->n == FO_BATCH_HEAD_ROOM + body_bytes);
    *ret_frame = fo_slice_of(built->p + FO_BATCH_HEAD_ROOM - head.n, head.n + body_bytes);
    memcpy(built->p + FO_BATCH_HEAD_ROOM - head.n, head.p, head.n);
    return FO_OK;
}

enum fo_err
fo_batch_seal(struct fo_batch_header *h, const struct fo_slice *records, const struct fo_key_pair *key, struct fo_buf *out)
{
    struct fo_writer w;
    size_t body_bytes;
    enum fo_err err = check_sealable(h, records, key, &body_bytes);

    if (err == FO_OK)
        err = seal_head(h, records, body_bytes, body_bytes, key, out);
    if (err != FO_OK)
        return err;
    w = fo_writer_of(out->p + out->n, body_bytes);
    for (uint32_t i = 0; i < h->count; i++) {
        fo_write_u32(&w, (uint32_t)records[i].n);
        fo_write_bytes(&w, records[i].p, records[i].n);
    }
    fo_assert(!w.overflow && w.n == body_bytes);
    out->n += body_bytes;
    return FO_OK;
}

static void
targets_read(struct fo_reader *r, struct fo_batch_header *h, enum fo_err *err)
{
    h->target_count = fo_header_array(r, 1, FO_REGIONS_MAX, err);
    for (unsigned i = 0; i < h->target_count && *err == FO_OK; i++) {
        uint32_t elements = fo_header_array(r, 2, 3, err);

        h->target[i].region = fo_header_region(r, err);
        h->target[i].prev_seq = fo_header_uint(r, 0, UINT64_MAX, err);
        h->target[i].prev_epoch = elements == 3 ? fo_header_uint(r, 1, UINT64_MAX, err) : 0;
    }
}

enum fo_err
fo_batch_header_decode(const struct fo_frame *frame, struct fo_batch_header *ret_h)
{
    struct fo_reader r = fo_reader_of(frame->header);
    enum fo_err err = frame->kind == FO_FRAME_BATCH ? FO_OK : FO_ERR_PROTO;
    uint32_t elements = fo_header_array(&r, HEADER_ELEMENTS, UINT32_MAX, &err);

    ret_h->region = fo_header_region(&r, &err);
    ret_h->key_id = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_h->epoch = fo_header_uint(&r, 1, UINT64_MAX, &err);
    ret_h->lane = (enum fo_lane)fo_header_uint(&r, 0, FO_LANES - 1, &err);
    ret_h->first_seq = fo_header_uint(&r, 1, UINT64_MAX, &err);
    ret_h->count = (uint32_t)fo_header_uint(&r, 1, FO_BATCH_EVENTS_MAX, &err);
    ret_h->sealed_at.us = (int64_t)fo_header_uint(&r, 1, INT64_MAX, &err);
    targets_read(&r, ret_h, &err);
    fo_header_hash(&r, ret_h->prev_root, &err);
    fo_header_hash(&r, ret_h->root, &err);
    ret_h->is_awaited = elements > HEADER_ELEMENTS && fo_header_uint(&r, 0, 1, &err) == 1;
    fo_header_end(&r, elements > HEADER_ELEMENTS ? elements - HEADER_ELEMENTS - 1 : 0, &err);
    if (err == FO_OK && !header_is_valid(ret_h))
        err = FO_ERR_PROTO;
    return err;
}

enum fo_err
fo_batch_records(struct fo_slice body, uint32_t count, struct fo_slice *ret_records)
{
    struct fo_reader r = fo_reader_of(body);
    uint32_t n;

    for (uint32_t i = 0; i < count; i++) {
        if (fo_read_u32(&r, &n) != FO_OK || n == 0 || fo_read_slice(&r, n, &ret_records[i]) != FO_OK)
            return FO_ERR_PROTO;
        fo_prefetch(r.p + 3 * n, n, r.end);
    }
    return fo_reader_left(&r) == 0 ? FO_OK : FO_ERR_PROTO;
}

enum fo_err
fo_batch_verify_header(const struct fo_frame *frame, const struct fo_batch_header *h, const struct fo_key_ring *keys)
{
    return fo_frame_check_signature(frame, h->region, h->key_id, keys);
}

/* The signature first: it costs the same whatever the body's size, so a stranger's large batch is not worth more of our time. */
enum fo_err
fo_batch_verify(const struct fo_frame *frame, const struct fo_batch_header *h, const struct fo_key_ring *keys, struct fo_slice *ret_records)
{
    struct fo_slice local[FO_BATCH_EVENTS_MAX], *records = ret_records != NULL ? ret_records : local;
    uint8_t root[FO_HASH_BYTES];
    enum fo_err err;

    if (frame->kind != FO_FRAME_BATCH || h->count < 1 || h->count > FO_BATCH_EVENTS_MAX)
        return FO_ERR_PROTO;
    err = fo_frame_check_signature(frame, h->region, h->key_id, keys);
    if (err == FO_OK)
        err = fo_batch_records(frame->body, h->count, records);
    if (err != FO_OK)
        return err;
    fo_merkle_root(records, h->count, root);
    return memcmp(root, h->root, FO_HASH_BYTES) == 0 ? FO_OK : FO_ERR_SIGNATURE;
}
