/* SPDX-License-Identifier: Apache-2.0
 *
 * What `fanout explain` believes: an honest answer is verified, and one byte changed anywhere is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/fanout/proof.h"
#include "wire/door.h"
#include "wire/json.h"

enum { EVENTS = 20, ASKED = 3 };

static struct fo_key_pair source_key, target_key, stranger_key;
static struct fo_key_ring ring;

static int
make_keys(void **state)
{
    (void)state;
    if (fo_keys_library_init() != FO_OK || fo_key_pair_generate("us-east-1", &source_key) != FO_OK
        || fo_key_pair_generate("us-west-2", &target_key) != FO_OK || fo_key_pair_generate("us-west-2", &stranger_key) != FO_OK)
        return -1;
    return fo_key_ring_add(&ring, &source_key.public_half) == FO_OK && fo_key_ring_add(&ring, &target_key.public_half) == FO_OK ? 0 : -1;
}

static int
wipe_keys(void **state)
{
    (void)state;
    fo_key_pair_fini(&source_key);
    fo_key_pair_fini(&target_key);
    fo_key_pair_fini(&stranger_key);
    return 0;
}

static struct fo_slice
make_record(unsigned i, struct fo_writer *w)
{
    char id[16];
    struct fo_event e = { .type = FO_SLICE_LIT("custom"), .tenant = FO_SLICE_LIT("acme"), .sourceregion = FO_SLICE_LIT("us-east-1"),
        .acceptedtime = { 1767225600000000 }, .schemaversion = 1, .mincompatible = 1 };
    size_t before = w->n;

    snprintf(id, sizeof(id), "event-%u", i);
    e.id = fo_slice_str(id);
    fo_event_encode(&e, w);
    assert_false(w->overflow);
    return fo_slice_of(w->p + before, w->n - before);
}

/* An explain answer about event-3 of a batch that starts at 41, as the broker makes it. */
static json_t *
make_answer(void)
{
    static uint8_t bytes[4096];
    struct fo_writer w = fo_writer_of(bytes, sizeof(bytes));
    struct fo_slice record[EVENTS];
    struct fo_batch_header h = { .region = FO_SLICE_LIT("us-east-1"), .epoch = 0x18f, .first_seq = 41, .lane = FO_LANE_NORMAL,
        .count = EVENTS, .sealed_at = { 1767225600000001 }, .target = { { FO_SLICE_LIT("us-west-2"), 40 } }, .target_count = 1 };
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    json_t *hashes = json_array(), *answer;
    struct fo_frame frame;
    struct fo_buf out;
    unsigned n;

    for (unsigned i = 0; i < EVENTS; i++)
        record[i] = make_record(i, &w);
    fo_buf_init(&out);
    assert_int_equal(fo_batch_seal(&h, record, &source_key, &out), FO_OK);
    assert_int_equal(fo_frame_split(fo_buf_slice(&out), &frame), FO_OK);
    n = fo_merkle_path(record, EVENTS, ASKED, path);
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(hashes, fo_json_base64(fo_slice_of(path[i], FO_HASH_BYTES)));
    answer = json_pack("{s:s, s:{s:i, s:o, s:o, s:o, s:o}}", "position", "us-east-1:18f:normal:44", "batch", "index", ASKED, "header",
        fo_json_base64(frame.signed_part), "signature", fo_json_base64(frame.signature), "path", hashes, "record",
        fo_json_base64(record[ASKED]));
    assert_non_null(answer);
    fo_buf_fini(&out);
    return answer;
}

static struct proof
check(const json_t *answer, const struct fo_key_ring *keys)
{
    struct proof p;

    proof_check_batch(answer, "acme", "event-3", keys, &p);
    return p;
}

static void
test_an_honest_answer_is_verified(void **state)
{
    json_t *answer = make_answer();
    struct proof p = check(answer, &ring);

    (void)state;
    if (p.state != PROOF_VERIFIED)
        fail_msg("%s", p.text);
    assert_string_equal(p.region, "us-east-1");
    assert_int_equal(p.pos.seq, 44);
    assert_non_null(strstr(p.text, "event 4 of 20"));
    assert_true(proof_is_same_record(answer, answer));
    json_decref(answer);
}

static void
test_without_the_key_nothing_is_claimed(void **state)
{
    static const struct fo_key_ring empty;
    json_t *answer = make_answer();

    (void)state;
    assert_int_equal(check(answer, NULL).state, PROOF_NO_KEY);
    assert_int_equal(check(answer, &empty).state, PROOF_NO_KEY);
    json_decref(answer);
}

/* Changes one character of base64 text: other bytes, still decodable. */
static void
damage(json_t *holder, const char *member, size_t at)
{
    char *text = strdup(json_string_value(json_object_get(holder, member)));

    text[at] = text[at] == 'A' ? 'B' : 'A';
    json_object_set_new(holder, member, json_string(text));
    free(text);
}

static void
test_one_changed_byte_is_noticed(void **state)
{
    static const char *const member[] = { "header", "signature", "record" };

    (void)state;
    for (unsigned m = 0; m < 3; m++) {
        json_t *whole = make_answer();
        size_t n = strlen(json_string_value(json_object_get(json_object_get(whole, "batch"), member[m])));
        json_decref(whole);
        for (size_t at = 0; at + 4 < n; at += 3) {
            json_t *answer = make_answer();
            damage(json_object_get(answer, "batch"), member[m], at);
            struct proof p = check(answer, &ring);
            if (p.state == PROOF_VERIFIED)
                fail_msg("%s changed at %zu is verified", member[m], at);
            json_decref(answer);
        }
    }
}

static void
test_lies_around_the_record_are_noticed(void **state)
{
    json_t *answer = make_answer(), *batch = json_object_get(answer, "batch");
    struct proof p;

    (void)state;
    json_object_set_new(batch, "index", json_integer(2));
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_object_set_new(batch, "index", json_integer(99));
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_object_set_new(batch, "index", json_integer(ASKED));
    json_object_set_new(answer, "position", json_string("us-east-1:18f:normal:45"));
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_object_set_new(answer, "position", json_string("us-east-1:18f:normal:44"));
    assert_int_equal(check(answer, &ring).state, PROOF_VERIFIED);
    proof_check_batch(answer, "acme", "event-4", &ring, &p);
    assert_int_equal(p.state, PROOF_FAILED);
    proof_check_batch(answer, "other", "event-3", &ring, &p);
    assert_int_equal(p.state, PROOF_FAILED);
    json_object_del(batch, "header");
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_decref(answer);
}

static void
test_altered_paths_are_noticed(void **state)
{
    json_t *answer = make_answer(), *path = json_object_get(json_object_get(answer, "batch"), "path"), *first = json_array_get(path, 0);

    (void)state;
    assert_int_equal(json_array_size(path), 15 + 1);
    json_incref(first);
    json_array_remove(path, 0);
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_array_insert(path, 1, first);
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);         /* second and first */
    json_array_remove(path, 1);
    json_array_insert(path, 0, first);
    assert_int_equal(check(answer, &ring).state, PROOF_VERIFIED);
    while (json_array_size(path) < 4 * FO_MERKLE_PATH_MAX) {
        json_array_append(path, first);
        assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    }
    json_array_clear(path);
    assert_int_equal(check(answer, &ring).state, PROOF_FAILED);
    json_decref(first);
    json_decref(answer);
}

static void
test_another_frame_version_is_said(void **state)
{
    json_t *answer = make_answer();
    struct proof p;

    (void)state;
    damage(json_object_get(answer, "batch"), "header", 3);              /* of the third byte */
    p = check(answer, &ring);
    assert_int_equal(p.state, PROOF_FAILED);
    assert_string_equal(p.text, "the batch is a frame of another version");
    json_decref(answer);
}

static json_t *
make_delivery(const struct fo_key_pair *key, const char *target, uint64_t cum, bool is_expired)
{
    struct fo_control c = { .region = FO_SLICE_LIT("us-west-2"), .target = fo_slice_str(target), .session = 1, .sent_at = { 1767225600000002 },
        .epoch_acked = { 0x18f, 0x18f, 0x18f }, .cum_seq = { 0, cum, 0 } };
    struct fo_buf out;
    json_t *delivery;

    if (is_expired) {
        c.exception[0] = (struct fo_exception){ FO_LANE_NORMAL, 44, FO_VERDICT_EXPIRED };
        c.exception_count = 1;
    }
    fo_buf_init(&out);
    assert_int_equal(fo_control_seal(FO_FRAME_ACK, &c, key, &out), FO_OK);
    delivery = json_pack("{s:s, s:s, s:o}", "region", "us-west-2", "state", "delivered", "ackFrame", fo_json_base64(fo_buf_slice(&out)));
    fo_buf_fini(&out);
    return delivery;
}

static enum proof_state
check_ack(json_t *take_delivery)
{
    json_t *answer = make_answer();
    struct proof batch = check(answer, &ring), ack;

    proof_check_ack(take_delivery, &batch, &ring, &ack);
    json_decref(take_delivery);
    json_decref(answer);
    return ack.state;
}

static void
test_acks_prove_what_they_cover(void **state)
{
    json_t *expired, *none;

    (void)state;
    assert_int_equal(check_ack(make_delivery(&target_key, "us-east-1", 44, false)), PROOF_VERIFIED);
    assert_int_equal(check_ack(make_delivery(&target_key, "us-east-1", 100, false)), PROOF_VERIFIED);
    assert_int_equal(check_ack(make_delivery(&target_key, "us-east-1", 43, false)), PROOF_FAILED);      /* does not reach */
    assert_int_equal(check_ack(make_delivery(&target_key, "us-east-1", 44, true)), PROOF_FAILED);       /* says otherwise */
    assert_int_equal(check_ack(make_delivery(&target_key, "eu-west-1", 44, false)), PROOF_FAILED);      /* to somebody else */
    assert_int_equal(check_ack(make_delivery(&stranger_key, "us-east-1", 44, false)), PROOF_NO_KEY);
    expired = make_delivery(&target_key, "us-east-1", 44, true);
    json_object_set_new(expired, "state", json_string("expired"));
    assert_int_equal(check_ack(expired), PROOF_VERIFIED);
    none = json_pack("{s:s, s:s}", "region", "us-west-2", "state", "pending");
    assert_int_equal(check_ack(none), PROOF_NONE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_honest_answer_is_verified),
        cmocka_unit_test(test_without_the_key_nothing_is_claimed),
        cmocka_unit_test(test_one_changed_byte_is_noticed),
        cmocka_unit_test(test_lies_around_the_record_are_noticed),
        cmocka_unit_test(test_altered_paths_are_noticed),
        cmocka_unit_test(test_another_frame_version_is_said),
        cmocka_unit_test(test_acks_prove_what_they_cover),
    };

    return cmocka_run_group_tests(tests, make_keys, wipe_keys);
}
