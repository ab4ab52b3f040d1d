/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed UTF-8 as of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool fo_utf8_is_valid(const uint8_t *p, size_t n);
/* How many of the first bytes are all in [low, high], which is at most 127. */
size_t fo_ascii_span(const uint8_t *p, size_t n, uint8_t low, uint8_t high);
