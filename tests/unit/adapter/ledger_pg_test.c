/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger against a real PostgreSQL and a real journal: what stands in the rows, and that each event has exactly one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ledger_pg_fixture.h"
#include "ports/log.h"

static struct postgres pg;

#define ROWS "SELECT count(*) FROM realtime_fanout_log"
#define SETTLED ROWS " WHERE is_settled AND (delivery_status->>'success')::boolean AND delivery_status->>'state' = 'settled'"
/* 2026-01-31T12:00:00Z */
#define NOON INT64_C(1769860800000000)

static void
assert_text(struct shop *s, const char *sql, const char *expected)
{
    char text[512];

    assert_string_equal(sql_text(s->owner, sql, text), expected);
}

static void
test_settled_event_becomes_one_row(void **state)
{
    struct event_text e = { "e-1", 3, "acme", "order_status", "\xa5hello" };
    struct shop s;
    uint64_t seq;

    (void)state;
    shop_open(&s, &pg, "settled", true);
    shop_start(&s);
    seq = shop_batch(&s, FO_LANE_HIGH, BOTH, &e, 1, NOON);
    shop_ack(&s, WEST, FO_LANE_HIGH, seq, seq, 1, NOON + 840, NULL, 0);
    shop_ack(&s, EU, FO_LANE_HIGH, seq, seq, 3, NOON + 71005, NULL, 0);
    shop_wait(&s, ROWS, 1);
    assert_text(&s, "SELECT format('%s|%s|%s|%s|%s|%s|%s|%s|%s|%s', event_type, source_region, target_regions, payload_size,"
        " to_char(fanout_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), tenant, event_id, lane, sequence, is_settled) FROM realtime_fanout_log",
        "order_status|us-east-1|{us-west-2,eu-west-1}|6|2026-01-31 12:00:00.000000|acme|e-1|0|1|t");
    assert_int_equal(sql_long(s.owner, "SELECT epoch FROM realtime_fanout_log") > 0, 1);
    assert_text(&s, "SELECT delivery_status = '{\"success\": true, \"state\": \"settled\", \"totalLatencyMs\": 71.005, \"deliveries\": ["
        "{\"region\": \"us-west-2\", \"success\": true, \"state\": \"delivered\", \"latencyMs\": 0.840, \"attempts\": 1, \"ackedAt\": \"2026-01-31T12:00:00.000840Z\"},"
        "{\"region\": \"eu-west-1\", \"success\": true, \"state\": \"delivered\", \"latencyMs\": 71.005, \"attempts\": 3, \"ackedAt\": \"2026-01-31T12:00:00.071005Z\"}"
        "]}'::jsonb FROM realtime_fanout_log", "t");
    shop_close(&s);
}

static void
test_no_remote_target_is_success_at_once(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "local_only", true);
    shop_start(&s);
    shop_many(&s, FO_LANE_LOW, 1, "l", 3, NOON);
    shop_wait(&s, SETTLED, 3);
    assert_text(&s, "SELECT DISTINCT target_regions::text || delivery_status FROM realtime_fanout_log",
        "{}{\"state\": \"settled\", \"success\": true, \"deliveries\": [], \"totalLatencyMs\": 0.000}");
    shop_close(&s);
}

static void
test_exceptions_are_told_apart(void **state)
{
    struct fo_exception x[] = { { FO_LANE_NORMAL, 2, FO_VERDICT_EXPIRED }, { FO_LANE_NORMAL, 3, FO_VERDICT_INCOMPATIBLE }, { FO_LANE_NORMAL, 4, FO_VERDICT_REJECTED } };
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "exceptions", true);
    shop_start(&s);
    shop_many(&s, FO_LANE_NORMAL, BOTH, "x", 5, NOON);
    shop_ack(&s, WEST, FO_LANE_NORMAL, 1, 5, 1, NOON + 1000, x, 3);
    shop_ack(&s, EU, FO_LANE_NORMAL, 1, 5, 1, NOON + 3000, NULL, 0);
    shop_wait(&s, ROWS, 5);
    assert_text(&s, "SELECT string_agg(sequence || (delivery_status->>'success') || (delivery_status#>>'{deliveries,0,state}')"
        " || coalesce(delivery_status#>>'{deliveries,0,reason}', '') || (delivery_status#>>'{deliveries,1,state}'), ' ' ORDER BY sequence) FROM realtime_fanout_log",
        "1truedelivereddelivered 2falseexpiredexpireddelivered 3falseincompatibledrop_incompatibledelivered 4falsefailedrejecteddelivered 5truedelivereddelivered");
    assert_text(&s, "SELECT string_agg(concat_ws(',', type, region, total, delivered, pending, expired, incompatible, failed, success_rate, p50_ms, p99_ms, max_ms), ' ')"
        " FROM fanout_report('2026-01-31', '2026-02-01')", "order_status,eu-west-1,5,5,0,0,0,0,1,3,3,3 order_status,us-west-2,5,2,0,1,1,1,0.4,1,1,1");
    shop_close(&s);
}

/* Written as pending, then settled by two acks, one of them with an exception, one after a restart of the ledger. */
static void
test_pending_rows_are_settled_later(void **state)
{
    struct fo_exception x = { FO_LANE_HIGH, 2, FO_VERDICT_EXPIRED };
    int64_t now = wall_us();
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "pending", true);
    s.settle_wait_ms = 30;
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, BOTH, "p", 2, now);
    shop_many(&s, FO_LANE_HIGH, BOTH, "p", 2, now);
    shop_wait(&s, ROWS " WHERE NOT is_settled AND delivery_status->>'success' = 'false' AND delivery_status->>'state' = 'pending'", 4);
    assert_int_equal(sql_long(s.owner, "SELECT sum(pending) FROM fanout_report(now() - interval '1 hour', now() + interval '1 hour')"), 8);
    shop_ack(&s, WEST, FO_LANE_HIGH, 1, 4, 2, now + 50000, &x, 1);
    shop_wait(&s, ROWS " WHERE delivery_status#>>'{deliveries,0,state}' <> 'pending'", 4);
    assert_int_equal(sql_long(s.owner, ROWS " WHERE is_settled"), 0);
    shop_stop(&s);
    shop_ack(&s, EU, FO_LANE_HIGH, 1, 4, 7, now + 90500, NULL, 0);
    shop_start(&s);
    shop_wait(&s, ROWS " WHERE is_settled", 4);
    assert_text(&s, "SELECT string_agg(concat_ws(',', sequence, delivery_status->>'success', delivery_status->>'state', delivery_status->>'totalLatencyMs',"
        " delivery_status#>>'{deliveries,0,state}', delivery_status#>>'{deliveries,0,reason}', delivery_status#>>'{deliveries,1,attempts}', delivery_status#>>'{deliveries,1,latencyMs}'), ' ' ORDER BY sequence)"
        " FROM realtime_fanout_log", "1,true,settled,90.500,delivered,7,90.500 2,false,settled,90.500,expired,expired,7,90.500"
        " 3,true,settled,90.500,delivered,7,90.500 4,true,settled,90.500,delivered,7,90.500");
    assert_int_equal(sql_long(s.owner, ROWS), 4);
    shop_close(&s);
}

/* Both lanes' batches in a stream; acks follow each; the disturbance runs every few batches. */
static void
stream(struct shop *s, unsigned batches, void (*disturb)(struct shop *s, unsigned round))
{
    for (unsigned i = 0; i < batches; i++) {
        enum fo_lane lane = (enum fo_lane)(i % FO_LANES);
        uint64_t first = shop_many(s, lane, i % 5 == 0 ? 1 << EU : BOTH, "s", 1 + i % 40, wall_us());

        if (i % 5 != 0)
            shop_ack(s, WEST, lane, first, s->next_seq[lane] - 1, 1, wall_us(), NULL, 0);
        shop_ack(s, EU, lane, first, s->next_seq[lane] - 1, 1, wall_us(), NULL, 0);
        if (i % 8 == 7 && disturb != NULL)
            disturb(s, i / 8);
    }
}

static void
assert_each_once(struct shop *s)
{
    long total = 0;

    for (int i = 0; i < FO_LANES; i++)
        total += (long)s->next_seq[i] - 1;
    shop_wait(s, SETTLED, total);
    assert_int_equal(sql_long(s->owner, ROWS), total);
    assert_int_equal(sql_long(s->owner, "SELECT count(DISTINCT event_id) FROM realtime_fanout_log"), total);
    assert_int_equal(sql_long(s->owner, "SELECT count(*) FROM realtime_fanout_repeats"), 0);
    assert_int_equal(sql_long(s->owner, "SELECT count(*) FROM realtime_fanout_quarantine"), 0);
}

static void
kill_connections(struct shop *s, unsigned round)
{
    (void)round;
    usleep(3000);
    sql_do(s->owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'fanout %' AND datname = current_database()");
}

static void
test_once_under_killed_connections(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "killed", true);
    s.rows_max = 100;
    shop_start(&s);
    stream(&s, 400, kill_connections);
    assert_each_once(&s);
    shop_close(&s);
}

static void
test_once_under_ledger_restarts(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "restarts", true);
    s.settle_wait_ms = 1;
    s.rows_max = 64;
    for (int i = 0; i < 10; i++) {
        shop_start(&s);
        stream(&s, 10, NULL);
        if (i % 3 == 0)
            usleep(20000);
        shop_stop(&s);
    }
    shop_start(&s);
    assert_each_once(&s);
    shop_close(&s);
}

static void
test_server_away_at_start_and_under_load(void **state)
{
    struct fo_ledger_status status;
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "away", true);
    postgres_stop(&pg, false);
    shop_start(&s);
    stream(&s, 40, NULL);
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (strcmp(status.error, "not connected yet") == 0);
    assert_false(status.is_connected);
    assert_true(status.lag_bytes > 0);
    assert_true(strlen(status.error) > 0);
    postgres_start(&pg);
    stream(&s, 40, NULL);
    postgres_stop(&pg, true);
    stream(&s, 40, NULL);
    postgres_start(&pg);
    stream(&s, 40, NULL);
    assert_each_once(&s);
    fo_ledger_status(s.ledger, &status);
    assert_true(status.is_connected);
    assert_string_equal(status.error, "");
    shop_close(&s);
}

/* The server hangs while the broker wants to leave: stop comes back, and the transaction that hung loses or doubles nothing. */
static void
test_stop_while_the_server_hangs(void **state)
{
    struct fo_ledger_status status;
    struct shop s;
    PGconn *holder;

    (void)state;
    shop_open(&s, &pg, "hangs", true);
    holder = sql_open(s.owner);
    PQclear(PQexec(holder, "BEGIN; LOCK TABLE realtime_fanout_log IN ACCESS EXCLUSIVE MODE"));
    shop_start(&s);
    stream(&s, 10, NULL);
    shop_wait(&s, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'fanout %' AND datname = 'hangs' AND wait_event_type = 'Lock'", 1);
    assert_true(fo_ledger_stop(s.ledger, 50));
    shop_start(&s);
    stream(&s, 10, NULL);
    fo_ledger_status(s.ledger, &status);
    assert_int_equal(status.rows_written, 0);
    PQfinish(holder);
    assert_each_once(&s);
    shop_close(&s);
}

/* The server hangs with its connections open: it is left in time, and a transaction that is merely slow gets through in the
 * end although it takes longer than the wait. */
static void
test_server_that_does_not_answer(void **state)
{
    struct fo_ledger_status status;
    struct shop s;
    PGconn *holder;

    (void)state;
    shop_open(&s, &pg, "silent", true);
    s.answer_timeout_ms = 100;
    holder = sql_open(s.owner);
    PQclear(PQexec(holder, "BEGIN; LOCK TABLE realtime_fanout_log IN ACCESS EXCLUSIVE MODE"));
    shop_start(&s);
    stream(&s, 10, NULL);
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (strstr(status.error, "no answer") == NULL);
    assert_int_equal(status.rows_written, 0);
    PQfinish(holder);
    sql_do(s.owner, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT ON realtime_fanout_log FOR EACH ROW EXECUTE FUNCTION slow()");
    stream(&s, 20, NULL);
    assert_each_once(&s);
    shop_close(&s);
}

/* A bound that an administrator has set for the role or the database is not for the ledger; a statement that is canceled all the same is
 * tried with less. */
static void
test_statement_that_may_not_take_long(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "hasty", true);
    sql_do(s.owner, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT ON realtime_fanout_log FOR EACH ROW EXECUTE FUNCTION slow();"
        "CREATE FUNCTION hasty() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF (SELECT count(*) FROM added) > 8 THEN"
        " RAISE EXCEPTION USING ERRCODE = ''57014''; END IF; RETURN NULL; END';"
        "CREATE TRIGGER hasty AFTER INSERT ON realtime_fanout_log REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION hasty();"
        "ALTER ROLE fanout_broker IN DATABASE hasty SET statement_timeout = '40ms'");
    for (unsigned i = 0; i < 4; i++)
        shop_many(&s, FO_LANE_LOW, 1, "l", 5, NOON);
    shop_start(&s);
    shop_wait(&s, SETTLED, 20);
    shop_close(&s);
}

static void
test_unmigrated_and_read_only_are_down(void **state)
{
    struct fo_ledger_status status;
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "unready", false);
    shop_many(&s, FO_LANE_HIGH, 1, "u", 1, wall_us());
    shop_start(&s);
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (strstr(status.error, "fanout_ledger_cursor") == NULL);
    assert_false(status.is_connected);
    sql_do(s.owner, "ALTER DATABASE unready SET default_transaction_read_only = on");
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (strstr(status.error, "takes no writes") == NULL);
    shop_close(&s);
}

/* The same id twice: after the broker's memory of ids was over, and in one batch with others. */
static void
test_repeated_event_id_is_kept_beside(void **state)
{
    struct event_text twice = { "twice", 5, "default", "order_status", NULL };
    struct fo_ledger_status status;
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "repeats", true);
    shop_start(&s);
    shop_batch(&s, FO_LANE_HIGH, 1, &twice, 1, NOON);
    shop_wait(&s, ROWS, 1);
    shop_batch(&s, FO_LANE_NORMAL, 1, &twice, 1, NOON + 1000000);
    shop_many(&s, FO_LANE_NORMAL, 1, "other", 5, NOON);
    shop_wait(&s, ROWS, 6);
    shop_wait(&s, "SELECT count(*) FROM realtime_fanout_repeats", 1);
    assert_text(&s, "SELECT string_agg(concat_ws(',', is_repeat, to_char(fanout_at AT TIME ZONE 'UTC', 'SS'), split_part(position, ':', 3), split_part(position, ':', 4)), ' ')"
        " FROM fanout_explain('default', 'twice')", "f,00,high,1 t,01,normal,1");
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (status.rows_written < 6);
    assert_int_equal(status.rows_written, 6);
    assert_int_equal(status.rows_repeated, 1);
    shop_close(&s);
}

/* Two regions accept the same ids at the same time, in opposite orders, so that each waits for the other's transaction. */
static void
test_two_regions_with_the_same_ids(void **state)
{
    struct shop east, west;

    (void)state;
    shop_open(&east, &pg, "two_regions", true);
    shop_open_beside(&west, &east);
    for (int i = 0; i < 30; i++) {
        char forth[8], back[8];

        snprintf(forth, sizeof forth, "b%02d", i);
        snprintf(back, sizeof back, "b%02d", 29 - i);
        east.next_seq[0] = 1 + 100 * (uint64_t)i;
        west.next_seq[0] = 1 + 100 * (uint64_t)(29 - i) ;
        shop_many(&east, FO_LANE_HIGH, 1, forth, 100, wall_us());
        shop_many(&west, FO_LANE_HIGH, 1, back, 100, wall_us());
    }
    shop_start(&east);
    shop_start(&west);
    shop_wait(&east, "SELECT (SELECT count(*) FROM realtime_fanout_log) + (SELECT count(*) FROM realtime_fanout_repeats)", 6000);
    assert_int_equal(sql_long(east.owner, ROWS), 3000);
    assert_int_equal(sql_long(east.owner, "SELECT count(*) FROM realtime_fanout_repeats r JOIN realtime_fanout_log l ON l.id = r.first_id"
        " AND l.event_id = r.event_id AND l.source_region <> r.source_region"), 3000);
    shop_close(&west);
    shop_close(&east);
}

/* A record that is no event, and one that the database's own rules refuse: among many, they alone are set aside. */
static void
test_row_that_cannot_be_stored_is_set_aside(void **state)
{
    struct event_text nul[] = { { "good-1", 6, "default", "order_status", NULL }, { "b\0d", 3, "default", "order_status", NULL }, { "good-2", 6, "default", "order_status", NULL } };
    struct event_text refused = { "refused", 7, "default", "order_status", NULL };
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "quarantine", true);
    for (int i = 0; i < 20; i++)
        shop_many(&s, FO_LANE_HIGH, 1, "a", 2, NOON);
    shop_batch(&s, FO_LANE_HIGH, 1, nul, 3, NOON);
    shop_many(&s, FO_LANE_HIGH, 1, "m", 2, NOON);
    sql_do(s.owner, "ALTER TABLE realtime_fanout_log ADD CONSTRAINT house_rule CHECK (event_id <> 'refused')");
    shop_batch(&s, FO_LANE_HIGH, 1, &refused, 1, NOON);
    for (int i = 0; i < 20; i++)
        shop_many(&s, FO_LANE_HIGH, 1, "z", 2, NOON);
    shop_start(&s);
    shop_wait(&s, SETTLED, 84);
    assert_text(&s, "SELECT string_agg(concat_ws(',', source_region, lane, sequence, encode(event_id, 'escape'), encode(event_type, 'escape'), reason LIKE '%house_rule%'), ' ' ORDER BY sequence)"
        " FROM realtime_fanout_quarantine", "us-east-1,0,42,,,f us-east-1,0,46,refused,order_status,t");
    shop_close(&s);
}

/* The database was restored from an older copy of itself: its cursor is behind its rows, or gone. */
static void
test_rows_are_recognised_without_cursor(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "restored", true);
    s.settle_wait_ms = 20;
    shop_start(&s);
    stream(&s, 20, NULL);
    assert_each_once(&s);
    shop_many(&s, FO_LANE_HIGH, BOTH, "late", 3, wall_us());
    shop_wait(&s, ROWS " WHERE NOT is_settled", 3);
    shop_stop(&s);
    sql_do(s.owner, "DELETE FROM fanout_ledger_cursor");
    shop_ack(&s, WEST, FO_LANE_HIGH, 1, s.next_seq[0] - 1, 1, wall_us(), NULL, 0);
    shop_ack(&s, EU, FO_LANE_HIGH, 1, s.next_seq[0] - 1, 1, wall_us(), NULL, 0);
    shop_start(&s);
    stream(&s, 20, NULL);
    assert_each_once(&s);
    shop_stop(&s);
    sql_do(s.owner, "UPDATE fanout_ledger_cursor SET epoch = 1");
    shop_start(&s);
    stream(&s, 20, NULL);
    assert_each_once(&s);
    shop_close(&s);
}

static void
test_progress_reaches_the_loop(void **state)
{
    struct fo_input inputs[16];
    uint64_t lsn = 0;
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "progress", true);
    shop_start(&s);
    stream(&s, 30, NULL);
    assert_each_once(&s);
    shop_stop(&s);
    for (unsigned n; (n = fo_inbox_take(s.inbox, inputs, 16, 0)) > 0;)
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(inputs[i].kind, FO_INPUT_LEDGER);
            assert_true(inputs[i].lsn >= lsn);
            lsn = inputs[i].lsn;
        }
    assert_true(lsn > 0 && lsn <= s.durable_lsn);
    assert_true(lsn == (uint64_t)sql_long(s.owner, "SELECT lsn FROM fanout_ledger_cursor WHERE region = 'us-east-1'"));
    shop_close(&s);
}

#define HEALTH(where) "SELECT count(*) FROM region_health WHERE last_check_at BETWEEN now() - interval '1 minute' AND now() AND observed_by = 'us-east-1' AND " where

/* What was told while the database was away is there afterwards, the newest only; a change shows soon, with or without rows. */
static void
test_health_is_written(void **state)
{
    char since[512], still[512];
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "health", true);
    postgres_stop(&pg, false);
    shop_start(&s);
    shop_health(&s, WEST, "suspect", true, 0, 1);
    shop_health(&s, WEST, "down", false, 0, 3);
    shop_health(&s, EU, "healthy", true, 71005, 0);
    postgres_start(&pg);
    shop_wait(&s, HEALTH("region_id = 'us-west-2' AND state = 'down' AND NOT healthy AND latency_ms IS NULL AND consecutive_failures = 3"), 1);
    shop_wait(&s, HEALTH("region_id = 'eu-west-1' AND state = 'healthy' AND healthy AND latency_ms = 72 AND consecutive_failures = 0"), 1);
    sql_text(s.owner, "SELECT since FROM region_health WHERE region_id = 'eu-west-1'", since);
    shop_health(&s, WEST, "recovering", false, 900, 0);
    shop_wait(&s, HEALTH("state = 'recovering' AND latency_ms = 1"), 1);
    shop_health(&s, EU, "healthy", true, 72005, 0);
    shop_health(&s, WEST, "healthy", true, 900, 0);
    shop_wait(&s, HEALTH("state = 'healthy' AND latency_ms IN (1, 73)"), 2);
    assert_string_equal(sql_text(s.owner, "SELECT since FROM region_health WHERE region_id = 'eu-west-1'", still), since);
    assert_int_equal(sql_long(s.owner, "SELECT count(*) FROM region_health"), 2);
    shop_close(&s);
}

/* Neither a lock on its rows nor a database without its table keeps the ledger's rows waiting. */
static void
test_health_never_stops_rows(void **state)
{
    struct shop s;
    PGconn *holder;

    (void)state;
    shop_open(&s, &pg, "health_locked", true);
    holder = sql_open(s.owner);
    PQclear(PQexec(holder, "BEGIN; LOCK TABLE region_health IN ACCESS EXCLUSIVE MODE"));
    shop_start(&s);
    shop_health(&s, WEST, "down", false, 0, 3);
    stream(&s, 20, NULL);
    assert_each_once(&s);
    PQfinish(holder);
    shop_health(&s, WEST, "probing", false, 0, 3);
    shop_wait(&s, HEALTH("state = 'probing'"), 1);
    sql_do(s.owner, "DROP TABLE region_health");
    shop_health(&s, WEST, "healthy", true, 0, 0);
    stream(&s, 20, NULL);
    assert_each_once(&s);
    shop_close(&s);
}

static void
test_sync_status_tells_how_far_each_region_is(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "sync", true);
    sql_do(s.owner, "INSERT INTO regions (id, name, is_primary, is_read_replica) VALUES ('us-east-1', 'a', true, false), ('eu-west-1', 'b', false, true)");
    s.settle_wait_ms = 30;
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, 1, "h", 3, NOON);
    shop_many(&s, FO_LANE_LOW, BOTH, "l", 2, NOON + 1000000);
    shop_wait(&s, "SELECT rows_written FROM get_region_sync_status() WHERE region_id = 'us-east-1'", 5);
    assert_text(&s, "SELECT string_agg(concat_ws(',', region_id, status, rows_written, rows_pending, extract(epoch FROM newest_row_at)::bigint,"
        " lag_ms BETWEEN 0 AND 60000, reported_at > now() - interval '1 minute'), ' ') FROM get_region_sync_status()",
        "eu-west-1,active,0,0 us-east-1,active,5,2,1769860801,t,t");
    /* What waits in the journal is lag. */
    shop_stop(&s);
    sql_do(s.owner, "UPDATE fanout_ledger_cursor SET complete_to = complete_to - interval '1 hour'");
    assert_int_equal(sql_long(s.owner, "SELECT lag_ms / 60000 FROM get_region_sync_status() WHERE region_id = 'us-east-1'"), 60);
    shop_close(&s);
}

static int
setup(void **state)
{
    (void)state;
    return postgres_create(&pg);
}

static int
teardown(void **state)
{
    (void)state;
    return postgres_destroy(&pg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settled_event_becomes_one_row),
        cmocka_unit_test(test_no_remote_target_is_success_at_once),
        cmocka_unit_test(test_exceptions_are_told_apart),
        cmocka_unit_test(test_pending_rows_are_settled_later),
        cmocka_unit_test(test_once_under_killed_connections),
        cmocka_unit_test(test_once_under_ledger_restarts),
        cmocka_unit_test(test_server_away_at_start_and_under_load),
        cmocka_unit_test(test_stop_while_the_server_hangs),
        cmocka_unit_test(test_server_that_does_not_answer),
        cmocka_unit_test(test_statement_that_may_not_take_long),
        cmocka_unit_test(test_unmigrated_and_read_only_are_down),
        cmocka_unit_test(test_repeated_event_id_is_kept_beside),
        cmocka_unit_test(test_two_regions_with_the_same_ids),
        cmocka_unit_test(test_row_that_cannot_be_stored_is_set_aside),
        cmocka_unit_test(test_rows_are_recognised_without_cursor),
        cmocka_unit_test(test_progress_reaches_the_loop),
        cmocka_unit_test(test_health_is_written),
        cmocka_unit_test(test_health_never_stops_rows),
        cmocka_unit_test(test_sync_status_tells_how_far_each_region_is),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    fo_log_init("us-east-1", FO_LOG_ERROR);
    return cmocka_run_group_tests(tests, setup, teardown);
}
