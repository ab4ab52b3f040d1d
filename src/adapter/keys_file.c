/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files. A secret passes only through memory of sodium_malloc, which is locked, left out of core dumps and wiped
 * when freed; that is why nothing here uses stdio. */
#include "adapter/keys_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MODE = 0600, PUBLIC_MODE = 0644, PATH_BYTES_MAX = 4096 };

/* The path's tail when it is too long to be shown whole: the end tells more than the beginning. */
static const char *
path_shown(const char *path)
{
    size_t n = strlen(path), room = sizeof((struct fo_fault *)NULL)->path - 1;

    return n <= room ? path : path + (n - room);
}

#define fault(ret_fault, err, path, ...) fo_fault_set((ret_fault), (err), path_shown(path), __VA_ARGS__)

static enum fo_err
fault_errno(struct fo_fault *ret_fault, const char *path, const char *what)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return fault(ret_fault, FO_ERR_NOT_FOUND, path, "%s: no such file or directory", what);
    case EEXIST:
        return fault(ret_fault, FO_ERR_EXISTS, path, "%s: the file exists already and is left as it is", what);
    case EACCES:
    case EPERM:
    case EROFS:
        return fault(ret_fault, FO_ERR_PERMISSION, path, "%s: not permitted for user %u", what, (unsigned)geteuid());
    case ENOSPC:
    case EDQUOT:
        return fault(ret_fault, FO_ERR_NO_SPACE, path, "%s: the disk is full", what);
    default:
        return fault(ret_fault, FO_ERR_IO, path, "%s: %s", what, strerror(errno));
    }
}

/* "keys/eu-west-1.key" tells both arguments of the command that makes it. */
static enum fo_err
fault_missing(struct fo_fault *ret_fault, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path, *dot = strrchr(base, '.');
    struct fo_slice region = fo_slice_of(base, dot != NULL ? (size_t)(dot - base) : strlen(base));

    if (!fo_region_name_is_valid(region))
        return fault(ret_fault, FO_ERR_NOT_FOUND, path, "no such key file; make one with: fanout keys new --region REGION --dir DIR");
    return fault(ret_fault, FO_ERR_NOT_FOUND, path, "no such key file; make one with: fanout keys new --region %.*s --dir %.*s",
                 (int)region.n, base, slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
}

static enum fo_err
check_mode(int fd, const char *path, bool is_secret, struct fo_fault *ret_fault)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return fault_errno(ret_fault, path, "cannot read the key file");
    if (!S_ISREG(st.st_mode))
        return fault(ret_fault, FO_ERR_INVALID, path, "not a regular file; a key file is expected here");
    if (is_secret && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fault(ret_fault, FO_ERR_PERMISSION, path, "mode %04o lets others at the secret key; run: chmod 600 %s",
                     (unsigned)(st.st_mode & 07777), path);
    return FO_OK;
}

/* Reads at most one byte more than a key text may have, so that the parser sees that it is too long. */
static enum fo_err
read_text(const char *path, bool is_secret, uint8_t text[FO_KEY_TEXT_MAX + 1], size_t *ret_n, struct fo_fault *ret_fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum fo_err err;
    size_t n = 0;
    ssize_t got;

    if (fd < 0)
        return errno == ENOENT ? fault_missing(ret_fault, path) : fault_errno(ret_fault, path, "cannot open the key file");
    err = check_mode(fd, path, is_secret, ret_fault);
    if (err != FO_OK)
        goto cleanup;
    do {
        got = read(fd, text + n, FO_KEY_TEXT_MAX + 1 - n);
        if (got > 0)
            n += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0)
        err = fault_errno(ret_fault, path, "cannot read the key file");
    *ret_n = n;
cleanup:
    close(fd);
    return err;
}

/* A parser knows what is wrong, but not where the text came from. */
static void
add_path(struct fo_fault *ret_fault, const char *path)
{
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s", path_shown(path));
}

enum fo_err
fo_keys_file_load_secret(const char *path, struct fo_key_pair *ret_pair, struct fo_fault *ret_fault)
{
    uint8_t *text = sodium_malloc(FO_KEY_TEXT_MAX + 1);
    enum fo_err err;
    size_t n = 0;

    if (text == NULL)
        return fault(ret_fault, FO_ERR_NO_MEMORY, path, "no memory to read the key");
    err = read_text(path, true, text, &n, ret_fault);
    if (err == FO_OK) {
        err = fo_key_pair_parse(fo_slice_of(text, n), ret_pair, ret_fault);
        if (err != FO_OK)
            add_path(ret_fault, path);
    }
    sodium_free(text);
    return err;
}

enum fo_err
fo_keys_file_load_public(const char *path, struct fo_public_key *ret_key, struct fo_fault *ret_fault)
{
    uint8_t text[FO_KEY_TEXT_MAX + 1];
    enum fo_err err;
    size_t n = 0;

    err = read_text(path, false, text, &n, ret_fault);
    if (err == FO_OK) {
        err = fo_public_key_parse(fo_slice_of(text, n), ret_key, ret_fault);
        if (err != FO_OK)
            add_path(ret_fault, path);
    }
    sodium_memzero(text, sizeof text);  /* it may be a secret key under a wrong name */
    return err;
}

static int
is_public_key_name(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return entry->d_name[0] != '.' && n > 4 && strcmp(entry->d_name + n - 4, ".pub") == 0;
}

static enum fo_err
ring_add_file(const char *path, struct fo_key_ring *ring, struct fo_fault *ret_fault)
{
    struct fo_public_key key;
    enum fo_err err = fo_keys_file_load_public(path, &key, ret_fault);

    if (err != FO_OK)
        return err;
    err = fo_key_ring_add(ring, &key);
    if (err == FO_ERR_EXISTS)
        return fault(ret_fault, err, path, "the same key stands in another *.pub file; remove one of them");
    if (err != FO_OK)
        return fault(ret_fault, err, path, "more than %d keys", FO_KEYS_MAX);
    return FO_OK;
}

enum fo_err
fo_keys_file_load_ring(const char *dir, struct fo_key_ring *ring, struct fo_fault *ret_fault)
{
    struct dirent **entries = NULL;
    char path[PATH_BYTES_MAX];
    enum fo_err err = FO_OK;
    int count = scandir(dir, &entries, is_public_key_name, alphasort);

    if (count < 0)
        return fault_errno(ret_fault, dir, "cannot read the directory of public keys");
    if (count == 0)
        err = fault(ret_fault, FO_ERR_NOT_FOUND, dir, "no *.pub key file in it; make a key pair with: fanout keys new --region REGION --dir DIR");
    for (int i = 0; i < count; i++) {
        if (err == FO_OK && snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name) >= (int)sizeof path)
            err = fault(ret_fault, FO_ERR_TOO_LARGE, dir, "the path is too long");
        if (err == FO_OK)
            err = ring_add_file(path, ring, ret_fault);
        free(entries[i]);
    }
    free(entries);
    return err;
}

/* The new name is durable only when its directory is. */
static int
sync_parent(const char *path)
{
    char dir[PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path), fd, rc;

    if (snprintf(dir, sizeof dir, "%.*s", n, slash == NULL ? "." : path) >= (int)sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    close(fd);
    return rc;
}

static int
write_all(int fd, const char *text)
{
    size_t n = strlen(text);
    ssize_t put;

    for (; n > 0; text += put, n -= (size_t)put) {
        put = write(fd, text, n);
        if (put < 0 && errno == EINTR)
            put = 0;
        else if (put < 0)
            return -1;
    }
    return 0;
}

static enum fo_err
write_text(const char *path, mode_t mode, const char *text, struct fo_fault *ret_fault)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    enum fo_err err = FO_OK;

    if (fd < 0)
        return fault_errno(ret_fault, path, "cannot create the key file");
    /* the umask may have taken bits away */
    if (fchmod(fd, mode) != 0 || write_all(fd, text) != 0 || fsync(fd) != 0 || sync_parent(path) != 0) {
        err = fault_errno(ret_fault, path, "cannot write the key file");
        unlink(path);
    }
    close(fd);
    return err;
}

enum fo_err
fo_keys_file_write_secret(const char *path, const struct fo_key_pair *pair, struct fo_fault *ret_fault)
{
    char *text = sodium_malloc(FO_KEY_TEXT_MAX);
    enum fo_err err;

    if (text == NULL)
        return fault(ret_fault, FO_ERR_NO_MEMORY, path, "no memory to write the key");
    err = fo_key_pair_format(pair, text);
    if (err == FO_OK)
        err = write_text(path, SECRET_MODE, text, ret_fault);
    else
        err = fault(ret_fault, err, path, "the key cannot be written as text");
    sodium_free(text);
    return err;
}

enum fo_err
fo_keys_file_write_public(const char *path, const struct fo_public_key *key, struct fo_fault *ret_fault)
{
    char text[FO_KEY_TEXT_MAX];
    enum fo_err err = fo_public_key_format(key, text);

    if (err != FO_OK)
        return fault(ret_fault, err, path, "the key cannot be written as text");
    return write_text(path, PUBLIC_MODE, text, ret_fault);
}
