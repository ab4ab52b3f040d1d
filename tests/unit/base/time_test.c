/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "base/time.h"

static int64_t
parsed(const char *text)
{
    struct fo_wall t = {-1};

    if (fo_wall_parse(text, strlen(text), &t) != FO_OK)
        fail_msg("refused: %s", text);
    return t.us;
}

static void
parses_what_the_rfc_shows(void **state)
{
    (void)state;
    assert_true(parsed("1985-04-12T23:20:50.52Z") == 482196050520000);
    assert_true(parsed("1996-12-19T16:39:57-08:00") == 851042397000000);
    assert_true(parsed("1990-12-31T23:59:60Z") == 662688000000000);
    assert_true(parsed("1990-12-31T15:59:60-08:00") == 662688000000000);
    assert_true(parsed("1937-01-01T12:00:27.87+00:20") == -1041337172130000);
    assert_true(parsed("1970-01-01t00:00:00z") == 0);
    assert_true(parsed("1969-12-31T23:59:59.999999Z") == -1);
    assert_true(parsed("2000-02-29T00:00:00-00:00") == 951782400000000);
}

static void
fractions_are_cut_to_microseconds(void **state)
{
    (void)state;
    assert_true(parsed("1970-01-01T00:00:00.1Z") == 100000);
    assert_true(parsed("1970-01-01T00:00:00.000001Z") == 1);
    assert_true(parsed("1970-01-01T00:00:00.0000019Z") == 1);
    assert_true(parsed("1970-01-01T00:00:00.123456789Z") == 123456);
}

static void
refuses_everything_else(void **state)
{
    const char *const texts[] = {
        "", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00Z", "26-01-31T12:00:00Z",
        "2026-00-10T12:00:00Z", "2026-13-10T12:00:00Z", "2026-01-00T12:00:00Z", "2026-01-32T12:00:00Z", "2026-04-31T12:00:00Z",
        "2026-02-29T12:00:00Z", "1900-02-29T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:60Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890Z", "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+01:60", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+01",
        "2026-01-31T12:00:00ZZ", "2026-01-31T12:00:00Z ", " 2026-01-31T12:00:00Z", "2026-01-3xT12:00:00Z", "+026-01-31T12:00:00Z",
        "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:60Z", "0000-01-01T00:00:00+00:01",
    };
    struct fo_wall t = {5};

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (fo_wall_parse(texts[i], strlen(texts[i]), &t) != FO_ERR_PARSE)
            fail_msg("accepted: %s", texts[i]);
    assert_true(t.us == 5);
    assert_int_equal(fo_wall_parse("2026-01-31T12:00:00Z" "Z", 20, &t), FO_OK);   /* reads n bytes, no more */
}

static void
formats_in_utc(void **state)
{
    char text[FO_RFC3339_SIZE];

    (void)state;
    fo_wall_format((struct fo_wall){0}, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    fo_wall_format((struct fo_wall){-1}, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    fo_wall_format((struct fo_wall){1769903999000001}, text);
    assert_string_equal(text, "2026-01-31T23:59:59.000001Z");
    fo_wall_format((struct fo_wall){INT64_MIN}, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000000Z");
    fo_wall_format((struct fo_wall){INT64_MAX}, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

static void
agrees_with_libc_and_reads_itself_back(void **state)
{
    const uint64_t four_digit_years_s = 315569520000;       /* 0000 to 9999 */
    struct fo_rng rng;

    (void)state;
    fo_rng_init(&rng, 11);
    for (int i = 0; i < 20000; i++) {
        time_t seconds = (time_t)fo_rng_below(&rng, four_digit_years_s) - 62167219200;
        struct fo_wall t = {seconds * 1000000 + (int64_t)fo_rng_below(&rng, 1000000)};
        char text[FO_RFC3339_SIZE], libc_text[64];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        snprintf(libc_text, sizeof libc_text, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
        fo_wall_format(t, text);
        assert_memory_equal(text, libc_text, 19);
        assert_true(parsed(text) == t.us);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_the_rfc_shows),
        cmocka_unit_test(fractions_are_cut_to_microseconds),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(formats_in_utc),
        cmocka_unit_test(agrees_with_libc_and_reads_itself_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
