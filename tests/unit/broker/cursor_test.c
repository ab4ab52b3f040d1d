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
        { "a", 0, 0, 0 },
        { "us-east-1", 0x18f3c2a1b00, 4096, 255 },
        { "abcdefghijklmnopqrstuvwxyz-01234", UINT64_MAX, UINT64_MAX, UINT32_MAX },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[FO_CURSOR_SIZE];
        struct fo_cursor c;

        fo_cursor_format(&cases[i], text);
        assert_int_equal(fo_cursor_parse(fo_slice_str(text), &c), FO_OK);
        assert_string_equal(c.region, cases[i].region);
        assert_true(c.epoch == cases[i].epoch && c.lsn == cases[i].lsn && c.index == cases[i].index);
    }
}

static void
refuses_all_else(void **state)
{
    static const char *const cases[] = { "", "c1", "c1.", "c2.us-east-1.1.2.3", "c1.us-east-1.1.2", "c1.us-east-1.1.2.3.4", "c1.us-east-1.1.2.3 ",
        "c1.us-east-1. 1.2.3", "c1.us-east-1.+1.2.3", "c1.us-east-1.-1.2.3", "c1.us-east-1.0x1.2.3", "c1.us-east-1.01.2.3", "c1.us-east-1.A.2.3",
        "c1.us-east-1.10000000000000000.2.3", "c1.us-east-1.1.2.100000000", "c1.us_east_1.1.2.3", "c1..1.2.3", "C1.us-east-1.1.2.3",
        "c1.abcdefghijklmnopqrstuvwxyz-012345.1.2.3" };
    char text[200];
    struct fo_cursor c;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (fo_cursor_parse(fo_slice_str(cases[i]), &c) != FO_ERR_INVALID)
            fail_msg("taken: %s", cases[i]);
    assert_int_equal(fo_cursor_parse(fo_slice_of("c1.us-east-1.1.2.3\0x", 20), &c), FO_ERR_INVALID);
    memset(text, '1', sizeof text);
    assert_int_equal(fo_cursor_parse(fo_slice_of(text, sizeof text), &c), FO_ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_what_it_wrote), cmocka_unit_test(refuses_all_else) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
