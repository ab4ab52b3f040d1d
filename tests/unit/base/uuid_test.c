/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/uuid.h"

/* RFC 9562 appendix A.6: 2022-02-22T19:22:22.000Z begins 017f22e2-79b0-7. */
static void
carries_the_millisecond_of_the_rfc_example(void **state)
{
    struct fo_rng rng;
    char text[FO_UUID_SIZE];

    (void)state;
    fo_rng_init(&rng, 1);
    fo_uuid7_format((struct fo_wall){1645557742000000}, &rng, text);
    assert_int_equal(strlen(text), 36);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
}

static void
has_the_canonical_shape(void **state)
{
    struct fo_rng rng;
    char text[FO_UUID_SIZE];

    (void)state;
    fo_rng_init(&rng, 99);
    for (int i = 0; i < 200; i++) {
        fo_uuid7_format((struct fo_wall){1645557742000000 + i * 137}, &rng, text);
        for (int at = 0; at < 36; at++) {
            if (at == 8 || at == 13 || at == 18 || at == 23)
                assert_int_equal(text[at], '-');
            else
                assert_non_null(strchr("0123456789abcdef", text[at]));
        }
        assert_int_equal(text[14], '7');
        assert_non_null(strchr("89ab", text[19]));
    }
}

static void
later_sorts_after_earlier(void **state)
{
    struct fo_rng rng;
    char earlier[FO_UUID_SIZE], later[FO_UUID_SIZE];

    (void)state;
    fo_rng_init(&rng, 3);
    fo_uuid7_format((struct fo_wall){1645557742000000}, &rng, earlier);
    for (int us = 1; us < 3000; us++) {
        fo_uuid7_format((struct fo_wall){1645557742000000 + us}, &rng, later);
        assert_true(strcmp(later, earlier) > 0);
        memcpy(earlier, later, sizeof earlier);
    }
}

static void
same_instant_differs(void **state)
{
    struct fo_rng rng;
    char a[FO_UUID_SIZE], b[FO_UUID_SIZE];

    (void)state;
    fo_rng_init(&rng, 3);
    fo_uuid7_format((struct fo_wall){1}, &rng, a);
    fo_uuid7_format((struct fo_wall){1}, &rng, b);
    assert_string_not_equal(a, b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_the_millisecond_of_the_rfc_example),
        cmocka_unit_test(has_the_canonical_shape),
        cmocka_unit_test(later_sorts_after_earlier),
        cmocka_unit_test(same_instant_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
