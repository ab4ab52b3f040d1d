/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ack_cursor.h"

enum fo_err
fo_ack_cursor_open(struct fo_ack_cursor *c, const struct fo_query_view *v, unsigned peer, enum fo_lane lane, uint64_t from_lsn)
{
    enum fo_err err = fo_walk_open(&c->walk, v, from_lsn);

    c->walk.skips_trimmed = true;       /* an ack stands behind what it settles: those of retained events are retained */
    c->peer = fo_slice_str(fo_context_name(v->ctx, peer));
    c->lane = lane;
    c->has_span = false;
    return err;
}

void
fo_ack_cursor_close(struct fo_ack_cursor *c)
{
    fo_walk_close(&c->walk);
}

/* True: the record settles something of our peer and lane, now in c->span. */
static bool
take_record(struct fo_ack_cursor *c, const struct fo_record *rec)
{
    if (fo_ack_record_decode(rec->body, &c->record) != FO_OK || !fo_slice_is_equal(c->record.peer, c->peer))
        return false;
    for (unsigned i = 0; i < c->record.span_count; i++) {
        if (c->record.span[i].lane != c->lane)
            continue;
        c->span = c->record.span[i];
        c->has_span = true;
        c->lsn = rec->lsn;
        return true;
    }
    return false;
}

enum fo_err
fo_ack_cursor_find(struct fo_ack_cursor *c, uint64_t seq)
{
    while (!c->has_span || c->span.to_seq < seq) {
        struct fo_record rec;
        enum fo_err err = fo_walk_next(&c->walk, 7, 1u << FO_RECORD_ACK, &rec);

        if (err == FO_ERR_CORRUPT)
            continue;
        if (err != FO_OK)
            return err;
        (void)take_record(c, &rec);
    }
    return seq >= c->span.from_seq ? FO_OK : FO_ERR_NOT_FOUND;
}

uint8_t
fo_ack_cursor_verdict(const struct fo_ack_cursor *c, uint64_t seq)
{
    for (unsigned i = 0; i < c->record.exception_count; i++)
        if (c->record.exception[i].lane == c->lane && c->record.exception[i].seq == seq)
            return (uint8_t)c->record.exception[i].verdict;
    return 0;
}
