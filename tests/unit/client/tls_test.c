/* SPDX-License-Identifier: Apache-2.0
 *
 * What name a broker's certificate must have. Whether NNG holds it to that: tests/integration/test_tls.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/tls.h"

static void
test_the_name_is_the_host_unless_given(void **state)
{
    static const struct { const char *address, *name, *expected; } cases[] = {
        { "tls+tcp://broker.example.com:7101", NULL, "broker.example.com" },
        { "tls+tcp://Broker.Example.COM:7101", NULL, "broker.example.com" },
        { "tls+tcp://10.0.0.5:7101", NULL, "10.0.0.5" },
        { "tls+tcp://[::1]:7101", NULL, "::1" },
        { "tls+tcp://10.0.0.5:7101", "broker.example.com", "broker.example.com" },
        { "tls+tcp://10.0.0.5:7101", "", NULL },
        { "tls+tcp://*:7101", NULL, NULL },
        { "tls+tcp://:7101", NULL, NULL },
        { "tls+tcp://[::1:7101", NULL, NULL },
    };
    char name[FO_TLS_NAME_BYTES_MAX + 1], long_name[FO_TLS_NAME_BYTES_MAX + 2];

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum fo_err err = fo_tls_name(cases[i].address, cases[i].name, name);
        assert_int_equal(err, cases[i].expected != NULL ? FO_OK : FO_ERR_INVALID);
        if (err == FO_OK)
            assert_string_equal(name, cases[i].expected);
    }
    /* mbedTLS does not take a longer name, NNG does not say so, and then no name would be checked. */
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(fo_tls_name("tls+tcp://10.0.0.5:7101", long_name, name), FO_ERR_INVALID);
    assert_int_equal(fo_tls_name("tls+tcp://10.0.0.5:7101", long_name + 1, name), FO_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_name_is_the_host_unless_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
