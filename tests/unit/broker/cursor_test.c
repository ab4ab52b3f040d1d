/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void
reads_what_it_wrote(void **state)
{
    static const struct fo_cursor cases[] = {
        { "a", 0, { { { 0, 0 } }, { 0 }, 0 } },
        { "us-east-1", 0x18f3c2a1b00, { { { 4096, 255 }, { 8, 0 }, { 16777216, 1 } }, { 1767225600123456 }, 4 } },
        { "abcdefghijklmnopqrstuvwxyz-01234", UINT64_MAX, { { { UINT64_MAX, UINT32_MAX }, { UINT64_MAX, UINT32_MAX }, { UINT64_MAX, UINT32_MAX } }, { INT64_MAX }, 9 } },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[FO_CURSOR_SIZE];
        struct fo_cursor c;

        fo_cursor_format(&cases[i], text);
        assert_int_equal(fo_cursor_parse(fo_slice_str(text), &c), FO_OK);
        assert_string_equal(c.region, cases[i].region);
        assert_true(c.epoch == cases[i].epoch && c.stand.since.us == cases[i].stand.since.us && c.stand.turn == cases[i].stand.turn);
        for (int k = 0; k < FO_LANES; k++)
            assert_true(c.stand.lane[k].lsn == cases[i].stand.lane[k].lsn && c.stand.lane[k].index == cases[i].stand.lane[k].index);
    }
}

static void
refuses_all_else(void **state)
{
    static const char *const cases[] = {
        "",
        "c2",
        "c2.",
        "c1.us-east-1.1.2.3",
        "c2.us-east-1.1.0.0.2.3.2.3.2",
        "c2.us-east-1.1.0.0.2.3.2.3.2.3.4",
        "c2.us-east-1.1.0.0.2.3.2.3.2.3 ",
        "c2.us-east-1.1.0.0. 2.3.2.3.2.3",
        "c2.us-east-1.1.0.0.+2.3.2.3.2.3",
        "c2.us-east-1.1.0.0.2.-3.2.3.2.3",
        "c2.us-east-1.1.0.0.0x2.3.2.3.2.3",
        "c2.us-east-1.1.0.0.2.03.2.3.2.3",
        "c2.us-east-1.1.0.0.A.3.2.3.2.3",
        "c2.us-east-1.1.0.0.10000000000000000.3.2.3.2.3",
        "c2.us-east-1.1.0.0.2.100000000.2.3.2.3",
        "c2.us_east_1.1.0.0.2.3.2.3.2.3",
        "c2..1.0.0.2.3.2.3.2.3",
        "C2.us-east-1.1.0.0.2.3.2.3.2.3",
        "c2.us-east-1.1.0.a.2.3.2.3.2.3",
        "c2.us-east-1.1.8000000000000000.0.2.3.2.3.2.3",
        "c2.abcdefghijklmnopqrstuvwxyz-012345.1.0.0.2.3.2.3.2.3",
    };
    char text[200];
    struct fo_cursor c;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (fo_cursor_parse(fo_slice_str(cases[i]), &c) != FO_ERR_INVALID)
            fail_msg("taken: %s", cases[i]);
    assert_int_equal(fo_cursor_parse(fo_slice_of("c2.us-east-1.1.0.0.2.3.2.3.2.3\0x", 32), &c), FO_ERR_INVALID);
    memset(text, '1', sizeof text);
    assert_int_equal(fo_cursor_parse(fo_slice_of(text, sizeof text), &c), FO_ERR_INVALID);
}

/* Of ten in a row each lower lane that has something gets one, whatever the others have. */
static void
every_lane_has_its_turn(void **state)
{
    (void)state;
    for (unsigned has = 1; has < 8; has++) {
        unsigned count[FO_LANES] = { 0 };

        for (unsigned turn = 0; turn < FO_TURNS; turn++)
            count[fo_turn_lane(turn, has)]++;
        for (int i = 0; i < FO_LANES; i++)
            assert_true((count[i] > 0) == (has >> i & 1));
        assert_true(count[__builtin_ctz(has)] >= FO_TURNS - 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_what_it_wrote), cmocka_unit_test(refuses_all_else), cmocka_unit_test(every_lane_has_its_turn) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
