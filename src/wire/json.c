/* SPDX-License-Identifier: Apache-2.0
 *
 * jansson parses and prints; the walks here stay within a request's nesting, so that their recursion is bounded. */
#include "wire/json.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/names.h"
#include "wire/msgpack.h"

static enum fo_err
parse_error_code(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key: return FO_ERR_DUPLICATE_KEY;
    case json_error_invalid_utf8: return FO_ERR_UTF8;
    case json_error_premature_end_of_input: return FO_ERR_TRUNCATED;
    case json_error_end_of_input_expected: return FO_ERR_TRAILING;
    case json_error_stack_overflow: return FO_ERR_DEPTH;
    case json_error_out_of_memory: return FO_ERR_NO_MEMORY;
    case json_error_numeric_overflow:
    case json_error_null_character:
    case json_error_null_byte_in_key: return FO_ERR_INVALID;
    default: return FO_ERR_PARSE;
    }
}

static bool
is_within(const json_t *json, unsigned depth_left)
{
    const char *key;
    json_t *value;
    size_t i;

    if (!json_is_array(json) && !json_is_object(json))
        return true;
    if (depth_left == 0)
        return false;
    json_object_foreach((json_t *)json, key, value)
        if (!is_within(value, depth_left - 1))
            return false;
    json_array_foreach(json, i, value)
        if (!is_within(value, depth_left - 1))
            return false;
    return true;
}

enum fo_err
fo_json_parse(struct fo_slice text, json_t **ret_json, struct fo_fault *ret_fault)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (json == NULL)
        return fo_fault_set(ret_fault, parse_error_code(&error), "", "line %d, column %d: %s", error.line, error.column, error.text);
    if (!is_within(json, FO_JSON_NESTING_MAX)) {
        json_decref(json);
        return fo_fault_set(ret_fault, FO_ERR_DEPTH, "", "maps and arrays nested at most %d deep", FO_NESTING_MAX);
    }
    *ret_json = json;
    return FO_OK;
}

static enum fo_err
add_scalar(const json_t *json, struct fo_buf *out)
{
    struct fo_slice s = { (const uint8_t *)json_string_value(json), json_string_length(json) };
    struct fo_writer w;
    enum fo_err err;

    if ((err = fo_buf_reserve(out, s.n + 9)) != FO_OK)
        return err;
    w = fo_writer_of(out->p + out->n, s.n + 9);
    switch (json_typeof(json)) {
    case JSON_STRING: fo_mp_write_str(&w, s); break;
    case JSON_INTEGER: fo_mp_write_int(&w, json_integer_value(json)); break;
    case JSON_REAL: fo_mp_write_float(&w, json_real_value(json)); break;
    case JSON_TRUE: case JSON_FALSE: fo_mp_write_bool(&w, json_is_true(json)); break;
    default: fo_mp_write_nil(&w);
    }
    out->n += w.n;
    return FO_OK;
}

static enum fo_err
add_head(struct fo_buf *out, bool is_map, size_t count)
{
    struct fo_writer w;
    enum fo_err err;

    if (count > UINT32_MAX)
        return FO_ERR_TOO_LARGE;
    if ((err = fo_buf_reserve(out, 5)) != FO_OK)
        return err;
    w = fo_writer_of(out->p + out->n, 5);
    if (is_map)
        fo_mp_write_map(&w, (uint32_t)count);
    else
        fo_mp_write_array(&w, (uint32_t)count);
    out->n += w.n;
    return FO_OK;
}

static enum fo_err
add_key(const char *key, size_t n, struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err;

    if ((err = fo_buf_reserve(out, n + 5)) != FO_OK)
        return err;
    w = fo_writer_of(out->p + out->n, n + 5);
    fo_mp_write_str(&w, fo_slice_of(key, n));
    out->n += w.n;
    return FO_OK;
}

static enum fo_err
add_value(const json_t *json, unsigned depth_left, struct fo_buf *out)
{
    enum fo_err err;
    const char *key;
    json_t *value;
    size_t i, key_n;

    if (!json_is_object(json) && !json_is_array(json))
        return add_scalar(json, out);
    if (depth_left == 0)
        return FO_ERR_DEPTH;
    if (json_is_array(json)) {
        if ((err = add_head(out, false, json_array_size(json))) != FO_OK)
            return err;
        json_array_foreach(json, i, value)
            if ((err = add_value(value, depth_left - 1, out)) != FO_OK)
                return err;
        return FO_OK;
    }
    if ((err = add_head(out, true, json_object_size(json))) != FO_OK)
        return err;
    json_object_keylen_foreach((json_t *)json, key, key_n, value)
        if ((err = add_key(key, key_n, out)) != FO_OK || (err = add_value(value, depth_left - 1, out)) != FO_OK)
            return err;
    return FO_OK;
}

enum fo_err
fo_json_to_msgpack(const json_t *json, struct fo_buf *out)
{
    return add_value(json, FO_JSON_NESTING_MAX, out);
}

static enum fo_err
from_bytes(const struct fo_mp *v, json_t **ret_json)
{
    size_t text_max = sodium_base64_ENCODED_LEN(v->s.n, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(text_max);
    json_t *json = json_object();
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (text == NULL || json == NULL)
        goto cleanup;
    sodium_bin2base64(text, text_max, v->s.p, v->s.n, sodium_base64_VARIANT_ORIGINAL);
    if (v->kind == FO_MP_EXT && json_object_set_new(json, "$ext", json_integer(v->ext_type)) != 0)
        goto cleanup;
    if (json_object_set_new(json, "$base64", json_string(text)) != 0)
        goto cleanup;
    *ret_json = json;
    json = NULL;
    err = FO_OK;
cleanup:
    json_decref(json);
    free(text);
    return err;
}

static enum fo_err from_value(struct fo_reader *r, unsigned depth_left, json_t **ret_json);

static enum fo_err
from_key(struct fo_reader *r, char buf[24], struct fo_slice *ret_key)
{
    struct fo_mp key;
    enum fo_err err = fo_mp_read(r, &key);

    if (err != FO_OK)
        return err;
    if (key.kind == FO_MP_STR)
        *ret_key = key.s;
    else if (key.kind == FO_MP_UINT)
        *ret_key = fo_slice_of(buf, (size_t)snprintf(buf, 24, "%llu", (unsigned long long)key.u));
    else if (key.kind == FO_MP_INT)
        *ret_key = fo_slice_of(buf, (size_t)snprintf(buf, 24, "%lld", (long long)key.i));
    else
        return FO_ERR_TYPE;
    return FO_OK;
}

static enum fo_err
from_map(struct fo_reader *r, uint32_t pairs, unsigned depth_left, json_t **ret_json)
{
    json_t *json = json_object(), *value = NULL;
    enum fo_err err = json == NULL ? FO_ERR_NO_MEMORY : FO_OK;

    while (err == FO_OK && pairs-- > 0) {
        struct fo_slice key;
        char buf[24];

        if ((err = from_key(r, buf, &key)) != FO_OK || (err = from_value(r, depth_left, &value)) != FO_OK)
            break;
        if (json_object_getn(json, (const char *)key.p, key.n) != NULL) {
            json_decref(value);
            err = FO_ERR_DUPLICATE_KEY;
        } else if (json_object_setn_new(json, (const char *)key.p, key.n, value) != 0) {
            err = FO_ERR_UTF8;
        }
    }
    if (err == FO_OK)
        *ret_json = json;
    else
        json_decref(json);
    return err;
}

static enum fo_err
from_array(struct fo_reader *r, uint32_t count, unsigned depth_left, json_t **ret_json)
{
    json_t *json = json_array(), *value = NULL;
    enum fo_err err = json == NULL ? FO_ERR_NO_MEMORY : FO_OK;

    while (err == FO_OK && count-- > 0)
        if ((err = from_value(r, depth_left, &value)) == FO_OK && json_array_append_new(json, value) != 0)
            err = FO_ERR_NO_MEMORY;
    if (err == FO_OK)
        *ret_json = json;
    else
        json_decref(json);
    return err;
}

static enum fo_err
from_value(struct fo_reader *r, unsigned depth_left, json_t **ret_json)
{
    struct fo_mp v;
    enum fo_err err = fo_mp_read(r, &v);
    json_t *json = NULL;

    if (err != FO_OK)
        return err;
    switch (v.kind) {
    case FO_MP_ARRAY: return depth_left == 0 ? FO_ERR_DEPTH : from_array(r, v.count, depth_left - 1, ret_json);
    case FO_MP_MAP: return depth_left == 0 ? FO_ERR_DEPTH : from_map(r, v.count, depth_left - 1, ret_json);
    case FO_MP_BIN: case FO_MP_EXT: return from_bytes(&v, ret_json);
    case FO_MP_NIL: json = json_null(); break;
    case FO_MP_BOOL: json = json_boolean(v.boolean); break;
    case FO_MP_UINT: json = v.u <= INT64_MAX ? json_integer((json_int_t)v.u) : json_real((double)v.u); break;
    case FO_MP_INT: json = json_integer(v.i); break;
    case FO_MP_FLOAT:
        if ((json = json_real(v.f)) == NULL)
            return FO_ERR_INVALID;          /* NaN and infinities have no JSON form */
        break;
    case FO_MP_STR:
        if ((json = json_stringn((const char *)v.s.p, v.s.n)) == NULL)
            return FO_ERR_UTF8;
        break;
    }
    if (json == NULL)
        return FO_ERR_NO_MEMORY;
    *ret_json = json;
    return FO_OK;
}

enum fo_err
fo_json_from_msgpack(struct fo_reader *r, json_t **ret_json)
{
    return from_value(r, FO_JSON_NESTING_MAX, ret_json);
}
