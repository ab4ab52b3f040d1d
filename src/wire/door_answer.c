/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers at the door, in the encoding of the question. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "wire/door.h"
#include "wire/emit.h"
#include "wire/json.h"

const char *
fo_delivery_state_name(enum fo_delivery_state s)
{
    static const char *const names[] = { "pending", "delivered", "expired", "incompatible", "failed" };

    fo_assert((unsigned)s < sizeof(names) / sizeof(names[0]));
    return names[s];
}

static char *
put_text(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

static char *
put_number(char *p, uint64_t v, unsigned base)
{
    char digits[20];                    /* the most, in decimal */
    unsigned n = sizeof digits;

    do
        digits[--n] = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    return put_text(p, digits + n, sizeof digits - n);
}

/* By hand: each event handed to each reader has one, and printf took as long for it as the event's signature. */
void
fo_position_format(const char *region, struct fo_position pos, char ret_text[FO_POSITION_SIZE])
{
    const char *lane = fo_lane_name(pos.lane);
    char *p = put_text(ret_text, region, strnlen(region, FO_REGION_BYTES_MAX));

    *p++ = ':';
    p = put_number(p, pos.epoch, 16);
    *p++ = ':';
    p = put_text(p, lane, strlen(lane));
    *p++ = ':';
    p = put_number(p, pos.seq, 10);
    *p = '\0';
}

static void
emit_position(struct fo_emit *e, const char *region, struct fo_position pos)
{
    char text[FO_POSITION_SIZE];

    fo_position_format(region, pos, text);
    fo_emit_cstr(e, text);
}

static void
emit_error(struct fo_emit *e, const struct fo_fault *fault, uint32_t retry_after_ms)
{
    bool has_path = fault->path[0] != '\0';
    char message[sizeof fault->text + 64];

    snprintf(message, sizeof message, "%.48s%s%s", fo_err_text(fault->err), fault->text[0] != '\0' ? ": " : "", fault->text);
    fo_emit_key(e, "error");
    fo_emit_map(e, 2 + has_path + (retry_after_ms > 0));
    fo_emit_key(e, "code");
    fo_emit_cstr(e, fo_err_name(fault->err));
    if (has_path) {
        fo_emit_key(e, "path");
        fo_emit_cstr(e, fault->path);
    }
    fo_emit_key(e, "message");
    fo_emit_cstr(e, message);
    if (retry_after_ms > 0) {
        fo_emit_key(e, "retryAfterMs");
        fo_emit_uint(e, retry_after_ms);
    }
    fo_emit_map_end(e);
}

static void
emit_success(struct fo_emit *e, bool is_success)
{
    fo_emit_key(e, "success");
    fo_emit_bool(e, is_success);
}

static void
emit_delivery(struct fo_emit *e, const struct fo_delivery *d)
{
    bool has_latency = d->latency_us >= 0;

    fo_emit_map(e, 4 + has_latency);
    fo_emit_key(e, "region");
    fo_emit_cstr(e, d->region);
    emit_success(e, d->state == FO_DELIVERY_DELIVERED);
    fo_emit_key(e, "state");
    fo_emit_cstr(e, fo_delivery_state_name(d->state));
    if (has_latency) {
        fo_emit_key(e, "latencyMs");
        fo_emit_ms(e, d->latency_us);
    }
    fo_emit_key(e, "attempts");
    fo_emit_uint(e, d->attempts);
    fo_emit_map_end(e);
}

static void
emit_result(struct fo_emit *e, const char *region, const struct fo_publish_result *r)
{
    bool has_total = r->total_latency_us >= 0;

    if (r->fault != NULL) {
        fo_emit_map(e, 2);
        emit_success(e, false);
        emit_error(e, r->fault, 0);
        fo_emit_map_end(e);
        return;
    }
    fo_emit_map(e, 5 + has_total);
    emit_success(e, r->is_success);
    fo_emit_key(e, "eventId");
    fo_emit_str(e, r->event_id);
    fo_emit_key(e, "position");
    emit_position(e, r->region != NULL ? r->region : region, r->position);
    fo_emit_key(e, "duplicate");
    fo_emit_bool(e, r->is_duplicate);
    fo_emit_key(e, "deliveries");
    fo_emit_array(e, r->delivery_count);
    for (unsigned i = 0; i < r->delivery_count; i++)
        emit_delivery(e, &r->deliveries[i]);
    fo_emit_array_end(e);
    if (has_total) {
        fo_emit_key(e, "totalLatencyMs");
        fo_emit_ms(e, r->total_latency_us);
    }
    fo_emit_map_end(e);
}

static void
emit_count(struct fo_emit *e, const char *key, uint32_t v)
{
    fo_emit_key(e, key);
    fo_emit_uint(e, v);
}

static void
emit_place(struct fo_emit *e, const char *region, const struct fo_publish_place *at)
{
    emit_position(e, at->region != NULL ? at->region : region, at->position);
}

enum fo_err
fo_publish_brief_encode(enum fo_encoding enc, const char *region, const struct fo_publish_tally *t, struct fo_buf *out)
{
    struct fo_emit e = fo_emit_of(enc, out);

    fo_emit_map(&e, 6);
    emit_success(&e, t->successes == t->count);
    emit_count(&e, "count", t->count);
    emit_count(&e, "accepted", t->accepted);
    emit_count(&e, "duplicates", t->duplicates);
    fo_emit_key(&e, "errors");
    fo_emit_array(&e, t->error_count);
    for (uint32_t i = 0; i < t->error_count; i++) {
        fo_emit_map(&e, 2);
        emit_count(&e, "index", t->error[i].index);
        emit_error(&e, t->error[i].fault, 0);
        fo_emit_map_end(&e);
    }
    fo_emit_array_end(&e);
    fo_emit_key(&e, "positions");
    fo_emit_array(&e, t->accepted > 0 ? 2 : 0);
    if (t->accepted > 0) {
        emit_place(&e, region, &t->first);
        emit_place(&e, region, &t->last);
    }
    fo_emit_array_end(&e);
    fo_emit_map_end(&e);
    return e.err;
}

static void
emit_many(struct fo_emit *e, const char *region, const struct fo_publish_result *results, unsigned count)
{
    bool is_success = true;

    for (unsigned i = 0; i < count; i++)
        is_success &= results[i].fault == NULL && results[i].is_success;
    fo_emit_map(e, 3);
    emit_success(e, is_success);
    emit_count(e, "count", count);
    fo_emit_key(e, "results");
    fo_emit_array(e, count);
    for (unsigned i = 0; i < count; i++)
        emit_result(e, region, &results[i]);
    fo_emit_array_end(e);
    fo_emit_map_end(e);
}

enum fo_err
fo_publish_answer_encode(enum fo_encoding enc, bool is_many, const char *region, const struct fo_publish_result *results, unsigned count, struct fo_buf *out)
{
    struct fo_emit e = fo_emit_of(enc, out);

    fo_assert(is_many || count == 1);
    if (is_many)
        emit_many(&e, region, results, count);
    else
        emit_result(&e, region, results);
    return e.err;
}

enum fo_err
fo_error_answer_encode(enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_after_ms, struct fo_buf *out)
{
    return fo_error_answer_encode_cursor(enc, fault, retry_after_ms, (struct fo_slice){ NULL, 0 }, out);
}

struct fo_slice
fo_fallback_answer(enum fo_encoding enc)
{
#define TEXT "not done in time: no memory for an answer; ask again, a publish with the same id"
    static const char json[] = "{\"success\":false,\"error\":{\"code\":\"timeout\",\"message\":\"" TEXT "\",\"retryAfterMs\":1000}}";
    static const char head[] = "\x82\xa7success\xc2\xa5" "error\x83\xa4" "code\xa7timeout\xa7message\xd9", tail[] = "\xacretryAfterMs\xcd\x03\xe8";
    static char msgpack[sizeof head + sizeof TEXT + sizeof tail];

    if (enc == FO_ENC_JSON)
        return fo_slice_of(json, sizeof json - 1);
    return fo_slice_of(msgpack, (size_t)snprintf(msgpack, sizeof msgpack, "%s%c%s%s", head, (int)sizeof TEXT - 1, TEXT, tail));
#undef TEXT
}

enum fo_err
fo_error_answer_encode_cursor(enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_after_ms, struct fo_slice cursor,
    struct fo_buf *out)
{
    struct fo_emit e = fo_emit_of(enc, out);

    fo_emit_map(&e, 2 + (cursor.n > 0));
    emit_success(&e, false);
    emit_error(&e, fault, retry_after_ms);
    if (cursor.n > 0) {
        fo_emit_key(&e, "cursor");
        fo_emit_str(&e, cursor);
    }
    fo_emit_map_end(&e);
    return e.err;
}

static int
dump_to_buf(const char *text, size_t n, void *ctx)
{
    return fo_buf_add(ctx, text, n) == FO_OK ? 0 : -1;
}

enum fo_err
fo_json_answer_encode(enum fo_encoding enc, const struct json_t *json, struct fo_buf *out)
{
    if (enc == FO_ENC_MSGPACK)
        return fo_json_to_msgpack(json, out);
    return json_dump_callback(json, dump_to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0 ? FO_OK : FO_ERR_NO_MEMORY;
}
