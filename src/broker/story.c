/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/story.h"

static bool
find_in_batch(struct fo_story *s)
{
    for (s->index = 0; s->index < s->batch.header.count; s->index++) {
        struct fo_slice r = s->batch.record[s->index];

        /* Comparing bytes is much cheaper than decoding, and rules nearly all out. */
        if (memmem(r.p, r.n, s->id.p, s->id.n) == NULL || fo_event_decode(r, &s->event) != FO_OK)
            continue;
        if (fo_slice_is_equal(s->event.id, s->id) && fo_slice_is_equal(s->event.tenant, s->tenant))
            return true;
    }
    return false;
}

static enum fo_err
find_event(struct fo_story *s)
{
    for (;;) {
        enum fo_err err = fo_walk_next(&s->walk, 7, 1u << FO_RECORD_OWN | 1u << FO_RECORD_RECEIVED, &s->rec);

        if (err == FO_ERR_CORRUPT)
            continue;
        if (err != FO_OK)
            return err;
        if (memmem(s->rec.body.p, s->rec.body.n, s->id.p, s->id.n) == NULL)
            continue;
        if (fo_journal_batch_read(s->ctx, &s->rec, &s->batch) == FO_OK && find_in_batch(s))
            return FO_OK;
    }
}

enum fo_err
fo_story_open(struct fo_story *s, const struct fo_query_view *v, struct fo_slice tenant, struct fo_slice id, uint64_t from_lsn)
{
    enum fo_err err = fo_walk_open(&s->walk, v, from_lsn);

    s->walk.skips_trimmed = true;
    s->view = v;
    s->ctx = v->ctx;
    s->tenant = tenant;
    s->id = id;
    return err == FO_OK ? find_event(s) : err;
}

void
fo_story_close(struct fo_story *s)
{
    fo_walk_close(&s->walk);
}
