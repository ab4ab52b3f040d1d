/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload's walk: bytes on one side, the compiled schema on the other, no objects between them. Where the schema says
 * nothing, fo_mp_check walks. The path is kept as references and written out only when something does not fit. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/names.h"
#include "wire/msgpack_check.h"
#include "wire/schema_node.h"

struct step { struct fo_slice key; uint32_t index; };       /* key.p null: an array's element */

struct checker {
    struct fo_fault *fault;
    unsigned depth;
    struct step step[FO_NESTING_MAX];
};

static enum fo_err check_value(struct checker *c, const struct schema_node *node, struct fo_reader *r);

static void
write_path(const struct checker *c, char *path, size_t size)
{
    size_t n = (size_t)snprintf(path, size, "data");

    for (unsigned i = 0; i < c->depth && n < size; i++) {
        const struct step *s = &c->step[i];
        if (s->key.p == NULL)
            n += (size_t)snprintf(path + n, size - n, "[%u]", s->index);
        else
            n += (size_t)snprintf(path + n, size - n, ".%.*s", (int)(s->key.n < size ? s->key.n : size), (const char *)s->key.p);
    }
}

static enum fo_err
malformed(struct checker *c, enum fo_err err)
{
    char path[sizeof(c->fault->path)];

    write_path(c, path, sizeof(path));
    return fo_mp_fault(c->fault, err, path);
}

__attribute__((format(printf, 2, 3)))
static enum fo_err
misfit(struct checker *c, const char *fmt, ...)
{
    char path[sizeof(c->fault->path)], text[sizeof(c->fault->text)];
    va_list ap;

    write_path(c, path, sizeof(path));
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return fo_fault_set(c->fault, FO_ERR_SCHEMA, path, "%s", text);
}

static unsigned
types_of(const struct fo_mp *v)
{
    switch (v->kind) {
    case FO_MP_NIL: return FO_SCHEMA_NULL;
    case FO_MP_BOOL: return FO_SCHEMA_BOOLEAN;
    case FO_MP_UINT: case FO_MP_INT: return FO_SCHEMA_INTEGER | FO_SCHEMA_NUMBER;
    case FO_MP_FLOAT: return FO_SCHEMA_NUMBER | (v->f == floor(v->f) ? FO_SCHEMA_INTEGER : 0);   /* 1.0 is an integer to JSON Schema */
    case FO_MP_STR: return FO_SCHEMA_STRING;
    case FO_MP_ARRAY: return FO_SCHEMA_ARRAY;
    case FO_MP_MAP: return FO_SCHEMA_OBJECT;
    default: return 0;                      /* bin and ext have no JSON type */
    }
}

static enum fo_err
wrong_type(struct checker *c, unsigned types)
{
    char text[96] = "";
    size_t n = 0;

    for (unsigned i = 0; i < FO_SCHEMA_TYPES; i++)
        if (types & 1u << i)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " or " : "", fo_schema_type_names[i]);
    return misfit(c, "%s", text);
}

/* -1, 0, 1 as a number is below, at or above the bound. Integers are compared as such: doubles would blur them beyond 2^53. */
static int
compare_number(const struct fo_mp *v, const struct schema_number *bound)
{
    double f;

    if (v->kind != FO_MP_FLOAT && bound->is_int) {
        int64_t i = v->kind == FO_MP_UINT ? (int64_t)v->u : v->i;
        return i < bound->i ? -1 : i > bound->i;
    }
    f = v->kind == FO_MP_FLOAT ? v->f : v->kind == FO_MP_UINT ? (double)v->u : (double)v->i;
    return f < bound->f ? -1 : f > bound->f;
}

static bool
is_number(const struct fo_mp *v)
{
    return v->kind == FO_MP_UINT || v->kind == FO_MP_INT || v->kind == FO_MP_FLOAT;
}

static bool
is_equal(const struct fo_mp *v, const struct schema_scalar *s)
{
    switch (s->kind) {
    case FO_MP_NIL: return v->kind == FO_MP_NIL;
    case FO_MP_BOOL: return v->kind == FO_MP_BOOL && v->boolean == s->boolean;
    case FO_MP_STR: return v->kind == FO_MP_STR && fo_slice_is_equal(v->s, s->s);
    default: return is_number(v) && compare_number(v, &s->number) == 0;
    }
}

static size_t
write_scalar(const struct schema_scalar *s, char *text, size_t size)
{
    switch (s->kind) {
    case FO_MP_NIL: return (size_t)snprintf(text, size, "null");
    case FO_MP_BOOL: return (size_t)snprintf(text, size, "%s", s->boolean ? "true" : "false");
    case FO_MP_STR: return (size_t)snprintf(text, size, "%.*s", (int)s->s.n, (const char *)s->s.p);
    default: return (size_t)snprintf(text, size, "%.17g", s->number.f);
    }
}

static enum fo_err
not_in_enum(struct checker *c, const struct schema_node *node)
{
    char text[sizeof(c->fault->text)] = "";
    size_t n = 0;

    for (uint32_t i = 0; i < node->value_count && n < sizeof(text); i++) {
        if (i > 0)
            n += (size_t)snprintf(text + n, sizeof(text) - n, ", ");
        if (n < sizeof(text))
            n += write_scalar(&node->values[i], text + n, sizeof(text) - n);
    }
    return misfit(c, "%s%s", node->value_count > 1 ? "one of " : "", text);
}

static enum fo_err
check_number(struct checker *c, const struct schema_node *node, const struct fo_mp *v)
{
    if (v->kind == FO_MP_FLOAT ? !isfinite(v->f) : v->kind == FO_MP_UINT && v->u > INT64_MAX)
        return malformed(c, FO_ERR_INVALID);
    if (node->minimum.is_set && compare_number(v, &node->minimum) < 0)
        return misfit(c, "at least %.17g", node->minimum.f);
    if (node->maximum.is_set && compare_number(v, &node->maximum) > 0)
        return misfit(c, "at most %.17g", node->maximum.f);
    if (node->exclusive_minimum.is_set && compare_number(v, &node->exclusive_minimum) <= 0)
        return misfit(c, "more than %.17g", node->exclusive_minimum.f);
    if (node->exclusive_maximum.is_set && compare_number(v, &node->exclusive_maximum) >= 0)
        return misfit(c, "less than %.17g", node->exclusive_maximum.f);
    return FO_OK;
}

static enum fo_err
check_string(struct checker *c, const struct schema_node *node, struct fo_slice s)
{
    enum fo_err err = fo_mp_check_text(s);
    uint64_t length = 0;

    if (err != FO_OK)
        return malformed(c, err);
    if (node->length_min == 0 && node->length_max >= s.n)   /* a code point takes a byte at least */
        return FO_OK;
    for (size_t i = 0; i < s.n; i++)
        length += (s.p[i] & 0xc0) != 0x80;
    if (length < node->length_min)
        return misfit(c, "at least %llu characters", (unsigned long long)node->length_min);
    if (length > node->length_max)
        return misfit(c, "at most %llu characters", (unsigned long long)node->length_max);
    return FO_OK;
}

static enum fo_err
check_array(struct checker *c, const struct schema_node *node, uint32_t count, struct fo_reader *r)
{
    enum fo_err err = FO_OK;

    if (count < node->items_min)
        return misfit(c, "at least %llu items", (unsigned long long)node->items_min);
    if (count > node->items_max)
        return misfit(c, "at most %llu items", (unsigned long long)node->items_max);
    if (c->depth == FO_NESTING_MAX)
        return malformed(c, FO_ERR_DEPTH);
    c->depth++;
    for (uint32_t i = 0; i < count && err == FO_OK; i++) {
        c->step[c->depth - 1] = (struct step){ { NULL, 0 }, i };
        err = check_value(c, node->items, r);
    }
    c->depth--;
    return err;
}

/* Publishers keep to one order, so the search begins behind the property found last. */
static uint32_t
find_prop(const struct schema_node *node, struct fo_slice key, uint32_t hint)
{
    for (uint32_t k = 0; k < node->prop_count; k++) {
        uint32_t i = hint + k < node->prop_count ? hint + k : hint + k - node->prop_count;
        if (fo_slice_is_equal(node->props[i].name, key))
            return i;
    }
    return node->prop_count;
}

static enum fo_err
check_pair(struct checker *c, const struct schema_node *node, struct fo_mp_keys *keys, struct fo_reader *r, uint32_t *hint, uint64_t *seen)
{
    const struct schema_node *of_value = node->additional;
    struct fo_slice key;
    uint32_t i;
    enum fo_err err;

    if ((err = fo_mp_read_str(r, &key)) != FO_OK) {
        c->depth--;
        err = malformed(c, err);
        c->depth++;
        return err;
    }
    c->step[c->depth - 1] = (struct step){ { key.p, key.n }, 0 };
    if ((err = fo_mp_check_text(key)) != FO_OK)
        return malformed(c, err);
    if (keys != NULL && fo_mp_keys_add(keys, key))
        return malformed(c, FO_ERR_DUPLICATE_KEY);
    if ((i = find_prop(node, key, *hint)) < node->prop_count) {
        *hint = i + 1 < node->prop_count ? i + 1 : 0;
        *seen |= i < node->required_count ? (uint64_t)1 << i : 0;
        of_value = node->props[i].node;
    } else if (node->is_closed) {
        return misfit(c, "not given: the schema has no such property");
    }
    return check_value(c, of_value, r);
}

static enum fo_err
check_object(struct checker *c, const struct schema_node *node, uint32_t pairs, struct fo_reader *r)
{
    bool is_small = pairs <= FO_MP_KEYS_SMALL;
    struct fo_mp_keys keys;
    uint64_t seen = 0;
    uint32_t hint = 0;
    enum fo_err err = FO_OK;

    if (c->depth == FO_NESTING_MAX)
        return malformed(c, FO_ERR_DEPTH);
    if (!is_small && (err = fo_mp_check_large_keys(*r, pairs, FO_NESTING_MAX)) != FO_OK)
        return malformed(c, err);
    keys.filter = 0;
    keys.count = 0;
    c->depth++;
    while (pairs-- > 0 && err == FO_OK)
        err = check_pair(c, node, is_small ? &keys : NULL, r, &hint, &seen);
    for (uint32_t i = 0; i < node->required_count && err == FO_OK; i++)
        if (!(seen & (uint64_t)1 << i)) {
            c->step[c->depth - 1] = (struct step){ node->props[i].name, 0 };
            err = misfit(c, "required by the schema");
        }
    c->depth--;
    return err;
}

static enum fo_err
check_value(struct checker *c, const struct schema_node *node, struct fo_reader *r)
{
    struct fo_mp v;
    enum fo_err err;
    uint32_t i = 0;

    if (node == NULL)
        return (err = fo_mp_check(r, FO_NESTING_MAX - c->depth)) == FO_OK ? FO_OK : malformed(c, err);
    if ((err = fo_mp_read(r, &v)) != FO_OK)
        return malformed(c, err);
    if (node->types != 0 && !(types_of(&v) & node->types))
        return wrong_type(c, node->types);
    while (i < node->value_count && !is_equal(&v, &node->values[i]))
        i++;
    if (node->value_count > 0 && i == node->value_count)
        return not_in_enum(c, node);
    switch (v.kind) {
    case FO_MP_UINT: case FO_MP_INT: case FO_MP_FLOAT: return check_number(c, node, &v);
    case FO_MP_STR: return check_string(c, node, v.s);
    case FO_MP_ARRAY: return check_array(c, node, v.count, r);
    case FO_MP_MAP: return check_object(c, node, v.count, r);
    default: return FO_OK;
    }
}

enum fo_err
fo_schema_node_check(const struct schema_node *node, struct fo_slice data, struct fo_fault *ret_fault)
{
    struct checker c;
    struct fo_reader r = fo_reader_of(data);
    enum fo_err err;

    c.fault = ret_fault;
    c.depth = 0;
    if ((err = check_value(&c, node, &r)) != FO_OK)
        return err;
    return fo_reader_left(&r) > 0 ? fo_fault_set(ret_fault, FO_ERR_TRAILING, "data", "nothing behind the value") : FO_OK;
}
