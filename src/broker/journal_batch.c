/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/journal_batch.h"

enum fo_err
fo_journal_batch_read(const struct fo_context *ctx, const struct fo_record *rec, struct fo_journal_batch *ret_b)
{
    enum fo_err err = fo_frame_split(rec->body, &ret_b->frame);

    if (err == FO_OK)
        err = fo_batch_header_decode(&ret_b->frame, &ret_b->header);
    if (err == FO_OK)
        err = fo_batch_records(ret_b->frame.body, ret_b->header.count, ret_b->record);
    if (err != FO_OK)
        return err;
    ret_b->source = fo_context_region(ctx, ret_b->header.region);
    ret_b->targets = 0;
    for (unsigned i = 0; i < ret_b->header.target_count; i++) {
        int r = fo_context_region(ctx, ret_b->header.target[i].region);

        if (r >= 0)
            ret_b->targets |= 1ull << r;
    }
    return FO_OK;
}
