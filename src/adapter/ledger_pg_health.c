/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_health.h"

#include <inttypes.h>
#include <stdio.h>

#include "ports/log.h"

enum {
    EVERY_MS = 10000,
    GAP_MS = 1000,                      /* between writes, however often links change */
    RECORD_MAX = 512,                   /* one call of update_region_health as text */
};

/* Whoever holds a lock on these rows delays ours by no more than this; and losing the last seconds in a crash costs nothing. */
#define OPEN "BEGIN; SET LOCAL lock_timeout = '200ms'; SET LOCAL synchronous_commit = off;"

void
fo_ledger_board_init(struct fo_ledger_board *b, const struct fo_region_names *regions)
{
    *b = (struct fo_ledger_board){ .regions = regions };
    pthread_mutex_init(&b->mutex, NULL);
}

void
fo_ledger_board_fini(struct fo_ledger_board *b)
{
    pthread_mutex_destroy(&b->mutex);
}

bool
fo_ledger_board_put(struct fo_ledger_board *b, const struct fo_broker_health *h)
{
    bool has_changed = false;

    for (unsigned r = 1; r < b->regions->count; r++) {
        struct fo_ledger_health_slot *s = &b->slot[r];

        if (strcmp(b->regions->name[r], h->region) != 0)
            continue;
        pthread_mutex_lock(&b->mutex);
        has_changed = !s->is_known || strcmp(s->state, h->state) != 0;
        *s = (struct fo_ledger_health_slot){ .is_known = true, .is_healthy = h->is_healthy, .rtt_us = h->rtt.ns / 1000, .at_us = h->at.us,
            .failures = h->failures };
        snprintf(s->state, sizeof s->state, "%s", h->state);
        b->has_changed |= has_changed;
        pthread_mutex_unlock(&b->mutex);
    }
    return has_changed;
}

void
fo_ledger_board_connected(struct fo_ledger_board *b)
{
    b->written_at_ns = 0;
    b->is_told = false;
}

int64_t
fo_ledger_board_due_ns(struct fo_ledger_board *b)
{
    bool has_changed;

    pthread_mutex_lock(&b->mutex);
    has_changed = b->has_changed;
    pthread_mutex_unlock(&b->mutex);
    return b->written_at_ns == 0 ? 0 : b->written_at_ns + (has_changed ? GAP_MS : EVERY_MS) * INT64_C(1000000);
}

/* Region names and states are [a-z0-9-], so they stand in quotes as they are. */
static enum fo_err
add_slot(struct fo_buf *sql, const char *observer, const char *region, const struct fo_ledger_health_slot *s)
{
    char text[RECORD_MAX], latency[24] = "NULL", at[FO_RFC3339_SIZE];
    int n;

    if (s->rtt_us > 0)
        snprintf(latency, sizeof latency, "%" PRId64, (s->rtt_us + 999) / 1000);
    fo_wall_format((struct fo_wall){ s->at_us }, at);
    n = snprintf(text, sizeof text, "SELECT update_region_health('%s', %s, %s, %" PRIu32 ", '%s', '%s', '%s');", region,
        s->is_healthy ? "true" : "false", latency, s->failures, observer, s->state, at);
    return fo_buf_add(sql, text, (size_t)n);
}

static enum fo_err
add_complete_to(struct fo_buf *sql, const char *region, struct fo_wall complete_to)
{
    char text[RECORD_MAX], at[FO_RFC3339_SIZE];
    int n;

    fo_wall_format(complete_to, at);
    n = snprintf(text, sizeof text, "UPDATE fanout_ledger_cursor SET updated_at = now()%s%s%s WHERE region = '%s';",
        complete_to.us != 0 ? ", complete_to = '" : "", complete_to.us != 0 ? at : "", complete_to.us != 0 ? "'" : "", region);
    return fo_buf_add(sql, text, (size_t)n);
}

enum fo_err
fo_ledger_board_write(struct fo_ledger_board *b, struct fo_pg *pg, struct fo_wall complete_to, int64_t now_ns)
{
    struct fo_ledger_health_slot slot[FO_REGIONS_MAX];
    struct fo_buf sql;
    enum fo_err err;

    b->written_at_ns = now_ns;
    pthread_mutex_lock(&b->mutex);
    memcpy(slot, b->slot, sizeof slot);
    b->has_changed = false;
    pthread_mutex_unlock(&b->mutex);
    fo_buf_init(&sql);
    err = fo_buf_add(&sql, OPEN, strlen(OPEN));
    for (unsigned r = 1; err == FO_OK && r < b->regions->count; r++)
        if (slot[r].is_known)
            err = add_slot(&sql, b->regions->name[0], b->regions->name[r], &slot[r]);
    if (err == FO_OK && (err = add_complete_to(&sql, b->regions->name[0], complete_to)) == FO_OK && (err = fo_buf_add(&sql, "COMMIT", sizeof "COMMIT")) == FO_OK)
        err = fo_pg_do(pg, (const char *)sql.p);
    fo_buf_fini(&sql);
    if (err == FO_OK || err == FO_ERR_UNAVAILABLE || err == FO_ERR_TIMEOUT)
        return err;
    if (!b->is_told)
        fo_log(FO_LOG_WARN, "ledger_health_not_written", FO_E(err), FO_S("reason", pg->error));
    b->is_told = true;
    pg->error[0] = '\0';
    return fo_pg_do(pg, "ROLLBACK");
}
