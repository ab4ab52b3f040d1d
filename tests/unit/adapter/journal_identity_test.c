/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose data directory it is: the lock, the region, the epoch. */
#include "journal_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "adapter/journal_format.h"
#include "adapter/journal_identity.h"
#include "base/crc32c.h"

static void
a_second_broker_is_kept_out_and_told_who_holds_it(void **state)
{
    struct fx *fx = *state;
    struct fo_journal *second = NULL;
    char pid[16];

    fx_open(fx);
    assert_int_equal(fo_journal_file_open(&fx->config, &second, &fx->opened, &fx->fault), FO_ERR_LOCKED);
    assert_int_equal(fx->fault.err, FO_ERR_LOCKED);
    assert_null(second);
    snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    assert_non_null(strstr(fx->fault.text, pid));
    assert_non_null(strstr(fx->fault.path, fx->dir));
    fx_store(fx, 10);           /* the first one is not disturbed */
    fx_close(fx);
    fx_open(fx);                /* and closing gives the lock back */
    assert_int_equal(fx_read_all(fx, 0).own, 1);
}

static void
another_process_is_kept_out(void **state)
{
    struct fx *fx = *state;
    int status;
    pid_t child;

    fx_open(fx);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fo_journal *second;
        _exit(fo_journal_file_open(&fx->config, &second, &fx->opened, &fx->fault) == FO_ERR_LOCKED ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
another_regions_directory_is_refused_untouched(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    fx_store(fx, 10);
    fx_close(fx);
    fx->config.region = "us-east-1";
    assert_int_equal(fx_try_open(fx), FO_ERR_OTHER_REGION);
    assert_non_null(strstr(fx->fault.text, "eu-west-1"));
    assert_non_null(strstr(fx->fault.text, "us-east-1"));
    fx->config.region = "eu-west-1";
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 1);
}

/* The first segment, with another version in its header and a checksum that fits. */
static void
set_version(struct fx *fx, uint64_t base, uint8_t version)
{
    uint8_t bytes[64];
    uint32_t crc;
    int fd = open(fx_segment_path(fx, base), O_RDONLY);

    assert_true(fd >= 0 && read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    close(fd);
    bytes[11] = version;
    crc = fo_crc32c(0, bytes, 60);
    for (int i = 0; i < 4; i++)
        bytes[60 + i] = (uint8_t)(crc >> (24 - 8 * i));
    fx_overwrite(fx, base, 0, bytes, sizeof bytes);
}

static void
a_journal_of_another_version_is_refused_untouched(void **state)
{
    struct fx *fx = *state;
    uint64_t base;

    fx_open(fx);
    base = fx_stats(fx).first_lsn;
    fx_store(fx, 10);
    fx_close(fx);
    set_version(fx, base, FO_JOURNAL_VERSION - 1);
    assert_int_equal(fx_try_open(fx), FO_ERR_VERSION);
    assert_int_equal(fx->fault.err, FO_ERR_VERSION);
    assert_non_null(strstr(fx->fault.path, ".seg"));
    assert_non_null(strstr(fx->fault.text, "use the program that wrote it, or an empty data directory"));
    set_version(fx, base, FO_JOURNAL_VERSION);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 1);
}

static void
the_epoch_is_the_time_of_creation_and_stays(void **state)
{
    struct fx *fx = *state;
    int64_t before_ms = (int64_t)time(NULL) * 1000;
    uint64_t epoch;

    fx_open(fx);
    epoch = fo_journal_file_epoch(fx->journal);
    assert_in_range(epoch, before_ms, before_ms + 600000);
    fx_close(fx);
    fx_open(fx);
    assert_true(fo_journal_file_epoch(fx->journal) == epoch);
}

/* As after a restart of the machine in the middle of a run without sync. */
static void
leave_unsynced(struct fx *fx, struct fo_identity *ret_id)
{
    assert_int_equal(fo_identity_load(fx->dir, "eu-west-1", ret_id, &fx->fault), FO_OK);
    strcpy(ret_id->unsynced_boot, "00000000-0000-0000-0000-000000000000");
    assert_int_equal(fo_identity_store(fx->dir, ret_id, &fx->fault), FO_OK);
}

/* The note that something may be lost never goes without the new epoch: both are in the file that the open leaves. */
static void
what_may_have_lost_begins_a_later_epoch_which_stays(void **state)
{
    struct fx *fx = *state;
    struct fo_identity before, id;

    fx_open(fx);
    fx_close(fx);
    for (int i = 0; i < 5; i++) {
        leave_unsynced(fx, &before);
        fx_open(fx);
        assert_true(fx->opened.may_have_lost);
        assert_true(fo_journal_file_epoch(fx->journal) > before.epoch);
        assert_int_equal(fo_identity_load(fx->dir, "eu-west-1", &id, &fx->fault), FO_OK);
        assert_true(id.epoch == fo_journal_file_epoch(fx->journal));
        assert_string_equal(id.unsynced_boot, "-");
        fx_close(fx);
    }
    fx_open(fx);
    assert_false(fx->opened.may_have_lost);
    assert_true(fo_journal_file_epoch(fx->journal) == id.epoch);
}

static void
a_damaged_identity_is_refused(void **state)
{
    struct fx *fx = *state;
    char path[128], text[512] = "";
    ssize_t n;
    int fd;

    fx_open(fx);
    fx_close(fx);
    snprintf(path, sizeof path, "%s/region", fx->dir);
    fd = open(path, O_RDWR);
    n = read(fd, text, sizeof text - 1);
    assert_true(n > 50);
    for (ssize_t at = 0; at < n; at++) {
        char flipped = text[at] ^ 0x01;
        assert_true(pwrite(fd, &flipped, 1, at) == 1);
        assert_int_equal(fx_try_open(fx), FO_ERR_CORRUPT);
        assert_true(pwrite(fd, &text[at], 1, at) == 1);
    }
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    assert_int_equal(fx_try_open(fx), FO_ERR_CORRUPT);
}

/* What another boot of the machine left open without sync may have lost its end; this boot's has not. */
static void
an_unsynced_run_of_another_boot_may_have_lost(void **state)
{
    struct fx *fx = *state;
    struct fo_identity id;

    fx->config.is_synced = false;
    fx_open(fx);
    fx_store(fx, 10);
    assert_false(fx->opened.may_have_lost);
    assert_int_equal(fo_identity_load(fx->dir, "eu-west-1", &id, &fx->fault), FO_OK);
    assert_string_not_equal(id.unsynced_boot, "-");
    fx_close(fx);
    assert_int_equal(fo_identity_load(fx->dir, "eu-west-1", &id, &fx->fault), FO_OK);
    assert_string_equal(id.unsynced_boot, "-");         /* closed cleanly */

    fo_boot_id(id.unsynced_boot);
    assert_int_equal(fo_identity_store(fx->dir, &id, &fx->fault), FO_OK);
    fx_open(fx);
    assert_false(fx->opened.may_have_lost);             /* killed in this boot: the page cache has it all */
    fx_close(fx);

    leave_unsynced(fx, &id);
    fx_open(fx);
    assert_true(fx->opened.may_have_lost);
}

static void
a_directory_that_cannot_be_is_said(void **state)
{
    struct fx *fx = *state;

    fx->config.dir = "/nonexistent/parent/data";
    assert_int_not_equal(fx_try_open(fx), FO_OK);
    assert_string_equal(fx->fault.path, "/nonexistent/parent/data");
    assert_non_null(strstr(fx->fault.text, "No such file"));
    fx->config.dir = "/dev/null";
    assert_int_not_equal(fx_try_open(fx), FO_OK);
    assert_non_null(strstr(fx->fault.path, "/dev/null"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_broker_is_kept_out_and_told_who_holds_it, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(another_process_is_kept_out, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(another_regions_directory_is_refused_untouched, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_journal_of_another_version_is_refused_untouched, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(the_epoch_is_the_time_of_creation_and_stays, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_may_have_lost_begins_a_later_epoch_which_stays, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_identity_is_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(an_unsynced_run_of_another_boot_may_have_lost, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_is_said, fx_setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
