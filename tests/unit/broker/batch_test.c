/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/batch.h"

enum { LARGE = 300000 };

static struct fo_batch *
take(struct fo_batch_pool *p, size_t bytes)
{
    struct fo_batch *b = fo_batch_take(p, bytes);

    assert_non_null(b);
    assert_true(b->built.cap >= bytes && b->built.n == 0);
    return b;
}

static void
has_the_room_that_was_asked_for(void **state)
{
    static const size_t bytes[] = { 0, 1, 300, 20000, LARGE, 3 * LARGE, LARGE - 1, 10 * LARGE, 5 };
    struct fo_batch_pool p;

    (void)state;
    fo_batch_pool_init(&p, 2);
    for (unsigned turn = 0; turn < 4; turn++)
        for (unsigned i = 0; i < sizeof bytes / sizeof *bytes; i++) {
            struct fo_batch *b = take(&p, bytes[i]);

            b->built.n = bytes[i];
            fo_batch_give_back(&p, NULL, &b);
            assert_null(b);
        }
    fo_batch_pool_fini(&p);
}

static void
keeps_little_room(void **state)
{
    struct fo_batch_pool p;
    struct fo_batch *b;

    (void)state;
    fo_batch_pool_init(&p, 2);
    b = take(&p, LARGE);
    fo_batch_give_back(&p, NULL, &b);
    b = take(&p, 0);
    assert_true(b->built.cap < LARGE);
    fo_batch_give_back(&p, NULL, &b);
    fo_batch_pool_fini(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_room_that_was_asked_for),
        cmocka_unit_test(keeps_little_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
