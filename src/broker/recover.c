/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/recover.h"

#include "broker/journal_batch.h"
#include "ports/log.h"
#include "wire/fingerprint.h"

struct replay {
    struct fo_context *ctx;
    const uint8_t *fingerprint_key;
    struct fo_state *state;
    struct fo_dedupe *dedupe;
    struct fo_receive *receive;
    struct fo_replay_report *report;
};

static void
know(struct replay *p, const struct fo_event *e, const struct fo_batch_header *h, uint32_t i, unsigned source, fo_region_set targets)
{
    struct fo_dedupe_entry entry = { .seq = h->first_seq + i, .epoch = h->epoch, .targets = targets, .accepted_at = e->acceptedtime,
        .lane = (uint8_t)h->lane, .region = (uint8_t)source };
    enum fo_err err;

    entry.fp = fo_fingerprint(p->fingerprint_key, (struct fo_identity){ e->tenant, e->id });
    err = fo_dedupe_add(p->dedupe, &entry);
    (void)err;                          /* known already: the first one answers */
}

static void
replay_events(struct replay *p, const struct fo_record *rec, const struct fo_journal_batch *b)
{
    const struct fo_batch_header *h = &b->header;
    unsigned source = (unsigned)b->source;

    if (rec->type == FO_RECORD_RECEIVED)
        fo_receive_replayed(p->receive, source, h);
    for (uint32_t i = 0; i < h->count; i++) {
        struct fo_event e;
        uint8_t verdict = fo_receive_verdict(p->ctx, h->region, b->record[i], rec->at, &e);

        if (e.id.n > 0)
            know(p, &e, h, i, source, b->targets);
        if (verdict != 0 && rec->type == FO_RECORD_RECEIVED) {
            struct fo_kept_exception x = { { h->lane, h->first_seq + i, (enum fo_verdict)verdict }, h->epoch, rec->lsn };

            fo_receive_restore(p->receive, source, &x);
            p->report->exceptions_again++;
        }
    }
    p->report->events += h->count;
}

static enum fo_err
replay_batch(struct replay *p, const struct fo_record *rec, bool is_after_checkpoint)
{
    static struct fo_journal_batch b;   /* start only, one thread */
    enum fo_err err = fo_journal_batch_read(p->ctx, rec, &b);

    if (err != FO_OK)
        return err;
    if (b.source < 0)
        return FO_OK;                   /* a region that the configuration no longer names */
    replay_events(p, rec, &b);
    if (!is_after_checkpoint)
        return FO_OK;
    if (rec->type == FO_RECORD_OWN)
        fo_state_apply_own(p->state, &b.header, b.targets, rec->lsn);
    else
        fo_state_apply_received(p->state, (unsigned)b.source, &b.header);
    return FO_OK;
}

static enum fo_err
replay_record(struct replay *p, const struct fo_record *rec, bool is_after_checkpoint)
{
    static struct fo_ack_record a;      /* start only, one thread */
    enum fo_err err;
    int peer;

    p->report->records++;
    switch (rec->type) {
    case FO_RECORD_OWN:
    case FO_RECORD_RECEIVED:
        if (is_after_checkpoint)
            fo_state_apply_lane(p->state, rec->lane, rec->lsn);
        return replay_batch(p, rec, is_after_checkpoint);
    case FO_RECORD_ACK:
        err = fo_ack_record_decode(rec->body, &a);
        peer = err == FO_OK ? fo_context_region(p->ctx, a.peer) : -1;
        for (unsigned i = 0; peer > 0 && i < a.exception_count; i++)
            fo_verdicts_note(&p->receive->verdicts, (unsigned)peer, a.exception[i].lane, &a.exception[i], 1);
        if (peer > 0 && is_after_checkpoint)
            fo_state_apply_ack(p->state, (unsigned)peer, &a);
        return err;
    case FO_RECORD_CHECKPOINT:
        if (is_after_checkpoint)
            fo_state_apply_mark(p->state, rec->lsn, rec->at);
        return FO_OK;
    }
    return FO_OK;
}

static enum fo_err
read_checkpoint(struct fo_context *ctx, uint64_t lsn, uint64_t durable_lsn, struct fo_state *ret_state)
{
    const struct fo_journal_ops *ops = ctx->journal->ops;
    struct fo_journal_reader *reader;
    struct fo_record rec;
    enum fo_err err;

    memset(ret_state, 0, sizeof *ret_state);
    if (lsn >= durable_lsn)
        return FO_OK;
    err = ops->reader_open(ctx->journal, lsn, &reader);
    if (err != FO_OK)
        return err;
    err = ops->read_next(reader, 7, 0x1f, &rec);
    if (err == FO_OK && rec.type == FO_RECORD_CHECKPOINT)
        err = fo_checkpoint_decode(rec.body, ctx, ret_state);
    ops->reader_close(reader);
    return err == FO_ERR_NOT_FOUND ? FO_OK : err;
}

static enum fo_err
replay_all(struct replay *p, uint64_t from_lsn, uint64_t checkpoint_lsn)
{
    const struct fo_journal_ops *ops = p->ctx->journal->ops;
    struct fo_journal_reader *reader;
    struct fo_record rec;
    enum fo_err err = ops->reader_open(p->ctx->journal, from_lsn, &reader);

    if (err != FO_OK)
        return err;
    while ((err = ops->read_next(reader, 7, 0x1e, &rec)) != FO_ERR_NOT_FOUND) {
        if (err == FO_OK)
            err = replay_record(p, &rec, rec.lsn >= checkpoint_lsn);
        if (err == FO_OK)
            continue;
        p->report->damaged++;
        fo_log(FO_LOG_ERROR, "recovery_record_damaged", FO_I("lsn", rec.lsn), FO_E(err));
        if (err != FO_ERR_CORRUPT && err != FO_ERR_PROTO && err != FO_ERR_TRUNCATED && err != FO_ERR_TRAILING)
            break;
    }
    ops->reader_close(reader);
    return err == FO_ERR_NOT_FOUND ? FO_OK : err;
}

/* The data directory's epoch is none of the records' when it is new, or when a crash may have taken back sequences that peers have seen. It
 * may be lower than theirs where one was begun above what peers held. */
static void
begin_epoch(struct fo_state *s, uint64_t new_epoch)
{
    uint64_t current = fo_epochs_current(&s->epochs);

    for (unsigned i = 0; i < s->epochs.count; i++)
        if (s->epochs.list[i].epoch == new_epoch)
            return;
    fo_state_begin_epoch(s, new_epoch > current ? new_epoch : current + 1);
}

enum fo_err
fo_recover(struct fo_context *ctx, uint64_t checkpoint_lsn, uint64_t durable_lsn, uint64_t new_epoch, const uint8_t *fingerprint_key,
    struct fo_state *ret_state, struct fo_dedupe *dedupe, struct fo_receive *receive, struct fo_replay_report *ret_report)
{
    struct replay p = { ctx, fingerprint_key, ret_state, dedupe, receive, ret_report };
    struct fo_journal_stats stats;
    uint64_t from;
    enum fo_err err;

    *ret_report = (struct fo_replay_report){ 0 };
    err = read_checkpoint(ctx, checkpoint_lsn, durable_lsn, ret_state);
    if (err != FO_OK)
        return err;
    ctx->journal->ops->stats(ctx->journal, &stats);
    from = fo_state_lsn_before(ret_state, ctx->config->limits.dedupe_events_max);
    if (from < stats.first_lsn)
        from = stats.first_lsn;
    if (from > checkpoint_lsn || from == 0)
        from = checkpoint_lsn;
    if (from < durable_lsn)
        err = replay_all(&p, from, checkpoint_lsn);
    for (unsigned r = 1; ret_report->damaged > 0 && r < ctx->regions.count; r++)
        for (int i = 0; i < FO_LANES; i++)      /* acks may be among what could not be read */
            fo_verdicts_forget(&receive->verdicts, r, (enum fo_lane)i, ret_state->link[r][i].acked_seq);
    if (err == FO_OK)
        begin_epoch(ret_state, new_epoch);
    return err;
}
