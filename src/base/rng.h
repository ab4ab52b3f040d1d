/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded random numbers (xoshiro256**, seeded by splitmix64): never for secrets. */
#pragma once
#include <stdint.h>

struct fo_rng { uint64_t s[4]; };
void fo_rng_init(struct fo_rng *r, uint64_t seed);
uint64_t fo_rng_next(struct fo_rng *r);
/* Uniform in [0, bound); bound > 0. */
uint64_t fo_rng_below(struct fo_rng *r, uint64_t bound);
