/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"
#include "base/names.h"

static void
every_error_has_its_own_name_and_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < FO_ERR_COUNT_; i++) {
        const char *name = fo_err_name((enum fo_err)i);

        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        assert_true(strlen(fo_err_text((enum fo_err)i)) > 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, fo_err_name((enum fo_err)k));
    }
    assert_string_equal(fo_err_name(FO_OK), "ok");
    assert_string_equal(fo_err_name((enum fo_err)FO_ERR_COUNT_), "internal");
    assert_non_null(fo_err_text((enum fo_err)-1));
}

static void
lanes_are_named(void **state)
{
    (void)state;
    assert_string_equal(fo_lane_name(FO_LANE_HIGH), "high");
    assert_string_equal(fo_lane_name(FO_LANE_NORMAL), "normal");
    assert_string_equal(fo_lane_name(FO_LANE_LOW), "low");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name_and_a_text),
        cmocka_unit_test(lanes_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
