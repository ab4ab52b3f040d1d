/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal in its normal life: append, commit, read back, roll, trim, reopen. */
#include "journal_fixture.h"

#include <string.h>

static void
stored_records_read_back(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn[3];

    fx_open(fx);
    assert_true(fx->opened.is_new);
    lsn[0] = fx_append(fx, FO_RECORD_OWN, FO_LANE_LOW, 0);
    lsn[1] = fx_append(fx, FO_RECORD_RECEIVED, FO_LANE_NORMAL, 1);
    lsn[2] = fx_append(fx, FO_RECORD_ACK, FO_LANE_HIGH, 5000);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_true(fx->stored_lsn > lsn[2]);

    r = fx_reader(fx, 0);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.type, FO_RECORD_CHECKPOINT);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
        assert_true(rec.lsn == lsn[i]);
        fx_check_body(&rec);
        assert_true(rec.next_lsn == fx->journal->ops->reader_lsn(r));
        assert_int_equal(rec.type, i == 0 ? FO_RECORD_OWN : i == 1 ? FO_RECORD_RECEIVED : FO_RECORD_ACK);
        assert_int_equal(rec.lane, i == 0 ? FO_LANE_LOW : i == 1 ? FO_LANE_NORMAL : FO_LANE_HIGH);
        assert_int_equal(rec.body.n, i == 0 ? 0 : i == 1 ? 1 : 5000);
    }
    assert_true(rec.next_lsn == fx->stored_lsn);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_NOT_FOUND);
    fx->journal->ops->reader_close(r);
}

static void
commit_is_refused_when_there_is_nothing(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    assert_false(fx->journal->ops->commit(fx->journal));
    fx_store(fx, 10);
    assert_false(fx->journal->ops->commit(fx->journal));
    assert_int_equal(fx->calls, 1);
}

static void
what_was_not_committed_is_gone_after_close(void **state)
{
    struct fx *fx = *state;
    struct fx_seen seen;

    fx_open(fx);
    fx_store(fx, 100);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 100);
    fx_close(fx);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 1);
    assert_int_equal(fx->opened.torn_bytes, 0);
}

/* Bodies are borrowed until stored: what they hold when the group is committed is what counts, and after the stored call the
 * memory is the caller's again. */
static void
bodies_are_borrowed_until_stored(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn;

    fx_open(fx);
    lsn = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 300);
    assert_int_equal(fx_commit(fx), FO_OK);
    memset(fx->bodies[1], 0xee, 300);
    r = fx_reader(fx, lsn);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    fx_check_body(&rec);
    fx->journal->ops->reader_close(r);
}

static void
records_gather_while_a_commit_is_in_progress(void **state)
{
    struct fx *fx = *state;
    unsigned groups = 0;
    struct fx_seen seen;

    fx_open(fx);
    for (int i = 0; i < 500; i++) {
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 200);
        if (fx->journal->ops->commit(fx->journal))
            groups++;
    }
    fx_wait_calls(fx, groups);
    if (fx->journal->ops->commit(fx->journal))
        groups++;
    fx_wait_calls(fx, groups);
    assert_true(fx->stored_lsn == fx_stats(fx).end_lsn);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 500);
}

static void
a_group_takes_so_many_records_and_then_says_full(void **state)
{
    struct fx *fx = *state;
    struct fo_slice empty = {0};
    struct fx_seen seen;
    enum fo_err err;
    uint64_t lsn;
    int n = 0;

    fx->config.segment_bytes = 1 << 20;
    fx_open(fx);
    fx_append(fx, FO_RECORD_ACK, FO_LANE_HIGH, 0);
    while ((err = fx->journal->ops->append(fx->journal, FO_RECORD_ACK, FO_LANE_HIGH, fx->next, (struct fo_wall){1000 + fx->next}, &empty, 1,
                &lsn)) == FO_OK) {
        n++;
        fx->next++;
        assert_true(n < 100000);
    }
    assert_int_equal(err, FO_ERR_FULL);
    assert_true(n > 1000);
    assert_int_equal(fx_commit(fx), FO_OK);
    fx_store(fx, 10);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, n + 2);
}

static void
each_segment_begins_with_a_checkpoint(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t segment = UINT64_MAX;
    unsigned segments = 0, own = 0;

    fx_open(fx);
    for (int i = 0; i < 100; i++)
        fx_store(fx, 4000);
    assert_true(fx->checkpoints >= 6);
    r = fx_reader(fx, 0);
    while (fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec) == FO_OK) {
        fx_check_body(&rec);
        if (rec.lsn / FX_SEGMENT_BYTES != segment) {
            segment = rec.lsn / FX_SEGMENT_BYTES;
            segments++;
            assert_int_equal(rec.type, FO_RECORD_CHECKPOINT);
        } else {
            assert_true(rec.next_lsn <= (segment + 1) * FX_SEGMENT_BYTES);
            own++;
        }
    }
    fx->journal->ops->reader_close(r);
    assert_int_equal(own, 100);
    assert_int_equal(segments, fx->checkpoints);
    assert_true(fx_stats(fx).segments >= segments);
}

/* One group that runs through several segments, and a reader in each. */
static void
a_group_may_span_segments(void **state)
{
    struct fx *fx = *state;
    struct fx_seen seen;

    fx_open(fx);
    for (int i = 0; i < 60; i++)
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 4000);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_true(fx->checkpoints > 3);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 60);
    fx_close(fx);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 60);
    assert_int_equal(seen.corrupt, 0);
}

static void
a_record_is_refused_when_a_checkpoint_is_due(void **state)
{
    struct fx *fx = *state;
    struct fo_slice body = FO_SLICE_LIT("x");
    uint64_t lsn;

    fx_open(fx);
    assert_true(fx->journal->ops->wants_checkpoint(fx->journal));
    assert_int_equal(fx->journal->ops->append(fx->journal, FO_RECORD_OWN, FO_LANE_HIGH, 1, (struct fo_wall){1}, &body, 1, &lsn),
        FO_ERR_INVALID);
    fx_store(fx, 10);
    assert_false(fx->journal->ops->wants_checkpoint(fx->journal));
}

static void
the_largest_record_always_fits_and_a_larger_one_never(void **state)
{
    struct fx *fx = *state;
    uint64_t lsn;

    fx->config.record_bytes_max = 20000;
    fx_open(fx);
    for (int i = 0; i < 30; i++) {
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, (size_t)(i * 666));
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20000);
        assert_int_equal(fx_commit(fx), FO_OK);
    }
    assert_int_equal(fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20001, &lsn), FO_ERR_TOO_LARGE);
    assert_int_equal(fx_read_all(fx, 0).own, 60);
}

static void
continues_where_it_ended_after_reopening(void **state)
{
    struct fx *fx = *state;
    uint64_t end;
    struct fx_seen seen;

    for (int run = 0; run < 6; run++) {
        fx_open(fx);
        assert_int_equal(fx->opened.is_new, run == 0);
        assert_int_equal(fx->opened.torn_bytes, 0);
        for (int i = 0; i < 9; i++)
            fx_store(fx, 3000);
        end = fx_stats(fx).durable_lsn;
        fx_close(fx);
    }
    fx_open(fx);
    assert_true(fx_stats(fx).durable_lsn == end);
    assert_true(fx_stats(fx).end_lsn == end);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 54);
    assert_int_equal(seen.corrupt, 0);
    assert_true(fx->opened.checkpoint_lsn / FX_SEGMENT_BYTES == end / FX_SEGMENT_BYTES);
}

static void
the_checkpoint_to_recover_from_is_the_newest(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn;

    fx_open(fx);
    fx_store(fx, 100);
    lsn = fx_append(fx, FO_RECORD_CHECKPOINT, FO_LANE_HIGH, 700);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 100);
    assert_int_equal(fx_commit(fx), FO_OK);
    fx_close(fx);
    fx_open(fx);
    assert_true(fx->opened.checkpoint_lsn == lsn);
    r = fx_reader(fx, lsn);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.type, FO_RECORD_CHECKPOINT);
    assert_int_equal(rec.body.n, 700);
    fx->journal->ops->reader_close(r);
}

static void
segment_size_may_change_between_runs(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    for (int i = 0; i < 20; i++)
        fx_store(fx, 4000);
    fx_close(fx);
    fx->config.segment_bytes = 4 * FX_SEGMENT_BYTES;
    fx_open(fx);
    for (int i = 0; i < 100; i++)
        fx_store(fx, 8000);
    fx_close(fx);
    fx->config.segment_bytes = FX_SEGMENT_BYTES;
    fx_open(fx);
    for (int i = 0; i < 40; i++)
        fx_store(fx, 4000);
    assert_int_equal(fx_read_all(fx, 0).own, 160);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

static void
without_sync_it_works_the_same(void **state)
{
    struct fx *fx = *state;

    fx->config.is_synced = false;
    fx_open(fx);
    for (int i = 0; i < 50; i++)
        fx_store(fx, 4000);
    assert_true(fx_stats(fx).fsync_count == 0);
    assert_int_equal(fx_read_all(fx, 0).own, 50);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 50);
    assert_false(fx->opened.may_have_lost);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_records_read_back, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(commit_is_refused_when_there_is_nothing, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_was_not_committed_is_gone_after_close, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(bodies_are_borrowed_until_stored, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(records_gather_while_a_commit_is_in_progress, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_group_takes_so_many_records_and_then_says_full, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(each_segment_begins_with_a_checkpoint, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_group_may_span_segments, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_record_is_refused_when_a_checkpoint_is_due, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_largest_record_always_fits_and_a_larger_one_never, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(continues_where_it_ended_after_reopening, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_checkpoint_to_recover_from_is_the_newest, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(segment_size_may_change_between_runs, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(without_sync_it_works_the_same, fx_setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
