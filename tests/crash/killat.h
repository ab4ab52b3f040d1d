/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends this process at one chosen I/O call below a directory, or makes that call fail. Counted are the calls that change
 * something there, or make it durable: open with O_CREAT, write, pwrite, pwritev, ftruncate, fallocate, fsync, fdatasync,
 * sync_file_range, syncfs, mkdir, rename, unlink.
 *
 * Linked into a program it is armed by killat_arm; preloaded into any program, by the environment:
 *
 *   KILLAT_DIR    the directory, as /proc/self/fd names it
 *   KILLAT_HOW    count | before | after | torn | errno | cut    (torn: a write leaves its first half)
 *   KILLAT_AT     which call, from 1
 *   KILLAT_CALL   counts only calls of this name; "" or unset: all
 *   KILLAT_ERRNO  what the call fails with, a number
 *   KILLAT_FROM   1: every call from that one on fails, not it alone
 *   KILLAT_COUNT  a file, made here, that holds the number of calls so far (struct killat_count) */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum killat_how { KILLAT_OFF, KILLAT_COUNTING, KILLAT_BEFORE, KILLAT_AFTER, KILLAT_TORN, KILLAT_ERRNO, KILLAT_CUT };

struct killat_count { _Atomic uint64_t calls; _Atomic uint64_t hits; char call[24]; /* name of the one that was hit */ };

struct killat_plan {
    char dir[400];                  /* as long as a path of the tests may be */
    enum killat_how how;
    uint64_t at;
    char call[24];
    int errnum;
    bool is_lasting;                /* every call from `at` on fails */
    struct killat_count *count;     /* shared with whoever wants to know; may be null */
    char image[256];                /* KILLAT_CUT: images are left in IMAGE.0, IMAGE.1, ... */
    unsigned images;
    uint64_t seed;
};

void killat_arm(const struct killat_plan *plan);
void killat_disarm(void);
