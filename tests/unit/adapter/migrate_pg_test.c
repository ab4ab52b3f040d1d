/* SPDX-License-Identifier: Apache-2.0
 *
 * Migrations against a real PostgreSQL: idempotent, locked, checked; and the schema keeps what it promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapter/migrate_pg.h"
#include "postgres_fixture.h"

enum { STEPS = FO_MIGRATE_MISSING + 1 };

static struct postgres pg;

static void
count_step(void *ctx, enum fo_migrate_step step, const struct fo_migration *m)
{
    unsigned *counts = ctx;

    (void)m;
    __atomic_add_fetch(&counts[step], 1, __ATOMIC_SEQ_CST);
}

static enum fo_err
migrate(const char *conninfo, const struct fo_migration *list, unsigned count, bool is_dry_run, unsigned counts[STEPS], struct fo_fault *fault)
{
    memset(counts, 0, STEPS * sizeof *counts);
    return fo_migrate(conninfo, list, count, is_dry_run, count_step, counts, fault);
}

/* A database of its own for each test, migrated. */
static void
make_migrated(const char *name, char *ret_conninfo)
{
    unsigned counts[STEPS];
    struct fo_fault fault = { 0 };

    postgres_make_database(&pg, name, "postgres", ret_conninfo);
    if (migrate(ret_conninfo, fo_migrations, fo_migrations_count, false, counts, &fault) != FO_OK)
        fail_msg("%s: %s", fault.path, fault.text);
    assert_int_equal(counts[FO_MIGRATE_APPLIED], fo_migrations_count);
}

static void
as_user(const char *conninfo, const char *user, char *ret_conninfo)
{
    snprintf(ret_conninfo, 256, "%.*s user=%s", (int)(strstr(conninfo, " user=") - conninfo), conninfo, user);
}

static void
test_twice_changes_nothing(void **state)
{
    char db[256];
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    make_migrated("twice", db);
    assert_int_equal(migrate(db, fo_migrations, fo_migrations_count, false, counts, &fault), FO_OK);
    assert_int_equal(counts[FO_MIGRATE_PRESENT], fo_migrations_count);
    assert_int_equal(counts[FO_MIGRATE_APPLIED], 0);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM fanout_migrations"), fo_migrations_count);
}

static void
test_dry_run_changes_nothing(void **state)
{
    char db[256];
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    postgres_make_database(&pg, "dry", "postgres", db);
    assert_int_equal(migrate(db, fo_migrations, fo_migrations_count, true, counts, &fault), FO_OK);
    assert_int_equal(counts[FO_MIGRATE_MISSING], fo_migrations_count);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
}

struct racer { pthread_t thread; const char *db; unsigned counts[STEPS]; enum fo_err err; };

static void *
race(void *arg)
{
    struct racer *r = arg;
    struct fo_fault fault;

    r->err = fo_migrate(r->db, fo_migrations, fo_migrations_count, false, count_step, r->counts, &fault);
    return NULL;
}

static void
test_two_at_once(void **state)
{
    struct racer racers[4] = { 0 };
    unsigned applied = 0;
    char db[256];

    (void)state;
    postgres_make_database(&pg, "race", "postgres", db);
    for (size_t i = 0; i < 4; i++) {
        racers[i].db = db;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].err, FO_OK);
        applied += racers[i].counts[FO_MIGRATE_APPLIED];
    }
    assert_int_equal(applied, fo_migrations_count);
}

static void
test_waits_for_lock_and_says_so(void **state)
{
    struct racer r = { 0 };
    PGconn *holder;
    char db[256];

    (void)state;
    postgres_make_database(&pg, "locked", "postgres", db);
    holder = sql_open(db);
    PQclear(PQexec(holder, "SELECT pg_advisory_lock(112568767309172)"));
    r.db = db;
    assert_int_equal(pthread_create(&r.thread, NULL, race, &r), 0);
    while (__atomic_load_n(&r.counts[FO_MIGRATE_WAITING], __ATOMIC_SEQ_CST) == 0)
        usleep(1000);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
    PQfinish(holder);
    pthread_join(r.thread, NULL);
    assert_int_equal(r.err, FO_OK);
    assert_int_equal(r.counts[FO_MIGRATE_APPLIED], fo_migrations_count);
}

static const struct fo_migration shop[] = {
    { 1, "one", "CREATE TABLE one (a int)" },
    { 2, "two", "CREATE TABLE two (a int); INSERT INTO two VALUES (1)" },
};

static void
test_edited_migration_is_refused(void **state)
{
    struct fo_migration edited[] = { shop[0], shop[1] };
    char db[256];
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    postgres_make_database(&pg, "edited", "postgres", db);
    assert_int_equal(migrate(db, shop, 2, false, counts, &fault), FO_OK);
    edited[0].sql = "CREATE TABLE one (a bigint)";
    assert_int_equal(migrate(db, edited, 2, false, counts, &fault), FO_ERR_CORRUPT);
    assert_string_equal(fault.path, "one");
    assert_int_equal(migrate(db, edited, 2, true, counts, &fault), FO_ERR_CORRUPT);
}

static void
test_newer_database_is_refused(void **state)
{
    char db[256];
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    postgres_make_database(&pg, "newer", "postgres", db);
    assert_int_equal(migrate(db, shop, 2, false, counts, &fault), FO_OK);
    assert_int_equal(migrate(db, shop, 1, false, counts, &fault), FO_ERR_VERSION);
}

static void
test_failed_migration_leaves_no_trace(void **state)
{
    struct fo_migration broken[] = { shop[0], { 2, "two", "CREATE TABLE two (a int); SELECT nonsense" } };
    char db[256];
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    postgres_make_database(&pg, "broken", "postgres", db);
    assert_int_equal(migrate(db, broken, 2, false, counts, &fault), FO_ERR_REJECTED);
    assert_string_equal(fault.path, "two");
    assert_non_null(strstr(fault.text, "nonsense"));
    assert_int_equal(sql_long(db, "SELECT count(*) FROM pg_tables WHERE tablename = 'two'"), 0);
    assert_int_equal(migrate(db, shop, 2, false, counts, &fault), FO_OK);
    assert_int_equal(counts[FO_MIGRATE_PRESENT], 1);
    assert_int_equal(counts[FO_MIGRATE_APPLIED], 1);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM two"), 1);
}

static void
test_unreachable(void **state)
{
    unsigned counts[STEPS];
    struct fo_fault fault;

    (void)state;
    assert_int_equal(migrate("host=/nonexistent dbname=x", shop, 2, false, counts, &fault), FO_ERR_UNAVAILABLE);
    assert_true(strlen(fault.text) > 0);
}

static void
test_regions_are_listed(void **state)
{
    struct fo_migrate_region first[] = { { "us-east-1", "US East (N. Virginia)", true }, { "eu-west-1", "x", false } };
    struct fo_migrate_region second[] = { { "eu-west-1", "EU (Ireland)", true } };
    struct fo_fault fault;
    char db[256], text[512];

    (void)state;
    make_migrated("regions_", db);
    assert_int_equal(fo_migrate_regions(db, first, 2, &fault), FO_OK);
    assert_string_equal(sql_text(db, "SELECT id FROM regions WHERE is_primary AND NOT is_read_replica AND status = 'active'", text), "us-east-1");
    assert_int_equal(fo_migrate_regions(db, second, 1, &fault), FO_OK);
    assert_string_equal(sql_text(db, "SELECT string_agg(id || ' ' || name || ' ' || is_primary || ' ' || is_read_replica, ', ' ORDER BY id) FROM regions", text),
        "eu-west-1 EU (Ireland) true false, us-east-1 US East (N. Virginia) false true");
}

/* Word for word from the guide's monitoring section. */
#define SUCCESS_RATE                                                                        \
    "SELECT\n"                                                                              \
    "  event_type,\n"                                                                       \
    "  COUNT(*) as total,\n"                                                                \
    "  SUM(CASE WHEN (delivery_status->>'success')::boolean THEN 1 ELSE 0 END) as successful\n" \
    "FROM realtime_fanout_log\n"                                                            \
    "WHERE fanout_at > NOW() - INTERVAL '1 day'\n"                                          \
    "GROUP BY event_type;"

static void
test_log_function_and_guide_query(void **state)
{
    char db[256], broker[256];
    PGconn *conn;
    PGresult *res;
    long id;

    (void)state;
    make_migrated("logged", db);
    as_user(db, "fanout_broker", broker);
    id = sql_long(broker, "SELECT log_realtime_fanout('order_status', 'us-east-1', ARRAY['us-west-2'], 17, '{\"success\": true}', 'e1')");
    assert_true(id > 0);
    assert_int_equal(sql_long(broker, "SELECT log_realtime_fanout('order_status', 'us-east-1', '{us-west-2}', 17, '{\"success\": false}', 'e1')"), id);
    assert_true(sql_long(broker, "SELECT log_realtime_fanout('order_status', 'us-east-1', '{}', 1, '{\"success\": false}')") != id);
    conn = sql_open(db);
    res = PQexec(conn, SUCCESS_RATE);
    assert_int_equal(PQntuples(res), 1);
    assert_string_equal(PQgetvalue(res, 0, 0), "order_status");
    assert_string_equal(PQgetvalue(res, 0, 1), "2");
    assert_string_equal(PQgetvalue(res, 0, 2), "1");
    PQclear(res);
    PQfinish(conn);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM fanout_report(now() - interval '1 hour', now() + interval '1 hour')"), 0);
}

static void
test_health_as_the_guide_has_it(void **state)
{
    char db[256], broker[256], text[512];

    (void)state;
    make_migrated("health", db);
    as_user(db, "fanout_broker", broker);
    sql_do(db, "SELECT update_region_health('us-west-2', true, 71, 0)");
    sql_do(db, "SELECT update_region_health('eu-west-1', false, NULL, 3)");
    assert_string_equal(sql_text(db, "SELECT string_agg(concat_ws(',', region_id, healthy, latency_ms, consecutive_failures, observed_by, state), ' ' ORDER BY region_id)"
        " FROM region_health WHERE last_check_at = since", text), "eu-west-1,f,3,postgres,down us-west-2,t,71,0,postgres,healthy");
    sql_do(db, "SELECT * FROM region_health ORDER BY latency_ms");
    sql_do(broker, "SELECT update_region_health('us-west-2', false, 80, 1, 'us-east-1', 'suspect', now())");
    assert_int_equal(sql_long(db, "SELECT count(*) FROM region_health"), 3);
    sql_do(db, "SELECT update_region_health('us-west-2', false, 90, 2)");
    assert_string_equal(sql_text(db, "SELECT state || latency_ms || consecutive_failures FROM region_health WHERE region_id = 'us-west-2' AND observed_by = 'postgres'", text), "down902");
    assert_int_equal(sql_long(db, "SELECT count(*) FROM region_health"), 3);
    assert_int_equal(sql_long(db, "SELECT count(*) FROM get_region_sync_status()"), 0);
}

static void
test_roles_may_do_no_more_than_they_need(void **state)
{
    static const char *const never[] = {
        "DELETE FROM realtime_fanout_log",
        "TRUNCATE realtime_fanout_log",
        "DROP TABLE realtime_fanout_log",
        "ALTER TABLE realtime_fanout_log ADD x int",
        "UPDATE realtime_fanout_log SET event_type = 'x'",
        "UPDATE realtime_fanout_repeats SET event_id = 'x'",
        "DELETE FROM fanout_ledger_cursor",
        "DELETE FROM realtime_fanout_quarantine",
        "DELETE FROM region_health",
        "INSERT INTO regions VALUES ('x', 'x')",
        "INSERT INTO fanout_migrations VALUES (99, 'x', 'x')",
        "CREATE TABLE mine (a int)",
        "CREATE ROLE mine",
    };
    char db[256], broker[256], reader[256];

    (void)state;
    make_migrated("roles", db);
    as_user(db, "fanout_broker", broker);
    as_user(db, "fanout_reader", reader);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        sql_refused(broker, never[i], "42501");
        sql_refused(reader, never[i], "42501");
    }
    sql_do(broker, "UPDATE realtime_fanout_log SET delivery_status = '{}', is_settled = true WHERE false");
    sql_do(broker, "INSERT INTO fanout_ledger_cursor (region, epoch, lsn) VALUES ('a', 1, 2)");
    sql_refused(reader, "UPDATE realtime_fanout_log SET delivery_status = '{}'", "42501");
    sql_refused(reader, "INSERT INTO fanout_ledger_cursor (region, epoch, lsn) VALUES ('a', 1, 2)", "42501");
    sql_refused(reader, "SELECT log_realtime_fanout('a', 'b', '{}', 1, '{}')", "42501");
    sql_do(reader, "SELECT * FROM realtime_fanout_log, regions, fanout_deliveries");
    sql_do(reader, "SELECT * FROM fanout_report(now(), now())");
    sql_do(reader, "SELECT * FROM fanout_explain('default', 'x')");
    sql_do(reader, "SELECT * FROM region_health, get_region_sync_status()");
    sql_refused(reader, "SELECT update_region_health('us-west-2', true, 1, 0)", "42501");
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
        cmocka_unit_test(test_twice_changes_nothing),
        cmocka_unit_test(test_dry_run_changes_nothing),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_waits_for_lock_and_says_so),
        cmocka_unit_test(test_edited_migration_is_refused),
        cmocka_unit_test(test_newer_database_is_refused),
        cmocka_unit_test(test_failed_migration_leaves_no_trace),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_regions_are_listed),
        cmocka_unit_test(test_log_function_and_guide_query),
        cmocka_unit_test(test_health_as_the_guide_has_it),
        cmocka_unit_test(test_roles_may_do_no_more_than_they_need),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
