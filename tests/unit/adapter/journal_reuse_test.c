/* SPDX-License-Identifier: Apache-2.0
 *
 * Trimmed files become later segments, unless somebody reads them; those that are too many go. */
#include "journal_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/journal_segments.h"

enum { WAIT_MS = 5000, SEGMENTS_MAX = 64 };

static ino_t
file_number(struct fx *fx, uint64_t base)
{
    struct stat st;

    assert_int_equal(stat(fx_segment_path(fx, base), &st), 0);
    return st.st_ino;
}

static uint64_t
open_base(const struct fx *fx)
{
    return fx->stored_lsn / FX_SEGMENT_BYTES * FX_SEGMENT_BYTES;
}

static void
store_segments(struct fx *fx, unsigned more)
{
    unsigned goal = fx->checkpoints + more;

    while (fx->checkpoints < goal)
        fx_store(fx, 4000);
}

/* Trims everything before the open segment, and waits until the names are gone. */
static void
trim_all(struct fx *fx)
{
    uint64_t base = open_base(fx);

    fx->journal->ops->trim(fx->journal, UINT64_MAX);
    for (int ms = 0; fx_has_segment(fx, base - FX_SEGMENT_BYTES); ms++) {
        assert_true(ms < WAIT_MS);
        usleep(1000);
    }
}

static unsigned
count_aside(struct fx *fx)
{
    char path[128];
    struct dirent *entry;
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/journal", fx->dir);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        n += strstr(entry->d_name, ".tmp") != NULL;
    closedir(dir);
    return n;
}

static bool
is_among(const ino_t *numbers, unsigned n, ino_t number)
{
    while (n > 0)
        if (numbers[--n] == number)
            return true;
    return false;
}

static void
a_trimmed_file_becomes_a_later_segment(void **state)
{
    struct fx *fx = *state;
    ino_t before[SEGMENTS_MAX];
    unsigned n = 0, again = 0;
    uint64_t base;

    fx_open(fx);
    store_segments(fx, 5);
    for (uint64_t at = 0; at < open_base(fx); at += FX_SEGMENT_BYTES)
        before[n++] = file_number(fx, at);
    base = open_base(fx);
    trim_all(fx);
    store_segments(fx, 6);
    for (uint64_t at = base + FX_SEGMENT_BYTES; at <= open_base(fx); at += FX_SEGMENT_BYTES)
        again += is_among(before, n, file_number(fx, at));
    assert_in_range(again, 3, n);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);

    fx_close(fx);
    fx_open(fx);
    assert_int_equal(fx->opened.torn_bytes, 0);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
    assert_true(fx_read_all(fx, 0).last == fx->next - 1);
    assert_int_equal(count_aside(fx), 0);
}

static void
a_file_that_is_read_is_not_used_again(void **state)
{
    struct fx *fx = *state;
    struct fo_journal_reader *reader;
    struct fo_record rec;
    uint64_t first;
    ino_t read_number, number;
    unsigned own = 0;

    fx_open(fx);
    store_segments(fx, 3);
    reader = fx_reader(fx, 0);
    assert_int_equal(fx->journal->ops->read_next(reader, FX_ALL, FX_ALL, &rec), FO_OK);
    read_number = file_number(fx, 0);
    first = open_base(fx);
    trim_all(fx);
    store_segments(fx, 8);
    for (uint64_t at = first; at <= open_base(fx); at += FX_SEGMENT_BYTES) {
        number = file_number(fx, at);
        assert_true(number != read_number);
    }
    while (fx->journal->ops->read_next(reader, FX_ALL, FX_ALL, &rec) == FO_OK) {
        fx_check_body(&rec);
        own += rec.type == FO_RECORD_OWN;
    }
    assert_true(own > 10);              /* all of its segment, as it was; then the rest is gone */
    fx->journal->ops->reader_close(reader);
    assert_int_equal(fx_stats(fx).quarantined, 0);
}

static void
those_that_are_too_many_are_deleted(void **state)
{
    struct fx *fx = *state;

    fx_open(fx);
    store_segments(fx, 12);
    trim_all(fx);
    for (int ms = 0; count_aside(fx) > FO_SEGMENTS_ASIDE_KEPT + 1; ms++) {     /* and a spare that is being made */
        assert_true(ms < WAIT_MS);
        usleep(1000);
    }
    for (int ms = 0; fx_stats(fx).bytes_on_disk > (FO_SEGMENTS_ASIDE_KEPT + 2) * FX_SEGMENT_BYTES; ms++) {
        assert_true(ms < WAIT_MS);
        usleep(1000);
    }
    store_segments(fx, 3);
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

static void
nothing_is_put_aside_beyond_bytes_max(void **state)
{
    struct fx *fx = *state;

    fx->config.bytes_max = 6 * FX_SEGMENT_BYTES;
    fx_open(fx);
    for (unsigned turn = 0; turn < 10; turn++) {
        store_segments(fx, 4);
        assert_true(fx_stats(fx).bytes_on_disk <= fx->config.bytes_max);
        trim_all(fx);
        assert_true(fx_stats(fx).bytes_on_disk <= fx->config.bytes_max);
    }
    assert_int_equal(fx_read_all(fx, 0).corrupt, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_trimmed_file_becomes_a_later_segment, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_read_is_not_used_again, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(those_that_are_too_many_are_deleted, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_put_aside_beyond_bytes_max, fx_setup, fx_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
