/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "wire/error.h"

#include <string.h>

static void
a_fault_carries_code_path_and_text(void **state)
{
    struct fo_fault fault;

    (void)state;
    assert_int_equal(fo_fault_set(&fault, FO_ERR_SCHEMA, "data.a", "at most %d", 3), FO_ERR_SCHEMA);
    assert_int_equal(fault.err, FO_ERR_SCHEMA);
    assert_string_equal(fault.path, "data.a");
    assert_string_equal(fault.text, "at most 3");
}

static void
a_quoted_text_is_cut_between_characters(void **state)
{
    char path[400];
    struct fo_fault fault;

    (void)state;
    for (unsigned shift = 0; shift < 4; shift++) {
        memset(path, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof path; i += 4)
            memcpy(path + i, "\xf0\x9f\x98\x80", 5);
        fo_fault_set(&fault, FO_ERR_INVALID, path, "%s", path);
        assert_true(fo_utf8_is_valid((const uint8_t *)fault.path, strlen(fault.path)));
        assert_true(fo_utf8_is_valid((const uint8_t *)fault.text, strlen(fault.text)));
        assert_true(strlen(fault.path) > sizeof fault.path - 6);
        assert_memory_equal(fault.path, path, strlen(fault.path));
    }
}

static void
bytes_that_are_no_text_are_shown_as_question_marks(void **state)
{
    struct fo_fault fault;

    (void)state;
    fo_fault_set(&fault, FO_ERR_UTF8, "a\xff" "b", "\xc3\xa9\xff.");
    assert_string_equal(fault.path, "a?b");
    assert_string_equal(fault.text, "???.");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_carries_code_path_and_text),
        cmocka_unit_test(a_quoted_text_is_cut_between_characters),
        cmocka_unit_test(bytes_that_are_no_text_are_shown_as_question_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
