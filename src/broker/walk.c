/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/walk.h"

enum fo_err
fo_walk_open(struct fo_walk *w, const struct fo_query_view *v, uint64_t from_lsn)
{
    struct fo_journal *j = v->ctx->journal;
    struct fo_journal_stats stats;

    j->ops->stats(j, &stats);
    *w = (struct fo_walk){ .journal = j, .is_stopping = v->is_stopping, .end_lsn = stats.durable_lsn };
    return j->ops->reader_open(j, from_lsn > stats.first_lsn ? from_lsn : stats.first_lsn, &w->reader);
}

void
fo_walk_close(struct fo_walk *w)
{
    if (w->reader != NULL)
        w->journal->ops->reader_close(w->reader);
    w->reader = NULL;
}

enum fo_err
fo_walk_next(struct fo_walk *w, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    const struct fo_journal_ops *ops = w->journal->ops;

    while (w->is_stopping == NULL || !*w->is_stopping) {
        enum fo_err err = ops->read_next(w->reader, lane_mask, type_mask, ret_rec);

        if (err == FO_ERR_CURSOR_GONE && w->skips_trimmed) {
            err = ops->reader_seek(w->reader, 0);
            if (err != FO_OK)
                return err;
            continue;
        }
        if (err != FO_OK && err != FO_ERR_CORRUPT)
            return err;
        return ret_rec->lsn < w->end_lsn ? err : FO_ERR_NOT_FOUND;
    }
    return FO_ERR_CLOSED;
}
