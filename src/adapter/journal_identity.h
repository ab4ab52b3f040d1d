/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose data directory this is: DIR/lock keeps a second broker out, DIR/region names the region, the epoch and what else must
 * survive. The file is replaced as a whole (written beside, synced, renamed), so it is never half there. */
#pragma once
#include <stdbool.h>

#include "base/names.h"
#include "base/time.h"
#include "wire/error.h"

enum { FO_BOOT_ID_SIZE = 37 };

struct fo_identity {
    char region[FO_REGION_BYTES_MAX + 1];
    uint64_t epoch;                         /* ms since 1970 */
    uint64_t secret;                        /* random; see fo_segment_salt */
    bool is_begun;                          /* the first segment was made: from now on there must be one */
    char unsynced_boot[FO_BOOT_ID_SIZE];    /* boot of the machine in which a journal without fdatasync stands open; "-": none */
};

/* Makes DIR if need be, locks it and returns the lock's descriptor, which the caller closes. FO_ERR_LOCKED: ret_fault names the holder. */
FO_MUST_CHECK enum fo_err fo_dir_lock(const char *dir, int *ret_fd, struct fo_fault *ret_fault);
/* Who holds it, for people: nothing is made, and the lock is free again at once. FO_OK: ret_pid, 0 when it cannot be read.
 * FO_ERR_NOT_FOUND: nobody. FO_ERR_PERMISSION: this user may not look. */
FO_MUST_CHECK enum fo_err fo_dir_lock_holder(const char *dir, long *ret_pid);

/* FO_ERR_NOT_FOUND: no such file yet. FO_ERR_OTHER_REGION, FO_ERR_CORRUPT, FO_ERR_IO with ret_fault. */
FO_MUST_CHECK enum fo_err fo_identity_load(const char *dir, const char *region, struct fo_identity *ret_id, struct fo_fault *ret_fault);
/* A new one, not stored yet: epoch now, random secret. */
FO_MUST_CHECK enum fo_err fo_identity_init(struct fo_identity *id, const char *region);
FO_MUST_CHECK enum fo_err fo_identity_store(const char *dir, const struct fo_identity *id, struct fo_fault *ret_fault);

/* Of the running machine; "-" where the kernel does not say. */
void fo_boot_id(char ret_text[FO_BOOT_ID_SIZE]);
uint64_t fo_epoch_now(void);
int64_t fo_monotonic_ms(void);
/* Fills ret_fault with the path and errno's text and returns the errno as an error. */
enum fo_err fo_errno_fault(struct fo_fault *ret_fault, const char *dir, const char *name, const char *doing);
/* Writes all of it at that offset, however often it is interrupted. False: errno says why. */
bool fo_write_fully(int fd, const void *p, size_t n, uint64_t offset);
/* ENOSPC, EDQUOT, and being short of memory or descriptors: FO_ERR_NO_SPACE; anything else FO_ERR_IO. */
enum fo_err fo_errno_err(int errnum);
