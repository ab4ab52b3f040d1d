/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/journal_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"

enum { PATH_BYTES_MAX = 4096, IDENTITY_TEXT_MAX = 512, DIR_MODE = 0700, FILE_MODE = 0600 };

enum fo_err
fo_errno_err(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return FO_ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return FO_ERR_PERMISSION;
    default:
        return FO_ERR_IO;
    }
}

enum fo_err
fo_errno_fault(struct fo_fault *ret_fault, const char *dir, const char *name, const char *doing)
{
    int errnum = errno;

    ret_fault->err = fo_errno_err(errnum);
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s%s%s", dir, *name ? "/" : "", name);
    snprintf(ret_fault->text, sizeof ret_fault->text, "cannot %s: %s", doing, strerror(errnum));
    return ret_fault->err;
}

bool
fo_write_fully(int fd, const void *p, size_t n, uint64_t offset)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, (const char *)p + done, n - done, (off_t)(offset + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

uint64_t
fo_epoch_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t
fo_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
fo_boot_id(char ret_text[FO_BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret_text, FO_BOOT_ID_SIZE - 1);

    if (fd >= 0)
        close(fd);
    if (n != FO_BOOT_ID_SIZE - 1) {
        strcpy(ret_text, "-");
        return;
    }
    ret_text[n] = '\0';
}

static enum fo_err
sync_dir(const char *dir, struct fo_fault *ret_fault)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    enum fo_err err = is_synced ? FO_OK : fo_errno_fault(ret_fault, dir, "", "sync the directory");

    if (fd >= 0)
        close(fd);
    return err;
}

/* What the holder has written into the lock's file; empty: not known. */
static void
read_pid(int fd, char ret_pid[16])
{
    ssize_t n = pread(fd, ret_pid, 15, 0);

    ret_pid[n > 0 ? n : 0] = '\0';
    ret_pid[strspn(ret_pid, "0123456789")] = '\0';
}

enum fo_err
fo_dir_lock_holder(const char *dir, long *ret_pid)
{
    char path[PATH_BYTES_MAX], pid[16];
    enum fo_err err = FO_ERR_NOT_FOUND;
    int fd;

    snprintf(path, sizeof path, "%s/lock", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? FO_ERR_PERMISSION : FO_ERR_NOT_FOUND;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        read_pid(fd, pid);
        *ret_pid = atol(pid);
        err = FO_OK;
    }
    close(fd);
    return err;
}

static enum fo_err
lock_refused(int fd, const char *dir, struct fo_fault *ret_fault)
{
    char pid[16];

    if (errno != EWOULDBLOCK)
        return fo_errno_fault(ret_fault, dir, "lock", "lock");
    read_pid(fd, pid);
    ret_fault->err = FO_ERR_LOCKED;
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s/lock", dir);
    snprintf(ret_fault->text, sizeof ret_fault->text, "the data directory is in use by the process with pid %s", *pid ? pid : "unknown");
    return FO_ERR_LOCKED;
}

/* With its entry in the parent on disk. */
static enum fo_err
make_dir(const char *dir, struct fo_fault *ret_fault)
{
    char parent[PATH_BYTES_MAX];

    if (mkdir(dir, DIR_MODE) != 0)
        return errno == EEXIST ? FO_OK : fo_errno_fault(ret_fault, dir, "", "make the data directory");
    snprintf(parent, sizeof parent, "%s/..", dir);
    return sync_dir(parent, ret_fault);
}

enum fo_err
fo_dir_lock(const char *dir, int *ret_fd, struct fo_fault *ret_fault)
{
    char path[PATH_BYTES_MAX];
    char pid[16];
    enum fo_err err;
    int fd;

    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return fo_errno_fault(ret_fault, dir, "lock", "open");
    }
    err = make_dir(dir, ret_fault);
    if (err != FO_OK)
        return err;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fo_errno_fault(ret_fault, dir, "lock", "open");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        err = lock_refused(fd, dir, ret_fault);
        close(fd);
        return err;
    }
    /* The pid only serves the other's message; with a full disk the lock holds all the same. */
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, strlen(pid), 0) < 0)
        (void)ftruncate(fd, 0);
    *ret_fd = fd;
    return FO_OK;
}

static size_t
identity_format(const struct fo_identity *id, char ret_text[IDENTITY_TEXT_MAX])
{
    int n = snprintf(ret_text, IDENTITY_TEXT_MAX,
                     "fanout-data v1\nregion %s\nepoch %" PRIu64 "\nsecret %016" PRIx64 "\nbegun %d\nunsynced-boot %s\n",
                     id->region, id->epoch, id->secret, id->is_begun, id->unsynced_boot);

    n += snprintf(ret_text + n, IDENTITY_TEXT_MAX - (size_t)n, "crc32c %08" PRIx32 "\n", fo_crc32c(0, ret_text, (size_t)n));
    return (size_t)n;
}

/* Strict: what it reads must be what it would write. */
static bool
identity_parse(const char *text, struct fo_identity *ret_id)
{
    char again[IDENTITY_TEXT_MAX];
    int is_begun;

    _Static_assert(FO_REGION_BYTES_MAX == 32 && FO_BOOT_ID_SIZE == 37, "the widths below");
    if (sscanf(text, "fanout-data v1\nregion %32s\nepoch %" SCNu64 "\nsecret %" SCNx64 "\nbegun %d\nunsynced-boot %36s\n", ret_id->region,
               &ret_id->epoch, &ret_id->secret, &is_begun, ret_id->unsynced_boot) != 5)
        return false;
    ret_id->is_begun = is_begun != 0;
    identity_format(ret_id, again);
    return strcmp(text, again) == 0;
}

enum fo_err
fo_identity_load(const char *dir, const char *region, struct fo_identity *ret_id, struct fo_fault *ret_fault)
{
    char path[PATH_BYTES_MAX], text[IDENTITY_TEXT_MAX] = "";
    struct fo_identity id = {0};
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/region", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return FO_ERR_NOT_FOUND;
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        fo_errno_fault(ret_fault, dir, "region", "read");
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return ret_fault->err;
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s/region", dir);
    if (!identity_parse(text, &id)) {
        snprintf(ret_fault->text, sizeof ret_fault->text, "the file is damaged; restore it from a backup of the data directory");
        return ret_fault->err = FO_ERR_CORRUPT;
    }
    if (strcmp(id.region, region) != 0) {
        snprintf(ret_fault->text, sizeof ret_fault->text, "the data directory belongs to region %s, not %.32s", id.region, region);
        return ret_fault->err = FO_ERR_OTHER_REGION;
    }
    *ret_id = id;
    return FO_OK;
}

enum fo_err
fo_identity_init(struct fo_identity *id, const char *region)
{
    *id = (struct fo_identity){.epoch = fo_epoch_now(), .unsynced_boot = "-"};
    snprintf(id->region, sizeof id->region, "%s", region);
    return getrandom(&id->secret, sizeof id->secret, 0) == sizeof id->secret ? FO_OK : FO_ERR_IO;
}

enum fo_err
fo_identity_store(const char *dir, const struct fo_identity *id, struct fo_fault *ret_fault)
{
    char path[PATH_BYTES_MAX], path_new[PATH_BYTES_MAX], text[IDENTITY_TEXT_MAX];
    size_t n = identity_format(id, text);
    bool is_written;
    int fd;

    snprintf(path, sizeof path, "%s/region", dir);
    snprintf(path_new, sizeof path_new, "%s/region.tmp", dir);
    fd = open(path_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return fo_errno_fault(ret_fault, dir, "region.tmp", "create");
    is_written = fo_write_fully(fd, text, n, 0) && fsync(fd) == 0;
    if (!is_written)
        fo_errno_fault(ret_fault, dir, "region.tmp", "write");
    close(fd);
    if (!is_written)
        return ret_fault->err;
    if (rename(path_new, path) != 0)
        return fo_errno_fault(ret_fault, dir, "region", "replace");
    return sync_dir(dir, ret_fault);
}
