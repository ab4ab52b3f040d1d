/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema text to schema_node. One table names every keyword that is taken; what is not in it is refused, because a
 * keyword that is ignored is a payload that is let through. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/names.h"
#include "wire/schema_node.h"

const char *const fo_schema_type_names[FO_SCHEMA_TYPES] = { "null", "boolean", "integer", "number", "string", "array", "object" };

struct loader {
    struct fo_fault *fault;
    char pointer[sizeof(((struct fo_fault *)0)->path)];
    size_t pointer_n;                       /* may grow beyond what pointer holds; it then shows the beginning */
    unsigned depth;
};

static enum fo_err load_node(struct loader *l, const json_t *json, struct schema_node **ret_node);

static void
add_char(struct loader *l, char c)
{
    if (l->pointer_n + 1 < sizeof(l->pointer)) {
        l->pointer[l->pointer_n] = c;
        l->pointer[l->pointer_n + 1] = '\0';
    }
    l->pointer_n++;
}

/* Enters /name; the value returned is given to leave(). RFC 6901: ~ is ~0 and / is ~1. */
static size_t
enter(struct loader *l, const char *name)
{
    size_t before = l->pointer_n;

    add_char(l, '/');
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/')
            add_char(l, '~');
        add_char(l, *name == '~' ? '0' : *name == '/' ? '1' : *name);
    }
    return before;
}

static void
leave(struct loader *l, size_t before)
{
    l->pointer_n = before;
    if (before < sizeof(l->pointer))
        l->pointer[before] = '\0';
}

__attribute__((format(printf, 2, 3)))
static enum fo_err
refuse(struct loader *l, const char *fmt, ...)
{
    char text[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return fo_fault_set(l->fault, FO_ERR_SCHEMA, l->pointer[0] != '\0' ? l->pointer : "/", "%s", text);
}

static enum fo_err
no_memory(struct loader *l)
{
    return fo_fault_set(l->fault, FO_ERR_NO_MEMORY, l->pointer, "%s", fo_err_text(FO_ERR_NO_MEMORY));
}

static enum fo_err
load_type_name(struct loader *l, struct schema_node *node, const json_t *json)
{
    const char *name = json_string_value(json);

    for (unsigned i = 0; name != NULL && i < FO_SCHEMA_TYPES; i++)
        if (strcmp(name, fo_schema_type_names[i]) == 0) {
            node->types |= (uint8_t)(1u << i);
            return FO_OK;
        }
    return refuse(l, "one of null, boolean, integer, number, string, array, object");
}

static enum fo_err
load_type(struct loader *l, struct schema_node *node, const json_t *json)
{
    enum fo_err err = FO_OK;
    const json_t *name;
    size_t i;

    if (!json_is_array(json))
        return load_type_name(l, node, json);
    if (json_array_size(json) == 0)
        return refuse(l, "at least one type");
    json_array_foreach(json, i, name)
        if ((err = load_type_name(l, node, name)) != FO_OK)
            return err;
    return FO_OK;
}

static struct schema_prop *
find_prop(struct schema_node *node, struct fo_slice name)
{
    for (uint32_t i = 0; i < node->prop_count; i++)
        if (fo_slice_is_equal(node->props[i].name, name))
            return &node->props[i];
    return NULL;
}

static enum fo_err
load_required(struct loader *l, struct schema_node *node, const json_t *json)
{
    const json_t *name;
    size_t i;

    if (!json_is_array(json) || json_array_size(json) > FO_SCHEMA_REQUIRED_MAX)
        return refuse(l, "an array of at most %d property names", FO_SCHEMA_REQUIRED_MAX);
    json_array_foreach(json, i, name) {
        struct fo_slice s = { (const uint8_t *)json_string_value(name), json_string_length(name) };

        if (s.p == NULL || find_prop(node, s) != NULL)
            return refuse(l, "property names, each once");
        node->props[node->prop_count++].name = s;
        node->required_count++;
    }
    return FO_OK;
}

static enum fo_err
load_properties(struct loader *l, struct schema_node *node, const json_t *json)
{
    const char *key;
    size_t key_n;
    json_t *value;

    if (!json_is_object(json))
        return refuse(l, "an object of schemas");
    json_object_keylen_foreach((json_t *)json, key, key_n, value) {
        struct fo_slice name = fo_slice_of(key, key_n);
        struct schema_prop *prop = find_prop(node, name);
        size_t before = enter(l, key);
        enum fo_err err;

        if (prop == NULL) {
            prop = &node->props[node->prop_count++];
            prop->name = name;
        }
        if ((err = load_node(l, value, &prop->node)) != FO_OK)
            return err;
        leave(l, before);
    }
    return FO_OK;
}

static enum fo_err
load_additional(struct loader *l, struct schema_node *node, const json_t *json)
{
    if (json_is_boolean(json)) {
        node->is_closed = json_is_false(json);
        return FO_OK;
    }
    return load_node(l, json, &node->additional);
}

static enum fo_err
load_items(struct loader *l, struct schema_node *node, const json_t *json)
{
    return load_node(l, json, &node->items);
}

static void
set_number(struct schema_number *n, const json_t *json)
{
    n->is_set = true;
    n->is_int = json_is_integer(json);
    n->i = json_integer_value(json);
    n->f = json_number_value(json);
}

static enum fo_err
load_value(struct loader *l, struct schema_scalar *v, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_NULL:
        v->kind = FO_MP_NIL;
        return FO_OK;
    case JSON_TRUE: case JSON_FALSE:
        v->kind = FO_MP_BOOL;
        v->boolean = json_is_true(json);
        return FO_OK;
    case JSON_INTEGER: case JSON_REAL:
        v->kind = FO_MP_FLOAT;
        set_number(&v->number, json);
        return FO_OK;
    case JSON_STRING:
        v->kind = FO_MP_STR;
        v->s = fo_slice_of(json_string_value(json), json_string_length(json));
        return FO_OK;
    default:
        return refuse(l, "strings, numbers, booleans or null");
    }
}

static enum fo_err
load_enum(struct loader *l, struct schema_node *node, const json_t *json)
{
    const json_t *value;
    enum fo_err err;
    size_t i;

    if (!json_is_array(json) || json_array_size(json) == 0)
        return refuse(l, "an array of at least one value");
    if (node->values != NULL)
        return refuse(l, "either enum or const");
    if ((node->values = calloc(json_array_size(json), sizeof(*node->values))) == NULL)
        return no_memory(l);
    json_array_foreach(json, i, value)
        if ((err = load_value(l, &node->values[node->value_count++], value)) != FO_OK)
            return err;
    return FO_OK;
}

static enum fo_err
load_const(struct loader *l, struct schema_node *node, const json_t *json)
{
    if (node->values != NULL)
        return refuse(l, "either enum or const");
    if ((node->values = calloc(1, sizeof(*node->values))) == NULL)
        return no_memory(l);
    node->value_count = 1;
    return load_value(l, node->values, json);
}

static enum fo_err
load_annotation(struct loader *l, struct schema_node *node, const json_t *json)
{
    (void)l, (void)node, (void)json;
    return FO_OK;
}

enum value_kind { VALUE_OWN, VALUE_NUMBER, VALUE_COUNT };

#define AT(member) .at = offsetof(struct schema_node, member)
static const struct keyword {
    const char *name;
    enum fo_err (*load)(struct loader *l, struct schema_node *node, const json_t *json);
    enum value_kind kind;
    size_t at;
} keywords[] = {
    { "type", load_type },
    { "required", load_required },          /* before properties: required ones come first in props */
    { "properties", load_properties },
    { "additionalProperties", load_additional },
    { "items", load_items },
    { "enum", load_enum },
    { "const", load_const },
    { "minimum", .kind = VALUE_NUMBER, AT(minimum) },
    { "maximum", .kind = VALUE_NUMBER, AT(maximum) },
    { "exclusiveMinimum", .kind = VALUE_NUMBER, AT(exclusive_minimum) },
    { "exclusiveMaximum", .kind = VALUE_NUMBER, AT(exclusive_maximum) },
    { "minLength", .kind = VALUE_COUNT, AT(length_min) },
    { "maxLength", .kind = VALUE_COUNT, AT(length_max) },
    { "minItems", .kind = VALUE_COUNT, AT(items_min) },
    { "maxItems", .kind = VALUE_COUNT, AT(items_max) },
    { "$schema", load_annotation }, { "$id", load_annotation }, { "title", load_annotation },
    { "description", load_annotation }, { "examples", load_annotation }, { "default", load_annotation },
};
enum { KEYWORDS = sizeof(keywords) / sizeof(keywords[0]) };

static enum fo_err
load_keyword(struct loader *l, const struct keyword *k, struct schema_node *node, const json_t *json)
{
    void *member = (char *)node + k->at;

    if (k->kind == VALUE_OWN)
        return k->load(l, node, json);
    if (k->kind == VALUE_NUMBER && !json_is_number(json))
        return refuse(l, "a number");
    if (k->kind == VALUE_COUNT && (!json_is_integer(json) || json_integer_value(json) < 0))
        return refuse(l, "an integer, not negative");
    if (k->kind == VALUE_NUMBER)
        set_number(member, json);
    else
        *(uint64_t *)member = (uint64_t)json_integer_value(json);
    return FO_OK;
}

static enum fo_err
refuse_unknown(struct loader *l, const json_t *json)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)json, key, value) {
        unsigned i = 0;

        while (i < KEYWORDS && strcmp(key, keywords[i].name) != 0)
            i++;
        if (i == KEYWORDS) {
            enter(l, key);
            return refuse(l, "a keyword of the supported subset (proto/WIRE.md lists it)");
        }
    }
    return FO_OK;
}

static enum fo_err
load_keywords(struct loader *l, const json_t *json, struct schema_node *node)
{
    enum fo_err err;

    if ((err = refuse_unknown(l, json)) != FO_OK)
        return err;
    for (unsigned i = 0; i < KEYWORDS; i++) {
        const json_t *value = json_object_get(json, keywords[i].name);
        size_t before;

        if (value == NULL)
            continue;
        before = enter(l, keywords[i].name);
        if ((err = load_keyword(l, &keywords[i], node, value)) != FO_OK)
            return err;
        leave(l, before);
    }
    return FO_OK;
}

static enum fo_err
load_node(struct loader *l, const json_t *json, struct schema_node **ret_node)
{
    struct schema_node *node;
    size_t props_max;
    enum fo_err err;

    if (!json_is_object(json))
        return refuse(l, "a schema is an object");
    if (l->depth == FO_NESTING_MAX)
        return refuse(l, "schemas nested at most %d deep", FO_NESTING_MAX);
    if ((node = calloc(1, sizeof(*node))) == NULL)
        return no_memory(l);
    node->length_max = node->items_max = UINT64_MAX;
    props_max = json_array_size(json_object_get(json, "required")) + json_object_size(json_object_get(json, "properties"));
    if (props_max > 0 && (node->props = calloc(props_max, sizeof(*node->props))) == NULL) {
        free(node);
        return no_memory(l);
    }
    l->depth++;
    err = load_keywords(l, json, node);
    l->depth--;
    if (err == FO_OK)
        *ret_node = node;
    else
        fo_schema_node_destroy(node);
    return err;
}

enum fo_err
fo_schema_node_create(const json_t *json, struct schema_node **ret_node, struct fo_fault *ret_fault)
{
    struct loader l = { .fault = ret_fault };

    return load_node(&l, json, ret_node);
}

void
fo_schema_node_destroy(struct schema_node *node)
{
    if (node == NULL)
        return;
    for (uint32_t i = 0; i < node->prop_count; i++)
        fo_schema_node_destroy(node->props[i].node);
    fo_schema_node_destroy(node->additional);
    fo_schema_node_destroy(node->items);
    free(node->props);
    free(node->values);
    free(node);
}
