/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread: connects, reads ahead into the window, writes what is due, sleeps. */
#include "adapter/ledger_pg.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "adapter/ledger_pg_health.h"
#include "adapter/ledger_pg_write.h"
#include "base/assert.h"
#include "ports/log.h"

enum {
    WINDOW_BATCHES = 16384,
    GATHER_MS = 100,                    /* between transactions, so that rows come together and commits stay few */
    READ_MS = 10,                       /* between looks at the journal, likewise */
    BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000,
    CURSOR_ONLY_MS = 5000,              /* with no rows to write the cursor moves this often, or after this many bytes */
    CURSOR_ONLY_BYTES = 16 << 20,
    PATIENCE_MAX = 10,                  /* times answer_timeout_ms, for a server that is slow */
    BREAK_WAIT_MS = 1000,
};

struct fo_ledger {
    struct fo_ledger_config config;
    pthread_t thread;
    pthread_mutex_t mutex;              /* over what follows up to the blank line */
    pthread_cond_t wake;
    bool is_poked, is_stopping, is_ended;
    struct fo_ledger_status status;

    struct fo_ledger_board board;
    struct fo_pg pg;                    /* the thread's own from here on */
    struct fo_ledger_window window;
    struct fo_ledger_writer writer;
    struct fo_journal_reader *reader;
    bool is_connected, is_at_end;
    int64_t last_at_us;                 /* append time of the newest record read */
    int64_t written_at_ns, read_at_ns;  /* monotonic */
    uint32_t backoff_ms;
    char told[192];                     /* the last trouble that was logged */
};

static int64_t
clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool
is_stopping(struct fo_ledger *l)
{
    bool v;

    pthread_mutex_lock(&l->mutex);
    v = l->is_stopping;
    pthread_mutex_unlock(&l->mutex);
    return v;
}

/* Until the monotonic instant; a poke ends it too when asked for, a stop always. */
static void
sleep_until(struct fo_ledger *l, int64_t ns, bool wakes_on_poke)
{
    struct timespec at = { ns / 1000000000, ns % 1000000000 };

    pthread_mutex_lock(&l->mutex);
    while (!l->is_stopping && !(wakes_on_poke && l->is_poked) && pthread_cond_timedwait(&l->wake, &l->mutex, &at) != ETIMEDOUT)
        ;
    if (wakes_on_poke)
        l->is_poked = false;
    pthread_mutex_unlock(&l->mutex);
}

/* lsn: how far the ledger has come; 0: as before. */
static void
show(struct fo_ledger *l, uint64_t lsn, const char *error)
{
    pthread_mutex_lock(&l->mutex);
    l->status.is_connected = l->is_connected;
    if (lsn != 0)
        l->status.lsn = lsn;
    l->status.rows_written = l->writer.rows_written;
    l->status.rows_repeated = l->writer.rows_repeated;
    l->status.rows_quarantined = l->writer.rows_quarantined;
    snprintf(l->status.error, sizeof l->status.error, "%s", error);
    pthread_mutex_unlock(&l->mutex);
}

static void
post_progress(struct fo_ledger *l, uint64_t lsn)
{
    struct fo_input in = { .kind = FO_INPUT_LEDGER, .lsn = lsn };

    if (l->config.inbox != NULL && fo_inbox_post(l->config.inbox, &in, false) != FO_OK)
        fo_log(FO_LOG_WARN, "ledger_progress_not_posted", FO_I("lsn", in.lsn));     /* the next one says more */
}

/* Whatever broke: forget what was read, and begin again from what the database says. */
static void
go_down(struct fo_ledger *l, enum fo_err err)
{
    if (err == FO_ERR_STALE)
        snprintf(l->pg.error, sizeof l->pg.error, "another process moves this region's cursor");
    else if (l->pg.error[0] == '\0')
        snprintf(l->pg.error, sizeof l->pg.error, "%s", fo_err_text(err));
    fo_pg_close(&l->pg);
    fo_ledger_window_reset(&l->window);
    l->is_connected = false;
    show(l, 0, l->pg.error);
    if (strcmp(l->told, l->pg.error) != 0)
        fo_log(FO_LOG_WARN, "ledger_down", FO_E(err), FO_S("reason", l->pg.error), FO_I("lsn", l->writer.lsn));
    snprintf(l->told, sizeof l->told, "%s", l->pg.error);
    l->pg.error[0] = '\0';
    if (err == FO_ERR_TIMEOUT) {
        fo_ledger_writer_was_slow(&l->writer);
        if (l->pg.answer_ms <= l->config.answer_timeout_ms * (uint64_t)PATIENCE_MAX / 2)
            l->pg.answer_ms *= 2;
    }
    sleep_until(l, clock_ns(CLOCK_MONOTONIC) + l->backoff_ms * INT64_C(1000000), false);
    l->backoff_ms = l->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : l->backoff_ms * 2;
}

static enum fo_err
connect_and_resume(struct fo_ledger *l)
{
    char name[64];
    uint64_t lsn;
    enum fo_err err;

    snprintf(name, sizeof name, "fanout %s", l->config.regions->name[0]);
    if ((err = fo_pg_open(&l->pg, l->config.conninfo, name)) != FO_OK || (err = fo_ledger_writer_resume(&l->writer, &lsn)) != FO_OK)
        return err;
    if ((err = l->config.journal->ops->reader_seek(l->reader, lsn)) != FO_OK)
        return err;
    l->is_connected = true;
    l->is_at_end = false;
    l->written_at_ns = 0;
    l->last_at_us = 0;
    fo_ledger_board_connected(&l->board);
    fo_log(FO_LOG_INFO, "ledger_connected", FO_I("lsn", lsn));
    l->told[0] = '\0';
    show(l, lsn, "");
    post_progress(l, lsn);
    return FO_OK;
}

static int
region_index(const struct fo_ledger *l, struct fo_slice name)
{
    for (unsigned i = 0; i < l->config.regions->count; i++)
        if (fo_slice_is_equal(fo_slice_str(l->config.regions->name[i]), name))
            return (int)i;
    return -1;
}

static enum fo_err
take_own(struct fo_ledger *l, const struct fo_record *rec)
{
    struct fo_batch_header h;
    struct fo_frame frame;
    fo_region_set targets = 0;
    enum fo_err err = fo_frame_split(rec->body, &frame);

    if (err != FO_OK || (err = fo_batch_header_decode(&frame, &h)) != FO_OK)
        return err;
    for (unsigned i = 0; i < h.target_count; i++) {
        int region = region_index(l, h.target[i].region);

        if (region > 0)
            targets |= 1ull << region;
    }
    fo_ledger_window_add(&l->window, rec->lsn, &h, rec->at, targets);
    return FO_OK;
}

static enum fo_err
take_ack(struct fo_ledger *l, const struct fo_record *rec)
{
    struct fo_ack_record ack;
    enum fo_err err = fo_ack_record_decode(rec->body, &ack);
    int peer;

    if (err != FO_OK)
        return err;
    peer = region_index(l, ack.peer);
    if (peer > 0)
        fo_ledger_window_ack(&l->window, (unsigned)peer, &ack);
    return FO_OK;
}

static enum fo_err
skip_gap(struct fo_ledger *l)
{
    struct fo_journal *j = l->config.journal;
    struct fo_journal_stats stats;
    uint64_t lsn = j->ops->reader_lsn(l->reader);

    j->ops->stats(j, &stats);
    fo_log(FO_LOG_ERROR, "ledger_gap", FO_I("lsn", lsn), FO_I("first_lsn", stats.first_lsn));
    return stats.first_lsn > lsn ? j->ops->reader_seek(l->reader, stats.first_lsn) : FO_ERR_CURSOR_GONE;
}

/* Fills the window as far as it and the journal go. */
static enum fo_err
read_ahead(struct fo_ledger *l)
{
    const struct fo_journal_ops *ops = l->config.journal->ops;
    int64_t began_us = clock_ns(CLOCK_REALTIME) / 1000;
    struct fo_record rec;
    enum fo_err err = FO_OK;

    l->is_at_end = false;
    l->read_at_ns = clock_ns(CLOCK_MONOTONIC);
    while (err == FO_OK && !l->is_at_end && fo_ledger_window_has_room(&l->window)) {
        err = ops->read_next(l->reader, 7, 1u << FO_RECORD_OWN | 1u << FO_RECORD_ACK, &rec);
        if (err == FO_OK) {
            l->last_at_us = rec.at.us;
            err = rec.type == FO_RECORD_OWN ? take_own(l, &rec) : take_ack(l, &rec);
            if (err != FO_OK)
                fo_log(FO_LOG_ERROR, "ledger_record_not_understood", FO_E(err), FO_I("lsn", rec.lsn));
            err = FO_OK;
        } else if (err == FO_ERR_CORRUPT) {
            fo_log(FO_LOG_ERROR, "ledger_record_damaged", FO_I("lsn", rec.lsn));
            err = FO_OK;
        } else if (err == FO_ERR_CURSOR_GONE) {
            err = skip_gap(l);
        } else if (err == FO_ERR_NOT_FOUND) {
            l->is_at_end = true;
            err = FO_OK;
        }
    }
    if (err != FO_OK) {
        snprintf(l->pg.error, sizeof l->pg.error, "journal at %" PRIu64 ": %s", ops->reader_lsn(l->reader), fo_err_text(err));
        return err;
    }
    l->writer.read_to = (struct fo_wall){ l->is_at_end ? began_us : l->last_at_us };
    return FO_OK;
}

/* Before this, nothing waits for its acks any longer. While old records are read, time is the journal's own. */
static struct fo_wall
wait_until(const struct fo_ledger *l)
{
    int64_t now_us = l->is_at_end ? clock_ns(CLOCK_REALTIME) / 1000 : l->last_at_us;

    return (struct fo_wall){ now_us - l->config.settle_wait_ms * INT64_C(1000) };
}

static bool
wants_cursor_only(const struct fo_ledger *l, uint64_t position, int64_t now_ns)
{
    if (l->window.late_count > 0 || l->writer.epoch != fo_epochs_current(&l->config.epochs))
        return true;
    if (fo_ledger_window_count(&l->window) > 0)
        position = fo_ledger_window_batch(&l->window, 0)->lsn;
    return position != l->writer.lsn
        && (position > l->writer.lsn + CURSOR_ONLY_BYTES || now_ns - l->written_at_ns >= CURSOR_ONLY_MS * INT64_C(1000000));
}

/* One transaction, if anything is worth it. ret_more: another is due at once. */
static enum fo_err
write_due(struct fo_ledger *l, bool *ret_more)
{
    uint64_t position = l->config.journal->ops->reader_lsn(l->reader), rows;
    unsigned count = fo_ledger_window_due(&l->window, wait_until(l), l->config.rows_max, &rows);
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    enum fo_err err;

    *ret_more = false;
    if (count == 0 && !wants_cursor_only(l, position, now_ns))
        return FO_OK;
    err = fo_ledger_write(&l->writer, count, position);
    if (err == FO_ERR_BUSY) {
        fo_log(FO_LOG_INFO, "ledger_retry", FO_S("reason", l->pg.error));
        sleep_until(l, now_ns + GATHER_MS * INT64_C(1000000), false);
        *ret_more = true;
        return FO_OK;
    }
    if (err != FO_OK)
        return err;
    l->written_at_ns = now_ns;
    l->backoff_ms = BACKOFF_MS_MIN;
    l->pg.answer_ms = l->config.answer_timeout_ms;
    show(l, l->writer.lsn, "");
    post_progress(l, l->writer.lsn);
    *ret_more = !l->is_at_end || fo_ledger_window_due(&l->window, wait_until(l), l->config.rows_max, NULL) > 0;
    return FO_OK;
}

static enum fo_err
write_health(struct fo_ledger *l)
{
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    if (now_ns < fo_ledger_board_due_ns(&l->board))
        return FO_OK;
    return fo_ledger_board_write(&l->board, &l->pg, fo_ledger_writer_complete_to(&l->writer, 0), now_ns);
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t
later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Until there is more in the journal, or the oldest batch has waited long enough; never so short that rows come one by one. */
static void
rest(struct fo_ledger *l)
{
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC), until_ns = now_ns + INT64_C(3600000000000);

    if (fo_ledger_window_count(&l->window) > 0)
        until_ns = now_ns + later(fo_ledger_window_batch(&l->window, 0)->at_us - wait_until(l).us, 0) * 1000 + 1000000;
    else if (l->config.journal->ops->reader_lsn(l->reader) != l->writer.lsn)
        until_ns = l->written_at_ns + CURSOR_ONLY_MS * INT64_C(1000000);
    sleep_until(l, earlier(until_ns, fo_ledger_board_due_ns(&l->board)), true);
    sleep_until(l, later(l->written_at_ns + GATHER_MS * INT64_C(1000000), l->read_at_ns + READ_MS * INT64_C(1000000)), false);
}

/* The last pass after a stop: what is settled by now becomes rows. */
static void
finish(struct fo_ledger *l)
{
    bool more = true;

    while (l->is_connected && more)
        if (read_ahead(l) != FO_OK || write_due(l, &more) != FO_OK)
            break;
}

static void *
run(void *arg)
{
    struct fo_ledger *l = arg;
    enum fo_err err;
    bool more = false;

    while (!is_stopping(l)) {
        if (!l->is_connected && (err = connect_and_resume(l)) != FO_OK) {
            go_down(l, err);
            continue;
        }
        if ((err = read_ahead(l)) != FO_OK || (err = write_due(l, &more)) != FO_OK || (err = write_health(l)) != FO_OK)
            go_down(l, err);
        else if (!more)
            rest(l);
    }
    finish(l);
    fo_pg_close(&l->pg);
    pthread_mutex_lock(&l->mutex);
    l->is_ended = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static void
destroy(struct fo_ledger *l)
{
    if (l->reader != NULL)
        l->config.journal->ops->reader_close(l->reader);
    fo_ledger_writer_fini(&l->writer);
    fo_ledger_window_fini(&l->window);
    fo_pg_fini(&l->pg);
    fo_ledger_board_fini(&l->board);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

enum fo_err
fo_ledger_start(const struct fo_ledger_config *config, struct fo_ledger **ret_ledger, struct fo_fault *ret_fault)
{
    struct fo_journal_stats stats;
    pthread_condattr_t attr;
    struct fo_ledger *l;
    enum fo_err err = fo_pq_load(ret_fault);

    fo_assert(config->regions->count > 0 && config->rows_max > 0);
    if (err != FO_OK)
        return err;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "ledger", "memory");
    l->config = *config;
    l->backoff_ms = BACKOFF_MS_MIN;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    fo_pg_init(&l->pg, config->answer_timeout_ms);
    fo_ledger_board_init(&l->board, config->regions);
    config->journal->ops->stats(config->journal, &stats);
    l->status.lsn = stats.first_lsn;
    snprintf(l->status.error, sizeof l->status.error, "not connected yet");
    if ((err = fo_ledger_window_init(&l->window, WINDOW_BATCHES, config->regions->count)) == FO_OK
        && (err = fo_ledger_writer_init(&l->writer, &l->config, &l->pg, &l->window)) == FO_OK
        && (err = config->journal->ops->reader_open(config->journal, stats.first_lsn, &l->reader)) == FO_OK
        && pthread_create(&l->thread, NULL, run, l) != 0)
        err = FO_ERR_NO_MEMORY;
    if (err != FO_OK) {
        destroy(l);
        return fo_fault_set(ret_fault, err, "ledger", "a thread and memory for the ledger");
    }
    pthread_setname_np(l->thread, "fanout-ledger");
    *ret_ledger = l;
    return FO_OK;
}

/* True: the thread has ended. */
static bool
wait_ended(struct fo_ledger *l, uint32_t timeout_ms)
{
    int64_t ns = clock_ns(CLOCK_MONOTONIC) + timeout_ms * INT64_C(1000000);
    struct timespec at = { ns / 1000000000, ns % 1000000000 };
    bool is_ended;

    pthread_mutex_lock(&l->mutex);
    while (!l->is_ended && pthread_cond_timedwait(&l->wake, &l->mutex, &at) != ETIMEDOUT)
        ;
    is_ended = l->is_ended;
    pthread_mutex_unlock(&l->mutex);
    return is_ended;
}

bool
fo_ledger_stop(struct fo_ledger *l, uint32_t timeout_ms)
{
    pthread_mutex_lock(&l->mutex);
    l->is_stopping = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    if (!wait_ended(l, timeout_ms)) {
        fo_log(FO_LOG_WARN, "ledger_stop_cut_short", FO_I("after_ms", timeout_ms));
        if (!fo_pg_break(&l->pg) || !wait_ended(l, BREAK_WAIT_MS)) {
            pthread_detach(l->thread);
            return false;
        }
    }
    pthread_join(l->thread, NULL);
    destroy(l);
    return true;
}

void
fo_ledger_poke(struct fo_ledger *l)
{
    pthread_mutex_lock(&l->mutex);
    if (!l->is_poked) {
        l->is_poked = true;
        pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->mutex);
}

void
fo_ledger_health(struct fo_ledger *l, const struct fo_broker_health *health)
{
    if (fo_ledger_board_put(&l->board, health))
        fo_ledger_poke(l);
}

void
fo_ledger_status(struct fo_ledger *l, struct fo_ledger_status *ret_status)
{
    struct fo_journal_stats stats;

    l->config.journal->ops->stats(l->config.journal, &stats);
    pthread_mutex_lock(&l->mutex);
    *ret_status = l->status;
    pthread_mutex_unlock(&l->mutex);
    ret_status->lag_bytes = stats.durable_lsn > ret_status->lsn ? stats.durable_lsn - ret_status->lsn : 0;
}
