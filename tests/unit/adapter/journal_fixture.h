/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal in a directory of its own, and records whose bodies follow from their number, so that a wrong body shows. The number
 * stands in the record's count. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "adapter/journal_file.h"

enum {
    FX_SEGMENT_BYTES = 65536,
    FX_BODIES_MAX = 4096,
    FX_ALL = ~0u,
};

struct fx {
    char dir[64];
    struct fo_journal_config config;
    struct fo_journal *journal;
    struct fo_journal_opened opened;
    struct fo_fault fault;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    unsigned calls;                     /* of stored */
    enum fo_err stored_err;             /* of the last one */
    uint64_t stored_lsn;
    uint8_t *bodies[FX_BODIES_MAX];     /* borrowed by the journal, freed at the end */
    unsigned body_count;
    uint32_t next;                      /* number of the next record */
    unsigned checkpoints;
};

/* Setup and teardown for cmocka; *state is a struct fx. setup does not open the journal. */
int fx_setup(void **state);
int fx_teardown(void **state);

enum fo_err fx_try_open(struct fx *fx);
void fx_open(struct fx *fx);
void fx_close(struct fx *fx);
/* The body that record `number` has at that length. */
void fx_body(uint32_t number, uint8_t *ret_body, size_t n);
/* Appends as the loop does: a CHECKPOINT first when one is wanted. Returns the error of whichever append failed. */
enum fo_err fx_try_append(struct fx *fx, enum fo_record_type type, enum fo_lane lane, size_t n, uint64_t *ret_lsn);
uint64_t fx_append(struct fx *fx, enum fo_record_type type, enum fo_lane lane, size_t n);
/* Commits what has gathered and waits for the stored call; returns its error. */
enum fo_err fx_commit(struct fx *fx);
/* fx_append and fx_commit of an OWN record in the high lane. */
uint64_t fx_store(struct fx *fx, size_t n);
/* Waits until stored was called that many times. */
void fx_wait_calls(struct fx *fx, unsigned calls);

struct fo_journal_reader *fx_reader(struct fx *fx, uint64_t lsn);
/* Fails the test unless the body is that of the record's number. */
void fx_check_body(const struct fo_record *rec);
struct fx_seen { unsigned own, checkpoints, corrupt; uint32_t first, last; uint64_t corrupt_lsn; };
/* Reads everything from lsn on and checks each body; numbers must ascend. */
struct fx_seen fx_read_all(struct fx *fx, uint64_t lsn);
struct fo_journal_stats fx_stats(struct fx *fx);

/* The file of the segment that begins at base; in a buffer that the next call reuses. */
const char *fx_segment_path(struct fx *fx, uint64_t base);
bool fx_has_segment(struct fx *fx, uint64_t base);
/* Changes one byte of a segment's file. */
void fx_flip(struct fx *fx, uint64_t base, uint64_t offset);
void fx_overwrite(struct fx *fx, uint64_t base, uint64_t offset, const void *p, size_t n);
