/* SPDX-License-Identifier: Apache-2.0
 *
 * What batches and control frames have in common; for the frame*.c and control.c files only. */
#pragma once
#include "wire/frame.h"

/* Begins a frame at the end of `out`: makes room for a header of at most header_bytes_max and a body, and gives a writer that stands
 * where the header begins. FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_frame_begin(enum fo_frame_kind kind, size_t header_bytes_max, size_t body_bytes, struct fo_buf *out, struct fo_writer *ret_w);
/* The header stands complete in w: fills in both lengths and signs. `out` ends after the signature; the body's room is left. */
FO_MUST_CHECK enum fo_err fo_frame_sign(const struct fo_writer *w, size_t body_bytes, const struct fo_key_pair *key, struct fo_buf *out);
/* Key known, of that region, and the signature its. FO_ERR_UNKNOWN_KEY, FO_ERR_WRONG_KEY, FO_ERR_SIGNATURE. */
FO_MUST_CHECK enum fo_err fo_frame_check_signature(const struct fo_frame *frame, struct fo_slice region, uint64_t key_id, const struct fo_key_ring *keys);

/* Header elements. Each sets *err to FO_ERR_PROTO on whatever is not as it should be, and does nothing once it is set,
 * so that one check at the end is enough; a region that is none is then empty, so that it can be logged. */
uint64_t fo_header_uint(struct fo_reader *r, uint64_t min, uint64_t max, enum fo_err *err);
struct fo_slice fo_header_region(struct fo_reader *r, enum fo_err *err);
void fo_header_hash(struct fo_reader *r, uint8_t ret_hash[FO_HASH_BYTES], enum fo_err *err);
uint32_t fo_header_array(struct fo_reader *r, uint32_t min, uint32_t max, enum fo_err *err);
/* Steps over the elements that a later minor revision has added; the header must end with them. */
void fo_header_end(struct fo_reader *r, uint32_t more, enum fo_err *err);
