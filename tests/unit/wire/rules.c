/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct fo_region_names region_names = { { "us-east-1", "us-west-2", "eu-west-1" }, 3 };
static struct fo_schema_set *schemas;
static struct fo_event_rules event_rules;
static struct fo_buf record, scratch;

int
rules_setup(void **state)
{
    struct fo_fault fault;

    (void)state;
    if (fo_schema_set_create(&schemas) != FO_OK || fo_schema_set_add_builtin(schemas, &fault) != FO_OK)
        return -1;
    event_rules = (struct fo_event_rules){ &region_names, schemas, 262144 };
    fo_buf_init(&record);
    fo_buf_init(&scratch);
    return 0;
}

int
rules_teardown(void **state)
{
    (void)state;
    fo_schema_set_destroy(schemas);
    fo_buf_fini(&record);
    fo_buf_fini(&scratch);
    return 0;
}

const struct fo_event_rules *
rules(void)
{
    return &event_rules;
}

struct fo_slice
rules_record(struct fo_event *e)
{
    struct fo_writer w;
    size_t max;

    e->acceptedtime.us = RULES_ACCEPTED_US;
    if (e->id.n == 0)
        e->id = FO_SLICE_LIT(RULES_MADE_ID);
    max = fo_event_encoded_max(e);
    record.n = 0;
    assert_int_equal(fo_buf_reserve(&record, max), FO_OK);
    w = fo_writer_of(record.p, max);
    fo_event_encode(e, &w);
    assert_false(w.overflow);
    assert_int_equal(w.n, max);             /* acceptedtime is a full-size number here, so the bound is exact */
    return fo_slice_of(w.p, w.n);
}

struct fo_event
rules_event(const char *json)
{
    struct fo_request request;
    struct fo_slice bytes;
    struct fo_event e;
    struct fo_fault fault;

    assert_int_equal(fo_request_decode(fo_slice_str(json), &scratch, &request, &fault), FO_OK);
    assert_true(fo_request_next_event(&request, &bytes));
    if (fo_event_decode_publish(bytes, &event_rules, &e, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    return e;
}
