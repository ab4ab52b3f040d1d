/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers: masks, the durable end, positions that are gone or never were, reading while appending, trimming. */
#include "journal_fixture.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { CONCURRENT_RECORDS = 2500, TRIM_WAIT_MS = 5000 };

static void
masks_select_lanes_and_types(void **state)
{
    static const enum fo_record_type types[] = {FO_RECORD_OWN, FO_RECORD_RECEIVED, FO_RECORD_ACK};
    struct fx *fx = *state;

    fx_open(fx);
    for (unsigned i = 0; i < 90; i++)
        fx_append(fx, types[i % 3], i % 3 == 2 ? FO_LANE_HIGH : (enum fo_lane)(i / 3 % 3), 100 + i * 37);
    assert_int_equal(fx_commit(fx), FO_OK);
    for (unsigned type_mask = 0; type_mask < 32; type_mask += 2)
        for (unsigned lane_mask = 0; lane_mask < 8; lane_mask++) {
            struct fo_journal_reader *r = fx_reader(fx, 0);
            struct fo_record rec;
            unsigned expected = 0, got = 0;

            for (unsigned lane = 0; lane < 3; lane++)
                if (lane_mask & 1u << lane)
                    expected += 10 * !!(type_mask & 1u << FO_RECORD_OWN) + 10 * !!(type_mask & 1u << FO_RECORD_RECEIVED);
            expected += 30 * !!(type_mask & 1u << FO_RECORD_ACK);       /* acks and checkpoints have no lane */
            expected += fx->checkpoints * !!(type_mask & 1u << FO_RECORD_CHECKPOINT);
            while (fx->journal->ops->read_next(r, lane_mask, type_mask, &rec) == FO_OK) {
                fx_check_body(&rec);
                assert_true(type_mask & 1u << rec.type);
                got++;
            }
            assert_int_equal(got, expected);
            assert_true(fx->journal->ops->reader_lsn(r) == fx->stored_lsn);
            fx->journal->ops->reader_close(r);
        }
}

static void
what_is_not_durable_is_not_read(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn;

    fx_open(fx);
    lsn = fx_store(fx, 10);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20);
    r = fx_reader(fx, lsn);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_NOT_FOUND);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_NOT_FOUND);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.body.n, 20);
    fx_check_body(&rec);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_NOT_FOUND);
    fx->journal->ops->reader_close(r);
}

/* A reader that waits at the end of a segment goes on in the next one when there is something. */
static void
the_durable_end_moves_over_segments(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    unsigned got = 0;

    fx_open(fx);
    r = fx_reader(fx, 0);
    for (unsigned i = 0; i < 60; i++) {
        fx_store(fx, 3500);
        while (fx->journal->ops->read_next(r, FX_ALL, 1u << FO_RECORD_OWN, &rec) == FO_OK) {
            fx_check_body(&rec);
            got++;
        }
        assert_int_equal(got, i + 1);
    }
    assert_true(fx->checkpoints > 3);
    fx->journal->ops->reader_close(r);
}

static void
a_record_larger_than_the_buffer_is_read(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn;

    fx->config.segment_bytes = 8 << 20;
    fx->config.record_bytes_max = 2 << 20;
    fx_open(fx);
    fx_store(fx, 10);
    lsn = fx_store(fx, 2 << 20);
    fx_store(fx, 30);
    r = fx_reader(fx, lsn);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.body.n, 2 << 20);
    fx_check_body(&rec);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.body.n, 30);
    fx->journal->ops->reader_close(r);
}

static void
positions_that_cannot_be_are_refused(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *r;
    struct fo_record rec;
    uint64_t lsn;

    fx_open(fx);
    lsn = fx_store(fx, 1000);
    fx_store(fx, 10);
    assert_int_equal(fx->journal->ops->reader_open(fx->journal, lsn + 3, &r), FO_ERR_INVALID);
    assert_int_equal(fx->journal->ops->reader_open(fx->journal, fx->stored_lsn + 8, &r), FO_ERR_INVALID);
    assert_int_equal(fx->journal->ops->reader_open(fx->journal, UINT64_MAX - 7, &r), FO_ERR_INVALID);

    /* A place inside a record is told by the checksum; that is no damage, and the next record is found. */
    r = fx_reader(fx, lsn + 64);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_CORRUPT);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.body.n, 10);
    assert_true(fx_stats(fx).quarantined == 0);

    assert_int_equal(fx->journal->ops->reader_seek(r, lsn), FO_OK);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(rec.body.n, 1000);
    fx->journal->ops->reader_close(r);
}

/* What is to be deleted is offered to nobody any more; until it is, who stands there may read on. */
static bool
is_readable(struct fx *fx, uint64_t lsn)
{
    struct fo_journal_reader *r;

    if (fx->journal->ops->reader_open(fx->journal, lsn, &r) != FO_OK)
        return false;
    fx->journal->ops->reader_close(r);
    return true;
}

static void
wait_for_trim(struct fx *fx, uint64_t first_lsn)
{
    assert_true(fx_stats(fx).first_lsn == first_lsn);
    for (int ms = 0; is_readable(fx, first_lsn - 64) || fx_has_segment(fx, first_lsn - FX_SEGMENT_BYTES); ms++) {
        assert_true(ms < TRIM_WAIT_MS);
        usleep(1000);
    }
}

static void
trimming_deletes_whole_segments_and_says_what_is_gone(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *behind, *inside, *r;
    struct fo_record rec;
    uint64_t first = 2 * FX_SEGMENT_BYTES;
    unsigned own;

    fx_open(fx);
    while (fx->checkpoints < 5)
        fx_store(fx, 4000);
    own = fx_read_all(fx, first).own;
    behind = fx_reader(fx, 4096);
    inside = fx_reader(fx, first + 4096);
    fx->journal->ops->trim(fx->journal, first + 10000);
    wait_for_trim(fx, first);
    assert_false(fx_has_segment(fx, 0));
    assert_false(fx_has_segment(fx, FX_SEGMENT_BYTES));
    assert_true(fx_has_segment(fx, first));

    assert_int_equal(fx->journal->ops->read_next(behind, FX_ALL, FX_ALL, &rec), FO_ERR_CURSOR_GONE);
    assert_int_equal(fx->journal->ops->read_next(behind, FX_ALL, FX_ALL, &rec), FO_ERR_CURSOR_GONE);
    assert_int_equal(fx->journal->ops->reader_seek(behind, 8192), FO_ERR_CURSOR_GONE);
    assert_int_equal(fx->journal->ops->reader_seek(behind, fx_stats(fx).first_lsn), FO_OK);
    assert_int_equal(fx->journal->ops->read_next(behind, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(fx->journal->ops->read_next(inside, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_int_equal(fx->journal->ops->reader_open(fx->journal, 4096, &r), FO_ERR_CURSOR_GONE);
    fx->journal->ops->reader_close(behind);
    fx->journal->ops->reader_close(inside);
    assert_int_equal(fx_read_all(fx, 0).own, own);

    fx_close(fx);
    fx_open(fx);
    assert_true(fx_stats(fx).first_lsn == first);
    assert_int_equal(fx_read_all(fx, 0).own, own);
}

static void
trimming_never_takes_the_open_segment(void **state)
{
    struct fx *fx = *state;
    uint64_t open_base;

    fx_open(fx);
    while (fx->checkpoints < 3)
        fx_store(fx, 4000);
    open_base = fx->stored_lsn / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES;
    fx->journal->ops->trim(fx->journal, UINT64_MAX);
    wait_for_trim(fx, open_base);
    assert_true(fx_has_segment(fx, open_base));
    fx_store(fx, 100);
    assert_int_equal(fx_read_all(fx, 0).own, 2);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 2);
    assert_true(fx->opened.checkpoint_lsn == open_base + 4096);
}

struct concurrent { struct fx *fx; unsigned own; atomic_bool is_done; bool is_right; };

static void *
read_along(void *arg)
{
    struct concurrent *c = arg;
    const struct fo_journal_ops *ops = c->fx->journal->ops;
    struct fo_journal_reader *r;
    struct fo_record rec;
    enum fo_err err;
    uint8_t expected[4096];

    if (ops->reader_open(c->fx->journal, 0, &r) != FO_OK)
        return NULL;
    c->is_right = true;
    while (c->is_right) {
        bool was_done = atomic_load(&c->is_done);

        err = ops->read_next(r, FX_ALL, 1u << FO_RECORD_OWN, &rec);
        if (err == FO_ERR_NOT_FOUND && was_done)
            break;
        if (err == FO_ERR_NOT_FOUND)
            continue;
        fx_body(rec.count, expected, rec.body.n);
        c->is_right = err == FO_OK && memcmp(expected, rec.body.p, rec.body.n) == 0;
        c->own++;
    }
    ops->reader_close(r);
    return NULL;
}

static void
readers_follow_while_records_are_appended(void **state)
{
    struct fx *fx = *state;
    struct concurrent c[2] = {{.fx = fx}, {.fx = fx}};
    pthread_t threads[2];
    unsigned groups = 0;

    fx_open(fx);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &c[i]), 0);
    for (unsigned i = 0; i < CONCURRENT_RECORDS; i++) {
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, i * 7 % 900);
        groups += fx->journal->ops->commit(fx->journal);
        if (i % 50 == 0)
            fx_wait_calls(fx, groups);
    }
    fx_wait_calls(fx, groups);
    if (fx->journal->ops->commit(fx->journal))
        fx_wait_calls(fx, groups + 1);
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&c[i].is_done, true);
        pthread_join(threads[i], NULL);
        assert_true(c[i].is_right);
        assert_int_equal(c[i].own, CONCURRENT_RECORDS);
    }
    assert_true(fx->checkpoints > 5);
}

static void
the_number_of_readers_is_bounded(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *readers[1000];
    unsigned n = 0;

    fx_open(fx);
    while (n < 1000 && fx->journal->ops->reader_open(fx->journal, 0, &readers[n]) == FO_OK)
        n++;
    assert_in_range(n, 100, 999);
    fx->journal->ops->reader_close(readers[--n]);
    assert_int_equal(fx->journal->ops->reader_open(fx->journal, 0, &readers[n]), FO_OK);
    n++;
    while (n > 0)
        fx->journal->ops->reader_close(readers[--n]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(masks_select_lanes_and_types, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_durable_is_not_read, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_durable_end_moves_over_segments, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_record_larger_than_the_buffer_is_read, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(positions_that_cannot_be_are_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(trimming_deletes_whole_segments_and_says_what_is_gone, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(trimming_never_takes_the_open_segment, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(readers_follow_while_records_are_appended, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_number_of_readers_is_bounded, fx_setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
