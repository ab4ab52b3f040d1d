/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audit_walk.h"

#include "base/assert.h"
#include "broker/receive.h"

#include <stdlib.h>

int
fo_audit_region(const struct fo_context *ctx, const char *name)
{
    return name[0] == '\0' ? 0 : fo_context_region(ctx, fo_slice_str(name));
}

static void
sort_regions(struct fo_audit_walk *w)
{
    for (unsigned i = 0; i < w->ctx->regions.count; i++) {
        unsigned at = i;

        for (; at > 0 && strcmp(fo_context_name(w->ctx, w->order[at - 1]), fo_context_name(w->ctx, i)) > 0; at--)
            w->order[at] = w->order[at - 1];
        w->order[at] = i;
    }
}

/* The first retained record says what came before it. */
static enum fo_err
read_checkpoint(struct fo_audit_walk *w, uint64_t first_lsn)
{
    struct fo_journal *j = w->ctx->journal;
    struct fo_journal_reader *reader;
    struct fo_record rec;
    enum fo_err err = j->ops->reader_open(j, first_lsn, &reader);

    if (err != FO_OK)
        return err;
    err = j->ops->read_next(reader, 7, 1u << FO_RECORD_CHECKPOINT | 1u << FO_RECORD_OWN | 1u << FO_RECORD_RECEIVED, &rec);
    w->has_checkpoint = err == FO_OK && rec.type == FO_RECORD_CHECKPOINT && fo_checkpoint_decode(rec.body, w->ctx, &w->checkpoint) == FO_OK;
    if (w->has_checkpoint)
        w->checkpoint_at = rec.at;
    else
        memset(&w->checkpoint, 0, sizeof w->checkpoint);
    j->ops->reader_close(reader);
    return FO_OK;
}

static enum fo_err
open_cursors(struct fo_audit_walk *w, const struct fo_query_view *v, uint64_t from_lsn)
{
    unsigned count = w->ctx->regions.count * FO_LANES;
    enum fo_err err = FO_OK;

    w->cursor = calloc(count, sizeof *w->cursor);
    w->is_open = calloc(count, sizeof *w->is_open);
    if (w->cursor == NULL || w->is_open == NULL)
        return FO_ERR_NO_MEMORY;
    for (unsigned i = FO_LANES; err == FO_OK && i < count; i++)
        err = fo_ack_cursor_open(&w->cursor[i], v, i / FO_LANES, (enum fo_lane)(i % FO_LANES), from_lsn);
    return err;
}

enum fo_err
fo_audit_walk_open(struct fo_audit_walk *w, const struct fo_query_view *v, const struct fo_audit_query *q)
{
    struct fo_journal *j = v->ctx->journal;
    struct fo_journal_stats stats;
    int region = fo_audit_region(v->ctx, q->source);
    enum fo_err err;

    memset(w, 0, sizeof *w);
    w->ctx = v->ctx;
    w->query = q;
    w->to = q->to.us != 0 ? q->to : (struct fo_wall){ v->now.us + 1 };
    if (region < 0 || (region == 0 && q->source[0] != '\0') || fo_audit_region(v->ctx, q->target) < 0)
        return FO_ERR_UNKNOWN_REGION;
    w->region = (unsigned)region;
    sort_regions(w);
    j->ops->stats(j, &stats);
    err = read_checkpoint(w, stats.first_lsn);
    if (err == FO_OK)
        err = fo_walk_open(&w->walk, v, q->from_lsn);
    if (err == FO_OK && w->region == 0)
        err = open_cursors(w, v, q->from_lsn);
    return err;
}

void
fo_audit_walk_close(struct fo_audit_walk *w)
{
    for (unsigned i = 0; w->cursor != NULL && i < w->ctx->regions.count * FO_LANES; i++)
        fo_ack_cursor_close(&w->cursor[i]);
    free(w->cursor);
    free(w->is_open);
    fo_walk_close(&w->walk);
    w->cursor = NULL;
    w->is_open = NULL;
}

static void
note_damage(struct fo_audit_walk *w)
{
    if (w->damaged < FO_AUDIT_DAMAGED_MAX)
        w->damage[w->damaged] = (struct fo_audit_damage){ w->rec.lsn, (uint8_t)w->rec.type, w->rec.lane, w->rec.count };
    w->damaged++;
}

enum fo_err
fo_audit_walk_next(struct fo_audit_walk *w)
{
    unsigned types = w->region == 0 ? 1u << FO_RECORD_OWN : 1u << FO_RECORD_RECEIVED;
    unsigned lanes = w->query->is_list ? 1u << w->query->lane : 7;

    while (w->failure == FO_OK) {
        enum fo_err err = fo_walk_next(&w->walk, lanes, types, &w->rec);

        if (err != FO_OK && err != FO_ERR_CORRUPT)
            return err;
        if (err == FO_ERR_CORRUPT || fo_journal_batch_read(w->ctx, &w->rec, &w->batch) != FO_OK)
            note_damage(w);
        else if (w->batch.source == (int)w->region && (w->region == 0 || w->batch.targets & 1))
            return FO_OK;
    }
    return w->failure;
}

static enum fo_audit_state
state_of_verdict(uint8_t verdict)
{
    static const enum fo_audit_state of[] = { FO_AUDIT_DELIVERED, FO_AUDIT_EXPIRED, FO_AUDIT_INCOMPATIBLE, FO_AUDIT_REJECTED };

    return of[verdict <= FO_VERDICT_REJECTED ? verdict : FO_VERDICT_REJECTED];
}

bool
fo_audit_walk_event(struct fo_audit_walk *w, uint32_t i, struct fo_audit_event *ret_e)
{
    const struct fo_batch_header *h = &w->batch.header;
    int64_t accepted_us;

    ret_e->at = (struct fo_mark){ h->epoch, h->first_seq + i };
    ret_e->record = w->batch.record[i];
    if (!fo_mark_is_behind(ret_e->at, w->query->after[h->lane]) || fo_mark_is_behind(ret_e->at, w->query->up_to[h->lane]))
        return false;
    if (h->sealed_at.us < w->query->from.us)
        return false;                           /* accepted before it was sealed: no need to look */
    ret_e->state = state_of_verdict(fo_receive_verdict(w->ctx, h->region, ret_e->record, w->rec.at, &ret_e->event));
    accepted_us = ret_e->event.acceptedtime.us != 0 ? ret_e->event.acceptedtime.us : h->sealed_at.us;   /* a record that we cannot read */
    return accepted_us >= w->query->from.us && accepted_us < w->to.us;
}

/* Acks are cumulative. So once something is pending, all behind it is: an ack that is written while we walk must not make
 * the settled ones anything but a beginning of the lane. And a sequence below an ack's range has been settled by an ack that cannot be read. */
struct fo_audit_fate
fo_audit_walk_fate(struct fo_audit_walk *w, const struct fo_audit_event *e, unsigned target)
{
    unsigned i = target * FO_LANES + (unsigned)w->batch.header.lane;
    struct fo_ack_cursor *c = &w->cursor[i];
    enum fo_err err;

    fo_assert(target > 0 && w->region == 0);
    err = w->is_open[i] ? FO_ERR_NOT_FOUND : fo_ack_cursor_find(c, e->at.seq);
    if (err != FO_OK && err != FO_ERR_NOT_FOUND)
        w->failure = err;
    if (err == FO_OK)
        return (struct fo_audit_fate){ state_of_verdict(fo_ack_cursor_verdict(c, e->at.seq)), c->lsn };
    if (!w->is_open[i] && c->has_span && c->span.to_seq >= e->at.seq)
        return (struct fo_audit_fate){ FO_AUDIT_UNPROVEN, c->lsn };
    w->is_open[i] = true;
    return (struct fo_audit_fate){ FO_AUDIT_PENDING, UINT64_MAX };
}

static char *
put(char *p, const char *s)
{
    size_t n = strlen(s);

    memcpy(p, s, n);
    return p + n;
}

bool
fo_audit_outcome(const struct fo_audit_walk *w, const struct fo_audit_fate fate[FO_REGIONS_MAX], uint64_t before_lsn, char ret_text[FO_OUTCOME_SIZE])
{
    bool is_success = true, is_moving = false, is_first = true;
    char *p = put(ret_text, "1|");

    for (unsigned n = 0; n < w->ctx->regions.count; n++) {
        unsigned r = w->order[n];
        enum fo_audit_state state;

        if (r == 0 || !(w->batch.targets >> r & 1))
            continue;
        state = fate[r].ack_lsn < before_lsn ? fate[r].state : FO_AUDIT_PENDING;
        is_moving |= state != fate[r].state;
        is_success &= state == FO_AUDIT_DELIVERED;
        p = put(p, is_first ? "" : ",");
        p = put(p, fo_context_name(w->ctx, r));
        p = put(p, "=");
        p = put(p, fo_audit_state_name(state));
        is_first = false;
    }
    *p = '\0';
    ret_text[0] = is_success ? '1' : '0';
    return is_moving;
}
