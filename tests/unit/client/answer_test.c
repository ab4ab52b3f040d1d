/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as the broker's decoder takes them, and answers as its encoder writes them; damaged answers do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "client/answer.h"
#include "client/encode.h"
#include "wire/door.h"
#include "wire/fetch_answer.h"
#include "wire/schema.h"

static const struct fo_region_names region_names = { { "us-east-1", "us-west-2", "eu-west-1" }, 3 };
static const struct fo_delivery deliveries[] = {
    { "us-west-2", FO_DELIVERY_DELIVERED, 840, 1 },
    { "eu-west-1", FO_DELIVERY_PENDING, -1, 3 },
};

static void
test_the_broker_understands_an_event(void **state)
{
    static const char *const targets[] = { "eu-west-1" };
    struct fanout_event e;
    struct fo_schema_set *schemas;
    struct fo_event_rules rules = { &region_names, NULL, 262144 };
    struct fo_buf events, request, scratch;
    struct fo_request decoded;
    struct fo_slice bytes;
    struct fo_event got;
    struct fo_fault fault;

    (void)state;
    assert_int_equal(fo_schema_set_create(&schemas), FO_OK);
    assert_int_equal(fo_schema_set_add_builtin(schemas, &fault), FO_OK);
    rules.schemas = schemas;
    fo_buf_init(&events);
    fo_buf_init(&request);
    fo_buf_init(&scratch);
    fanout_event_init(&e);
    e.type = "order_status";
    e.tenant = "acme";
    e.key = "order-1";
    e.priority = "low";
    e.source = "/shop";
    e.subject = "order";
    e.time = "2026-01-31T23:59:59Z";
    e.expirytime = "2036-01-31T23:59:59Z";
    e.targets = targets;
    e.target_count = 1;
    e.data_json = "{\"order_id\": 1, \"status\": \"ready\"}";
    e.extra_json = "{\"colour\": \"red\", \"schemaversion\": 2}";
    assert_int_equal(fo_encode_event(&e, "made-up", &events, &fault), FO_OK);
    e.id = "chosen";
    e.data_json = NULL;
    e.data_msgpack = "\x82\xa8order_id\x01\xa6status\xa5ready";
    e.data_msgpack_size = 24;
    assert_int_equal(fo_encode_event(&e, "made-up", &events, &fault), FO_OK);
    assert_int_equal(fo_encode_publish(fo_buf_slice(&events), 2, 2, 4500, true, &request), FO_OK);

    assert_int_equal(fo_request_decode(fo_buf_slice(&request), &scratch, &decoded, &fault), FO_OK);
    assert_int_equal(decoded.op, FO_OP_PUBLISH);
    assert_int_equal(decoded.events_count, 2);
    assert_int_equal(decoded.wait, 2);
    assert_int_equal(decoded.timeout_ms, 4500);
    assert_true(decoded.is_brief && decoded.is_many);
    assert_true(fo_request_next_event(&decoded, &bytes));
    if (fo_event_decode_publish(bytes, &rules, &got, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    assert_true(fo_slice_is_equal(got.id, FO_SLICE_LIT("made-up")));
    assert_true(fo_slice_is_equal(got.tenant, FO_SLICE_LIT("acme")));
    assert_true(fo_slice_is_equal(got.partitionkey, FO_SLICE_LIT("order-1")));
    assert_true(fo_slice_is_equal(got.subject, FO_SLICE_LIT("order")));
    assert_true(got.time.us == INT64_C(1769903999000000));
    assert_int_equal(got.lane, FO_LANE_LOW);
    assert_int_equal(got.targets, 4);
    assert_int_equal(got.schemaversion, 2);
    assert_int_equal(got.unknown_count, 1);
    assert_true(fo_request_next_event(&decoded, &bytes));
    assert_int_equal(fo_event_decode_publish(bytes, &rules, &got, &fault), FO_OK);
    assert_true(fo_slice_is_equal(got.id, FO_SLICE_LIT("chosen")));
    assert_int_equal(got.data.n, 24);
    fo_buf_fini(&events);
    fo_buf_fini(&request);
    fo_buf_fini(&scratch);
    fo_schema_set_destroy(schemas);
}

/* Whatever patience a client is given, the broker is asked for one that it takes. */
static void
test_the_timeout_sent_is_in_the_broker_s_range(void **state)
{
    static const struct { int given; uint32_t sent; } cases[] = { { 0, 1 }, { 1, 1 }, { 60000, 60000 }, { 60001, 60000 }, { INT32_MAX, 60000 } };
    struct fanout_event e;
    struct fo_buf events, request, scratch;
    struct fo_request decoded;
    struct fo_fault fault;

    (void)state;
    fo_buf_init(&events);
    fo_buf_init(&request);
    fo_buf_init(&scratch);
    fanout_event_init(&e);
    e.type = "custom";
    assert_int_equal(fo_encode_event(&e, "a", &events, &fault), FO_OK);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request.n = 0;
        assert_int_equal(fo_encode_publish(fo_buf_slice(&events), 1, FANOUT_WAIT_ALL, cases[i].given, false, &request), FO_OK);
        assert_int_equal(fo_request_decode(fo_buf_slice(&request), &scratch, &decoded, &fault), FO_OK);
        assert_int_equal(decoded.timeout_ms, cases[i].sent);
    }
    fo_buf_fini(&events);
    fo_buf_fini(&request);
    fo_buf_fini(&scratch);
}

static void
test_what_cannot_be_sent_leaves_its_neighbours_alone(void **state)
{
    struct fanout_event e;
    struct fo_fault fault;
    struct fo_buf events;
    size_t before;

    (void)state;
    fo_buf_init(&events);
    fanout_event_init(&e);
    e.type = "custom";
    assert_int_equal(fo_encode_event(&e, "first", &events, &fault), FO_OK);
    before = events.n;
    e.data_json = "{\"a\": 1";
    assert_int_not_equal(fo_encode_event(&e, "x", &events, &fault), FO_OK);
    e.data_json = NULL;
    e.data_msgpack = "\x92\x01";        /* ends early */
    e.data_msgpack_size = 2;
    assert_int_equal(fo_encode_event(&e, "x", &events, &fault), FO_ERR_TRUNCATED);
    e.data_msgpack = "\x01\x02";        /* goes on */
    assert_int_equal(fo_encode_event(&e, "x", &events, &fault), FO_ERR_TRAILING);
    assert_string_equal(fault.path, "data");
    e.data_msgpack = NULL;
    e.extra_json = "[1]";
    assert_int_equal(fo_encode_event(&e, "x", &events, &fault), FO_ERR_TYPE);
    assert_string_equal(fault.path, "extra_json");
    assert_int_equal(events.n, before);
    fo_buf_fini(&events);
}

static void
check_fetch(const struct fo_fetch_ask *ask, enum fo_from from)
{
    struct fo_buf request, scratch;
    struct fo_request decoded;
    struct fo_fault fault;

    fo_buf_init(&request);
    fo_buf_init(&scratch);
    assert_int_equal(fo_encode_fetch(ask, &request), FO_OK);
    if (fo_request_decode(fo_buf_slice(&request), &scratch, &decoded, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    assert_int_equal(decoded.op, FO_OP_FETCH);
    assert_int_equal(decoded.from, from);
    assert_int_equal(decoded.filter.type_count, ask->filter->type_count);
    assert_true(fo_slice_is_equal(decoded.filter.tenant, FO_SLICE_LIT("acme")));
    assert_true(fo_slice_is_equal(decoded.filter.region, FO_SLICE_LIT("eu-west-1")));
    assert_int_equal(decoded.events_max, 10);
    assert_int_equal(decoded.bytes_max, 2048);
    assert_int_equal(decoded.timeout_ms, 700);
    fo_buf_fini(&request);
    fo_buf_fini(&scratch);
}

static void
test_the_broker_understands_a_fetch(void **state)
{
    static const char *const types[] = { "custom", "order_status" };
    struct fanout_filter f;
    struct fo_fetch_ask ask = { .filter = &f, .cursor = "c1.1.2.3", .time = "2026-01-01T00:00:00Z", .events_max = 10, .bytes_max = 2048,
        .wait_ms = 700 };
    static const enum fo_from from[] = { FO_FROM_NOW, FO_FROM_EARLIEST, FO_FROM_TIME, FO_FROM_CURSOR };

    (void)state;
    fanout_filter_init(&f);
    f.types = types;
    f.type_count = 2;
    f.tenant = "acme";
    f.key = "k";
    f.region = "eu-west-1";
    for (int i = FANOUT_FROM_NOW; i <= FANOUT_FROM_CURSOR; i++) {
        ask.from = i;
        check_fetch(&ask, from[i]);
    }
}

static void
make_answer(bool is_brief, struct fo_buf *out)
{
    static struct fo_fault refused = { FO_ERR_SCHEMA, "data.status", "must be text" };
    struct fo_publish_result r[3] = {
        { .event_id = FO_SLICE_LIT("a"), .position = { 0x18f, 42, FO_LANE_HIGH }, .deliveries = deliveries, .delivery_count = 2,
            .total_latency_us = 1200, .is_success = false },
        { .fault = &refused, .total_latency_us = -1 },
        { .event_id = FO_SLICE_LIT("c"), .is_duplicate = true, .position = { 0x18f, 7, FO_LANE_LOW }, .total_latency_us = -1,
            .is_success = true },
    };

    struct fo_publish_error error = { 1, &refused };
    struct fo_publish_tally tally = { .count = 3, .accepted = 2, .duplicates = 1, .successes = 1, .first = { NULL, r[0].position }, .last = { NULL, r[2].position },
        .error = &error, .error_count = 1 };

    if (is_brief)
        assert_int_equal(fo_publish_brief_encode(FO_ENC_MSGPACK, "us-east-1", &tally, out), FO_OK);
    else
        assert_int_equal(fo_publish_answer_encode(FO_ENC_MSGPACK, true, "us-east-1", r, 3, out), FO_OK);
}

static void
test_results_are_read(void **state)
{
    struct fanout_results *results;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    make_answer(false, &out);
    assert_int_equal(fo_answer_publish(fo_buf_slice(&out), 3, false, &results), FO_OK);
    assert_int_equal(results->count, 3);
    assert_string_equal(results->at[0].position, "us-east-1:18f:high:42");
    assert_int_equal(results->at[0].region_count, 2);
    assert_string_equal(results->at[0].regions[1].state, "pending");
    assert_int_equal(results->at[0].regions[1].attempts, 3);
    assert_true(results->at[0].err == FANOUT_OK && !results->at[0].is_success);
    assert_int_equal(results->at[1].err, FANOUT_ERR_REFUSED);
    assert_string_equal(results->at[1].path, "data.status");
    assert_true(results->at[2].is_duplicate && results->at[2].is_success);
    fo_results_destroy(results);
    assert_int_equal(fo_answer_publish(fo_buf_slice(&out), 4, false, &results), FO_ERR_PROTO);
    assert_int_equal(fo_answer_publish(fo_buf_slice(&out), 2, false, &results), FO_ERR_PROTO);

    out.n = 0;
    make_answer(true, &out);
    assert_int_equal(fo_answer_publish(fo_buf_slice(&out), 3, true, &results), FO_OK);
    assert_int_equal(results->count, 1);
    assert_int_equal(results->index[0], 1);
    assert_string_equal(results->at[0].code, "schema");
    fo_results_destroy(results);
    fo_buf_fini(&out);
}

static void
test_an_error_for_all_stands_in_each_result(void **state)
{
    struct fo_fault fault = { FO_ERR_BUSY, "", "" };
    struct fanout_results *results;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_error_answer_encode(FO_ENC_MSGPACK, &fault, 200, &out), FO_OK);
    for (int is_brief = 0; is_brief < 2; is_brief++) {
        assert_int_equal(fo_answer_publish(fo_buf_slice(&out), 2, is_brief, &results), FO_OK);
        assert_int_equal(results->count, 2);
        assert_int_equal(results->at[1].err, FANOUT_ERR_BUSY);
        assert_int_equal(results->at[1].retry_after_ms, 200);
        fo_results_destroy(results);
    }
    fo_buf_fini(&out);
}

static void
make_fetched(struct fo_buf *out)
{
    struct fo_event e = { .id = FO_SLICE_LIT("a"), .type = FO_SLICE_LIT("custom"), .tenant = FO_SLICE_LIT("default"),
        .sourceregion = FO_SLICE_LIT("us-east-1"), .acceptedtime = { 1767225600000000 }, .schemaversion = 1, .mincompatible = 1 };
    struct fo_fetch_answer answer;
    uint8_t record[512];
    struct fo_writer w = fo_writer_of(record, sizeof(record));

    fo_event_encode(&e, &w);
    assert_int_equal(fo_fetch_answer_begin(&answer, FO_ENC_MSGPACK, out), FO_OK);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(fo_fetch_answer_add(&answer, "us-east-1", &(struct fo_position){ 1, i, FO_LANE_LOW },
            fo_slice_of(w.p, w.n), &(struct fo_target){ FO_SLICE_LIT("us-west-2"), 0, 0 }, i == 3), FO_OK);
    assert_int_equal(fo_fetch_answer_finish(&answer, FO_SLICE_LIT("c1.x"), (struct fo_wall){ 1767225600000007 }), FO_OK);
}

static void
test_fetched_events_are_read(void **state)
{
    struct fo_fetched_event e = { .targets = 1 };
    struct fo_fetched f;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    make_fetched(&out);
    assert_int_equal(fo_answer_fetch(fo_buf_slice(&out), &f), FO_OK);
    assert_true(fo_slice_is_equal(f.cursor, FO_SLICE_LIT("c1.x")));
    assert_int_equal(f.events_count, 3);
    assert_true(f.through_us == 1767225600000007);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fo_answer_event(&f.events, &e), FO_OK);
        assert_int_equal(e.targets != 0, i == 2);
        assert_true(e.record.n > 0);
    }
    assert_true(fo_slice_is_equal(e.position, FO_SLICE_LIT("us-east-1:1:low:3")));
    fo_buf_fini(&out);
}

/* Whatever comes, it is an error or something readable; the sanitizers watch. */
static void
read_anything(struct fo_slice body)
{
    struct fanout_results *results;
    struct fo_fetched_event e;
    struct fo_fetched f;
    struct fo_slice a;

    for (int is_brief = 0; is_brief < 2; is_brief++) {
        if (fo_answer_publish(body, 3, is_brief, &results) == FO_OK)
            fo_results_destroy(results);
    }
    if (fo_answer_fetch(body, &f) == FO_OK) {
        while (f.events_count-- > 0 && fo_answer_event(&f.events, &e) == FO_OK)
            ;
    }
    (void)!fo_answer_ping(body, &a);
}

static void
test_damaged_answers_do_no_harm(void **state)
{
    struct fo_rng rng;
    struct fo_buf out[3];
    uint8_t *copy;

    (void)state;
    fo_rng_init(&rng, 20260131);
    for (int i = 0; i < 3; i++)
        fo_buf_init(&out[i]);
    make_answer(false, &out[0]);
    make_answer(true, &out[1]);
    make_fetched(&out[2]);
    for (int i = 0; i < 3; i++) {
        for (size_t n = 0; n < out[i].n; n++) {
            copy = malloc(n + 1);       /* its end is where the sanitizer stands */
            memcpy(copy, out[i].p, n);
            read_anything(fo_slice_of(copy, n));
            free(copy);
        }
        for (int round = 0; round < 20000; round++) {
            copy = malloc(out[i].n);
            memcpy(copy, out[i].p, out[i].n);
            for (uint64_t k = 0; k <= fo_rng_below(&rng, 3); k++)
                copy[fo_rng_below(&rng, out[i].n)] = (uint8_t)fo_rng_next(&rng);
            read_anything(fo_slice_of(copy, out[i].n));
            free(copy);
        }
        fo_buf_fini(&out[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_broker_understands_an_event),
        cmocka_unit_test(test_the_timeout_sent_is_in_the_broker_s_range),
        cmocka_unit_test(test_what_cannot_be_sent_leaves_its_neighbours_alone),
        cmocka_unit_test(test_the_broker_understands_a_fetch),
        cmocka_unit_test(test_results_are_read),
        cmocka_unit_test(test_an_error_for_all_stands_in_each_result),
        cmocka_unit_test(test_fetched_events_are_read),
        cmocka_unit_test(test_damaged_answers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
