/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is shown what: the index finds just those whose filter matches, each event once, lane by lane in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/audience.h"

#include <stdlib.h>

static struct fo_batch batch;               /* large */
static uint8_t bytes[65536];

static void
add_event(struct fo_writer *w, const char *type, const char *tenant, const char *key)
{
    struct fo_event e = { .id = FO_SLICE_LIT("i"), .type = fo_slice_str(type), .tenant = fo_slice_str(tenant), .partitionkey = fo_slice_str(key),
        .sourceregion = FO_SLICE_LIT("us-east-1"), .acceptedtime = { 1 }, .schemaversion = 1, .mincompatible = 1 };
    size_t at = w->n;

    fo_event_encode(&e, w);
    assert_false(w->overflow);
    batch.record[batch.count++] = fo_slice_of(w->p + at, w->n - at);
}

/* Five events of the normal lane. */
static void
make_batch(void)
{
    struct fo_writer w = fo_writer_of(bytes, sizeof bytes);

    memset(&batch, 0, sizeof batch);
    batch.is_own = true;
    batch.targets = 1;
    batch.header.lane = FO_LANE_NORMAL;
    batch.at.us = 1000;
    add_event(&w, "order", "a", "k");
    add_event(&w, "order", "b", "");
    add_event(&w, "store", "a", "k");
    add_event(&w, "store", "c", "l");
    add_event(&w, "order", "a", "l");
}

static struct fo_request
wish(struct fo_filter filter)
{
    return (struct fo_request){ .op = FO_OP_FETCH, .encoding = FO_ENC_JSON, .events_max = 2, .bytes_max = 4096, .filter = filter };
}

static void
park(struct fo_audience *a, uint64_t request, struct fo_filter filter, int64_t since_us)
{
    struct fo_request req = wish(filter);

    assert_int_equal(fo_audience_park(a, request, &req, (struct fo_wall){ since_us }, (struct fo_instant){ (int64_t)request }), FO_OK);
}

static const struct fo_group *
heard_by(const struct fo_audience *a, uint64_t request)
{
    for (const struct fo_group *g = a->heard; g != NULL; g = g->heard_next)
        for (const struct fo_parked *p = g->parked; p != NULL; p = p->next)
            if (p->request == request)
                return g;
    return NULL;
}

static void
check_hits(const struct fo_audience *a, uint64_t request, const char *expected)
{
    const struct fo_group *g = heard_by(a, request);
    uint32_t at;

    assert_int_equal(g != NULL, *expected != '\0');
    if (g == NULL)
        return;
    at = g->hits[FO_LANE_NORMAL].first;
    for (; *expected != '\0'; expected++, at = fo_audience_hit(a, at)->next) {
        assert_true(at != FO_HIT_NONE && fo_audience_hit(a, at)->batch == &batch);
        assert_int_equal(fo_audience_hit(a, at)->index, *expected - '0');
    }
    assert_true(at == FO_HIT_NONE && g->hits[FO_LANE_HIGH].first == FO_HIT_NONE);
}

static void
shows_to_those_who_want(void **state)
{
    const struct fo_slice order = FO_SLICE_LIT("order"), store = FO_SLICE_LIT("store");
    struct fo_audience a;

    (void)state;
    make_batch();
    fo_audience_init(&a);
    park(&a, 1, (struct fo_filter){ .key = FO_SLICE_LIT("k") }, 0);
    park(&a, 2, (struct fo_filter){ .tenant = FO_SLICE_LIT("a"), .key = FO_SLICE_LIT("l") }, 0);
    park(&a, 3, (struct fo_filter){ .tenant = FO_SLICE_LIT("a"), .type = { order }, .type_count = 1 }, 0);
    park(&a, 4, (struct fo_filter){ .type = { store, store }, .type_count = 2 }, 0);
    park(&a, 5, (struct fo_filter){ .region = FO_SLICE_LIT("us-east-1"), .tenant = FO_SLICE_LIT("b") }, 0);
    park(&a, 6, (struct fo_filter){ .region = FO_SLICE_LIT("eu-west-1") }, 0);
    park(&a, 7, (struct fo_filter){ .tenant = FO_SLICE_LIT("nobody") }, 0);
    park(&a, 8, (struct fo_filter){ 0 }, 0);
    park(&a, 9, (struct fo_filter){ .tenant = FO_SLICE_LIT("b") }, 2000);     /* from a time to come */
    park(&a, 10, (struct fo_filter){ .region = FO_SLICE_LIT("us-east-1") }, 0);
    fo_audience_hear(&a, &batch);
    check_hits(&a, 1, "02");
    check_hits(&a, 2, "4");
    check_hits(&a, 3, "04");
    check_hits(&a, 4, "23");
    check_hits(&a, 5, "1");
    check_hits(&a, 10, "012");                  /* two fit, and one to say where to go on */
    for (uint64_t request = 6; request < 10; request++)
        check_hits(&a, request, "");
    assert_int_equal(a.parked_count, 10);
    fo_audience_fini(&a);
}

static void
shows_nothing_that_is_not_for_subscribers(void **state)
{
    struct fo_audience a;

    (void)state;
    make_batch();
    fo_audience_init(&a);
    park(&a, 1, (struct fo_filter){ .tenant = FO_SLICE_LIT("a") }, 0);
    batch.is_own = false;
    batch.verdict[2] = FO_VERDICT_EXPIRED;
    fo_audience_hear(&a, &batch);
    check_hits(&a, 1, "04");
    fo_audience_fini(&a);
    fo_audience_init(&a);
    park(&a, 1, (struct fo_filter){ .tenant = FO_SLICE_LIT("a") }, 0);
    batch.targets = 2;
    fo_audience_hear(&a, &batch);
    check_hits(&a, 1, "");
    fo_audience_fini(&a);
}

static void
the_same_wish_is_one_group(void **state)
{
    struct fo_audience a;
    struct fo_parked *taken;

    (void)state;
    fo_audience_init(&a);
    park(&a, 3, (struct fo_filter){ .tenant = FO_SLICE_LIT("a") }, 0);
    park(&a, 1, (struct fo_filter){ .tenant = FO_SLICE_LIT("a") }, 0);
    park(&a, 2, (struct fo_filter){ .key = FO_SLICE_LIT("a") }, 0);
    assert_true(a.groups[0] != NULL && a.groups[0]->next != NULL && a.groups[0]->next->next == NULL && a.groups[1] == NULL);
    assert_int_equal(a.deadline.ns, 1);
    taken = fo_audience_take(&a, a.groups[0]->next, (struct fo_instant){ 1 }, false);   /* one of the two is over time */
    assert_true(taken != NULL && taken->request == 1 && taken->next == NULL);
    free(taken);
    taken = fo_audience_take(&a, a.groups[0]->next, (struct fo_instant){ 1 }, true);
    assert_true(taken != NULL && taken->request == 3 && taken->next == NULL);
    free(taken);
    assert_true(a.groups[0]->next == NULL && a.parked_count == 1);
    fo_audience_fini(&a);
    assert_true(a.groups[0] == NULL && a.parked_count == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(shows_to_those_who_want), cmocka_unit_test(shows_nothing_that_is_not_for_subscribers),
        cmocka_unit_test(the_same_wish_is_one_group) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
