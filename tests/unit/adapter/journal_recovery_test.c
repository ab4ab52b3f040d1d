/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal after a crash, a cut, a flipped bit: what was acknowledged is there, what is damaged is said, and no wrong body is ever
 * handed out. */
#include "journal_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/journal_format.h"
#include "base/rng.h"

enum { SEGMENT_HEADER = FO_SEGMENT_HEADER_BYTES, RECORD_HEADER = FO_RECORD_HEADER_BYTES, CUTS = 60 };

/* Appends for ever, a group at a time, and tells the number of the last stored record. */
static _Noreturn void
append_until_killed(struct fx *fx, int report_fd)
{
    struct fo_rng rng;

    fo_rng_init(&rng, (uint64_t)getpid());
    fx_open(fx);
    for (;;) {
        uint32_t last;

        for (uint64_t i = fo_rng_below(&rng, 8) + 1; i > 0; i--)
            fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, fo_rng_below(&rng, 6000));
        last = fx->next - 1;
        if (fx_commit(fx) != FO_OK || write(report_fd, &last, sizeof last) != sizeof last)
            _exit(1);
        for (unsigned i = 0; i < fx->body_count; i++)
            free(fx->bodies[i]);
        fx->body_count = 0;
    }
}

static void
every_acknowledged_record_survives_sigkill(void **state)
{
    struct fx *fx = *state;

    for (unsigned run = 0; run < 12; run++) {
        struct fx_seen seen;
        uint32_t last = 0;
        int report[2], status;
        pid_t child;

        assert_int_equal(pipe(report), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            append_until_killed(fx, report[1]);
        close(report[1]);
        for (unsigned i = 0; i < 5 + 17 * run; i++)
            assert_true(read(report[0], &last, sizeof last) == sizeof last);
        kill(child, SIGKILL);
        while (read(report[0], &last, sizeof last) == sizeof last)
            ;
        close(report[0]);
        assert_true(waitpid(child, &status, 0) == child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        fx_open(fx);
        seen = fx_read_all(fx, 0);
        assert_int_equal(seen.corrupt, 0);
        assert_int_equal(seen.first, 0);
        assert_true(seen.last >= last);
        assert_int_equal(seen.own + seen.checkpoints, seen.last + 1);  /* none missing between */
        assert_true(fx_stats(fx).quarantined == 0);
        fx->next = seen.last + 1;
        fx_close(fx);
    }
}

static void
begin_anew(struct fx *fx)
{
    char path[128];

    (void)unlink(fx_segment_path(fx, 0));
    snprintf(path, sizeof path, "%s/region", fx->dir);
    assert_int_equal(unlink(path), 0);
}

/* Cut anywhere (tests/crash cuts everywhere), the segment yields the records that are whole before the cut, and goes on from there. */
static void
a_shortened_segment_yields_what_is_whole(void **state)
{
    struct fx *fx = *state;
    uint64_t ends[12];
    struct fx_seen seen;

    for (unsigned cut = 0; cut < CUTS; cut++) {
        uint64_t at;
        unsigned whole = 0;

        fx->next = 0;
        fx_open(fx);
        for (unsigned i = 0; i < 12; i++) {
            fx_store(fx, 40 * i + cut % 7);
            ends[i] = fx->stored_lsn;
        }
        fx_close(fx);
        at = cut * (ends[11] + 64) / CUTS;
        for (unsigned i = 0; i < 12; i++)
            whole += ends[i] <= at;
        assert_int_equal(truncate(fx_segment_path(fx, 0), (off_t)at), 0);

        fx_open(fx);
        seen = fx_read_all(fx, 0);
        assert_int_equal(seen.own, whole);
        assert_int_equal(seen.corrupt, 0);
        assert_int_equal(fx->opened.is_new, seen.own + seen.checkpoints == 0);
        fx->next = 1000;
        fx_store(fx, 100);
        fx_close(fx);
        fx_open(fx);
        assert_int_equal(fx_read_all(fx, 0).own, whole + 1);
        fx_close(fx);
        begin_anew(fx);
    }
}

struct layout { uint64_t lsn[10], end[10]; };

/* Ten records of 500 bytes, each its own commit. */
static struct layout
store_ten(struct fx *fx)
{
    struct layout l;

    fx_open(fx);
    for (unsigned i = 0; i < 10; i++) {
        l.lsn[i] = fx_store(fx, 500);
        l.end[i] = fx->stored_lsn;
    }
    fx_close(fx);
    return l;
}

static void
a_flipped_bit_in_the_last_record_cuts_it_off(void **state)
{
    struct fx *fx = *state;
    struct layout l = store_ten(fx);

    fx_flip(fx, 0, l.lsn[9] + RECORD_HEADER + 250);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 9);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx_stats(fx).durable_lsn == l.end[8]);
    assert_true(fx->opened.torn_bytes > 500);
    assert_true(fx_stats(fx).quarantined == 0);
    fx_store(fx, 20);           /* what was cut does not come back behind a shorter record */
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 10);
    assert_int_equal(fx->opened.torn_bytes, 0);
}

static void
check_quarantined(struct fx *fx, uint64_t lsn)
{
    struct fx_seen seen = fx_read_all(fx, 0);

    assert_int_equal(seen.own, 9);
    assert_int_equal(seen.corrupt, 1);
    assert_true(seen.corrupt_lsn == lsn);
    assert_int_equal(seen.last, 10);
    assert_true(fx_stats(fx).quarantined == 1);
    assert_int_equal(fx->opened.torn_bytes, 0);
}

static void
a_flipped_bit_in_the_middle_is_quarantined(void **state)
{
    static const uint64_t offsets[] = {0, 5, 9, 17, 25, 33, 37, 41, 44, 45, RECORD_HEADER, RECORD_HEADER + 499};
    struct fx *fx = *state;
    struct layout l = store_ten(fx);

    for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        fx_flip(fx, 0, l.lsn[4] + offsets[i]);
        fx_open(fx);
        check_quarantined(fx, l.lsn[4]);
        fx_read_all(fx, 0);                             /* counted once however often it is met */
        assert_true(fx_stats(fx).quarantined == 1);
        fx_close(fx);
        fx_open(fx);                                    /* it stays in place */
        check_quarantined(fx, l.lsn[4]);
        fx_close(fx);
        fx_flip(fx, 0, l.lsn[4] + offsets[i]);          /* and nothing was written over it */
        fx_open(fx);
        assert_int_equal(fx_read_all(fx, 0).own, 10);
        fx_close(fx);
    }
}

static void
damage_says_what_it_was_when_only_the_body_is_bad(void **state)
{
    struct fx *fx = *state;
    struct layout l = store_ten(fx);
    struct fo_journal_reader *r;
    struct fo_record rec;

    fx_flip(fx, 0, l.lsn[4] + RECORD_HEADER + 100);
    fx_open(fx);
    r = fx_reader(fx, l.lsn[4]);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_ERR_CORRUPT);
    assert_int_equal(rec.type, FO_RECORD_OWN);
    assert_int_equal(rec.count, 5);
    assert_int_equal(rec.body.n, 0);
    assert_true(rec.lsn == l.lsn[4]);
    assert_true(rec.next_lsn == l.lsn[5]);
    assert_int_equal(fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec), FO_OK);
    assert_true(rec.lsn == l.lsn[5]);
    fx->journal->ops->reader_close(r);
}

/* Any single byte of the records' area, wherever it falls: no wrong body, and everything else is served. */
static void
no_flipped_byte_yields_a_wrong_body(void **state)
{
    struct fx *fx = *state;
    struct layout l = store_ten(fx);
    uint8_t *original = malloc(FX_SEGMENT_BYTES);
    int fd = open(fx_segment_path(fx, 0), O_RDONLY);

    assert_non_null(original);
    assert_true(pread(fd, original, FX_SEGMENT_BYTES, 0) == FX_SEGMENT_BYTES);
    close(fd);
    for (uint64_t at = SEGMENT_HEADER; at < l.end[9]; at += 13) {
        struct fx_seen seen;

        fx_overwrite(fx, 0, 0, original, FX_SEGMENT_BYTES);
        fx_flip(fx, 0, at);
        fx_open(fx);
        seen = fx_read_all(fx, 0);                      /* checks each body */
        if (seen.own + seen.checkpoints == 11)          /* a byte of padding */
            assert_int_equal(seen.corrupt, 0);
        else
            assert_int_equal(seen.own + seen.checkpoints, 10);
        fx_close(fx);
    }
    free(original);
}

/* Power failed while one group was being written: its first blocks never came, its last ones did. None of it was acknowledged. */
static void
a_hole_in_the_last_group_is_cut_with_what_follows(void **state)
{
    static const uint8_t zeros[1024];
    struct fx *fx = *state;
    uint64_t lsn[5], end_before;
    struct fx_seen seen;

    fx_open(fx);
    fx_store(fx, 500);
    end_before = fx->stored_lsn;
    for (unsigned i = 0; i < 5; i++)
        lsn[i] = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 2000);
    assert_int_equal(fx_commit(fx), FO_OK);
    fx_close(fx);
    fx_overwrite(fx, 0, (lsn[1] + 600) / 512 * 512, zeros, 1024);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 2);                      /* the group's records before the hole are whole */
    assert_int_equal(seen.corrupt, 0);
    assert_true(fx_stats(fx).durable_lsn == lsn[1]);
    assert_true(fx_stats(fx).durable_lsn > end_before);
    assert_true(fx->opened.torn_bytes > 3 * 2000);
    fx_store(fx, 10);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 3);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

/* The same zeros where a later group stands behind: that group's commit came after, so the place was durable, so it is damage. */
static void
zeros_before_a_later_group_are_damage(void **state)
{
    static const uint8_t zeros[1024];
    struct fx *fx = *state;
    uint64_t lsn[5];
    struct fx_seen seen;

    fx_open(fx);
    for (unsigned i = 0; i < 5; i++)
        lsn[i] = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 2000);
    assert_int_equal(fx_commit(fx), FO_OK);
    fx_store(fx, 10);
    fx_close(fx);
    fx_overwrite(fx, 0, (lsn[1] + 600) / 512 * 512, zeros, 1024);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, 5);
    assert_int_equal(seen.corrupt, 1);
    assert_true(seen.corrupt_lsn == lsn[1]);
}

/* Flips, zeros, cuts, foreign bytes, anywhere, several at once. Whatever is left opens, gives right bodies in order, takes new
 * records and keeps them. */
static void
damage_at_random(struct fx *fx, struct fo_rng *rng, uint64_t end)
{
    uint8_t junk[300];
    uint64_t at = fo_rng_below(rng, end), base = at / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES;
    size_t n = fo_rng_below(rng, sizeof junk) + 1;

    if (n > base + FX_SEGMENT_BYTES - at)
        n = (size_t)(base + FX_SEGMENT_BYTES - at);
    for (size_t i = 0; i < sizeof junk; i++)
        junk[i] = (uint8_t)fo_rng_next(rng);
    switch (fo_rng_below(rng, 5)) {
    case 0:
        memset(junk, 0, sizeof junk);
        fx_overwrite(fx, base, at - base, junk, n);
        break;
    case 1:
        fx_overwrite(fx, base, at - base, junk, n);
        break;
    case 2:
        assert_int_equal(truncate(fx_segment_path(fx, base), (off_t)(at - base)), 0);
        break;
    default:
        fx_overwrite(fx, base, at - base, junk, 1);
        break;
    }
}

static void
random_damage_never_yields_a_wrong_body(void **state)
{
    struct fx *fx = *state;
    struct fo_rng rng;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct fx_seen before, after;
        uint64_t end, segments;

        fo_rng_init(&rng, seed);
        fx->next = fx->checkpoints = 0;
        fx_open(fx);
        segments = fo_rng_below(&rng, 3) + 1;
        while (fx->checkpoints < segments) {
            for (uint64_t n = fo_rng_below(&rng, 6) + 1; n > 0; n--)
                fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, fo_rng_below(&rng, 5000));
            assert_int_equal(fx_commit(fx), FO_OK);
        }
        end = fx->stored_lsn;
        fx_close(fx);
        for (uint64_t n = fo_rng_below(&rng, 3) + 1; n > 0; n--)
            damage_at_random(fx, &rng, end);

        fx_open(fx);
        before = fx_read_all(fx, 0);                    /* checks bodies and their order */
        fx->next = 10000;
        fx_store(fx, fo_rng_below(&rng, 5000));
        fx_close(fx);
        fx_open(fx);
        after = fx_read_all(fx, 0);
        assert_int_equal(after.own, before.own + 1);
        assert_int_equal(after.last, 10000 + fx->checkpoints - segments);
        fx_close(fx);
        for (uint64_t base = 0; base <= end + FX_SEGMENT_BYTES; base += FX_SEGMENT_BYTES)
            (void)unlink(fx_segment_path(fx, base));
        begin_anew(fx);
    }
}

static void
store_segments(struct fx *fx, unsigned segments)
{
    fx_open(fx);
    while (fx->checkpoints < segments)
        fx_store(fx, 4000);
    fx_store(fx, 4000);
}

static void
a_damaged_checkpoint_falls_back_to_the_one_before(void **state)
{
    struct fx *fx = *state;
    uint64_t newest;
    struct fx_seen seen;

    store_segments(fx, 4);
    newest = fx->stored_lsn / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES;
    fx_close(fx);
    fx_flip(fx, newest, SEGMENT_HEADER + RECORD_HEADER + 10);
    fx_open(fx);
    assert_true(fx->opened.checkpoint_lsn == newest - FX_SEGMENT_BYTES + SEGMENT_HEADER);
    fx_close(fx);
    fx_flip(fx, newest - FX_SEGMENT_BYTES, SEGMENT_HEADER + 3);
    fx_open(fx);
    assert_true(fx->opened.checkpoint_lsn == newest - 2 * FX_SEGMENT_BYTES + SEGMENT_HEADER);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.corrupt, 2);
}

static void
older_segments_are_checked_by_their_readers(void **state)
{
    struct fx *fx = *state;
    struct fx_seen seen;
    unsigned own;

    store_segments(fx, 4);
    own = fx_read_all(fx, 0).own;
    fx_close(fx);
    fx_flip(fx, FX_SEGMENT_BYTES, SEGMENT_HEADER + 5000);
    fx_open(fx);
    assert_true(fx_stats(fx).quarantined == 0);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.own, own - 1);
    assert_int_equal(seen.corrupt, 1);
    assert_true(fx_stats(fx).quarantined == 1);
}

static void
a_damaged_segment_header_is_reported_and_its_records_served(void **state)
{
    struct fx *fx = *state;
    unsigned own;

    store_segments(fx, 4);
    own = fx_read_all(fx, 0).own;
    fx_close(fx);
    fx_flip(fx, FX_SEGMENT_BYTES, 44);
    fx_flip(fx, fx->stored_lsn / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES, 3);
    fx_open(fx);
    assert_true(fx_stats(fx).quarantined == 2);
    assert_int_equal(fx_read_all(fx, 0).own, own);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    fx_store(fx, 100);
    assert_int_equal(fx_read_all(fx, 0).own, own + 1);
}

static void
a_missing_segment_is_said_and_stepped_over(void **state)
{
    struct fx *fx = *state;
    struct fx_seen seen;

    store_segments(fx, 5);
    fx_close(fx);
    assert_int_equal(unlink(fx_segment_path(fx, 2 * FX_SEGMENT_BYTES)), 0);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.corrupt, 1);
    assert_true(seen.corrupt_lsn == 2 * FX_SEGMENT_BYTES);
    assert_true(seen.last == fx->next - 1);
    assert_true(fx_stats(fx).quarantined == 1);
}

static void
a_shortened_older_segment_is_said_and_stepped_over(void **state)
{
    struct fx *fx = *state;
    struct fx_seen seen;

    store_segments(fx, 4);
    fx_close(fx);
    assert_int_equal(truncate(fx_segment_path(fx, FX_SEGMENT_BYTES), SEGMENT_HEADER + 5000), 0);
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.corrupt, 1);
    assert_true(seen.last == fx->next - 1);
}

/* An event's payload may hold what looks like a record at the very place where it will stand. */
static void
a_payload_that_imitates_a_record_is_not_believed(void **state)
{
    struct fx *fx = *state;
    uint8_t body[400];
    struct fo_slice part = {body, sizeof body};
    struct fo_record_header h = {.type = FO_RECORD_OWN, .length = 16};
    uint64_t lsn, forged;
    struct fx_seen seen;

    fx_open(fx);
    fx_store(fx, 10);
    memset(body, 1, sizeof body);
    forged = fx->stored_lsn + RECORD_HEADER + 64;
    h.lsn = h.group_lsn = forged;
    fo_record_header_encode(&h, 0, body + 64);          /* all right but for the salt, which nobody outside knows */
    assert_int_equal(fx->journal->ops->append(fx->journal, FO_RECORD_OWN, FO_LANE_HIGH, 77, (struct fo_wall){1}, &part, 1, &lsn), FO_OK);
    assert_true(forged == lsn + RECORD_HEADER + 64);
    assert_int_equal(fx_commit(fx), FO_OK);
    fx->next = 100;
    fx_store(fx, 10);
    fx_close(fx);
    fx_flip(fx, 0, lsn + 8);                            /* the real header is damaged: a search begins behind it */
    fx_open(fx);
    seen = fx_read_all(fx, 0);
    assert_int_equal(seen.corrupt, 1);
    assert_int_equal(seen.own, 2);
    assert_int_equal(seen.last, 100);
}

static void
lost_parts_of_the_directory_are_refused(void **state)
{
    struct fx *fx = *state;
    char path[128];

    store_segments(fx, 1);
    fx_close(fx);
    snprintf(path, sizeof path, "%s/moved", fx->dir);
    assert_int_equal(rename(fx_segment_path(fx, 0), path), 0);
    assert_int_equal(fx_try_open(fx), FO_ERR_CORRUPT);
    assert_non_null(strstr(fx->fault.path, "/journal"));
    assert_int_equal(rename(path, fx_segment_path(fx, 0)), 0);
    snprintf(path, sizeof path, "%s/region", fx->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fx_try_open(fx), FO_ERR_CORRUPT);
    assert_non_null(strstr(fx->fault.path, "/region"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acknowledged_record_survives_sigkill, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_shortened_segment_yields_what_is_whole, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_last_record_cuts_it_off, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_middle_is_quarantined, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(damage_says_what_it_was_when_only_the_body_is_bad, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(no_flipped_byte_yields_a_wrong_body, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_hole_in_the_last_group_is_cut_with_what_follows, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(zeros_before_a_later_group_are_damage, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(random_damage_never_yields_a_wrong_body, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_checkpoint_falls_back_to_the_one_before, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(older_segments_are_checked_by_their_readers, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_segment_header_is_reported_and_its_records_served, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_said_and_stepped_over, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_shortened_older_segment_is_said_and_stepped_over, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_payload_that_imitates_a_record_is_not_believed, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(lost_parts_of_the_directory_are_refused, fx_setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
