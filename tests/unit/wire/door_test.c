/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rules.h"
#include "wire/fetch_answer.h"
#include "wire/json.h"
#include "wire/msgpack.h"

static const struct fo_delivery deliveries[] = {
    { "us-west-2", FO_DELIVERY_DELIVERED, 840, 1 },
    { "eu-west-1", FO_DELIVERY_PENDING, -1, 2 },
};

static struct fo_publish_result
accepted(const char *id, uint64_t seq)
{
    return (struct fo_publish_result){
        .event_id = fo_slice_str(id), .position = { 0x18f3c2a1b00, seq, FO_LANE_HIGH }, .deliveries = deliveries, .delivery_count = 2,
        .total_latency_us = 1000, .is_success = true,
    };
}

static struct fo_publish_result
refused(void)
{
    static const struct fo_fault fault = { FO_ERR_SCHEMA, "data.status", "one of \"open\", closed" };

    return (struct fo_publish_result){ .fault = &fault, .total_latency_us = -1 };
}

/* The answer in JSON is as given; the one in msgpack says the same. */
static void
check_answer(enum fo_err (*encode)(enum fo_encoding enc, struct fo_buf *out), const char *expected)
{
    json_t *from_msgpack, *from_text;
    struct fo_fault fault;
    struct fo_reader r;
    struct fo_buf out;

    fo_buf_init(&out);
    assert_int_equal(encode(FO_ENC_JSON, &out), FO_OK);
    assert_int_equal(fo_buf_add(&out, "", 1), FO_OK);
    assert_string_equal((const char *)out.p, expected);
    out.n = 0;
    assert_int_equal(encode(FO_ENC_MSGPACK, &out), FO_OK);
    r = fo_reader_of(fo_buf_slice(&out));
    assert_int_equal(fo_json_from_msgpack(&r, &from_msgpack), FO_OK);
    assert_int_equal(fo_reader_left(&r), 0);
    assert_int_equal(fo_json_parse(fo_slice_str(expected), &from_text, &fault), FO_OK);
    assert_true(json_equal(from_msgpack, from_text));
    json_decref(from_msgpack);
    json_decref(from_text);
    fo_buf_fini(&out);
}

static enum fo_err
encode_one(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_publish_result r = accepted("e-\"1\"", 42);

    r.total_latency_us = 1200;
    return fo_publish_answer_encode(enc, false, "us-east-1", &r, 1, out);
}

static enum fo_err
encode_unsettled(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_publish_result r = accepted("e", 1);

    r.total_latency_us = -1;
    r.delivery_count = 0;
    r.is_success = false;
    r.is_duplicate = true;
    return fo_publish_answer_encode(enc, false, "us-east-1", &r, 1, out);
}

static enum fo_err
encode_refused(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_publish_result r = refused();

    return fo_publish_answer_encode(enc, false, "us-east-1", &r, 1, out);
}

static enum fo_err
encode_many(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_publish_result r[] = { accepted("a", 1), refused() };

    r[0].delivery_count = 0;
    r[0].total_latency_us = 250;
    return fo_publish_answer_encode(enc, true, "us-east-1", r, 2, out);
}

static enum fo_err
encode_brief(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_fault why = *refused().fault;
    struct fo_publish_error error = { 1, &why };
    struct fo_publish_tally t = { .count = 4, .accepted = 3, .duplicates = 1, .successes = 3, .first = { NULL, accepted("a", 1).position },
        .last = { "eu-west-1", accepted("c", 3).position },     /* accepted there before */
        .error = &error, .error_count = 1 };

    return fo_publish_brief_encode(enc, "us-east-1", &t, out);
}

static enum fo_err
encode_brief_none(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_fault why = *refused().fault;
    struct fo_publish_error error = { 0, &why };
    struct fo_publish_tally t = { .count = 1, .error = &error, .error_count = 1 };

    return fo_publish_brief_encode(enc, "us-east-1", &t, out);
}

static void
publish_answers_say_what_became_of_each_event(void **state)
{
    (void)state;
    check_answer(encode_one, "{\"success\":true,\"eventId\":\"e-\\\"1\\\"\",\"position\":\"us-east-1:18f3c2a1b00:high:42\",\"duplicate\":false,\"deliveries\":["
        "{\"region\":\"us-west-2\",\"success\":true,\"state\":\"delivered\",\"latencyMs\":0.84,\"attempts\":1},"
        "{\"region\":\"eu-west-1\",\"success\":false,\"state\":\"pending\",\"attempts\":2}],\"totalLatencyMs\":1.2}");
    check_answer(encode_unsettled, "{\"success\":false,\"eventId\":\"e\",\"position\":\"us-east-1:18f3c2a1b00:high:1\",\"duplicate\":true,\"deliveries\":[]}");
    check_answer(encode_refused, "{\"success\":false,\"error\":{\"code\":\"schema\",\"path\":\"data.status\",\"message\":\"payload does not fit its schema: one of \\\"open\\\", closed\"}}");
    check_answer(encode_many, "{\"success\":false,\"count\":2,\"results\":[{\"success\":true,\"eventId\":\"a\",\"position\":\"us-east-1:18f3c2a1b00:high:1\",\"duplicate\":false,"
        "\"deliveries\":[],\"totalLatencyMs\":0.25},{\"success\":false,\"error\":{\"code\":\"schema\",\"path\":\"data.status\",\"message\":\"payload does not fit its schema: one of \\\"open\\\", closed\"}}]}");
    check_answer(encode_brief, "{\"success\":false,\"count\":4,\"accepted\":3,\"duplicates\":1,\"errors\":[{\"index\":1,\"error\":{\"code\":\"schema\",\"path\":\"data.status\","
        "\"message\":\"payload does not fit its schema: one of \\\"open\\\", closed\"}}],\"positions\":[\"us-east-1:18f3c2a1b00:high:1\",\"eu-west-1:18f3c2a1b00:high:3\"]}");
    check_answer(encode_brief_none, "{\"success\":false,\"count\":1,\"accepted\":0,\"duplicates\":0,\"errors\":[{\"index\":0,\"error\":{\"code\":\"schema\",\"path\":\"data.status\","
        "\"message\":\"payload does not fit its schema: one of \\\"open\\\", closed\"}}],\"positions\":[]}");
}

static enum fo_err
encode_busy(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_fault fault = { .err = FO_ERR_BUSY };

    return fo_error_answer_encode(enc, &fault, 200, out);
}

static enum fo_err
encode_gone(enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_fault fault;

    fo_fault_set(&fault, FO_ERR_CURSOR_GONE, "cursor", "begin at c1.1.0.0");
    return fo_error_answer_encode_cursor(enc, &fault, 0, FO_SLICE_LIT("c1.1.0.0"), out);
}

static void
error_answers_say_when_to_retry_and_where_to_begin(void **state)
{
    (void)state;
    check_answer(encode_busy, "{\"success\":false,\"error\":{\"code\":\"busy\",\"message\":\"too much at once; retry later\",\"retryAfterMs\":200}}");
    check_answer(encode_gone, "{\"success\":false,\"error\":{\"code\":\"cursor_gone\",\"path\":\"cursor\",\"message\":\"position is no longer retained: begin at c1.1.0.0\"},\"cursor\":\"c1.1.0.0\"}");
}

static enum fo_err
encode_status(enum fo_encoding enc, struct fo_buf *out)
{
    json_t *json = json_pack("{s:b,s:[i,f],s:s}", "success", 1, "links", -1, 0.5, "region", "us-east-1");
    enum fo_err err = fo_json_answer_encode(enc, json, out);

    json_decref(json);
    return err;
}

static void
any_json_can_be_an_answer(void **state)
{
    (void)state;
    check_answer(encode_status, "{\"success\":true,\"links\":[-1,0.5],\"region\":\"us-east-1\"}");
}

static void
milliseconds_are_written_without_needless_digits(void **state)
{
    static const struct { int64_t us; const char *text; } cases[] = {
        { 0, "0" }, { 1, "0.001" }, { 1000, "1" }, { 1500, "1.5" }, { 10000, "10" }, { 125000, "125" }, { 3600000001, "3600000.001" },
    };
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_publish_result r = accepted("x", 1);
        char *at;

        r.total_latency_us = cases[i].us;
        out.n = 0;
        assert_int_equal(fo_publish_answer_encode(FO_ENC_JSON, false, "r", &r, 1, &out), FO_OK);
        out.p[out.n - 1] = '\0';            /* the closing brace */
        at = strstr((char *)out.p, "\"totalLatencyMs\":");
        assert_non_null(at);
        assert_string_equal(at + strlen("\"totalLatencyMs\":"), cases[i].text);
    }
    fo_buf_fini(&out);
}

static void
a_position_fits_its_buffer(void **state)
{
    char text[FO_POSITION_SIZE];

    (void)state;
    fo_position_format("abcdefghijklmnopqrstuvwxyz012345", (struct fo_position){ UINT64_MAX, UINT64_MAX, FO_LANE_NORMAL }, text);
    assert_string_equal(text, "abcdefghijklmnopqrstuvwxyz012345:ffffffffffffffff:normal:18446744073709551615");
}

static const char *const two_events[] = {
    "{\"type\":\"custom\",\"id\":\"1\",\"data\":{\"a\":[1,2.5]}}",
    "{\"type\":\"custom\",\"id\":\"2\",\"data\":\"\\u00e9\"}",
};

static void
add_two(struct fo_fetch_answer *a)
{
    for (unsigned i = 0; i < 2; i++) {
        struct fo_event e = rules_event(two_events[i]);
        assert_int_equal(fo_fetch_answer_add(a, "us-east-1", &(struct fo_position){ 16, i + 1, FO_LANE_NORMAL }, rules_record(&e), NULL, 0), FO_OK);
    }
}

static void
fetched_events_in_json_are_cloudevents(void **state)
{
    json_t *json, *events;
    struct fo_fetch_answer a;
    struct fo_fault fault;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_JSON, &out), FO_OK);
    add_two(&a);
    assert_int_equal(fo_fetch_answer_finish(&a, FO_SLICE_LIT("c1.10.2a.0"), (struct fo_wall){ 1767225600000000 }), FO_OK);
    assert_int_equal(fo_json_parse(fo_buf_slice(&out), &json, &fault), FO_OK);
    assert_true(json_is_true(json_object_get(json, "success")));
    assert_string_equal(json_string_value(json_object_get(json, "cursor")), "c1.10.2a.0");
    events = json_object_get(json, "events");
    assert_int_equal(json_array_size(events), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 1), "position")), "us-east-1:10:normal:2");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_array_get(events, 1), "event"), "data")), "\xc3\xa9");
    json_decref(json);
    fo_buf_fini(&out);
}

static void
fetched_events_in_msgpack_are_the_records_themselves(void **state)
{
    struct fo_event e = rules_event(two_events[0]);
    struct fo_slice record, s, cursor;
    struct fo_fetch_answer a;
    struct fo_reader r;
    struct fo_buf out;
    uint32_t n;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_buf_add(&out, "before", 6), FO_OK);      /* appended to what is there */
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_MSGPACK, &out), FO_OK);
    record = rules_record(&e);
    assert_int_equal(fo_fetch_answer_add(&a, "us-east-1", &(struct fo_position){ 16, 7, FO_LANE_LOW }, record, NULL, 0), FO_OK);
    assert_int_equal(fo_fetch_answer_finish(&a, FO_SLICE_LIT("c"), (struct fo_wall){ 1767225600000000 }), FO_OK);
    r = fo_reader_of(fo_slice_of(out.p + 6, out.n - 6));
    assert_true(fo_mp_read_map(&r, &n) == FO_OK && n == 4);
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("success")));
    assert_int_equal(fo_mp_skip(&r, 1), FO_OK);
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("events")));
    assert_true(fo_mp_read_array(&r, &n) == FO_OK && n == 1);
    assert_true(fo_mp_read_map(&r, &n) == FO_OK && n == 2);
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_mp_read_str(&r, &s) == FO_OK);
    assert_true(fo_slice_is_equal(s, FO_SLICE_LIT("us-east-1:10:low:7")));
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_read_slice(&r, record.n, &s) == FO_OK);
    assert_true(fo_slice_is_equal(s, record));
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_mp_read_str(&r, &cursor) == FO_OK);
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("through")));
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("2026-01-01T00:00:00.000000Z")));
    assert_int_equal(fo_reader_left(&r), 0);
    fo_buf_fini(&out);
}

/* Only those that are not for every region say so, in either encoding. */
static void
an_event_says_whom_it_is_for(void **state)
{
    static const struct fo_target targets[] = { { FO_SLICE_LIT("us-east-1"), 0, 0 }, { FO_SLICE_LIT("eu-west-1"), 3, 0 } };
    const struct fo_position pos = { 16, 7, FO_LANE_LOW };
    struct fo_event e = rules_event(two_events[0]);
    struct fo_slice record = rules_record(&e), s;
    struct fo_fetch_answer a;
    struct fo_reader r;
    struct fo_buf out;
    uint32_t n;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_MSGPACK, &out), FO_OK);
    n = (uint32_t)out.n;
    assert_int_equal(fo_fetch_answer_add(&a, "us-east-1", &pos, record, targets, 2), FO_OK);
    r = fo_reader_of(fo_slice_of(out.p + n, out.n - n));
    assert_true(fo_mp_read_map(&r, &n) == FO_OK && n == 3 && fo_mp_skip(&r, 1) == FO_OK && fo_mp_read_str(&r, &s) == FO_OK);
    assert_true(fo_slice_is_equal(s, FO_SLICE_LIT("us-east-1:10:low:7")));
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("targets")) && fo_mp_read_array(&r, &n) == FO_OK && n == 2);
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, targets[0].region) && fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, targets[1].region));
    assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_read_slice(&r, record.n, &s) == FO_OK && fo_slice_is_equal(s, record));
    assert_int_equal(fo_reader_left(&r), 0);
    out.n = 0;
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_JSON, &out), FO_OK);
    assert_int_equal(fo_fetch_answer_add(&a, "us-east-1", &pos, record, targets, 2), FO_OK);
    assert_int_equal(fo_buf_add(&out, "", 1), FO_OK);
    assert_non_null(strstr((const char *)out.p, "\"position\":\"us-east-1:10:low:7\",\"targets\":[\"us-east-1\",\"eu-west-1\"],\"event\":{"));
    fo_buf_fini(&out);
}

/* One position behind the other, each as the person's form of it: batches change in any part of it, and texts pass 31 bytes. */
static void
each_event_has_its_position(void **state)
{
    static const struct { const char *region; struct fo_position pos; } cases[] = {
        { "r", { 1, 9, FO_LANE_LOW } }, { "r", { 1, 10, FO_LANE_LOW } }, { "r", { 1, 0, FO_LANE_HIGH } }, { "r", { 2, 1, FO_LANE_HIGH } },
        { "s", { 2, 1, FO_LANE_HIGH } }, { "sr", { 2, 1, FO_LANE_HIGH } }, { "abcdefghijklmnopqrs", { 2, 1, FO_LANE_NORMAL } },
        { "abcdefghijklmnopqrs", { 2, 10, FO_LANE_NORMAL } }, { "abcdefghijklmnopqrs", { 2, 100, FO_LANE_NORMAL } },
        { "abcdefghijklmnopqrstuvwxyz-01234", { UINT64_MAX, UINT64_MAX, FO_LANE_NORMAL } },
    };
    struct fo_fetch_answer a;
    struct fo_slice s;
    struct fo_reader r;
    struct fo_buf out;
    uint32_t n;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_MSGPACK, &out), FO_OK);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(fo_fetch_answer_add(&a, cases[i].region, &cases[i].pos, FO_SLICE_LIT("\x80"), NULL, 0), FO_OK);
    assert_int_equal(fo_fetch_answer_finish(&a, FO_SLICE_LIT("c"), (struct fo_wall){ 1767225600000000 }), FO_OK);
    r = fo_reader_of(fo_buf_slice(&out));
    assert_true(fo_mp_read_map(&r, &n) == FO_OK && fo_mp_read_str(&r, &s) == FO_OK && fo_mp_skip(&r, 1) == FO_OK && fo_mp_read_str(&r, &s) == FO_OK);
    assert_true(fo_mp_read_array(&r, &n) == FO_OK && n == sizeof cases / sizeof cases[0]);
    for (unsigned i = 0; i < n; i++) {
        char text[FO_POSITION_SIZE];
        uint32_t pairs;

        fo_position_format(cases[i].region, cases[i].pos, text);
        assert_true(fo_mp_read_map(&r, &pairs) == FO_OK && pairs == 2 && fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("position")));
        assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, fo_slice_str(text)));
        assert_true(fo_mp_read_str(&r, &s) == FO_OK && fo_slice_is_equal(s, FO_SLICE_LIT("event")) && fo_mp_skip(&r, 1) == FO_OK);
    }
    fo_buf_fini(&out);
}

static void
an_empty_fetch_has_a_cursor(void **state)
{
    struct fo_fetch_answer a;
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_JSON, &out), FO_OK);
    assert_int_equal(fo_fetch_answer_finish(&a, FO_SLICE_LIT("c"), (struct fo_wall){ 1767225600000000 }), FO_OK);
    assert_true(fo_slice_is_equal(fo_buf_slice(&out), FO_SLICE_LIT("{\"success\":true,\"events\":[],\"cursor\":\"c\",\"through\":\"2026-01-01T00:00:00.000000Z\"}")));
    fo_buf_fini(&out);
}

static void
an_event_that_cannot_be_shown_leaves_no_trace(void **state)
{
    struct fo_fetch_answer a;
    struct fo_buf out;
    size_t before;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_fetch_answer_begin(&a, FO_ENC_JSON, &out), FO_OK);
    before = out.n;
    assert_int_equal(fo_fetch_answer_add(&a, "r", &(struct fo_position){ 1, 1, FO_LANE_LOW }, FO_SLICE_LIT("\x80"), NULL, 0), FO_ERR_MISSING);
    assert_int_equal(out.n, before);
    assert_int_equal(a.count, 0);
    fo_buf_fini(&out);
}

static void
a_filter_takes_what_it_names(void **state)
{
    static const struct { const char *filter; bool is_match; } cases[] = {
        { "{}", true }, { "{\"type\":\"custom\"}", true }, { "{\"type\":\"order_status\"}", false }, { "{\"type\":[\"order_status\",\"custom\"]}", true },
        { "{\"tenant\":\"acme\"}", true }, { "{\"tenant\":\"acm\"}", false }, { "{\"tenant\":\"default\"}", false }, { "{\"key\":\"k-1\"}", true }, { "{\"key\":\"k-12\"}", false },
        { "{\"region\":\"us-east-1\"}", true }, { "{\"region\":\"eu-west-1\"}", false }, { "{\"type\":\"custom\",\"tenant\":\"acme\",\"key\":\"k-1\",\"region\":\"us-east-1\"}", true },
        { "{\"type\":\"custom\",\"tenant\":\"acme\",\"key\":\"k-2\"}", false },
    };
    struct fo_event e = rules_event("{\"type\":\"custom\",\"tenant\":\"acme\",\"partitionkey\":\"k-1\"}"), seen;
    struct fo_slice record = rules_record(&e);
    struct fo_buf scratch;

    (void)state;
    assert_int_equal(fo_event_view(record, &seen), FO_OK);
    fo_buf_init(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_request req;
        struct fo_fault fault;
        char text[256];

        snprintf(text, sizeof text, "{\"op\":\"fetch\",\"filter\":%s}", cases[i].filter);
        assert_int_equal(fo_request_decode(fo_slice_str(text), &scratch, &req, &fault), FO_OK);
        assert_int_equal(fo_filter_match(&req.filter, &seen), cases[i].is_match);
    }
    fo_buf_fini(&scratch);
}

static void
the_answer_without_memory_can_be_read(void **state)
{
    struct fo_slice text = fo_fallback_answer(FO_ENC_JSON), msgpack = fo_fallback_answer(FO_ENC_MSGPACK);
    struct fo_reader r = fo_reader_of(msgpack);
    struct fo_fault fault;
    json_t *a, *b;

    (void)state;
    assert_int_equal(fo_json_parse(text, &a, &fault), FO_OK);
    assert_int_equal(fo_json_from_msgpack(&r, &b), FO_OK);
    assert_int_equal(fo_reader_left(&r), 0);
    assert_true(json_equal(a, b));
    assert_true(json_is_false(json_object_get(a, "success")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(a, "error"), "code")), "timeout");
    json_decref(a);
    json_decref(b);
}

/* Readers of answers to FO_REQUEST_EVENTS_MAX events make room by this. */
static void
no_result_is_larger_than_is_said(void **state)
{
    struct fo_fault fault = { .err = FO_ERR_UNKNOWN_TYPE };
    struct fo_delivery to_all[FO_REGIONS_MAX];
    char id[FO_ID_BYTES_MAX];
    struct fo_publish_result r[2] = {
        { .event_id = fo_slice_of(id, sizeof id), .region = "abcdefghijklmnopqrstuvwxyz012345", .position = { UINT64_MAX, UINT64_MAX, FO_LANE_NORMAL },
            .deliveries = to_all, .delivery_count = FO_REGIONS_MAX, .total_latency_us = 1 },
        { .fault = &fault },
    };
    struct fo_buf out;

    (void)state;
    memset(id, 'x', sizeof id);
    memset(fault.path, 'x', sizeof fault.path - 1);
    memset(fault.text, 'x', sizeof fault.text - 1);
    for (int i = 0; i < FO_REGIONS_MAX; i++)
        to_all[i] = (struct fo_delivery){ r[0].region, FO_DELIVERY_INCOMPATIBLE, 1, UINT32_MAX };
    fo_buf_init(&out);
    for (int i = 0; i < 2; i++) {
        out.n = 0;
        assert_int_equal(fo_publish_answer_encode(FO_ENC_MSGPACK, false, "r", &r[i], 1, &out), FO_OK);
        assert_in_range(out.n, 100, FO_RESULT_BYTES_MAX);
    }
    fo_buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_without_memory_can_be_read),
        cmocka_unit_test(publish_answers_say_what_became_of_each_event),
        cmocka_unit_test(error_answers_say_when_to_retry_and_where_to_begin),
        cmocka_unit_test(any_json_can_be_an_answer),
        cmocka_unit_test(milliseconds_are_written_without_needless_digits),
        cmocka_unit_test(a_position_fits_its_buffer),
        cmocka_unit_test(no_result_is_larger_than_is_said),
        cmocka_unit_test(fetched_events_in_json_are_cloudevents),
        cmocka_unit_test(fetched_events_in_msgpack_are_the_records_themselves),
        cmocka_unit_test(each_event_has_its_position),
        cmocka_unit_test(an_event_says_whom_it_is_for),
        cmocka_unit_test(an_empty_fetch_has_a_cursor),
        cmocka_unit_test(an_event_that_cannot_be_shown_leaves_no_trace),
        cmocka_unit_test(a_filter_takes_what_it_names),
    };

    return cmocka_run_group_tests(tests, rules_setup, rules_teardown);
}
