/* SPDX-License-Identifier: Apache-2.0
 *
 * ACK records and checkpoints, as they stand in a journal. What is taken is applied, and written and read again. */
#include "fuzz.h"

#include "broker/state.h"

static struct fo_context ctx;

static void
take_ack(struct fo_slice input, struct fo_state *s)
{
    static struct fo_ack_record a, again;
    struct fo_buf out;

    if (fo_ack_record_decode(input, &a) != FO_OK)
        return;
    fo_state_apply_ack(s, 1, &a);
    fo_buf_init(&out);
    if (fo_ack_record_encode(&a, &out) == FO_OK) {
        DEMAND(fo_ack_record_decode(fo_buf_slice(&out), &again) == FO_OK);
        DEMAND(again.span_count == a.span_count && again.exception_count == a.exception_count && fo_slice_is_equal(again.frame, a.frame) && fo_slice_is_equal(again.via, a.via));
    }
    fo_buf_fini(&out);
}

static void
take_checkpoint(struct fo_slice input, struct fo_state *s)
{
    static struct fo_state again;
    struct fo_buf out;

    if (fo_checkpoint_decode(input, &ctx, s) != FO_OK)
        return;
    (void)fo_state_lsn_before(s, 1000);
    (void)fo_state_lsn_at(s, (struct fo_wall){ 1767225600123456 });
    fo_buf_init(&out);
    DEMAND(fo_checkpoint_encode(s, &ctx, &out) == FO_OK);
    DEMAND(fo_checkpoint_decode(fo_buf_slice(&out), &ctx, &again) == FO_OK);
    DEMAND(again.mark_count == s->mark_count && again.epochs.count == s->epochs.count && again.events_total == s->events_total);
    DEMAND(memcmp(again.gaps, s->gaps, sizeof s->gaps) == 0);
    fo_buf_fini(&out);
}

void
fuzz_one(struct fo_slice input)
{
    static struct fo_state s;

    ctx.regions = world_regions;
    s = (struct fo_state){ 0 };
    take_checkpoint(input, &s);
    take_ack(input, &s);
}
