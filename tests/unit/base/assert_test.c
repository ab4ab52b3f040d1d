/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

/* A failed assertion says where and ends the process; in a child, so that this one lives to see it. */
static void
failure_names_the_place_and_aborts(void **state)
{
    char text[256] = "";
    size_t used = 0;
    ssize_t n;
    int out[2], status;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(out), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(out[1], STDERR_FILENO);
        fo_assert(1 + 1 == 2);
        fo_assert(1 + 1 == 3);
        _exit(0);
    }
    close(out[1]);
    while ((n = read(out[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    close(out[0]);
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "assert_test.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_names_the_place_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
