/* SPDX-License-Identifier: Apache-2.0
 *
 * The report is made from the journal, not from counters: it survives restarts and can be made for any retained range.
 * One walk over own batches; beside it one cursor per peer and lane over the acks. Memory does not grow with the range. */
#include "broker/query.h"

#include "base/hist.h"
#include "broker/ack_cursor.h"
#include "broker/journal_batch.h"
#include "ports/log.h"

#include <jansson.h>
#include <stdlib.h>

enum { TYPES_MAX = 256 };

struct row { uint64_t total, delivered, expired, incompatible, failed; struct fo_hist *latency_us; };
struct type_rows { char name[FO_TYPE_BYTES_MAX + 1]; uint64_t total, successful; struct row row[FO_REGIONS_MAX]; };

struct report {
    const struct fo_query_view *v;
    struct fo_wall since, until;
    struct type_rows *types[TYPES_MAX];
    unsigned type_count;
    struct fo_ack_cursor *cursor;       /* [region * FO_LANES + lane] */
    struct fo_journal_batch batch;
};

static struct type_rows *
rows_of(struct report *p, struct fo_slice type)
{
    struct type_rows *t;

    for (unsigned i = 0; i < p->type_count; i++)
        if (fo_slice_is_equal(fo_slice_str(p->types[i]->name), type))
            return p->types[i];
    if (p->type_count == TYPES_MAX || type.n > FO_TYPE_BYTES_MAX)
        return NULL;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    memcpy(t->name, type.p, type.n);
    p->types[p->type_count++] = t;
    return t;
}

/* FO_OK: delivered. FO_ERR_NOT_FOUND: not, or not yet. Any other error: nobody knows. */
static enum fo_err
count_delivery(struct report *p, struct row *row, unsigned peer, enum fo_lane lane, uint64_t seq, struct fo_wall accepted_at)
{
    struct fo_ack_cursor *c = &p->cursor[peer * FO_LANES + lane];
    enum fo_err err = fo_ack_cursor_find(c, seq);
    uint8_t verdict;

    row->total++;
    if (err != FO_OK)
        return err;
    verdict = fo_ack_cursor_verdict(c, seq);
    row->expired += verdict == FO_VERDICT_EXPIRED;
    row->incompatible += verdict == FO_VERDICT_INCOMPATIBLE;
    row->failed += verdict == FO_VERDICT_REJECTED;
    if (verdict != 0)
        return FO_ERR_NOT_FOUND;
    row->delivered++;
    if (row->latency_us == NULL)
        row->latency_us = calloc(1, sizeof *row->latency_us);
    if (row->latency_us != NULL && c->record.arrived_at.us >= accepted_at.us)
        fo_hist_add(row->latency_us, (uint64_t)(c->record.arrived_at.us - accepted_at.us));
    return FO_OK;
}

static enum fo_err
count_event(struct report *p, uint32_t i)
{
    const struct fo_journal_batch *b = &p->batch;
    struct type_rows *t;
    struct fo_event e;
    bool is_success = true;

    if (fo_event_decode(b->record[i], &e) != FO_OK || e.acceptedtime.us < p->since.us || e.acceptedtime.us >= p->until.us)
        return FO_OK;
    t = rows_of(p, e.type);
    if (t == NULL)
        return FO_OK;
    for (fo_region_set s = b->targets & ~1ull; s != 0; s &= s - 1) {
        unsigned peer = (unsigned)__builtin_ctzll(s);

        enum fo_err err = count_delivery(p, &t->row[peer], peer, b->header.lane, b->header.first_seq + i, e.acceptedtime);

        if (err != FO_OK && err != FO_ERR_NOT_FOUND)
            return err;
        is_success &= err == FO_OK;
    }
    t->total++;
    t->successful += is_success;
    return FO_OK;
}

static enum fo_err
walk(struct report *p)
{
    struct fo_walk w;
    struct fo_record rec;
    enum fo_err err = fo_walk_open(&w, p->v, 0);

    w.skips_trimmed = true;
    for (unsigned r = 1; err == FO_OK && r < p->v->ctx->regions.count; r++)
        for (int lane = 0; err == FO_OK && lane < FO_LANES; lane++)
            err = fo_ack_cursor_open(&p->cursor[r * FO_LANES + (unsigned)lane], p->v, r, (enum fo_lane)lane, 0);
    while (err == FO_OK) {
        err = fo_walk_next(&w, 7, 1u << FO_RECORD_OWN, &rec);
        if (err == FO_ERR_CORRUPT) {
            err = FO_OK;
            continue;
        }
        if (err != FO_OK || rec.at.us < p->since.us)
            continue;
        if (fo_journal_batch_read(p->v->ctx, &rec, &p->batch) != FO_OK)
            continue;
        for (uint32_t i = 0; err == FO_OK && i < p->batch.header.count; i++)
            err = count_event(p, i);
    }
    fo_walk_close(&w);
    return err == FO_ERR_NOT_FOUND ? FO_OK : err;
}

static double
quantile_ms(const struct row *r, double q)
{
    return r->latency_us != NULL ? (double)fo_hist_quantile(r->latency_us, q) / 1000.0 : 0;
}

static json_t *
row_json(const struct fo_context *ctx, const struct type_rows *t, unsigned region)
{
    const struct row *r = &t->row[region];
    uint64_t settled = r->delivered + r->expired + r->incompatible + r->failed;

    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:f}", "type", t->name, "region", fo_context_name(ctx, region),
        "total", (json_int_t)r->total, "delivered", (json_int_t)r->delivered, "pending", (json_int_t)(r->total - settled),
        "expired", (json_int_t)r->expired, "incompatible", (json_int_t)r->incompatible, "failed", (json_int_t)r->failed,
        "successRate", r->total ? (double)r->delivered / (double)r->total : 0,
        "p50Ms", quantile_ms(r, 0.5), "p95Ms", quantile_ms(r, 0.95), "p99Ms", quantile_ms(r, 0.99), "maxMs", quantile_ms(r, 1));
}

static json_t *
report_json(const struct report *p)
{
    const struct fo_context *ctx = p->v->ctx;
    json_t *rows = json_array(), *events = json_array();
    char since[FO_RFC3339_SIZE], until[FO_RFC3339_SIZE];

    for (unsigned i = 0; i < p->type_count; i++) {
        const struct type_rows *t = p->types[i];

        json_array_append_new(events, json_pack("{s:s,s:I,s:I}", "type", t->name, "total", (json_int_t)t->total, "successful", (json_int_t)t->successful));
        for (unsigned r = 1; r < ctx->regions.count; r++)
            if (t->row[r].total > 0)
                json_array_append_new(rows, row_json(ctx, t, r));
    }
    fo_wall_format(p->since, since);
    fo_wall_format(p->until, until);
    return json_pack("{s:b,s:s,s:s,s:s,s:o,s:o}", "success", 1, "region", fo_context_name(ctx, 0), "from", since, "until", until, "rows", rows, "events", events);
}

enum fo_err
fo_report_make(const struct fo_query_view *v, struct fo_wall since, struct fo_wall until, json_t **ret_json)
{
    struct report *p = calloc(1, sizeof *p);
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (p == NULL)
        return err;
    p->v = v;
    p->since = since;
    p->until = until.us != 0 ? until : (struct fo_wall){ v->now.us + 1 };
    p->cursor = calloc((size_t)v->ctx->regions.count * FO_LANES, sizeof *p->cursor);
    if (p->cursor != NULL)
        err = walk(p);
    if (err == FO_OK)
        *ret_json = report_json(p);
    for (unsigned i = 0; p->cursor != NULL && i < v->ctx->regions.count * FO_LANES; i++)
        fo_ack_cursor_close(&p->cursor[i]);
    for (unsigned i = 0; i < p->type_count; i++) {
        for (unsigned r = 0; r < FO_REGIONS_MAX; r++)
            free(p->types[i]->row[r].latency_us);
        free(p->types[i]);
    }
    free(p->cursor);
    free(p);
    return err;
}
