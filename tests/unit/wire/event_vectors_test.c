/* SPDX-License-Identifier: Apache-2.0
 *
 * The golden vectors of publish requests, event records and other requests, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rules.h"
#include "vectors.h"
#include "wire/json.h"

/* A vector's bytes; freed by the caller. */
static struct fo_slice
body_of(const json_t *vector)
{
    const json_t *text = json_object_get(vector, "json");
    struct fo_slice body = { NULL, 0 };

    if (text == NULL) {
        body.p = vector_bytes(json_object_get(vector, "hex"), &body.n);
        return body;
    }
    body.n = json_string_length(text);
    body.p = (uint8_t *)strndup(json_string_value(text), body.n);
    assert_non_null(body.p);
    return body;
}

static json_int_t
number_of(const json_t *expect, const char *key)
{
    return json_integer_value(json_object_get(expect, key));
}

static void
check_targets(const json_t *names, fo_region_set targets)
{
    fo_region_set expected = 0;
    const json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
        for (unsigned k = 0; k < rules()->regions->count; k++)
            if (strcmp(json_string_value(name), rules()->regions->name[k]) == 0)
                expected |= (fo_region_set)1 << k;
    assert_int_equal(targets, expected);
}

/* What was written can be read, and comes out the same when written again. */
static void
check_rewrite(struct fo_slice record)
{
    uint8_t *kept = malloc(record.n + 1);
    struct fo_slice again;
    struct fo_event e;

    assert_non_null(kept);
    memcpy(kept, record.p, record.n);
    assert_int_equal(fo_event_decode(fo_slice_of(kept, record.n), &e), FO_OK);
    again = rules_record(&e);
    assert_int_equal(again.n, record.n);
    assert_memory_equal(again.p, kept, again.n);
    free(kept);
}

static void
check_cloudevent(const json_t *expected, struct fo_slice record)
{
    json_t *json;

    if (expected == NULL)
        return;
    assert_int_equal(fo_event_to_json(record, &json), FO_OK);
    if (!json_equal(json, expected))
        fail_msg("%s", json_dumps(json, JSON_COMPACT));
    json_decref(json);
}

static void
check_request_fields(const struct fo_request *req, const json_t *expect)
{
    const json_t *wait = json_object_get(expect, "wait");

    assert_int_equal(req->op, FO_OP_PUBLISH);
    assert_int_equal(req->timeout_ms, number_of(expect, "timeoutMs"));
    assert_int_equal(req->is_many, json_is_true(json_object_get(expect, "many")));
    assert_int_equal(req->is_brief, json_is_true(json_object_get(expect, "brief")));
    if (json_is_string(wait))
        assert_int_equal(req->wait, strcmp(json_string_value(wait), "all") == 0 ? FO_WAIT_ALL : FO_WAIT_ACCEPTED);
    else
        assert_int_equal(req->wait, json_integer_value(wait));
}

static void
valid_publish(json_t *vector)
{
    const json_t *expect = json_object_get(vector, "expect"), *event;
    struct fo_slice body = body_of(vector), bytes, record;
    struct fo_request req;
    struct fo_fault fault;
    struct fo_buf scratch;
    struct fo_event e;
    size_t i;

    fo_buf_init(&scratch);
    if (fo_request_decode(body, &scratch, &req, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    check_request_fields(&req, expect);
    assert_int_equal(req.events_count, json_array_size(json_object_get(expect, "events")));
    json_array_foreach(json_object_get(expect, "events"), i, event) {
        assert_true(fo_request_next_event(&req, &bytes));
        if (fo_event_decode_publish(bytes, rules(), &e, &fault) != FO_OK)
            fail_msg("%s: %s", fault.path, fault.text);
        check_targets(json_object_get(event, "targets"), e.targets);
        record = rules_record(&e);
        assert_true(vector_hex_is(json_object_get(event, "record"), record));
        check_cloudevent(json_object_get(event, "cloudevent"), record);
        check_rewrite(record);
    }
    assert_false(fo_request_next_event(&req, &bytes));
    fo_buf_fini(&scratch);
    free((void *)body.p);
}

static void
check_fault(const json_t *expect, enum fo_err err, const struct fo_fault *fault)
{
    assert_string_equal(fo_err_name(err), json_string_value(json_object_get(expect, "error")));
    assert_int_equal(fault->err, err);
    assert_string_equal(fault->path, json_string_value(json_object_get(expect, "path")));
    assert_true(fault->text[0] != '\0');
}

/* The first refusal: of the request, else of one of its events. */
static void
invalid_publish(json_t *vector)
{
    const json_t *expect = json_object_get(vector, "expect");
    struct fo_slice body = body_of(vector), bytes;
    struct fo_request req;
    struct fo_fault fault;
    struct fo_buf scratch;
    struct fo_event e;
    json_int_t index = -1;
    enum fo_err err;

    fo_buf_init(&scratch);
    err = fo_request_decode(body, &scratch, &req, &fault);
    while (err == FO_OK && fo_request_next_event(&req, &bytes)) {
        index++;
        err = fo_event_decode_publish(bytes, rules(), &e, &fault);
    }
    check_fault(expect, err, &fault);
    if (json_object_get(expect, "index") != NULL)
        assert_int_equal(index, number_of(expect, "index"));
    fo_buf_fini(&scratch);
    free((void *)body.p);
}

static void
check_text(const json_t *expect, const char *key, struct fo_slice s)
{
    const json_t *text = json_object_get(expect, key);

    assert_true(fo_slice_is_equal(s, fo_slice_of(json_string_value(text), json_string_length(text))));
}

static void
check_fetch(const json_t *expect, const struct fo_request *req)
{
    static const char *const names[] = { "now", "earliest", "cursor", "time" };
    const json_t *filter = json_object_get(expect, "filter"), *types = json_object_get(filter, "type"), *type;
    size_t i;

    assert_int_equal(req->events_max, number_of(expect, "max"));
    assert_int_equal(req->bytes_max, number_of(expect, "maxBytes"));
    assert_int_equal(req->timeout_ms, number_of(expect, "waitMs"));
    assert_string_equal(names[req->from], json_string_value(json_object_get(expect, "from")));
    check_text(expect, "cursor", req->cursor);
    check_text(filter, "tenant", req->filter.tenant);
    check_text(filter, "key", req->filter.key);
    check_text(filter, "region", req->filter.region);
    assert_int_equal(req->filter.type_count, json_array_size(types));
    json_array_foreach(types, i, type)
        assert_true(fo_slice_is_equal(req->filter.type[i], fo_slice_str(json_string_value(type))));
}

static void
check_mark(const json_t *expect, struct fo_mark mark, struct fo_mark otherwise)
{
    bool is_given = expect != NULL;

    assert_true(mark.epoch == (is_given ? (uint64_t)json_integer_value(json_array_get(expect, 0)) : otherwise.epoch));
    assert_true(mark.seq == (is_given ? (uint64_t)json_integer_value(json_array_get(expect, 1)) : otherwise.seq));
}

static void
check_audit(const json_t *expect, const struct fo_audit_query *q)
{
    assert_int_equal(q->from.us, number_of(expect, "from"));
    assert_int_equal(q->to.us, number_of(expect, "to"));
    assert_string_equal(q->source, json_string_value(json_object_get(expect, "source")));
    assert_string_equal(q->target, json_string_value(json_object_get(expect, "target")));
    for (unsigned i = 0; i < FO_LANES; i++) {
        const char *lane = fo_lane_name((enum fo_lane)i);

        check_mark(json_object_get(json_object_get(expect, "after"), lane), q->after[i], (struct fo_mark){ 0, 0 });
        check_mark(json_object_get(json_object_get(expect, "upTo"), lane), q->up_to[i], FO_AUDIT_END);
    }
    check_mark(json_object_get(expect, "ledger"), q->ledger, (struct fo_mark){ 0, 0 });
    assert_int_equal(q->is_list, json_is_true(json_object_get(expect, "list")));
    assert_string_equal(fo_lane_name(q->lane), json_string_value(json_object_get(expect, "lane")));
    assert_int_equal(q->max, number_of(expect, "max"));
    assert_int_equal(q->from_lsn, number_of(expect, "fromLsn"));
}

static void
valid_request(json_t *vector)
{
    static const char *const names[] = { "publish", "fetch", "status", "report", "explain", "ping", "audit" };
    const json_t *expect = json_object_get(vector, "expect");
    struct fo_slice body = body_of(vector);
    struct fo_request req;
    struct fo_fault fault;
    struct fo_buf scratch;

    fo_buf_init(&scratch);
    if (fo_request_decode(body, &scratch, &req, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    assert_string_equal(names[req.op], json_string_value(json_object_get(expect, "op")));
    assert_int_equal(req.since.us, number_of(expect, "since"));
    assert_int_equal(req.until.us, number_of(expect, "until"));
    if (req.op == FO_OP_FETCH)
        check_fetch(expect, &req);
    if (req.op == FO_OP_AUDIT)
        check_audit(expect, &req.audit);
    check_text(expect, "id", req.id);
    check_text(expect, "tenant", req.tenant);
    fo_buf_fini(&scratch);
    free((void *)body.p);
}

static void
valid_record(json_t *vector)
{
    struct fo_slice body = body_of(vector), record;
    const json_t *canonical = json_object_get(json_object_get(vector, "expect"), "canonical");
    struct fo_event e, seen;

    assert_int_equal(fo_event_decode(body, &e), FO_OK);
    assert_int_equal(fo_event_view(body, &seen), FO_OK);
    assert_true(fo_slice_is_equal(seen.type, e.type) && fo_slice_is_equal(seen.data, e.data));
    record = rules_record(&e);
    assert_true(vector_hex_is(canonical, record));
    check_rewrite(record);
    free((void *)body.p);
}

static void
invalid_record(json_t *vector)
{
    const json_t *expect = json_object_get(vector, "expect");
    struct fo_slice body = body_of(vector);
    struct fo_event e;

    assert_string_equal(fo_err_name(fo_event_decode(body, &e)), json_string_value(json_object_get(expect, "error")));
    free((void *)body.p);
}

static void
publish_requests_become_the_expected_records(void **state)
{
    (void)state;
    vector_each("valid", "publish-", 50, valid_publish);
}

static void
bad_publish_requests_are_refused_with_code_and_path(void **state)
{
    (void)state;
    vector_each("invalid", "publish-", 120, invalid_publish);
}

static void
other_requests_are_read(void **state)
{
    (void)state;
    vector_each("valid", "request-", 17, valid_request);
}

static void
bad_requests_are_refused_with_code_and_path(void **state)
{
    (void)state;
    vector_each("invalid", "request-", 20, invalid_publish);
}

static void
records_are_read_and_rewritten(void **state)
{
    (void)state;
    vector_each("valid", "record-", 6, valid_record);
}

static void
bad_records_are_refused(void **state)
{
    (void)state;
    vector_each("invalid", "record-", 20, invalid_record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publish_requests_become_the_expected_records),
        cmocka_unit_test(bad_publish_requests_are_refused_with_code_and_path),
        cmocka_unit_test(other_requests_are_read),
        cmocka_unit_test(bad_requests_are_refused_with_code_and_path),
        cmocka_unit_test(records_are_read_and_rewritten),
        cmocka_unit_test(bad_records_are_refused),
    };

    return cmocka_run_group_tests(tests, rules_setup, rules_teardown);
}
