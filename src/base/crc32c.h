/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the CPU's instructions where it has them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Continues from `crc` (0 to begin); crc32c("123456789") = 0xe3069283. Thread-safe. */
uint32_t fo_crc32c(uint32_t crc, const void *p, size_t n);
/* The same without them, for CPUs that lack them and for comparing the two. Thread-safe. */
uint32_t fo_crc32c_by_table(uint32_t crc, const void *p, size_t n);
