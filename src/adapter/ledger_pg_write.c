/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/ledger_pg_late.h"
#include "base/assert.h"
#include "ports/log.h"

enum { FLUSH_BYTES = 256 * 1024 };
enum mode { STRAIGHT, MERGED, SINGLY };

#define COPY_STRAIGHT "COPY realtime_fanout_log (" FO_LEDGER_COLUMNS ") FROM STDIN (FORMAT binary)"
#define COPY_STAGE "COPY fanout_stage (" FO_LEDGER_COLUMNS ") FROM STDIN (FORMAT binary)"
#define MAKE_STAGE "CREATE TEMPORARY TABLE IF NOT EXISTS fanout_stage ON COMMIT DELETE ROWS AS SELECT " FO_LEDGER_COLUMNS \
    " FROM realtime_fanout_log WITH NO DATA"
#define SAME_POSITION " l.source_region = s.source_region AND l.epoch = s.epoch AND l.lane = s.lane AND l.sequence = s.sequence"
/* Rows that are there already leave the stage; they learn what has been settled since. */
#define KNOWN_LEAVE(table) \
    "UPDATE " table " l SET delivery_status = s.delivery_status, is_settled = true FROM fanout_stage s" \
    " WHERE" SAME_POSITION " AND NOT l.is_settled AND s.is_settled;" \
    "DELETE FROM fanout_stage s USING " table " l WHERE" SAME_POSITION ";"
#define MERGE_NEW "INSERT INTO realtime_fanout_log (" FO_LEDGER_COLUMNS ") SELECT " FO_LEDGER_COLUMNS " FROM fanout_stage ORDER BY lane, sequence" \
    " ON CONFLICT ON CONSTRAINT realtime_fanout_log_event DO NOTHING"
#define MERGE_REPEATS "INSERT INTO realtime_fanout_repeats (first_id, " FO_LEDGER_COLUMNS ")" \
    " SELECT l.id, s.* FROM fanout_stage s JOIN realtime_fanout_log l ON l.tenant = s.tenant AND l.event_id = s.event_id" \
    " WHERE (l.source_region, l.epoch, l.lane, l.sequence) IS DISTINCT FROM (s.source_region, s.epoch, s.lane, s.sequence)"

enum fo_err
fo_ledger_writer_init(struct fo_ledger_writer *wr, const struct fo_ledger_config *config, struct fo_pg *pg, struct fo_ledger_window *window)
{
    struct fo_journal_stats stats;

    *wr = (struct fo_ledger_writer){ .config = config, .pg = pg, .window = window, .batches_max = UINT32_MAX };
    fo_ledger_rows_init(&wr->rows, config->regions);
    fo_buf_init(&wr->out);
    config->journal->ops->stats(config->journal, &stats);
    return config->journal->ops->reader_open(config->journal, stats.first_lsn, &wr->reader);
}

void
fo_ledger_writer_fini(struct fo_ledger_writer *wr)
{
    if (wr->reader != NULL)
        wr->config->journal->ops->reader_close(wr->reader);
    wr->reader = NULL;
    fo_ledger_rows_fini(&wr->rows);
    fo_buf_fini(&wr->out);
}

/* Where to read from, given what the database says and what the journal has. */
static uint64_t
resume_lsn(const struct fo_ledger_writer *wr)
{
    uint64_t epoch = fo_epochs_current(&wr->config->epochs);
    struct fo_journal_stats stats;

    wr->config->journal->ops->stats(wr->config->journal, &stats);
    if (wr->epoch == epoch && wr->lsn >= stats.first_lsn && wr->lsn <= stats.durable_lsn)
        return wr->lsn;
    /* From the beginning it is safe whatever happened: rows that are there are recognised by their position. */
    if (wr->epoch != epoch)
        fo_log(FO_LOG_INFO, "ledger_epoch_changed", FO_I("cursor_epoch", wr->epoch), FO_I("epoch", epoch), FO_I("from_lsn", stats.first_lsn));
    else
        fo_log(FO_LOG_WARN, wr->lsn < stats.first_lsn ? "ledger_gap" : "ledger_ahead_of_journal", FO_I("cursor_lsn", wr->lsn),
            FO_I("first_lsn", stats.first_lsn), FO_I("durable_lsn", stats.durable_lsn));
    return stats.first_lsn;
}

static enum fo_err
note_pending(struct fo_ledger_writer *wr)
{
    const char *params[] = { wr->config->regions->name[0] };
    PGresult *res;
    enum fo_err err = fo_pg_query(wr->pg, "SELECT lane, max(sequence) FROM (SELECT lane, sequence FROM realtime_fanout_log"
        " WHERE NOT is_settled AND source_region = $1 AND lane IS NOT NULL UNION ALL SELECT lane, sequence FROM realtime_fanout_repeats"
        " WHERE NOT is_settled AND source_region = $1) p GROUP BY lane", 1, params, &res);

    if (err != FO_OK)
        return err;
    for (int i = 0; i < fo_pq.ntuples(res); i++)
        for (unsigned peer = 1; peer < wr->config->regions->count; peer++)
            wr->window->pending_to[peer][atoi(fo_pq.getvalue(res, i, 0)) % FO_LANES] = strtoull(fo_pq.getvalue(res, i, 1), NULL, 10);
    fo_pq.clear(res);
    return FO_OK;
}

enum fo_err
fo_ledger_writer_resume(struct fo_ledger_writer *wr, uint64_t *ret_lsn)
{
    struct fo_journal_stats stats;
    char epoch[24], lsn[24];
    const char *params[] = { wr->config->regions->name[0], epoch, lsn };
    PGresult *res;
    enum fo_err err;

    wr->config->journal->ops->stats(wr->config->journal, &stats);
    snprintf(epoch, sizeof epoch, "%" PRIu64, fo_epochs_current(&wr->config->epochs));
    snprintf(lsn, sizeof lsn, "%" PRIu64, stats.first_lsn);
    err = fo_pg_query(wr->pg, "INSERT INTO fanout_ledger_cursor (region, epoch, lsn) VALUES ($1, $2, $3) ON CONFLICT (region) DO NOTHING", 3, params, NULL);
    /* Waits here for a transaction of a former connection that the server has not given up yet. */
    if (err != FO_OK || (err = fo_pg_query(wr->pg, "SELECT epoch, lsn FROM fanout_ledger_cursor WHERE region = $1 FOR UPDATE", 1, params, &res)) != FO_OK)
        return err;
    fo_assert(fo_pq.ntuples(res) == 1);
    wr->epoch = strtoull(fo_pq.getvalue(res, 0, 0), NULL, 10);
    wr->lsn = strtoull(fo_pq.getvalue(res, 0, 1), NULL, 10);
    fo_pq.clear(res);
    *ret_lsn = resume_lsn(wr);
    return note_pending(wr);
}

/* BEGIN, and hold the cursor: nobody else writes rows of this region until we are through. */
static enum fo_err
begin(struct fo_ledger_writer *wr)
{
    char sql[192];
    PGresult *res;
    bool is_ours;
    enum fo_err err = fo_pg_do(wr->pg, "BEGIN");

    if (err != FO_OK)
        return err;
    snprintf(sql, sizeof sql, "SELECT 1 FROM fanout_ledger_cursor WHERE region = '%s' AND epoch = %" PRIu64 " AND lsn = %" PRIu64 " FOR UPDATE",
        wr->config->regions->name[0], wr->epoch, wr->lsn);
    if ((err = fo_pg_query(wr->pg, sql, 0, NULL, &res)) != FO_OK)
        return err;
    is_ours = fo_pq.ntuples(res) == 1;
    fo_pq.clear(res);
    return is_ours ? FO_OK : FO_ERR_STALE;
}

struct fo_wall
fo_ledger_writer_complete_to(const struct fo_ledger_writer *wr, unsigned count)
{
    return count < fo_ledger_window_count(wr->window) ? (struct fo_wall){ fo_ledger_window_batch(wr->window, count)->at_us } : wr->read_to;
}

static enum fo_err
move_cursor(struct fo_ledger_writer *wr, uint64_t lsn, uint64_t rows, struct fo_wall complete_to)
{
    char sql[320], at[FO_RFC3339_SIZE];

    fo_wall_format(complete_to, at);
    snprintf(sql, sizeof sql, "UPDATE fanout_ledger_cursor SET epoch = %" PRIu64 ", lsn = %" PRIu64 ", rows_written = rows_written + %" PRIu64
        ", complete_to = nullif('%s', '')::timestamptz, updated_at = now() WHERE region = '%s'",
        fo_epochs_current(&wr->config->epochs), lsn, rows, complete_to.us != 0 ? at : "", wr->config->regions->name[0]);
    return fo_pg_do(wr->pg, sql);
}

static enum fo_err
read_records(struct fo_ledger_writer *wr, const struct fo_ledger_batch *b, struct fo_slice ret_records[FO_BATCH_EVENTS_MAX])
{
    const struct fo_journal_ops *ops = wr->config->journal->ops;
    struct fo_record rec;
    struct fo_frame frame;
    enum fo_err err = FO_OK;

    if (ops->reader_lsn(wr->reader) != b->lsn)
        err = ops->reader_seek(wr->reader, b->lsn);
    if (err == FO_OK)
        err = ops->read_next(wr->reader, 7, 1u << FO_RECORD_OWN, &rec);
    if (err == FO_OK && rec.lsn != b->lsn)
        err = FO_ERR_CORRUPT;
    if (err == FO_OK && (err = fo_frame_split(rec.body, &frame)) == FO_OK)
        err = fo_batch_records(frame.body, b->count, ret_records);
    if (err != FO_OK)
        snprintf(wr->pg->error, sizeof wr->pg->error, "journal at %" PRIu64 ": %s", b->lsn, fo_err_text(err));
    /* It was read a moment ago: whatever this is, another connection will not see it as a row's fault. */
    return err == FO_OK ? FO_OK : FO_ERR_REJECTED;
}

static enum fo_err
copy_batch(struct fo_ledger_writer *wr, unsigned index)
{
    const struct fo_ledger_batch *b = fo_ledger_window_batch(wr->window, index);
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
    enum fo_err err = read_records(wr, b, record);

    if (err == FO_OK)
        err = fo_ledger_rows_begin(&wr->rows, wr->window, index);
    for (uint32_t i = 0; err == FO_OK && i < b->count; i++)
        err = fo_ledger_rows_add(&wr->rows, i, record[i], &wr->out);
    if (err == FO_OK && wr->out.n >= FLUSH_BYTES) {
        err = fo_pg_copy_put(wr->pg, fo_buf_slice(&wr->out));
        wr->out.n = 0;
    }
    return err == FO_ERR_PARSE ? FO_ERR_INVALID : err;
}

/* The connection is closed after this anyway, and may well hang. */
static bool
is_over(enum fo_err err)
{
    return err == FO_ERR_UNAVAILABLE || err == FO_ERR_TIMEOUT;
}

static enum fo_err
copy_batches(struct fo_ledger_writer *wr, const char *copy, unsigned count)
{
    enum fo_err err = fo_pg_copy_begin(wr->pg, copy), ended;

    if (err != FO_OK)
        return err;
    wr->out.n = 0;
    err = fo_ledger_rows_open(&wr->out);
    for (unsigned i = 0; err == FO_OK && i < count; i++)
        err = copy_batch(wr, i);
    if (err == FO_OK && (err = fo_ledger_rows_close(&wr->out)) == FO_OK)
        err = fo_pg_copy_put(wr->pg, fo_buf_slice(&wr->out));
    if (is_over(err))
        return err;
    ended = fo_pg_copy_end(wr->pg, err == FO_OK ? NULL : "given up");
    return err != FO_OK ? err : ended;
}

/* Moves the staged rows to where they belong. */
static enum fo_err
merge_stage(struct fo_ledger_writer *wr, uint64_t *ret_rows, uint64_t *ret_repeats)
{
    PGresult *res;
    enum fo_err err = fo_pg_do(wr->pg, KNOWN_LEAVE("realtime_fanout_log") KNOWN_LEAVE("realtime_fanout_repeats"));

    if (err != FO_OK || (err = fo_pg_query(wr->pg, MERGE_NEW, 0, NULL, &res)) != FO_OK)
        return err;
    *ret_rows += strtoull(fo_pq.cmdTuples(res), NULL, 10);
    fo_pq.clear(res);
    if ((err = fo_pg_query(wr->pg, MERGE_REPEATS, 0, NULL, &res)) != FO_OK)
        return err;
    *ret_repeats += strtoull(fo_pq.cmdTuples(res), NULL, 10);
    fo_pq.clear(res);
    return fo_pg_do(wr->pg, "DELETE FROM fanout_stage");
}

static char *
put_hex(char *p, struct fo_slice s)
{
    p += sprintf(p, "\\x");
    for (size_t i = 0; i < s.n; i++)
        p += sprintf(p, "%02x", s.p[i]);
    return p + 1;
}

static enum fo_err
quarantine(struct fo_ledger_writer *wr, const struct fo_ledger_batch *b, uint32_t i, struct fo_slice record)
{
    char epoch[24], lane[8], sequence[24], reason[sizeof wr->pg->error];
    char hex[3 * 3 + 2 * (FO_TENANT_BYTES_MAX + FO_ID_BYTES_MAX + FO_TYPE_BYTES_MAX)], *event_id, *type, *p = reason;
    struct fo_event e;

    if (fo_event_decode(record, &e) != FO_OK) {
        e = (struct fo_event){ 0 };
        snprintf(wr->pg->error, sizeof wr->pg->error, "not an event record");
    }
    for (const char *s = wr->pg->error; *s != '\0'; s++)
        *p++ = *s >= ' ' && *s <= '~' ? *s : '?';
    *p = '\0';
    event_id = put_hex(hex, e.tenant);
    type = put_hex(event_id, e.id);
    put_hex(type, e.type);
    snprintf(epoch, sizeof epoch, "%" PRIu64, b->epoch);
    snprintf(lane, sizeof lane, "%u", b->lane);
    snprintf(sequence, sizeof sequence, "%" PRIu64, b->first_seq + i);
    fo_log(FO_LOG_WARN, "ledger_row_quarantined", FO_S("lane", fo_lane_name((enum fo_lane)b->lane)), FO_I("sequence", b->first_seq + i), FO_S("reason", reason));
    return fo_pg_query(wr->pg, "INSERT INTO realtime_fanout_quarantine (source_region, epoch, lane, sequence, tenant, event_id, event_type, reason)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING", 8,
        (const char *const[]){ wr->config->regions->name[0], epoch, lane, sequence, hex, event_id, type, reason }, NULL);
}

static enum fo_err
copy_one_row(struct fo_ledger_writer *wr, uint32_t i, struct fo_slice record, uint64_t *ret_rows, uint64_t *ret_repeats)
{
    enum fo_err err;

    wr->out.n = 0;
    if ((err = fo_ledger_rows_open(&wr->out)) != FO_OK)
        return err;
    err = fo_ledger_rows_add(&wr->rows, i, record, &wr->out);
    if (err != FO_OK)
        return err == FO_ERR_PARSE ? FO_ERR_INVALID : err;
    if ((err = fo_ledger_rows_close(&wr->out)) != FO_OK || (err = fo_pg_copy_begin(wr->pg, COPY_STAGE)) != FO_OK
        || (err = fo_pg_copy_put(wr->pg, fo_buf_slice(&wr->out))) != FO_OK || (err = fo_pg_copy_end(wr->pg, NULL)) != FO_OK)
        return err;
    return merge_stage(wr, ret_rows, ret_repeats);
}

/* Each row behind a savepoint; what cannot be stored is set aside. */
static enum fo_err
copy_singly(struct fo_ledger_writer *wr, uint64_t *ret_rows, uint64_t *ret_repeats, uint64_t *ret_quarantined)
{
    const struct fo_ledger_batch *b = fo_ledger_window_batch(wr->window, 0);
    struct fo_slice record[FO_BATCH_EVENTS_MAX];
    enum fo_err err = read_records(wr, b, record);

    if (err == FO_OK)
        err = fo_ledger_rows_begin(&wr->rows, wr->window, 0);
    for (uint32_t i = 0; err == FO_OK && i < b->count; i++) {
        if ((err = fo_pg_do(wr->pg, "SAVEPOINT one_row")) != FO_OK)
            break;
        err = copy_one_row(wr, i, record[i], ret_rows, ret_repeats);
        if (err == FO_ERR_INVALID || err == FO_ERR_EXISTS) {
            if ((err = fo_pg_do(wr->pg, "ROLLBACK TO SAVEPOINT one_row")) == FO_OK)
                err = quarantine(wr, b, i, record[i]);
            ++*ret_quarantined;
        }
        if (err == FO_OK)
            err = fo_pg_do(wr->pg, "RELEASE SAVEPOINT one_row");
    }
    return err;
}

/* Rolls back and keeps what the error before it said. */
static enum fo_err
give_up(struct fo_ledger_writer *wr)
{
    char error[sizeof wr->pg->error], sqlstate[sizeof wr->pg->sqlstate];
    enum fo_err err;

    memcpy(error, wr->pg->error, sizeof error);
    memcpy(sqlstate, wr->pg->sqlstate, sizeof sqlstate);
    err = fo_pg_do(wr->pg, "ROLLBACK");
    memcpy(wr->pg->error, error, sizeof error);
    memcpy(wr->pg->sqlstate, sqlstate, sizeof sqlstate);
    return err;
}

static enum fo_err
transaction(struct fo_ledger_writer *wr, unsigned count, uint64_t next_lsn, enum mode mode)
{
    uint64_t rows = 0, repeats = 0, quarantined = 0, total = 0;
    uint64_t lsn = count < fo_ledger_window_count(wr->window) ? fo_ledger_window_batch(wr->window, count)->lsn : next_lsn;
    enum fo_err err = begin(wr);

    for (unsigned i = 0; i < count; i++)
        total += fo_ledger_window_batch(wr->window, i)->count;
    if (err == FO_OK && count > 0 && mode == STRAIGHT) {
        err = copy_batches(wr, COPY_STRAIGHT, count);
        rows = total;
    } else if (err == FO_OK && count > 0) {
        err = fo_pg_do(wr->pg, MAKE_STAGE);
        if (err == FO_OK && mode == MERGED && (err = copy_batches(wr, COPY_STAGE, count)) == FO_OK)
            err = merge_stage(wr, &rows, &repeats);
        else if (err == FO_OK && mode == SINGLY)
            err = copy_singly(wr, &rows, &repeats, &quarantined);
    }
    if (err == FO_OK)
        err = fo_ledger_late_settle(wr);
    if (err == FO_OK)
        err = move_cursor(wr, lsn, rows, fo_ledger_writer_complete_to(wr, count));
    if (err == FO_OK)
        err = fo_pg_do(wr->pg, "COMMIT");
    if (err != FO_OK) {
        return is_over(err) || give_up(wr) == FO_OK ? err : FO_ERR_UNAVAILABLE;
    }
    wr->epoch = fo_epochs_current(&wr->config->epochs);
    wr->lsn = lsn;
    wr->rows_written += rows, wr->rows_repeated += repeats, wr->rows_quarantined += quarantined;
    fo_ledger_window_written(wr->window, count);
    return FO_OK;
}

void
fo_ledger_writer_was_slow(struct fo_ledger_writer *wr)
{
    wr->batches_max = wr->batches_tried > 1 ? wr->batches_tried / 2 : 1;
}

enum fo_err
fo_ledger_write(struct fo_ledger_writer *wr, unsigned count, uint64_t next_lsn)
{
    enum fo_err err;

    if (count > wr->batches_max)
        count = wr->batches_max;
    for (;;) {
        wr->batches_tried = count;
        err = transaction(wr, count, next_lsn, STRAIGHT);
        if (err == FO_ERR_EXISTS && count > 0)
            err = transaction(wr, count, next_lsn, MERGED);
        if ((err != FO_ERR_INVALID && err != FO_ERR_EXISTS) || count <= 1)
            break;
        wr->batches_max = count = count / 2;
    }
    if ((err == FO_ERR_INVALID || err == FO_ERR_EXISTS) && count == 1)
        err = transaction(wr, 1, next_lsn, SINGLY);
    if (err == FO_OK)
        wr->batches_max = wr->batches_max > UINT32_MAX / 2 ? UINT32_MAX : wr->batches_max * 2;
    return err;
}
