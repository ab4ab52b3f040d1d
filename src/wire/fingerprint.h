/* SPDX-License-Identifier: Apache-2.0
 *
 * 128-bit keyed fingerprint (SipHash-2-4-128) of (tenant, id): what makes an event unique. The key is random per
 * process, so nobody outside can make two ids collide. */
#pragma once
#include "base/bytes.h"

enum { FO_FINGERPRINT_KEY_BYTES = 16 };
void fo_fingerprint(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], struct fo_slice tenant, struct fo_slice id, uint64_t *ret_hi, uint64_t *ret_lo);
