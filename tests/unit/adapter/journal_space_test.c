/* SPDX-License-Identifier: Apache-2.0
 *
 * When room runs out: by bytes_max, and on a file system that is really full (a small tmpfs, which needs root). What was accepted
 * stays, what is refused may be tried again, and room that comes back is used. */
#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 5000, RETRY_US = 20000 };

static void
free_bodies_to(struct fx *fx, unsigned count)
{
    while (fx->body_count > count)
        free(fx->bodies[--fx->body_count]);
}

/* Appends and commits until an append is refused, or, where the disk is found full only by the commit, that; returns the error and how
 * many records were stored. */
static enum fo_err
fill(struct fx *fx, unsigned *ret_stored)
{
    enum fo_err err;
    uint64_t lsn;
    unsigned n = 0;

    while ((err = fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 4000, &lsn)) == FO_OK) {
        err = fx_commit(fx);
        if (err != FO_OK)
            break;
        free_bodies_to(fx, 0);
        n++;
        assert_true(n < 10000);
    }
    *ret_stored = n;
    return err;
}

/* Tries until it works again. */
static void
append_when_possible(struct fx *fx)
{
    uint64_t lsn;
    enum fo_err err;

    for (int us = 0; (err = fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 4000, &lsn)) != FO_OK; us += RETRY_US) {
        assert_int_equal(err, FO_ERR_NO_SPACE);
        assert_true(us < WAIT_MS * 1000);
        usleep(RETRY_US);
    }
    assert_int_equal(fx_commit(fx), FO_OK);
}

static void
bytes_max_refuses_and_trimming_makes_room(void **state)
{
    struct fx *fx = *state;
    unsigned stored;
    uint64_t lsn;

    fx->config.bytes_max = 4 * FX_SEGMENT_BYTES;
    fx_open(fx);
    assert_int_equal(fill(fx, &stored), FO_ERR_NO_SPACE);
    assert_true(stored > 30);
    assert_true(fx_stats(fx).bytes_on_disk <= fx->config.bytes_max);
    assert_true(fx->journal->ops->wants_checkpoint(fx->journal));
    assert_int_equal(fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 10, &lsn), FO_ERR_NO_SPACE);
    assert_int_equal(fx_read_all(fx, 0).own, stored);
    fx->journal->ops->trim(fx->journal, 2 * FX_SEGMENT_BYTES);
    append_when_possible(fx);
    assert_true(fx_stats(fx).bytes_on_disk <= fx->config.bytes_max);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx_read_all(fx, 0).last == fx->next - 1);
}

static void
bytes_max_holds_after_reopening(void **state)
{
    struct fx *fx = *state;
    unsigned stored;
    uint64_t lsn;

    fx->config.bytes_max = 3 * FX_SEGMENT_BYTES;
    fx_open(fx);
    assert_int_equal(fill(fx, &stored), FO_ERR_NO_SPACE);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 10, &lsn), FO_ERR_NO_SPACE);
    assert_int_equal(fx_read_all(fx, 0).own, stored);
}

static void
too_little_for_two_segments_is_a_config_error(void **state)
{
    struct fx *fx = *state;

    fx->config.bytes_max = FX_SEGMENT_BYTES;
    assert_int_equal(fx_try_open(fx), FO_ERR_INVALID);
    assert_string_equal(fx->fault.path, "journal.bytes_max");
    fx->config.bytes_max = 0;
    fx->config.segment_bytes = 4096;
    assert_int_equal(fx_try_open(fx), FO_ERR_INVALID);
    assert_string_equal(fx->fault.path, "journal.segment_bytes");
}

static bool
mount_small(struct fx *fx, const char *options)
{
    if (mount("tmpfs", fx->dir, "tmpfs", 0, options) == 0)
        return true;
    print_message("skipped: no tmpfs can be mounted here (%s); bytes_max is tested instead\n", strerror(errno));
    return false;
}

static void
a_full_disk_refuses_and_keeps_what_it_accepted(void **state)
{
    struct fx *fx = *state;
    char path[128];
    unsigned stored;

    if (!mount_small(fx, "size=300k"))
        skip();
    fx_open(fx);
    assert_int_equal(fill(fx, &stored), FO_ERR_NO_SPACE);
    assert_true(stored > 10);
    assert_int_equal(fx_read_all(fx, 0).own, stored);
    fx_close(fx);
    fx_open(fx);                                        /* it also starts on a full disk */
    assert_int_equal(fx_read_all(fx, 0).own, stored);
    fx->journal->ops->trim(fx->journal, 2 * FX_SEGMENT_BYTES);
    append_when_possible(fx);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx_read_all(fx, 0).last == fx->next - 1);
    fx_close(fx);
    snprintf(path, sizeof path, "%s", fx->dir);
    assert_int_equal(umount(path), 0);
}

/* The disk fills up between the append and the commit: the group is told NO_SPACE, waits, and is stored when there is room. */
static void
a_group_waits_for_room(void **state)
{
    struct fx *fx = *state;
    char ballast[128];
    static const uint8_t zeros[4096];
    unsigned own = 0, calls;
    uint64_t durable;
    int fd;

    if (!mount_small(fx, "size=400k"))
        skip();
    fx_open(fx);
    fx_store(fx, 100);
    durable = fx->stored_lsn;
    snprintf(ballast, sizeof ballast, "%s/ballast", fx->dir);
    fd = open(ballast, O_WRONLY | O_CREAT, 0600);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    close(fd);
    for (own = 1; fx->checkpoints < 3; own++) {         /* into segments that cannot be made */
        uint64_t lsn;
        enum fo_err err = fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 4000, &lsn);

        if (err == FO_ERR_NO_SPACE) {                   /* the keeper was first to notice: refused before it could gather */
            fx_close(fx);
            assert_int_equal(umount(fx->dir), 0);
            return;
        }
        assert_int_equal(err, FO_OK);
    }
    calls = fx->calls;
    assert_int_equal(fx_commit(fx), FO_ERR_NO_SPACE);
    assert_true(fx->stored_lsn == durable);
    assert_int_equal(fx_read_all(fx, 0).own, 1);        /* nothing of it counts */
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 10);     /* gathers behind it */
    own++;
    assert_int_equal(unlink(ballast), 0);
    while (fx_commit(fx) == FO_ERR_NO_SPACE)
        assert_true(fx->calls - calls < 100);
    assert_int_equal(fx->stored_err, FO_OK);
    assert_true(fx_stats(fx).durable_lsn > durable);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_int_equal(fx_read_all(fx, 0).own, own);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, own);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    fx_close(fx);
    assert_int_equal(umount(fx->dir), 0);
}

/* Stopped while a group waited for a segment: the segment before is closed already, and the next cannot be made. */
static void
a_journal_opens_on_a_full_disk_without_a_next_segment(void **state)
{
    struct fx *fx = *state;
    unsigned own;
    uint64_t lsn;

    if (!mount_small(fx, "size=200k"))
        skip();
    fx_open(fx);
    while (fx->checkpoints < 4)
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 4000);
    assert_int_equal(fx_commit(fx), FO_ERR_NO_SPACE);
    fx_close(fx);
    fx_open(fx);
    own = fx_read_all(fx, 0).own;
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx->journal->ops->wants_checkpoint(fx->journal));
    if (fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 10, &lsn) == FO_OK) {    /* the keeper had not found out yet */
        assert_int_equal(fx_commit(fx), FO_ERR_NO_SPACE);
        fx->journal->ops->trim(fx->journal, FX_SEGMENT_BYTES);
        for (int i = 0; fx_commit(fx) != FO_OK; i++)
            assert_true(i < 100);
    } else {
        fx->journal->ops->trim(fx->journal, FX_SEGMENT_BYTES);
        append_when_possible(fx);
    }
    assert_true(fx_read_all(fx, 0).own > 1);
    assert_true(own > 10);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx_read_all(fx, 0).last == fx->next - 1);
}

static int
teardown_mounted(void **state)
{
    struct fx *fx = *state;

    fx_close(fx);
    (void)umount2(fx->dir, MNT_DETACH);     /* after a failure; else it is not mounted any more */
    return fx_teardown(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_max_refuses_and_trimming_makes_room, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(bytes_max_holds_after_reopening, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(too_little_for_two_segments_is_a_config_error, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_and_keeps_what_it_accepted, fx_setup, teardown_mounted),
        cmocka_unit_test_setup_teardown(a_group_waits_for_room, fx_setup, teardown_mounted),
        cmocka_unit_test_setup_teardown(a_journal_opens_on_a_full_disk_without_a_next_segment, fx_setup, teardown_mounted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
