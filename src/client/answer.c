/* SPDX-License-Identifier: Apache-2.0
 *
 * See answer.h. Maps are walked key by key; keys that are not known are stepped over, so that a newer broker may say
 * more. */
#include "client/answer.h"


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "base/time.h"
#include "client/encode.h"
#include "wire/msgpack.h"

enum {
    DEPTH_MAX = FO_NESTING_MAX + 8,         /* an event's nesting inside the answer's own */
    DELIVERY_BYTES_MIN = 16,                /* a delivery names at least its region and state */
};

struct walk {                               /* over one answer, filling in results */
    struct fo_reader r;
    struct fanout_results *out;
    size_t texts_used, regions_used, regions_cap;
};

#define TRY(expr)                                   \
    do {                                            \
        enum fo_err try_err_ = (expr);              \
        if (try_err_ != FO_OK)                      \
            return FO_ERR_PROTO;                    \
    } while (0)

static bool
is_key(struct fo_slice key, const char *name)
{
    return key.n == strlen(name) && memcmp(key.p, name, key.n) == 0;
}

static enum fo_err
read_bool(struct fo_reader *r, bool *ret_v)
{
    struct fo_mp v;

    TRY(fo_mp_read(r, &v));
    if (v.kind != FO_MP_BOOL)
        return FO_ERR_PROTO;
    *ret_v = v.boolean;
    return FO_OK;
}

static enum fo_err
read_number(struct fo_reader *r, double *ret_v)
{
    struct fo_mp v;

    TRY(fo_mp_read(r, &v));
    if (v.kind == FO_MP_UINT)
        *ret_v = (double)v.u;
    else if (v.kind == FO_MP_INT)
        *ret_v = (double)v.i;
    else if (v.kind == FO_MP_FLOAT)
        *ret_v = v.f;
    else if (v.kind == FO_MP_NIL)
        *ret_v = -1;
    else
        return FO_ERR_PROTO;
    return FO_OK;
}

static enum fo_err
read_count(struct fo_reader *r, uint32_t *ret_v)
{
    double v = 0;

    TRY(read_number(r, &v));
    *ret_v = v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
    return FO_OK;
}

static enum fo_err
read_text(struct walk *w, const char **ret_text)
{
    struct fo_slice s;
    char *copy = w->out->texts + w->texts_used;

    TRY(fo_mp_read_str(&w->r, &s));
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    w->texts_used += s.n + 1;
    *ret_text = copy;
    return FO_OK;
}

int
fo_answer_err_of(struct fo_slice code, uint32_t retry_after_ms)
{
    static const char *const busy[] = { "busy", "full", "no_space" };

    if (is_key(code, "cursor_gone"))
        return FANOUT_ERR_CURSOR_GONE;
    for (unsigned i = 0; i < 3; i++) {
        if (is_key(code, busy[i]))
            return FANOUT_ERR_BUSY;
    }
    return retry_after_ms > 0 ? FANOUT_ERR_BUSY : FANOUT_ERR_REFUSED;
}

/* A member of an error object. True in ret_is_known when it was one. */
static enum fo_err
read_error_member(struct walk *w, struct fo_slice key, struct fanout_result *res, bool *ret_is_known)
{
    *ret_is_known = true;
    if (is_key(key, "code"))
        return read_text(w, &res->code);
    if (is_key(key, "path"))
        return read_text(w, &res->path);
    if (is_key(key, "message"))
        return read_text(w, &res->message);
    if (is_key(key, "retryAfterMs"))
        return read_count(&w->r, &res->retry_after_ms);
    *ret_is_known = false;
    return FO_OK;
}

static enum fo_err
read_error(struct walk *w, struct fanout_result *res)
{
    uint32_t pairs;
    struct fo_slice key;
    bool is_known;

    TRY(fo_mp_read_map(&w->r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&w->r, &key));
        TRY(read_error_member(w, key, res, &is_known));
        if (!is_known)
            TRY(fo_mp_skip(&w->r, DEPTH_MAX));
    }
    return FO_OK;
}

static enum fo_err
read_delivery(struct walk *w, struct fanout_region_result *d)
{
    uint32_t pairs;
    struct fo_slice key;
    bool is_success = false;

    *d = (struct fanout_region_result){ .region = "", .state = "", .latency_ms = -1 };
    TRY(fo_mp_read_map(&w->r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&w->r, &key));
        if (is_key(key, "region"))
            TRY(read_text(w, &d->region));
        else if (is_key(key, "state"))
            TRY(read_text(w, &d->state));
        else if (is_key(key, "success"))
            TRY(read_bool(&w->r, &is_success));
        else if (is_key(key, "latencyMs"))
            TRY(read_number(&w->r, &d->latency_ms));
        else if (is_key(key, "attempts"))
            TRY(read_count(&w->r, &d->attempts));
        else
            TRY(fo_mp_skip(&w->r, DEPTH_MAX));
    }
    d->is_success = is_success;
    return FO_OK;
}

static enum fo_err
read_deliveries(struct walk *w, struct fanout_result *res)
{
    uint32_t count;

    TRY(fo_mp_read_array(&w->r, &count));
    if (count > w->regions_cap - w->regions_used)
        return FO_ERR_PROTO;
    res->regions = w->out->regions + w->regions_used;
    res->region_count = count;
    for (uint32_t i = 0; i < count; i++)
        TRY(read_delivery(w, &w->out->regions[w->regions_used++]));
    return FO_OK;
}

static void
result_init(struct fanout_result *res)
{
    *res = (struct fanout_result){ .code = "", .path = "", .message = "", .event_id = "", .position = "", .total_latency_ms = -1 };
}

static void
result_finish(struct fanout_result *res, bool is_success)
{
    res->is_success = is_success && res->code[0] == '\0';
    if (strcmp(res->code, "timeout") == 0)
        res->err = FANOUT_ERR_TIMEOUT;          /* the broker itself does not know yet */
    else if (res->code[0] != '\0')
        res->err = fo_answer_err_of(fo_slice_str(res->code), res->retry_after_ms);
}

static enum fo_err
read_result(struct walk *w, struct fanout_result *res, uint32_t *ret_index)
{
    uint32_t pairs;
    struct fo_slice key;
    bool is_success = false, is_duplicate = false, is_known;

    result_init(res);
    TRY(fo_mp_read_map(&w->r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&w->r, &key));
        TRY(read_error_member(w, key, res, &is_known));
        if (is_known)
            continue;
        if (is_key(key, "success"))
            TRY(read_bool(&w->r, &is_success));
        else if (is_key(key, "eventId"))
            TRY(read_text(w, &res->event_id));
        else if (is_key(key, "position"))
            TRY(read_text(w, &res->position));
        else if (is_key(key, "duplicate"))
            TRY(read_bool(&w->r, &is_duplicate));
        else if (is_key(key, "totalLatencyMs"))
            TRY(read_number(&w->r, &res->total_latency_ms));
        else if (is_key(key, "deliveries"))
            TRY(read_deliveries(w, res));
        else if (is_key(key, "error"))
            TRY(read_error(w, res));
        else if (is_key(key, "index"))
            TRY(read_count(&w->r, ret_index));
        else
            TRY(fo_mp_skip(&w->r, DEPTH_MAX));
    }
    res->is_duplicate = is_duplicate;
    result_finish(res, is_success);
    return FO_OK;
}

static enum fo_err
read_results(struct walk *w, uint32_t sent, bool is_brief)
{
    uint32_t count, index = 0;

    TRY(fo_mp_read_array(&w->r, &count));
    if (count > sent || (!is_brief && count != sent))
        return FO_ERR_PROTO;
    w->out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        TRY(read_result(w, &w->out->at[i], &index));
        if (!is_brief)
            continue;
        if (index >= sent || (i > 0 && index <= w->out->index[i - 1]))
            return FO_ERR_PROTO;
        w->out->index[i] = index;
    }
    return FO_OK;
}

/* The answer as a whole: results or errors by event, or one error for all. */
static enum fo_err
read_publish(struct walk *w, uint32_t sent, bool is_brief)
{
    struct fanout_result whole;
    uint32_t pairs;
    struct fo_slice key;
    bool is_success = false;

    result_init(&whole);
    TRY(fo_mp_read_map(&w->r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&w->r, &key));
        if (is_key(key, is_brief ? "errors" : "results"))
            TRY(read_results(w, sent, is_brief));
        else if (is_key(key, "success"))
            TRY(read_bool(&w->r, &is_success));
        else if (is_key(key, "error"))
            TRY(read_error(w, &whole));
        else
            TRY(fo_mp_skip(&w->r, DEPTH_MAX));
    }
    if (whole.code[0] == '\0')
        return w->out->count == sent || (is_brief && (is_success || w->out->count > 0)) ? FO_OK : FO_ERR_PROTO;
    result_finish(&whole, false);
    w->out->count = sent;
    for (uint32_t i = 0; i < sent; i++) {
        w->out->at[i] = whole;
        if (is_brief)
            w->out->index[i] = i;
    }
    return FO_OK;
}

enum fo_err
fo_answer_publish(struct fo_slice body, uint32_t count, bool is_brief, struct fanout_results **ret_results)
{
    struct walk w = { .r = fo_reader_of(body), .regions_cap = is_brief ? 0 : body.n / DELIVERY_BYTES_MIN };
    enum fo_err err = FO_ERR_NO_MEMORY;

    w.out = calloc(1, sizeof(*w.out));
    if (w.out == NULL)
        return err;
    w.out->at = calloc(count, sizeof(*w.out->at));
    w.out->texts = malloc(body.n + 1);
    w.out->index = is_brief ? calloc(count, sizeof(*w.out->index)) : NULL;
    w.out->regions = calloc(w.regions_cap + 1, sizeof(*w.out->regions));
    if (w.out->at == NULL || w.out->texts == NULL || w.out->regions == NULL || (is_brief && w.out->index == NULL))
        goto cleanup;
    err = read_publish(&w, count, is_brief);
    if (err != FO_OK)
        goto cleanup;
    *ret_results = w.out;
    return FO_OK;
cleanup:
    fo_results_destroy(w.out);
    return err;
}

struct fanout_results *
fo_results_failed(uint32_t count, int err, const char *message)
{
    struct fanout_results *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->at = calloc(count, sizeof(*r->at));
    r->texts = strdup(message);
    if (r->at == NULL || r->texts == NULL) {
        fo_results_destroy(r);
        return NULL;
    }
    r->count = count;
    for (uint32_t i = 0; i < count; i++) {
        result_init(&r->at[i]);
        r->at[i].err = err;
        r->at[i].message = r->texts;
    }
    return r;
}

void
fo_results_add_ids(struct fanout_results *results, struct fo_slice events)
{
    struct fo_reader r = fo_reader_of(events);
    struct fo_slice id;
    size_t used = 0;

    if ((results->ids = malloc(events.n + results->count)) == NULL)
        return;
    for (size_t i = 0; i < results->count; i++) {
        struct fanout_result *res = &results->at[i];
        if (fo_encoded_id(fo_slice_of(r.p, fo_reader_left(&r)), &id) != FO_OK || fo_mp_skip(&r, DEPTH_MAX) != FO_OK)
            return;
        if (res->event_id[0] != '\0')
            continue;
        res->event_id = results->ids + used;
        memcpy(results->ids + used, id.p, id.n);
        used += id.n;
        results->ids[used++] = '\0';
    }
}

void
fo_result_doubt(struct fanout_result *result)
{
    if (result->err == FANOUT_OK || result->err == FANOUT_ERR_REFUSED || result->err == FANOUT_ERR_TIMEOUT || result->err == FANOUT_ERR_PROTOCOL)
        return;
    result->err = FANOUT_ERR_TIMEOUT;
    result->message = "no answer in time; " FO_IN_DOUBT;
    result->code = result->path = "";
}

void
fo_results_destroy(struct fanout_results *results)
{
    if (results == NULL)
        return;
    free(results->at);
    free(results->index);
    free(results->regions);
    free(results->texts);
    free(results->ids);
    free(results);
}

static void
copy_text(struct fo_slice s, char *out, size_t room)
{
    snprintf(out, room, "%.*s", (int)s.n, s.p != NULL ? (const char *)s.p : "");
}

static enum fo_err
read_fault(struct fo_reader *r, struct fo_fetched *f)
{
    uint32_t pairs;
    struct fo_slice key, code = { 0 }, text;

    TRY(fo_mp_read_map(r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(r, &key));
        if (is_key(key, "code")) {
            TRY(fo_mp_read_str(r, &code));
        } else if (is_key(key, "path")) {
            TRY(fo_mp_read_str(r, &text));
            copy_text(text, f->fault.path, sizeof(f->fault.path));
        } else if (is_key(key, "message")) {
            TRY(fo_mp_read_str(r, &text));
            copy_text(text, f->fault.text, sizeof(f->fault.text));
        } else if (is_key(key, "retryAfterMs")) {
            TRY(read_count(r, &f->retry_after_ms));
        } else {
            TRY(fo_mp_skip(r, DEPTH_MAX));
        }
    }
    f->is_error = true;
    f->fault.err = FO_ERR_INTERNAL;
    for (int e = 1; e < FO_ERR_COUNT_; e++) {
        if (is_key(code, fo_err_name((enum fo_err)e)))
            f->fault.err = (enum fo_err)e;
    }
    return FO_OK;
}

enum fo_err
fo_answer_fetch(struct fo_slice body, struct fo_fetched *ret_fetched)
{
    struct fo_fetched *f = ret_fetched;
    struct fo_reader r = fo_reader_of(body);
    struct fo_slice key, through;
    struct fo_wall t;
    uint32_t pairs;

    memset(f, 0, sizeof(*f));
    TRY(fo_mp_read_map(&r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&r, &key));
        if (is_key(key, "cursor")) {
            TRY(fo_mp_read_str(&r, &f->cursor));
        } else if (is_key(key, "through")) {
            TRY(fo_mp_read_str(&r, &through));
            TRY(fo_wall_parse((const char *)through.p, through.n, &t));
            f->through_us = t.us;
        } else if (is_key(key, "events")) {
            TRY(fo_mp_read_array(&r, &f->events_count));
            f->events = r;
            for (uint32_t i = 0; i < f->events_count; i++)
                TRY(fo_mp_skip(&r, DEPTH_MAX));
        } else if (is_key(key, "error")) {
            TRY(read_fault(&r, f));
        } else {
            TRY(fo_mp_skip(&r, DEPTH_MAX));
        }
    }
    return f->is_error || f->cursor.n > 0 ? FO_OK : FO_ERR_PROTO;
}

/* FNV-1a, 64 bit. A list of regions is signed with its batch, so it has the same bytes at every broker. */
static uint64_t
hash_of(struct fo_slice bytes)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes.n; i++)
        h = (h ^ bytes.p[i]) * UINT64_C(0x100000001b3);
    return h != 0 ? h : 1;
}

enum fo_err
fo_answer_event(struct fo_reader *r, struct fo_fetched_event *ret_event)
{
    struct fo_fetched_event e = { 0 };
    uint32_t pairs;
    struct fo_slice key;

    TRY(fo_mp_read_map(r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(r, &key));
        if (is_key(key, "position")) {
            TRY(fo_mp_read_str(r, &e.position));
            continue;
        }
        const uint8_t *begin = r->p;
        TRY(fo_mp_skip(r, DEPTH_MAX));
        if (is_key(key, "event"))
            e.record = fo_slice_of(begin, (size_t)(r->p - begin));
        else if (is_key(key, "targets"))
            e.targets = hash_of(fo_slice_of(begin, (size_t)(r->p - begin)));
    }
    if (e.position.n == 0 || e.record.n == 0)
        return FO_ERR_PROTO;
    *ret_event = e;
    return FO_OK;
}

enum fo_err
fo_answer_ping(struct fo_slice body, struct fo_slice *ret_region)
{
    struct fo_reader r = fo_reader_of(body);
    uint32_t pairs;
    struct fo_slice key;

    ret_region->n = 0;
    TRY(fo_mp_read_map(&r, &pairs));
    for (; pairs > 0; pairs--) {
        TRY(fo_mp_read_str(&r, &key));
        if (is_key(key, "region"))
            TRY(fo_mp_read_str(&r, ret_region));
        else
            TRY(fo_mp_skip(&r, DEPTH_MAX));
    }
    return ret_region->n > 0 && ret_region->n <= FO_REGION_BYTES_MAX ? FO_OK : FO_ERR_PROTO;
}
