/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that makes segment files ahead of need and deletes trimmed ones; the parts of it that fo_segments needs. */
#pragma once
#include "adapter/journal_segments.h"

/* Thread function; arg: struct fo_segments. */
void *fo_keeper_main(void *arg);
/* Makes the file of the segment at `base`: reserved, zeroed, headed, synced, under its final name. From the one of a trimmed segment that was put
 * aside, or anew if from == base. FO_ERR_CLOSED: told to stop. */
FO_MUST_CHECK enum fo_err fo_keeper_make_file(struct fo_segments *s, uint64_t base, uint64_t from, int *ret_fd);
/* With the lock held: a failed spare is tried anew. */
void fo_keeper_ask_again(struct fo_segments *s);
