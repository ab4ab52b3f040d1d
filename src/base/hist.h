/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram of non-negative values: 64 sub-buckets per power of two, so a quantile
 * is at most 1.6 % off. Fixed size, no allocation; histograms can be added up. */
#pragma once
#include <stdint.h>

#define FO_HIST_SUB_BITS 6
#define FO_HIST_BUCKETS ((64 - FO_HIST_SUB_BITS + 1) << FO_HIST_SUB_BITS)
struct fo_hist { uint64_t count, max, sum; uint32_t bucket[FO_HIST_BUCKETS]; };

void fo_hist_init(struct fo_hist *h);
void fo_hist_add(struct fo_hist *h, uint64_t value);
void fo_hist_merge(struct fo_hist *into, const struct fo_hist *from);
/* q in [0, 1]; 0 when empty. The lower bound of the bucket that holds the quantile; q = 1 gives max. */
uint64_t fo_hist_quantile(const struct fo_hist *h, double q);
