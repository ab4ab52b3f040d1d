/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of event types: an array in order of registration, found through an open hash table of indices. */
#include "wire/schema.h"

#include <stdlib.h>

#include "wire/event_field.h"
#include "wire/json.h"
#include "wire/schema_node.h"

struct type_entry {
    char name[FO_TYPE_BYTES_MAX + 1];
    size_t name_n;
    enum fo_lane lane;
    json_t *json;                           /* holds the strings that root borrows */
    struct schema_node *root;               /* null: any payload */
};

struct fo_schema_set {
    struct type_entry *types; unsigned count, cap;
    uint32_t *slots, slot_mask;             /* index + 1; 0: free. Twice as many as cap */
};

enum { TYPES_MIN = 16, TYPES_MAX = 65536 };

static uint32_t
hash_of(struct fo_slice s)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ s.p[i]) * 16777619u;
    return h;
}

/* The slot of that name, or the free one where it would stand. */
static uint32_t *
slot_of(const struct fo_schema_set *set, struct fo_slice name)
{
    uint32_t at = hash_of(name);

    for (;; at++) {
        uint32_t *slot = &set->slots[at & set->slot_mask];
        const struct type_entry *t = &set->types[*slot == 0 ? 0 : *slot - 1];

        if (*slot == 0 || fo_slice_is_equal(fo_slice_of(t->name, t->name_n), name))
            return slot;
    }
}

static enum fo_err
grow(struct fo_schema_set *set)
{
    unsigned cap = set->cap == 0 ? TYPES_MIN : set->cap * 2;
    struct type_entry *types;
    uint32_t *slots;

    if (cap > TYPES_MAX)
        return FO_ERR_FULL;
    if ((slots = calloc(2 * (size_t)cap, sizeof(*slots))) == NULL)
        return FO_ERR_NO_MEMORY;
    if ((types = realloc(set->types, cap * sizeof(*types))) == NULL) {
        free(slots);
        return FO_ERR_NO_MEMORY;
    }
    free(set->slots);
    set->types = types;
    set->cap = cap;
    set->slots = slots;
    set->slot_mask = 2 * cap - 1;
    for (unsigned i = 0; i < set->count; i++)
        *slot_of(set, fo_slice_of(types[i].name, types[i].name_n)) = i + 1;
    return FO_OK;
}

enum fo_err
fo_schema_set_create(struct fo_schema_set **ret_set)
{
    struct fo_schema_set *set = calloc(1, sizeof(*set));
    enum fo_err err;

    if (set == NULL)
        return FO_ERR_NO_MEMORY;
    if ((err = grow(set)) != FO_OK) {
        free(set);
        return err;
    }
    *ret_set = set;
    return FO_OK;
}

void
fo_schema_set_destroy(struct fo_schema_set *set)
{
    if (set == NULL)
        return;
    for (unsigned i = 0; i < set->count; i++) {
        fo_schema_node_destroy(set->types[i].root);
        json_decref(set->types[i].json);
    }
    free(set->types);
    free(set->slots);
    free(set);
}

static enum fo_err
load_schema(struct type_entry *entry, struct fo_slice text, struct fo_fault *ret_fault)
{
    enum fo_err err;

    if (text.n == 0)
        return FO_OK;
    if ((err = fo_json_parse(text, &entry->json, ret_fault)) != FO_OK)
        return err;
    if ((err = fo_schema_node_create(entry->json, &entry->root, ret_fault)) != FO_OK)
        json_decref(entry->json);
    return err;
}

enum fo_err
fo_schema_set_add(struct fo_schema_set *set, const char *type, enum fo_lane lane, struct fo_slice schema_text, struct fo_fault *ret_fault)
{
    struct fo_slice name = fo_slice_str(type);
    struct type_entry entry = { .name_n = name.n, .lane = lane };
    enum fo_err err;

    if (!fo_field_is_type(name))
        return fo_fault_set(ret_fault, FO_ERR_INVALID, "", "a type's name has 1 to %d letters, digits, '.', '_' or '-'", FO_TYPE_BYTES_MAX);
    if (*slot_of(set, name) != 0)
        return fo_fault_set(ret_fault, FO_ERR_EXISTS, "", "type %s is registered already", type);
    if (set->count == set->cap && (err = grow(set)) != FO_OK)
        return fo_fault_set(ret_fault, err, "", "%s", fo_err_text(err));
    if ((err = load_schema(&entry, schema_text, ret_fault)) != FO_OK)
        return err;
    memcpy(entry.name, name.p, name.n);
    set->types[set->count] = entry;
    *slot_of(set, name) = ++set->count;
    return FO_OK;
}

static enum fo_lane
builtin_lane(const char *type)
{
    return strcmp(type, "order_status") == 0 || strcmp(type, "store_status") == 0 ? FO_LANE_HIGH : FO_LANE_NORMAL;
}

enum fo_err
fo_schema_set_add_builtin(struct fo_schema_set *set, struct fo_fault *ret_fault)
{
    enum fo_err err;

    for (unsigned i = 0; i < fo_builtin_schema_count; i++) {
        const struct fo_builtin_schema *b = &fo_builtin_schemas[i];
        if ((err = fo_schema_set_add(set, b->type, builtin_lane(b->type), fo_slice_str(b->text), ret_fault)) != FO_OK)
            return err;
    }
    return fo_schema_set_add(set, "custom", FO_LANE_NORMAL, (struct fo_slice){ NULL, 0 }, ret_fault);
}

enum fo_err
fo_schema_set_find(const struct fo_schema_set *set, struct fo_slice type, unsigned *ret_type_index, enum fo_lane *ret_lane)
{
    uint32_t slot = *slot_of(set, type);

    if (slot == 0)
        return FO_ERR_UNKNOWN_TYPE;
    *ret_type_index = slot - 1;
    *ret_lane = set->types[slot - 1].lane;
    return FO_OK;
}

enum fo_err
fo_schema_check(const struct fo_schema_set *set, unsigned type_index, struct fo_slice data, struct fo_fault *ret_fault)
{
    const struct schema_node *root = set->types[type_index].root;

    if (data.n > 0)
        return fo_schema_node_check(root, data, ret_fault);
    return root == NULL ? FO_OK : fo_fault_set(ret_fault, FO_ERR_SCHEMA, "data", "required by the type's schema");
}

const char *
fo_schema_type_name(const struct fo_schema_set *set, unsigned type_index)
{
    return type_index < set->count ? set->types[type_index].name : NULL;
}
