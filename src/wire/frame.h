/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames between brokers: what is signed, stored and sent, as the same bytes.
 *
 *   0  'F' 'O'   magic              8  u32 body length
 *   2  u8        version, 3        12  header: one msgpack array
 *   3  u8        kind               .  64 bytes: Ed25519 over everything before it
 *   4  u32       header length      .  body
 *
 * A batch's body is its event records, each behind a u32 length; its header holds their Merkle root
 * (leaf: hash of a record, node: of its 2 to 16 children), so the signature covers every byte.
 * Header arrays may grow at the end within version 3; readers ignore what they do not know. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"
#include "base/time.h"
#include "wire/hash.h"
#include "wire/keys.h"

enum { FO_FRAME_VERSION = 3, FO_FRAME_PREFIX = 12, FO_SIGNATURE_BYTES = 64, FO_HEADER_BYTES_MAX = 16384, FO_BODY_BYTES_MAX = 64 << 20 };
enum { FO_BATCH_HEADER_BYTES_MAX = 4096, FO_BATCH_HEAD_ROOM = FO_FRAME_PREFIX + FO_BATCH_HEADER_BYTES_MAX + FO_SIGNATURE_BYTES };     /* as we write them */
enum fo_frame_kind { FO_FRAME_BATCH = 1, FO_FRAME_ACK = 2, FO_FRAME_HELLO = 3, FO_FRAME_HEARTBEAT = 4, FO_FRAME_RELAY = 5 };

struct fo_frame { enum fo_frame_kind kind; struct fo_slice header, signature, body, signed_part; };
/* Splits a frame; exact lengths. FO_ERR_TRUNCATED, FO_ERR_TRAILING, FO_ERR_PROTO (magic, kind), FO_ERR_VERSION, FO_ERR_TOO_LARGE (header or body over its limit). */
FO_MUST_CHECK enum fo_err fo_frame_split(struct fo_slice bytes, struct fo_frame *ret_frame);

struct fo_target {
    struct fo_slice region;
    uint64_t prev_seq;                      /* last sequence of the batch before this one, in this lane, that targeted the region; 0: none */
    uint64_t prev_epoch;                    /* of prev_seq, if that was given out in an earlier epoch than the batch's; else 0 */
};

struct fo_batch_header {                    /* header: [region, keyid, epoch, lane, first_seq, count, sealed_at_us, [[region, prev_seq, prev_epoch?]...], prev_root, root, awaited?] */
    struct fo_slice region;
    uint64_t key_id, epoch, first_seq;
    enum fo_lane lane;
    uint32_t count;
    struct fo_wall sealed_at;
    struct fo_target target[FO_REGIONS_MAX]; unsigned target_count;
    uint8_t prev_root[FO_HASH_BYTES], root[FO_HASH_BYTES];   /* prev_root: the lane's batch before this one, whatever its targets; zeros for the first */
    bool is_awaited;                        /* somebody waits for the acks: they are not to be gathered */
};

enum fo_verdict { FO_VERDICT_EXPIRED = 1, FO_VERDICT_INCOMPATIBLE = 2, FO_VERDICT_REJECTED = 3 };
struct fo_exception { enum fo_lane lane; uint64_t seq; enum fo_verdict verdict; };
#define FO_EXCEPTIONS_MAX FO_BATCH_EVENTS_MAX
#define FO_REACHES_MAX 16

/* One struct for ack, hello and heartbeat: each carries the whole ack state, so that any of them repairs the others' loss.
 * header: [region, keyid, target, session, sent_at_us, [epoch_high, epoch_normal, epoch_low], [cum_high, cum_normal, cum_low], [[lane, seq, verdict]...], echo_at_us, echo_delay_us, [settled_high, settled_normal, settled_low, then their three epochs, or none], [reached...]?] */
struct fo_control {
    struct fo_slice region; uint64_t key_id;    /* who speaks */
    struct fo_slice target;                     /* to whom */
    uint64_t session;                           /* random, new at each start of the speaker's process */
    struct fo_wall sent_at;                     /* speaker's clock, which never goes back within a session */
    uint64_t epoch_acked[FO_LANES];             /* epoch that cum_seq belongs to, per lane; 0: has nothing */
    uint64_t cum_seq[FO_LANES];                 /* everything for the speaker up to here is durable at it */
    struct fo_exception exception[FO_EXCEPTIONS_MAX]; unsigned exception_count;   /* in ascending order per lane; not delivered, and why */
    uint64_t settled_seq[FO_LANES];             /* how far the speaker knows of the target's acks for the speaker's own sequences: exceptions up to there need no repeating */
    uint64_t settled_epoch[FO_LANES];           /* the speaker's epoch in which settled_seq was given out; 0: not said; 1: one too old to be known */
    struct fo_slice reach[FO_REACHES_MAX]; unsigned reach_count;   /* regions that the speaker reaches directly, and would relay to */
    struct fo_wall echo_at; int64_t echo_delay_us;   /* newest sent_at seen from the target, and how long ago; 0: none */
};

/* Seals a batch: writes the whole frame to `out` (appended). records: count slices. h->root and h->key_id are computed and set.
 * FO_ERR_TOO_LARGE, FO_ERR_NO_MEMORY; FO_ERR_INVALID: a header field out of range or an empty record; FO_ERR_WRONG_KEY: not h->region's key. `out` is then unchanged. */
FO_MUST_CHECK enum fo_err fo_batch_seal(struct fo_batch_header *h, const struct fo_slice *records, const struct fo_key_pair *key, struct fo_buf *out);
/* The same where the body stands already: `built` begins with FO_BATCH_HEAD_ROOM bytes for the head to come, then has the records that
 * `records` points to, each behind its length (u32, big-endian), and nothing else. Needs no memory. ret_frame: within built. Errors as fo_batch_seal. */
FO_MUST_CHECK enum fo_err fo_batch_seal_in_place(struct fo_batch_header *h, const struct fo_slice *records, const struct fo_key_pair *key, const struct fo_buf *built,
    struct fo_slice *ret_frame);
/* Reads the header; checks limits and ranges, believes nothing. FO_ERR_PROTO; of ret_h then only the region means something: who it claims to be from, or empty. */
FO_MUST_CHECK enum fo_err fo_batch_header_decode(const struct fo_frame *frame, struct fo_batch_header *ret_h);
/* Verifies signature (key found by id among `keys` and belonging to h->region), lengths, count and root. FO_ERR_UNKNOWN_KEY, FO_ERR_WRONG_KEY, FO_ERR_SIGNATURE, FO_ERR_PROTO.
 * ret_records (may be null): room for FO_BATCH_EVENTS_MAX slices into frame->body. */
FO_MUST_CHECK enum fo_err fo_batch_verify(const struct fo_frame *frame, const struct fo_batch_header *h, const struct fo_key_ring *keys, struct fo_slice *ret_records);
/* The signature alone, for a header that comes without its body: the root may then be believed, and what fo_merkle_proves against it. */
FO_MUST_CHECK enum fo_err fo_batch_verify_header(const struct fo_frame *frame, const struct fo_batch_header *h, const struct fo_key_ring *keys);
/* Splits a body whose root was verified before (own journal). */
FO_MUST_CHECK enum fo_err fo_batch_records(struct fo_slice body, uint32_t count, struct fo_slice *ret_records);

/* Seals a control frame; the key gives the key id. Errors as fo_batch_seal. Decode: FO_ERR_PROTO. Verify: as fo_batch_verify. */
FO_MUST_CHECK enum fo_err fo_control_seal(enum fo_frame_kind kind, const struct fo_control *c, const struct fo_key_pair *key, struct fo_buf *out);
FO_MUST_CHECK enum fo_err fo_control_decode(const struct fo_frame *frame, struct fo_control *ret_c);
FO_MUST_CHECK enum fo_err fo_control_verify(const struct fo_frame *frame, const struct fo_control *c, const struct fo_key_ring *keys);

/* Merkle tree over records, and the audit path of one: at each level, leaves first, the siblings in its node, in their order. path: room for
 * FO_MERKLE_PATH_MAX hashes. */
enum { FO_MERKLE_ARITY = 16, FO_MERKLE_PATH_MAX = 15 + 15 + 3 };
_Static_assert(FO_BATCH_EVENTS_MAX <= FO_MERKLE_ARITY * FO_MERKLE_ARITY * 4, "two levels of sixteen children, and a root of four");
void fo_merkle_root(const struct fo_slice *records, uint32_t count, uint8_t ret_root[FO_HASH_BYTES]);
unsigned fo_merkle_path(const struct fo_slice *records, uint32_t count, uint32_t index, uint8_t ret_path[][FO_HASH_BYTES]);
/* True if the record stands at index of a tree of `count` leaves with that root. */
bool fo_merkle_proves(struct fo_slice record, uint32_t index, uint32_t count, const uint8_t path[][FO_HASH_BYTES], unsigned path_len, const uint8_t root[FO_HASH_BYTES]);
