/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/window.h"

static struct fo_slot
slot(uint64_t first_seq, uint64_t last_seq, uint32_t bytes)
{
    return (struct fo_slot){.lsn = first_seq * 100, .first_seq = first_seq, .last_seq = last_seq, .bytes = bytes, .attempts = 1};
}

static enum fo_err
push(struct fo_window *w, uint64_t first_seq, uint64_t last_seq, uint32_t bytes)
{
    struct fo_slot s = slot(first_seq, last_seq, bytes);

    return fo_window_push(w, &s);
}

static void
full_at_cap_and_not_before(void **state)
{
    struct fo_slot slots[3];
    struct fo_window w;

    (void)state;
    fo_window_init(&w, slots, 3);
    assert_true(fo_window_is_empty(&w));
    assert_int_equal(push(&w, 1, 1, 10), FO_OK);
    assert_int_equal(push(&w, 2, 5, 20), FO_OK);
    assert_int_equal(push(&w, 9, 9, 30), FO_OK);
    assert_int_equal(push(&w, 10, 10, 40), FO_ERR_FULL);
    assert_int_equal(w.count, 3);
    assert_int_equal(w.bytes, 60);
    assert_int_equal(fo_window_oldest(&w)->first_seq, 1);
}

/* A batch is settled by an ack of its last sequence, not by one below. */
static void
settles_whole_batches_oldest_first(void **state)
{
    struct fo_slot slots[3], out;
    struct fo_window w;

    (void)state;
    fo_window_init(&w, slots, 3);
    assert_int_equal(fo_window_settle(&w, 100, &out), FO_ERR_NOT_FOUND);
    assert_int_equal(push(&w, 1, 4, 10), FO_OK);
    assert_int_equal(push(&w, 5, 8, 20), FO_OK);
    assert_int_equal(fo_window_settle(&w, 3, &out), FO_ERR_NOT_FOUND);
    assert_int_equal(fo_window_settle(&w, 4, &out), FO_OK);
    assert_int_equal(out.first_seq, 1);
    assert_int_equal(w.bytes, 20);
    assert_int_equal(fo_window_settle(&w, 7, &out), FO_ERR_NOT_FOUND);
    assert_int_equal(fo_window_settle(&w, 9, &out), FO_OK);
    assert_int_equal(out.last_seq, 8);
    assert_true(fo_window_is_empty(&w));
    assert_int_equal(w.bytes, 0);
}

/* The ring turns over many times; order and bytes stay right at every place of its head. */
static void
turns_over(void **state)
{
    struct fo_slot slots[5], out;
    struct fo_window w;
    uint64_t next = 1, oldest = 1;

    (void)state;
    fo_window_init(&w, slots, 5);
    for (int round = 0; round < 100; round++) {
        unsigned fill = 1 + (unsigned)round % 5;

        while (w.count < fill) {
            assert_int_equal(push(&w, next, next + 1, 7), FO_OK);
            next += 2;
        }
        assert_int_equal(w.bytes, 7 * w.count);
        assert_int_equal(fo_window_settle(&w, oldest + 1, &out), FO_OK);
        assert_int_equal(out.first_seq, oldest);
        assert_int_equal(out.lsn, oldest * 100);
        oldest += 2;
    }
}

static void
clear_empties(void **state)
{
    struct fo_slot slots[2], out;
    struct fo_window w;

    (void)state;
    fo_window_init(&w, slots, 2);
    assert_int_equal(push(&w, 1, 1, 10), FO_OK);
    assert_int_equal(push(&w, 2, 2, 10), FO_OK);
    fo_window_clear(&w);
    assert_true(fo_window_is_empty(&w));
    assert_int_equal(w.bytes, 0);
    assert_int_equal(fo_window_settle(&w, 2, &out), FO_ERR_NOT_FOUND);
    assert_int_equal(push(&w, 1, 1, 10), FO_OK);
    assert_int_equal(push(&w, 2, 2, 10), FO_OK);
    assert_int_equal(push(&w, 3, 3, 10), FO_ERR_FULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_at_cap_and_not_before),
        cmocka_unit_test(settles_whole_batches_oldest_first),
        cmocka_unit_test(turns_over),
        cmocka_unit_test(clear_empties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
