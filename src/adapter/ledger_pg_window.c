/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_window.h"

#include <stdlib.h>

#include "base/assert.h"

enum { EXCEPTIONS_CAP = 1 << 16 };

static void
window_check(const struct fo_ledger_window *w)
{
    fo_assert(w->first <= w->end && w->end - w->first <= w->cap);
    fo_assert(w->late_count <= FO_LEDGER_LATE_MAX && w->late_exception_count <= FO_LEDGER_LATE_EXCEPTIONS_MAX);
}

enum fo_err
fo_ledger_window_init(struct fo_ledger_window *w, unsigned cap, unsigned regions)
{
    fo_assert(cap > 0 && (cap & (cap - 1)) == 0 && regions <= FO_REGIONS_MAX);
    *w = (struct fo_ledger_window){ .cap = cap, .regions = regions };
    w->batch = calloc(cap, sizeof *w->batch);
    w->target = calloc((size_t)cap * regions, sizeof *w->target);
    w->exception = calloc(EXCEPTIONS_CAP, sizeof *w->exception);
    if (w->batch == NULL || w->target == NULL || w->exception == NULL) {
        fo_ledger_window_fini(w);
        return FO_ERR_NO_MEMORY;
    }
    fo_ledger_window_reset(w);
    return FO_OK;
}

void
fo_ledger_window_fini(struct fo_ledger_window *w)
{
    free(w->batch), free(w->target), free(w->exception);
    w->batch = NULL, w->target = NULL, w->exception = NULL;
}

void
fo_ledger_window_reset(struct fo_ledger_window *w)
{
    w->first = w->end = 0;
    w->late_count = w->late_exception_count = 0;
    memset(w->scan, 0, sizeof w->scan);
    memset(w->pending_to, 0, sizeof w->pending_to);
    w->exception_used = 0;
    w->exception_free = 0;              /* entry 0 is never given out: it ends lists */
    for (uint32_t i = EXCEPTIONS_CAP - 1; i > 0; i--) {
        w->exception[i].next = w->exception_free;
        w->exception_free = i;
    }
}

bool
fo_ledger_window_has_room(const struct fo_ledger_window *w)
{
    return w->end - w->first < w->cap && w->exception_used + FO_EXCEPTIONS_MAX < EXCEPTIONS_CAP
        && w->late_count + FO_LANES * 2 <= FO_LEDGER_LATE_MAX && w->late_exception_count + FO_EXCEPTIONS_MAX <= FO_LEDGER_LATE_EXCEPTIONS_MAX;
}

void
fo_ledger_window_add(struct fo_ledger_window *w, uint64_t lsn, const struct fo_batch_header *h, struct fo_wall at, fo_region_set targets)
{
    unsigned slot = (unsigned)(w->end & (w->cap - 1));

    fo_assert(w->end - w->first < w->cap);
    targets &= ~1ull;
    w->batch[slot] = (struct fo_ledger_batch){ .lsn = lsn, .epoch = h->epoch, .first_seq = h->first_seq, .at_us = at.us, .targets = targets,
        .count = h->count, .lane = (uint8_t)h->lane, .open_count = (uint8_t)__builtin_popcountll(targets) };
    memset(&w->target[(size_t)slot * w->regions], 0, w->regions * sizeof *w->target);
    w->end++;
    window_check(w);
}

static void
add_exceptions(struct fo_ledger_window *w, struct fo_ledger_batch *b, unsigned peer, const struct fo_ack_record *a)
{
    for (unsigned i = 0; i < a->exception_count; i++) {
        const struct fo_exception *x = &a->exception[i];
        uint32_t n = w->exception_free;

        if (x->lane != (enum fo_lane)b->lane || x->seq < b->first_seq || x->seq >= b->first_seq + b->count || n == 0)
            continue;
        w->exception_free = w->exception[n].next;
        w->exception_used++;
        w->exception[n] = (struct fo_ledger_exception){ x->seq, b->exceptions, (uint8_t)peer, (uint8_t)x->verdict };
        b->exceptions = n;
    }
}

/* The rows of this range are written already, at least some of them. */
static void
add_late(struct fo_ledger_window *w, unsigned peer, const struct fo_ack_record *a, const struct fo_ack_span *s)
{
    w->late[w->late_count++] = (struct fo_ledger_late){ .epoch = s->epoch, .from_seq = s->from_seq, .to_seq = s->to_seq,
        .arrived_at_us = a->arrived_at.us, .attempts = s->attempts, .peer = (uint8_t)peer, .lane = (uint8_t)s->lane };
    for (unsigned i = 0; i < a->exception_count; i++)
        if (a->exception[i].lane == s->lane && a->exception[i].seq >= s->from_seq && a->exception[i].seq <= s->to_seq)
            w->late_exception[w->late_exception_count++] = (struct fo_ledger_late_exception){ a->exception[i].seq, (uint8_t)peer,
                (uint8_t)s->lane, (uint8_t)a->exception[i].verdict };
    if (s->to_seq >= w->pending_to[peer][s->lane])
        w->pending_to[peer][s->lane] = 0;
}

/* Acks are cumulative per peer and lane, so the scan only moves forward and passes each batch once. */
static void
settle_span(struct fo_ledger_window *w, unsigned peer, const struct fo_ack_record *a, const struct fo_ack_span *s)
{
    uint64_t p = w->scan[peer][s->lane] > w->first ? w->scan[peer][s->lane] : w->first;

    for (; p < w->end; p++) {
        unsigned slot = (unsigned)(p & (w->cap - 1));
        struct fo_ledger_batch *b = &w->batch[slot];
        struct fo_ledger_target *t = &w->target[(size_t)slot * w->regions + peer];

        if (b->lane != s->lane || (b->targets >> peer & 1) == 0 || t->is_settled)
            continue;
        if (b->first_seq + b->count - 1 > s->to_seq)
            break;
        *t = (struct fo_ledger_target){ a->arrived_at.us, s->attempts, true };
        b->open_count--;
        add_exceptions(w, b, peer, a);
    }
    w->scan[peer][s->lane] = p;
}

void
fo_ledger_window_ack(struct fo_ledger_window *w, unsigned peer, const struct fo_ack_record *a)
{
    fo_assert(peer < w->regions && fo_ledger_window_has_room(w));
    for (unsigned i = 0; i < a->span_count; i++) {
        const struct fo_ack_span *s = &a->span[i];

        if (w->pending_to[peer][s->lane] >= s->from_seq && w->late_count < FO_LEDGER_LATE_MAX)
            add_late(w, peer, a, s);
        settle_span(w, peer, a, s);
    }
    window_check(w);
}

uint8_t
fo_ledger_window_verdict(const struct fo_ledger_window *w, const struct fo_ledger_batch *b, uint64_t seq, unsigned region)
{
    for (uint32_t n = b->exceptions; n != 0; n = w->exception[n].next)
        if (w->exception[n].seq == seq && w->exception[n].peer == region)
            return w->exception[n].verdict;
    return 0;
}

unsigned
fo_ledger_window_due(const struct fo_ledger_window *w, struct fo_wall wait_until, uint32_t rows_max, uint64_t *ret_rows)
{
    /* Forcing a quarter out at once keeps a full window from being written batch by batch. */
    unsigned forced = fo_ledger_window_has_room(w) ? 0 : w->cap / 4, n = 0;
    uint64_t rows = 0;

    for (; n < fo_ledger_window_count(w); n++) {
        const struct fo_ledger_batch *b = fo_ledger_window_batch(w, n);

        if ((b->open_count > 0 && b->at_us > wait_until.us && n >= forced) || (n > 0 && rows + b->count > rows_max))
            break;
        rows += b->count;
    }
    if (ret_rows != NULL)
        *ret_rows = rows;
    return n;
}

static void
drop_oldest(struct fo_ledger_window *w)
{
    unsigned slot = (unsigned)(w->first & (w->cap - 1));
    struct fo_ledger_batch *b = &w->batch[slot];

    for (fo_region_set t = b->targets; b->open_count > 0 && t != 0; t &= t - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(t);

        if (!w->target[(size_t)slot * w->regions + peer].is_settled)
            w->pending_to[peer][b->lane] = b->first_seq + b->count - 1;
    }
    for (uint32_t n = b->exceptions, next; n != 0; n = next) {
        next = w->exception[n].next;
        w->exception[n].next = w->exception_free;
        w->exception_free = n;
        w->exception_used--;
    }
    w->first++;
}

void
fo_ledger_window_written(struct fo_ledger_window *w, unsigned count)
{
    fo_assert(count <= fo_ledger_window_count(w));
    while (count-- > 0)
        drop_oldest(w);
    w->late_count = w->late_exception_count = 0;
    window_check(w);
}
