/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole check of one value from outside. Recursive, but never deeper than depth_max, and with small frames. */
#include "wire/msgpack.h"

#include <math.h>

#include "base/names.h"
#include "base/utf8.h"
#include "wire/msgpack_check.h"

enum fo_err
fo_mp_check_text(struct fo_slice s)
{
    size_t i = fo_ascii_span(s.p, s.n, 1, 0x7f);

    if (i == s.n)
        return FO_OK;
    if (memchr(s.p + i, 0, s.n - i) != NULL)
        return FO_ERR_INVALID;
    return fo_utf8_is_valid(s.p + i, s.n - i) ? FO_OK : FO_ERR_UTF8;
}

enum fo_err
fo_mp_fault(struct fo_fault *ret_fault, enum fo_err err, const char *path)
{
    switch (err) {
    case FO_ERR_TRUNCATED: return fo_fault_set(ret_fault, err, path, "the message ends inside this value, or it claims more than follows");
    case FO_ERR_PARSE: return fo_fault_set(ret_fault, err, path, "not msgpack: byte 0xc1 has no meaning");
    case FO_ERR_DEPTH: return fo_fault_set(ret_fault, err, path, "maps and arrays nested at most %d deep", FO_NESTING_MAX);
    case FO_ERR_DUPLICATE_KEY: return fo_fault_set(ret_fault, err, path, "each key once in a map");
    case FO_ERR_UTF8: return fo_fault_set(ret_fault, err, path, "text in valid UTF-8");
    case FO_ERR_TOO_LARGE: return fo_fault_set(ret_fault, err, path, "at most %d keys in a map", FO_MP_MAP_KEYS_MAX);
    case FO_ERR_TYPE: return fo_fault_set(ret_fault, err, path, "map keys that are text");
    case FO_ERR_INVALID: return fo_fault_set(ret_fault, err, path, "text without NUL, integers up to 9223372036854775807, finite numbers");
    default: return fo_fault_set(ret_fault, err, path, "%s", fo_err_text(err));
    }
}

/* A large map's keys, sorted by hash and then by bytes, so that equal keys come to stand side by side. */
struct key_order { struct fo_reader map; uint64_t entry[FO_MP_MAP_KEYS_MAX]; };    /* entry: hash, offset in map */

static struct fo_slice
key_of(const struct key_order *o, uint64_t entry)
{
    struct fo_reader r = { o->map.p + (uint32_t)entry, o->map.end };
    struct fo_slice s = { NULL, 0 };

    return fo_mp_read_str(&r, &s) == FO_OK ? s : (struct fo_slice){ NULL, 0 };  /* read once before: cannot fail */
}

static int
compare_entries(const struct key_order *o, uint64_t a, uint64_t b)
{
    struct fo_slice s, t;

    if (a >> 32 != b >> 32)
        return a >> 32 < b >> 32 ? -1 : 1;
    s = key_of(o, a);
    t = key_of(o, b);
    if (s.n != t.n)
        return s.n < t.n ? -1 : 1;
    return s.n > 0 ? memcmp(s.p, t.p, s.n) : 0;
}

static void
sift_down(struct key_order *o, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1;
        uint64_t swap;

        if (child >= count)
            return;
        if (child + 1 < count && compare_entries(o, o->entry[child], o->entry[child + 1]) < 0)
            child++;
        if (compare_entries(o, o->entry[root], o->entry[child]) >= 0)
            return;
        swap = o->entry[root];
        o->entry[root] = o->entry[child];
        o->entry[child] = swap;
        root = child;
    }
}

/* Heap sort: no worst case that a sender could aim at. */
static void
sort_entries(struct key_order *o, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(o, i, count);
    for (uint32_t i = count; i-- > 1;) {
        uint64_t swap = o->entry[0];
        o->entry[0] = o->entry[i];
        o->entry[i] = swap;
        sift_down(o, 0, i);
    }
}

enum fo_err
fo_mp_check_large_keys(struct fo_reader r, uint32_t pairs, unsigned depth_max)
{
    struct key_order o;

    if (pairs > FO_MP_MAP_KEYS_MAX || fo_reader_left(&r) > UINT32_MAX)
        return FO_ERR_TOO_LARGE;
    o.map = r;
    for (uint32_t i = 0; i < pairs; i++) {
        uint64_t at = (uint64_t)(r.p - o.map.p);
        uint32_t hash = 2166136261u;
        struct fo_slice key;
        enum fo_err err;

        if ((err = fo_mp_read_str(&r, &key)) != FO_OK)
            return err;
        for (size_t k = 0; k < key.n; k++)
            hash = (hash ^ key.p[k]) * 16777619u;
        o.entry[i] = (uint64_t)hash << 32 | at;
        if ((err = fo_mp_skip(&r, depth_max)) != FO_OK)
            return err;
    }
    sort_entries(&o, pairs);
    for (uint32_t i = 1; i < pairs; i++)
        if (compare_entries(&o, o.entry[i - 1], o.entry[i]) == 0)
            return FO_ERR_DUPLICATE_KEY;
    return FO_OK;
}

static enum fo_err check_value(struct fo_reader *r, unsigned depth_left);

static enum fo_err
check_map(struct fo_reader *r, uint32_t pairs, unsigned depth_left)
{
    bool is_small = pairs <= FO_MP_KEYS_SMALL;
    struct fo_mp_keys keys;
    enum fo_err err;

    keys.filter = 0;
    keys.count = 0;
    if (!is_small && (err = fo_mp_check_large_keys(*r, pairs, depth_left)) != FO_OK)
        return err;
    while (pairs-- > 0) {
        struct fo_slice key;

        if ((err = fo_mp_read_str(r, &key)) != FO_OK || (err = fo_mp_check_text(key)) != FO_OK)
            return err;
        if (is_small && fo_mp_keys_add(&keys, key))
            return FO_ERR_DUPLICATE_KEY;
        if ((err = check_value(r, depth_left)) != FO_OK)
            return err;
    }
    return FO_OK;
}

static enum fo_err
check_value(struct fo_reader *r, unsigned depth_left)
{
    struct fo_mp v;
    enum fo_err err = fo_mp_read(r, &v);

    if (err != FO_OK)
        return err;
    switch (v.kind) {
    case FO_MP_STR:
        return fo_mp_check_text(v.s);
    case FO_MP_UINT:
        return v.u <= INT64_MAX ? FO_OK : FO_ERR_INVALID;
    case FO_MP_FLOAT:
        return isfinite(v.f) ? FO_OK : FO_ERR_INVALID;
    case FO_MP_MAP:
        return depth_left == 0 ? FO_ERR_DEPTH : check_map(r, v.count, depth_left - 1);
    case FO_MP_ARRAY:
        if (depth_left == 0)
            return FO_ERR_DEPTH;
        for (uint32_t i = 0; i < v.count; i++)
            if ((err = check_value(r, depth_left - 1)) != FO_OK)
                return err;
        return FO_OK;
    default:
        return FO_OK;
    }
}

enum fo_err
fo_mp_check(struct fo_reader *r, unsigned depth_max)
{
    return check_value(r, depth_max);
}
