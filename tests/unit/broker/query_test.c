/* SPDX-License-Identifier: Apache-2.0
 *
 * What report, explain and the first answer say when the journal cannot be read to the end: that, and never that a delivery is pending. */
#include "broker/ack_cursor.h"
#include "broker/audit.h"
#include "site.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

static const struct fo_query_view view = { &source.ctx, { 900 * (int64_t)T } };

static struct fo_known_event
known(const char *id, uint64_t seq)
{
    return (struct fo_known_event){ .tenant = fo_slice_str("default"), .id = fo_slice_str(id), .position = { EPOCH, seq, FO_LANE_HIGH }, .targets = 3 };
}

/* New reference: the answer to a publish of the event, of whom nobody is waited for. */
static json_t *
first_answer(const struct fo_known_event *e)
{
    struct fo_buf out;
    json_t *json;

    fo_buf_init(&out);
    assert_int_equal(fo_first_answer_make(&view, e, FO_ENC_JSON, 0, &out), FO_OK);
    json = json_loadb((const char *)out.p, out.n, 0, NULL);
    fo_buf_fini(&out);
    assert_non_null(json);
    return json;
}

static const char *
state_in(const json_t *answer)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(answer, "deliveries"), 0), "state"));
}

static json_int_t
reported(const char *what)
{
    json_t *json;
    json_int_t n;

    assert_int_equal(fo_report_make(&view, (struct fo_wall){ 0 }, (struct fo_wall){ 0 }, &json), FO_OK);
    n = json_integer_value(json_object_get(json_array_get(json_object_get(json, "rows"), 0), what));
    json_decref(json);
    return n;
}

static void
what_is_settled_is_told(void **state)
{
    struct fo_known_event e = known("e3", 3);
    json_t *json;

    (void)state;
    own(1, 3, 0);
    acked(1, 3, 3);
    assert_int_equal(reported("delivered"), 2);
    assert_int_equal(reported("expired"), 1);
    assert_int_equal(fo_explain_make(&view, e.tenant, e.id, &json), FO_OK);
    assert_string_equal(state_in(json), "expired");
    json_decref(json);
    json = first_answer(&e);
    assert_string_equal(state_in(json), "expired");
    json_decref(json);
}

static void
an_ack_that_cannot_be_read_is_not_pending(void **state)
{
    static struct fo_audit_statement s;
    const struct fo_audit_query q = { .to = { 1000 * (int64_t)T }, .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END }, .max = 100 };
    struct fo_audit_query list = q;
    json_t *json;

    (void)state;
    own(1, 3, 0);
    acked(1, 3, 0);
    source.fake.ack_error = FO_ERR_IO;
    assert_int_equal(fo_report_make(&view, (struct fo_wall){ 0 }, (struct fo_wall){ 0 }, &json), FO_ERR_IO);
    assert_int_equal(fo_explain_make(&view, fo_slice_str("default"), fo_slice_str("e1"), &json), FO_ERR_IO);
    assert_int_equal(fo_audit_state(&view, &q, &s), FO_ERR_IO);
    list.is_list = true;
    list.max = 1;                       /* the page is full before the walk goes on */
    assert_int_equal(fo_audit_make(&view, &list, &json), FO_ERR_IO);
}

static void
a_reader_that_cannot_be_opened_is_an_error(void **state)
{
    json_t *json;

    (void)state;
    own(1, 3, 0);
    source.fake.open_error = FO_ERR_FULL;
    assert_int_equal(fo_report_make(&view, (struct fo_wall){ 0 }, (struct fo_wall){ 0 }, &json), FO_ERR_FULL);
    assert_int_equal(fo_explain_make(&view, fo_slice_str("default"), fo_slice_str("e1"), &json), FO_ERR_FULL);
}

static void
a_stopping_broker_ends_questions(void **state)
{
    atomic_bool is_stopping = true;
    const struct fo_query_view stopping = { &source.ctx, { 900 * (int64_t)T }, &is_stopping };
    json_t *json;

    (void)state;
    own(1, 3, 0);
    assert_int_equal(fo_report_make(&stopping, (struct fo_wall){ 0 }, (struct fo_wall){ 0 }, &json), FO_ERR_CLOSED);
    assert_int_equal(fo_explain_make(&stopping, fo_slice_str("default"), fo_slice_str("e1"), &json), FO_ERR_CLOSED);
}

/* Trimmed while a cursor stood before it: the acks of what is retained are retained. */
static void
a_trimmed_beginning_hides_no_ack(void **state)
{
    struct fo_ack_cursor *c = calloc(1, sizeof *c);

    (void)state;
    own(1, 3, 0);
    acked(1, 3, 0);
    own(4, 3, 3);
    acked(4, 6, 0);
    assert_int_equal(fo_ack_cursor_open(c, &view, 1, FO_LANE_HIGH, 0), FO_OK);
    source.fake.trimmed = 3;
    assert_int_equal(fo_ack_cursor_find(c, 4), FO_OK);
    fo_ack_cursor_close(c);
    free(c);
    assert_int_equal(reported("delivered"), 3);
}

/* It was accepted, and that is what its publisher asks: no error, whatever became of the journal. */
static void
a_known_event_is_answered_though_it_is_trimmed(void **state)
{
    struct fo_known_event e = known("e2", 2);
    json_t *json;

    (void)state;
    own(1, 3, 0);
    acked(1, 3, 0);
    own(4, 3, 3);
    source.fake.trimmed = 2;
    json = first_answer(&e);
    assert_string_equal(json_string_value(json_object_get(json, "position")), "here:7:high:2");
    assert_true(json_is_true(json_object_get(json, "duplicate")) && json_is_true(json_object_get(json, "success")));
    assert_null(json_object_get(json, "error"));
    assert_string_equal(state_in(json), "pending");
    json_decref(json);
    source.fake.open_error = FO_ERR_IO;
    json = first_answer(&e);
    assert_true(json_is_true(json_object_get(json, "success")));
    json_decref(json);
}

/* A clock that was set back makes a checkpoint behind the event look older than it. */
static void
an_event_is_found_before_where_the_clock_says(void **state)
{
    struct fo_known_event e = known("e2", 2);
    json_t *json;

    (void)state;
    own(1, 3, 0);
    acked(1, 3, 0);
    e.from_lsn = 3 * LSN_STEP;
    json = first_answer(&e);
    assert_string_equal(state_in(json), "delivered");
    json_decref(json);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(what_is_settled_is_told), TEST(an_ack_that_cannot_be_read_is_not_pending), TEST(a_reader_that_cannot_be_opened_is_an_error),
        TEST(a_stopping_broker_ends_questions), TEST(a_trimmed_beginning_hides_no_ack), TEST(a_known_event_is_answered_though_it_is_trimmed),
        TEST(an_event_is_found_before_where_the_clock_says) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
