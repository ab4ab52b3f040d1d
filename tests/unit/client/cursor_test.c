/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors as text, and the marks that keep an event from being handed out twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/cursor.h"

static void
note_for(struct fo_marks *m, const char *position, uint64_t targets, bool is_new)
{
    struct fo_slice region;
    struct fo_position pos;

    assert_int_equal(fo_position_parse(fo_slice_str(position), &region, &pos), FO_OK);
    assert_int_equal(fo_marks_has(m, region, pos, targets), !is_new);
    if (is_new)
        fo_marks_note(m, region, pos, targets);
}

static void
note(struct fo_marks *m, const char *position, bool is_new)
{
    note_for(m, position, 0, is_new);
}

static void
test_marks_know_what_was_seen(void **state)
{
    struct fo_marks m = { 0 };

    (void)state;
    note(&m, "us-east-1:18f:high:5", true);
    note(&m, "us-east-1:18f:high:5", false);
    note(&m, "us-east-1:18f:high:4", false);
    note(&m, "us-east-1:18f:normal:1", true);       /* each lane for itself */
    note(&m, "eu-west-1:18f:high:1", true);         /* each source for itself */
    note(&m, "us-east-1:18f:high:7", true);         /* gaps are what a filter leaves */
    note(&m, "us-east-1:190:high:1", true);         /* a later epoch begins anew */
    note(&m, "us-east-1:18f:high:9", false);        /* and the one before is over */
    assert_int_equal(m.count, 3);
    note_for(&m, "us-east-1:190:high:1", 0xbeef, true);     /* what is for some regions only, for itself: another broker did not have it */
    note_for(&m, "us-east-1:190:high:1", 0xbeef, false);
    note(&m, "us-east-1:190:high:1", false);
    assert_int_equal(m.count, 4);
}

static void
test_text_and_back(void **state)
{
    struct fo_cursor c = { .place = FO_SLICE_LIT("c1.18f.1000.3"), .begin_us = 1767225600123456 }, again;
    struct fo_marks m = { 0 }, m2;
    struct fo_buf text;

    (void)state;
    strcpy(c.region, "us-west-2");
    note(&m, "us-east-1:18f:high:42", true);
    note(&m, "eu-west-1:2a:low:7", true);
    note_for(&m, "eu-west-1:2a:low:9", 0xfeedface01, true);
    fo_buf_init(&text);
    assert_int_equal(fo_cursor_format(&c, &m, &text), FO_OK);
    assert_string_equal((const char *)text.p,
        "f2~us-west-2~c1.18f.1000.3~1767225600123456~us-east-1:18f:high:42,eu-west-1:2a:low:7,eu-west-1:2a:low:9:feedface01");
    assert_int_equal(fo_cursor_parse((const char *)text.p, &again, &m2), FO_OK);
    assert_string_equal(again.region, "us-west-2");
    assert_true(fo_slice_is_equal(again.place, c.place));
    assert_true(again.begin_us == c.begin_us);
    note(&m2, "us-east-1:18f:high:42", false);
    note(&m2, "eu-west-1:2a:low:7", false);
    note(&m2, "eu-west-1:2a:low:8", true);
    note_for(&m2, "eu-west-1:2a:low:9", 0xfeedface01, false);
    note_for(&m2, "eu-west-1:2a:low:9", 0xfeedface02, true);
    fo_buf_fini(&text);
}

static void
test_a_brokers_own_cursor_gives_the_place_alone(void **state)
{
    struct fo_cursor c;
    struct fo_marks m;

    (void)state;
    assert_int_equal(fo_cursor_parse("c1.18f.1000.3", &c, &m), FO_OK);
    assert_string_equal(c.region, "");
    assert_true(fo_slice_is_equal(c.place, FO_SLICE_LIT("c1.18f.1000.3")));
    assert_int_equal(m.count, 0);
}

static void
test_what_is_no_cursor_is_refused(void **state)
{
    static const char *const bad[] = { "", "x~y", "f2~", "f2~r~p", "f2~r~p~x~", "f2~r~p~-1~", "f2~r~p~1~nonsense",
        "f2~r~p~1~a:1:urgent:1", "f2~r~p~1~a:g:high:1", "f2~r~p~1~a:1:high:99999999999999999999999999",
        "f2~aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa~p~1~", "f2~r~p~1~:1:high:1", "f2~r~p~1~a:1:high:+1", "f2~r~p~1~a:1:high:1:xyz", "f1~r~p~1~" };
    struct fo_cursor c;
    struct fo_marks m;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (fo_cursor_parse(bad[i], &c, &m) == FO_OK)
            fail_msg("taken: %s", bad[i]);
    }
}

static void
test_more_sources_than_marks_lose_nothing(void **state)
{
    static struct fo_marks m;
    char region[16];

    (void)state;
    for (int i = 0; i < FO_MARKS_MAX + 10; i++) {
        snprintf(region, sizeof(region), "r%d", i);
        assert_false(fo_marks_has(&m, fo_slice_str(region), (struct fo_position){ 1, 1, FO_LANE_HIGH }, 0));
        fo_marks_note(&m, fo_slice_str(region), (struct fo_position){ 1, 1, FO_LANE_HIGH }, 0);
    }
    assert_int_equal(m.count, FO_MARKS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_know_what_was_seen),
        cmocka_unit_test(test_text_and_back),
        cmocka_unit_test(test_a_brokers_own_cursor_gives_the_place_alone),
        cmocka_unit_test(test_what_is_no_cursor_is_refused),
        cmocka_unit_test(test_more_sources_than_marks_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
