/* SPDX-License-Identifier: Apache-2.0
 *
 * What sealing and verifying cost per event, by batch size: `ninja -C BUILD bench/wire_bench && BUILD/bench/wire_bench`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "wire/frame.h"

enum { RECORD_BYTES = 400, ROUND_NS = 300 * 1000 * 1000, ROUNDS = 3 };

struct bench {
    struct fo_key_pair pair;
    struct fo_key_ring ring;
    struct fo_slice records[FO_BATCH_EVENTS_MAX], found[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header header;
    struct fo_buf out;
};

static void
must(enum fo_err err, const char *what)
{
    if (err == FO_OK)
        return;
    fprintf(stderr, "wire_bench: %s: %s\n", what, fo_err_text(err));
    exit(1);
}

static double
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
seal(struct bench *b)
{
    b->out.n = 0;
    must(fo_batch_seal(&b->header, b->records, &b->pair, &b->out), "seal");
}

static void
verify(struct bench *b)
{
    struct fo_batch_header h;
    struct fo_frame frame;

    must(fo_frame_split(fo_buf_slice(&b->out), &frame), "split");
    must(fo_batch_header_decode(&frame, &h), "decode");
    must(fo_batch_verify(&frame, &h, &b->ring, b->found), "verify");
}

static void
hash_only(struct bench *b)
{
    fo_merkle_root(b->records, b->header.count, b->header.root);
}

/* The best of several rounds: what the work costs, without what else the machine did. */
static double
ns_per_event(struct bench *b, void (*run)(struct bench *))
{
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns(), each;
        unsigned calls = 0;

        for (; now_ns() - begin < ROUND_NS; calls++)
            run(b);
        each = (now_ns() - begin) / calls / b->header.count;
        best = round == 0 || each < best ? each : best;
    }
    return best;
}

int
main(void)
{
    static const unsigned counts[] = {1, 16, 64, 256};
    static uint8_t bytes[FO_BATCH_EVENTS_MAX][RECORD_BYTES];
    static struct bench b;
    struct fo_rng rng;

    must(fo_keys_library_init(), "library");
    must(fo_key_pair_generate("us-east-1", &b.pair), "key pair");
    must(fo_key_ring_add(&b.ring, &b.pair.public_half), "key ring");
    fo_rng_init(&rng, 1);
    for (unsigned i = 0; i < FO_BATCH_EVENTS_MAX; i++) {
        for (unsigned j = 0; j < RECORD_BYTES; j++)
            bytes[i][j] = (uint8_t)fo_rng_next(&rng);
        b.records[i] = fo_slice_of(bytes[i], RECORD_BYTES);
    }
    b.header = (struct fo_batch_header){
        .region = FO_SLICE_LIT("us-east-1"), .epoch = 1, .first_seq = 1, .sealed_at = {1},
        .target = {{FO_SLICE_LIT("us-west-2"), 0}, {FO_SLICE_LIT("eu-west-1"), 0}}, .target_count = 2,
    };
    fo_buf_init(&b.out);
    printf("records of %d bytes, ns per event\n%6s %10s %10s %10s\n", RECORD_BYTES, "batch", "seal", "verify", "of it hash");
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double sealed, verified, hashed;

        b.header.count = counts[i];
        sealed = ns_per_event(&b, seal);
        verified = ns_per_event(&b, verify);
        hashed = ns_per_event(&b, hash_only);
        printf("%6u %10.0f %10.0f %10.0f\n", counts[i], sealed, verified, hashed);
    }
    fo_buf_fini(&b.out);
    fo_key_pair_fini(&b.pair);
    return 0;
}
