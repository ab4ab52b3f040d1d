/* SPDX-License-Identifier: Apache-2.0
 *
 * The format: a field count per row, then each field behind its length, all big-endian (PostgreSQL manual, COPY, "Binary
 * Format"). Region names are [a-z0-9-] and the other texts in the status are ours, so the JSON needs no escaping. */
#include "adapter/ledger_pg_rows.h"

#include "base/assert.h"

enum { COLUMNS = 12, OID_TEXT = 25, JSONB_VERSION = 1 };
#define US_1970_TO_2000 INT64_C(946684800000000)

static void
field(struct fo_writer *w, const void *p, size_t n)
{
    fo_write_u32(w, (uint32_t)n);
    fo_write_bytes(w, p, n);
}

static void
field_u64(struct fo_writer *w, uint64_t v)
{
    fo_write_u32(w, 8);
    fo_write_u64(w, v);
}

/* Room for `more` bytes at the end of out, as a writer. */
static enum fo_err
extend(struct fo_buf *out, size_t more, struct fo_writer *ret_w)
{
    enum fo_err err = fo_buf_reserve(out, more);

    if (err == FO_OK)
        *ret_w = fo_writer_of(out->p + out->n, more);
    return err;
}

static void
extended(struct fo_buf *out, const struct fo_writer *w)
{
    fo_assert(!w->overflow);
    out->n += w->n;
}

enum fo_err
fo_ledger_rows_open(struct fo_buf *out)
{
    static const uint8_t head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

    return fo_buf_add(out, head, 19);
}

enum fo_err
fo_ledger_rows_close(struct fo_buf *out)
{
    return fo_buf_add(out, "\377\377", 2);
}

void
fo_ledger_rows_init(struct fo_ledger_rows *r, const struct fo_region_names *regions)
{
    *r = (struct fo_ledger_rows){ .regions = regions };
    fo_buf_init(&r->common);
}

void
fo_ledger_rows_fini(struct fo_ledger_rows *r)
{
    fo_buf_fini(&r->common);
}

enum fo_err
fo_ledger_rows_begin(struct fo_ledger_rows *r, const struct fo_ledger_window *w, unsigned index)
{
    const struct fo_ledger_batch *b = fo_ledger_window_batch(w, index);
    size_t names = 0, at;
    struct fo_writer wr;
    enum fo_err err;

    r->window = w;
    r->index = index;
    r->target_count = 0;
    for (fo_region_set t = b->targets; t != 0; t &= t - 1) {
        unsigned region = (unsigned)__builtin_ctzll(t), n = r->target_count++;
        const struct fo_ledger_target *target = fo_ledger_window_target(w, index, region);

        names += 4 + strlen(r->regions->name[region]);
        r->target[n].region = region;
        if (target->is_settled)
            fo_wall_format((struct fo_wall){ target->arrived_at_us }, r->target[n].acked_at);
    }
    r->common.n = 0;
    if ((err = extend(&r->common, 64 + FO_REGION_BYTES_MAX + names, &wr)) != FO_OK)
        return err;
    field(&wr, r->regions->name[0], strlen(r->regions->name[0]));
    /* text[]: dimensions, whether nulls, element type, then per dimension its size and lower bound, then the elements. */
    at = r->target_count > 0 ? 20 + names : 12;
    fo_write_u32(&wr, (uint32_t)at);
    fo_write_u32(&wr, r->target_count > 0);
    fo_write_u32(&wr, 0);
    fo_write_u32(&wr, OID_TEXT);
    if (r->target_count > 0) {
        fo_write_u32(&wr, r->target_count);
        fo_write_u32(&wr, 1);
    }
    for (unsigned n = 0; n < r->target_count; n++)
        field(&wr, r->regions->name[r->target[n].region], strlen(r->regions->name[r->target[n].region]));
    extended(&r->common, &wr);
    return FO_OK;
}

const char *
fo_ledger_state_name(uint8_t verdict)
{
    switch (verdict) {
    case 0: return "delivered";
    case FO_VERDICT_EXPIRED: return "expired";
    case FO_VERDICT_INCOMPATIBLE: return "incompatible";
    default: return "failed";
    }
}

static const char *
reason_name(uint8_t verdict)
{
    return verdict == FO_VERDICT_EXPIRED ? fo_err_name(FO_ERR_EXPIRED)
        : verdict == FO_VERDICT_INCOMPATIBLE ? fo_err_name(FO_ERR_INCOMPATIBLE) : fo_err_name(FO_ERR_REJECTED);
}

static char *
put(char *p, const char *s)
{
    size_t n = strlen(s);

    memcpy(p, s, n);
    return p + n;
}

static char *
put_number(char *p, uint64_t v, unsigned digits_min)
{
    char digits[20];
    unsigned n = 0;

    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0 || n < digits_min);
    while (n > 0)
        *p++ = digits[--n];
    return p;
}

/* Microseconds as milliseconds with three places. */
static char *
put_ms(char *p, int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;

    p = put_number(p, v / 1000, 1);
    *p++ = '.';
    return put_number(p, v % 1000, 3);
}

/* Keys stand in jsonb's own order, by length and then by bytes: PostgreSQL sorts them, and what is sorted costs least. */
static char *
put_delivery(char *p, const struct fo_ledger_rows *r, unsigned n, uint8_t verdict, struct fo_wall accepted_at)
{
    const struct fo_ledger_target *t = fo_ledger_window_target(r->window, r->index, r->target[n].region);

    p = put(p, "{\"state\":\"");
    p = put(p, t->is_settled ? fo_ledger_state_name(verdict) : "pending");
    if (t->is_settled && verdict != 0) {
        p = put(p, "\",\"reason\":\"");
        p = put(p, reason_name(verdict));
    }
    p = put(p, "\",\"region\":\"");
    p = put(p, r->regions->name[r->target[n].region]);
    if (!t->is_settled)
        return put(p, "\",\"success\":false,\"attempts\":0,\"latencyMs\":null}");
    p = put(p, "\",\"ackedAt\":\"");
    p = put(p, r->target[n].acked_at);
    p = put(p, verdict == 0 ? "\",\"success\":true,\"attempts\":" : "\",\"success\":false,\"attempts\":");
    p = put_number(p, t->attempts, 1);
    p = put(p, ",\"latencyMs\":");
    p = put_ms(p, t->arrived_at_us - accepted_at.us);
    *p++ = '}';
    return p;
}

size_t
fo_ledger_status_format(const struct fo_ledger_rows *r, uint64_t seq, struct fo_wall accepted_at, char *ret_text)
{
    const struct fo_ledger_batch *b = fo_ledger_window_batch(r->window, r->index);
    uint8_t verdict[FO_REGIONS_MAX];
    bool is_success = b->open_count == 0;
    int64_t slowest_us = 0;
    char *p = ret_text;

    for (unsigned n = 0; n < r->target_count; n++) {
        const struct fo_ledger_target *t = fo_ledger_window_target(r->window, r->index, r->target[n].region);

        verdict[n] = b->exceptions != 0 ? fo_ledger_window_verdict(r->window, b, seq, r->target[n].region) : 0;
        is_success &= verdict[n] == 0;
        if (t->is_settled && t->arrived_at_us - accepted_at.us > slowest_us)
            slowest_us = t->arrived_at_us - accepted_at.us;
    }
    p = put(p, b->open_count == 0 ? "{\"state\":\"settled\"" : "{\"state\":\"pending\"");
    p = put(p, is_success ? ",\"success\":true,\"deliveries\":[" : ",\"success\":false,\"deliveries\":[");
    for (unsigned n = 0; n < r->target_count; n++) {
        if (n > 0)
            *p++ = ',';
        p = put_delivery(p, r, n, verdict[n], accepted_at);
    }
    p = put(p, "],\"totalLatencyMs\":");
    p = put_ms(p, slowest_us);
    *p++ = '}';
    fo_assert(p - ret_text <= FO_LEDGER_STATUS_MAX);
    return (size_t)(p - ret_text);
}

enum fo_err
fo_ledger_rows_add(struct fo_ledger_rows *r, uint32_t i, struct fo_slice record, struct fo_buf *out)
{
    const struct fo_ledger_batch *b = fo_ledger_window_batch(r->window, r->index);
    char status[FO_LEDGER_STATUS_MAX];
    size_t status_n;
    struct fo_writer w;
    struct fo_event e;
    enum fo_err err;

    if (fo_event_decode(record, &e) != FO_OK)
        return FO_ERR_PARSE;
    status_n = fo_ledger_status_format(r, b->first_seq + i, e.acceptedtime, status);
    if ((err = extend(out, 128 + r->common.n + status_n + e.type.n + e.tenant.n + e.id.n, &w)) != FO_OK)
        return err;
    fo_write_u16(&w, COLUMNS);
    field(&w, e.type.p, e.type.n);
    fo_write_bytes(&w, r->common.p, r->common.n);
    fo_write_u32(&w, 4);
    fo_write_u32(&w, (uint32_t)e.data.n);
    field_u64(&w, (uint64_t)(e.acceptedtime.us - US_1970_TO_2000));
    fo_write_u32(&w, (uint32_t)status_n + 1);
    fo_write_u8(&w, JSONB_VERSION);
    fo_write_bytes(&w, status, status_n);
    field(&w, e.tenant.p, e.tenant.n);
    field(&w, e.id.p, e.id.n);
    field_u64(&w, b->epoch);
    fo_write_u32(&w, 2);
    fo_write_u16(&w, b->lane);
    field_u64(&w, b->first_seq + i);
    fo_write_u32(&w, 1);
    fo_write_u8(&w, b->open_count == 0);
    extended(out, &w);
    return FO_OK;
}
