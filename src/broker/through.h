/* SPDX-License-Identifier: Apache-2.0
 *
 * Up to when this broker has what its sources have sealed: now, as long as each of them is heard, nothing of theirs comes late, and
 * nothing waits for the disk. A
 * reader that goes on at another region's broker begins there no later, as that one may have had all the time what was late here. */
#pragma once
#include "broker/batch.h"
#include "broker/forward.h"
#include "broker/store.h"

struct fo_late { struct fo_wall sealed_at; struct fo_instant came_at; };    /* sealed_at us 0: nothing came late */

struct fo_through {
    const struct fo_context *ctx;
    const struct fo_forward *forward;
    const struct fo_store *store;
    struct fo_late late[FO_REGIONS_MAX][FO_LANES];
};

/* A batch has become durable here. */
void fo_through_note(struct fo_through *t, const struct fo_batch *b);
/* By this broker's clock. */
struct fo_wall fo_through_now(const struct fo_through *t);
