/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger against its sources. Everything is read in one snapshot, whose cursor (fanout_ledger_cursor) says how far a
 * source's journal had been written by then; the source is asked afterwards, with that, and tells what the ledger must have. So rows that
 * are not written yet, and outcomes not yet settled there, are told apart from missing and wrong ones.
 *
 * The rows are read once, in order, for count and digest; only when these differ are they laid beside the source's list. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fanout/audit.h"

enum { ROWS_PER_FETCH = 5000, SQL_BYTES = 4096 };

#define OUTCOME "(CASE WHEN delivery_status->>'success' = 'true' THEN '1|' ELSE '0|' END) || coalesce((SELECT " \
    "string_agg((d->>'region') || '=' || (d->>'state'), ',' ORDER BY d->>'region' COLLATE \"C\") FROM jsonb_array_elements(" \
    "CASE WHEN jsonb_typeof(delivery_status->'deliveries') = 'array' THEN delivery_status->'deliveries' ELSE '[]' END) d), '')"
#define ROWS_OF(table, is_repeat) "SELECT epoch, sequence, " is_repeat " AS is_repeat, tenant, event_id, " OUTCOME " AS outcome, " \
    "is_settled FROM " table " WHERE source_region = '%s' AND lane = %d AND epoch IS NOT NULL AND fanout_at >= '%s' AND fanout_at < '%s'"

struct rows {                       /* the ledger's rows of one source and lane */
    struct audit *a;
    json_t *page;
    size_t index;
    bool has_failed;
};

struct sum {
    uint64_t accepted, rows, not_yet, settling, quarantined, older;
    bool has_twice;
};

void
audit_ledger_begin(struct audit *a)
{
    char why[256];

    if (ledger_try(a->conninfo, &a->ledger, why, sizeof(why)) != CMD_OK) {
        audit_note(a, "the ledger is not reachable: %s", why);
        a->is_partial = true;
        a->ledger = NULL;
        return;
    }
    if (ledger_exec(a->ledger, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") == CMD_OK)
        return;
    audit_note(a, "the ledger cannot be read: %s", ledger_last_error(a->ledger));
    a->has_failed = true;
    ledger_close(a->ledger);
    a->ledger = NULL;
}

static bool
query(struct audit *a, const char *sql, json_t **ret_rows)
{
    if (ledger_query(a->ledger, sql, NULL, 0, ret_rows) == CMD_OK)
        return true;
    audit_note(a, "the ledger cannot be read: %s", ledger_last_error(a->ledger));
    a->has_failed = true;
    return false;
}

struct fo_mark
audit_ledger_mark(struct audit *a, const char *region)
{
    struct fo_mark at = { 0, 0 };
    char sql[SQL_BYTES];
    json_t *rows;

    snprintf(sql, sizeof(sql), "SELECT epoch, lsn FROM fanout_ledger_cursor WHERE region = '%s'", region);
    if (a->ledger == NULL || !query(a, sql, &rows))
        return at;
    at.epoch = (uint64_t)json_integer_value(json_object_get(json_array_get(rows, 0), "epoch"));
    at.seq = (uint64_t)json_integer_value(json_object_get(json_array_get(rows, 0), "lsn"));
    json_decref(rows);
    return at;
}

static bool
rows_open(struct rows *r, struct audit *a, const char *region, enum fo_lane lane)
{
    char sql[2 * SQL_BYTES];

    *r = (struct rows){ .a = a };
    snprintf(sql, sizeof(sql), "DECLARE audit_rows NO SCROLL CURSOR FOR " ROWS_OF("realtime_fanout_log", "false") " UNION ALL "
        ROWS_OF("realtime_fanout_repeats", "true") " ORDER BY epoch, sequence, is_repeat", region, (int)lane, a->from_text, a->to_text,
        region, (int)lane, a->from_text, a->to_text);
    if (ledger_exec(a->ledger, sql) == CMD_OK)
        return true;
    audit_note(a, "the ledger's rows cannot be read: %s", ledger_last_error(a->ledger));
    a->has_failed = r->has_failed = true;
    return false;
}

static void
rows_close(struct rows *r)
{
    json_decref(r->page);
    r->page = NULL;
    if (!r->has_failed && ledger_exec(r->a->ledger, "CLOSE audit_rows") != CMD_OK)
        r->a->has_failed = true;
}

/* The next row; null at the end. Borrowed until the call after. */
static const json_t *
rows_next(struct rows *r, struct fo_mark *ret_at)
{
    const json_t *row;
    char sql[64];

    if (r->has_failed)
        return NULL;
    if (r->page == NULL || r->index == json_array_size(r->page)) {
        json_decref(r->page);
        r->page = NULL;
        r->index = 0;
        snprintf(sql, sizeof(sql), "FETCH FORWARD %d FROM audit_rows", (int)ROWS_PER_FETCH);
        r->has_failed = !query(r->a, sql, &r->page);
        if (r->has_failed || json_array_size(r->page) == 0)
            return NULL;
    }
    row = json_array_get(r->page, r->index++);
    ret_at->epoch = (uint64_t)json_integer_value(json_object_get(row, "epoch"));
    ret_at->seq = (uint64_t)json_integer_value(json_object_get(row, "sequence"));
    return row;
}

/* Whether the row's outcome contradicts itself: settled as a whole exactly when no target is pending. */
static bool
is_coherent(const json_t *row)
{
    bool is_open = strstr(cmd_text(row, "outcome", ""), "=pending") != NULL;

    return json_is_true(json_object_get(row, "is_settled")) != is_open;
}

/* Count and digest of the rows that the source can vouch for. */
static bool
agrees(struct audit *a, const struct audit_region *r, enum fo_lane lane, struct sum *sum)
{
    const struct fo_audit_lane *l = &r->own->lane[lane];
    uint8_t digest[FO_HASH_BYTES] = { 0 };
    struct fo_mark at, last = { 0, 0 };
    bool is_coherent_all = true;
    const json_t *row;
    struct rows rows;

    if (!rows_open(&rows, a, r->name, lane))
        return true;
    while ((row = rows_next(&rows, &at)) != NULL) {
        sum->older += !fo_mark_is_behind(at, l->trimmed);
        if (!fo_mark_is_behind(at, l->trimmed) || fo_mark_is_behind(at, l->ledger_up_to))
            continue;
        sum->rows++;
        sum->has_twice |= !fo_mark_is_behind(at, last);
        is_coherent_all &= is_coherent(row);
        last = at;
        fo_audit_digest_row(digest, at, fo_slice_str(cmd_text(row, "tenant", "")), fo_slice_str(cmd_text(row, "event_id", "")),
            fo_slice_str(cmd_text(row, "outcome", "")));
    }
    rows_close(&rows);
    return rows.has_failed || (!sum->has_twice && is_coherent_all && sum->rows == l->ledger_rows && memcmp(digest, l->ledger_digest, FO_HASH_BYTES) == 0);
}

/* Takes the "REGION=STATE" at the front. */
static struct fo_slice
take_item(const char **text)
{
    size_t n = strcspn(*text, ",");
    struct fo_slice item = fo_slice_of(*text, n);

    *text += n + ((*text)[n] == ',');
    return item;
}

static bool
has_state(struct fo_slice item, const char *state)
{
    size_t n = strlen(state);

    return item.n > n && item.p[item.n - n - 1] == '=' && memcmp(item.p + item.n - n, state, n) == 0;
}

/* The row says of each target what the source's acks said by the ledger's LSN, or what they say now, as the writer may have read ahead. */
static bool
outcome_fits(const char *row, const char *before, const char *now)
{
    const char *r = row + 2, *b = before + 2, *n = now + 2;
    bool is_success = true;

    if (strlen(row) < 2 || strlen(before) < 2 || strlen(now) < 2)
        return false;
    while (*r != '\0' || *n != '\0') {
        struct fo_slice item = take_item(&r), item_before = take_item(&b), item_now = take_item(&n);

        if (!fo_slice_is_equal(item, item_before) && !fo_slice_is_equal(item, item_now) && !has_state(item_now, "unproven"))
            return false;
        is_success &= has_state(item, "delivered");
    }
    return (row[0] == '1') == is_success;
}

static void
compare_row(struct audit *a, const struct audit_region *r, enum fo_lane lane, struct fo_mark at, const json_t *event, const json_t *row)
{
    const char *now = cmd_text(event, "outcome", ""), *before = cmd_text(event, "outcomeBefore", now), *found = cmd_text(row, "outcome", "");
    char text[512];

    if (strcmp(cmd_text(event, "id", ""), cmd_text(row, "event_id", "")) != 0 || strcmp(cmd_text(event, "tenant", ""), cmd_text(row, "tenant", "")) != 0)
        snprintf(text, sizeof(text), "the row is for event %s of tenant %s", cmd_text(row, "event_id", ""), cmd_text(row, "tenant", ""));
    else if (!outcome_fits(found, before, now))
        snprintf(text, sizeof(text), "the row says %s; the source's acks say %s", found, now);
    else if (!is_coherent(row))
        snprintf(text, sizeof(text), "is_settled does not fit the row's outcome %s", found);
    else
        return;
    audit_name(a, "differs", r->name, "ledger", lane, at, event, text);
}

/* Positions set aside because PostgreSQL would not take the row. */
static json_t *
quarantined_of(struct audit *a, const char *region, enum fo_lane lane)
{
    char sql[SQL_BYTES];
    json_t *rows = NULL;

    snprintf(sql, sizeof(sql), "SELECT epoch, sequence FROM realtime_fanout_quarantine WHERE source_region = '%s' AND lane = %d",
        region, (int)lane);
    return query(a, sql, &rows) ? rows : json_array();
}

static struct fo_mark
mark_of(const json_t *row)
{
    return (struct fo_mark){ (uint64_t)json_integer_value(json_object_get(row, "epoch")),
        (uint64_t)json_integer_value(json_object_get(row, "sequence")) };
}

static bool
is_quarantined(const json_t *quarantined, struct fo_mark at)
{
    const json_t *row;
    size_t i;

    json_array_foreach(quarantined, i, row)
        if (mark_of(row).epoch == at.epoch && mark_of(row).seq == at.seq)
            return true;
    return false;
}

static void
merge(struct audit *a, const struct audit_region *r, enum fo_lane lane, struct audit_feed *feed, struct rows *rows, const json_t *quarantined,
    struct sum *sum)
{
    const struct fo_audit_lane *l = &r->own->lane[lane];
    struct fo_mark at, row_at, last = { 0, 0 };
    const json_t *event = audit_feed_next(feed, &at), *row = rows_next(rows, &row_at);

    while ((event != NULL || row != NULL) && !feed->has_failed && !rows->has_failed) {
        bool is_asked = row != NULL && fo_mark_is_behind(row_at, l->trimmed) && !fo_mark_is_behind(row_at, l->ledger_up_to);

        if (row != NULL && !is_asked) {
            row = rows_next(rows, &row_at);
        } else if (row != NULL && last.epoch != 0 && !fo_mark_is_behind(row_at, last)) {
            audit_name(a, "twice", r->name, "ledger", lane, row_at, row, "one event, two rows");
            row = rows_next(rows, &row_at);
        } else if (row == NULL || (event != NULL && fo_mark_is_behind(row_at, at))) {
            if (is_quarantined(quarantined, at))
                sum->quarantined++;
            else
                audit_name(a, "missing", r->name, "ledger", lane, at, event, "accepted, and below what the ledger has written");
            event = audit_feed_next(feed, &at);
        } else if (event == NULL || fo_mark_is_behind(at, row_at)) {
            audit_name(a, "extra", r->name, "ledger", lane, row_at, row, "a row for what the source's journal does not have");
            last = row_at;
            row = rows_next(rows, &row_at);
        } else {
            compare_row(a, r, lane, at, event, row);
            last = row_at;
            event = audit_feed_next(feed, &at);
            row = rows_next(rows, &row_at);
        }
    }
}

static void
name_drift(struct audit *a, struct audit_region *r, enum fo_lane lane, struct fo_mark ledger, struct sum *sum)
{
    struct audit_feed feed = { .audit = a, .region = r, .request = audit_list_request(a, lane) };
    json_t *quarantined = quarantined_of(a, r->name, lane);
    struct rows rows;

    audit_add_mark(feed.request, "after", lane, r->own->lane[lane].trimmed);
    audit_add_mark(feed.request, "upTo", lane, r->own->lane[lane].ledger_up_to);
    json_object_set_new(feed.request, "ledger", json_pack("[I, I]", (json_int_t)ledger.epoch, (json_int_t)ledger.seq));
    if (rows_open(&rows, a, r->name, lane)) {
        merge(a, r, lane, &feed, &rows, quarantined, sum);
        rows_close(&rows);
    }
    audit_feed_fini(&feed);
    json_decref(quarantined);
}

static void
audit_lane(struct audit *a, struct audit_region *r, enum fo_lane lane, struct fo_mark ledger)
{
    const struct fo_audit_lane *l = &r->own->lane[lane];
    struct sum sum = { .accepted = l->accepted, .not_yet = l->accepted - l->ledger_rows, .settling = l->ledger_moving };
    uint64_t before = a->drift;

    audit_progress("reading the ledger's rows of", r->name);
    if (!agrees(a, r, lane, &sum))
        name_drift(a, r, lane, ledger, &sum);
    a->pending += sum.not_yet;
    a->is_cut |= sum.older > 0;
    if (sum.older > 0)
        audit_note(a, "%" PRIu64 " rows of %s, lane %s, are of events that its journal no longer retains; they were not compared", sum.older, r->name,
            fo_lane_name(lane));
    if (sum.accepted + sum.rows > 0 || a->drift > before)
        json_array_append_new(a->rows, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "source", r->name, "lane", fo_lane_name(lane),
            "accepted", (json_int_t)sum.accepted, "rows", (json_int_t)sum.rows, "pending", (json_int_t)sum.not_yet, "settling", (json_int_t)sum.settling,
            "quarantined", (json_int_t)sum.quarantined, "drift", (json_int_t)(a->drift - before)));
}

void
audit_ledger(struct audit *a)
{
    for (unsigned i = 0; i < a->region_count; i++) {
        struct audit_region *r = &a->region[i];
        struct fo_mark ledger;

        if (r->own == NULL)
            continue;
        ledger = audit_ledger_mark(a, r->name);
        if (ledger.epoch == 0)
            audit_note(a, "%s has written nothing to the ledger yet", r->name);
        for (int lane = 0; lane < FO_LANES; lane++)
            audit_lane(a, r, (enum fo_lane)lane, ledger);
    }
}
