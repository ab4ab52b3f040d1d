/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests. One walk over the outer map finds where the values of known request fields begin (and steps over every other
 * value, so that the message is whole and ends where it should); which of them an operation takes, and what
 * they may be, is decided behind the walk, because their order is free. A field that the operation does not take is
 * refused: a misspelt filter must not match everything. One event alone is the exception: its map is the request. */
#include "wire/door.h"

#include <stdio.h>

#include "wire/event_field.h"
#include "wire/json.h"
#include "wire/msgpack_check.h"

/* X(symbol, name) */
#define REQUEST_FIELDS(X)                                                                   \
    X(OP, "op") X(EVENTS, "events") X(WAIT, "wait") X(TIMEOUT_MS, "timeoutMs")              \
    X(BRIEF, "brief") X(FILTER, "filter") X(FROM, "from") X(TIME, "time")                   \
    X(CURSOR, "cursor") X(MAX, "max") X(MAX_BYTES, "maxBytes") X(WAIT_MS, "waitMs")         \
    X(SINCE, "since") X(UNTIL, "until") X(ID, "id") X(TENANT, "tenant")         \
    X(TO, "to") X(SOURCE, "source") X(TARGET, "target") X(AFTER, "after")                   \
    X(UP_TO, "upTo") X(LEDGER, "ledger") X(LIST, "list") X(LANE, "lane")

enum request_field {
#define REQUEST_ENUM(sym, name) AT_##sym,
    REQUEST_FIELDS(REQUEST_ENUM)
#undef REQUEST_ENUM
    AT_COUNT
};
static const struct fo_slice request_names[AT_COUNT] = {
#define REQUEST_NAME(sym, name) { (const uint8_t *)(name), sizeof(name) - 1 },
    REQUEST_FIELDS(REQUEST_NAME)
#undef REQUEST_NAME
};

#define BIT(sym) (1u << AT_##sym)
enum {
    ENVELOPE_DEPTH = FO_NESTING_MAX + 3,    /* request, events, event */
    OF_ONE_EVENT = BIT(OP) | BIT(WAIT) | BIT(TIMEOUT_MS) | BIT(BRIEF),
    OF_MANY_EVENTS = OF_ONE_EVENT | BIT(EVENTS),
    OF_FETCH = BIT(OP) | BIT(FILTER) | BIT(FROM) | BIT(TIME) | BIT(CURSOR) | BIT(MAX) | BIT(MAX_BYTES) | BIT(WAIT_MS),
    OF_REPORT = BIT(OP) | BIT(SINCE) | BIT(UNTIL),
    OF_EXPLAIN = BIT(OP) | BIT(ID) | BIT(TENANT),
    OF_AUDIT = BIT(OP) | BIT(FROM) | BIT(TO) | BIT(SOURCE) | BIT(TARGET) | BIT(AFTER) | BIT(UP_TO) | BIT(LEDGER) | BIT(LIST) | BIT(LANE)
        | BIT(MAX) | BIT(CURSOR),
    OF_NOTHING = BIT(OP),
};

static const struct { struct fo_slice name; enum fo_op op; uint32_t fields; } ops[] = {
    { FO_SLICE_LIT("publish"), FO_OP_PUBLISH, OF_ONE_EVENT }, { FO_SLICE_LIT("fetch"), FO_OP_FETCH, OF_FETCH },
    { FO_SLICE_LIT("status"), FO_OP_STATUS, OF_NOTHING },     { FO_SLICE_LIT("report"), FO_OP_REPORT, OF_REPORT },
    { FO_SLICE_LIT("explain"), FO_OP_EXPLAIN, OF_EXPLAIN },   { FO_SLICE_LIT("ping"), FO_OP_PING, OF_NOTHING },
    { FO_SLICE_LIT("audit"), FO_OP_AUDIT, OF_AUDIT },
};
#define OPS_TEXT "one of publish, fetch, status, report, explain, ping, audit"

struct decoder {
    struct fo_slice body;                   /* msgpack */
    struct fo_request *req;
    struct fo_fault *fault;
    uint32_t seen;
    struct fo_reader at[AT_COUNT];          /* value of each field seen */
    struct fo_slice stray;                  /* first key that is none of them; n 0: none */
};

static struct fo_reader *
field(struct decoder *d, enum request_field f)
{
    return d->seen & 1u << f ? &d->at[f] : NULL;
}

static const char *
name_of(enum request_field f)
{
    return (const char *)request_names[f].p;
}

static enum fo_err
value_fault(struct decoder *d, enum fo_err err, const struct fo_mp *key)
{
    char path[FO_FIELD_NAME_BYTES_MAX + 1] = "";

    if (key->kind == FO_MP_STR && key->s.n <= FO_FIELD_NAME_BYTES_MAX)
        snprintf(path, sizeof(path), "%.*s", (int)key->s.n, (const char *)key->s.p);
    return fo_mp_fault(d->fault, err, path);
}

static enum fo_err
walk_map(struct decoder *d)
{
    struct fo_reader r = fo_reader_of(d->body);
    uint32_t pairs = 0;
    enum fo_err err = fo_mp_read_map(&r, &pairs);

    while (err == FO_OK && pairs-- > 0) {
        struct fo_mp key;
        unsigned f = AT_COUNT;

        if ((err = fo_mp_read(&r, &key)) != FO_OK)
            break;
        if (key.kind == FO_MP_ARRAY || key.kind == FO_MP_MAP)   /* only its head was read: the walk would go on inside it */
            return fo_fault_set(d->fault, FO_ERR_TYPE, "", "field names that are text or the numbers of known fields");
        if (key.kind == FO_MP_STR && key.s.n >= 2 && key.s.n <= 9)
            for (f = 0; f < AT_COUNT && !fo_slice_is_equal(request_names[f], key.s); f++)
                ;
        if (f < AT_COUNT && d->seen & 1u << f)
            return fo_mp_fault(d->fault, FO_ERR_DUPLICATE_KEY, name_of(f));
        if (f < AT_COUNT) {
            d->seen |= 1u << f;
            d->at[f] = r;
        } else if (d->stray.n == 0) {
            d->stray = key.kind == FO_MP_STR && key.s.n > 0 ? key.s : FO_SLICE_LIT("?");
        }
        if ((err = fo_mp_skip(&r, ENVELOPE_DEPTH - 1)) != FO_OK)
            return value_fault(d, err, &key);
    }
    if (err != FO_OK)
        return fo_mp_fault(d->fault, err, "");
    if (fo_reader_left(&r) > 0)
        return fo_fault_set(d->fault, FO_ERR_TRAILING, "", "nothing behind the request");
    return FO_OK;
}

/* Integer in [min, max], or `otherwise` when the field is absent. */
static enum fo_err
read_range(struct decoder *d, enum request_field f, uint32_t min, uint32_t max, uint32_t otherwise, uint32_t *ret_v)
{
    struct fo_reader *r = field(d, f);
    uint64_t v = otherwise;

    if (r != NULL && fo_mp_read_uint(r, &v) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_TYPE, name_of(f), "an integer from %u to %u", min, max);
    if (r != NULL && (v < min || v > max))
        return fo_fault_set(d->fault, FO_ERR_INVALID, name_of(f), "an integer from %u to %u", min, max);
    *ret_v = (uint32_t)v;
    return FO_OK;
}

static enum fo_err
read_text(struct decoder *d, struct fo_reader *r, const char *path, size_t bytes_max, struct fo_slice *ret_s)
{
    if (fo_mp_read_str(r, ret_s) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_TYPE, path, "text");
    if (fo_field_check_text(*ret_s, bytes_max) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_INVALID, path, "1 to %zu bytes of UTF-8 without control characters", bytes_max);
    return FO_OK;
}

/* RFC 3339 text, or an integer in units of unit_us microseconds since 1970. */
static enum fo_err
read_time(struct decoder *d, enum request_field f, int64_t unit_us, struct fo_wall *ret_t)
{
    const char *unit = unit_us == 1 ? "microseconds" : "milliseconds";
    struct fo_reader *r = field(d, f);
    struct fo_mp v;

    if (r == NULL)
        return FO_OK;
    if (fo_mp_read(r, &v) == FO_OK) {
        if (v.kind == FO_MP_UINT && v.u > 0 && v.u <= (uint64_t)(FO_WALL_US_MAX / unit_us)) {
            ret_t->us = (int64_t)v.u * unit_us;
            return FO_OK;
        }
        if (v.kind == FO_MP_STR && fo_wall_parse((const char *)v.s.p, v.s.n, ret_t) == FO_OK && ret_t->us > 0)
            return FO_OK;
    }
    return fo_fault_set(d->fault, FO_ERR_INVALID, name_of(f), "RFC 3339 text such as 2026-01-31T23:59:59Z, or %s since 1970", unit);
}

static enum fo_err
read_bool(struct decoder *d, enum request_field f, bool *ret_v)
{
    struct fo_reader *r = field(d, f);
    struct fo_mp v;

    if (r == NULL)
        return FO_OK;
    if (fo_mp_read(r, &v) != FO_OK || v.kind != FO_MP_BOOL)
        return fo_fault_set(d->fault, FO_ERR_TYPE, name_of(f), "true or false");
    *ret_v = v.boolean;
    return FO_OK;
}

static enum fo_err
read_wait(struct decoder *d)
{
    struct fo_reader *r = field(d, AT_WAIT);
    struct fo_mp v;

    d->req->wait = FO_WAIT_ACCEPTED;
    if (r == NULL)
        return FO_OK;
    if (fo_mp_read(r, &v) == FO_OK) {
        if (v.kind == FO_MP_UINT && v.u <= FO_REGIONS_MAX) {
            d->req->wait = (uint8_t)v.u;
            return FO_OK;
        }
        if (v.kind == FO_MP_STR && fo_slice_is_equal(v.s, FO_SLICE_LIT("accepted")))
            return FO_OK;
        if (v.kind == FO_MP_STR && fo_slice_is_equal(v.s, FO_SLICE_LIT("all"))) {
            d->req->wait = FO_WAIT_ALL;
            return FO_OK;
        }
    }
    return fo_fault_set(d->fault, FO_ERR_INVALID, "wait", "accepted, all, or a number of regions from 0 to %d", FO_REGIONS_MAX);
}

static enum fo_err
decode_publish(struct decoder *d)
{
    enum fo_err err;

    if ((err = read_wait(d)) != FO_OK || (err = read_bool(d, AT_BRIEF, &d->req->is_brief)) != FO_OK)
        return err;
    return read_range(d, AT_TIMEOUT_MS, 1, FO_REQUEST_TIMEOUT_MS_MAX, 5000, &d->req->timeout_ms);
}

/* r: at an array of maps. Each is stepped over once here, so that the caller can rely on their number. */
static enum fo_err
read_events(struct decoder *d, struct fo_reader *r, const char *path)
{
    struct fo_request *req = d->req;
    uint32_t count = 0;
    enum fo_err err = fo_mp_read_array(r, &count);

    if (err == FO_ERR_TYPE)
        return fo_fault_set(d->fault, err, path, "an array of events");
    if (err != FO_OK)
        return fo_mp_fault(d->fault, err, path);
    if (count == 0 || count > FO_REQUEST_EVENTS_MAX)
        return fo_fault_set(d->fault, count == 0 ? FO_ERR_INVALID : FO_ERR_TOO_LARGE, path, "1 to %d events", FO_REQUEST_EVENTS_MAX);
    req->events.p = r->p;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *start = r->p;
        uint32_t pairs;
        char event_path[32];

        err = fo_mp_read_map(r, &pairs);
        r->p = start;
        if (err != FO_OK || (err = fo_mp_skip(r, ENVELOPE_DEPTH - 2)) != FO_OK) {
            snprintf(event_path, sizeof(event_path), "events[%u]", i);
            return err == FO_ERR_TYPE ? fo_fault_set(d->fault, err, event_path, "an event is a map") : fo_mp_fault(d->fault, err, event_path);
        }
    }
    req->events.end = r->p;
    req->events_count = count;
    req->is_many = true;
    return FO_OK;
}

static enum fo_err
read_filter_types(struct decoder *d, struct fo_reader *r)
{
    struct fo_filter *filter = &d->req->filter;
    uint32_t count = 0;
    enum fo_err err = fo_mp_read_array(r, &count);

    if (err == FO_ERR_TYPE) {
        filter->type_count = 1;
        return read_text(d, r, "filter.type", FO_TYPE_BYTES_MAX, &filter->type[0]);
    }
    if (err != FO_OK || count == 0 || count > FO_FILTER_TYPES_MAX)
        return fo_fault_set(d->fault, FO_ERR_INVALID, "filter.type", "an event type, or an array of 1 to %d", FO_FILTER_TYPES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof(path), "filter.type[%u]", i);
        if ((err = read_text(d, r, path, FO_TYPE_BYTES_MAX, &filter->type[i])) != FO_OK)
            return err;
    }
    filter->type_count = (uint8_t)count;
    return FO_OK;
}

static enum fo_err
read_filter_field(struct decoder *d, struct fo_reader *r, struct fo_slice key)
{
    static const struct { struct fo_slice name; const char *path; size_t at, bytes_max; } texts[] = {
        { FO_SLICE_LIT("tenant"), "filter.tenant", offsetof(struct fo_filter, tenant), FO_TENANT_BYTES_MAX },
        { FO_SLICE_LIT("key"), "filter.key", offsetof(struct fo_filter, key), FO_KEY_BYTES_MAX },
        { FO_SLICE_LIT("region"), "filter.region", offsetof(struct fo_filter, region), FO_REGION_BYTES_MAX },
    };
    struct fo_filter *filter = &d->req->filter;

    if (fo_slice_is_equal(key, FO_SLICE_LIT("type")))
        return filter->type_count > 0 ? fo_mp_fault(d->fault, FO_ERR_DUPLICATE_KEY, "filter.type") : read_filter_types(d, r);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct fo_slice *s = (struct fo_slice *)((char *)filter + texts[i].at);
        if (!fo_slice_is_equal(key, texts[i].name))
            continue;
        return s->n > 0 ? fo_mp_fault(d->fault, FO_ERR_DUPLICATE_KEY, texts[i].path) : read_text(d, r, texts[i].path, texts[i].bytes_max, s);
    }
    return fo_fault_set(d->fault, FO_ERR_INVALID, "filter", "only type, tenant, key and region");
}

static enum fo_err
read_filter(struct decoder *d)
{
    struct fo_reader *r = field(d, AT_FILTER);
    uint32_t pairs = 0;
    enum fo_err err = FO_OK;

    if (r != NULL && fo_mp_read_map(r, &pairs) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_TYPE, "filter", "a map of type, tenant, key and region");
    while (err == FO_OK && pairs-- > 0) {
        struct fo_slice key;
        if (fo_mp_read_str(r, &key) != FO_OK)
            return fo_fault_set(d->fault, FO_ERR_TYPE, "filter", "a map of type, tenant, key and region");
        err = read_filter_field(d, r, key);
    }
    if (err == FO_OK && d->req->filter.region.n > 0 && !fo_region_name_is_valid(d->req->filter.region))
        return fo_fault_set(d->fault, FO_ERR_UNKNOWN_REGION, "filter.region", "a region's name: " FO_REGION_NAME_RULE);
    return err;
}

static enum fo_err
read_from(struct decoder *d)
{
    struct fo_reader *r = field(d, AT_FROM);
    struct fo_request *req = d->req;
    struct fo_slice s = FO_SLICE_LIT("now");
    enum fo_err err;

    if (r != NULL && fo_mp_read_str(r, &s) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_TYPE, "from", "one of now, earliest, time");
    if (fo_slice_is_equal(s, FO_SLICE_LIT("now")))
        req->from = FO_FROM_NOW;
    else if (fo_slice_is_equal(s, FO_SLICE_LIT("earliest")))
        req->from = FO_FROM_EARLIEST;
    else if (fo_slice_is_equal(s, FO_SLICE_LIT("time")))
        req->from = FO_FROM_TIME;
    else
        return fo_fault_set(d->fault, FO_ERR_INVALID, "from", "one of now, earliest, time");
    if ((err = read_time(d, AT_TIME, 1, &req->since)) != FO_OK)
        return err;
    if (req->from == FO_FROM_TIME && req->since.us == 0)
        return fo_fault_set(d->fault, FO_ERR_MISSING, "time", "the time to begin at, as from is time");
    if ((r = field(d, AT_CURSOR)) != NULL) {        /* a reader keeps its first request and adds the cursor: it wins */
        if ((err = read_text(d, r, "cursor", FO_TEXT_BYTES_MAX, &req->cursor)) != FO_OK)
            return err;
        req->from = FO_FROM_CURSOR;
    }
    return FO_OK;
}

static enum fo_err
decode_fetch(struct decoder *d)
{
    enum fo_err err;

    if ((err = read_filter(d)) != FO_OK || (err = read_from(d)) != FO_OK)
        return err;
    if ((err = read_range(d, AT_MAX, 1, 10000, 1000, &d->req->events_max)) != FO_OK)
        return err;
    if ((err = read_range(d, AT_MAX_BYTES, 1024, 4194304, 1048576, &d->req->bytes_max)) != FO_OK)
        return err;
    return read_range(d, AT_WAIT_MS, 0, 60000, 30000, &d->req->timeout_ms);
}

static enum fo_err
decode_report(struct decoder *d)
{
    struct fo_request *req = d->req;
    enum fo_err err;

    if ((err = read_time(d, AT_SINCE, 1000, &req->since)) != FO_OK || (err = read_time(d, AT_UNTIL, 1000, &req->until)) != FO_OK)
        return err;
    if (req->until.us != 0 && req->until.us <= req->since.us)
        return fo_fault_set(d->fault, FO_ERR_INVALID, "until", "a time behind since");
    return FO_OK;
}

static enum fo_err
decode_explain(struct decoder *d)
{
    struct fo_reader *r = field(d, AT_TENANT);
    enum fo_err err;

    d->req->tenant = FO_SLICE_LIT(FO_TENANT_DEFAULT);
    if (r != NULL && (err = read_text(d, r, "tenant", FO_TENANT_BYTES_MAX, &d->req->tenant)) != FO_OK)
        return err;
    if ((r = field(d, AT_ID)) == NULL)
        return fo_fault_set(d->fault, FO_ERR_MISSING, "id", "the id of an event");
    err = read_text(d, r, "id", FO_ID_BYTES_MAX, &d->req->id);
    return err == FO_ERR_INVALID ? d->fault->err = FO_ERR_ID : err;
}

static enum fo_err
decode_audit(struct decoder *d)
{
    const struct fo_audit_fields fields = { .source = field(d, AT_SOURCE), .target = field(d, AT_TARGET), .after = field(d, AT_AFTER),
        .up_to = field(d, AT_UP_TO), .ledger = field(d, AT_LEDGER), .list = field(d, AT_LIST), .lane = field(d, AT_LANE), .max = field(d, AT_MAX),
        .cursor = field(d, AT_CURSOR) };
    struct fo_audit_query *q = &d->req->audit;
    enum fo_err err = fo_audit_query_decode(&fields, q, d->fault);

    if (err != FO_OK || (err = read_time(d, AT_FROM, 1, &q->from)) != FO_OK || (err = read_time(d, AT_TO, 1, &q->to)) != FO_OK)
        return err;
    if (q->to.us != 0 && q->to.us <= q->from.us)
        return fo_fault_set(d->fault, FO_ERR_INVALID, "to", "a time behind from");
    return FO_OK;
}

/* The first field there that the operation does not take. */
static enum fo_err
refuse_strays(struct decoder *d, uint32_t fields)
{
    uint32_t stray = d->seen & ~fields;
    char path[64];

    if (stray == 0 && d->stray.n == 0)
        return FO_OK;
    if (stray != 0)
        snprintf(path, sizeof(path), "%s", name_of((enum request_field)__builtin_ctz(stray)));
    else
        snprintf(path, sizeof(path), "%.*s", (int)(d->stray.n < sizeof(path) ? d->stray.n : sizeof(path) - 1), (const char *)d->stray.p);
    return fo_fault_set(d->fault, FO_ERR_INVALID, path, "not a field of this request; proto/WIRE.md lists them");
}

static enum fo_err
decode_op(struct decoder *d, uint32_t *ret_fields)
{
    struct fo_reader *r = field(d, AT_OP);
    struct fo_slice s = FO_SLICE_LIT("publish");

    if (r != NULL && fo_mp_read_str(r, &s) != FO_OK)
        return fo_fault_set(d->fault, FO_ERR_TYPE, "op", OPS_TEXT);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (fo_slice_is_equal(s, ops[i].name)) {
            d->req->op = ops[i].op;
            *ret_fields = ops[i].fields;
            return FO_OK;
        }
    return fo_fault_set(d->fault, FO_ERR_INVALID, "op", OPS_TEXT);
}

static enum fo_err
decode_map(struct decoder *d)
{
    uint32_t fields = 0;
    enum fo_err err;

    if ((err = walk_map(d)) != FO_OK || (err = decode_op(d, &fields)) != FO_OK)
        return err;
    if (d->req->op == FO_OP_PUBLISH && field(d, AT_EVENTS) != NULL) {
        if ((err = refuse_strays(d, OF_MANY_EVENTS)) != FO_OK || (err = decode_publish(d)) != FO_OK)
            return err;
        return read_events(d, field(d, AT_EVENTS), "events");
    }
    if (d->req->op == FO_OP_PUBLISH) {      /* all that is not the request's is the event's */
        d->req->events = fo_reader_of(d->body);
        d->req->events_count = 1;
        return decode_publish(d);
    }
    if ((err = refuse_strays(d, fields)) != FO_OK)
        return err;
    switch (d->req->op) {
    case FO_OP_FETCH: return decode_fetch(d);
    case FO_OP_REPORT: return decode_report(d);
    case FO_OP_EXPLAIN: return decode_explain(d);
    case FO_OP_AUDIT: return decode_audit(d);
    default: return FO_OK;
    }
}

static enum fo_err
decode_array(struct decoder *d)
{
    struct fo_reader r = fo_reader_of(d->body);
    enum fo_err err = read_events(d, &r, "");

    if (err == FO_OK && fo_reader_left(&r) > 0)
        return fo_fault_set(d->fault, FO_ERR_TRAILING, "", "nothing behind the request");
    return err == FO_OK ? decode_publish(d) : err;
}

static enum fo_err
translate_json(struct fo_slice body, struct fo_buf *scratch, struct fo_slice *ret_msgpack, struct fo_fault *ret_fault)
{
    json_t *json = NULL;
    enum fo_err err = fo_json_parse(body, &json, ret_fault);

    if (err != FO_OK)
        return err;
    scratch->n = 0;
    if ((err = fo_json_to_msgpack(json, scratch)) != FO_OK)
        fo_fault_set(ret_fault, err, "", "%s", fo_err_text(err));
    *ret_msgpack = fo_buf_slice(scratch);
    json_decref(json);
    return err;
}

/* JSON begins with a brace or a bracket, perhaps behind white space; no msgpack request begins with such a byte. */
static bool
is_json(struct fo_slice body)
{
    size_t i = 0;

    while (i < body.n && memchr(" \t\r\n", body.p[i], 4) != NULL)
        i++;
    return i < body.n && (body.p[i] == '{' || body.p[i] == '[');
}

enum fo_err
fo_request_decode(struct fo_slice body, struct fo_buf *scratch, struct fo_request *ret_req, struct fo_fault *ret_fault)
{
    struct decoder d = { .body = body, .req = ret_req, .fault = ret_fault };
    struct fo_reader r;
    struct fo_mp head;
    enum fo_err err;

    memset(ret_req, 0, sizeof(*ret_req));
    ret_req->encoding = is_json(body) ? FO_ENC_JSON : FO_ENC_MSGPACK;
    if (ret_req->encoding == FO_ENC_JSON && (err = translate_json(body, scratch, &d.body, ret_fault)) != FO_OK)
        return err;
    r = fo_reader_of(d.body);
    if ((err = fo_mp_read(&r, &head)) != FO_OK)
        return fo_mp_fault(ret_fault, err, "");
    if (head.kind == FO_MP_MAP)
        return decode_map(&d);
    if (head.kind == FO_MP_ARRAY)
        return decode_array(&d);
    return fo_fault_set(ret_fault, FO_ERR_TYPE, "", "a map, or an array of events, in msgpack or JSON");
}

bool
fo_request_next_event(struct fo_request *req, struct fo_slice *ret_event)
{
    const uint8_t *start = req->events.p;

    if (fo_reader_left(&req->events) == 0 || fo_mp_skip(&req->events, ENVELOPE_DEPTH) != FO_OK)
        return false;
    *ret_event = fo_slice_of(start, (size_t)(req->events.p - start));
    fo_prefetch(req->events.p + 2 * ret_event->n, ret_event->n, req->events.end);
    return true;
}
