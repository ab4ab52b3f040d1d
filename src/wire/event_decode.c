/* SPDX-License-Identifier: Apache-2.0
 *
 * A publisher's event. One walk over the map fills the view and refuses what can be refused field by field; what
 * depends on two fields (type and data, schemaversion and mincompatible) is checked behind the walk, because their
 * order is free. Nothing is copied: every slice points into the publisher's bytes. */
#include "wire/event.h"

#include <stdio.h>

#include "wire/event_field.h"
#include "wire/msgpack_check.h"
#include "wire/schema.h"

enum { UUID_BYTES = 36, ADDED_BYTES_MAX = 128 };    /* what a record may have beyond what was published: an id, acceptedtime, sourceregion, priority, a longer head */

struct decoder {
    struct fo_reader r;
    const struct fo_event_rules *rules;
    struct fo_event *e;
    struct fo_fault *fault;
    uint32_t seen;                          /* bit per field */
};

static enum fo_err
text_fault(struct decoder *d, unsigned field, enum fo_err err, size_t bytes_max)
{
    const char *name = fo_field_name(field);

    if (field == FO_FIELD_ID && err != FO_ERR_UTF8)
        return fo_fault_set(d->fault, FO_ERR_ID, name, "1 to %zu bytes without control characters", bytes_max);
    if (err == FO_ERR_UTF8)
        return fo_mp_fault(d->fault, err, name);
    return fo_fault_set(d->fault, err, name, "1 to %zu bytes of text without control characters", bytes_max);
}

static enum fo_err
decode_text(struct decoder *d, unsigned field)
{
    size_t bytes_max;
    struct fo_slice *s = fo_field_text(d->e, field, &bytes_max);
    enum fo_err err = fo_mp_read_str(&d->r, s);

    if (err == FO_ERR_TYPE)
        return fo_fault_set(d->fault, err, fo_field_name(field), "text");
    if (err != FO_OK)
        return fo_mp_fault(d->fault, err, fo_field_name(field));
    if ((err = fo_field_check_text(*s, bytes_max)) != FO_OK)
        return text_fault(d, field, err, bytes_max);
    if (field == FO_FIELD_TENANT && !fo_field_is_tenant(*s))
        return fo_fault_set(d->fault, FO_ERR_INVALID, "tenant", "visible ASCII characters other than /");
    return FO_OK;
}

static enum fo_err
decode_sourceregion(struct decoder *d, unsigned field)
{
    const char *own = d->rules->regions->name[0];
    enum fo_err err = decode_text(d, field);

    if (err == FO_OK && !fo_slice_is_equal(d->e->sourceregion, fo_slice_str(own)))
        return fo_fault_set(d->fault, FO_ERR_UNKNOWN_REGION, "sourceregion", "%s, the region of this broker", own);
    return err;
}

static enum fo_err
decode_priority(struct decoder *d)
{
    struct fo_slice s;
    enum fo_err err = fo_mp_read_str(&d->r, &s);

    if (err == FO_ERR_TYPE)
        return fo_fault_set(d->fault, err, "priority", "text: one of high, normal, low");
    if (err != FO_OK)
        return fo_mp_fault(d->fault, err, "priority");
    for (unsigned lane = 0; lane < FO_LANES; lane++)
        if (fo_slice_is_equal(s, fo_slice_str(fo_lane_name((enum fo_lane)lane)))) {
            d->e->lane = (enum fo_lane)lane;
            d->e->has_priority = true;
            return FO_OK;
        }
    return fo_fault_set(d->fault, FO_ERR_PRIORITY, "priority", "one of high, normal, low");
}

static enum fo_err
decode_time(struct decoder *d, unsigned field)
{
    struct fo_wall *t = field == FO_FIELD_TIME ? &d->e->time : &d->e->expirytime;
    enum fo_err err;
    struct fo_mp v;

    if ((err = fo_mp_read(&d->r, &v)) != FO_OK)
        return fo_mp_fault(d->fault, err, fo_field_name(field));
    if (v.kind == FO_MP_UINT && v.u > 0 && v.u <= FO_WALL_US_MAX) {
        t->us = (int64_t)v.u;
        return FO_OK;
    }
    if (v.kind == FO_MP_STR && fo_wall_parse((const char *)v.s.p, v.s.n, t) == FO_OK && t->us > 0)
        return FO_OK;
    err = v.kind == FO_MP_STR || v.kind == FO_MP_UINT || v.kind == FO_MP_INT ? FO_ERR_INVALID : FO_ERR_TYPE;
    return fo_fault_set(d->fault, err, fo_field_name(field), "RFC 3339 text such as 2026-01-31T23:59:59Z, or microseconds since 1970");
}

static enum fo_err
decode_version(struct decoder *d, unsigned field)
{
    uint32_t *version = field == FO_FIELD_SCHEMAVERSION ? &d->e->schemaversion : &d->e->mincompatible;
    uint64_t v = 0;
    enum fo_err err = fo_mp_read_uint(&d->r, &v);

    if (err == FO_OK && v >= 1 && v <= INT32_MAX) {
        *version = (uint32_t)v;
        return FO_OK;
    }
    if (err != FO_OK && err != FO_ERR_TYPE)
        return fo_mp_fault(d->fault, err, fo_field_name(field));
    return fo_fault_set(d->fault, err == FO_OK ? FO_ERR_INVALID : err, fo_field_name(field), "an integer from 1 to 2147483647");
}

enum fo_err
fo_region_names_fault(const struct fo_region_names *regions, const char *path, struct fo_fault *ret_fault)
{
    char known[160];
    size_t n = 0;

    known[0] = '\0';
    for (unsigned i = 0; i < regions->count && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", regions->name[i]);
    return fo_fault_set(ret_fault, FO_ERR_UNKNOWN_REGION, path, "one of %s", known);
}

static enum fo_err
decode_targets(struct decoder *d)
{
    const struct fo_region_names *regions = d->rules->regions;
    uint32_t count = 0;
    enum fo_err err = fo_mp_read_array(&d->r, &count);

    if (err != FO_OK && err != FO_ERR_TYPE)
        return fo_mp_fault(d->fault, err, "targets");
    if (err == FO_ERR_TYPE || count == 0 || count > FO_REGIONS_MAX)
        return fo_fault_set(d->fault, err == FO_ERR_TYPE ? err : FO_ERR_INVALID, "targets", "an array of 1 to %d region names", FO_REGIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct fo_slice s;
        unsigned k = 0;
        char path[32];

        snprintf(path, sizeof(path), "targets[%u]", i);
        if ((err = fo_mp_read_str(&d->r, &s)) == FO_ERR_TYPE)
            return fo_fault_set(d->fault, err, path, "text: a region's name");
        if (err != FO_OK)
            return fo_mp_fault(d->fault, err, path);
        while (k < regions->count && !fo_slice_is_equal(s, fo_slice_str(regions->name[k])))
            k++;
        if (k == regions->count)
            return fo_region_names_fault(d->rules->regions, path, d->fault);
        d->e->targets |= (fo_region_set)1 << k;
    }
    return FO_OK;
}

static enum fo_err
decode_specversion(struct decoder *d)
{
    struct fo_slice s;
    enum fo_err err = fo_mp_read_str(&d->r, &s);

    if (err != FO_OK && err != FO_ERR_TYPE)
        return fo_mp_fault(d->fault, err, "specversion");
    if (err == FO_ERR_TYPE || !fo_slice_is_equal(s, FO_SLICE_LIT("1.0")))
        return fo_fault_set(d->fault, FO_ERR_VERSION, "specversion", "1.0");
    return FO_OK;
}

static enum fo_err
skip_value(struct decoder *d, const char *path)
{
    enum fo_err err = fo_mp_skip(&d->r, FO_NESTING_MAX);

    return err == FO_OK ? FO_OK : fo_mp_fault(d->fault, err, path);
}

static enum fo_err
decode_field(struct decoder *d, unsigned field)
{
    const uint8_t *start = d->r.p;
    enum fo_err err;

    if (field != FO_FIELD_DATA && start < d->r.end && *start == 0xc0) {     /* nil: as if it were not there */
        d->r.p++;
        return FO_OK;
    }
    switch (field) {
    case FO_FIELD_DATA:
        if ((err = skip_value(d, "data")) == FO_OK)
            d->e->data = fo_slice_of(start, (size_t)(d->r.p - start));
        return err;
    case FO_FIELD_PRIORITY: return decode_priority(d);
    case FO_FIELD_TIME: case FO_FIELD_EXPIRYTIME: return decode_time(d, field);
    case FO_FIELD_SCHEMAVERSION: case FO_FIELD_MINCOMPATIBLE: return decode_version(d, field);
    case FO_FIELD_TARGETS: return decode_targets(d);
    case FO_FIELD_SOURCEREGION: return decode_sourceregion(d, field);
    case FO_FIELD_SPECVERSION: return decode_specversion(d);
    case FO_FIELD_REQUEST: return skip_value(d, "");
    case FO_FIELD_ACCEPTEDTIME:
        return fo_fault_set(d->fault, FO_ERR_INVALID, "acceptedtime", "not given: the accepting broker sets it");
    case FO_FIELD_DATA_BASE64:
        return fo_fault_set(d->fault, FO_ERR_INVALID, "data_base64", "not given: payloads stand in data");
    default: return decode_text(d, field);
    }
}

static enum fo_err
decode_unknown(struct decoder *d, const struct fo_mp *key, const uint8_t *start)
{
    struct fo_event *e = d->e;
    enum fo_err err = fo_field_check_unknown(e, key);
    char buf[24], path[FO_FIELD_NAME_BYTES_MAX + 1];
    struct fo_slice name;

    if (err == FO_OK && (err = fo_mp_check(&d->r, FO_NESTING_MAX)) == FO_OK) {
        e->unknown[e->unknown_count++] = fo_slice_of(start, (size_t)(d->r.p - start));
        return FO_OK;
    }
    name = fo_field_name_text(key, buf);
    snprintf(path, sizeof(path), "%.*s", (int)(name.n < FO_FIELD_NAME_BYTES_MAX ? name.n : FO_FIELD_NAME_BYTES_MAX), (const char *)name.p);
    if (err == FO_ERR_TOO_LARGE && e->unknown_count == FO_UNKNOWN_FIELDS_MAX)
        return fo_fault_set(d->fault, err, path, "at most %d fields that have no meaning here", FO_UNKNOWN_FIELDS_MAX);
    if (fo_field_check_text(name, FO_FIELD_NAME_BYTES_MAX) != FO_OK)
        return fo_fault_set(d->fault, err, path, "field names of 1 to %d bytes of UTF-8 without control characters", FO_FIELD_NAME_BYTES_MAX);
    return fo_mp_fault(d->fault, err, path);
}

static enum fo_err
decode_pair(struct decoder *d)
{
    const uint8_t *start = d->r.p;
    unsigned field;
    struct fo_mp key;
    enum fo_err err;

    if ((err = fo_field_read(&d->r, true, &key, &field)) == FO_ERR_TYPE)
        return fo_fault_set(d->fault, err, "", "field names that are text or the numbers of known fields");
    if (err != FO_OK)
        return fo_mp_fault(d->fault, err, "");
    if (field == FO_FIELD_NONE)
        return decode_unknown(d, &key, start);
    if (field != FO_FIELD_REQUEST && (d->seen & 1u << field))
        return fo_mp_fault(d->fault, FO_ERR_DUPLICATE_KEY, fo_field_name(field));
    d->seen |= 1u << field;
    return decode_field(d, field);
}

static enum fo_err
unknown_type(struct decoder *d)
{
    char known[160];
    size_t n = 0;

    known[0] = '\0';
    for (unsigned i = 0; n < sizeof(known); i++) {
        const char *name = fo_schema_type_name(d->rules->schemas, i);
        if (name == NULL)
            break;
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", name);
    }
    return fo_fault_set(d->fault, FO_ERR_UNKNOWN_TYPE, "type", "one of %s", known);
}

/* What takes more than one field to judge. */
static enum fo_err
check_whole(struct decoder *d, size_t published_bytes)
{
    struct fo_event *e = d->e;
    unsigned type_index;
    enum fo_lane lane;
    size_t bytes;
    enum fo_err err;

    if (e->type.n == 0)
        return fo_fault_set(d->fault, FO_ERR_MISSING, "type", "the event's type, such as order_status");
    if (fo_schema_set_find(d->rules->schemas, e->type, &type_index, &lane) != FO_OK)
        return unknown_type(d);
    if (!e->has_priority)
        e->lane = lane;
    if (e->mincompatible > e->schemaversion)
        return fo_fault_set(d->fault, FO_ERR_INVALID, "mincompatible", "at most schemaversion, which is %u", e->schemaversion);
    if ((err = fo_schema_check(d->rules->schemas, type_index, e->data, d->fault)) != FO_OK)
        return err;
    if (published_bytes + ADDED_BYTES_MAX <= d->rules->event_bytes_max)
        return FO_OK;                       /* surely */
    bytes = fo_event_encoded_max(e) + (e->id.n == 0 ? UUID_BYTES + 1 : 0);
    if (bytes > d->rules->event_bytes_max)
        return fo_fault_set(d->fault, FO_ERR_TOO_LARGE, "", "an event of at most %u bytes; this one takes %zu", d->rules->event_bytes_max, bytes);
    return FO_OK;
}

enum fo_err
fo_event_decode_publish(struct fo_slice msgpack, const struct fo_event_rules *rules, struct fo_event *ret_event, struct fo_fault *ret_fault)
{
    struct decoder d = { fo_reader_of(msgpack), rules, ret_event, ret_fault, 0 };
    uint32_t pairs = 0;
    enum fo_err err = fo_mp_read_map(&d.r, &pairs);

    if (err == FO_ERR_TYPE)
        return fo_fault_set(ret_fault, err, "", "an event is a map");
    if (err != FO_OK)
        return fo_mp_fault(ret_fault, err, "");
    memset(ret_event, 0, offsetof(struct fo_event, unknown));
    ret_event->unknown_count = 0;
    ret_event->schemaversion = ret_event->mincompatible = 1;
    ret_event->tenant = FO_SLICE_LIT(FO_TENANT_DEFAULT);
    while (pairs-- > 0)
        if ((err = decode_pair(&d)) != FO_OK)
            return err;
    if (fo_reader_left(&d.r) > 0)
        return fo_fault_set(ret_fault, FO_ERR_TRAILING, "", "nothing behind the event");
    ret_event->sourceregion = fo_slice_str(rules->regions->name[0]);
    return check_whole(&d, msgpack.n);
}
