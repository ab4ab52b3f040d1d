/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard error is turned into a pipe or a file for a moment; what comes out is parsed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "ports/log.h"

enum { CAPTURE_BYTES = 1 << 20, THREADS = 4, LINES_EACH = 200 };

static char captured[CAPTURE_BYTES];
static int stderr_saved, capture_fd;

static void
capture_begin(void)
{
    char path[] = "/tmp/fo-log-XXXXXX";

    capture_fd = mkstemp(path);
    assert_true(capture_fd >= 0);
    unlink(path);
    assert_int_equal(fcntl(capture_fd, F_SETFL, O_APPEND), 0);
    stderr_saved = dup(STDERR_FILENO);
    dup2(capture_fd, STDERR_FILENO);
}

static const char *
capture_end(void)
{
    ssize_t n;

    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    n = pread(capture_fd, captured, sizeof captured - 1, 0);
    close(capture_fd);
    assert_true(n >= 0);
    captured[n] = '\0';
    return captured;
}

static const char *
text_of(const json_t *line, const char *key)
{
    const char *s = json_string_value(json_object_get(line, key));

    assert_non_null(s);
    return s;
}

static void
a_line_is_an_object_with_its_fields(void **state)
{
    const char *text;
    json_t *line;
    struct fo_wall at;

    (void)state;
    fo_log_init("eu-west-1", FO_LOG_INFO);
    capture_begin();
    fo_log(FO_LOG_WARN, "link_down", FO_S("peer", "us-east-1"), FO_I("after_ms", -3000), FO_E(FO_ERR_TIMEOUT), FO_S("reason", NULL));
    text = capture_end();
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "event"), "link_down");
    assert_string_equal(text_of(line, "region"), "eu-west-1");
    assert_string_equal(text_of(line, "peer"), "us-east-1");
    assert_string_equal(text_of(line, "error"), "timeout");
    assert_true(json_integer_value(json_object_get(line, "after_ms")) == -3000);
    assert_true(json_is_null(json_object_get(line, "reason")));
    assert_int_equal(fo_wall_parse(text_of(line, "time"), strlen(text_of(line, "time")), &at), FO_OK);
    assert_true(at.us > 0);
    json_decref(line);
}

static void
levels_below_the_least_are_silent(void **state)
{
    const char *text;

    (void)state;
    fo_log_init("eu-west-1", FO_LOG_WARN);
    capture_begin();
    fo_log(FO_LOG_DEBUG, "a", FO_I("n", 1));
    fo_log(FO_LOG_INFO, "b", FO_I("n", 1));
    fo_log(FO_LOG_WARN, "c", FO_I("n", 1));
    fo_log(FO_LOG_ERROR, "d", FO_I("n", 1));
    text = capture_end();
    assert_null(strstr(text, "\"event\":\"a\""));
    assert_null(strstr(text, "\"event\":\"b\""));
    assert_non_null(strstr(text, "\"event\":\"c\""));
    assert_non_null(strstr(text, "\"event\":\"d\""));
}

static void
hostile_text_stays_inside_its_string(void **state)
{
    json_t *line;

    (void)state;
    fo_log_init("eu-west-1", FO_LOG_INFO);
    capture_begin();
    fo_log(FO_LOG_INFO, "e", FO_S("a", "x\"},\n{\"level\":\"fake\\"), FO_S("b", "bad \xff\xfe utf8"), FO_S("c", "caf\xc3\xa9"));
    line = json_loads(capture_end(), 0, NULL);
    assert_non_null(line);
    assert_string_equal(text_of(line, "a"), "x\"},\n{\"level\":\"fake\\");
    assert_string_equal(text_of(line, "b"), "bad ?? utf8");
    assert_string_equal(text_of(line, "c"), "caf\xc3\xa9");
    json_decref(line);
}

static void *
log_many(void *arg)
{
    for (int i = 0; i < LINES_EACH; i++)
        fo_log(FO_LOG_INFO, "line", FO_I("thread", (intptr_t)arg), FO_I("i", i));
    return NULL;
}

static void
threads_do_not_mix_their_lines(void **state)
{
    pthread_t threads[THREADS];
    int next[THREADS] = {0};
    char *rest, *text;

    (void)state;
    fo_log_init("eu-west-1", FO_LOG_INFO);
    capture_begin();
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    capture_end();
    rest = captured;
    while ((text = strsep(&rest, "\n")) && *text) {
        json_t *line = json_loads(text, 0, NULL);
        json_int_t thread, i;

        assert_non_null(line);
        thread = json_integer_value(json_object_get(line, "thread"));
        i = json_integer_value(json_object_get(line, "i"));
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(i, next[thread]);
        next[thread]++;
        json_decref(line);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES_EACH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_an_object_with_its_fields),
        cmocka_unit_test(levels_below_the_least_are_silent),
        cmocka_unit_test(hostile_text_stays_inside_its_string),
        cmocka_unit_test(threads_do_not_mix_their_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
