/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "ports/log.h"

static void
stored(void *ctx, enum fo_err err, uint64_t durable_lsn)
{
    struct fx *fx = ctx;

    pthread_mutex_lock(&fx->mu);
    fx->calls++;
    fx->stored_err = err;
    fx->stored_lsn = durable_lsn;
    pthread_cond_broadcast(&fx->cond);
    pthread_mutex_unlock(&fx->mu);
}

int
fx_setup(void **state)
{
    struct fx *fx = calloc(1, sizeof *fx);

    assert_non_null(fx);
    strcpy(fx->dir, "/tmp/fo-journal-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    pthread_mutex_init(&fx->mu, NULL);
    pthread_cond_init(&fx->cond, NULL);
    fx->config = (struct fo_journal_config){.dir = fx->dir, .region = "eu-west-1", .segment_bytes = FX_SEGMENT_BYTES, .is_synced = true,
        .stored = stored, .stored_ctx = fx};
    fo_log_init("eu-west-1", FO_LOG_ERROR + 1);         /* the damage is made on purpose */
    *state = fx;
    return 0;
}

static void
remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char child[512];

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) != 0)
            remove_tree(child);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

int
fx_teardown(void **state)
{
    struct fx *fx = *state;

    fx_close(fx);
    remove_tree(fx->dir);
    pthread_mutex_destroy(&fx->mu);
    pthread_cond_destroy(&fx->cond);
    free(fx);
    return 0;
}

enum fo_err
fx_try_open(struct fx *fx)
{
    return fo_journal_file_open(&fx->config, &fx->journal, &fx->opened, &fx->fault);
}

void
fx_open(struct fx *fx)
{
    enum fo_err err = fx_try_open(fx);

    if (err != FO_OK)
        fail_msg("open: %s: %s: %s", fo_err_name(err), fx->fault.path, fx->fault.text);
}

void
fx_close(struct fx *fx)
{
    fo_journal_file_close(fx->journal);
    fx->journal = NULL;
    for (unsigned i = 0; i < fx->body_count; i++)
        free(fx->bodies[i]);
    fx->body_count = 0;
}

void
fx_body(uint32_t number, uint8_t *ret_body, size_t n)
{
    struct fo_rng rng;

    fo_rng_init(&rng, number);
    for (size_t i = 0; i < n; i++)
        ret_body[i] = (uint8_t)(fo_rng_next(&rng) | 1);     /* no zeros: an unwritten block is told from a body */
}

static enum fo_err
append_one(struct fx *fx, enum fo_record_type type, enum fo_lane lane, size_t n, uint64_t *ret_lsn)
{
    uint8_t *body = malloc(n + 1);
    struct fo_slice parts[2] = {{body, n / 3}, {body + n / 3, n - n / 3}};
    enum fo_err err;

    assert_non_null(body);
    assert_true(fx->body_count < FX_BODIES_MAX);
    fx_body(fx->next, body, n);
    fx->bodies[fx->body_count++] = body;
    err = fx->journal->ops->append(fx->journal, type, lane, fx->next, (struct fo_wall){1000 + fx->next}, parts, 2, ret_lsn);
    if (err == FO_OK)
        fx->next++;
    return err;
}

enum fo_err
fx_try_append(struct fx *fx, enum fo_record_type type, enum fo_lane lane, size_t n, uint64_t *ret_lsn)
{
    if (fx->journal->ops->wants_checkpoint(fx->journal)) {
        enum fo_err err = append_one(fx, FO_RECORD_CHECKPOINT, FO_LANE_HIGH, 100, ret_lsn);
        if (err != FO_OK)
            return err;
        fx->checkpoints++;
    }
    return append_one(fx, type, lane, n, ret_lsn);
}

uint64_t
fx_append(struct fx *fx, enum fo_record_type type, enum fo_lane lane, size_t n)
{
    uint64_t lsn = 0;

    assert_int_equal(fx_try_append(fx, type, lane, n, &lsn), FO_OK);
    return lsn;
}

void
fx_wait_calls(struct fx *fx, unsigned calls)
{
    pthread_mutex_lock(&fx->mu);
    while (fx->calls < calls)
        pthread_cond_wait(&fx->cond, &fx->mu);
    pthread_mutex_unlock(&fx->mu);
}

enum fo_err
fx_commit(struct fx *fx)
{
    unsigned calls = fx->calls;

    assert_true(fx->journal->ops->commit(fx->journal));
    fx_wait_calls(fx, calls + 1);
    return fx->stored_err;
}

uint64_t
fx_store(struct fx *fx, size_t n)
{
    uint64_t lsn = fx_append(fx, FO_RECORD_OWN, FO_LANE_HIGH, n);

    assert_int_equal(fx_commit(fx), FO_OK);
    assert_true(fx->stored_lsn > lsn);
    return lsn;
}

struct fo_journal_reader *
fx_reader(struct fx *fx, uint64_t lsn)
{
    struct fo_journal_reader *r = NULL;

    assert_int_equal(fx->journal->ops->reader_open(fx->journal, lsn, &r), FO_OK);
    return r;
}

void
fx_check_body(const struct fo_record *rec)
{
    uint8_t *expected = malloc(rec->body.n + 1);

    assert_non_null(expected);
    fx_body(rec->count, expected, rec->body.n);
    assert_memory_equal(rec->body.p, expected, rec->body.n);
    assert_true(rec->at.us == 1000 + (int64_t)rec->count);
    free(expected);
}

struct fx_seen
fx_read_all(struct fx *fx, uint64_t lsn)
{
    struct fo_journal_reader *r = fx_reader(fx, lsn);
    struct fx_seen seen = {0};
    struct fo_record rec;
    uint64_t expected_lsn = 0;
    enum fo_err err;

    while ((err = fx->journal->ops->read_next(r, FX_ALL, FX_ALL, &rec)) != FO_ERR_NOT_FOUND) {
        assert_true(rec.lsn >= expected_lsn);
        expected_lsn = rec.next_lsn;
        if (err == FO_ERR_CORRUPT) {
            seen.corrupt++;
            seen.corrupt_lsn = rec.lsn;
            continue;
        }
        assert_int_equal(err, FO_OK);
        fx_check_body(&rec);
        if (seen.own + seen.checkpoints > 0)
            assert_true(rec.count > seen.last);
        else
            seen.first = rec.count;
        seen.last = rec.count;
        if (rec.type == FO_RECORD_CHECKPOINT)
            seen.checkpoints++;
        else
            seen.own++;
    }
    fx->journal->ops->reader_close(r);
    return seen;
}

struct fo_journal_stats
fx_stats(struct fx *fx)
{
    struct fo_journal_stats st;

    fx->journal->ops->stats(fx->journal, &st);
    return st;
}

const char *
fx_segment_path(struct fx *fx, uint64_t base)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/journal/%016llx.seg", fx->dir, (unsigned long long)base);
    return path;
}

bool
fx_has_segment(struct fx *fx, uint64_t base)
{
    return access(fx_segment_path(fx, base), F_OK) == 0;
}

void
fx_overwrite(struct fx *fx, uint64_t base, uint64_t offset, const void *p, size_t n)
{
    int fd = open(fx_segment_path(fx, base), O_WRONLY);

    assert_true(fd >= 0);
    assert_true(pwrite(fd, p, n, (off_t)offset) == (ssize_t)n);
    close(fd);
}

void
fx_flip(struct fx *fx, uint64_t base, uint64_t offset)
{
    int fd = open(fx_segment_path(fx, base), O_RDONLY);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_true(pread(fd, &byte, 1, (off_t)offset) == 1);
    close(fd);
    byte ^= 0x10;
    fx_overwrite(fx, base, offset, &byte, 1);
}
