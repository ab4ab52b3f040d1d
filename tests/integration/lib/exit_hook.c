/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into test builds with --wrap=_exit. A broker leaves by _exit, because closing NNG's sockets can deadlock; that would
 * also skip what a test wants at the end of a process: the coverage counters, and the leak check of the broker. (The command
 * line keeps what it holds until it leaves, on purpose.) */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Both weak: some programs are built without coverage or sanitizers. */
extern void __gcov_dump(void) __attribute__((weak));
extern void __lsan_do_leak_check(void) __attribute__((weak));
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void
__wrap__exit(int status)
{
    if (__gcov_dump != NULL)
        __gcov_dump();
    if (status == 0 && strcmp(program_invocation_short_name, "fanoutd") == 0 && __lsan_do_leak_check != NULL)
        __lsan_do_leak_check();
    __real__exit(status);
}
