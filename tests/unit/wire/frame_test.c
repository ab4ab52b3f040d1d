/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: golden vectors both ways, every flipped bit, and what sealing refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "vectors.h"
#include "wire/frame.h"
#include "wire/relay.h"

static struct fo_key_ring ring;
static struct fo_key_pair east, west;

static int
setup(void **state)
{
    (void)state;
    if (fo_keys_library_init() != FO_OK)
        return -1;
    vector_keys(&ring);
    vector_key_pair("us-east-1", &east);
    vector_key_pair("us-west-2", &west);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fo_key_pair_fini(&east);
    fo_key_pair_fini(&west);
    return 0;
}

/* A frame as a receiver takes it, in the order that it does so. */
struct taken { struct fo_frame frame; struct fo_batch_header batch; struct fo_control control; struct fo_relay relay; struct fo_slice record[FO_BATCH_EVENTS_MAX]; };

static enum fo_err
take(struct fo_slice bytes, struct taken *ret_t)
{
    enum fo_err err = fo_frame_split(bytes, &ret_t->frame);

    if (err != FO_OK)
        return err;
    if (ret_t->frame.kind == FO_FRAME_BATCH) {
        err = fo_batch_header_decode(&ret_t->frame, &ret_t->batch);
        return err != FO_OK ? err : fo_batch_verify(&ret_t->frame, &ret_t->batch, &ring, ret_t->record);
    }
    if (ret_t->frame.kind == FO_FRAME_RELAY) {
        err = fo_relay_decode(&ret_t->frame, &ret_t->relay);
        return err != FO_OK ? err : fo_relay_verify(&ret_t->frame, &ret_t->relay, &ring);
    }
    err = fo_control_decode(&ret_t->frame, &ret_t->control);
    return err != FO_OK ? err : fo_control_verify(&ret_t->frame, &ret_t->control, &ring);
}

static bool
text_is(const json_t *expect, const char *name, struct fo_slice value)
{
    return fo_slice_is_equal(value, fo_slice_str(json_string_value(json_object_get(expect, name))));
}

static uint64_t
number(const json_t *expect, const char *name)
{
    const json_t *v = json_object_get(expect, name);

    assert_true(json_is_integer(v));
    return (uint64_t)json_integer_value(v);
}

static uint64_t
number_at(const json_t *expect, const char *name, size_t i, size_t j)
{
    const json_t *v = json_array_get(json_object_get(expect, name), i);

    if (json_is_array(v))
        v = json_array_get(v, j);
    assert_true(json_is_integer(v));
    return (uint64_t)json_integer_value(v);
}

static bool
key_id_is(const json_t *expect, uint64_t id)
{
    char text[17];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
    return text_is(expect, "key_id", fo_slice_str(text));
}

static void
check_batch(const json_t *expect, struct taken *t, struct fo_slice bytes)
{
    const json_t *targets = json_object_get(expect, "targets"), *records = json_object_get(expect, "records");
    const struct fo_batch_header *h = &t->batch;
    struct fo_buf again;

    assert_true(text_is(expect, "region", h->region));
    assert_true(key_id_is(expect, h->key_id));
    assert_int_equal(h->epoch, number(expect, "epoch"));
    assert_int_equal(h->lane, number(expect, "lane"));
    assert_int_equal(h->first_seq, number(expect, "first_seq"));
    assert_int_equal(h->count, number(expect, "count"));
    assert_int_equal(h->sealed_at.us, number(expect, "sealed_at_us"));
    assert_true(vector_hex_is(json_object_get(expect, "prev_root"), fo_slice_of(h->prev_root, FO_HASH_BYTES)));
    assert_true(vector_hex_is(json_object_get(expect, "root"), fo_slice_of(h->root, FO_HASH_BYTES)));
    assert_int_equal(h->is_awaited, json_is_true(json_object_get(expect, "awaited")));
    assert_int_equal(h->target_count, json_array_size(targets));
    for (unsigned i = 0; i < h->target_count; i++) {
        assert_true(fo_slice_is_equal(h->target[i].region, fo_slice_str(json_string_value(json_array_get(json_array_get(targets, i), 0)))));
        assert_int_equal(h->target[i].prev_seq, number_at(expect, "targets", i, 1));
        assert_int_equal(h->target[i].prev_epoch, json_array_size(json_array_get(targets, i)) == 3 ? number_at(expect, "targets", i, 2) : 0);
    }
    if (records != NULL)
        for (unsigned i = 0; i < h->count; i++)
            assert_true(vector_hex_is(json_array_get(records, i), t->record[i]));

    fo_buf_init(&again);
    assert_int_equal(fo_batch_seal(&t->batch, t->record, &east, &again), FO_OK);
    assert_int_equal(fo_slice_is_equal(fo_buf_slice(&again), bytes), json_is_true(json_object_get(expect, "canonical")));
    fo_buf_fini(&again);
}

static void
check_control(const json_t *expect, struct taken *t, struct fo_slice bytes)
{
    const struct fo_control *c = &t->control;
    bool has_epochs = json_array_size(json_object_get(expect, "settled_seq")) == 2 * FO_LANES;
    struct fo_buf again;

    assert_true(text_is(expect, "region", c->region));
    assert_true(key_id_is(expect, c->key_id));
    assert_true(text_is(expect, "target", c->target));
    assert_int_equal(c->session, number(expect, "session"));
    assert_int_equal(c->sent_at.us, number(expect, "sent_at_us"));
    assert_int_equal(c->echo_at.us, number(expect, "echo_at_us"));
    assert_int_equal(c->echo_delay_us, number(expect, "echo_delay_us"));
    for (unsigned lane = 0; lane < FO_LANES; lane++) {
        assert_int_equal(c->epoch_acked[lane], number_at(expect, "epoch_acked", lane, 0));
        assert_int_equal(c->cum_seq[lane], number_at(expect, "cum_seq", lane, 0));
        assert_int_equal(c->settled_seq[lane], number_at(expect, "settled_seq", lane, 0));
        assert_int_equal(c->settled_epoch[lane], has_epochs ? number_at(expect, "settled_seq", FO_LANES + lane, 0) : 0);
    }
    assert_int_equal(c->exception_count, json_array_size(json_object_get(expect, "exceptions")));
    for (unsigned i = 0; i < c->exception_count; i++) {
        assert_int_equal(c->exception[i].lane, number_at(expect, "exceptions", i, 0));
        assert_int_equal(c->exception[i].seq, number_at(expect, "exceptions", i, 1));
        assert_int_equal(c->exception[i].verdict, number_at(expect, "exceptions", i, 2));
    }

    assert_int_equal(c->reach_count, json_array_size(json_object_get(expect, "reach")));
    for (unsigned i = 0; i < c->reach_count; i++)
        assert_true(fo_slice_is_equal(c->reach[i], fo_slice_str(json_string_value(json_array_get(json_object_get(expect, "reach"), i)))));

    fo_buf_init(&again);
    assert_int_equal(fo_control_seal(t->frame.kind, c, &west, &again), FO_OK);
    assert_int_equal(fo_slice_is_equal(fo_buf_slice(&again), bytes), json_is_true(json_object_get(expect, "canonical")));
    fo_buf_fini(&again);
}

static void
check_relay(const json_t *expect, struct taken *t, struct fo_slice bytes)
{
    size_t n;
    uint8_t *inner = vector_bytes(json_object_get(expect, "inner"), &n);
    struct fo_buf again;

    assert_true(text_is(expect, "region", t->relay.region));
    assert_true(key_id_is(expect, t->relay.key_id));
    assert_true(text_is(expect, "target", t->relay.target));
    assert_int_equal(t->relay.sent_at.us, number(expect, "sent_at_us"));
    assert_true(fo_slice_is_equal(t->frame.body, fo_slice_of(inner, n)));
    fo_buf_init(&again);
    assert_int_equal(fo_relay_seal(&t->relay, t->frame.body, &west, &again), FO_OK);
    assert_true(fo_slice_is_equal(fo_buf_slice(&again), bytes));
    fo_buf_fini(&again);
    free(inner);
}

static void
check_valid(json_t *vector)
{
    static const char *const kinds[] = {NULL, "batch", "ack", "hello", "heartbeat", "relay"};
    static struct taken t;
    const json_t *expect = json_object_get(vector, "expect");
    size_t n;
    uint8_t *bytes;

    if (strcmp(json_string_value(json_object_get(vector, "kind")), "frame") != 0)
        return;
    bytes = vector_bytes(json_object_get(vector, "hex"), &n);
    assert_int_equal(take(fo_slice_of(bytes, n), &t), FO_OK);
    assert_true(text_is(expect, "frame", fo_slice_str(kinds[t.frame.kind])));
    if (t.frame.kind == FO_FRAME_BATCH)
        check_batch(expect, &t, fo_slice_of(bytes, n));
    else if (t.frame.kind == FO_FRAME_RELAY)
        check_relay(expect, &t, fo_slice_of(bytes, n));
    else
        check_control(expect, &t, fo_slice_of(bytes, n));
    free(bytes);
}

static void
check_invalid(json_t *vector)
{
    static struct taken t;
    size_t n;
    uint8_t *bytes = vector_bytes(json_object_get(vector, "hex"), &n);
    uint8_t *exact = malloc(n + (n == 0));      /* so that the sanitizer sees a read past the end */

    assert_non_null(exact);
    memcpy(exact, bytes, n);
    assert_string_equal(fo_err_name(take(fo_slice_of(exact, n), &t)),
                        json_string_value(json_object_get(json_object_get(vector, "expect"), "error")));
    free(exact);
    free(bytes);
}

static void
test_golden_valid(void **state)
{
    (void)state;
    vector_each("valid", "frame-", 12, check_valid);
}

static void
test_golden_invalid(void **state)
{
    (void)state;
    vector_each("invalid", "frame-", 80, check_invalid);
}

static uint8_t *
load_frame(const char *path, size_t *ret_n)
{
    json_t *vector = vector_load(path);
    uint8_t *bytes = vector_bytes(json_object_get(vector, "hex"), ret_n);

    json_decref(vector);
    return bytes;
}

static void
check_every_bit(const char *path)
{
    static struct taken t;
    size_t n;
    uint8_t *bytes = load_frame(path, &n);

    assert_int_equal(take(fo_slice_of(bytes, n), &t), FO_OK);
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (take(fo_slice_of(bytes, n), &t) == FO_OK)
            fail_msg("%s: bit %zu flipped, not noticed", path, bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(take(fo_slice_of(bytes, n), &t), FO_OK);
    free(bytes);
}

static void
test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    check_every_bit("valid/frame-batch-3.json");
    check_every_bit("valid/frame-ack-exceptions.json");
}

static void
test_every_truncation_is_noticed(void **state)
{
    static struct taken t;
    size_t n;
    uint8_t *bytes = load_frame("valid/frame-batch-3.json", &n);

    (void)state;
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *part = malloc(cut + (cut == 0));

        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(take(fo_slice_of(part, cut), &t), FO_ERR_TRUNCATED);
        free(part);
    }
    free(bytes);
}

/* Whatever header is accepted is one that could have been sealed: reading and sealing hold the same rules. */
static void
check_accepted_can_be_sealed(const struct fo_frame *frame)
{
    static struct fo_batch_header h;
    static struct fo_control c;
    struct fo_slice records[FO_BATCH_EVENTS_MAX];
    enum fo_err err = FO_ERR_WRONG_KEY;
    struct fo_buf out;

    fo_buf_init(&out);
    if (frame->kind == FO_FRAME_BATCH && fo_batch_header_decode(frame, &h) == FO_OK) {
        for (unsigned i = 0; i < h.count; i++)
            records[i] = FO_SLICE_LIT("r");
        err = fo_batch_seal(&h, records, &east, &out);
    } else if (frame->kind != FO_FRAME_BATCH && fo_control_decode(frame, &c) == FO_OK) {
        err = fo_control_seal(frame->kind, &c, &west, &out);
    }
    assert_true(err == FO_OK || err == FO_ERR_WRONG_KEY);
    fo_buf_fini(&out);
}

static void
check_mutated_headers(const char *path, uint64_t seed)
{
    size_t n;
    uint8_t *bytes = load_frame(path, &n);
    struct fo_frame frame;
    struct fo_rng rng;
    uint8_t *header;

    assert_int_equal(fo_frame_split(fo_slice_of(bytes, n), &frame), FO_OK);
    fo_rng_init(&rng, seed);
    for (unsigned round = 0; round < 20000; round++) {
        size_t header_n = frame.header.n - fo_rng_below(&rng, 4) / 3;
        struct fo_frame mutated = frame;

        header = malloc(header_n);
        assert_non_null(header);
        memcpy(header, frame.header.p, header_n);
        for (uint64_t changes = 1 + fo_rng_below(&rng, 3); changes > 0; changes--)
            header[fo_rng_below(&rng, header_n)] = (uint8_t)fo_rng_next(&rng);
        mutated.header = fo_slice_of(header, header_n);
        check_accepted_can_be_sealed(&mutated);
        free(header);
    }
    free(bytes);
}

static void
test_mutated_headers(void **state)
{
    (void)state;
    check_mutated_headers("valid/frame-batch-3.json", 1);
    check_mutated_headers("valid/frame-batch-header-grown.json", 2);
    check_mutated_headers("valid/frame-ack-exceptions.json", 3);
}

static struct fo_batch_header
some_header(void)
{
    return (struct fo_batch_header){
        .region = FO_SLICE_LIT("us-east-1"), .epoch = 7, .lane = FO_LANE_NORMAL, .first_seq = 10, .count = 2, .sealed_at = {1000},
        .target = {{FO_SLICE_LIT("eu-west-1"), 9}, {FO_SLICE_LIT("us-west-2"), 0}}, .target_count = 2,
    };
}

static void
test_seal_appends_what_verifies(void **state)
{
    static struct taken t;
    struct fo_slice records[2] = {FO_SLICE_LIT("one"), FO_SLICE_LIT("another")};
    struct fo_batch_header h = some_header();
    struct fo_buf out;
    size_t first;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_batch_seal(&h, records, &east, &out), FO_OK);
    first = out.n;
    h.first_seq = 12;
    memcpy(h.prev_root, h.root, sizeof h.root);
    assert_int_equal(fo_batch_seal(&h, records, &east, &out), FO_OK);
    assert_int_equal(take(fo_slice_of(out.p, first), &t), FO_OK);
    assert_int_equal(t.batch.first_seq, 10);
    assert_int_equal(take(fo_slice_of(out.p + first, out.n - first), &t), FO_OK);
    assert_int_equal(t.batch.first_seq, 12);
    assert_int_equal(t.batch.key_id, east.public_half.id);
    assert_true(fo_slice_is_equal(t.record[1], records[1]));
    assert_int_equal(fo_batch_verify(&t.frame, &t.batch, &ring, NULL), FO_OK);
    fo_buf_fini(&out);
}

static void
test_seal_refuses_what_a_peer_would(void **state)
{
    struct fo_slice records[2] = {FO_SLICE_LIT("one"), FO_SLICE_LIT("another")}, empty[2] = {FO_SLICE_LIT("one"), {NULL, 0}};
    struct fo_batch_header good = some_header(), h;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
#define REFUSED(change, err) (h = good, change, assert_int_equal(fo_batch_seal(&h, records, &east, &out), err))
    REFUSED(h.count = 0, FO_ERR_INVALID);
    REFUSED(h.count = FO_BATCH_EVENTS_MAX + 1, FO_ERR_INVALID);
    REFUSED(h.epoch = 0, FO_ERR_INVALID);
    REFUSED(h.lane = (enum fo_lane)3, FO_ERR_INVALID);
    REFUSED(h.first_seq = 0, FO_ERR_INVALID);
    REFUSED(h.first_seq = UINT64_MAX - 1, FO_ERR_INVALID);
    REFUSED(h.sealed_at.us = 0, FO_ERR_INVALID);
    REFUSED(h.target_count = 0, FO_ERR_INVALID);
    REFUSED(h.target_count = 65, FO_ERR_INVALID);
    REFUSED(h.target[1] = h.target[0], FO_ERR_INVALID);
    REFUSED(h.target[0].prev_seq = 10, FO_ERR_INVALID);
    REFUSED(h.region = FO_SLICE_LIT("US"), FO_ERR_INVALID);
    REFUSED(h.region = FO_SLICE_LIT("us-west-2"), FO_ERR_WRONG_KEY);
#undef REFUSED
    assert_int_equal(fo_batch_seal(&good, empty, &east, &out), FO_ERR_INVALID);
    assert_int_equal(out.n, 0);
    assert_int_equal(fo_batch_seal(&good, records, &east, &out), FO_OK);
    fo_buf_fini(&out);
}

static void
test_body_over_limit_is_refused(void **state)
{
    size_t n = FO_BODY_BYTES_MAX;
    uint8_t *big = calloc(1, n + 1);
    struct fo_slice records[2] = {{big, n - 8 - 3}, FO_SLICE_LIT("abc")};
    struct fo_batch_header h = some_header();
    static struct taken t;
    struct fo_buf out;

    (void)state;
    assert_non_null(big);
    fo_buf_init(&out);
    records[0].n++;
    assert_int_equal(fo_batch_seal(&h, records, &east, &out), FO_ERR_TOO_LARGE);
    records[0].n = n + 1;
    assert_int_equal(fo_batch_seal(&h, records, &east, &out), FO_ERR_TOO_LARGE);
    assert_int_equal(out.n, 0);
    records[0].n = n - 8 - 3;
    assert_int_equal(fo_batch_seal(&h, records, &east, &out), FO_OK);
    assert_int_equal(take(fo_buf_slice(&out), &t), FO_OK);
    fo_buf_fini(&out);
    free(big);
}

/* A record taken out with its path is proven by what the signature covers. */
static void
test_record_is_provable_alone(void **state)
{
    static struct taken t;
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    size_t n;
    uint8_t *bytes = load_frame("valid/frame-batch-1024.json", &n);

    (void)state;
    assert_int_equal(take(fo_slice_of(bytes, n), &t), FO_OK);
    assert_int_equal(t.batch.count, 1024);
    for (unsigned i = 0; i < 1024; i += 51) {
        unsigned path_len = fo_merkle_path(t.record, 1024, i, path);

        assert_true(fo_merkle_proves(t.record[i], i, 1024, path, path_len, t.batch.root));
    }
    free(bytes);
}

static void
test_records_of_own_journal(void **state)
{
    struct fo_slice records[2];

    (void)state;
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\0\0\0\1a\0\0\0\2bc"), 2, records), FO_OK);
    assert_true(fo_slice_is_equal(records[1], FO_SLICE_LIT("bc")));
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\0\0\0\1a\0\0\0\2b"), 2, records), FO_ERR_PROTO);
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\0\0\0\1a\0\0\0\0"), 2, records), FO_ERR_PROTO);
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\0\0\0\1a"), 2, records), FO_ERR_PROTO);
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\0\0\0\1a\0"), 1, records), FO_ERR_PROTO);
    assert_int_equal(fo_batch_records(FO_SLICE_LIT("\377\377\377\377a"), 1, records), FO_ERR_PROTO);
}

static void
test_control_seal_refuses_what_a_peer_would(void **state)
{
    struct fo_control good = {.region = FO_SLICE_LIT("us-west-2"), .target = FO_SLICE_LIT("us-east-1"), .sent_at = {1}}, c;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
#define REFUSED(change, err) (c = good, change, assert_int_equal(fo_control_seal(FO_FRAME_ACK, &c, &west, &out), err))
    REFUSED(c.target = c.region, FO_ERR_INVALID);
    REFUSED(c.target.n = 0, FO_ERR_INVALID);
    REFUSED(c.sent_at.us = 0, FO_ERR_INVALID);
    REFUSED(c.cum_seq[0] = 1, FO_ERR_INVALID);
    REFUSED(c.echo_delay_us = 1, FO_ERR_INVALID);
    REFUSED(c.echo_at.us = -1, FO_ERR_INVALID);
    REFUSED(c.exception_count = FO_EXCEPTIONS_MAX + 1, FO_ERR_INVALID);
    REFUSED(c.exception_count = 1, FO_ERR_INVALID);
    REFUSED((c.region = FO_SLICE_LIT("eu-west-1")), FO_ERR_WRONG_KEY);
#undef REFUSED
    assert_int_equal(fo_control_seal(FO_FRAME_BATCH, &good, &west, &out), FO_ERR_INVALID);
    assert_int_equal(out.n, 0);
    assert_int_equal(fo_control_seal(FO_FRAME_HELLO, &good, &west, &out), FO_OK);
    fo_buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_valid),
        cmocka_unit_test(test_golden_invalid),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_every_truncation_is_noticed),
        cmocka_unit_test(test_mutated_headers),
        cmocka_unit_test(test_seal_appends_what_verifies),
        cmocka_unit_test(test_seal_refuses_what_a_peer_would),
        cmocka_unit_test(test_body_over_limit_is_refused),
        cmocka_unit_test(test_record_is_provable_alone),
        cmocka_unit_test(test_records_of_own_journal),
        cmocka_unit_test(test_control_seal_refuses_what_a_peer_would),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
