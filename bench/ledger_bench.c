/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows per second that the ledger's thread writes: a journal full of settled batches, and an empty database to write them to.
 *
 *   ledger_bench CONNINFO [EVENTS [ROWS_MAX [BATCH]]]    as the owner of a database that has no rows yet; prints one line
 *
 * bench/ledger makes the database and compares variants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapter/journal_file.h"
#include "adapter/ledger_pg.h"
#include "adapter/migrate_pg.h"
#include "base/rng.h"
#include "base/uuid.h"
#include "broker/state.h"
#include "ports/log.h"
#include "wire/frame.h"

enum { PAYLOAD_BYTES = 256, RECORD_MAX = 600, POLL_US = 2000 };

static struct fo_region_names regions = { { "us-east-1", "us-west-2", "eu-west-1" }, 3 };
static struct fo_key_pair key;
static struct fo_rng rng;
static uint8_t payload[PAYLOAD_BYTES];
static uint64_t durable_lsn, next_seq = 1;

static void
must(enum fo_err err, const char *what)
{
    if (err == FO_OK)
        return;
    fprintf(stderr, "ledger_bench: %s: %s\n", what, fo_err_text(err));
    exit(1);
}

static double
seconds(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
on_stored(void *ctx, enum fo_err err, uint64_t lsn)
{
    (void)ctx;
    must(err, "journal");
    __atomic_store_n(&durable_lsn, lsn, __ATOMIC_SEQ_CST);
}

static void
append(struct fo_journal *j, enum fo_record_type type, uint32_t count, int64_t at_us, const struct fo_buf *body)
{
    struct fo_slice part = fo_buf_slice(body), nothing = FO_SLICE_LIT("x");
    struct fo_wall at = { at_us };
    uint64_t lsn;

    if (j->ops->wants_checkpoint(j))
        must(j->ops->append(j, FO_RECORD_CHECKPOINT, 0, 0, at, &nothing, 1, &lsn), "checkpoint");
    must(j->ops->append(j, type, type == FO_RECORD_OWN ? FO_LANE_NORMAL : 0, count, at, &part, 1, &lsn), "append");
    while (!j->ops->commit(j))
        usleep(20);
    while (__atomic_load_n(&durable_lsn, __ATOMIC_SEQ_CST) <= lsn)
        usleep(20);
}

/* One batch for both peers, and their acks. */
static void
append_batch(struct fo_journal *j, uint32_t count)
{
    static uint8_t bytes[FO_BATCH_EVENTS_MAX][RECORD_MAX];
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
    int64_t now_us = (int64_t)(seconds(CLOCK_REALTIME) * 1e6);
    struct fo_batch_header h = { .region = fo_slice_str(regions.name[0]), .key_id = key.public_half.id, .epoch = fo_journal_file_epoch(j),
        .first_seq = next_seq, .lane = FO_LANE_NORMAL, .count = count, .sealed_at = { now_us } };
    struct fo_buf body;

    for (unsigned r = 0; r < regions.count; r++)
        h.target[h.target_count++] = (struct fo_target){ fo_slice_str(regions.name[r]), 0 };
    for (uint32_t i = 0; i < count; i++) {
        char id[FO_UUID_SIZE];
        struct fo_event e = { .type = FO_SLICE_LIT("order_status"), .tenant = FO_SLICE_LIT("default"), .sourceregion = h.region, .acceptedtime = { now_us + i },
            .schemaversion = 1, .mincompatible = 1, .lane = FO_LANE_NORMAL, .data = fo_slice_of(payload, sizeof payload) };
        struct fo_writer w = fo_writer_of(bytes[i], RECORD_MAX);

        fo_uuid7_format((struct fo_wall){ now_us + i }, &rng, id);
        e.id = fo_slice_str(id);
        fo_event_encode(&e, &w);
        if (w.overflow)
            must(FO_ERR_TOO_LARGE, "event");
        record[i] = fo_slice_of(bytes[i], w.n);
    }
    fo_buf_init(&body);
    must(fo_batch_seal(&h, record, &key, &body), "seal");
    append(j, FO_RECORD_OWN, count, now_us, &body);
    for (unsigned peer = 1; peer < regions.count; peer++) {
        struct fo_ack_record a = { .peer = fo_slice_str(regions.name[peer]), .arrived_at = { now_us + 900 * peer }, .span_count = 1, .frame = FO_SLICE_LIT("ack") };

        a.span[0] = (struct fo_ack_span){ FO_LANE_NORMAL, h.epoch, next_seq, next_seq + count - 1, 1 };
        body.n = 0;
        must(fo_ack_record_encode(&a, &body), "ack");
        append(j, FO_RECORD_ACK, 0, now_us, &body);
    }
    fo_buf_fini(&body);
    next_seq += count;
}

static void
on_step(void *ctx, enum fo_migrate_step step, const struct fo_migration *m)
{
    (void)ctx, (void)step, (void)m;
}

static void
measure(struct fo_journal *j, const char *conninfo, uint64_t events, uint32_t rows_max)
{
    struct fo_ledger_config config = { .conninfo = conninfo, .regions = &regions, .journal = j, .epochs = { .list = { { fo_journal_file_epoch(j), { 1, 1, 1 } } }, .count = 1 },
        .rows_max = rows_max, .settle_wait_ms = 10000, .answer_timeout_ms = 60000 };
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), took;
    struct fo_ledger_status status;
    struct fo_ledger *ledger;
    struct fo_fault fault;

    must(fo_ledger_start(&config, &ledger, &fault), "start");
    do {
        usleep(POLL_US);
        fo_ledger_status(ledger, &status);
    } while (status.rows_written < events && status.rows_repeated + status.rows_quarantined == 0);
    took = seconds(CLOCK_MONOTONIC) - began;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (!fo_ledger_stop(ledger, 5000))
        exit(1);
    printf("%.0f rows/s, ledger thread %.2f us/row\n", (double)status.rows_written / took, cpu * 1e6 / (double)events);
}

int
main(int argc, char **argv)
{
    uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    uint32_t rows_max = argc > 3 ? (uint32_t)atoi(argv[3]) : 10000, batch = argc > 4 ? (uint32_t)atoi(argv[4]) : FO_BATCH_EVENTS_MAX;
    char dir[] = "/tmp/fanout-ledger-bench-XXXXXX", command[64];
    struct fo_journal_opened opened;
    struct fo_journal *j;
    struct fo_fault fault = { 0 };
    struct fo_journal_config config = { .dir = dir, .region = regions.name[0], .segment_bytes = 64 << 20, .stored = on_stored };

    if (argc < 2 || rows_max == 0 || batch == 0 || batch > FO_BATCH_EVENTS_MAX) {
        fprintf(stderr, "usage: ledger_bench CONNINFO [EVENTS [ROWS_MAX [BATCH]]]\n");
        return 2;
    }
    fo_log_init(regions.name[0], FO_LOG_WARN);
    payload[0] = 0xc4, payload[1] = PAYLOAD_BYTES - 2;              /* one msgpack bin */
    fo_rng_init(&rng, 1);
    must(fo_keys_library_init(), "keys");
    must(fo_key_pair_generate(regions.name[0], &key), "key");
    must(fo_migrate(argv[1], fo_migrations, fo_migrations_count, false, on_step, NULL, &fault), "migrate");
    must(mkdtemp(dir) != NULL ? FO_OK : FO_ERR_IO, "directory");
    must(fo_journal_file_open(&config, &j, &opened, &fault), "journal");
    events = (events + batch - 1) / batch * batch;
    while (next_seq <= events)
        append_batch(j, batch);
    measure(j, argv[1], events, rows_max);
    fo_journal_file_close(j);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
