/* SPDX-License-Identifier: Apache-2.0
 *
 * A reference journal of a few hundred records in two segments, damaged in every possible place, one at a time:
 *
 *   - each byte flipped, in the older segment, in the last one, in DIR/region: it is noticed, no record is served wrong, and
 *     every other record is served
 *   - each segment cut short at every length: the records that are whole before the cut are served, and those of later segments
 *
 *   journal_flips [--all | --every N | --expect-failure] [WORKDIR]
 *
 *   --all       each of the eight bits; otherwise one bit of each byte, in turn
 *   --every N   only every N-th place
 *   --expect-failure   for a journal with a deliberate bug: ok as soon as something is found
 *
 * Bytes that carry nothing (padding, the unused rest of a segment) must change nothing. Prints TAP, and a line "count: ..." for each
 * kind. */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/journal_file.h"
#include "adapter/journal_format.h"
#include "base/rng.h"
#include "journal_work.h"
#include "ports/log.h"

enum {
    SEGMENT = FO_JOURNAL_SEGMENT_BYTES_MIN, BODY_MAX = 500, RECORDS_MAX = 2000, LAST_BYTES = 9000, GROUP = 4, PATH_SIZE = 200,
    FAULTS_SHOWN_MAX = 5, AGAIN_EVERY = 61,
};

struct placed { uint64_t lsn, end; uint32_t length; unsigned group; bool is_checkpoint; };

static char base[80], dir[PATH_SIZE - 80];
static struct placed record[RECORDS_MAX];
static uint8_t body[RECORDS_MAX][BODY_MAX];
static unsigned records, groups, second_first;     /* number of the first record of the second segment */
static uint64_t end_lsn;
static uint8_t original[2][SEGMENT];
static char region_text[512];
static size_t region_bytes;
static sem_t is_stored;
static enum fo_err stored_err;
static unsigned test_number, faults, every = 1;
static bool all_bits;

static void
stored(void *ctx, enum fo_err err, uint64_t durable_lsn)
{
    (void)ctx;
    (void)durable_lsn;
    stored_err = err;
    sem_post(&is_stored);
}

static enum fo_err
open_journal(struct fo_journal **ret_j, struct fo_journal_opened *ret_opened)
{
    struct fo_journal_config config = {.dir = dir, .region = "eu-west-1", .segment_bytes = SEGMENT, .record_bytes_max = BODY_MAX,
        .is_synced = true, .stored = stored};
    struct fo_fault fault;

    return fo_journal_file_open(&config, ret_j, ret_opened, &fault);
}

static void
must(bool is_so, const char *what)
{
    if (is_so)
        return;
    printf("Bail out! cannot make the reference journal: %s\n", what);
    exit(1);
}

static void
add(struct fo_journal *j, enum fo_record_type type, struct fo_rng *rng)
{
    struct placed *r = &record[records];
    struct fo_slice part;

    must(records < RECORDS_MAX, "too many records");
    r->length = (uint32_t)(fo_rng_below(rng, 5) == 0 ? fo_rng_below(rng, BODY_MAX) : fo_rng_below(rng, 200));
    r->group = groups;
    r->is_checkpoint = type == FO_RECORD_CHECKPOINT;
    for (uint32_t i = 0; i < r->length; i++)
        body[records][i] = (uint8_t)(fo_rng_next(rng) | 1);
    part = fo_slice_of(body[records], r->length);
    must(j->ops->append(j, type, FO_LANE_NORMAL, records, (struct fo_wall){records}, &part, 1, &r->lsn) == FO_OK, "append");
    r->end = r->lsn + fo_record_size(r->length);
    if (r->lsn >= SEGMENT && second_first == 0)
        second_first = records;
    records++;
}

static void
read_file(const char *name, uint8_t *p, size_t size, size_t *ret_n)
{
    char path[PATH_SIZE];
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY);
    must(fd >= 0, path);
    n = read(fd, p, size);
    must(n > 0, path);
    *ret_n = (size_t)n;
    close(fd);
}

static const char *
segment_name(unsigned s)
{
    static char name[60];

    snprintf(name, sizeof name, "journal/%016x.seg", s * SEGMENT);
    return name;
}

static void
make_reference(void)
{
    struct fo_journal_opened opened;
    struct fo_journal *j;
    struct fo_rng rng;
    size_t n;

    fo_rng_init(&rng, 11);
    sem_init(&is_stored, 0, 0);
    must(open_journal(&j, &opened) == FO_OK, "open");
    while (end_lsn < SEGMENT + LAST_BYTES) {
        for (unsigned i = 0; i < GROUP; i++) {
            if (j->ops->wants_checkpoint(j))
                add(j, FO_RECORD_CHECKPOINT, &rng);
            add(j, FO_RECORD_OWN, &rng);
        }
        groups++;
        must(j->ops->commit(j), "commit");
        sem_wait(&is_stored);
        must(stored_err == FO_OK, "store");
        end_lsn = record[records - 1].end;
    }
    fo_journal_file_close(j);
    for (unsigned s = 0; s < 2; s++) {
        read_file(segment_name(s), original[s], SEGMENT, &n);
        must(n == SEGMENT, "segment");
    }
    read_file("region", (uint8_t *)region_text, sizeof region_text, &region_bytes);
}

static void
write_file(const char *name, const void *p, size_t n)
{
    char path[PATH_SIZE];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, p, n) == (ssize_t)n, path);
    close(fd);
}

static void
restore(unsigned s)
{
    write_file(segment_name(s), original[s], SEGMENT);
}

/* Deletes what a start may have made behind the reference. */
static void
remove_more(void)
{
    char path[PATH_SIZE];

    for (unsigned s = 2; s < 4; s++) {
        snprintf(path, sizeof path, "%s/%s", dir, segment_name(s));
        (void)unlink(path);
    }
}

static void
write_byte(unsigned s, uint64_t offset, uint8_t byte)
{
    char path[PATH_SIZE];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, segment_name(s));
    fd = open(path, O_WRONLY);
    must(fd >= 0 && pwrite(fd, &byte, 1, (off_t)offset) == 1, path);
    close(fd);
}

static void
report_fault(const char *what, unsigned s, uint64_t offset, const char *text)
{
    if (++faults <= FAULTS_SHOWN_MAX)
        printf("# %s, segment %u, offset %llu: %s\n", what, s, (unsigned long long)offset, text);
}

static bool expects_failure;

static void
tap(const char *name)
{
    if (expects_failure && faults > 0) {
        printf("ok 1 - found: %s\n1..1\n", name);
        work_remove(base);
        exit(0);
    }
    if (expects_failure)
        return;
    printf("%s %u - %s\n", faults == 0 ? "ok" : "not ok", ++test_number, name);
    faults = 0;
}

static const char *
verdict(const char *when_right)
{
    return faults == 0 ? when_right : "; see above what went wrong";
}

struct seen { unsigned served, corrupt, wrong; bool has[RECORDS_MAX]; };

static void
read_all(struct fo_journal *j, uint64_t from, struct seen *ret_seen)
{
    struct fo_journal_reader *reader;
    struct fo_record rec;
    int64_t last = -1;
    enum fo_err err;

    memset(ret_seen, 0, sizeof *ret_seen);
    must(j->ops->reader_open(j, from, &reader) == FO_OK, "reader");
    while ((err = j->ops->read_next(reader, ~0u, ~0u, &rec)) != FO_ERR_NOT_FOUND) {
        if (err != FO_OK) {
            ret_seen->corrupt++;
            continue;
        }
        if (rec.count >= records || rec.count <= last || rec.lsn != record[rec.count].lsn || rec.body.n != record[rec.count].length ||
            memcmp(rec.body.p, body[rec.count], rec.body.n) != 0 || rec.at.us != rec.count || rec.lane != FO_LANE_NORMAL ||
            (rec.type == FO_RECORD_CHECKPOINT) != record[rec.count].is_checkpoint) {
            ret_seen->wrong++;
            continue;
        }
        last = rec.count;
        ret_seen->has[rec.count] = true;
        ret_seen->served++;
    }
    j->ops->reader_close(reader);
}

/* The record whose header or body holds the byte; -1: none. */
static int
record_at(uint64_t lsn)
{
    for (unsigned i = 0; i < records; i++)
        if (lsn >= record[i].lsn && lsn < record[i].lsn + FO_RECORD_HEADER_BYTES + record[i].length)
            return (int)i;
    return -1;
}

static uint64_t
end_of_used(unsigned s)
{
    return s == 0 ? record[second_first - 1].end + fo_record_size(0) : end_lsn - SEGMENT;
}

/* A reader's view of a flip in the older segment, whose journal stays open. */
static void
check_older(struct fo_journal *j, uint64_t offset, unsigned *ret_carrying)
{
    static struct seen seen;
    int hit = record_at(offset);
    bool is_end = offset >= record[second_first - 1].end && offset < end_of_used(0);

    read_all(j, 0, &seen);
    *ret_carrying += hit >= 0 || is_end;
    if (seen.wrong > 0)
        report_fault("flip", 0, offset, "a wrong record was served");
    if (hit >= 0 && (seen.has[hit] || seen.served != records - 1))
        report_fault("flip", 0, offset, "not exactly the damaged record is missing");
    if (hit < 0 && seen.served != records)
        report_fault("flip", 0, offset, "nothing was damaged, but something is missing");
    if (seen.corrupt != (hit >= 0 || is_end))
        report_fault("flip", 0, offset, "damage was not reported, or without reason");
}

static unsigned
next_bit(uint64_t offset, unsigned bit)
{
    return all_bits ? bit : (unsigned)(offset * 5 + 3) % 8;
}

static void
flip_older(void)
{
    struct fo_journal_opened opened;
    struct fo_journal *j;
    unsigned flips = 0, carrying = 0;

    must(open_journal(&j, &opened) == FO_OK, "open");
    for (uint64_t offset = FO_SEGMENT_HEADER_BYTES; offset < SEGMENT; offset += every)
        for (unsigned bit = 0; bit < (all_bits ? 8 : 1); bit++) {
            write_byte(0, offset, original[0][offset] ^ (uint8_t)(1u << next_bit(offset, bit)));
            check_older(j, offset, &carrying);
            write_byte(0, offset, original[0][offset]);
            flips++;
        }
    fo_journal_file_close(j);
    remove_more();
    restore(1);
    printf("count: journal, flips in an older segment of %u records: %u, of which %u in bytes that carry something%s\n",
        second_first, flips, carrying, verdict(": all detected, none served"));
    tap("each byte of an older segment flipped");
}

static void
check_start(struct fo_journal *j, const struct fo_journal_opened *opened, unsigned s, uint64_t offset, unsigned *ret_carrying)
{
    static struct seen seen;
    struct fo_journal_stats st;
    int hit = offset >= FO_SEGMENT_HEADER_BYTES ? record_at(s * SEGMENT + offset) : -1;
    bool is_header = offset < 64, is_detected;
    unsigned lost_max = hit >= 0;

    read_all(j, 0, &seen);
    j->ops->stats(j, &st);
    is_detected = seen.corrupt > 0 || st.quarantined > 0 || opened->torn_bytes > 0;
    *ret_carrying += hit >= 0 || is_header;
    if (seen.wrong > 0)
        report_fault("flip", s, offset, "a wrong record was served");
    if ((hit >= 0 || is_header) && !is_detected)
        report_fault("flip", s, offset, "not detected");
    if (hit >= 0 && seen.has[hit])
        report_fault("flip", s, offset, "the damaged record was served");
    if (hit == (int)records - 1 && st.quarantined > 0)
        report_fault("flip", s, offset, "what may be a torn end was called damage");
    if (seen.served + lost_max < records)
        report_fault("flip", s, offset, "more is missing than the damaged record");
}

/* After damage the journal goes on: a new record is stored, and is there after another start. */
static void
check_goes_on(struct fo_journal **j, unsigned s, uint64_t offset)
{
    struct fo_journal_opened opened;
    struct fo_slice part = fo_slice_of(body[1], record[1].length);
    struct fo_journal_reader *reader;
    struct fo_record rec;
    uint64_t lsn;

    if ((*j)->ops->wants_checkpoint(*j))
        must((*j)->ops->append(*j, FO_RECORD_CHECKPOINT, 0, 0, (struct fo_wall){0}, &part, 1, &lsn) == FO_OK, "append");
    must((*j)->ops->append(*j, FO_RECORD_OWN, FO_LANE_HIGH, RECORDS_MAX, (struct fo_wall){0}, &part, 1, &lsn) == FO_OK, "append");
    must((*j)->ops->commit(*j), "commit");
    sem_wait(&is_stored);
    fo_journal_file_close(*j);
    *j = NULL;
    if (open_journal(j, &opened) != FO_OK) {
        report_fault("after damage", s, offset, "does not open a second time");
        return;
    }
    if ((*j)->ops->reader_open(*j, lsn, &reader) != FO_OK) {
        report_fault("after damage", s, offset, "the new record is gone");
        return;
    }
    if ((*j)->ops->read_next(reader, ~0u, ~0u, &rec) != FO_OK || rec.lsn != lsn || rec.count != RECORDS_MAX)
        report_fault("after damage", s, offset, "the new record is gone");
    (*j)->ops->reader_close(reader);
}

static void
flip_and_start(unsigned s, uint64_t from, uint64_t to, const char *name)
{
    unsigned flips = 0, carrying = 0;

    for (uint64_t offset = from; offset < to; offset += every)
        for (unsigned bit = 0; bit < (all_bits ? 8 : 1); bit++) {
            struct fo_journal_opened opened;
            struct fo_journal *j = NULL;
            enum fo_err err;

            write_byte(s, offset, original[s][offset] ^ (uint8_t)(1u << next_bit(offset, bit)));
            err = open_journal(&j, &opened);
            /* The version, and the region's name, are believed only with a good checksum. */
            if (err != FO_OK)
                report_fault("flip", s, offset, fo_err_name(err));
            else
                check_start(j, &opened, s, offset, &carrying);
            if (err == FO_OK && flips % AGAIN_EVERY == 0)
                check_goes_on(&j, s, offset);
            fo_journal_file_close(j);
            remove_more();
            restore(0);
            restore(1);
            flips++;
        }
    printf("count: journal, flips before a start, %s: %u, of which %u in bytes that carry something%s\n", name, flips, carrying,
        verdict(": all detected, none served"));
    tap(name);
}

static void
flip_identity(void)
{
    struct fo_journal_opened opened;
    struct fo_journal *j;
    char text[sizeof region_text];
    unsigned flips = 0;

    for (size_t at = 0; at < region_bytes; at += every)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(text, region_text, sizeof text);
            text[at] ^= (char)(1u << bit);
            write_file("region", text, region_bytes);
            if (open_journal(&j, &opened) == FO_OK) {
                report_fault("flip in DIR/region", 0, at, "not noticed");
                fo_journal_file_close(j);
            }
            flips++;
        }
    for (size_t n = 0; n < region_bytes; n += every, flips++) {
        write_file("region", region_text, n);
        if (open_journal(&j, &opened) == FO_OK) {
            report_fault("cut of DIR/region", 0, n, "not noticed");
            fo_journal_file_close(j);
        }
    }
    write_file("region", region_text, region_bytes);
    printf("count: journal, flips and cuts of DIR/region: %u%s\n", flips, verdict(", all refused"));
    tap("each bit of DIR/region flipped, and each cut");
}

static void
cut_last(void)
{
    static struct seen seen;
    char path[PATH_SIZE];
    unsigned cuts = 0;

    for (uint64_t n = 0; n < SEGMENT; n += n < end_of_used(1) + 64 ? every : 509 * every, cuts++) {
        struct fo_journal_opened opened;
        struct fo_journal *j = NULL;
        unsigned whole = second_first;

        while (whole < records && record[whole].end <= SEGMENT + n)
            whole++;
        snprintf(path, sizeof path, "%s/%s", dir, segment_name(1));
        must(truncate(path, (off_t)n) == 0, "truncate");
        if (open_journal(&j, &opened) != FO_OK) {
            report_fault("cut", 1, n, "does not open");
        } else {
            read_all(j, 0, &seen);
            if (seen.wrong > 0)
                report_fault("cut", 1, n, "a wrong record was served");
            if (seen.served != whole || seen.corrupt > 0 || (whole > 0 && !seen.has[whole - 1]))
                report_fault("cut", 1, n, "not the records before the cut");
            if (cuts % AGAIN_EVERY == 0)
                check_goes_on(&j, 1, n);
        }
        fo_journal_file_close(j);
        remove_more();
        restore(0);
        restore(1);
    }
    printf("count: journal, cuts of the last segment: %u%s\n", cuts, verdict(", each a prefix"));
    tap("the last segment cut at every length");
}

static void
cut_older(void)
{
    static struct seen seen;
    struct fo_journal_opened opened;
    struct fo_journal *j;
    char path[PATH_SIZE];
    unsigned cuts = 0;

    must(open_journal(&j, &opened) == FO_OK, "open");
    for (uint64_t n = 0; n < SEGMENT; n += every, cuts++) {
        unsigned whole = 0;

        while (whole < second_first && record[whole].end <= n)
            whole++;
        snprintf(path, sizeof path, "%s/%s", dir, segment_name(0));
        must(truncate(path, (off_t)n) == 0, "truncate");
        read_all(j, 0, &seen);
        if (seen.wrong > 0)
            report_fault("cut", 0, n, "a wrong record was served");
        if (seen.served != whole + records - second_first)
            report_fault("cut", 0, n, "not the records before the cut and those of the next segment");
        if (whole < second_first && seen.corrupt == 0)
            report_fault("cut", 0, n, "not reported");
        restore(0);
    }
    fo_journal_file_close(j);
    remove_more();
    restore(1);
    printf("count: journal, cuts of an older segment: %u%s\n", cuts, verdict(", all the rest served"));
    tap("an older segment cut at every length");
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--all") == 0) {
        all_bits = true;
        argc--, argv++;
    } else if (argc > 1 && strcmp(argv[1], "--expect-failure") == 0) {
        expects_failure = true;
        argc--, argv++;
    } else if (argc > 2 && strcmp(argv[1], "--every") == 0) {
        every = (unsigned)atoi(argv[2]);
        argc -= 2, argv += 2;
    }
    snprintf(base, sizeof base, "%.60s/fo-flips-XXXXXX", argc > 1 ? argv[1] : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(base) == NULL)
        return perror(base), 1;
    snprintf(dir, sizeof dir, "%s/data", base);
    fo_log_init("eu-west-1", FO_LOG_ERROR + 1);         /* the damage is made on purpose */
    make_reference();
    flip_older();
    flip_and_start(0, 0, FO_SEGMENT_HEADER_BYTES, "each byte of an older segment's header flipped");
    flip_and_start(1, 0, end_of_used(1) + 64, "each byte of the last segment flipped");
    flip_identity();
    cut_older();
    cut_last();
    if (expects_failure)
        printf("not ok %u - nothing was found\n", ++test_number);
    printf("1..%u\n", test_number);
    work_remove(base);
    return 0;
}
