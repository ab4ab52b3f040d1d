/* SPDX-License-Identifier: Apache-2.0
 *
 * The event record: how it is written once, and read ever after.
 *
 * Written: id, type, acceptedtime, sourceregion; then the other known fields by number, each only if it differs from its
 * default, except priority, which is always there; then unknown fields as they came. */
#include "wire/event.h"

#include <endian.h>

#include "wire/event_field.h"
#include "wire/msgpack_check.h"

enum { FIRST_FIELDS = 4 };

static inline size_t
text_bytes(struct fo_slice s)               /* with the key's byte */
{
    if (s.n == 0)
        return 0;
    return s.n + (s.n < 32 ? 2 : s.n <= UINT8_MAX ? 3 : s.n <= UINT16_MAX ? 4 : 6);
}

static inline bool
is_default_tenant(const struct fo_event *e)
{
    return fo_slice_is_equal(e->tenant, FO_SLICE_LIT(FO_TENANT_DEFAULT));
}

static inline bool
is_default_contenttype(const struct fo_event *e)
{
    return fo_slice_is_equal(e->datacontenttype, FO_SLICE_LIT(FO_DATACONTENTTYPE_DEFAULT));
}

static inline size_t
uint_bytes(uint64_t v, uint64_t otherwise)  /* likewise */
{
    if (v == otherwise)
        return 0;
    return v < 0x80 ? 2 : v <= UINT8_MAX ? 3 : v <= UINT16_MAX ? 4 : v <= UINT32_MAX ? 6 : 10;
}

static uint32_t pair_count(const struct fo_event *e);

/* Exact, but that acceptedtime, which is set later, counts in full. */
size_t
fo_event_encoded_max(const struct fo_event *e)
{
    size_t n = (pair_count(e) < 16 ? 1 : 3) + 2 + 10;   /* map head, priority, acceptedtime */

    n += (e->id.n > 0 ? text_bytes(e->id) : 2) + (e->type.n > 0 ? text_bytes(e->type) : 2) + (e->sourceregion.n > 0 ? text_bytes(e->sourceregion) : 2);
    n += uint_bytes((uint64_t)e->time.us, 0) + uint_bytes((uint64_t)e->expirytime.us, 0);
    n += uint_bytes(e->schemaversion, 1) + uint_bytes(e->mincompatible, 1);
    n += is_default_tenant(e) ? 0 : text_bytes(e->tenant);
    n += text_bytes(e->partitionkey) + text_bytes(e->source) + text_bytes(e->subject) + text_bytes(e->traceparent);
    n += text_bytes(e->dataschema) + (is_default_contenttype(e) ? 0 : text_bytes(e->datacontenttype));
    n += e->data.n > 0 ? 1 + e->data.n : 0;
    for (unsigned i = 0; i < e->unknown_count; i++)
        n += e->unknown[i].n;
    return n;
}

static inline uint8_t *
put_time(uint8_t *p, uint64_t us)           /* of today: one that takes all eight bytes */
{
    if (us <= UINT32_MAX)
        return fo_mp_put_uint(p, us);
    *p = 0xcf;
    us = htobe64(us);
    memcpy(p + 1, &us, sizeof us);
    return p + 1 + sizeof us;
}

static inline uint8_t *
put_bytes(uint8_t *p, struct fo_slice s)
{
    if (s.n > 0)                            /* memcpy may not be given null, even for nothing */
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static inline uint8_t *
put_str(uint8_t *p, enum fo_field field, struct fo_slice s)
{
    *p = (uint8_t)field;
    return put_bytes(fo_mp_put_str_head(p + 1, s.n), s);
}

static inline uint8_t *
put_text(uint8_t *p, enum fo_field field, struct fo_slice s)
{
    return s.n == 0 ? p : put_str(p, field, s);
}

static inline uint8_t *
put_number(uint8_t *p, enum fo_field field, uint64_t v)
{
    *p = (uint8_t)field;
    return fo_mp_put_uint(p + 1, v);
}

static uint32_t
pair_count(const struct fo_event *e)
{
    uint32_t n = FIRST_FIELDS + 1;          /* and priority */

    n += (e->tenant.n > 0 && !is_default_tenant(e)) + (e->partitionkey.n > 0) + (e->source.n > 0) + (e->subject.n > 0);
    n += (e->time.us > 0) + (e->expirytime.us > 0) + (e->schemaversion > 1) + (e->mincompatible > 1) + (e->traceparent.n > 0);
    n += (e->datacontenttype.n > 0 && !is_default_contenttype(e)) + (e->dataschema.n > 0) + (e->data.n > 0);
    return n + e->unknown_count;
}

uint8_t *
fo_event_put(const struct fo_event *e, uint8_t *p)
{
    p = fo_mp_put_map(p, pair_count(e));
    p = put_str(p, FO_FIELD_ID, e->id);
    p = put_str(p, FO_FIELD_TYPE, e->type);
    *p++ = FO_FIELD_ACCEPTEDTIME;
    p = put_time(p, (uint64_t)e->acceptedtime.us);
    p = put_str(p, FO_FIELD_SOURCEREGION, e->sourceregion);
    if (!is_default_tenant(e))
        p = put_text(p, FO_FIELD_TENANT, e->tenant);
    p = put_text(p, FO_FIELD_PARTITIONKEY, e->partitionkey);
    p = put_number(p, FO_FIELD_PRIORITY, e->lane);
    p = put_text(p, FO_FIELD_SOURCE, e->source);
    p = put_text(p, FO_FIELD_SUBJECT, e->subject);
    if (e->time.us > 0)
        p = put_number(p, FO_FIELD_TIME, (uint64_t)e->time.us);
    if (e->expirytime.us > 0)
        p = put_number(p, FO_FIELD_EXPIRYTIME, (uint64_t)e->expirytime.us);
    if (e->schemaversion > 1)
        p = put_number(p, FO_FIELD_SCHEMAVERSION, e->schemaversion);
    if (e->mincompatible > 1)
        p = put_number(p, FO_FIELD_MINCOMPATIBLE, e->mincompatible);
    p = put_text(p, FO_FIELD_TRACEPARENT, e->traceparent);
    if (!is_default_contenttype(e))
        p = put_text(p, FO_FIELD_DATACONTENTTYPE, e->datacontenttype);
    p = put_text(p, FO_FIELD_DATASCHEMA, e->dataschema);
    if (e->data.n > 0) {
        *p++ = FO_FIELD_DATA;
        p = put_bytes(p, e->data);
    }
    for (unsigned i = 0; i < e->unknown_count; i++)
        p = put_bytes(p, e->unknown[i]);
    return p;
}

void
fo_event_encode(const struct fo_event *e, struct fo_writer *w)
{
    if (w->overflow || fo_event_encoded_max(e) > w->cap - w->n) {
        w->overflow = true;
        return;
    }
    w->n = (size_t)(fo_event_put(e, w->p + w->n) - w->p);
}

struct record_reader {
    struct fo_reader r;
    struct fo_event *e;
    uint32_t seen;
    bool is_checked;                        /* the bytes passed fo_event_decode before */
};

static enum fo_err
read_text(struct record_reader *d, unsigned field)
{
    size_t bytes_max;
    struct fo_slice *s = fo_field_text(d->e, field, &bytes_max);
    enum fo_err err = fo_mp_read_str(&d->r, s);

    if (err != FO_OK || d->is_checked)
        return err;
    if ((err = fo_field_check_text(*s, bytes_max)) != FO_OK)
        return err;
    if ((field == FO_FIELD_TYPE && !fo_field_is_type(*s)) || (field == FO_FIELD_TENANT && !fo_field_is_tenant(*s))
        || (field == FO_FIELD_SOURCEREGION && !fo_region_name_is_valid(*s)))
        return FO_ERR_INVALID;
    return FO_OK;
}

static enum fo_err
read_number(struct record_reader *d, uint64_t min, uint64_t max, uint64_t *ret_v)
{
    enum fo_err err = fo_mp_read_uint(&d->r, ret_v);

    return err == FO_OK && (*ret_v < min || *ret_v > max) ? FO_ERR_INVALID : err;
}

static enum fo_err
read_value(struct record_reader *d)
{
    return d->is_checked ? fo_mp_skip(&d->r, FO_NESTING_MAX) : fo_mp_check(&d->r, FO_NESTING_MAX);
}

static enum fo_err
read_field(struct record_reader *d, unsigned field)
{
    const uint8_t *start = d->r.p;
    struct fo_event *e = d->e;
    uint64_t v = 0;
    enum fo_err err;

    switch (field) {
    case FO_FIELD_ACCEPTEDTIME:
        err = read_number(d, 1, FO_WALL_US_MAX, &v);
        e->acceptedtime.us = (int64_t)v;
        return err;
    case FO_FIELD_TIME:
        err = read_number(d, 1, FO_WALL_US_MAX, &v);
        e->time.us = (int64_t)v;
        return err;
    case FO_FIELD_EXPIRYTIME:
        err = read_number(d, 1, FO_WALL_US_MAX, &v);
        e->expirytime.us = (int64_t)v;
        return err;
    case FO_FIELD_SCHEMAVERSION:
        err = read_number(d, 1, INT32_MAX, &v);
        e->schemaversion = (uint32_t)v;
        return err;
    case FO_FIELD_MINCOMPATIBLE:
        err = read_number(d, 1, INT32_MAX, &v);
        e->mincompatible = (uint32_t)v;
        return err;
    case FO_FIELD_PRIORITY:
        err = read_number(d, 0, FO_LANES - 1, &v);
        e->lane = (enum fo_lane)v;
        e->has_priority = true;
        return err;
    case FO_FIELD_DATA:
        err = read_value(d);
        e->data = fo_slice_of(start, (size_t)(d->r.p - start));
        return err;
    case FO_FIELD_TARGETS:                  /* the batch's header names them */
        return FO_ERR_PROTO;
    default:
        return read_text(d, field);
    }
}

/* A name that a version after this one has given a number stands as text in an older region's record, so text is taken for
 * names too; but never one of a publisher's other spellings, which no broker writes. */
static enum fo_err
read_unknown(struct record_reader *d, const struct fo_mp *key, const uint8_t *start)
{
    struct fo_event *e = d->e;
    enum fo_err err;

    if (e->unknown_count == FO_UNKNOWN_FIELDS_MAX)
        return FO_ERR_TOO_LARGE;
    if (!d->is_checked && key->kind == FO_MP_STR && fo_field_of_name(key->s, true) != FO_FIELD_NONE)
        return FO_ERR_PROTO;
    if (!d->is_checked && (err = fo_field_check_unknown(e, key)) != FO_OK)
        return err;
    if ((err = read_value(d)) != FO_OK)
        return err;
    e->unknown[e->unknown_count++] = fo_slice_of(start, (size_t)(d->r.p - start));
    return FO_OK;
}

static enum fo_err
read_pair(struct record_reader *d, uint32_t index)
{
    const uint8_t *start = d->r.p;
    unsigned field;
    struct fo_mp key;
    enum fo_err err;

    if ((err = fo_field_read(&d->r, false, &key, &field)) != FO_OK)
        return err;
    if (index < FIRST_FIELDS && field != index + 1)
        return FO_ERR_PROTO;
    if (field == FO_FIELD_NONE)
        return read_unknown(d, &key, start);
    if (d->seen & 1u << field)
        return FO_ERR_DUPLICATE_KEY;
    d->seen |= 1u << field;
    return read_field(d, field);
}

static inline bool
take_field(struct fo_reader *r, enum fo_field field)
{
    return r->p < r->end && *r->p++ == field;
}

static inline bool
take_time(struct fo_reader *r, struct fo_wall *ret_t)       /* as put_time puts one of today */
{
    uint64_t us;

    if (fo_reader_left(r) < 1 + sizeof us || *r->p != 0xcf)
        return false;
    memcpy(&us, r->p + 1, sizeof us);
    r->p += 1 + sizeof us;
    ret_t->us = (int64_t)be64toh(us);
    return ret_t->us > 0 && ret_t->us <= FO_WALL_US_MAX;
}

/* The first fields in one go, as nearly every record has them; pair by pair they take twice as long. False: nothing is read; the walk
 * over the pairs finds out what is wrong, if anything is. */
static bool
read_first_fields(struct record_reader *d)
{
    struct fo_reader r = d->r;              /* a copy nobody else knows of, so that it stays in registers */
    struct fo_slice id, type, sourceregion;
    struct fo_wall acceptedtime;

    if (!take_field(&r, FO_FIELD_ID) || !fo_mp_take_short_str(&r, &id) || !take_field(&r, FO_FIELD_TYPE) || !fo_mp_take_short_str(&r, &type)
        || !take_field(&r, FO_FIELD_ACCEPTEDTIME) || !take_time(&r, &acceptedtime)
        || !take_field(&r, FO_FIELD_SOURCEREGION) || !fo_mp_take_short_str(&r, &sourceregion))
        return false;
    if (!d->is_checked && (fo_field_check_text(id, FO_ID_BYTES_MAX) != FO_OK || !fo_field_is_type(type) || !fo_region_name_is_valid(sourceregion)))
        return false;
    d->r = r;
    d->seen = 1u << FO_FIELD_ID | 1u << FO_FIELD_TYPE | 1u << FO_FIELD_ACCEPTEDTIME | 1u << FO_FIELD_SOURCEREGION;
    d->e->id = id;
    d->e->type = type;
    d->e->acceptedtime = acceptedtime;
    d->e->sourceregion = sourceregion;
    return true;
}

static enum fo_err
read_record(struct fo_slice record, bool is_checked, struct fo_event *ret_event)
{
    struct record_reader d = { fo_reader_of(record), ret_event, 0, is_checked };
    uint32_t pairs = 0;
    enum fo_err err = fo_mp_read_map(&d.r, &pairs);

    if (err != FO_OK)
        return err;
    memset(ret_event, 0, offsetof(struct fo_event, unknown));
    ret_event->unknown_count = 0;
    ret_event->schemaversion = ret_event->mincompatible = 1;
    ret_event->tenant = FO_SLICE_LIT(FO_TENANT_DEFAULT);
    ret_event->lane = FO_LANE_NORMAL;
    if (pairs < FIRST_FIELDS)
        return FO_ERR_MISSING;
    for (uint32_t i = read_first_fields(&d) ? FIRST_FIELDS : 0; i < pairs; i++)
        if ((err = read_pair(&d, i)) != FO_OK)
            return err;
    return fo_reader_left(&d.r) > 0 ? FO_ERR_TRAILING : FO_OK;
}

enum fo_err
fo_event_decode(struct fo_slice record, struct fo_event *ret_event)
{
    return read_record(record, false, ret_event);
}

enum fo_err
fo_event_view(struct fo_slice record, struct fo_event *ret_event)
{
    return read_record(record, true, ret_event);
}
