/* SPDX-License-Identifier: Apache-2.0
 *
 * What the disk may say to a write or a sync. The calls are wrapped at link time. */
#include "journal_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "adapter/journal_format.h"
#include "adapter/journal_identity.h"

static struct {
    atomic_int sync_errno;          /* of the next fdatasync; 0: none */
    atomic_int syncs_before_error;  /* fdatasyncs that go well before that one */
    atomic_int write_errno;         /* of the next pwritev */
    atomic_int write_bytes_max;     /* of each pwritev; 0: no bound */
    atomic_int partial_bytes;       /* what the pwritev that fails writes before, by a short write */
    atomic_int interruptions;       /* EINTR before each pwritev */
    atomic_int syncfs_errno;        /* of the next syncfs */
    atomic_int writes, syncs, syncfses;
    atomic_int part_pages;          /* pwritevs that left a page's rest for the kernel to read from the disk */
    ino_t forgotten_ino;            /* after a failed sync: that file, and what of it is in the kernel's cache only and called clean; */
    off_t forgotten_from, forgotten_to;     /* to be written again, in ascending order */
    bool is_unsynced;               /* some of that was written again, and not synced yet */
} disk;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t offset);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t offset);

int
__wrap_fdatasync(int fd)
{
    int errnum = atomic_load(&disk.syncs_before_error) > 0 ? 0 : atomic_exchange(&disk.sync_errno, 0);

    atomic_fetch_add(&disk.syncs, 1);
    atomic_fetch_sub(&disk.syncs_before_error, atomic_load(&disk.syncs_before_error) > 0);
    if (errnum == 0)
        return __real_fdatasync(fd);
    errno = errnum;
    return -1;
}

int
__wrap_syncfs(int fd)
{
    int errnum = atomic_exchange(&disk.syncfs_errno, 0);

    atomic_fetch_add(&disk.syncfses, 1);
    if (errnum == 0)
        return __real_syncfs(fd);
    errno = errnum;
    return -1;
}

static bool
is_forgotten_file(int fd)
{
    struct stat st;

    return disk.forgotten_ino != 0 && fstat(fd, &st) == 0 && st.st_ino == disk.forgotten_ino;
}

int
__wrap_fsync(int fd)
{
    if (is_forgotten_file(fd))
        disk.is_unsynced = false;
    return __real_fsync(fd);
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t offset)
{
    if (is_forgotten_file(fd) && offset <= disk.forgotten_from && offset + (off_t)n > disk.forgotten_from) {
        disk.forgotten_from = offset + (off_t)n;
        disk.is_unsynced = true;
    }
    return __real_pwrite64(fd, p, n, offset);
}

static ssize_t
write_at_most(int fd, const struct iovec *iov, off_t offset, size_t max)
{
    return pwrite(fd, iov->iov_base, iov->iov_len < max ? iov->iov_len : max, offset);
}

static off_t
bytes_of(const struct iovec *iov, int n)
{
    off_t bytes = 0;

    for (int i = 0; i < n; i++)
        bytes += (off_t)iov[i].iov_len;
    return bytes;
}

ssize_t
__wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t offset)
{
    int partial = atomic_exchange(&disk.partial_bytes, 0);

    if (atomic_load(&disk.interruptions) > 0) {
        atomic_fetch_sub(&disk.interruptions, 1);
        errno = EINTR;
        return -1;
    }
    atomic_fetch_add(&disk.writes, 1);
    atomic_fetch_add(&disk.part_pages, (offset + bytes_of(iov, n)) % 4096 != 0);
    if (partial > 0)
        return write_at_most(fd, iov, offset, (size_t)partial);
    errno = atomic_exchange(&disk.write_errno, 0);
    if (errno != 0)
        return -1;
    if (atomic_load(&disk.write_bytes_max) > 0)
        return write_at_most(fd, iov, offset, (size_t)atomic_load(&disk.write_bytes_max));
    return __real_pwritev64(fd, iov, n, offset);
}

static int
setup(void **state)
{
    memset(&disk, 0, sizeof disk);
    return fx_setup(state);
}

/* Refuses everything from now on, and says so once. */
static void
check_final(struct fx *fx, enum fo_err err)
{
    unsigned calls = fx->calls;
    uint64_t lsn;

    assert_int_equal(fx_try_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 10, &lsn), err);
    assert_false(fx->journal->ops->commit(fx->journal));
    usleep(20000);
    assert_int_equal(fx->calls, calls);
}

static void
a_failed_sync_is_final(void **state)
{
    struct fx *fx = *state;
    uint64_t durable;
    int syncs;

    fx_open(fx);
    fx_store(fx, 10);
    durable = fx->stored_lsn;
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20);
    atomic_store(&disk.sync_errno, EIO);
    assert_int_equal(fx_commit(fx), FO_ERR_IO);
    syncs = atomic_load(&disk.syncs);
    assert_true(fx->stored_lsn == durable);
    assert_true(fx_stats(fx).durable_lsn == durable);
    check_final(fx, FO_ERR_IO);
    assert_int_equal(atomic_load(&disk.syncs), syncs);      /* never asked again */
    assert_int_equal(fx_read_all(fx, 0).own, 1);            /* what was durable is still read */
}

/* The group's sync fails, and the process ends. What the failed sync leaves in the kernel's cache is read by the next start, so it
 * has to be on the disk before that start counts it as durable. */
static void
check_written_again(struct fx *fx, uint64_t lsn)
{
    uint64_t base = lsn / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES;
    unsigned own = fx_read_all(fx, 0).own, all;
    struct stat st;

    atomic_store(&disk.sync_errno, EIO);
    assert_int_equal(fx_commit(fx), FO_ERR_IO);
    assert_int_equal(stat(fx_segment_path(fx, base), &st), 0);
    disk.forgotten_from = (off_t)(lsn - base);
    disk.forgotten_to = (off_t)(fx_stats(fx).end_lsn - base);
    disk.forgotten_ino = st.st_ino;
    fx_close(fx);
    fx_open(fx);
    assert_true(disk.forgotten_from >= disk.forgotten_to);
    assert_false(disk.is_unsynced);
    all = fx_read_all(fx, 0).own;
    assert_true(all > own);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    disk.forgotten_ino = 0;
    fx_store(fx, 10);
    assert_int_equal(fx_read_all(fx, 0).own, all + 1);
}

static void
what_a_failed_sync_left_is_written_again_at_the_next_start(void **state)
{
    struct fx *fx = *state;
    uint64_t lsn;

    fx_open(fx);
    fx_store(fx, 10);
    lsn = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 9000);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20);
    check_written_again(fx, lsn);
}

/* The part in the segment before was synced, or the one behind it would not have been written. */
static void
what_a_failed_sync_left_of_a_group_that_crosses_is_written_again(void **state)
{
    struct fx *fx = *state;
    uint64_t lsn;

    fx_open(fx);
    fx_store(fx, 10);
    do
        lsn = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 9000);
    while (lsn < FX_SEGMENT_BYTES);
    atomic_store(&disk.syncs_before_error, 1);
    check_written_again(fx, FX_SEGMENT_BYTES + FO_SEGMENT_HEADER_BYTES);
}

/* The run without sync was killed in this boot: all of it is in the kernel's cache, and from now on it counts as durable. */
static void
a_run_without_sync_is_synced_before_one_with_sync_goes_on(void **state)
{
    struct fx *fx = *state;
    struct fo_identity id;

    fx->config.is_synced = false;
    fx_open(fx);
    fx_store(fx, 10);
    fx_close(fx);
    assert_int_equal(fo_identity_load(fx->dir, "eu-west-1", &id, &fx->fault), FO_OK);
    fo_boot_id(id.unsynced_boot);
    assert_int_equal(fo_identity_store(fx->dir, &id, &fx->fault), FO_OK);
    fx->config.is_synced = true;
    atomic_store(&disk.syncfses, 0);
    atomic_store(&disk.syncfs_errno, EIO);
    assert_int_equal(fx_try_open(fx), FO_ERR_IO);
    assert_non_null(strstr(fx->fault.text, "durability process"));
    fx_open(fx);                                            /* the note is still there */
    assert_int_equal(atomic_load(&disk.syncfses), 2);
    assert_int_equal(fx_read_all(fx, 0).own, 1);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(atomic_load(&disk.syncfses), 2);
}

static void
a_failed_write_is_final(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    fx_store(fx, 10);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 20);
    atomic_store(&disk.write_errno, EIO);
    assert_int_equal(fx_commit(fx), FO_ERR_IO);
    check_final(fx, FO_ERR_IO);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 1);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

static void
check_retried(struct fx *fx)
{
    uint64_t durable = fx->stored_lsn, lsn;

    lsn = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 3000);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 3000);
    assert_int_equal(fx_commit(fx), FO_ERR_NO_SPACE);
    assert_true(fx->stored_lsn == durable);
    fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 40);         /* gathers meanwhile */
    assert_int_equal(fx_commit(fx), FO_OK);                 /* the group that failed */
    assert_true(fx->stored_lsn > lsn + 6000);
    assert_true(fx->stored_lsn < fx_stats(fx).end_lsn);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_true(fx->stored_lsn == fx_stats(fx).end_lsn);
    assert_int_equal(fx_read_all(fx, 0).own, 4);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, 4);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

static void
a_full_disk_in_the_middle_of_a_write_is_retried_in_place(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    fx_store(fx, 10);
    atomic_store(&disk.partial_bytes, 30);
    atomic_store(&disk.write_errno, ENOSPC);
    check_retried(fx);
}

static void
a_full_disk_at_the_sync_writes_everything_again(void **state)
{
    struct fx *fx = *state;
    int writes;

    fx_open(fx);
    fx_store(fx, 10);
    writes = atomic_load(&disk.writes);
    atomic_store(&disk.sync_errno, ENOSPC);
    check_retried(fx);
    assert_true(atomic_load(&disk.writes) >= writes + 3);   /* pages that a failed sync left are not trusted */
}

static void
short_and_interrupted_writes_are_continued(void **state)
{
    static const int sizes[] = {1, 7, 48, 100, 1000};
    struct fx *fx = *state;

    fx_open(fx);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        atomic_store(&disk.write_bytes_max, sizes[i]);
        atomic_store(&disk.interruptions, 3);
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 700);
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 0);
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 33);
        assert_int_equal(fx_commit(fx), FO_OK);
    }
    assert_int_equal(fx_read_all(fx, 0).own, 15);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

static void
one_write_and_one_sync_per_commit(void **state)
{
    struct fx *fx = *state;
    int writes, syncs;

    fx_open(fx);
    fx_store(fx, 10);
    writes = atomic_load(&disk.writes);
    syncs = atomic_load(&disk.syncs);
    for (int i = 0; i < 100; i++)
        fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, 200);
    assert_int_equal(fx_commit(fx), FO_OK);
    assert_int_equal(atomic_load(&disk.writes), writes + 1);
    assert_int_equal(atomic_load(&disk.syncs), syncs + 1);
    assert_true(fx_stats(fx).fsync_count == (uint64_t)syncs + 1);
}

/* Also where a group is so large that it takes several writes, or goes on in the next segment. */
static void
no_write_ends_within_a_page(void **state)
{
    struct fx *fx = *state;
    uint64_t own = 0;

    fx_open(fx);
    for (unsigned n = 1; n < 3000; n = n * 3 + 1) {
        for (unsigned i = 0; i < n; i++, own++)
            fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, (i * 31 + n) % 50);
        assert_int_equal(fx_commit(fx), FO_OK);
    }
    assert_true(atomic_load(&disk.writes) > 8);
    assert_int_equal(atomic_load(&disk.part_pages), 0);
    assert_int_equal(fx_read_all(fx, 0).own, own);
    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx_read_all(fx, 0).own, own);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_sync_is_final, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_a_failed_sync_left_is_written_again_at_the_next_start, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(what_a_failed_sync_left_of_a_group_that_crosses_is_written_again, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_run_without_sync_is_synced_before_one_with_sync_goes_on, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_is_final, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_in_the_middle_of_a_write_is_retried_in_place, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_at_the_sync_writes_everything_again, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(short_and_interrupted_writes_are_continued, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(one_write_and_one_sync_per_commit, setup, fx_teardown),
        cmocka_unit_test_setup_teardown(no_write_ends_within_a_page, setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
