/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing, and the table of functions that is the port. */
#include "adapter/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/journal_identity.h"
#include "adapter/journal_read.h"
#include "adapter/journal_recover.h"
#include "adapter/journal_segments.h"
#include "adapter/journal_write.h"
#include "base/assert.h"
#include "ports/log.h"

enum { RECORD_BYTES_DEFAULT_MAX = 8 << 20, DIR_MODE = 0700 };

struct journal_file {
    struct fo_journal port;             /* first, so that a pointer to it is a pointer to this */
    char *dir;
    int lock_fd;
    struct fo_identity identity;
    struct fo_segments segments;
    struct fo_journal_writer writer;
    bool has_segments, has_writer;
    struct fo_journal_opened opened;
    _Atomic unsigned reader_count;
};

static struct journal_file *
file_of(struct fo_journal *j)
{
    return (struct journal_file *)j;
}

static enum fo_err
append(struct fo_journal *j, enum fo_record_type type, enum fo_lane lane, uint32_t count, struct fo_wall at, const struct fo_slice *body,
    unsigned parts, uint64_t *ret_lsn)
{
    return fo_journal_writer_append(&file_of(j)->writer, type, lane, count, at, body, parts, ret_lsn);
}

static bool
commit(struct fo_journal *j)
{
    return fo_journal_writer_commit(&file_of(j)->writer);
}

static bool
wants_checkpoint(struct fo_journal *j)
{
    return fo_journal_writer_wants_checkpoint(&file_of(j)->writer);
}

/* Never beyond what is durable: then the segment that stays has its CHECKPOINT on disk. */
static void
trim(struct fo_journal *j, uint64_t below_lsn)
{
    struct journal_file *f = file_of(j);
    uint64_t durable = atomic_load_explicit(&f->writer.durable_lsn, memory_order_acquire);

    fo_segments_trim(&f->segments, below_lsn < durable ? below_lsn : durable);
}

static void
stats(struct fo_journal *j, struct fo_journal_stats *ret_stats)
{
    struct journal_file *f = file_of(j);
    struct fo_journal_stats st = {
        .end_lsn = atomic_load_explicit(&f->writer.end_lsn, memory_order_relaxed),
        .durable_lsn = atomic_load_explicit(&f->writer.durable_lsn, memory_order_acquire),
        .fsync_count = atomic_load_explicit(&f->writer.fsync_count, memory_order_relaxed),
    };

    fo_segments_stats(&f->segments, &st);
    *ret_stats = st;
}

static enum fo_err
reader_open(struct fo_journal *j, uint64_t lsn, struct fo_journal_reader **ret_reader)
{
    struct journal_file *f = file_of(j);

    return fo_reader_create(&f->segments, &f->writer, &f->reader_count, lsn, ret_reader);
}

static const struct fo_journal_ops ops = {
    .append = append,
    .commit = commit,
    .wants_checkpoint = wants_checkpoint,
    .trim = trim,
    .stats = stats,
    .reader_open = reader_open,
    .read_next = fo_reader_next,
    .reader_lsn = fo_reader_lsn,
    .reader_seek = fo_reader_seek,
    .reader_close = fo_reader_destroy,
};

static enum fo_err
config_fault(struct fo_fault *ret_fault, const char *key, const char *text)
{
    *ret_fault = (struct fo_fault){.err = FO_ERR_INVALID};
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s", key);
    snprintf(ret_fault->text, sizeof ret_fault->text, "%s", text);
    return FO_ERR_INVALID;
}

/* Fills in defaults. */
static enum fo_err
check_config(struct fo_journal_config *c, struct fo_fault *ret_fault)
{
    uint64_t fixed = FO_SEGMENT_HEADER_BYTES + 2 * fo_record_size(0);

    fo_assert(c->dir && c->region && c->stored);
    c->segment_bytes -= c->segment_bytes % FO_JOURNAL_SEGMENT_ALIGN;
    if (strlen(c->region) > FO_REGION_BYTES_MAX || *c->region == '\0' || strpbrk(c->region, " \n\t"))
        return config_fault(ret_fault, "region", "a region's name is 1 to 32 characters without blanks");
    if (c->segment_bytes < FO_JOURNAL_SEGMENT_BYTES_MIN || c->segment_bytes > FO_JOURNAL_SEGMENT_BYTES_MAX)
        return config_fault(ret_fault, "journal.segment_bytes", "a segment has 65536 to 1073741824 bytes");
    if (c->record_bytes_max == 0)
        c->record_bytes_max = c->segment_bytes / 4 < RECORD_BYTES_DEFAULT_MAX ? c->segment_bytes / 4 : RECORD_BYTES_DEFAULT_MAX;
    if (3 * fo_record_size(c->record_bytes_max) + fixed > c->segment_bytes)
        return config_fault(ret_fault, "journal.segment_bytes", "a segment must hold at least three of the largest records");
    if (c->bytes_max != 0 && c->bytes_max < 2 * (uint64_t)c->segment_bytes)
        return config_fault(ret_fault, "journal.bytes_max", "the journal needs room for at least two segments");
    return FO_OK;
}

static enum fo_err
open_segments_dir(struct journal_file *f, int *ret_fd, struct fo_fault *ret_fault)
{
    int dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = -1;

    if (dir_fd < 0)
        return fo_errno_fault(ret_fault, f->dir, "", "open the directory");
    if ((mkdirat(dir_fd, "journal", DIR_MODE) != 0 && errno != EEXIST) ||
        (fd = openat(dir_fd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || fsync(dir_fd) != 0)
        fo_errno_fault(ret_fault, f->dir, "journal", "open the directory");
    close(dir_fd);
    if (ret_fault->err == FO_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return ret_fault->err;
}

static const char segments_gone[] = "the segments are gone; restore them, or begin anew with an empty data directory";

static enum fo_err
lost(struct journal_file *f, struct fo_fault *ret_fault, const char *name, const char *text)
{
    snprintf(ret_fault->path, sizeof ret_fault->path, "%s/%s", f->dir, name);
    snprintf(ret_fault->text, sizeof ret_fault->text, "%s", text);
    return ret_fault->err = FO_ERR_CORRUPT;
}

/* Loads DIR/region, or makes it. It and the segments must be there together; only a directory that is new may have neither. */
static enum fo_err
settle_identity(struct journal_file *f, const char *region, int segments_fd, struct fo_fault *ret_fault)
{
    bool has_segments;
    enum fo_err err = fo_journal_has_segments(segments_fd, &has_segments);

    if (err != FO_OK)
        return fo_errno_fault(ret_fault, f->dir, "journal", "list");
    err = fo_identity_load(f->dir, region, &f->identity, ret_fault);
    if (err == FO_OK && f->identity.is_begun && !has_segments)
        return lost(f, ret_fault, "journal", segments_gone);
    if (err != FO_ERR_NOT_FOUND)
        return err;
    if (has_segments)
        return lost(f, ret_fault, "region", "the file is gone, but the journal is not; restore it from a backup");
    err = fo_identity_init(&f->identity, region);
    if (err != FO_OK)
        return fo_errno_fault(ret_fault, f->dir, "region", "get random bytes");
    return fo_identity_store(f->dir, &f->identity, ret_fault);
}

/* Remembers, before the first append, that there are segments, whether what this run stores may vanish with the machine, and the epoch
 * that follows from what the run before may have lost: all in one, so that none of it is forgotten without the others. */
static enum fo_err
note_run(struct journal_file *f, bool is_synced, struct fo_fault *ret_fault)
{
    struct fo_identity before = f->identity, *id = &f->identity;
    bool was_unsynced = strcmp(before.unsynced_boot, "-") != 0;
    char boot[FO_BOOT_ID_SIZE];

    fo_boot_id(boot);
    f->opened.may_have_lost |= was_unsynced && strcmp(before.unsynced_boot, boot) != 0;
    if (f->opened.may_have_lost)
        id->epoch = fo_epoch_now() > id->epoch ? fo_epoch_now() : id->epoch + 1;
    strcpy(id->unsynced_boot, is_synced ? "-" : boot);
    id->is_begun = true;
    if (before.is_begun && before.epoch == id->epoch && strcmp(before.unsynced_boot, id->unsynced_boot) == 0)
        return FO_OK;
    /* Recovery synced the last segment; the ones before it may still be in the kernel's cache only. */
    if (was_unsynced && is_synced && syncfs(f->segments.dir_fd) != 0)
        return fo_errno_fault(ret_fault, f->dir, "journal", "sync what a run with durability process left");
    return fo_identity_store(f->dir, id, ret_fault);
}

static enum fo_err
open_all(struct journal_file *f, const struct fo_journal_config *c, struct fo_fault *ret_fault)
{
    struct fo_recovery rec;
    enum fo_err err;
    int fd = -1;

    err = fo_dir_lock(f->dir, &f->lock_fd, ret_fault);
    if (err == FO_OK)
        err = open_segments_dir(f, &fd, ret_fault);
    if (err != FO_OK)
        return err;
    err = settle_identity(f, c->region, fd, ret_fault);
    fo_segments_init(&f->segments, fd, c->region, f->identity.secret, c->segment_bytes, c->bytes_max, c->is_synced);
    f->has_segments = true;
    if (err != FO_OK)
        return err;
    err = fo_journal_recover(&f->segments, f->dir, strcmp(f->identity.unsynced_boot, "-") != 0, &rec, ret_fault);
    if (err == FO_ERR_CORRUPT)
        return lost(f, ret_fault, "journal", segments_gone);
    if (err != FO_OK)
        return err;
    f->opened = (struct fo_journal_opened){.is_new = rec.is_empty, .checkpoint_lsn = rec.checkpoint_lsn, .torn_bytes = rec.torn_bytes,
        .may_have_lost = rec.is_lost || rec.is_damaged};
    f->has_writer = true;
    err = fo_journal_writer_init(&f->writer, &f->segments, c->record_bytes_max, c->is_synced, c->stored, c->stored_ctx, rec.end);
    if (err == FO_OK)
        err = fo_segments_keeper_start(&f->segments);
    if (err == FO_OK)
        err = note_run(f, c->is_synced, ret_fault);
    return err;
}

static void
close_all(struct journal_file *f)
{
    if (f->has_writer)
        fo_journal_writer_fini(&f->writer);     /* before the keeper, which may owe it a segment */
    if (f->has_segments)
        fo_segments_fini(&f->segments);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    free(f->dir);
    free(f);
}

enum fo_err
fo_journal_file_open(const struct fo_journal_config *config, struct fo_journal **ret_journal, struct fo_journal_opened *ret_opened,
    struct fo_fault *ret_fault)
{
    struct fo_journal_config c = *config;
    struct journal_file *f;
    enum fo_err err;

    *ret_fault = (struct fo_fault){0};
    err = check_config(&c, ret_fault);
    if (err != FO_OK)
        return err;
    f = calloc(1, sizeof *f);
    if (!f)
        return FO_ERR_NO_MEMORY;
    f->port.ops = &ops;
    f->lock_fd = -1;
    f->dir = strdup(c.dir);
    err = f->dir ? open_all(f, &c, ret_fault) : FO_ERR_NO_MEMORY;
    if (err != FO_OK) {
        ret_fault->err = err;
        if (ret_fault->text[0] == '\0')
            snprintf(ret_fault->text, sizeof ret_fault->text, "cannot open the journal: %s", fo_err_text(err));
        close_all(f);
        return err;
    }
    *ret_journal = &f->port;
    *ret_opened = f->opened;
    return FO_OK;
}

/* A clean end of an unsynced run: everything is synced now, so a restart of the machine takes nothing. Failing that, the next
 * start after one begins a new epoch, which is safe. */
static void
sync_unsynced(struct journal_file *f)
{
    struct fo_identity id = f->identity;
    struct fo_fault fault = {0};
    enum fo_err err;

    if (f->writer.is_synced)
        return;
    strcpy(id.unsynced_boot, "-");
    err = syncfs(f->segments.dir_fd) == 0 ? fo_identity_store(f->dir, &id, &fault) : FO_ERR_IO;
    if (err != FO_OK)
        fo_log(FO_LOG_WARN, "journal_close_not_synced", FO_E(err), FO_S("reason", fault.text));
}

void
fo_journal_file_finish(struct fo_journal *journal)
{
    struct journal_file *f = file_of(journal);

    if (!f->has_writer)
        return;
    fo_journal_writer_fini(&f->writer);
    f->has_writer = false;
    sync_unsynced(f);
}

void
fo_journal_file_close(struct fo_journal *journal)
{
    if (!journal)
        return;
    fo_assert(atomic_load(&file_of(journal)->reader_count) == 0);
    fo_journal_file_finish(journal);
    close_all(file_of(journal));
}

uint64_t
fo_journal_file_epoch(const struct fo_journal *journal)
{
    return ((const struct journal_file *)journal)->identity.epoch;
}
