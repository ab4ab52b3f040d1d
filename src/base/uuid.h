/* SPDX-License-Identifier: Apache-2.0
 *
 * UUIDv7 (RFC 9562 section 5.7): time-ordered event ids. */
#pragma once
#include "base/rng.h"
#include "base/time.h"

#define FO_UUID_SIZE 37                 /* text with the terminating NUL */
void fo_uuid7_format(struct fo_wall now, struct fo_rng *rng, char ret_text[FO_UUID_SIZE]);
