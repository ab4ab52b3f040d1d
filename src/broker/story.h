/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding one event in the journal by its tenant and id. */
#pragma once
#include "broker/journal_batch.h"
#include "broker/walk.h"

struct fo_story {
    const struct fo_query_view *view;
    const struct fo_context *ctx;       /* the view's */
    struct fo_slice tenant, id;
    struct fo_walk walk;
    struct fo_record rec;               /* OWN or RECEIVED; valid until close */
    struct fo_journal_batch batch;
    uint32_t index;                     /* of the event in the batch */
    struct fo_event event;
};

/* Walks from from_lsn (0: the earliest retained) to the durable end. FO_ERR_NOT_FOUND; FO_ERR_CLOSED: the broker stops. The view, tenant
 * and id are borrowed. Close after any result. */
FO_MUST_CHECK enum fo_err fo_story_open(struct fo_story *s, const struct fo_query_view *v, struct fo_slice tenant, struct fo_slice id, uint64_t from_lsn);
void fo_story_close(struct fo_story *s);
