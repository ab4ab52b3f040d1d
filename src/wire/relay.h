/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay frame carries another frame to a region that its sender cannot reach, by way of one that can. The carrier checks who asks
 * and hands it on as it is, once and only to the target itself; so there are no loops. What is inside is signed by its
 * origin, and nobody on the way is believed. */
#pragma once
#include "wire/frame.h"

struct fo_relay {                       /* header: [region, keyid, target, sent_at_us]; the body is the frame carried */
    struct fo_slice region; uint64_t key_id;    /* who cannot reach the target */
    struct fo_slice target;
    struct fo_wall sent_at;
};

/* Appends to out. FO_ERR_INVALID, FO_ERR_WRONG_KEY, FO_ERR_TOO_LARGE, FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_relay_seal(const struct fo_relay *relay, struct fo_slice inner, const struct fo_key_pair *key, struct fo_buf *out);
FO_MUST_CHECK enum fo_err fo_relay_decode(const struct fo_frame *frame, struct fo_relay *ret_relay);
/* FO_ERR_UNKNOWN_KEY, FO_ERR_WRONG_KEY, FO_ERR_SIGNATURE. Says nothing of what is inside. */
FO_MUST_CHECK enum fo_err fo_relay_verify(const struct fo_frame *frame, const struct fo_relay *relay, const struct fo_key_ring *keys);
