/* SPDX-License-Identifier: Apache-2.0
 *
 * The record as CloudEvents JSON, written straight from its bytes: the SUB feed does this for every event.
 * The text is compact, the attributes come in the order below and `data` behind them. */
#include "wire/event.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/emit.h"
#include "wire/event_field.h"
#include "wire/json.h"
#include "wire/msgpack_check.h"

static enum fo_err emit_value(struct fo_emit *e, struct fo_reader *r, unsigned depth_left);

/* {"$base64": "..."}, for ext behind {"$ext": type}. */
static enum fo_err
emit_bytes(struct fo_emit *e, const struct fo_mp *v)
{
    size_t text_max = sodium_base64_ENCODED_LEN(v->s.n, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(text_max);

    if (text == NULL)
        return FO_ERR_NO_MEMORY;
    sodium_bin2base64(text, text_max, v->s.p, v->s.n, sodium_base64_VARIANT_ORIGINAL);
    fo_emit_map(e, 1);
    if (v->kind == FO_MP_EXT) {
        fo_emit_key(e, "$ext");
        fo_emit_int(e, v->ext_type);
    }
    fo_emit_key(e, "$base64");
    fo_emit_cstr(e, text);
    fo_emit_map_end(e);
    free(text);
    return FO_OK;
}

static enum fo_err
emit_pairs(struct fo_emit *e, struct fo_reader *r, uint32_t pairs, unsigned depth_left)
{
    enum fo_err err;

    while (pairs-- > 0) {
        struct fo_mp key;
        char buf[24];

        if ((err = fo_mp_read(r, &key)) != FO_OK)
            return err;
        if (key.kind != FO_MP_STR && key.kind != FO_MP_UINT)
            return FO_ERR_TYPE;
        fo_emit_name(e, fo_field_name_text(&key, buf));
        if ((err = emit_value(e, r, depth_left)) != FO_OK)
            return err;
    }
    return FO_OK;
}

static enum fo_err
emit_value(struct fo_emit *e, struct fo_reader *r, unsigned depth_left)
{
    struct fo_mp v;
    enum fo_err err = fo_mp_read(r, &v);

    if (err != FO_OK)
        return err;
    switch (v.kind) {
    case FO_MP_NIL: fo_emit_nil(e); break;
    case FO_MP_BOOL: fo_emit_bool(e, v.boolean); break;
    case FO_MP_UINT: fo_emit_uint(e, v.u); break;
    case FO_MP_INT: fo_emit_int(e, v.i); break;
    case FO_MP_STR: fo_emit_str(e, v.s); break;
    case FO_MP_BIN: case FO_MP_EXT: return emit_bytes(e, &v);
    case FO_MP_FLOAT:
        if (!isfinite(v.f))
            return FO_ERR_INVALID;
        fo_emit_float(e, v.f);
        break;
    case FO_MP_MAP:
        if (depth_left == 0)
            return FO_ERR_DEPTH;
        fo_emit_map(e, v.count);
        err = emit_pairs(e, r, v.count, depth_left - 1);
        fo_emit_map_end(e);
        break;
    case FO_MP_ARRAY:
        if (depth_left == 0)
            return FO_ERR_DEPTH;
        fo_emit_array(e, v.count);
        for (uint32_t i = 0; i < v.count && err == FO_OK; i++)
            err = emit_value(e, r, depth_left - 1);
        fo_emit_array_end(e);
        break;
    }
    return err;
}

static void
emit_text(struct fo_emit *e, enum fo_field field, struct fo_slice s)
{
    if (s.n == 0)
        return;
    fo_emit_key(e, fo_field_name(field));
    fo_emit_str(e, s);
}

static void
emit_time(struct fo_emit *e, enum fo_field field, struct fo_wall t)
{
    char text[FO_RFC3339_SIZE];

    if (t.us == 0)
        return;
    fo_wall_format(t, text);
    fo_emit_key(e, fo_field_name(field));
    fo_emit_cstr(e, text);
}

static void
emit_attributes(struct fo_emit *e, const struct fo_event *ev)
{
    char source[FO_REGION_BYTES_MAX + sizeof("/regions/")];
    int n = snprintf(source, sizeof(source), "/regions/%.*s", (int)ev->sourceregion.n, (const char *)ev->sourceregion.p);

    fo_emit_key(e, "specversion");
    fo_emit_cstr(e, "1.0");
    emit_text(e, FO_FIELD_ID, ev->id);
    emit_text(e, FO_FIELD_SOURCE, ev->source.n > 0 ? ev->source : fo_slice_of(source, (size_t)n));
    emit_text(e, FO_FIELD_TYPE, ev->type);
    emit_time(e, FO_FIELD_TIME, ev->time.us != 0 ? ev->time : ev->acceptedtime);
    emit_text(e, FO_FIELD_SUBJECT, ev->subject);
    emit_text(e, FO_FIELD_PARTITIONKEY, ev->partitionkey);
    emit_text(e, FO_FIELD_TENANT, ev->tenant);
    fo_emit_key(e, "priority");
    fo_emit_cstr(e, fo_lane_name(ev->lane));
    emit_text(e, FO_FIELD_SOURCEREGION, ev->sourceregion);
    emit_time(e, FO_FIELD_ACCEPTEDTIME, ev->acceptedtime);
    emit_time(e, FO_FIELD_EXPIRYTIME, ev->expirytime);
    fo_emit_key(e, "schemaversion");
    fo_emit_uint(e, ev->schemaversion);
    fo_emit_key(e, "mincompatible");
    fo_emit_uint(e, ev->mincompatible);
    emit_text(e, FO_FIELD_TRACEPARENT, ev->traceparent);
    emit_text(e, FO_FIELD_DATACONTENTTYPE, ev->datacontenttype.n > 0 ? ev->datacontenttype : FO_SLICE_LIT(FO_DATACONTENTTYPE_DEFAULT));
    emit_text(e, FO_FIELD_DATASCHEMA, ev->dataschema);
}

enum fo_err
fo_event_write_json(struct fo_slice record, struct fo_buf *out)
{
    struct fo_emit e = fo_emit_of(FO_ENC_JSON, out);
    size_t before = out->n;
    struct fo_event ev;
    struct fo_reader r;
    enum fo_err err;

    if ((err = fo_event_view(record, &ev)) != FO_OK)
        return err;
    fo_emit_map(&e, 0);
    emit_attributes(&e, &ev);
    for (unsigned i = 0; i < ev.unknown_count && err == FO_OK; i++) {
        r = fo_reader_of(ev.unknown[i]);
        err = emit_pairs(&e, &r, 1, FO_NESTING_MAX);
    }
    if (err == FO_OK && ev.data.n > 0) {
        r = fo_reader_of(ev.data);
        fo_emit_key(&e, "data");
        err = emit_value(&e, &r, FO_NESTING_MAX);
    }
    fo_emit_map_end(&e);
    if (err == FO_OK)
        err = e.err;
    if (err != FO_OK)
        out->n = before;
    return err;
}

enum fo_err
fo_event_to_json(struct fo_slice record, struct json_t **ret_json)
{
    struct fo_buf text;
    struct fo_fault fault;
    struct fo_event ev;
    enum fo_err err;

    if ((err = fo_event_decode(record, &ev)) != FO_OK)
        return err;
    fo_buf_init(&text);
    if ((err = fo_event_write_json(record, &text)) == FO_OK)
        err = fo_json_parse(fo_buf_slice(&text), ret_json, &fault);
    fo_buf_fini(&text);
    return err;
}

void
fo_event_write_topic(const struct fo_event *event, struct fo_writer *w)
{
    static const char hex[] = "0123456789ABCDEF";

    fo_write_bytes(w, event->type.p, event->type.n);
    fo_write_u8(w, '/');
    fo_write_bytes(w, event->tenant.p, event->tenant.n);
    fo_write_u8(w, '/');
    for (size_t i = 0; i < event->partitionkey.n; i++) {
        uint8_t c = event->partitionkey.p[i];
        if (c > 0x20 && c != '%') {
            fo_write_u8(w, c);
            continue;
        }
        fo_write_u8(w, '%');
        fo_write_u8(w, (uint8_t)hex[c >> 4]);
        fo_write_u8(w, (uint8_t)hex[c & 15]);
    }
}
