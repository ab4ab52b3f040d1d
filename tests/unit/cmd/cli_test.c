/* SPDX-License-Identifier: Apache-2.0
 *
 * The small parts of `fanout`: times and numbers as people write them, tables, addresses, and the guess at a mistyped name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/fanout/common.h"
#include "cmd/fanout/nearest.h"
#include "cmd/fanout/table.h"

static void
test_times_are_ages_or_rfc_3339(void **state)
{
    static const struct { const char *text; int64_t seconds_ago; } good[] = {
        { "90s", 90 }, { "15m", 900 }, { "15min", 900 }, { "1h", 3600 }, { "1.5h", 5400 }, { "7d", 604800 }, { "0s", 0 },
    };
    static const char *const bad[] = { "", "1", "h", "-1h", "1 h", "1w", "nan", "inf", "1e300d", "99999999d", "2026-13-01T00:00:00Z" };
    const struct fo_wall now = { INT64_C(1767225600000000) };
    struct fo_wall t;

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(cmd_parse_time(good[i].text, now, &t));
        assert_true(t.us == now.us - good[i].seconds_ago * 1000000);
    }
    assert_true(cmd_parse_time("2026-01-01T00:00:00Z", now, &t));
    assert_true(t.us == now.us);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cmd_parse_time(bad[i], now, &t))
            fail_msg("taken: '%s'", bad[i]);
    }
}

static void
test_durations_and_numbers(void **state)
{
    uint64_t v;
    int ms;

    (void)state;
    assert_true(cmd_parse_ms("250", &ms) && ms == 250);
    assert_true(cmd_parse_ms("250ms", &ms) && ms == 250);
    assert_true(cmd_parse_ms("5s", &ms) && ms == 5000);
    assert_true(cmd_parse_ms("1m", &ms) && ms == 60000);
    assert_false(cmd_parse_ms("-1", &ms) || cmd_parse_ms("5 s", &ms) || cmd_parse_ms("s", &ms) || cmd_parse_ms("60d", &ms));
    assert_true(cmd_parse_number("1000", 1, 1000, &v) && v == 1000);
    assert_false(cmd_parse_number("1001", 1, 1000, &v) || cmd_parse_number("0", 1, 1000, &v) || cmd_parse_number("+1", 1, 1000, &v)
        || cmd_parse_number("1x", 1, 1000, &v) || cmd_parse_number("", 0, 1000, &v)
        || cmd_parse_number("99999999999999999999", 0, UINT64_MAX, &v));
}

static void
test_a_mistyped_name_is_guessed(void **state)
{
    static const char *const names[] = { "pub", "sub", "report", "explain", "region" };

    (void)state;
    assert_string_equal(nearest_name("pib", names, 5), "pub");
    assert_string_equal(nearest_name("reprot", names, 5), "report");
    assert_string_equal(nearest_name("explian", names, 5), "explain");
    assert_string_equal(nearest_name("regions", names, 5), "region");
    assert_null(nearest_name("frobnicate", names, 5));
    assert_null(nearest_name("a-word-that-is-longer-than-any-command", names, 5));
}

static void
test_tables_line_up(void **state)
{
    static const char *const header[] = { "NAME", ">COUNT" };
    char *text = NULL;
    struct table t;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    table_init(&t, header, 2);
    table_add(&t, "%s", "h\xc3\xa9");   /* two characters in three bytes */
    table_add(&t, "%d", 7);
    table_add(&t, "%s", "longer");
    table_add(&t, "%d", 1234567);
    table_print(&t, f, 1);
    fclose(f);
    assert_string_equal(text, " NAME      COUNT\n h\xc3\xa9            7\n longer  1234567\n");
    table_fini(&t);
    free(text);
}

static void
test_durations_and_sizes_read_well(void **state)
{
    char t[24];

    (void)state;
    assert_string_equal(table_ms(-1, t), "-");
    assert_string_equal(table_ms(0.841, t), "0.84 ms");
    assert_string_equal(table_ms(45.4, t), "45 ms");
    assert_string_equal(table_ms(12345, t), "12.3 s");
    assert_string_equal(table_ms(600000, t), "10 min");
    assert_string_equal(table_ms(36000000, t), "10.0 h");
    assert_string_equal(table_bytes(12, t), "12 B");
    assert_string_equal(table_bytes(1536, t), "1.5 KiB");
    assert_string_equal(table_bytes(67108864, t), "64.0 MiB");
    assert_string_equal(table_bytes(134217728, t), "128 MiB");
}

static void
test_exit_codes_are_stable(void **state)
{
    (void)state;
    assert_int_equal(cmd_exit_of(FANOUT_OK), 0);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_REFUSED), 1);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_INVALID), 2);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_UNREACHABLE), 3);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_TIMEOUT), 3);
    assert_int_equal(CMD_NOT_FOUND, 4);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_PARTIAL), 5);
    assert_int_equal(cmd_exit_of(FANOUT_ERR_WAIT), 5);
}

static void
test_a_door_on_every_interface_is_reached_on_loopback(void **state)
{
    static const char *const door[][2] = {
        { "tcp://0.0.0.0:7101", "tcp://127.0.0.1:7101" }, { "tls+tcp://0.0.0.0:7101", "tls+tcp://127.0.0.1:7101" },
        { "tcp://*:7101", "tcp://127.0.0.1:7101" }, { "tls+tcp://:7101", "tls+tcp://127.0.0.1:7101" },
        { "tls+tcp://[::]:7101", "tls+tcp://[::1]:7101" }, { "tcp://10.0.0.0:7101", "tcp://10.0.0.0:7101" },
        { "tls+tcp://broker.example.com:7101", "tls+tcp://broker.example.com:7101" }, { "ipc:///run/fanout/*:1", "ipc:///run/fanout/*:1" },
    };
    char url[CMD_DOOR_BYTES];

    (void)state;
    for (unsigned i = 0; i < sizeof(door) / sizeof(door[0]); i++) {
        cmd_reachable_url(door[i][0], url);
        assert_string_equal(url, door[i][1]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_ages_or_rfc_3339),
        cmocka_unit_test(test_durations_and_numbers),
        cmocka_unit_test(test_a_mistyped_name_is_guessed),
        cmocka_unit_test(test_tables_line_up),
        cmocka_unit_test(test_durations_and_sizes_read_well),
        cmocka_unit_test(test_exit_codes_are_stable),
        cmocka_unit_test(test_a_door_on_every_interface_is_reached_on_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
