/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/emit.h"

#include <inttypes.h>
#include <stdio.h>

#include "wire/msgpack.h"

/* Room for n more bytes; null after an error. */
static uint8_t *
take_room(struct fo_emit *e, size_t n)
{
    if (e->err != FO_OK)
        return NULL;
    if (e->out->cap - e->out->n < n && (e->err = fo_buf_reserve(e->out, n)) != FO_OK)
        return NULL;
    return e->out->p + e->out->n;
}

static void
add_bytes(struct fo_emit *e, const void *bytes, size_t n)
{
    uint8_t *p = take_room(e, n);

    if (p == NULL || n == 0)
        return;
    memcpy(p, bytes, n);
    e->out->n += n;
}

/* What stands before each JSON value that is not the first and has no key of its own. */
static void
separate(struct fo_emit *e)
{
    if (e->enc == FO_ENC_JSON && e->needs_comma)
        add_bytes(e, ",", 1);
    e->needs_comma = true;
}

static void
open_json(struct fo_emit *e, const char *bracket)
{
    separate(e);
    add_bytes(e, bracket, 1);
    e->needs_comma = false;
}

static void
close_json(struct fo_emit *e, const char *bracket)
{
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, bracket, 1);
    e->needs_comma = true;
}

#define WRITE_MSGPACK(e, room, call)                        \
    do {                                                    \
        uint8_t *p_ = take_room((e), (room));               \
        if (p_ != NULL) {                                   \
            struct fo_writer w = fo_writer_of(p_, (room));  \
            call;                                           \
            (e)->out->n += w.n;                             \
        }                                                   \
    } while (0)

void
fo_emit_map(struct fo_emit *e, uint32_t pairs)
{
    if (e->enc == FO_ENC_JSON)
        open_json(e, "{");
    else
        WRITE_MSGPACK(e, 5, fo_mp_write_map(&w, pairs));
}

void
fo_emit_map_end(struct fo_emit *e)
{
    close_json(e, "}");
}

void
fo_emit_array(struct fo_emit *e, uint32_t count)
{
    if (e->enc == FO_ENC_JSON)
        open_json(e, "[");
    else
        WRITE_MSGPACK(e, 5, fo_mp_write_array(&w, count));
}

void
fo_emit_array_end(struct fo_emit *e)
{
    close_json(e, "]");
}

static void
add_escaped(struct fo_emit *e, struct fo_slice s)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t *p = take_room(e, 6 * s.n + 2);     /* the longest escape takes six bytes */

    if (p == NULL)
        return;
    *p++ = '"';
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            *p++ = c;
            continue;
        }
        *p++ = '\\';
        switch (c) {
        case '"': case '\\': *p++ = c; break;
        case '\n': *p++ = 'n'; break;
        case '\r': *p++ = 'r'; break;
        case '\t': *p++ = 't'; break;
        default:
            memcpy(p, "u00", 3);
            p[3] = (uint8_t)hex[c >> 4];
            p[4] = (uint8_t)hex[c & 15];
            p += 5;
        }
    }
    *p++ = '"';
    e->out->n = (size_t)(p - e->out->p);
}

void
fo_emit_key(struct fo_emit *e, const char *key)
{
    fo_emit_name(e, fo_slice_str(key));
}

void
fo_emit_name(struct fo_emit *e, struct fo_slice name)
{
    fo_emit_str(e, name);
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, ":", 1);
    e->needs_comma = false;
}

void
fo_emit_str(struct fo_emit *e, struct fo_slice s)
{
    separate(e);
    if (e->enc == FO_ENC_JSON)
        add_escaped(e, s);
    else
        WRITE_MSGPACK(e, s.n + 5, fo_mp_write_str(&w, s));
}

void
fo_emit_cstr(struct fo_emit *e, const char *s)
{
    fo_emit_str(e, fo_slice_str(s));
}

void
fo_emit_uint(struct fo_emit *e, uint64_t v)
{
    char text[24];

    separate(e);
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)v));
    else
        WRITE_MSGPACK(e, 9, fo_mp_write_uint(&w, v));
}

void
fo_emit_int(struct fo_emit *e, int64_t v)
{
    char text[24];

    separate(e);
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)v));
    else
        WRITE_MSGPACK(e, 9, fo_mp_write_int(&w, v));
}

size_t
fo_json_float(char *text)
{
    char *to = text;

    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("+-0123456789e", *p) != NULL)
            *to++ = *p;
        else if (to == text || to[-1] != '.')   /* the locale's point may be of several bytes */
            *to++ = '.';
    }
    *to = '\0';
    if (strpbrk(text, ".e") == NULL)            /* 3.0 must not come back as an integer */
        to = stpcpy(to, ".0");
    return (size_t)(to - text);
}

void
fo_emit_float(struct fo_emit *e, double v)
{
    char text[40];

    separate(e);
    if (e->enc != FO_ENC_JSON) {
        WRITE_MSGPACK(e, 9, fo_mp_write_float(&w, v));
        return;
    }
    snprintf(text, sizeof(text) - 2, "%.17g", v);
    add_bytes(e, text, fo_json_float(text));
}

void
fo_emit_bool(struct fo_emit *e, bool v)
{
    separate(e);
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, v ? "true" : "false", v ? 4 : 5);
    else
        WRITE_MSGPACK(e, 1, fo_mp_write_bool(&w, v));
}

void
fo_emit_nil(struct fo_emit *e)
{
    separate(e);
    if (e->enc == FO_ENC_JSON)
        add_bytes(e, "null", 4);
    else
        WRITE_MSGPACK(e, 1, fo_mp_write_nil(&w));
}

void
fo_emit_ms(struct fo_emit *e, int64_t us)
{
    uint64_t left = us < 0 ? -(uint64_t)us : (uint64_t)us;
    char text[32];
    int n;

    separate(e);
    if (e->enc != FO_ENC_JSON) {
        WRITE_MSGPACK(e, 9, fo_mp_write_float(&w, (double)us / 1000));
        return;
    }
    n = snprintf(text, sizeof(text), "%s%" PRIu64 ".%03u", us < 0 ? "-" : "", left / 1000, (unsigned)(left % 1000));
    while (n > 0 && text[n - 1] == '0')
        n--;
    if (n > 0 && text[n - 1] == '.')
        n--;
    add_bytes(e, text, (size_t)n);
}

void
fo_emit_raw(struct fo_emit *e, struct fo_slice bytes)
{
    separate(e);
    add_bytes(e, bytes.p, bytes.n);
}
