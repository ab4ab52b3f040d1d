/* SPDX-License-Identifier: Apache-2.0
 *
 * Every interposed call passes gate() on its way in and leave() on its way out; the real work is done by the bare system
 * call, so that nothing here depends on what else stands in front of libc (a sanitizer does). */
#undef _FILE_OFFSET_BITS        /* both names of each call are defined below */
#undef _FORTIFY_SOURCE
#include "killat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "powercut.h"

#define SHOWN __attribute__((visibility("default")))

enum { PATH_SIZE = 512, PASS = 0, TORN = -1 };

static struct killat_plan plan;
static struct killat_count own_count;
static pthread_mutex_t serial = PTHREAD_MUTEX_INITIALIZER;      /* KILLAT_CUT: one call at a time, so that what is durable is known */
static _Thread_local bool is_inside;

void
killat_arm(const struct killat_plan *p)
{
    plan = *p;
    if (plan.count == NULL)
        plan.count = &own_count;
    if (plan.how == KILLAT_CUT) {
        is_inside = true;
        powercut_begin(plan.dir);
        is_inside = false;
    }
}

void
killat_disarm(void)
{
    plan.how = KILLAT_OFF;
}

static _Noreturn void
die(void)
{
    (void)syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool
is_below(const char *path)
{
    size_t n = strlen(plan.dir);

    return strncmp(path, plan.dir, n) == 0 && (path[n] == '/' || path[n] == '\0' || path[n] == ' ');
}

static bool
is_fd_below(int fd)
{
    char link[40], path[PATH_SIZE];
    ssize_t n;

    if (plan.how == KILLAT_OFF || is_inside)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    return is_below(path);
}

static bool
is_path_below(int dirfd, const char *path)
{
    if (plan.how == KILLAT_OFF || is_inside)
        return false;
    return *path == '/' || dirfd == AT_FDCWD ? is_below(path) : is_fd_below(dirfd);
}

static void
hit(const char *call)
{
    if (atomic_fetch_add(&plan.count->hits, 1) == 0)
        snprintf(plan.count->call, sizeof plan.count->call, "%s", call);
}

/* PASS, TORN, or the errno to fail with. May not return. */
static int
gate(const char *call, bool *ret_dies_after)
{
    uint64_t n;

    if (plan.how == KILLAT_CUT)
        pthread_mutex_lock(&serial);
    *ret_dies_after = false;
    if (plan.call[0] != '\0' && strcmp(plan.call, call) != 0)
        return PASS;
    n = atomic_fetch_add(&plan.count->calls, 1) + 1;
    if (n != plan.at && !(plan.is_lasting && n > plan.at))
        return PASS;
    hit(call);
    switch (plan.how) {
    case KILLAT_CUT:
        is_inside = true;
        powercut_leave_images(plan.image, plan.images, plan.seed);
        die();
    case KILLAT_BEFORE:
        die();
    case KILLAT_AFTER:
        *ret_dies_after = true;
        return PASS;
    case KILLAT_TORN:
        *ret_dies_after = true;
        return TORN;
    case KILLAT_ERRNO:
        return plan.errnum;
    default:
        return PASS;
    }
}

static void
leave(bool dies_after)
{
    if (dies_after)
        die();
    if (plan.how == KILLAT_CUT)
        pthread_mutex_unlock(&serial);
}

static long
refuse(int errnum)
{
    errno = errnum;
    return -1;
}

static long
write_half(int fd, const struct iovec *iov, int n, off_t offset)
{
    size_t total = 0, left;

    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    left = total / 2;
    for (int i = 0; i < n && left > 0; i++) {
        size_t piece = iov[i].iov_len < left ? iov[i].iov_len : left;
        if (offset < 0 ? syscall(SYS_write, fd, iov[i].iov_base, piece) < 0 : syscall(SYS_pwrite64, fd, iov[i].iov_base, piece, offset) < 0)
            break;
        offset += offset < 0 ? 0 : (off_t)piece;
        left -= piece;
    }
    return (long)total;
}

/* offset < 0: at the file's position. */
static ssize_t
gated_write(const char *call, int fd, const struct iovec *iov, int n, off_t offset)
{
    bool is_ours = is_fd_below(fd), dies_after = false;
    int verdict = is_ours ? gate(call, &dies_after) : PASS;
    long got;

    if (verdict == TORN)
        got = write_half(fd, iov, n, offset);
    else if (verdict != PASS)
        got = refuse(verdict);
    else if (offset < 0)
        got = n == 1 ? syscall(SYS_write, fd, iov->iov_base, iov->iov_len) : syscall(SYS_writev, fd, iov, n);
    else
        got = n == 1 ? syscall(SYS_pwrite64, fd, iov->iov_base, iov->iov_len, offset) : syscall(SYS_pwritev, fd, iov, n, offset, 0);
    if (is_ours)
        leave(dies_after);
    return got;
}

#define TWICE(name) __attribute__((alias(#name), visibility("default")))

SHOWN ssize_t
write(int fd, const void *p, size_t n)
{
    return gated_write("write", fd, &(struct iovec){(void *)(uintptr_t)p, n}, 1, -1);
}

SHOWN ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    return gated_write("writev", fd, iov, n, -1);
}

SHOWN ssize_t
pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return gated_write("pwrite", fd, &(struct iovec){(void *)(uintptr_t)p, n}, 1, offset);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset) TWICE(pwrite);

SHOWN ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
    return gated_write("pwritev", fd, iov, n, offset);
}
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset) TWICE(pwritev);

/* A call on a descriptor that is not a write; is_sync: it makes the file durable, or all files if fd is -1. */
static long
gated(const char *call, int fd, bool is_sync, long number, long a, long b, long c)
{
    bool is_ours = is_fd_below(fd), dies_after = false;
    int verdict = is_ours ? gate(call, &dies_after) : PASS;
    long got;

    if (verdict == TORN)
        die();
    got = verdict == PASS ? syscall(number, fd, a, b, c) : refuse(verdict);
    if (is_ours && plan.how == KILLAT_CUT && is_sync && got == 0) {
        is_inside = true;
        powercut_synced(fd);
        is_inside = false;
    }
    if (is_ours)
        leave(dies_after);
    return got;
}

SHOWN int
fsync(int fd)
{
    return (int)gated("fsync", fd, true, SYS_fsync, 0, 0, 0);
}

SHOWN int
fdatasync(int fd)
{
    return (int)gated("fdatasync", fd, true, SYS_fdatasync, 0, 0, 0);
}

SHOWN int
syncfs(int fd)
{
    return (int)gated("syncfs", fd, false, SYS_syncfs, 0, 0, 0);
}

SHOWN int
ftruncate(int fd, off_t n)
{
    return (int)gated("ftruncate", fd, false, SYS_ftruncate, n, 0, 0);
}
int ftruncate64(int fd, off64_t n) TWICE(ftruncate);

SHOWN int
fallocate(int fd, int mode, off_t from, off_t n)
{
    return (int)gated("fallocate", fd, false, SYS_fallocate, mode, from, n);
}
int fallocate64(int fd, int mode, off64_t from, off64_t n) TWICE(fallocate);

SHOWN int
sync_file_range(int fd, off64_t from, off64_t n, unsigned flags)
{
    return (int)gated("sync_file_range", fd, false, SYS_sync_file_range, from, n, (long)flags);
}

/* A call that changes names. `gone` is the path whose file may lose its name by it, or null. */
static long
gated_names(const char *call, int dirfd, const char *path, const char *gone, long number, long a, long b, long c, long d)
{
    bool is_ours = is_path_below(dirfd, path), dies_after = false;
    int verdict = is_ours ? gate(call, &dies_after) : PASS;
    long got;

    if (verdict == TORN)
        die();
    if (is_ours && plan.how == KILLAT_CUT && gone != NULL) {
        is_inside = true;
        powercut_will_lose(dirfd, gone);
        is_inside = false;
    }
    got = verdict == PASS ? syscall(number, a, b, c, d) : refuse(verdict);
    if (is_ours && plan.how == KILLAT_CUT && got >= 0) {
        is_inside = true;
        powercut_names_changed();
        is_inside = false;
    }
    if (is_ours)
        leave(dies_after);
    return got;
}

static int
open_at(int dirfd, const char *path, int flags, mode_t mode)
{
    if (!(flags & O_CREAT))
        return (int)syscall(SYS_openat, dirfd, path, flags, mode);
    return (int)gated_names("open", dirfd, path, NULL, SYS_openat, dirfd, (long)path, flags, mode);
}

SHOWN int
open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode = 0;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) TWICE(open);

SHOWN int
openat(int dirfd, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode = 0;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return open_at(dirfd, path, flags, mode);
}
int openat64(int dirfd, const char *path, int flags, ...) TWICE(openat);

SHOWN int
mkdir(const char *path, mode_t mode)
{
    return (int)gated_names("mkdir", AT_FDCWD, path, NULL, SYS_mkdirat, AT_FDCWD, (long)path, mode, 0);
}

SHOWN int
mkdirat(int dirfd, const char *path, mode_t mode)
{
    return (int)gated_names("mkdir", dirfd, path, NULL, SYS_mkdirat, dirfd, (long)path, mode, 0);
}

SHOWN int
rename(const char *from, const char *to)
{
    return (int)gated_names("rename", AT_FDCWD, to, to, SYS_renameat, AT_FDCWD, (long)from, AT_FDCWD, (long)to);
}

SHOWN int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return (int)gated_names("rename", to_fd, to, to, SYS_renameat, from_fd, (long)from, to_fd, (long)to);
}

SHOWN int
unlink(const char *path)
{
    return (int)gated_names("unlink", AT_FDCWD, path, path, SYS_unlinkat, AT_FDCWD, (long)path, 0, 0);
}

SHOWN int
unlinkat(int dirfd, const char *path, int flags)
{
    return (int)gated_names("unlink", dirfd, path, path, SYS_unlinkat, dirfd, (long)path, flags, 0);
}

static const char *
setting(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? text : "";
}

static struct killat_count *
map_count(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *p = MAP_FAILED;

    if (fd >= 0 && syscall(SYS_ftruncate, fd, sizeof(struct killat_count)) == 0)
        p = mmap(NULL, sizeof(struct killat_count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED) {
        fprintf(stderr, "killat: cannot map KILLAT_COUNT=%s: %s\n", path, strerror(errno));
        exit(97);
    }
    return p;
}

/* When preloaded. */
__attribute__((constructor)) static void
arm_by_environment(void)
{
    static const char *const words[] = {"off", "count", "before", "after", "torn", "errno"};
    struct killat_plan p = {.at = strtoull(setting("KILLAT_AT"), NULL, 10), .errnum = atoi(setting("KILLAT_ERRNO")),
        .is_lasting = atoi(setting("KILLAT_FROM")) != 0};

    if (*setting("KILLAT_DIR") == '\0')
        return;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(setting("KILLAT_HOW"), words[i]) == 0)
            p.how = (enum killat_how)i;
    snprintf(p.dir, sizeof p.dir, "%s", setting("KILLAT_DIR"));
    snprintf(p.call, sizeof p.call, "%s", setting("KILLAT_CALL"));
    if (*setting("KILLAT_COUNT") != '\0')
        p.count = map_count(setting("KILLAT_COUNT"));
    killat_arm(&p);
}
