/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements as signed bytes. The element lists here are the ones of proto/WIRE.md, in its order. */
#include "wire/audit.h"

#include <sodium.h>

#include "wire/frame_parts.h"
#include "wire/msgpack.h"

static const char statement_word[] = "fanout-audit";

enum { ROW_BYTES_MAX = 512 + FO_REGIONS_MAX * 64 };
enum { STATEMENT_VERSION = 2, STATEMENT_ELEMENTS = 18, LANE_ELEMENTS = 8, FLOW_ELEMENTS = 8, DAMAGE_ELEMENTS = 4,
    STATEMENT_BYTES_MAX = 2048 + FO_AUDIT_DAMAGED_MAX * 32 + FO_LANES * 192 + FO_AUDIT_FLOWS_MAX * 256 };

const char *
fo_audit_state_name(enum fo_audit_state state)
{
    static const char *const name[] = { "delivered", "expired", "incompatible", "failed", "unproven", "pending" };

    return name[state];
}

void
fo_audit_leaf(struct fo_slice record, uint8_t ret_leaf[FO_HASH_BYTES])
{
    fo_merkle_root(&record, 1, ret_leaf);       /* the root of one leaf is the leaf */
}

void
fo_audit_digest_event(uint8_t digest[FO_HASH_BYTES], struct fo_mark at, const uint8_t leaf[FO_HASH_BYTES])
{
    uint8_t step[FO_HASH_BYTES + 16 + FO_HASH_BYTES];
    struct fo_writer w = fo_writer_of(step, sizeof step);

    fo_write_bytes(&w, digest, FO_HASH_BYTES);
    fo_write_u64(&w, at.epoch);
    fo_write_u64(&w, at.seq);
    fo_write_bytes(&w, leaf, FO_HASH_BYTES);
    fo_hash(FO_HASHED_DIGEST, fo_slice_of(step, w.n), digest);
}

static void
text_write(struct fo_writer *w, struct fo_slice s)
{
    fo_write_u32(w, (uint32_t)s.n);
    fo_write_bytes(w, s.p, s.n);
}

/* Texts that do not fit, which only somebody's own hand can have written into a row, are left out: no source's row is like that. */
void
fo_audit_digest_row(uint8_t digest[FO_HASH_BYTES], struct fo_mark at, struct fo_slice tenant, struct fo_slice id, struct fo_slice outcome)
{
    uint8_t step[ROW_BYTES_MAX];
    struct fo_writer w = fo_writer_of(step, sizeof step);

    fo_write_bytes(&w, digest, FO_HASH_BYTES);
    fo_write_u64(&w, at.epoch);
    fo_write_u64(&w, at.seq);
    text_write(&w, tenant);
    text_write(&w, id);
    text_write(&w, outcome);
    fo_hash(FO_HASHED_LEDGER, fo_slice_of(step, w.n), digest);
}

static void
mark_write(struct fo_writer *w, struct fo_mark m)
{
    fo_mp_write_array(w, 2);
    fo_mp_write_uint(w, m.epoch);
    fo_mp_write_uint(w, m.seq);
}

static void
marks_write(struct fo_writer *w, const struct fo_mark m[FO_LANES])
{
    fo_mp_write_array(w, FO_LANES);
    for (int i = 0; i < FO_LANES; i++)
        mark_write(w, m[i]);
}

static void
lane_write(struct fo_writer *w, const struct fo_audit_lane *l)
{
    fo_mp_write_array(w, LANE_ELEMENTS);
    fo_mp_write_uint(w, l->accepted);
    fo_mp_write_uint(w, l->holes);
    mark_write(w, l->trimmed);
    mark_write(w, l->end);
    fo_mp_write_uint(w, l->ledger_rows);
    fo_mp_write_uint(w, l->ledger_moving);
    mark_write(w, l->ledger_up_to);
    fo_mp_write_bin(w, fo_slice_of(l->ledger_digest, FO_HASH_BYTES));
}

static void
flow_write(struct fo_writer *w, const struct fo_audit_flow *f)
{
    fo_mp_write_array(w, FLOW_ELEMENTS);
    fo_mp_write_str(w, fo_slice_str(f->region));
    fo_mp_write_uint(w, f->lane);
    fo_mp_write_array(w, FO_AUDIT_STATES);
    for (int i = 0; i < FO_AUDIT_STATES; i++)
        fo_mp_write_uint(w, f->count[i]);
    fo_mp_write_uint(w, f->misplaced);
    mark_write(w, f->first);
    mark_write(w, f->trimmed);
    mark_write(w, f->up_to);
    fo_mp_write_bin(w, fo_slice_of(f->digest, FO_HASH_BYTES));
}

static void
statement_write(struct fo_writer *w, const struct fo_audit_statement *s)
{
    unsigned damages = s->damaged < FO_AUDIT_DAMAGED_MAX ? (unsigned)s->damaged : FO_AUDIT_DAMAGED_MAX;

    fo_mp_write_array(w, STATEMENT_ELEMENTS);
    fo_mp_write_str(w, fo_slice_str(statement_word));
    fo_mp_write_uint(w, STATEMENT_VERSION);
    fo_mp_write_str(w, fo_slice_str(s->region));
    fo_mp_write_uint(w, s->key_id);
    fo_mp_write_uint(w, s->epoch);
    fo_mp_write_uint(w, (uint64_t)s->made_at.us);
    fo_mp_write_uint(w, (uint64_t)s->from.us);
    fo_mp_write_uint(w, (uint64_t)s->to.us);
    fo_mp_write_str(w, fo_slice_str(s->source));
    fo_mp_write_str(w, fo_slice_str(s->target));
    marks_write(w, s->after);
    marks_write(w, s->up_to);
    mark_write(w, s->ledger);
    fo_mp_write_uint(w, (uint64_t)s->complete_from.us);
    fo_mp_write_uint(w, s->damaged);
    fo_mp_write_array(w, damages);
    for (unsigned i = 0; i < damages; i++) {
        fo_mp_write_array(w, DAMAGE_ELEMENTS);
        fo_mp_write_uint(w, s->damage[i].lsn);
        fo_mp_write_uint(w, s->damage[i].type);
        fo_mp_write_uint(w, s->damage[i].lane);
        fo_mp_write_uint(w, s->damage[i].count);
    }
    fo_mp_write_array(w, FO_LANES);
    for (int i = 0; i < FO_LANES; i++)
        lane_write(w, &s->lane[i]);
    fo_mp_write_array(w, s->flow_count);
    for (unsigned i = 0; i < s->flow_count; i++)
        flow_write(w, &s->flow[i]);
}

enum fo_err
fo_audit_seal(struct fo_audit_statement *s, const struct fo_key_pair *key, struct fo_buf *out, uint8_t ret_signature[FO_SIGNATURE_BYTES])
{
    struct fo_writer w;
    enum fo_err err;

    if (strcmp(s->region, key->public_half.region) != 0)
        return FO_ERR_WRONG_KEY;
    err = fo_buf_reserve(out, STATEMENT_BYTES_MAX);
    if (err != FO_OK)
        return err;
    s->key_id = key->public_half.id;
    w = fo_writer_of(out->p + out->n, STATEMENT_BYTES_MAX);
    statement_write(&w, s);
    if (w.overflow)
        return FO_ERR_TOO_LARGE;
    crypto_sign_detached(ret_signature, NULL, w.p, w.n, key->secret);
    out->n += w.n;
    return FO_OK;
}

static void
region_read(struct fo_reader *r, bool is_needed, char ret_name[FO_REGION_BYTES_MAX + 1], enum fo_err *err)
{
    struct fo_slice s = { NULL, 0 };

    if (*err == FO_OK && (fo_mp_read_str(r, &s) != FO_OK || ((is_needed || s.n > 0) && !fo_region_name_is_valid(s))))
        *err = FO_ERR_PROTO;
    if (*err == FO_OK && s.n > 0)
        memcpy(ret_name, s.p, s.n);
}

static struct fo_mark
mark_read(struct fo_reader *r, enum fo_err *err)
{
    struct fo_mark m;

    fo_header_array(r, 2, 2, err);
    m.epoch = fo_header_uint(r, 0, UINT64_MAX, err);
    m.seq = fo_header_uint(r, 0, UINT64_MAX, err);
    return m;
}

static void
marks_read(struct fo_reader *r, struct fo_mark ret_m[FO_LANES], enum fo_err *err)
{
    fo_header_array(r, FO_LANES, FO_LANES, err);
    for (int i = 0; i < FO_LANES; i++)
        ret_m[i] = mark_read(r, err);
}

static void
lane_read(struct fo_reader *r, struct fo_audit_lane *l, enum fo_err *err)
{
    fo_header_array(r, LANE_ELEMENTS, LANE_ELEMENTS, err);
    l->accepted = fo_header_uint(r, 0, UINT64_MAX, err);
    l->holes = fo_header_uint(r, 0, UINT64_MAX, err);
    l->trimmed = mark_read(r, err);
    l->end = mark_read(r, err);
    l->ledger_rows = fo_header_uint(r, 0, UINT64_MAX, err);
    l->ledger_moving = fo_header_uint(r, 0, UINT64_MAX, err);
    l->ledger_up_to = mark_read(r, err);
    fo_header_hash(r, l->ledger_digest, err);
}

static void
flow_read(struct fo_reader *r, struct fo_audit_flow *f, enum fo_err *err)
{
    fo_header_array(r, FLOW_ELEMENTS, FLOW_ELEMENTS, err);
    region_read(r, true, f->region, err);
    f->lane = (enum fo_lane)fo_header_uint(r, 0, FO_LANES - 1, err);
    fo_header_array(r, FO_AUDIT_STATES, FO_AUDIT_STATES, err);
    for (int i = 0; i < FO_AUDIT_STATES; i++)
        f->count[i] = fo_header_uint(r, 0, UINT64_MAX, err);
    f->misplaced = fo_header_uint(r, 0, UINT64_MAX, err);
    f->first = mark_read(r, err);
    f->trimmed = mark_read(r, err);
    f->up_to = mark_read(r, err);
    fo_header_hash(r, f->digest, err);
}

static void
damage_read(struct fo_reader *r, struct fo_audit_statement *s, enum fo_err *err)
{
    uint32_t n;

    s->damaged = fo_header_uint(r, 0, UINT64_MAX, err);
    n = fo_header_array(r, 0, FO_AUDIT_DAMAGED_MAX, err);
    if (n > s->damaged)
        *err = FO_ERR_PROTO;
    for (uint32_t i = 0; i < n && *err == FO_OK; i++) {
        fo_header_array(r, DAMAGE_ELEMENTS, DAMAGE_ELEMENTS, err);
        s->damage[i].lsn = fo_header_uint(r, 0, UINT64_MAX, err);
        s->damage[i].type = (uint8_t)fo_header_uint(r, 0, UINT8_MAX, err);
        s->damage[i].lane = (uint8_t)fo_header_uint(r, 0, UINT8_MAX, err);
        s->damage[i].count = (uint32_t)fo_header_uint(r, 0, UINT32_MAX, err);
    }
}

enum fo_err
fo_audit_decode(struct fo_slice bytes, struct fo_audit_statement *ret_s)
{
    struct fo_reader r = fo_reader_of(bytes);
    struct fo_slice word;
    enum fo_err err = FO_OK;
    uint32_t elements;

    memset(ret_s, 0, sizeof *ret_s);
    elements = fo_header_array(&r, STATEMENT_ELEMENTS, UINT32_MAX, &err);
    if (err != FO_OK || fo_mp_read_str(&r, &word) != FO_OK || !fo_slice_is_equal(word, fo_slice_str(statement_word)))
        return FO_ERR_PROTO;
    if (fo_header_uint(&r, 0, UINT64_MAX, &err) != STATEMENT_VERSION && err == FO_OK)
        return FO_ERR_VERSION;
    region_read(&r, true, ret_s->region, &err);
    ret_s->key_id = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_s->epoch = fo_header_uint(&r, 0, UINT64_MAX, &err);
    ret_s->made_at.us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    ret_s->from.us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    ret_s->to.us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    region_read(&r, false, ret_s->source, &err);
    region_read(&r, false, ret_s->target, &err);
    marks_read(&r, ret_s->after, &err);
    marks_read(&r, ret_s->up_to, &err);
    ret_s->ledger = mark_read(&r, &err);
    ret_s->complete_from.us = (int64_t)fo_header_uint(&r, 0, INT64_MAX, &err);
    damage_read(&r, ret_s, &err);
    fo_header_array(&r, FO_LANES, FO_LANES, &err);
    for (int i = 0; i < FO_LANES; i++)
        lane_read(&r, &ret_s->lane[i], &err);
    ret_s->flow_count = fo_header_array(&r, 0, FO_AUDIT_FLOWS_MAX, &err);
    for (unsigned i = 0; i < ret_s->flow_count && err == FO_OK; i++)
        flow_read(&r, &ret_s->flow[i], &err);
    fo_header_end(&r, elements - STATEMENT_ELEMENTS, &err);
    return err;
}

enum fo_err
fo_audit_verify(struct fo_slice bytes, struct fo_slice signature, const struct fo_audit_statement *s, const struct fo_key_ring *keys)
{
    const struct fo_frame signed_bytes = { .signed_part = bytes, .signature = signature };

    if (signature.n != FO_SIGNATURE_BYTES)
        return FO_ERR_SIGNATURE;
    return fo_frame_check_signature(&signed_bytes, fo_slice_str(s->region), s->key_id, keys);
}

static bool
is_same_mark(struct fo_mark a, struct fo_mark b)
{
    return a.epoch == b.epoch && a.seq == b.seq;
}

bool
fo_audit_answers(const struct fo_audit_statement *s, const struct fo_audit_query *q)
{
    bool is_same = strcmp(s->source, q->source) == 0 && strcmp(s->target, q->target) == 0 && s->from.us == q->from.us
        && (q->to.us == 0 || s->to.us == q->to.us) && is_same_mark(s->ledger, q->ledger);

    for (unsigned i = 0; i < FO_LANES; i++)
        is_same &= is_same_mark(s->after[i], q->after[i]) && is_same_mark(s->up_to[i], q->up_to[i]);
    return is_same;
}

const struct fo_audit_flow *
fo_audit_flow_of(const struct fo_audit_statement *s, const char *region, enum fo_lane lane)
{
    for (unsigned i = 0; s != NULL && i < s->flow_count; i++)
        if (s->flow[i].lane == lane && strcmp(s->flow[i].region, region) == 0)
            return &s->flow[i];
    return NULL;
}

uint64_t
fo_audit_settled(const struct fo_audit_flow *f)
{
    uint64_t n = 0;

    for (int i = 0; i < FO_AUDIT_PENDING; i++)
        n += f->count[i];
    return n;
}
