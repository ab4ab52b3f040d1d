/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON Schema as it is checked: a tree whose strings borrow from the parsed schema, which is kept. Private to wire. */
#pragma once
#include <jansson.h>
#include "wire/error.h"
#include "wire/msgpack.h"

enum {                                      /* bits of schema_node.types */
    FO_SCHEMA_NULL = 1, FO_SCHEMA_BOOLEAN = 2, FO_SCHEMA_INTEGER = 4, FO_SCHEMA_NUMBER = 8,
    FO_SCHEMA_STRING = 16, FO_SCHEMA_ARRAY = 32, FO_SCHEMA_OBJECT = 64,
};
enum { FO_SCHEMA_TYPES = 7, FO_SCHEMA_REQUIRED_MAX = 64 };
extern const char *const fo_schema_type_names[FO_SCHEMA_TYPES];   /* by bit */

struct schema_number { bool is_set, is_int; int64_t i; double f; };   /* f: also when is_int */

struct schema_scalar { enum fo_mp_kind kind; bool boolean; struct schema_number number; struct fo_slice s; };  /* kind: NIL, BOOL, FLOAT (any number), STR */

struct schema_node;
struct schema_prop { struct fo_slice name; struct schema_node *node; };       /* node null: any value */

struct schema_node {
    uint8_t types;                          /* 0: any */
    bool is_closed;                         /* additionalProperties false */
    struct schema_prop *props; uint32_t prop_count;
    uint32_t required_count;                /* the first of props are required */
    struct schema_node *additional, *items; /* null: any */
    struct schema_scalar *values; uint32_t value_count;     /* enum or const; 0: any */
    struct schema_number minimum, maximum, exclusive_minimum, exclusive_maximum;
    uint64_t length_min, length_max;        /* code points of a string */
    uint64_t items_min, items_max;
};

/* path: JSON pointer in ret_fault. FO_ERR_SCHEMA, FO_ERR_NO_MEMORY. `json` must outlive the node. */
FO_MUST_CHECK enum fo_err fo_schema_node_create(const json_t *json, struct schema_node **ret_node, struct fo_fault *ret_fault);
void fo_schema_node_destroy(struct schema_node *node);
/* node null: only well-formedness. data: n > 0. */
FO_MUST_CHECK enum fo_err fo_schema_node_check(const struct schema_node *node, struct fo_slice data, struct fo_fault *ret_fault);

struct fo_builtin_schema { const char *type, *text; };
extern const struct fo_builtin_schema fo_builtin_schemas[];     /* generated from proto/schemas */
extern const unsigned fo_builtin_schema_count;
