/* SPDX-License-Identifier: Apache-2.0
 *
 * SipHash-2-4 with 128 bits of result (Aumasson, Bernstein: "SipHash: a fast short-input PRF", and its reference code) over as many texts at
 * a time as a vector has lanes of 64 bits: each of the four words of state is one vector. A lane whose text has ended keeps its state while the
 * others go on. tests/unit/wire/fingerprint_test.c holds it against libsodium's. */
#include "wire/fingerprint_vec.h"

#include <endian.h>

enum {
    LANES = FO_VEC_LANES, WORD_BYTES = 8, COMPRESS_ROUNDS = 2, FINISH_ROUNDS = 4,
    TEXT_WORDS = (FO_IDENTITY_TEXT_BYTES + WORD_BYTES) / WORD_BYTES,        /* with room for the length behind the text */
};

typedef uint64_t vec __attribute__((vector_size(8 * LANES)));
union words { vec v; uint64_t lane[LANES]; };

struct text { uint8_t bytes[TEXT_WORDS * WORD_BYTES]; uint32_t words; };

/* Zeros up to the last byte of the last word, which is the length. */
static void
lay_out(struct text *t, struct fo_identity of)
{
    uint64_t none = 0;
    size_t n = fo_identity_text(of, t->bytes);

    memcpy(t->bytes + n, &none, WORD_BYTES - n % WORD_BYTES);
    t->words = (uint32_t)(n / WORD_BYTES + 1);
    t->bytes[t->words * WORD_BYTES - 1] = (uint8_t)n;
}

static inline vec
rotate(vec x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void
rounds(vec v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static void
compress(vec v[4], const struct text text[LANES], uint32_t at)
{
    union words m = { 0 }, is_there = { 0 };
    vec before[4];

    for (unsigned i = 0; i < LANES; i++) {
        uint64_t word;

        memcpy(&word, text[i].bytes + at * WORD_BYTES, WORD_BYTES);
        m.lane[i] = le64toh(word);
        is_there.lane[i] = at < text[i].words ? UINT64_MAX : 0;
    }
    for (unsigned k = 0; k < 4; k++)
        before[k] = v[k];
    v[3] ^= m.v;
    rounds(v, COMPRESS_ROUNDS);
    v[0] ^= m.v;
    for (unsigned k = 0; k < 4; k++)
        v[k] = (v[k] & is_there.v) | (before[k] & ~is_there.v);
}

static void
hash(const uint64_t key[2], const struct text text[LANES], uint32_t words_max, struct fo_fingerprint *ret_fp, uint32_t count)
{
    vec v[4] = {
        (vec){ 0 } + (0x736f6d6570736575 ^ key[0]), (vec){ 0 } + (0x646f72616e646f6d ^ 0xee ^ key[1]),
        (vec){ 0 } + (0x6c7967656e657261 ^ key[0]), (vec){ 0 } + (0x7465646279746573 ^ key[1]),
    };
    union words first, second;

    for (uint32_t at = 0; at < words_max; at++)
        compress(v, text, at);
    v[2] ^= (vec){ 0 } + 0xee;
    rounds(v, FINISH_ROUNDS);
    first.v = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= (vec){ 0 } + 0xdd;
    rounds(v, FINISH_ROUNDS);
    second.v = v[0] ^ v[1] ^ v[2] ^ v[3];
    for (unsigned i = 0; i < count; i++)
        ret_fp[i] = (struct fo_fingerprint){ htole64(first.lane[i]), htole64(second.lane[i]) };
}

void
FO_VEC_FUNCTION(fo_fingerprint_vec, FO_VEC_WIDTH)(const uint8_t key_bytes[FO_FINGERPRINT_KEY_BYTES], const struct fo_identity *of, uint32_t count,
    struct fo_fingerprint *ret_fp)
{
    struct text text[LANES] = { 0 };
    uint64_t key[2];

    memcpy(key, key_bytes, sizeof key);
    key[0] = le64toh(key[0]);
    key[1] = le64toh(key[1]);
    for (uint32_t at = 0; at < count; at += LANES) {
        uint32_t n = count - at < LANES ? count - at : LANES, words_max = 0;

        for (unsigned i = 0; i < n; i++) {
            lay_out(&text[i], of[at + i]);
            words_max = text[i].words > words_max ? text[i].words : words_max;
        }
        hash(key, text, words_max, ret_fp + at, n);
    }
}
