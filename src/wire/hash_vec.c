/* SPDX-License-Identifier: Apache-2.0
 *
 * BLAKE2b (RFC 7693) over as many messages at a time as a vector has lanes of 64 bits: word i of every message's state is one vector,
 * and a lane whose message has ended takes the next. With AVX-512 there are two sets of such vectors, whose steps take turns, because one
 * alone waits for its own results (72 instead of 50 ns for a record of 331 bytes); AVX2 has not the registers for two. No library at hand
 * does this; tests/unit/wire/hash_test.c holds it against libsodium's. Nothing here is secret, so what is left on the stack does not matter. */
#include "wire/hash_vec.h"

enum { SETS = FO_VEC_LANES == 8 ? 2 : 1, LANES = FO_VEC_LANES, ALL = LANES * SETS, BLOCK_BYTES = 128, BLOCK_WORDS = 16, STATE_WORDS = 8 };

typedef uint64_t vec __attribute__((vector_size(8 * LANES)));
typedef uint64_t loose_vec __attribute__((vector_size(8 * LANES), aligned(1), may_alias));

static const uint64_t iv[STATE_WORDS] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

struct lanes {
    uint64_t start[STATE_WORDS];                /* of every message's state */
    union { vec v[STATE_WORDS][SETS]; uint64_t word[STATE_WORDS][ALL]; } h;
    union { vec v[SETS]; uint64_t lane[ALL]; } done, last;          /* bytes hashed; all ones where the block is the message's last */
    const uint8_t *block[ALL];
    struct lane { const uint8_t *p; size_t left; uint32_t index; bool is_busy; } lane[ALL];     /* what is left of which message */
    uint8_t tail[ALL][BLOCK_BYTES];           /* last blocks, filled up with zeros */
};

/* Column i becomes row i: in turn single words, pairs and halves of the rows change places. */
static inline void
transpose(vec r[LANES])
{
    vec t[LANES];

#if FO_VEC_LANES == 8
    vec u[LANES];

    for (unsigned i = 0; i < LANES; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (unsigned k = 0; k < LANES / 2; k++) {
        unsigned i = k + (k & 2);               /* 0, 1, 4, 5 */

        u[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        u[i + 2] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (unsigned i = 0; i < LANES / 2; i++) {
        r[i] = __builtin_shufflevector(u[i], u[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(u[i], u[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#else
    for (unsigned i = 0; i < LANES; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 4, 2, 6);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 5, 3, 7);
    }
    for (unsigned i = 0; i < LANES / 2; i++) {
        r[i] = __builtin_shufflevector(t[i], t[i + 2], 0, 1, 4, 5);
        r[i + 2] = __builtin_shufflevector(t[i], t[i + 2], 2, 3, 6, 7);
    }
#endif
}

/* The mixing function G and a round, section 3.1 and 3.2; a row of SIGMA is written out for each. */
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))
#define EACH_SET(step) do { for (unsigned s = 0; s < SETS; s++) { step; } } while (0)
#define G(a, b, c, d, x, y)                                                                                                     \
    do {                                                                                                                        \
        EACH_SET(v[a][s] = v[a][s] + m[x][s] + v[b][s]);                                                                        \
        EACH_SET(v[d][s] = ROTATE(v[d][s] ^ v[a][s], 32));                                                                      \
        EACH_SET(v[c][s] += v[d][s]);                                                                                           \
        EACH_SET(v[b][s] = ROTATE(v[b][s] ^ v[c][s], 24));                                                                      \
        EACH_SET(v[a][s] = v[a][s] + m[y][s] + v[b][s]);                                                                        \
        EACH_SET(v[d][s] = ROTATE(v[d][s] ^ v[a][s], 16));                                                                      \
        EACH_SET(v[c][s] += v[d][s]);                                                                                           \
        EACH_SET(v[b][s] = ROTATE(v[b][s] ^ v[c][s], 63));                                                                      \
    } while (0)
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                             \
    do {                                                                                                                        \
        G(0, 4, 8, 12, s0, s1); G(1, 5, 9, 13, s2, s3); G(2, 6, 10, 14, s4, s5); G(3, 7, 11, 15, s6, s7);                       \
        G(0, 5, 10, 15, s8, s9); G(1, 6, 11, 12, s10, s11); G(2, 7, 8, 13, s12, s13); G(3, 4, 9, 14, s14, s15);                 \
    } while (0)

/* Word i of every message's block. */
static inline void
load(const struct lanes *l, vec m[BLOCK_WORDS][SETS])
{
    for (unsigned s = 0; s < SETS; s++)
        for (unsigned at = 0; at < BLOCK_WORDS; at += LANES) {
            vec r[LANES];

            for (unsigned i = 0; i < LANES; i++)
                r[i] = *(const loose_vec *)(l->block[s * LANES + i] + 8 * at);
            transpose(r);
            for (unsigned i = 0; i < LANES; i++)
                m[at + i][s] = r[i];
        }
}

/* One block of each message into its state: the function F. It touches nothing but its own vectors and the state, so sanitizers, which would
 * take four times as long for it, look at load only. */
__attribute__((no_sanitize("address", "undefined"))) static inline void
compress(struct lanes *l, const vec m[BLOCK_WORDS][SETS])
{
    vec v[2 * STATE_WORDS][SETS];

    for (unsigned i = 0; i < STATE_WORDS; i++)
        for (unsigned s = 0; s < SETS; s++) {
            v[i][s] = l->h.v[i][s];
            v[STATE_WORDS + i][s] = (vec){ 0 } + iv[i];
        }
    EACH_SET(v[12][s] ^= l->done.v[s]);
    EACH_SET(v[14][s] ^= l->last.v[s]);
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
    ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
    ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
    ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
    ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
    ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
    ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
    ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
    ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
    for (unsigned i = 0; i < STATE_WORDS; i++)
        EACH_SET(l->h.v[i][s] ^= v[i][s] ^ v[STATE_WORDS + i][s]);
}

/* The tail is put aside long before it is read: a vector read soon after narrower writes waits for them. */
static void
begin(struct lanes *l, unsigned i, struct fo_slice message, uint32_t index)
{
    size_t tail = message.n % BLOCK_BYTES;

    if (tail == 0 && message.n > 0)
        tail = BLOCK_BYTES;
    memset(l->tail[i], 0, BLOCK_BYTES);
    if (tail > 0)
        memcpy(l->tail[i], message.p + message.n - tail, tail);
    l->lane[i] = (struct lane){ .p = message.p, .left = message.n, .index = index, .is_busy = true };
    l->done.lane[i] = 0;
    l->last.lane[i] = 0;
    for (unsigned k = 0; k < STATE_WORDS; k++)
        l->h.word[k][i] = l->start[k];
}

static void
next_blocks(struct lanes *l)
{
    EACH_SET(l->done.v[s] += BLOCK_BYTES);
    for (unsigned i = 0; i < ALL; i++) {
        struct lane *lane = &l->lane[i];

        if (lane->left > BLOCK_BYTES) {
            l->block[i] = lane->p;
            lane->p += BLOCK_BYTES;
            lane->left -= BLOCK_BYTES;
        } else {
            l->block[i] = l->tail[i];
            l->done.lane[i] += lane->left - BLOCK_BYTES;
            l->last.lane[i] = UINT64_MAX;
            lane->left = 0;
        }
    }
}

/* The lane goes on with its tail, and nobody looks at that, until it gets another message. */
static void
end(struct lanes *l, unsigned i, uint8_t ret_hash[FO_HASH_BYTES])
{
    l->lane[i].is_busy = false;
    for (unsigned k = 0; k < FO_HASH_BYTES / 8; k++)
        memcpy(ret_hash + 8 * k, &l->h.word[k][i], 8);
}

/* The parameter block: 32 bytes of hash, no key, no tree; its words 6 and 7 are the personalization. */
static void
parametrize(struct lanes *l, const uint8_t personal[16])
{
    memcpy(l->start, iv, sizeof iv);
    l->start[0] ^= 0x01010000 ^ FO_HASH_BYTES;
    for (unsigned i = 0; i < 16; i++)
        l->start[6 + i / 8] ^= (uint64_t)personal[i] << 8 * (i % 8);
}

void
FO_VEC_FUNCTION(fo_hash_vec, FO_VEC_WIDTH)(const uint8_t personal[16], const struct fo_slice *bytes, uint32_t count, uint8_t ret_hash[][FO_HASH_BYTES])
{
    struct lanes l = { 0 };
    vec m[BLOCK_WORDS][SETS];
    uint32_t begun = 0, ended = 0;

    parametrize(&l, personal);
    while (ended < count) {
        for (unsigned i = 0; i < ALL && begun < count; i++)
            if (!l.lane[i].is_busy)
                begin(&l, i, bytes[begun], begun), begun++;
        next_blocks(&l);
        load(&l, m);
        compress(&l, m);
        for (unsigned i = 0; i < ALL; i++) {
            if (!l.lane[i].is_busy || !l.last.lane[i])
                continue;
            end(&l, i, ret_hash[l.lane[i].index]);
            ended++;
        }
    }
}
