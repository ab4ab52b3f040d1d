/* SPDX-License-Identifier: Apache-2.0 */
#include "journal_work.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "base/rng.h"

enum { GROUP_MAX = 8, KEPT_SEGMENTS = 2, RECORDS_MAX = 4096, PATH_SIZE = 600 };

struct run {
    struct fo_journal *journal;
    const struct fo_journal_ops *ops;
    struct work_told *told;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    unsigned calls;
    enum fo_err err;
    uint32_t next;              /* number of the next record */
    uint32_t next_committed;    /* of those behind the commit that is under way */
    uint8_t *body[RECORDS_MAX]; /* borrowed by the journal, freed when it is closed */
    unsigned bodies;
};

static uint64_t segment_of[RECORDS_MAX];    /* base of the segment in which each record begins; for trims */

static void
stored(void *ctx, enum fo_err err, uint64_t durable_lsn)
{
    struct run *r = ctx;

    (void)durable_lsn;
    pthread_mutex_lock(&r->mu);
    r->calls++;
    r->err = err;
    if (err == FO_OK && r->told != NULL)
        r->told->acked = r->next_committed; /* told at once: from here on it must not be lost */
    pthread_cond_broadcast(&r->cond);
    pthread_mutex_unlock(&r->mu);
}

size_t
work_body(uint32_t number, uint8_t *ret_body)
{
    struct fo_rng rng;
    size_t n;

    fo_rng_init(&rng, number);
    n = fo_rng_below(&rng, 4) == 0 ? fo_rng_below(&rng, WORK_BODY_MAX) : fo_rng_below(&rng, 900);
    for (size_t i = 0; i < n; i++)
        ret_body[i] = (uint8_t)(fo_rng_next(&rng) | 1);     /* no zeros: what was never written is told from a body */
    return n;
}

static enum fo_err
open_run(struct run *r, const char *dir, bool is_synced, struct work_told *told, struct fo_journal_opened *ret_opened, struct fo_fault *ret_fault)
{
    struct fo_journal_config config = {.dir = dir, .region = "eu-west-1", .segment_bytes = WORK_SEGMENT_BYTES,
        .record_bytes_max = WORK_BODY_MAX, .is_synced = is_synced, .stored = stored, .stored_ctx = r};
    enum fo_err err;

    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->mu, NULL);
    pthread_cond_init(&r->cond, NULL);
    r->told = told;
    err = fo_journal_file_open(&config, &r->journal, ret_opened, ret_fault);
    if (err == FO_OK)
        r->ops = r->journal->ops;
    return err;
}

static void
close_run(struct run *r)
{
    fo_journal_file_close(r->journal);
    r->journal = NULL;
    while (r->bodies > 0)
        free(r->body[--r->bodies]);
}

static enum fo_err
append_one(struct run *r, enum fo_record_type type)
{
    uint8_t *body = malloc(WORK_BODY_MAX);
    size_t n = work_body(r->next, body);
    struct fo_slice parts[2] = {{body, n / 3}, {body + n / 3, n - n / 3}};
    uint64_t lsn;
    enum fo_err err;

    if (r->next == RECORDS_MAX || r->bodies == RECORDS_MAX)
        abort();
    if (r->told != NULL)
        r->told->appended = r->next + 1;
    err = r->ops->append(r->journal, type, FO_LANE_HIGH, r->next, (struct fo_wall){1000 + r->next}, parts, 2, &lsn);
    if (err != FO_OK) {
        free(body);
        return err;
    }
    r->body[r->bodies++] = body;
    segment_of[r->next] = lsn / WORK_SEGMENT_BYTES * WORK_SEGMENT_BYTES;
    r->next++;
    return FO_OK;
}

/* A full disk refuses an append; later it may work. */
static enum fo_err
append(struct run *r)
{
    enum fo_err err = FO_OK;

    for (int attempt = 0; attempt < 100; attempt++) {
        err = r->ops->wants_checkpoint(r->journal) ? append_one(r, FO_RECORD_CHECKPOINT) : FO_OK;
        if (err == FO_OK)
            err = append_one(r, FO_RECORD_OWN);
        if (err != FO_ERR_NO_SPACE)
            return err;
        if (r->told != NULL)
            r->told->refused++;
        usleep(10000);
    }
    return err;
}

/* Commits until it is stored; a full disk is asked again. Meanwhile `more` records gather for the next commit. */
static enum fo_err
commit(struct run *r, uint64_t more)
{
    enum fo_err err = FO_ERR_NO_SPACE;

    r->next_committed = r->next;
    for (int attempt = 0; err == FO_ERR_NO_SPACE && attempt < 50; attempt++) {
        unsigned calls = r->calls;

        if (!r->ops->commit(r->journal))
            return FO_ERR_IO;
        for (; more > 0; more--)
            if (append(r) != FO_OK)
                more = 1;                   /* the journal failed, or is full: the commit says so too */
        pthread_mutex_lock(&r->mu);
        while (r->calls == calls)
            pthread_cond_wait(&r->cond, &r->mu);
        err = r->err;
        pthread_mutex_unlock(&r->mu);
        if (r->told != NULL && err == FO_ERR_NO_SPACE)
            r->told->refused++;
    }
    return err;
}

/* Keeps the last segments only. */
static void
trim(struct run *r)
{
    struct fo_journal_stats st;
    uint64_t below;

    r->ops->stats(r->journal, &st);
    if (st.durable_lsn < (KEPT_SEGMENTS + 1) * WORK_SEGMENT_BYTES)
        return;
    below = (st.durable_lsn / WORK_SEGMENT_BYTES - KEPT_SEGMENTS) * WORK_SEGMENT_BYTES;
    while (r->told->trimmed < r->told->acked && segment_of[r->told->trimmed] < below)
        r->told->trimmed++;
    r->ops->trim(r->journal, below);
}

static enum fo_err
work_groups(struct run *r, const struct work_options *o, uint64_t seed)
{
    struct fo_rng rng;
    enum fo_err err = FO_OK;

    fo_rng_init(&rng, seed);
    for (unsigned step = 0; step < o->steps && err == FO_OK; step++) {
        for (uint64_t n = fo_rng_below(&rng, GROUP_MAX) + 1; n > 0 && err == FO_OK; n--)
            err = append(r);
        if (err == FO_OK)
            err = commit(r, fo_rng_below(&rng, 3));
        if (err == FO_OK)
            trim(r);
    }
    return err;
}

/* As after a restart of the machine in the middle of a run without sync: whoever opens it from now on has to begin a later epoch. */
static enum fo_err
leave_unsynced(const char *dir, struct work_told *told, struct fo_fault *fault)
{
    struct fo_identity id;
    enum fo_err err = fo_identity_load(dir, "eu-west-1", &id, fault);

    strcpy(id.unsynced_boot, "00000000-0000-0000-0000-000000000000");
    if (err == FO_OK)
        err = fo_identity_store(dir, &id, fault);
    if (err == FO_OK)
        told->epoch = id.epoch + 1;
    return err;
}

void
work_live(const char *dir, const struct work_options *o, struct work_told *told)
{
    struct fo_journal_opened opened;
    struct fo_fault fault = {0};
    static struct run r;

    memset(told, 0, sizeof *told);
    for (unsigned start = 0; start < 2 && told->failed == FO_OK; start++) {
        told->is_open = false;
        if (start == 1 && (told->failed = leave_unsynced(dir, told, &fault)) != FO_OK)
            return;
        told->failed = open_run(&r, dir, o->is_synced, told, &opened, &fault);
        if (told->failed != FO_OK)
            return;
        r.next = told->appended = told->acked;              /* what was only appended is gone with the first run's end */
        told->epoch = fo_journal_file_epoch(r.journal);
        told->is_open = true;
        told->failed = work_groups(&r, o, o->seed + start);
        close_run(&r);
    }
}

static bool
fault(char ret_fault[WORK_FAULT_SIZE], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(ret_fault, WORK_FAULT_SIZE, format, args);
    va_end(args);
    return false;
}

static bool
is_right(const struct fo_record *rec)
{
    uint8_t body[WORK_BODY_MAX];
    size_t n = work_body(rec->count, body);

    return rec->body.n == n && (n == 0 || memcmp(rec->body.p, body, n) == 0) && rec->at.us == 1000 + (int64_t)rec->count;
}

/* Reads everything; ret_first and ret_end say which numbers there are, without a gap. */
static bool
read_all(struct run *r, uint32_t *ret_first, uint32_t *ret_end, char ret_fault[WORK_FAULT_SIZE])
{
    struct fo_journal_reader *reader;
    struct fo_record rec;
    enum fo_err err = r->ops->reader_open(r->journal, 0, &reader);
    bool is_good = true;

    *ret_first = *ret_end = 0;
    if (err != FO_OK)
        return fault(ret_fault, "no reader: %s", fo_err_name(err));
    for (uint32_t n = 0; is_good && (err = r->ops->read_next(reader, ~0u, ~0u, &rec)) != FO_ERR_NOT_FOUND; n++) {
        if (err != FO_OK)
            is_good = fault(ret_fault, "reading at lsn %llu: %s", (unsigned long long)rec.lsn, fo_err_name(err));
        else if (n > 0 && rec.count != *ret_end)
            is_good = fault(ret_fault, "record %u follows record %u", rec.count, *ret_end - 1);
        else if (!is_right(&rec))
            is_good = fault(ret_fault, "record %u has a wrong body", rec.count);
        else if (n == 0)
            *ret_first = rec.count;
        *ret_end = rec.count + 1;
    }
    r->ops->reader_close(reader);
    return is_good;
}

static bool
check_first_look(struct run *r, const struct fo_journal_opened *opened, const struct work_told *told, uint32_t *ret_end,
    char ret_fault[WORK_FAULT_SIZE])
{
    struct fo_journal_stats st;
    struct fo_journal_reader *reader;
    struct fo_record rec;
    uint32_t first;

    r->ops->stats(r->journal, &st);
    if (st.quarantined != 0)
        return fault(ret_fault, "%llu places are called damaged", (unsigned long long)st.quarantined);
    if (fo_journal_file_epoch(r->journal) < told->epoch)
        return fault(ret_fault, "the epoch went back");
    if (!read_all(r, &first, ret_end, ret_fault))
        return false;
    if (first > told->trimmed)
        return fault(ret_fault, "begins at record %u, but only those below %u were given up", first, told->trimmed);
    if (*ret_end < told->acked)
        return fault(ret_fault, "ends before record %u, but all below %u were acknowledged", *ret_end, told->acked);
    if (*ret_end > told->appended)
        return fault(ret_fault, "record %u was never appended", *ret_end - 1);
    if (*ret_end == 0)
        return true;
    if (r->ops->reader_open(r->journal, opened->checkpoint_lsn, &reader) != FO_OK)
        return fault(ret_fault, "no reader at the checkpoint");
    if (r->ops->read_next(reader, ~0u, ~0u, &rec) != FO_OK || rec.lsn != opened->checkpoint_lsn || rec.type != FO_RECORD_CHECKPOINT) {
        r->ops->reader_close(reader);
        return fault(ret_fault, "no checkpoint at lsn %llu", (unsigned long long)opened->checkpoint_lsn);
    }
    r->ops->reader_close(reader);
    return true;
}

bool
work_judge(const char *dir, const struct work_told *told, char ret_fault[WORK_FAULT_SIZE])
{
    static struct run r;
    struct fo_journal_opened opened;
    struct fo_fault f;
    uint32_t end = 0, first, again;
    enum fo_err err;
    bool is_good;

    err = open_run(&r, dir, true, NULL, &opened, &f);
    if (err != FO_OK)
        return fault(ret_fault, "does not open: %s: %s", f.path, f.text);
    is_good = check_first_look(&r, &opened, told, &end, ret_fault);
    r.next = end;
    for (int i = 0; i < 3 && is_good; i++)
        if ((err = append(&r)) != FO_OK || (err = commit(&r, 0)) != FO_OK)
            is_good = fault(ret_fault, "takes no new record: %s", fo_err_name(err));
    end = r.next;
    close_run(&r);
    if (!is_good)
        return false;
    err = open_run(&r, dir, true, NULL, &opened, &f);
    if (err != FO_OK)
        return fault(ret_fault, "does not open again: %s: %s", f.path, f.text);
    is_good = read_all(&r, &first, &again, ret_fault);
    if (is_good && again != end)
        is_good = fault(ret_fault, "had %u records, has %u after a clean close", end, again);
    if (is_good && opened.torn_bytes > 0)
        is_good = fault(ret_fault, "torn after a clean close");
    close_run(&r);
    return is_good;
}

void
work_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char child[PATH_SIZE];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (unlink(child) != 0)
            work_remove(child);
    }
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

static void
copy_file(const char *from, const char *to)
{
    static uint8_t buffer[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t got;

    while (in >= 0 && out >= 0 && (got = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)got) != got)
            abort();
    if (in < 0 || out < 0)
        abort();
    close(in);
    close(out);
}

void
work_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    char a[PATH_SIZE], b[PATH_SIZE];
    struct stat st;

    if (dir == NULL || mkdir(to, 0700) != 0)
        abort();
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
        snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
        if (stat(a, &st) != 0)
            abort();
        if (S_ISDIR(st.st_mode))
            work_copy(a, b);
        else
            copy_file(a, b);
    }
    closedir(dir);
}
