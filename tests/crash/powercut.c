/* SPDX-License-Identifier: Apache-2.0 */
#include "powercut.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"

enum { FILES_MAX = 512, NAMES_MAX = 64, SNAPSHOTS_MAX = 128, SECTOR = 512, DIRS = 2, NAME_SIZE = 40, PATH_SIZE = 512 };

struct content { uint8_t *p; size_t n; };
struct file { ino_t ino; bool is_gone; struct content synced, last; };      /* last: when it lost its name */
struct names { unsigned count; struct { char name[NAME_SIZE]; struct file *file; } at[NAMES_MAX]; };   /* file null: a directory */
struct history { struct names *state[SNAPSHOTS_MAX]; unsigned count; };     /* state[0] is durable, each further one a change later */

static char dirs[DIRS][PATH_SIZE];
static struct file files[FILES_MAX];
static unsigned file_count;
static struct history history[DIRS];

static _Noreturn void
give_up(const char *what)
{
    fprintf(stderr, "powercut: %s\n", what);
    _exit(98);
}

static void *
memory(size_t n)
{
    void *p = calloc(1, n + 1);

    if (p == NULL)
        give_up("out of memory");
    return p;
}

static struct file *
file_of(ino_t ino)
{
    for (unsigned i = 0; i < file_count; i++)
        if (files[i].ino == ino && !files[i].is_gone)
            return &files[i];
    if (file_count == FILES_MAX)
        give_up("too many files");
    files[file_count] = (struct file){.ino = ino};
    return &files[file_count++];
}

static void
read_content(int any_fd, struct content *c)
{
    char link[40];
    struct stat st;
    int fd;

    snprintf(link, sizeof link, "/proc/self/fd/%d", any_fd);    /* which may be open for writing only */
    fd = open(link, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        give_up("cannot open what is there");
    free(c->p);
    c->n = (size_t)st.st_size;
    c->p = memory(c->n);
    for (size_t done = 0; done < c->n;) {
        ssize_t got = pread(fd, c->p + done, c->n - done, (off_t)done);
        if (got <= 0)
            give_up("cannot read");
        done += (size_t)got;
    }
    close(fd);
}

static struct names *
list(const char *dir)
{
    struct names *names = memory(sizeof *names);
    DIR *stream = opendir(dir);
    struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        struct stat st;

        if (entry->d_name[0] == '.' || fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (names->count == NAMES_MAX)
            give_up("too many names");
        snprintf(names->at[names->count].name, NAME_SIZE, "%.39s", entry->d_name);
        names->at[names->count++].file = S_ISDIR(st.st_mode) ? NULL : file_of(st.st_ino);
    }
    if (stream != NULL)
        closedir(stream);
    return names;
}

static void
forget_before_last(struct history *h)
{
    for (unsigned i = 0; i + 1 < h->count; i++)
        free(h->state[i]);
    h->state[0] = h->state[h->count - 1];
    h->count = 1;
}

void
powercut_begin(const char *dir)
{
    snprintf(dirs[0], PATH_SIZE, "%s", dir);
    snprintf(dirs[1], PATH_SIZE, "%s/journal", dir);
    powercut_names_changed();
    for (unsigned d = 0; d < DIRS; d++) {
        struct names *names = history[d].state[history[d].count - 1];

        forget_before_last(&history[d]);
        for (unsigned i = 0; i < names->count; i++) {
            char path[PATH_SIZE + NAME_SIZE];
            int fd;

            if (names->at[i].file == NULL)
                continue;
            snprintf(path, sizeof path, "%.500s/%s", dirs[d], names->at[i].name);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                give_up("cannot open what is there");
            read_content(fd, &names->at[i].file->synced);
            close(fd);
        }
    }
}

void
powercut_names_changed(void)
{
    for (unsigned d = 0; d < DIRS; d++) {
        struct history *h = &history[d];
        struct names *now = list(dirs[d]);

        if (h->count > 0 && memcmp(h->state[h->count - 1], now, sizeof *now) == 0) {
            free(now);
            continue;
        }
        if (h->count == SNAPSHOTS_MAX)
            give_up("too many changes of names");
        h->state[h->count++] = now;
    }
}

void
powercut_will_lose(int dirfd, const char *path)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct file *f;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        f = file_of(st.st_ino);
        read_content(fd, &f->last);
        f->is_gone = true;
    }
    close(fd);
}

void
powercut_synced(int fd)
{
    struct stat st, other;

    if (fstat(fd, &st) != 0)
        give_up("cannot stat");
    if (S_ISREG(st.st_mode)) {
        read_content(fd, &file_of(st.st_ino)->synced);
        return;
    }
    for (unsigned d = 0; d < DIRS; d++)
        if (history[d].count > 0 && stat(dirs[d], &other) == 0 && other.st_ino == st.st_ino)
            forget_before_last(&history[d]);
}

/* How many eighths of the sectors that were not synced are there all the same. */
enum { NOTHING_MORE = 0, EVERYTHING = 8 };

static bool
is_kept(unsigned eighths, struct fo_rng *rng)
{
    return fo_rng_below(rng, EVERYTHING) < eighths;
}

/* The synced content, and over it those sectors of the newest that chance lets through. */
static struct content
mix(const struct content *synced, const struct content *newest, unsigned eighths, struct fo_rng *rng)
{
    size_t longer = synced->n > newest->n ? synced->n : newest->n;
    struct content out = {memory(longer), is_kept(eighths, rng) ? newest->n : synced->n};

    if (synced->n > 0)
        memcpy(out.p, synced->p, synced->n);
    for (size_t at = 0; at < newest->n; at += SECTOR) {
        size_t n = newest->n - at < SECTOR ? newest->n - at : SECTOR;
        bool is_same = at + n <= synced->n && memcmp(synced->p + at, newest->p + at, n) == 0;

        if (!is_same && is_kept(eighths, rng))
            memcpy(out.p + at, newest->p + at, n);
    }
    return out;
}

/* The content that the file has now, wherever its name is. */
static void
read_newest(struct file *f, struct content *ret)
{
    for (unsigned d = 0; d < DIRS; d++) {
        struct names *now = history[d].state[history[d].count - 1];

        for (unsigned i = 0; i < now->count; i++) {
            char path[PATH_SIZE + NAME_SIZE];
            int fd;

            if (now->at[i].file != f)
                continue;
            snprintf(path, sizeof path, "%.500s/%s", dirs[d], now->at[i].name);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                give_up("cannot open what is there");
            read_content(fd, ret);
            close(fd);
            return;
        }
    }
    give_up("a file without a name");
}

static void
write_file(const char *path, const struct content *c)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || (c->n > 0 && write(fd, c->p, c->n) != (ssize_t)c->n))
        give_up("cannot write the image");
    close(fd);
}

static void
leave_image(const char *image, unsigned eighths, struct fo_rng *rng)
{
    for (unsigned d = 0; d < DIRS; d++) {
        struct history *h = &history[d];
        unsigned which = eighths == EVERYTHING ? h->count - 1 : eighths == NOTHING_MORE ? 0 : (unsigned)fo_rng_below(rng, h->count);
        char path[PATH_SIZE + NAME_SIZE];
        struct stat st;

        snprintf(path, sizeof path, "%s%s", image, d == 0 ? "" : "/journal");
        if (d == 0 ? mkdir(path, 0700) != 0 : stat(path, &st) != 0)
            continue;                           /* the directory's own name was not durable */
        for (unsigned i = 0; i < h->state[which]->count; i++) {
            struct file *f = h->state[which]->at[i].file;
            struct content newest = {0}, out;

            snprintf(path, sizeof path, "%s%s/%s", image, d == 0 ? "" : "/journal", h->state[which]->at[i].name);
            if (f == NULL) {
                if (mkdir(path, 0700) != 0)
                    give_up("cannot make the image");
                continue;
            }
            if (!f->is_gone)
                read_newest(f, &newest);
            out = mix(&f->synced, f->is_gone ? &f->last : &newest, eighths, rng);
            write_file(path, &out);
            free(out.p);
            free(newest.p);
        }
    }
}

void
powercut_leave_images(const char *prefix, unsigned count, uint64_t seed)
{
    static const unsigned odds[] = {7, 4, 1};   /* in turn: a few holes, half and half, a few crumbs */
    struct fo_rng rng;

    fo_rng_init(&rng, seed);
    for (unsigned i = 0; i < count; i++) {
        char image[PATH_SIZE];

        snprintf(image, sizeof image, "%.480s.%u", prefix, i);
        leave_image(image, i == 0 ? NOTHING_MORE : i + 1 == count ? EVERYTHING : odds[i % 3], &rng);
    }
}
