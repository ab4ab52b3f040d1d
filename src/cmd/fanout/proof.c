/* SPDX-License-Identifier: Apache-2.0
 *
 * See proof.h. */
#include "cmd/fanout/proof.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fanout/common.h"
#include "wire/door.h"

const char *
proof_state_name(enum proof_state state)
{
    static const char *const names[] = { "-", "verified", "key unknown", "NOT verified" };

    return names[state];
}

__attribute__((format(printf, 3, 4)))
static void
conclude(struct proof *p, enum proof_state state, const char *fmt, ...)
{
    va_list ap;

    p->state = state;
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof(p->text), fmt, ap);
    va_end(ap);
}

/* A member in base64, decoded; p null when it is absent or wrong. The caller frees p. */
static struct fo_slice
bytes_of(const json_t *base64)
{
    const char *text = json_string_value(base64);
    size_t room = text != NULL ? strlen(text) : 0, n = 0;
    uint8_t *bytes = text != NULL ? malloc(room + 1) : NULL;

    if (bytes == NULL || sodium_base642bin(bytes, room + 1, text, room, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        free(bytes);
        return (struct fo_slice){ NULL, 0 };
    }
    return fo_slice_of(bytes, n);
}

static void
free_slice(struct fo_slice s)
{
    free((void *)(uintptr_t)s.p);
}

/* The frame of a batch from its signed part and signature, without the body. */
static enum fo_err
frame_of(struct fo_slice signed_part, struct fo_slice signature, struct fo_frame *ret_frame)
{
    struct fo_reader r = fo_reader_of(signed_part);
    uint8_t magic[2], version, kind;
    uint32_t header_bytes, body_bytes;

    if (fo_read_u8(&r, &magic[0]) != FO_OK || fo_read_u8(&r, &magic[1]) != FO_OK || fo_read_u8(&r, &version) != FO_OK
        || fo_read_u8(&r, &kind) != FO_OK || fo_read_u32(&r, &header_bytes) != FO_OK || fo_read_u32(&r, &body_bytes) != FO_OK
        || magic[0] != 'F' || magic[1] != 'O' || kind != FO_FRAME_BATCH
        || header_bytes != fo_reader_left(&r) || signature.n != FO_SIGNATURE_BYTES)
        return FO_ERR_PROTO;
    if (version != FO_FRAME_VERSION)            /* what its root means is not known here */
        return FO_ERR_VERSION;
    *ret_frame = (struct fo_frame){ .kind = FO_FRAME_BATCH, .header = fo_slice_of(r.p, header_bytes), .signature = signature,
        .signed_part = signed_part };
    return FO_OK;
}

/* A key fault is only that the key is not here; everything else is a proof that fails. */
static bool
is_signed(enum fo_err err, uint64_t key_id, const char *what, struct proof *p)
{
    if (err == FO_OK)
        return true;
    if (err == FO_ERR_UNKNOWN_KEY)
        conclude(p, PROOF_NO_KEY, "key %016" PRIx64 " is not among the keys given", key_id);
    else
        conclude(p, PROOF_FAILED, "%s: %s", what, fo_err_text(err));
    return false;
}

static bool
is_the_event(struct fo_slice record, const char *tenant, const char *id)
{
    struct fo_event e;

    return fo_event_decode(record, &e) == FO_OK && fo_slice_is_equal(e.id, fo_slice_str(id))
        && fo_slice_is_equal(e.tenant, fo_slice_str(tenant));
}

static bool
path_proves(const json_t *batch, const struct fo_batch_header *h, struct fo_slice record, uint32_t index)
{
    const json_t *hashes = json_object_get(batch, "path");
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    size_t n = json_array_size(hashes);

    if (!json_is_array(hashes) || n > FO_MERKLE_PATH_MAX || index >= h->count)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct fo_slice hash = bytes_of(json_array_get(hashes, i));
        bool is_hash = hash.n == FO_HASH_BYTES;
        if (is_hash)
            memcpy(path[i], hash.p, FO_HASH_BYTES);
        free_slice(hash);
        if (!is_hash)
            return false;
    }
    return fo_merkle_proves(record, index, h->count, (const uint8_t(*)[FO_HASH_BYTES])path, (unsigned)n, h->root);
}

static void
check_batch(const json_t *answer, const struct fo_slice part[3], const char *tenant, const char *id, const struct fo_key_ring *keys,
    struct proof *p)
{
    const json_t *batch = json_object_get(answer, "batch");
    double told_index = cmd_number(batch, "index", -1);
    char position[FO_POSITION_SIZE];
    struct fo_batch_header h;
    struct fo_frame frame;
    enum fo_err err = frame_of(part[0], part[1], &frame);

    if (err == FO_OK)
        err = fo_batch_header_decode(&frame, &h);
    if (err != FO_OK) {
        conclude(p, PROOF_FAILED, err == FO_ERR_VERSION ? "the batch is a frame of another version" : "the signed header is not a batch's");
        return;
    }
    if (!is_signed(fo_batch_verify_header(&frame, &h, keys), h.key_id, "batch", p))
        return;
    snprintf(p->region, sizeof(p->region), "%.*s", (int)h.region.n, (const char *)h.region.p);
    uint32_t index = told_index >= 0 && told_index < h.count ? (uint32_t)told_index : h.count;
    p->pos = (struct fo_position){ h.epoch, h.first_seq + index, h.lane };
    fo_position_format(p->region, p->pos, position);
    if (!is_the_event(part[2], tenant, id))
        conclude(p, PROOF_FAILED, "the record is not the event asked for");
    else if (!path_proves(batch, &h, part[2], index))
        conclude(p, PROOF_FAILED, "the Merkle path does not lead from the record to the signed root");
    else if (strcmp(position, cmd_text(answer, "position", "")) != 0)
        conclude(p, PROOF_FAILED, "signed as %s, not as told", position);
    else
        conclude(p, PROOF_VERIFIED, "signed by %s with key %016" PRIx64 "; event %u of %u, Merkle path proven", p->region, h.key_id,
            index + 1, h.count);
}

void
proof_check_batch(const json_t *answer, const char *tenant, const char *id, const struct fo_key_ring *keys, struct proof *ret_proof)
{
    static const char *const member[] = { "header", "signature", "record" };
    const json_t *batch = json_object_get(answer, "batch");
    struct fo_slice part[3];

    memset(ret_proof, 0, sizeof(*ret_proof));
    if (keys == NULL) {
        conclude(ret_proof, PROOF_NO_KEY, "no public keys given: use --keys DIR or --config FILE");
        return;
    }
    for (int i = 0; i < 3; i++)
        part[i] = bytes_of(json_object_get(batch, member[i]));
    if (part[0].p == NULL || part[1].p == NULL || part[2].p == NULL)
        conclude(ret_proof, PROOF_FAILED, "the answer has no signed header, signature or record");
    else
        check_batch(answer, part, tenant, id, keys, ret_proof);
    for (int i = 0; i < 3; i++)
        free_slice(part[i]);
}

/* What the ack says of a position: delivered, an exception's state, or null when it does not cover it. */
static const char *
acked_state(const struct fo_control *c, struct fo_position pos)
{
    static const char *const of_verdict[] = { [FO_VERDICT_EXPIRED] = "expired", [FO_VERDICT_INCOMPATIBLE] = "incompatible",
        [FO_VERDICT_REJECTED] = "failed" };

    if (c->epoch_acked[pos.lane] < pos.epoch || (c->epoch_acked[pos.lane] == pos.epoch && c->cum_seq[pos.lane] < pos.seq))
        return NULL;
    for (unsigned i = 0; i < c->exception_count; i++) {
        if (c->exception[i].lane == pos.lane && c->exception[i].seq == pos.seq)
            return of_verdict[c->exception[i].verdict];
    }
    return "delivered";
}

static void
check_ack(const json_t *delivery, struct fo_slice bytes, const struct proof *batch, const struct fo_key_ring *keys, struct proof *p)
{
    const char *region = cmd_text(delivery, "region", ""), *state;
    struct fo_control c;
    struct fo_frame frame;

    if (fo_frame_split(bytes, &frame) != FO_OK || fo_control_decode(&frame, &c) != FO_OK) {
        conclude(p, PROOF_FAILED, "the ack is not a control frame");
        return;
    }
    if (!is_signed(fo_control_verify(&frame, &c, keys), c.key_id, "ack", p))
        return;
    state = acked_state(&c, batch->pos);
    if (!fo_slice_is_equal(c.region, fo_slice_str(region)) || !fo_slice_is_equal(c.target, fo_slice_str(batch->region)))
        conclude(p, PROOF_FAILED, "the ack is from or to another region");
    else if (state == NULL)
        conclude(p, PROOF_FAILED, "the ack does not reach the event's position");
    else if (strcmp(state, cmd_text(delivery, "state", "")) != 0)
        conclude(p, PROOF_FAILED, "the ack says %s", state);
    else
        conclude(p, PROOF_VERIFIED, "signed by %s with key %016" PRIx64, region, c.key_id);
}

void
proof_check_ack(const json_t *delivery, const struct proof *batch, const struct fo_key_ring *keys, struct proof *ret_proof)
{
    struct fo_slice bytes = bytes_of(json_object_get(delivery, "ackFrame"));

    memset(ret_proof, 0, sizeof(*ret_proof));
    if (bytes.p == NULL)
        conclude(ret_proof, PROOF_NONE, "no ack yet");
    else if (keys == NULL)
        conclude(ret_proof, PROOF_NO_KEY, "no public keys given");
    else if (batch->state != PROOF_VERIFIED)
        conclude(ret_proof, batch->state, "the event's position is not proven");
    else
        check_ack(delivery, bytes, batch, keys, ret_proof);
    free_slice(bytes);
}

bool
proof_is_same_record(const json_t *answer, const json_t *other)
{
    const char *a = cmd_text(json_object_get(answer, "batch"), "record", ""), *b = cmd_text(json_object_get(other, "batch"), "record", "");

    return a[0] != '\0' && strcmp(a, b) == 0;
}
