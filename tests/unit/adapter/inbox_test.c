/* SPDX-License-Identifier: Apache-2.0
 *
 * The inbox: order, bounds, waiting, and many posters at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ports/inbox.h"

static struct fo_input
input(enum fo_input_kind kind, uint64_t lsn)
{
    return (struct fo_input){ .kind = kind, .lsn = lsn };
}

static void
post(struct fo_inbox *box, enum fo_input_kind kind, uint64_t lsn, bool is_urgent)
{
    struct fo_input in = input(kind, lsn);

    assert_int_equal(fo_inbox_post(box, &in, is_urgent), FO_OK);
}

static void
urgent_comes_first_and_each_in_order(void **state)
{
    struct fo_inbox *box;
    struct fo_input got[8];
    const uint64_t expected[] = { 3, 4, 1, 2 };

    (void)state;
    assert_int_equal(fo_inbox_create(64, &box), FO_OK);
    post(box, FO_INPUT_FRAME, 1, false);
    post(box, FO_INPUT_REQUEST, 2, false);
    post(box, FO_INPUT_FRAME, 3, true);
    post(box, FO_INPUT_STORED, 4, true);
    assert_int_equal(fo_inbox_take(box, got, 8, 0), 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(got[i].lsn, expected[i]);
    assert_int_equal(fo_inbox_take(box, got, 8, 0), 0);
    fo_inbox_destroy(box);
}

static void
bulk_gets_an_eighth_of_an_urgent_flood(void **state)
{
    struct fo_inbox *box;
    struct fo_input got[16];

    (void)state;
    assert_int_equal(fo_inbox_create(128, &box), FO_OK);
    for (unsigned i = 0; i < 32; i++)
        post(box, FO_INPUT_FRAME, i, true);
    for (unsigned i = 100; i < 110; i++)
        post(box, FO_INPUT_FRAME, i, false);
    assert_int_equal(fo_inbox_take(box, got, 16, 0), 16);
    assert_int_equal(got[0].lsn, 0);
    assert_int_equal(got[13].lsn, 13);
    assert_int_equal(got[14].lsn, 100);
    assert_int_equal(got[15].lsn, 101);
    fo_inbox_destroy(box);
}

static void
messages_use_half_and_the_rest_is_kept(void **state)
{
    struct fo_inbox *box;
    struct fo_input in = input(FO_INPUT_FRAME, 1), got[16];

    (void)state;
    assert_int_equal(fo_inbox_create(8, &box), FO_OK);
    for (unsigned i = 0; i < 4; i++)
        post(box, i % 2 ? FO_INPUT_FRAME : FO_INPUT_REQUEST, i, i < 2);
    assert_int_equal(fo_inbox_post(box, &in, true), FO_ERR_FULL);
    in.kind = FO_INPUT_REQUEST;
    assert_int_equal(fo_inbox_post(box, &in, false), FO_ERR_FULL);
    for (unsigned i = 0; i < 4; i++)
        post(box, FO_INPUT_LEDGER, i, false);
    assert_int_equal(fo_inbox_take(box, got, 16, 0), 8);
    post(box, FO_INPUT_FRAME, 9, false);
    fo_inbox_destroy(box);
}

static void
messages_are_bounded_in_bytes(void **state)
{
    struct fo_inbox *box;
    struct fo_input in = input(FO_INPUT_FRAME, 1), got[4];

    (void)state;
    in.msg.body.n = (size_t)200 << 20;      /* never looked at; one is taken however large it is */
    assert_int_equal(fo_inbox_create(64, &box), FO_OK);
    assert_int_equal(fo_inbox_post(box, &in, false), FO_OK);
    in.msg.body.n = 1;
    assert_int_equal(fo_inbox_post(box, &in, true), FO_ERR_FULL);
    post(box, FO_INPUT_LEDGER, 2, false);
    assert_int_equal(fo_inbox_take(box, got, 4, 0), 2);
    assert_int_equal(fo_inbox_post(box, &in, true), FO_OK);
    assert_int_equal(fo_inbox_take(box, got, 4, 0), 1);
    fo_inbox_destroy(box);
}

static void
an_empty_inbox_gives_nothing_when_the_time_is_over(void **state)
{
    struct fo_inbox *box;
    struct fo_input got[1];

    (void)state;
    assert_int_equal(fo_inbox_create(2, &box), FO_OK);
    assert_int_equal(fo_inbox_take(box, got, 1, 0), 0);
    assert_int_equal(fo_inbox_take(box, got, 1, 20000), 0);
    fo_inbox_destroy(box);
}

enum { POSTERS = 4, EACH = 20000 };
struct poster { struct fo_inbox *box; uint64_t base; };

static void *
post_many(void *arg)
{
    struct poster *p = arg;

    for (uint64_t i = 0; i < EACH; ) {
        /* Every kind: frames hear FULL and try again, the others wait inside. */
        struct fo_input in = input(i % 3 ? FO_INPUT_STORED : FO_INPUT_FRAME, p->base + i);

        if (fo_inbox_post(p->box, &in, p->base % 2 == 0) == FO_OK)
            i++;
        else
            usleep(50);
    }
    return NULL;
}

static void
nothing_is_lost_between_many_posters_and_the_loop(void **state)
{
    struct fo_inbox *box;
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    uint64_t next[POSTERS] = { 0 };
    struct fo_input got[64];

    (void)state;
    assert_int_equal(fo_inbox_create(32, &box), FO_OK);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ box, i * 1000001 };
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    for (unsigned total = 0; total < POSTERS * EACH; ) {
        unsigned n = fo_inbox_take(box, got, 64, -1);

        for (unsigned i = 0; i < n; i++) {
            unsigned who = (unsigned)(got[i].lsn / 1000001);

            assert_int_equal(got[i].lsn % 1000001, next[who]);
            next[who]++;
        }
        total += n;
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    fo_inbox_destroy(box);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urgent_comes_first_and_each_in_order),
        cmocka_unit_test(bulk_gets_an_eighth_of_an_urgent_flood),
        cmocka_unit_test(messages_use_half_and_the_rest_is_kept),
        cmocka_unit_test(messages_are_bounded_in_bytes),
        cmocka_unit_test(an_empty_inbox_gives_nothing_when_the_time_is_over),
        cmocka_unit_test(nothing_is_lost_between_many_posters_and_the_loop),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
