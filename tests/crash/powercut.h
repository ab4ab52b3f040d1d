/* SPDX-License-Identifier: Apache-2.0
 *
 * What a power cut may leave of a directory and its subdirectory "journal". Only what was synced is sure to be there:
 *
 *   - of a file's content since its last fsync or fdatasync, each sector of 512 bytes is there or not, by itself; its length likewise
 *   - of the changes of names in a directory since its fsync, the first few are there (in the order in which they were made)
 *
 * An fsync of a file does not make its name durable, which is less than ext4 and XFS give. Not for several threads at once:
 * the caller lets one I/O call through at a time. */
#pragma once
#include <stdint.h>

void powercut_begin(const char *dir);
/* The descriptor's file, or directory, is durable as it is. */
void powercut_synced(int fd);
/* The file of that path is about to lose its name, if it exists: its content is noted. */
void powercut_will_lose(int dirfd, const char *path);
/* A name came, went or changed. */
void powercut_names_changed(void);
/* Writes what might be found after a cut now to PREFIX.0 ... PREFIX.(count - 1). The first is the cruellest: nothing but what was synced;
 * the last the kindest: everything; between them chance decides. */
void powercut_leave_images(const char *prefix, unsigned count, uint64_t seed);
