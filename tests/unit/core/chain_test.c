/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/chain.h"
#include "core/epochs.h"

static struct fo_chain
chain_at(uint64_t epoch, uint64_t seq)
{
    return (struct fo_chain){{epoch, seq}, {epoch, seq}};
}

/* A batch whose previous one is of the same epoch. */
static enum fo_err
judge(const struct fo_chain *c, uint64_t epoch, uint64_t prev_seq, uint64_t first_seq, uint64_t last_seq)
{
    struct fo_chain_batch b = {epoch, {prev_seq > 0 ? epoch : 0, prev_seq}, first_seq, last_seq};

    return fo_chain_judge(c, &b);
}

static enum fo_err
judge_behind(const struct fo_chain *c, uint64_t epoch, uint64_t prev_epoch, uint64_t prev_seq, uint64_t last_seq)
{
    struct fo_chain_batch b = {epoch, {prev_epoch, prev_seq}, prev_seq + 1, last_seq};

    return fo_chain_judge(c, &b);
}

static void
empty_takes_only_the_beginning(void **state)
{
    struct fo_chain c = {{0, 0}, {0, 0}};

    (void)state;
    assert_int_equal(judge(&c, 7, 0, 1, 1), FO_OK);
    assert_int_equal(judge(&c, 7, 0, 1, 256), FO_OK);
    assert_int_equal(judge(&c, 7, 1, 2, 2), FO_ERR_GAP);
}

static void
continues_only_at_its_end(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    assert_int_equal(judge(&c, 7, 10, 11, 11), FO_OK);
    assert_int_equal(judge(&c, 7, 10, 11, 99), FO_OK);
    assert_int_equal(judge(&c, 7, 11, 12, 12), FO_ERR_GAP);
    assert_int_equal(judge(&c, 7, 9, 10, 10), FO_ERR_STALE);
    assert_int_equal(judge(&c, 7, 0, 1, 1), FO_ERR_STALE);
}

/* No honest sender cuts its batches anew, or says that nothing is in one. */
static void
overlap_and_nonsense_break_the_protocol(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    assert_int_equal(judge(&c, 7, 9, 10, 11), FO_ERR_PROTO);
    assert_int_equal(judge(&c, 7, 0, 1, 11), FO_ERR_PROTO);
    assert_int_equal(judge(&c, 7, 10, 11, 10), FO_ERR_PROTO);
    assert_int_equal(judge(&c, 8, 12, 13, 5), FO_ERR_PROTO);
}

/* A sender whose configuration did not name us for a while has forgotten what it sent us, and nothing is missing. */
static void
goes_on_where_the_sender_forgot_us(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    assert_int_equal(judge(&c, 7, 0, 11, 12), FO_OK);
    assert_int_equal(judge(&c, 7, 0, 10, 12), FO_ERR_PROTO);
    assert_int_equal(judge(&c, 7, 9, 50, 60), FO_OK);
    assert_int_equal(judge(&c, 7, 11, 50, 60), FO_ERR_GAP);
}

/* What we acked and then lost comes no more: the chain goes on behind it, but not while something is on its way to the disk. */
static void
skips_what_was_lost_here(void **state)
{
    struct fo_chain c = chain_at(7, 10), empty = {{0, 0}, {0, 0}};

    (void)state;
    assert_false(fo_chain_skip(&c, (struct fo_mark){7, 9}));
    assert_false(fo_chain_skip(&c, (struct fo_mark){7, 10}));
    assert_true(fo_chain_skip(&c, (struct fo_mark){7, 20}));
    assert_int_equal(judge(&c, 7, 20, 21, 21), FO_OK);
    assert_int_equal(judge(&c, 7, 10, 11, 11), FO_ERR_STALE);
    fo_chain_stage(&c, 7, 25);
    assert_false(fo_chain_skip(&c, (struct fo_mark){7, 30}));
    fo_chain_stored(&c, 7, 25);
    assert_true(fo_chain_skip(&c, (struct fo_mark){7, 30}));
    assert_true(fo_chain_skip(&empty, (struct fo_mark){7, 100}));
    assert_int_equal(judge(&empty, 7, 100, 101, 101), FO_OK);
}

/* The sender does not know any more in which epoch it had our ack: a new data directory is not to wait for ever. */
static void
skips_what_was_lost_in_a_forgotten_epoch(void **state)
{
    struct fo_chain c = chain_at(7, 10), empty = {{0, 0}, {0, 0}};

    (void)state;
    assert_false(fo_chain_skip(&c, (struct fo_mark){FO_EPOCH_FORGOTTEN, 10}));
    assert_true(fo_chain_skip(&c, (struct fo_mark){FO_EPOCH_FORGOTTEN, 20}));
    assert_int_equal(c.durable.epoch, 7);
    assert_int_equal(judge_behind(&c, 30, FO_EPOCH_FORGOTTEN, 20, 21), FO_OK);
    assert_int_equal(judge(&c, 7, 19, 20, 20), FO_ERR_STALE);
    assert_true(fo_chain_skip(&empty, (struct fo_mark){FO_EPOCH_FORGOTTEN, 100}));
    assert_int_equal(judge_behind(&empty, 30, FO_EPOCH_FORGOTTEN, 100, 101), FO_OK);
    assert_false(fo_chain_skip(&empty, (struct fo_mark){0, 200}));
}

/* A sender that lost its tail gives sequences out again under a later epoch: the same number is then another event. */
static void
later_epoch_rewinds(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    assert_int_equal(judge_behind(&c, 8, 7, 6, 9), FO_OK);
    assert_int_equal(judge_behind(&c, 8, 7, 10, 11), FO_OK);
    assert_int_equal(judge_behind(&c, 8, 7, 11, 12), FO_ERR_GAP);
    assert_int_equal(judge(&c, 6, 10, 11, 11), FO_ERR_STALE);
    fo_chain_stage(&c, 8, 9);
    assert_int_equal(judge(&c, 7, 10, 11, 11), FO_ERR_STALE);
    assert_int_equal(judge(&c, 8, 9, 10, 10), FO_OK);
    assert_int_equal(judge_behind(&c, 8, 7, 6, 9), FO_ERR_STALE);
}

/* The first batch of a later epoch was lost on the way. The second names a previous sequence that we hold by its number, but as
 * another event. */
static void
a_number_is_no_event(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    assert_int_equal(judge(&c, 8, 9, 10, 10), FO_ERR_GAP);
    assert_int_equal(judge(&c, 8, 0, 1, 1), FO_OK);
    assert_int_equal(judge(&c, 8, 1, 2, 2), FO_ERR_GAP);
    assert_int_equal(judge_behind(&c, 9, 8, 9, 10), FO_ERR_GAP);
    assert_int_equal(judge_behind(&c, 9, 7, 8, 9), FO_OK);
    assert_int_equal(judge_behind(&c, 8, 9, 8, 9), FO_ERR_PROTO);
}

/* What is staged counts for judging at once, and for acking only when it is stored. */
static void
staged_runs_ahead_of_durable(void **state)
{
    struct fo_chain c = chain_at(7, 10);

    (void)state;
    fo_chain_stage(&c, 7, 12);
    fo_chain_stage(&c, 7, 15);
    assert_int_equal(judge(&c, 7, 12, 13, 15), FO_ERR_STALE);
    assert_int_equal(judge(&c, 7, 15, 16, 16), FO_OK);
    assert_int_equal(c.durable.seq, 10);
    fo_chain_stored(&c, 7, 12);
    assert_int_equal(c.durable.seq, 12);
    fo_chain_stored(&c, 7, 15);
    assert_int_equal(c.durable.seq, 15);
    assert_int_equal(c.staged.seq, 15);
}

/* Batches of a sender, offered in any order and any number of times: each is taken once, in order, and all are. */
static void
any_arrival_order_takes_each_once(void **state)
{
    enum { BATCHES = 12 };

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fo_chain c = {{0, 0}, {0, 0}};
        uint64_t end[BATCHES + 1] = {0};
        unsigned taken = 0;
        struct fo_rng r;

        fo_rng_init(&r, seed);
        for (unsigned i = 1; i <= BATCHES; i++)
            end[i] = end[i - 1] + 1 + fo_rng_below(&r, 4);
        for (unsigned tries = 0; taken < BATCHES && tries < 10000; tries++) {
            unsigned i = 1 + (unsigned)fo_rng_below(&r, BATCHES);
            enum fo_err err = judge(&c, 7, end[i - 1], end[i - 1] + 1, end[i]);

            assert_int_equal(err, i <= taken ? FO_ERR_STALE : i == taken + 1 ? FO_OK : FO_ERR_GAP);
            if (err != FO_OK)
                continue;
            fo_chain_stage(&c, 7, end[i]);
            taken++;
        }
        assert_int_equal(taken, BATCHES);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_takes_only_the_beginning),
        cmocka_unit_test(continues_only_at_its_end),
        cmocka_unit_test(overlap_and_nonsense_break_the_protocol),
        cmocka_unit_test(goes_on_where_the_sender_forgot_us),
        cmocka_unit_test(skips_what_was_lost_here),
        cmocka_unit_test(skips_what_was_lost_in_a_forgotten_epoch),
        cmocka_unit_test(later_epoch_rewinds),
        cmocka_unit_test(a_number_is_no_event),
        cmocka_unit_test(staged_runs_ahead_of_durable),
        cmocka_unit_test(any_arrival_order_takes_each_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
