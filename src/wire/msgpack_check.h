/* SPDX-License-Identifier: Apache-2.0
 *
 * What the walks over bytes from outside share: the text check, and the keys of one map as a walk meets them, to notice
 * the second of two equal ones without allocating.
 * Up to FO_MP_KEYS_SMALL keys are kept and compared, most of them by one bit of a 64-bit filter only; a larger map is
 * checked by fo_mp_check_large_keys before the walk, in O(n log n) whatever the keys are. Private to wire. */
#pragma once
#include "wire/error.h"
#include "wire/msgpack.h"

enum { FO_MP_KEYS_SMALL = 16 };

struct fo_mp_keys { uint64_t filter; uint32_t count; struct fo_slice key[FO_MP_KEYS_SMALL]; };

/* UTF-8 without NUL: what every string in an event must be. FO_ERR_UTF8, FO_ERR_INVALID (NUL). */
FO_MUST_CHECK enum fo_err fo_mp_check_text(struct fo_slice s);
/* pairs > FO_MP_KEYS_SMALL: `r` stands behind the map's head and is not moved. FO_ERR_DUPLICATE_KEY, FO_ERR_TOO_LARGE,
 * FO_ERR_TYPE, and what fo_mp_skip gives. */
FO_MUST_CHECK enum fo_err fo_mp_check_large_keys(struct fo_reader r, uint32_t pairs, unsigned depth_max);

/* Fills ret_fault for what a walk found at `path`, and returns err. */
enum fo_err fo_mp_fault(struct fo_fault *ret_fault, enum fo_err err, const char *path);

/* True if the key is there already. At most FO_MP_KEYS_SMALL keys. */
static inline bool
fo_mp_keys_add(struct fo_mp_keys *keys, struct fo_slice key)
{
    unsigned hash = (unsigned)key.n * 7;
    uint64_t bit;

    if (key.n > 0)
        hash += key.p[0] * 5u + key.p[key.n - 1] * 11u + key.p[key.n / 2] * 3u;
    bit = (uint64_t)1 << (hash & 63);
    if (keys->filter & bit)
        for (uint32_t i = 0; i < keys->count; i++)
            if (fo_slice_is_equal(keys->key[i], key))
                return true;
    keys->filter |= bit;
    keys->key[keys->count++] = key;
    return false;
}
