/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store.h"

#include "base/assert.h"
#include "ports/log.h"

#include <stdlib.h>

enum { ITEMS_FREE_MAX = 256, ACKS_QUEUED_MAX = 1024 };
enum { LAZY_MS = 50, RETRY_MS = 200 };  /* how long an ACK record waits for a batch to ride with; pause after a full disk */

struct fo_store_item {
    struct fo_store_item *next;
    struct fo_batch *batch;             /* null: an ACK record */
    unsigned peer;
    struct fo_buf body;                 /* ACK or CHECKPOINT record */
    bool is_checkpoint;
    bool is_urgent;                     /* should not wait for company */
    uint64_t lsn;
};

void
fo_store_init(struct fo_store *s, struct fo_context *ctx, struct fo_state *state, struct fo_batch_pool *pool, uint64_t durable_lsn)
{
    *s = (struct fo_store){ .ctx = ctx, .state = state, .pool = pool, .stored_lsn = durable_lsn };
    s->last = &s->first;
    for (unsigned p = 1; p < ctx->regions.count; p++)
        for (int i = 0; i < FO_LANES; i++)
            s->settled_seq[p][i] = s->recorded_seq[p][i] = state->link[p][i].acked_seq;
}

/* is_reserved: one of those that were put aside; else they stay where they are. */
static struct fo_store_item *
item_take(struct fo_store *s, bool is_reserved)
{
    struct fo_store_item *it = s->free;

    if (it != NULL && (is_reserved || s->free_count > s->reserved)) {
        s->free = it->next;
        s->free_count--;
    } else {
        it = calloc(1, sizeof *it);
        if (it == NULL)
            return NULL;
        fo_buf_init(&it->body);
    }
    it->next = NULL;
    it->batch = NULL;
    it->is_checkpoint = it->is_urgent = false;
    it->lsn = 0;
    it->body.n = 0;
    return it;
}

static void
item_give_back(struct fo_store *s, struct fo_store_item *it)
{
    if (s->free_count >= ITEMS_FREE_MAX) {
        fo_buf_fini(&it->body);
        free(it);
        return;
    }
    it->next = s->free;
    s->free = it;
    s->free_count++;
}

enum fo_err
fo_store_reserve(struct fo_store *s)
{
    if (s->free_count == s->reserved) {
        struct fo_store_item *it = item_take(s, false);

        if (it == NULL)
            return FO_ERR_NO_MEMORY;
        item_give_back(s, it);
    }
    s->reserved++;
    return FO_OK;
}

void
fo_store_fini(struct fo_store *s)
{
    *s->last = s->free;
    while (s->first != NULL) {
        struct fo_store_item *it = s->first;

        s->first = it->next;
        if (it->batch != NULL)
            fo_batch_give_back(s->pool, s->ctx->transport, &it->batch);
        fo_buf_fini(&it->body);
        free(it);
    }
    s->last = &s->first;
    s->free = NULL;
}

static void
queue(struct fo_store *s, struct fo_store_item *it)
{
    *s->last = it;
    s->last = &it->next;
    s->queued_items++;
    s->urgent_count += it->is_urgent;
    if (s->next_append == NULL)
        s->next_append = it;
}

enum fo_err
fo_store_add_batch(struct fo_store *s, struct fo_batch **take_batch)
{
    bool is_own = (*take_batch)->is_own;
    struct fo_store_item *it = item_take(s, is_own);

    if (it == NULL)
        return FO_ERR_NO_MEMORY;
    s->reserved -= is_own;
    it->batch = *take_batch;
    *take_batch = NULL;
    s->queued_bytes += fo_batch_bytes(it->batch);
    s->queued_frame_bytes += it->batch->frame.n;
    s->queued_events += it->batch->count;
    it->is_urgent = true;
    queue(s, it);
    return FO_OK;
}

enum fo_err
fo_store_reserve_ack(struct fo_store *s, size_t frame_bytes)
{
    struct fo_store_item *it;
    enum fo_err err;

    if (s->queued_acks >= ACKS_QUEUED_MAX)
        return FO_ERR_BUSY;
    it = item_take(s, false);
    if (it == NULL)
        return FO_ERR_NO_MEMORY;
    err = fo_buf_reserve(&it->body, fo_ack_record_bytes_max(frame_bytes));
    item_give_back(s, it);                  /* the next one taken */
    return err;
}

enum fo_err
fo_store_add_ack(struct fo_store *s, unsigned peer, const struct fo_ack_record *a)
{
    struct fo_store_item *it = item_take(s, false);
    enum fo_err err;

    if (it == NULL)
        return FO_ERR_NO_MEMORY;
    err = fo_ack_record_encode(a, &it->body);
    if (err != FO_OK) {
        item_give_back(s, it);
        return err;
    }
    fo_buf_fit(&it->body);                  /* what was reserved for the most exceptions is seldom used */
    it->peer = peer;
    for (unsigned i = 0; i < a->span_count; i++)
        s->recorded_seq[peer][a->span[i].lane] = a->span[i].to_seq;
    it->is_urgent = a->exception_count > 0;     /* until it is durable, the peer has that much less room for others */
    s->queued_acks++;
    if (s->next_append == NULL)
        s->oldest_lazy_at = s->ctx->now;
    queue(s, it);
    return FO_OK;
}

static void
apply(struct fo_store *s, const struct fo_store_item *it)
{
    const struct fo_batch *b = it->batch;
    struct fo_ack_record a;

    if (b != NULL)
        fo_state_apply_lane(s->state, b->header.lane, it->lsn);
    if (b != NULL && b->is_own)
        fo_state_apply_own(s->state, &b->header, b->targets, it->lsn);
    else if (b != NULL)
        fo_state_apply_received(s->state, b->source, &b->header);
    else if (it->is_checkpoint)
        fo_state_apply_mark(s->state, it->lsn, s->ctx->wall);
    else if (fo_ack_record_decode(fo_buf_slice(&it->body), &a) == FO_OK)
        fo_state_apply_ack(s->state, it->peer, &a);
}

static enum fo_err
append_item(struct fo_store *s, struct fo_store_item *it)
{
    struct fo_journal *j = s->ctx->journal;
    struct fo_batch *b = it->batch;
    struct fo_slice body = b != NULL ? b->frame : fo_buf_slice(&it->body);
    enum fo_record_type type = FO_RECORD_ACK;
    struct fo_wall at = s->ctx->wall;
    enum fo_err err;

    if (b != NULL && !b->is_own)
        at = b->at;                     /* of its arrival: it was judged by that time, and is so again when it is read back */
    if (it->is_checkpoint)
        type = FO_RECORD_CHECKPOINT;
    else if (b != NULL)
        type = b->is_own ? FO_RECORD_OWN : FO_RECORD_RECEIVED;
    err = j->ops->append(j, type, b != NULL ? b->header.lane : 0, b != NULL ? b->count : 0, at, &body, 1, &it->lsn);
    if (err != FO_OK)
        return err;
    if (b != NULL) {
        b->lsn = it->lsn;
        b->at = at;
    }
    s->urgent_count -= it->is_urgent;
    apply(s, it);
    return FO_OK;
}

/* Puts a checkpoint in front of the next record to append. */
static enum fo_err
append_checkpoint(struct fo_store *s)
{
    struct fo_store_item *it = item_take(s, false), **at = &s->first;
    enum fo_err err;

    if (it == NULL)
        return FO_ERR_NO_SPACE;             /* passes, as a full disk does */
    it->is_checkpoint = true;
    err = fo_checkpoint_encode(s->state, s->ctx, &it->body) == FO_OK ? FO_OK : FO_ERR_NO_SPACE;
    if (err == FO_OK)
        err = append_item(s, it);
    if (err != FO_OK) {
        item_give_back(s, it);
        return err;
    }
    while (*at != s->next_append)
        at = &(*at)->next;
    it->next = *at;
    *at = it;
    return FO_OK;
}

static void
note_failure(struct fo_store *s, enum fo_err err)
{
    if (s->failure == FO_OK)
        fo_log(FO_LOG_ERROR, err == FO_ERR_NO_SPACE ? "journal_no_space" : "journal_failed", FO_E(err),
            FO_I("queued_bytes", s->queued_bytes));
    s->failure = err;
    s->retry_at = fo_instant_add(s->ctx->now, fo_duration_ms(RETRY_MS));
}

/* Appended, and not in the group that was committed: what gathered while a full disk made the journal try that one again. */
static bool
has_gathered(const struct fo_store *s)
{
    return !s->is_committing && s->first != s->next_append;
}

static bool
is_worth_it(const struct fo_store *s)
{
    if (s->failure == FO_ERR_NO_SPACE)
        return !fo_instant_is_before(s->ctx->now, s->retry_at);
    if (has_gathered(s))
        return true;
    if (s->next_append == NULL)
        return false;
    return s->urgent_count > 0 || !fo_instant_is_before(s->ctx->now, fo_instant_add(s->oldest_lazy_at, fo_duration_ms(LAZY_MS)));
}

void
fo_store_commit(struct fo_store *s)
{
    struct fo_journal *j = s->ctx->journal;
    enum fo_err err = FO_OK;

    if (s->is_committing || (s->failure != FO_OK && s->failure != FO_ERR_NO_SPACE) || !is_worth_it(s))
        return;
    while (s->next_append != NULL && err == FO_OK) {
        if (j->ops->wants_checkpoint(j))
            err = append_checkpoint(s);
        if (err == FO_OK)
            err = append_item(s, s->next_append);
        if (err == FO_OK)
            s->next_append = s->next_append->next;
    }
    s->oldest_lazy_at = s->ctx->now;
    if (err != FO_OK && err != FO_ERR_FULL)
        note_failure(s, err);
    s->is_committing = j->ops->commit(j);
    s->ctx->counters.commits += s->is_committing;
}

static void
note_settled(struct fo_store *s, const struct fo_store_item *it)
{
    static struct fo_ack_record a;      /* loop thread only; large */

    if (fo_ack_record_decode(fo_buf_slice(&it->body), &a) != FO_OK)
        return;
    for (unsigned i = 0; i < a.span_count; i++)
        if (a.span[i].to_seq > s->settled_seq[it->peer][a.span[i].lane])
            s->settled_seq[it->peer][a.span[i].lane] = a.span[i].to_seq;
    if (a.exception_count > 0)
        s->has_settled_exceptions |= 1ull << it->peer;
}

uint64_t
fo_store_hurry(struct fo_store *s)
{
    s->oldest_lazy_at = fo_instant_add(s->ctx->now, fo_duration_ms(-LAZY_MS));
    return s->queued_items;
}

void
fo_store_stored(struct fo_store *s, enum fo_err err, uint64_t durable_lsn, fo_store_durable_fn durable, void *user)
{
    s->is_committing = false;
    if (err != FO_OK) {
        note_failure(s, err);
        return;
    }
    if (s->failure != FO_OK)
        fo_log(FO_LOG_INFO, "journal_recovered", FO_I("durable_lsn", durable_lsn));
    s->failure = FO_OK;
    s->stored_lsn = durable_lsn;
    while (s->first != s->next_append && s->first->lsn < durable_lsn) {
        struct fo_store_item *it = s->first;

        s->first = it->next;
        if (s->first == NULL)
            s->last = &s->first;
        s->stored_items += !it->is_checkpoint;
        s->queued_acks -= it->batch == NULL && !it->is_checkpoint;
        if (it->batch != NULL) {
            s->queued_bytes -= fo_batch_bytes(it->batch);
            s->queued_frame_bytes -= it->batch->frame.n;
            s->queued_events -= it->batch->count;
            durable(user, &it->batch);
            fo_assert(it->batch == NULL);
        } else if (!it->is_checkpoint) {
            note_settled(s, it);
        }
        item_give_back(s, it);
    }
}

struct fo_instant
fo_store_next_due(const struct fo_store *s)
{
    if (s->is_committing || (s->failure != FO_OK && s->failure != FO_ERR_NO_SPACE))
        return (struct fo_instant){ INT64_MAX };
    if (s->failure == FO_ERR_NO_SPACE)
        return s->retry_at;
    if (has_gathered(s))
        return s->ctx->now;
    if (s->next_append == NULL)
        return (struct fo_instant){ INT64_MAX };
    return s->urgent_count > 0 ? s->ctx->now : fo_instant_add(s->oldest_lazy_at, fo_duration_ms(LAZY_MS));
}

struct fo_wall
fo_store_oldest_at(const struct fo_store *s)
{
    const struct fo_store_item *it = s->first;

    while (it != NULL && it->batch == NULL)
        it = it->next;
    if (it == NULL)
        return (struct fo_wall){ INT64_MAX };
    return it->batch->is_own ? it->batch->header.sealed_at : it->batch->at;
}
