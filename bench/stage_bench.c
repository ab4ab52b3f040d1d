/* SPDX-License-Identifier: Apache-2.0
 *
 * What each stage costs per event, in nanoseconds: `ninja -C BUILD bench/stage_bench && BUILD/bench/stage_bench [MS_A_ROUND]`. Batches of 256 events with
 * 256 bytes of payload; one thread. The journal's lines are its whole time, writing included: bare, and with fdatasync; so is the link's, from
 * one socket to the other. Then sealing and verifying by batch size. */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapter/journal_file.h"
#include "base/rng.h"
#include "base/uuid.h"
#include "core/dedupe.h"
#include "ports/log.h"
#include "wire/event.h"
#include "wire/fetch_answer.h"
#include "wire/fingerprint.h"
#include "wire/frame.h"
#include "wire/msgpack.h"
#include "wire/schema.h"

enum { COUNT = FO_BATCH_EVENTS_MAX, PAYLOAD_BYTES = 256, REQUEST_EVENT_MAX = 512, RECORD_MAX = 600, DEDUPE_CAP = 262144, ROUND_MS = 200, ROUNDS = 3 };

struct bench {
    struct fo_key_pair pair;
    struct fo_key_ring ring;
    struct fo_schema_set *schemas;
    struct fo_event_rules rules;
    struct fo_dedupe dedupe;
    struct fo_rng rng;
    struct fo_batch_header header;
    struct fo_slice published[COUNT], checked[COUNT], record[COUNT], found[COUNT];
    struct fo_event event[COUNT];
    struct fo_identity identity[COUNT];
    struct fo_fingerprint fp[COUNT];
    struct fo_buf frame, answer, ack;
    struct fo_journal *journal;
    nng_socket from, to;
    uint64_t next_id;
};

static struct fo_region_names regions = { { "us-east-1", "us-west-2", "eu-west-1" }, 3 };
static uint8_t fingerprint_key[FO_FINGERPRINT_KEY_BYTES];
static uint64_t durable_lsn;
static double round_ns = ROUND_MS * 1e6;

static void
must(enum fo_err err, const char *what)
{
    if (err == FO_OK)
        return;
    fprintf(stderr, "stage_bench: %s: %s\n", what, fo_err_text(err));
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
decode(struct bench *b)
{
    struct fo_fault fault;

    for (unsigned i = 0; i < COUNT; i++)
        must(fo_event_decode_publish(b->published[i], &b->rules, &b->event[i], &fault), "decode");
}

static void
decode_and_validate(struct bench *b)
{
    struct fo_event e;
    struct fo_fault fault;

    for (unsigned i = 0; i < COUNT; i++)
        must(fo_event_decode_publish(b->checked[i], &b->rules, &e, &fault), "validate");
}

static void
fingerprint(struct bench *b)
{
    for (unsigned i = 0; i < COUNT; i++)
        b->identity[i] = (struct fo_identity){ FO_SLICE_LIT("default"), b->event[i].id };
    fo_fingerprint_many(fingerprint_key, b->identity, COUNT, b->fp);
}

/* As the intake does: looked for, then added; the table is full and turns over. */
static void
dedupe(struct bench *b)
{
    struct fo_dedupe_entry entry = { .seq = 1 };

    for (unsigned i = 0; i < COUNT; i++) {
        entry.fp.lo = fo_rng_next(&b->rng);
        entry.fp.hi = ++b->next_id;
        if (fo_dedupe_find(&b->dedupe, entry.fp) == NULL)
            must(fo_dedupe_add(&b->dedupe, &entry), "dedupe");
    }
}

static void
encode(struct bench *b)
{
    static uint8_t bytes[COUNT][RECORD_MAX];

    for (unsigned i = 0; i < COUNT; i++) {
        struct fo_writer w = fo_writer_of(bytes[i], RECORD_MAX);

        fo_event_encode(&b->event[i], &w);
        b->record[i] = fo_slice_of(bytes[i], w.n);
    }
}

static void
hash(struct bench *b)
{
    fo_merkle_root(b->record, b->header.count, b->header.root);
}

static void
hash_and_sign(struct bench *b)
{
    b->frame.n = 0;
    must(fo_batch_seal(&b->header, b->record, &b->pair, &b->frame), "seal");
}

static void
verify(struct bench *b)
{
    struct fo_batch_header h;
    struct fo_frame frame;

    must(fo_frame_split(fo_buf_slice(&b->frame), &frame), "split");
    must(fo_batch_header_decode(&frame, &h), "header");
    must(fo_batch_verify(&frame, &h, &b->ring, b->found), "verify");
}

static void
read_records(struct bench *b)
{
    struct fo_event e;

    for (unsigned i = 0; i < COUNT; i++)
        must(fo_event_decode(b->found[i], &e), "record");
}

static void
answer(struct bench *b)
{
    struct fo_fetch_answer a;

    b->answer.n = 0;
    must(fo_fetch_answer_begin(&a, FO_ENC_MSGPACK, &b->answer), "answer");
    for (unsigned i = 0; i < COUNT; i++)
        must(fo_fetch_answer_add(&a, regions.name[0], &(struct fo_position){ b->header.epoch, b->header.first_seq + i, FO_LANE_NORMAL }, b->found[i], NULL, 0), "answer");
    must(fo_fetch_answer_finish(&a, FO_SLICE_LIT("c1"), (struct fo_wall){ 1 }), "answer");
}

static void
on_stored(void *ctx, enum fo_err err, uint64_t lsn)
{
    (void)ctx;
    must(err, "journal");
    __atomic_store_n(&durable_lsn, lsn, __ATOMIC_SEQ_CST);
}

static void
journal(struct bench *b)
{
    struct fo_journal *j = b->journal;
    struct fo_slice part = fo_buf_slice(&b->frame), nothing = FO_SLICE_LIT("x");
    uint64_t lsn;

    if (j->ops->wants_checkpoint(j))
        must(j->ops->append(j, FO_RECORD_CHECKPOINT, FO_LANE_HIGH, 0, (struct fo_wall){ 1 }, &nothing, 1, &lsn), "checkpoint");
    must(j->ops->append(j, FO_RECORD_OWN, FO_LANE_NORMAL, COUNT, (struct fo_wall){ 1 }, &part, 1, &lsn), "append");
    while (!j->ops->commit(j))
        ;
    while (__atomic_load_n(&durable_lsn, __ATOMIC_SEQ_CST) <= lsn)
        ;
    j->ops->trim(j, lsn);
}

static void
make_ack(struct bench *b)
{
    struct fo_control c = { .region = fo_slice_str(regions.name[0]), .key_id = b->pair.public_half.id, .target = fo_slice_str(regions.name[1]), .session = 1, .sent_at = { 1 },
        .epoch_acked = { 0, b->header.epoch }, .cum_seq = { 0, b->header.first_seq } };

    b->ack.n = 0;
    must(fo_control_seal(FO_FRAME_ACK, &c, &b->pair, &b->ack), "ack");
}

static void
verify_ack(struct bench *b)
{
    struct fo_control c;
    struct fo_frame frame;

    must(fo_frame_split(fo_buf_slice(&b->ack), &frame), "split");
    must(fo_control_decode(&frame, &c), "ack");
    must(fo_control_verify(&frame, &c, &b->ring), "ack");
}

static void
must_nng(int err)
{
    if (err == 0)
        return;
    fprintf(stderr, "stage_bench: nng: %s\n", nng_strerror(err));
    exit(1);
}

static void
send_frame(struct bench *b)
{
    nng_msg *m;

    must_nng(nng_msg_alloc(&m, b->frame.n));
    memcpy(nng_msg_body(m), b->frame.p, b->frame.n);
    must_nng(nng_sendmsg(b->from, m, 0));
    must_nng(nng_recvmsg(b->to, &m, 0));
    nng_msg_free(m);
}

static void
open_link(struct bench *b)
{
    nng_listener listener;
    nng_sockaddr at;
    char url[64];

    must_nng(nng_sub0_open(&b->to));
    must_nng(nng_socket_set(b->to, NNG_OPT_SUB_SUBSCRIBE, "", 0));
    must_nng(nng_listen(b->to, "tcp://127.0.0.1:0", &listener, 0));
    must_nng(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &at));
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", (unsigned)be16toh(at.s_in.sa_port));
    must_nng(nng_pub0_open(&b->from));
    must_nng(nng_dial(b->from, url, NULL, 0));
    usleep(100000);             /* PUB drops what it is given before the connection stands on both sides */
}

/* Of one event, the best of several rounds: what the work costs, without what else the machine did. */
static double
ns_per_event(struct bench *b, void (*run)(struct bench *))
{
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double began = now_ns(), each;
        unsigned calls = 0;

        for (; now_ns() - began < round_ns; calls++)
            run(b);
        each = (now_ns() - began) / calls / b->header.count;
        best = round == 0 || each < best ? each : best;
    }
    return best;
}

static void
measure(struct bench *b, const char *name, void (*run)(struct bench *))
{
    printf("| %s | %.0f |\n", name, ns_per_event(b, run));
}

static void
measure_journal(struct bench *b, const char *name, bool is_synced)
{
    char dir[] = "fanout-stage-bench-XXXXXX", command[64];
    struct fo_journal_config config = { .dir = dir, .region = regions.name[0], .segment_bytes = 64 << 20, .is_synced = is_synced, .stored = on_stored };
    struct fo_journal_opened opened;
    struct fo_fault fault = { 0 };

    must(mkdtemp(dir) != NULL ? FO_OK : FO_ERR_IO, "directory");
    durable_lsn = 0;
    must(fo_journal_file_open(&config, &b->journal, &opened, &fault), "journal");
    measure(b, name, journal);
    fo_journal_file_close(b->journal);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        exit(1);
}

static struct fo_slice
request_event(struct bench *b, const char *type, bool is_checked)
{
    uint8_t *bytes = malloc(REQUEST_EVENT_MAX);
    struct fo_writer w = fo_writer_of(bytes, REQUEST_EVENT_MAX);
    char id[FO_UUID_SIZE];

    fo_uuid7_format((struct fo_wall){ 1 }, &b->rng, id);
    fo_mp_write_map(&w, 3);
    fo_mp_write_uint(&w, FO_FIELD_ID);
    fo_mp_write_str(&w, fo_slice_str(id));
    fo_mp_write_uint(&w, FO_FIELD_TYPE);
    fo_mp_write_str(&w, fo_slice_str(type));
    fo_mp_write_uint(&w, FO_FIELD_DATA);
    if (is_checked) {
        fo_mp_write_map(&w, 3);
        fo_mp_write_str(&w, FO_SLICE_LIT("order_id"));
        fo_mp_write_uint(&w, 100042);
        fo_mp_write_str(&w, FO_SLICE_LIT("status"));
        fo_mp_write_str(&w, FO_SLICE_LIT("preparing"));
        fo_mp_write_str(&w, FO_SLICE_LIT("previous_status"));
        fo_mp_write_str(&w, FO_SLICE_LIT("pending"));
    } else {
        static const uint8_t head[] = { 0xc5, PAYLOAD_BYTES >> 8, PAYLOAD_BYTES & 255 };
        static const uint8_t payload[PAYLOAD_BYTES];

        fo_write_bytes(&w, head, sizeof head);
        fo_write_bytes(&w, payload, sizeof payload);
    }
    must(w.overflow ? FO_ERR_TOO_LARGE : FO_OK, "event");
    return fo_slice_of(bytes, w.n);
}

static void
prepare(struct bench *b)
{
    struct fo_fault fault = { 0 };
    void *memory = calloc(1, fo_dedupe_memory(DEDUPE_CAP));

    fo_log_init(regions.name[0], FO_LOG_WARN);
    fo_rng_init(&b->rng, 1);
    must(fo_keys_library_init(), "library");
    must(fo_key_pair_generate(regions.name[0], &b->pair), "key pair");
    must(fo_key_ring_add(&b->ring, &b->pair.public_half), "key ring");
    must(fo_schema_set_create(&b->schemas), "schemas");
    must(fo_schema_set_add_builtin(b->schemas, &fault), "schemas");
    b->rules = (struct fo_event_rules){ &regions, b->schemas, 262144 };
    fo_dedupe_init(&b->dedupe, memory, DEDUPE_CAP);
    for (unsigned i = 0; i < DEDUPE_CAP / COUNT; i++)
        dedupe(b);
    b->header = (struct fo_batch_header){
        .region = fo_slice_str(regions.name[0]), .epoch = 1700000000000, .first_seq = 1000000, .lane = FO_LANE_NORMAL, .count = COUNT, .sealed_at = { 1 },
        .target = { { fo_slice_str(regions.name[1]), 0 }, { fo_slice_str(regions.name[2]), 0 } }, .target_count = 2,
    };
    fo_buf_init(&b->frame);
    fo_buf_init(&b->answer);
    fo_buf_init(&b->ack);
    for (unsigned i = 0; i < COUNT; i++) {
        b->published[i] = request_event(b, "custom", false);
        b->checked[i] = request_event(b, "order_status", true);
    }
    decode(b);
    for (unsigned i = 0; i < COUNT; i++)
        b->event[i].acceptedtime = (struct fo_wall){ 1700000000000000 };
}

static void
measure_stages(struct bench *b)
{
    printf("| stage, batches of %d | ns/event |\n| --- | --- |\n", COUNT);
    measure(b, "decode, payload opaque", decode);
    measure(b, "decode, payload validated by schema", decode_and_validate);
    measure(b, "fingerprint of tenant and id", fingerprint);
    measure(b, "dedupe: find and add, table full", dedupe);
    decode(b);
    for (unsigned i = 0; i < COUNT; i++)
        b->event[i].acceptedtime = (struct fo_wall){ 1700000000000000 };
    measure(b, "encode the record", encode);
    measure(b, "hash: leaves and tree", hash);
    measure(b, "seal: hash, copy, sign", hash_and_sign);
    measure_journal(b, "journal: write one batch (each region)", false);
    measure_journal(b, "journal: write and sync one batch (each region)", true);
    measure(b, "link: send and receive the frame by NNG (each target)", send_frame);
    measure(b, "verify: signature, hash (each target)", verify);
    measure(b, "read the record (each target)", read_records);
    measure(b, "push: answer to a reader, msgpack (each target)", answer);
    measure(b, "ack: make and sign (each target)", make_ack);
    measure(b, "ack: read and verify (each target)", verify_ack);
}

/* What signing costs when few events share it. */
static void
measure_sizes(struct bench *b)
{
    static const unsigned counts[] = { 1, 16, 64, 256, COUNT };

    printf("\n| events in a batch | seal, ns/event | verify | of it hash |\n| --- | --- | --- | --- |\n");
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        double sealed;

        b->header.count = counts[i];
        sealed = ns_per_event(b, hash_and_sign);
        printf("| %u | %.0f | %.0f | %.0f |\n", counts[i], sealed, ns_per_event(b, verify), ns_per_event(b, hash));
    }
}

int
main(int argc, char **argv)
{
    static struct bench b;

    if (argc > 1)
        round_ns = atof(argv[1]) * 1e6;
    prepare(&b);
    open_link(&b);
    measure_stages(&b);
    measure_sizes(&b);
    return 0;
}
