/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapter/migrate_pg.h"
#include "ledger_pg_fixture.h"

static void
on_stored(void *ctx, enum fo_err err, uint64_t durable_lsn)
{
    struct shop *s = ctx;

    if (err == FO_OK)
        __atomic_store_n(&s->durable_lsn, durable_lsn, __ATOMIC_SEQ_CST);
}

int64_t
wall_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void
ignore_step(void *ctx, enum fo_migrate_step step, const struct fo_migration *m)
{
    (void)ctx, (void)step, (void)m;
}

static void
open_journal(struct shop *s)
{
    struct fo_fault fault = { 0 };
    struct fo_journal_opened opened;
    struct fo_journal_config config;

    s->settle_wait_ms = 60000;
    s->rows_max = 10000;
    s->answer_timeout_ms = 60000;
    for (int i = 0; i < FO_LANES; i++)
        s->next_seq[i] = 1;
    assert_int_equal(fo_keys_library_init(), FO_OK);
    assert_int_equal(fo_key_pair_generate(s->regions.name[0], &s->key), FO_OK);
    assert_int_equal(fo_inbox_create(65536, &s->inbox), FO_OK);
    snprintf(s->dir, sizeof s->dir, "/tmp/fanout-unit-ledger-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    config = (struct fo_journal_config){ .dir = s->dir, .region = s->regions.name[0], .segment_bytes = 16 << 20, .is_synced = false,
        .stored = on_stored, .stored_ctx = s };
    if (fo_journal_file_open(&config, &s->journal, &opened, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    fo_epochs_begin(&s->epochs, fo_journal_file_epoch(s->journal), s->next_seq);
}

void
shop_open(struct shop *s, struct postgres *pg, const char *name, bool is_migrated)
{
    struct fo_fault fault = { 0 };

    memset(s, 0, sizeof *s);
    s->regions = (struct fo_region_names){ { "us-east-1", "us-west-2", "eu-west-1" }, 3 };
    postgres_make_database(pg, name, "postgres", s->owner);
    if (is_migrated)
        assert_int_equal(fo_migrate(s->owner, fo_migrations, fo_migrations_count, false, ignore_step, NULL, &fault), FO_OK);
    snprintf(s->broker, sizeof s->broker, "%.*s user=fanout_broker", (int)(strstr(s->owner, " user=") - s->owner), s->owner);
    open_journal(s);
}

void
shop_open_beside(struct shop *s, const struct shop *first)
{
    memset(s, 0, sizeof *s);
    s->regions = (struct fo_region_names){ { "us-west-2", "us-east-1", "eu-west-1" }, 3 };
    memcpy(s->owner, first->owner, sizeof s->owner);
    memcpy(s->broker, first->broker, sizeof s->broker);
    open_journal(s);
}

void
shop_close(struct shop *s)
{
    char command[128];

    if (s->ledger != NULL)
        shop_stop(s);
    fo_journal_file_close(s->journal);
    fo_inbox_destroy(s->inbox);
    fo_key_pair_fini(&s->key);
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
}

void
shop_start(struct shop *s)
{
    struct fo_ledger_config config = { .conninfo = s->broker, .regions = &s->regions, .journal = s->journal, .inbox = s->inbox,
        .epochs = s->epochs, .rows_max = s->rows_max, .settle_wait_ms = s->settle_wait_ms, .answer_timeout_ms = s->answer_timeout_ms };
    struct fo_fault fault;

    assert_int_equal(fo_ledger_start(&config, &s->ledger, &fault), FO_OK);
}

void
shop_stop(struct shop *s)
{
    assert_true(fo_ledger_stop(s->ledger, 10000));
    s->ledger = NULL;
}

void
shop_lose(struct shop *s, enum fo_lane lane, uint64_t first_seq)
{
    s->next_seq[lane] = first_seq;
    fo_epochs_begin(&s->epochs, fo_epochs_current(&s->epochs) + 1, s->next_seq);
}

static void
append(struct shop *s, enum fo_record_type type, enum fo_lane lane, uint32_t count, const struct fo_buf *body)
{
    const struct fo_journal_ops *ops = s->journal->ops;
    struct fo_slice part = fo_buf_slice(body);
    uint64_t lsn;

    if (ops->wants_checkpoint(s->journal)) {
        struct fo_slice nothing = FO_SLICE_LIT("x");

        assert_int_equal(ops->append(s->journal, FO_RECORD_CHECKPOINT, 0, 0, (struct fo_wall){ wall_us() }, &nothing, 1, &lsn), FO_OK);
    }
    assert_int_equal(ops->append(s->journal, type, lane, count, (struct fo_wall){ wall_us() }, &part, 1, &lsn), FO_OK);
    while (!ops->commit(s->journal))
        usleep(20);
    while (__atomic_load_n(&s->durable_lsn, __ATOMIC_SEQ_CST) <= lsn)
        usleep(20);
    if (s->ledger != NULL)
        fo_ledger_poke(s->ledger);
}

uint64_t
shop_batch(struct shop *s, enum fo_lane lane, fo_region_set targets, const struct event_text *events, uint32_t count, int64_t accepted_us)
{
    static uint8_t bytes[FO_BATCH_EVENTS_MAX][1024];
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header h = { .region = fo_slice_str(s->regions.name[0]), .key_id = s->key.public_half.id, .epoch = fo_epochs_current(&s->epochs),
        .first_seq = s->next_seq[lane], .lane = lane, .count = count, .sealed_at = { accepted_us } };
    struct fo_buf frame;

    for (unsigned r = 0; r < s->regions.count; r++)
        if (r == 0 || (targets >> r & 1) != 0)
            h.target[h.target_count++] = (struct fo_target){ fo_slice_str(s->regions.name[r]), 0 };
    for (uint32_t i = 0; i < count; i++) {
        struct fo_event e = { .id = fo_slice_of(events[i].id, events[i].id_n), .type = fo_slice_str(events[i].type), .tenant = fo_slice_str(events[i].tenant),
            .sourceregion = h.region, .acceptedtime = { accepted_us }, .schemaversion = 1, .mincompatible = 1, .lane = lane,
            .data = events[i].data != NULL ? fo_slice_str(events[i].data) : FO_SLICE_LIT("\x01") };
        struct fo_writer w = fo_writer_of(bytes[i], sizeof bytes[i]);

        fo_event_encode(&e, &w);
        assert_false(w.overflow);
        record[i] = fo_slice_of(bytes[i], w.n);
    }
    fo_buf_init(&frame);
    assert_int_equal(fo_batch_seal(&h, record, &s->key, &frame), FO_OK);
    append(s, FO_RECORD_OWN, lane, count, &frame);
    fo_buf_fini(&frame);
    s->next_seq[lane] += count;
    return h.first_seq;
}

uint64_t
shop_many(struct shop *s, enum fo_lane lane, fo_region_set targets, const char *prefix, uint32_t count, int64_t accepted_us)
{
    static char id[FO_BATCH_EVENTS_MAX][64];
    struct event_text events[FO_BATCH_EVENTS_MAX];

    for (uint32_t i = 0; i < count; i++) {
        int n = snprintf(id[i], sizeof id[i], "%s-%u-%llu", prefix, lane, (unsigned long long)s->next_seq[lane] + i);

        events[i] = (struct event_text){ id[i], (size_t)n, "default", "order_status", NULL };
    }
    return shop_batch(s, lane, targets, events, count, accepted_us);
}

void
shop_ack(struct shop *s, unsigned peer, enum fo_lane lane, uint64_t from, uint64_t to, uint32_t attempts, int64_t arrived_us,
    const struct fo_exception *x, unsigned x_count)
{
    struct fo_ack_record a = { .peer = fo_slice_str(s->regions.name[peer]), .arrived_at = { arrived_us }, .span_count = 1,
        .exception_count = x_count, .frame = FO_SLICE_LIT("ack") };
    struct fo_buf body;

    a.span[0] = (struct fo_ack_span){ lane, fo_epochs_of(&s->epochs, lane, to), from, to, attempts };
    if (x_count > 0)
        memcpy(a.exception, x, x_count * sizeof *x);
    fo_buf_init(&body);
    assert_int_equal(fo_ack_record_encode(&a, &body), FO_OK);
    append(s, FO_RECORD_ACK, 0, 0, &body);
    fo_buf_fini(&body);
}

void
shop_health(struct shop *s, unsigned peer, const char *state, bool is_healthy, int64_t rtt_us, uint32_t failures)
{
    struct fo_broker_health h = { .region = s->regions.name[peer], .state = state, .is_healthy = is_healthy, .rtt = { rtt_us * 1000 },
        .failures = failures, .at = { wall_us() } };

    fo_ledger_health(s->ledger, &h);
}

void
shop_wait(struct shop *s, const char *sql, long expected)
{
    struct fo_ledger_status status = { 0 };
    long got = -1;

    for (int i = 0; i < 3000; i++) {
        if ((got = sql_long(s->owner, sql)) == expected)
            return;
        usleep(10000);
    }
    if (s->ledger != NULL)
        fo_ledger_status(s->ledger, &status);
    fail_msg("%s: %ld, expected %ld; ledger: connected %d, lag %llu, error '%s'", sql, got, expected, status.is_connected,
        (unsigned long long)status.lag_bytes, status.error);
}
