/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/state.h"

#include "base/assert.h"

#include <string.h>

void
fo_state_begin_epoch(struct fo_state *s, uint64_t epoch)
{
    uint64_t first[FO_LANES];

    if (epoch <= fo_epochs_current(&s->epochs))
        return;
    for (int i = 0; i < FO_LANES; i++)
        first[i] = s->last_seq[i] + 1;
    fo_epochs_begin(&s->epochs, epoch, first);
}

void
fo_state_apply_own(struct fo_state *s, const struct fo_batch_header *h, fo_region_set targets, uint64_t lsn)
{
    uint64_t last = h->first_seq + h->count - 1;

    fo_state_begin_epoch(s, h->epoch);
    if (last <= s->last_seq[h->lane])
        return;
    s->last_seq[h->lane] = last;
    memcpy(s->prev_root[h->lane], h->root, FO_HASH_BYTES);
    s->events_total += h->count;
    for (fo_region_set t = targets; t != 0; t &= t - 1) {
        unsigned r = (unsigned)__builtin_ctzll(t);
        struct fo_state_link *n = &s->link[r][h->lane];

        if (n->acked_seq == s->tail_seq[r][h->lane])
            n->oldest_lsn = lsn;
        s->tail_seq[r][h->lane] = last;
    }
}

void
fo_state_apply_received(struct fo_state *s, unsigned source, const struct fo_batch_header *h)
{
    struct fo_mark *m = &s->received[source][h->lane];
    uint64_t last = h->first_seq + h->count - 1;

    if (h->epoch < m->epoch || (h->epoch == m->epoch && last <= m->seq))
        return;
    *m = (struct fo_mark){ h->epoch, last };
    s->events_total += h->count;
}

void
fo_state_apply_ack(struct fo_state *s, unsigned peer, const struct fo_ack_record *a)
{
    for (unsigned i = 0; i < a->span_count; i++) {
        const struct fo_ack_span *p = &a->span[i];
        struct fo_state_link *n = &s->link[peer][p->lane];

        if (p->to_seq > n->acked_seq && p->to_seq <= s->tail_seq[peer][p->lane])
            n->acked_seq = p->to_seq;
    }
}

void
fo_state_apply_lane(struct fo_state *s, enum fo_lane lane, uint64_t lsn)
{
    fo_gaps_note(&s->gaps[lane], lsn);
}

void
fo_state_apply_mark(struct fo_state *s, uint64_t lsn, struct fo_wall at)
{
    if (s->mark_count > 0 && s->mark[s->mark_count - 1].lsn >= lsn)
        return;
    if (s->mark_count == FO_MARKS_MAX) {
        memmove(&s->mark[0], &s->mark[1], sizeof s->mark[0] * (FO_MARKS_MAX - 1));
        s->mark_count--;
    }
    s->mark[s->mark_count++] = (struct fo_state_mark){ lsn, s->events_total, at };
}

uint64_t
fo_state_lsn_before(const struct fo_state *s, uint64_t events)
{
    for (unsigned i = s->mark_count; i > 0; i--)
        if (s->events_total - s->mark[i - 1].events_total >= events)
            return s->mark[i - 1].lsn;
    return s->mark_count > 0 ? s->mark[0].lsn : 0;
}

struct fo_wall
fo_state_time_of(const struct fo_state *s, uint64_t lsn)
{
    for (unsigned i = s->mark_count; i > 0; i--)
        if (s->mark[i - 1].lsn <= lsn)
            return s->mark[i - 1].at;
    return (struct fo_wall){ 0 };
}

uint64_t
fo_state_lsn_at(const struct fo_state *s, struct fo_wall t)
{
    for (unsigned i = s->mark_count; i > 0; i--)
        if (s->mark[i - 1].at.us < t.us)
            return s->mark[i - 1].lsn;
    return 0;
}
