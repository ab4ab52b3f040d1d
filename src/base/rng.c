/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** 1.0 by Blackman and Vigna (prng.di.unimi.it), seeded by splitmix64 as they advise. */
#include "base/rng.h"

#include "base/assert.h"

static uint64_t
splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t
rotate_left(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

void
fo_rng_init(struct fo_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t
fo_rng_next(struct fo_rng *r)
{
    uint64_t *s = r->s;
    uint64_t ret = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return ret;
}

/* Values in the incomplete last multiple of bound would favour small results, so they are drawn again. */
uint64_t
fo_rng_below(struct fo_rng *r, uint64_t bound)
{
    uint64_t v, unfair;

    fo_assert(bound > 0);
    unfair = -bound % bound;
    do
        v = fo_rng_next(r);
    while (v < unfair);
    return v % bound;
}
