/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and numbers of an event's fields. Private to wire. */
#pragma once
#include "wire/event.h"
#include "wire/msgpack.h"

/* Beyond FO_FIELD_LIST: what only a publisher's map may hold. Below 32, as a bit of a mask stands for each. */
enum {
    FO_FIELD_NONE = 0,          /* not known: carried on */
    FO_FIELD_COUNT = 19,
    FO_FIELD_SPECVERSION = 19,  /* CloudEvents: "1.0", dropped */
    FO_FIELD_REQUEST = 20,      /* op, wait, timeoutMs, brief: of the request, not of the event */
    FO_FIELD_DATA_BASE64 = 21,  /* CloudEvents, not supported: refused rather than carried on unchecked */
};

/* The field called `name`; aliases: with the publishers' other spellings and the fields above. */
unsigned fo_field_of_name(struct fo_slice name, bool has_aliases);
/* Reads a field's name, text or number; FO_FIELD_NONE: not a known one, then ret_key has it. FO_ERR_TYPE: neither; else as fo_mp_read. */
FO_MUST_CHECK enum fo_err fo_field_read_long(struct fo_reader *r, bool has_aliases, struct fo_mp *ret_key, unsigned *ret_field);
static inline enum fo_err
fo_field_read(struct fo_reader *r, bool has_aliases, struct fo_mp *ret_key, unsigned *ret_field)
{
    if (r->p >= r->end || *r->p == FO_FIELD_NONE || *r->p >= FO_FIELD_COUNT)
        return fo_field_read_long(r, has_aliases, ret_key, ret_field);
    *ret_field = *r->p++;               /* a number in one byte, as most names are */
    return FO_OK;
}
/* Never null; "" for FO_FIELD_NONE. */
const char *fo_field_name(unsigned field);
/* Of id, type, tenant, ...: the place in *e that holds it, and how long it may be. Null: not a text field. */
struct fo_slice *fo_field_text(struct fo_event *e, unsigned field, size_t *ret_bytes_max);

/* An attribute's text: 1..bytes_max bytes of UTF-8 without control characters. FO_ERR_UTF8, FO_ERR_INVALID, FO_ERR_TOO_LARGE. */
FO_MUST_CHECK enum fo_err fo_field_check_text(struct fo_slice s, size_t bytes_max);
/* Whether a name that this version does not know, text or a number, may join e->unknown. FO_ERR_TOO_LARGE: no room there.
 * FO_ERR_DUPLICATE_KEY also for a number and its decimal text, which are one name in JSON. */
FO_MUST_CHECK enum fo_err fo_field_check_unknown(const struct fo_event *e, const struct fo_mp *key);
enum { FO_FIELD_NAME_BYTES_MAX = 64 };
/* The name's text; a number in decimal, in buf. */
struct fo_slice fo_field_name_text(const struct fo_mp *key, char buf[24]);
/* Letters, digits, '.', '_', '-': what a type may be called: it is a level of the feed's topics and a word on
 * command lines. */
bool fo_field_is_type(struct fo_slice s);
/* A tenant is a level of the feed's topics: visible ASCII without '/'. */
bool fo_field_is_tenant(struct fo_slice s);

#define FO_TENANT_DEFAULT "default"
#define FO_DATACONTENTTYPE_DEFAULT "application/json"
/* 9999-12-31T23:59:59.999999Z: the last instant RFC 3339 can say. */
#define FO_WALL_US_MAX INT64_C(253402300799999999)
