/* SPDX-License-Identifier: Apache-2.0
 *
 * 128-bit keyed fingerprint (SipHash-2-4-128) of what makes an event unique. The key is random per process, so nobody outside can make
 * two ids collide. */
#pragma once
#include "base/bytes.h"
#include "base/names.h"

enum { FO_FINGERPRINT_KEY_BYTES = 16 };

struct fo_identity { struct fo_slice tenant, id; };     /* at most FO_TENANT_BYTES_MAX and FO_ID_BYTES_MAX bytes */

/* Any thread; allocate nothing and cannot fail. Many at once take a third of the time. */
struct fo_fingerprint fo_fingerprint(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], struct fo_identity of);
void fo_fingerprint_many(const uint8_t key[FO_FINGERPRINT_KEY_BYTES], const struct fo_identity *of, uint32_t count, struct fo_fingerprint *ret_fp);
