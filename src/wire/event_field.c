/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/event_field.h"

#include <stdio.h>

#include "base/utf8.h"
#include "wire/msgpack_check.h"

static const char *const field_names[] = {
#define FIELD_NAME(num, sym, name) [num] = name,
    FO_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
    [FO_FIELD_SPECVERSION] = "specversion",
    [FO_FIELD_DATA_BASE64] = "data_base64",
};

#define IS(text) (memcmp(name.p, text, sizeof(text) - 1) == 0)

/* Length first: it leaves at most four names to compare with. */
static unsigned
known_field(struct fo_slice name)
{
    switch (name.n) {
    case 2: return IS("id") ? FO_FIELD_ID : FO_FIELD_NONE;
    case 4:
        return IS("type") ? FO_FIELD_TYPE : IS("data") ? FO_FIELD_DATA : IS("time") ? FO_FIELD_TIME : FO_FIELD_NONE;
    case 6: return IS("tenant") ? FO_FIELD_TENANT : IS("source") ? FO_FIELD_SOURCE : FO_FIELD_NONE;
    case 7: return IS("subject") ? FO_FIELD_SUBJECT : IS("targets") ? FO_FIELD_TARGETS : FO_FIELD_NONE;
    case 8: return IS("priority") ? FO_FIELD_PRIORITY : FO_FIELD_NONE;
    case 10: return IS("expirytime") ? FO_FIELD_EXPIRYTIME : IS("dataschema") ? FO_FIELD_DATASCHEMA : FO_FIELD_NONE;
    case 11: return IS("traceparent") ? FO_FIELD_TRACEPARENT : FO_FIELD_NONE;
    case 12:
        return IS("partitionkey") ? FO_FIELD_PARTITIONKEY : IS("sourceregion") ? FO_FIELD_SOURCEREGION
            : IS("acceptedtime") ? FO_FIELD_ACCEPTEDTIME : FO_FIELD_NONE;
    case 13: return IS("schemaversion") ? FO_FIELD_SCHEMAVERSION : IS("mincompatible") ? FO_FIELD_MINCOMPATIBLE : FO_FIELD_NONE;
    case 15: return IS("datacontenttype") ? FO_FIELD_DATACONTENTTYPE : FO_FIELD_NONE;
    default: return FO_FIELD_NONE;
    }
}

static unsigned
alias_field(struct fo_slice name)
{
    switch (name.n) {
    case 2: return IS("op") ? FO_FIELD_REQUEST : FO_FIELD_NONE;
    case 4: return IS("wait") ? FO_FIELD_REQUEST : FO_FIELD_NONE;
    case 5: return IS("brief") ? FO_FIELD_REQUEST : FO_FIELD_NONE;
    case 7: return IS("payload") ? FO_FIELD_DATA : IS("eventId") ? FO_FIELD_ID : FO_FIELD_NONE;
    case 9: return IS("timeoutMs") ? FO_FIELD_REQUEST : FO_FIELD_NONE;
    case 11: return IS("specversion") ? FO_FIELD_SPECVERSION : IS("data_base64") ? FO_FIELD_DATA_BASE64 : FO_FIELD_NONE;
    case 12: return IS("sourceRegion") ? FO_FIELD_SOURCEREGION : FO_FIELD_NONE;
    default: return FO_FIELD_NONE;
    }
}

unsigned
fo_field_of_name(struct fo_slice name, bool has_aliases)
{
    unsigned field = known_field(name);

    return field == FO_FIELD_NONE && has_aliases ? alias_field(name) : field;
}

enum fo_err
fo_field_read_long(struct fo_reader *r, bool has_aliases, struct fo_mp *ret_key, unsigned *ret_field)
{
    enum fo_err err = fo_mp_read(r, ret_key);

    *ret_field = FO_FIELD_NONE;
    if (err != FO_OK)
        return err;
    if (ret_key->kind == FO_MP_STR)
        *ret_field = fo_field_of_name(ret_key->s, has_aliases);
    else if (ret_key->kind != FO_MP_UINT)
        return FO_ERR_TYPE;
    else if (ret_key->u < FO_FIELD_COUNT)
        *ret_field = (unsigned)ret_key->u;
    return FO_OK;
}

const char *
fo_field_name(unsigned field)
{
    const char *name = field < sizeof(field_names) / sizeof(field_names[0]) ? field_names[field] : NULL;

    return name != NULL ? name : "";
}

struct fo_slice *
fo_field_text(struct fo_event *e, unsigned field, size_t *ret_bytes_max)
{
    *ret_bytes_max = FO_TEXT_BYTES_MAX;
    switch (field) {
    case FO_FIELD_ID: *ret_bytes_max = FO_ID_BYTES_MAX; return &e->id;
    case FO_FIELD_TYPE: *ret_bytes_max = FO_TYPE_BYTES_MAX; return &e->type;
    case FO_FIELD_TENANT: *ret_bytes_max = FO_TENANT_BYTES_MAX; return &e->tenant;
    case FO_FIELD_PARTITIONKEY: *ret_bytes_max = FO_KEY_BYTES_MAX; return &e->partitionkey;
    case FO_FIELD_SOURCEREGION: *ret_bytes_max = FO_REGION_BYTES_MAX; return &e->sourceregion;
    case FO_FIELD_SOURCE: return &e->source;
    case FO_FIELD_SUBJECT: return &e->subject;
    case FO_FIELD_TRACEPARENT: return &e->traceparent;
    case FO_FIELD_DATACONTENTTYPE: return &e->datacontenttype;
    case FO_FIELD_DATASCHEMA: return &e->dataschema;
    default: return NULL;
    }
}

enum fo_err
fo_field_check_text(struct fo_slice s, size_t bytes_max)
{
    enum fo_err err;

    if (s.n == 0)
        return FO_ERR_INVALID;
    if (s.n > bytes_max)
        return FO_ERR_TOO_LARGE;
    if (fo_ascii_span(s.p, s.n, ' ', '~') == s.n)
        return FO_OK;
    if ((err = fo_mp_check_text(s)) != FO_OK)
        return err;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 && s.p[i + 1] < 0xa0))   /* well-formed: a byte follows 0xc2 */
            return FO_ERR_INVALID;
    return FO_OK;
}

enum { OF_TYPE = 1, OF_TENANT = 2 };

/* What each character may stand in. */
static const uint8_t uses[256] = {
    ['!' ... ','] = OF_TENANT,
    ['-'] = OF_TYPE | OF_TENANT,
    ['.'] = OF_TYPE | OF_TENANT,
    ['0' ... '9'] = OF_TYPE | OF_TENANT,
    [':' ... '@'] = OF_TENANT,
    ['A' ... 'Z'] = OF_TYPE | OF_TENANT,
    ['[' ... '^'] = OF_TENANT,
    ['_'] = OF_TYPE | OF_TENANT,
    ['`'] = OF_TENANT,
    ['a' ... 'z'] = OF_TYPE | OF_TENANT,
    ['{' ... '~'] = OF_TENANT,
};

static bool
is_made_of(struct fo_slice s, uint8_t use)
{
    for (size_t i = 0; i < s.n; i++)
        use &= uses[s.p[i]];
    return s.n > 0 && use != 0;
}

bool
fo_field_is_type(struct fo_slice s)
{
    return s.n <= FO_TYPE_BYTES_MAX && is_made_of(s, OF_TYPE);
}

bool
fo_field_is_tenant(struct fo_slice s)
{
    return is_made_of(s, OF_TENANT);
}

struct fo_slice
fo_field_name_text(const struct fo_mp *key, char buf[24])
{
    if (key->kind == FO_MP_STR)
        return key->s;
    return fo_slice_of(buf, (size_t)snprintf(buf, 24, "%llu", (unsigned long long)key->u));
}

enum fo_err
fo_field_check_unknown(const struct fo_event *e, const struct fo_mp *key)
{
    char buf[24], other_buf[24];
    struct fo_slice name = fo_field_name_text(key, buf);
    enum fo_err err;

    if ((err = fo_field_check_text(name, FO_FIELD_NAME_BYTES_MAX)) != FO_OK)
        return err == FO_ERR_TOO_LARGE ? FO_ERR_INVALID : err;
    for (unsigned i = 0; i < e->unknown_count; i++) {
        struct fo_reader r = fo_reader_of(e->unknown[i]);
        struct fo_mp other;

        if (fo_mp_read(&r, &other) == FO_OK && fo_slice_is_equal(name, fo_field_name_text(&other, other_buf)))
            return FO_ERR_DUPLICATE_KEY;
    }
    return e->unknown_count < FO_UNKNOWN_FIELDS_MAX ? FO_OK : FO_ERR_TOO_LARGE;
}
