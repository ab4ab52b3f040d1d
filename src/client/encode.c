/* SPDX-License-Identifier: Apache-2.0
 *
 * See encode.h. An event's known attributes go under their numbers, which costs a byte instead of a name. */
#include "client/encode.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "wire/door.h"
#include "wire/json.h"
#include "wire/msgpack.h"

enum { HEAD_BYTES_MAX = 5 };        /* of any string, array or map */

static const struct {
    unsigned field;
    size_t at;                      /* of a const char * in struct fanout_event */
} text_fields[] = {
    { FO_FIELD_TENANT, offsetof(struct fanout_event, tenant) },
    { FO_FIELD_PARTITIONKEY, offsetof(struct fanout_event, key) },
    { FO_FIELD_PRIORITY, offsetof(struct fanout_event, priority) },
    { FO_FIELD_SOURCE, offsetof(struct fanout_event, source) },
    { FO_FIELD_SUBJECT, offsetof(struct fanout_event, subject) },
    { FO_FIELD_TIME, offsetof(struct fanout_event, time) },
    { FO_FIELD_EXPIRYTIME, offsetof(struct fanout_event, expirytime) },
};
enum { TEXT_FIELDS = sizeof(text_fields) / sizeof(text_fields[0]) };

static const char *
text_of(const struct fanout_event *e, unsigned i)
{
    const char *text;

    memcpy(&text, (const char *)e + text_fields[i].at, sizeof(text));
    return text;
}

static struct fo_writer
room_of(struct fo_buf *b)
{
    return fo_writer_of(b->p + b->n, b->cap - b->n);
}

static void
put_text(struct fo_writer *w, const char *name, const char *value)
{
    fo_mp_write_str(w, fo_slice_str(name));
    fo_mp_write_str(w, fo_slice_str(value));
}

/* JSON text to msgpack at the end of out; is_object: only an object will do, and its members go without the map around them. */
static enum fo_err
add_json(struct fo_slice text, bool is_object, struct fo_buf *out, uint32_t *ret_members, struct fo_fault *ret_fault)
{
    json_t *json = NULL, *value;
    const char *name;
    enum fo_err err = fo_json_parse(text, &json, ret_fault);

    if (err != FO_OK)
        return err;
    if (!is_object) {
        err = fo_json_to_msgpack(json, out);
        json_decref(json);
        return err;
    }
    if (!json_is_object(json))
        err = fo_fault_set(ret_fault, FO_ERR_TYPE, "extra_json", "must be a JSON object");
    json_object_foreach(json, name, value) {
        struct fo_writer w;
        if (err == FO_OK && (err = fo_buf_reserve(out, strlen(name) + HEAD_BYTES_MAX)) == FO_OK) {
            w = room_of(out);
            fo_mp_write_str(&w, fo_slice_str(name));
            out->n += w.n;
            err = fo_json_to_msgpack(value, out);
            ++*ret_members;
        }
    }
    json_decref(json);
    return err;
}

static size_t
attributes_bytes_max(const struct fanout_event *e, const char *id)
{
    size_t n = HEAD_BYTES_MAX + 2 * (1 + HEAD_BYTES_MAX) + strlen(id) + strlen(e->type) + 1 + HEAD_BYTES_MAX + 1;

    for (unsigned i = 0; i < TEXT_FIELDS; i++) {
        const char *text = text_of(e, i);
        n += text != NULL ? 1 + HEAD_BYTES_MAX + strlen(text) : 0;
    }
    for (size_t i = 0; i < e->target_count; i++)
        n += HEAD_BYTES_MAX + strlen(e->targets[i]);
    return n;
}

/* Everything but data and extra attributes, without the map's head. Returns the number of pairs. */
static uint32_t
write_attributes(const struct fanout_event *e, const char *id, struct fo_writer *w)
{
    uint32_t pairs = 2;

    fo_mp_write_uint(w, FO_FIELD_ID);
    fo_mp_write_str(w, fo_slice_str(id));
    fo_mp_write_uint(w, FO_FIELD_TYPE);
    fo_mp_write_str(w, fo_slice_str(e->type));
    for (unsigned i = 0; i < TEXT_FIELDS; i++) {
        const char *text = text_of(e, i);
        if (text == NULL)
            continue;
        fo_mp_write_uint(w, text_fields[i].field);
        fo_mp_write_str(w, fo_slice_str(text));
        pairs++;
    }
    if (e->target_count > 0) {
        fo_mp_write_uint(w, FO_FIELD_TARGETS);
        fo_mp_write_array(w, (uint32_t)e->target_count);
        for (size_t i = 0; i < e->target_count; i++)
            fo_mp_write_str(w, fo_slice_str(e->targets[i]));
        pairs++;
    }
    return pairs;
}

/* One whole value: a payload that ends early or late would spoil its neighbours in the request. */
static enum fo_err
add_msgpack(struct fo_slice value, struct fo_buf *out, struct fo_fault *ret_fault)
{
    struct fo_reader r = fo_reader_of(value);
    enum fo_err err = fo_mp_skip(&r, FO_NESTING_MAX);

    if (err == FO_OK && fo_reader_left(&r) > 0)
        err = FO_ERR_TRAILING;
    if (err != FO_OK)
        return fo_fault_set(ret_fault, err, "data", "%s", fo_err_text(err));
    return fo_buf_add(out, value.p, value.n);
}

static enum fo_err
add_data(const struct fanout_event *e, struct fo_buf *out, uint32_t *ret_pairs, struct fo_fault *ret_fault)
{
    struct fo_slice json = { (const uint8_t *)e->data_json, 0 };
    uint8_t field = FO_FIELD_DATA;
    enum fo_err err;

    if (e->data_json == NULL && e->data_msgpack == NULL)
        return FO_OK;
    ++*ret_pairs;
    if ((err = fo_buf_add(out, &field, 1)) != FO_OK)
        return err;
    if (e->data_json == NULL)
        return add_msgpack(fo_slice_of(e->data_msgpack, e->data_msgpack_size), out, ret_fault);
    json.n = e->data_json_size != 0 ? e->data_json_size : strlen(e->data_json);
    return add_json(json, false, out, NULL, ret_fault);
}

enum fo_err
fo_encode_event(const struct fanout_event *event, const char *made_id, struct fo_buf *out, struct fo_fault *ret_fault)
{
    size_t begin = out->n;
    const char *id = event->id != NULL ? event->id : made_id;
    uint32_t pairs;
    enum fo_err err;
    struct fo_writer w;

    if (event->type == NULL)
        return fo_fault_set(ret_fault, FO_ERR_MISSING, "type", "every event has a type");
    memset(ret_fault, 0, sizeof(*ret_fault));
    if ((err = fo_buf_reserve(out, attributes_bytes_max(event, id))) != FO_OK)
        return fo_fault_set(ret_fault, err, "", "%s", fo_err_text(err));
    /* the map's head has two bytes more than the shortest form: the pairs are counted while they are written */
    out->n += 3;
    w = room_of(out);
    pairs = write_attributes(event, id, &w);
    out->n += w.n;
    err = add_data(event, out, &pairs, ret_fault);
    if (err == FO_OK && event->extra_json != NULL)
        err = add_json(fo_slice_str(event->extra_json), true, out, &pairs, ret_fault);
    if (err == FO_OK && pairs > UINT16_MAX)
        err = FO_ERR_TOO_LARGE;
    if (err != FO_OK) {
        out->n = begin;
        if (ret_fault->err == FO_OK)
            fo_fault_set(ret_fault, err, "", "%s", fo_err_text(err));
        return err;
    }
    out->p[begin] = 0xde;
    out->p[begin + 1] = (uint8_t)(pairs >> 8);
    out->p[begin + 2] = (uint8_t)pairs;
    return FO_OK;
}

enum fo_err
fo_encoded_id(struct fo_slice events, struct fo_slice *ret_id)
{
    struct fo_reader r = fo_reader_of(events);
    uint64_t field;
    uint32_t pairs;

    /* it stands first, see write_attributes */
    if (fo_mp_read_map(&r, &pairs) == FO_OK && fo_mp_read_uint(&r, &field) == FO_OK && fo_mp_read_str(&r, ret_id) == FO_OK)
        return FO_OK;
    return FO_ERR_PROTO;
}

enum fo_err
fo_encode_publish(struct fo_slice events, uint32_t count, int wait, int timeout_ms, bool is_brief, struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err = fo_buf_reserve(out, FO_PUBLISH_HEAD_BYTES_MAX + events.n);

    if (err != FO_OK)
        return err;
    w = room_of(out);
    fo_mp_write_map(&w, 3 + (wait != FANOUT_WAIT_ACCEPTED));
    fo_mp_write_str(&w, FO_SLICE_LIT("brief"));
    fo_mp_write_bool(&w, is_brief);
    fo_mp_write_str(&w, FO_SLICE_LIT("timeoutMs"));
    fo_mp_write_uint(&w, timeout_ms < 1 ? 1 : timeout_ms < FO_REQUEST_TIMEOUT_MS_MAX ? (uint64_t)timeout_ms : FO_REQUEST_TIMEOUT_MS_MAX);
    if (wait != FANOUT_WAIT_ACCEPTED) {
        fo_mp_write_str(&w, FO_SLICE_LIT("wait"));
        if (wait == FANOUT_WAIT_ALL)
            fo_mp_write_str(&w, FO_SLICE_LIT("all"));
        else
            fo_mp_write_uint(&w, (uint64_t)wait);
    }
    fo_mp_write_str(&w, FO_SLICE_LIT("events"));
    fo_mp_write_array(&w, count);
    fo_write_bytes(&w, events.p, events.n);
    out->n += w.n;
    return FO_OK;
}

static size_t
filter_bytes_max(const struct fanout_filter *f)
{
    size_t n = 64;
    const char *text[] = { f->tenant, f->key, f->region };

    for (size_t i = 0; i < f->type_count; i++)
        n += HEAD_BYTES_MAX + strlen(f->types[i]);
    for (unsigned i = 0; i < 3; i++)
        n += text[i] != NULL ? strlen(text[i]) : 0;
    return n;
}

static void
write_filter(const struct fanout_filter *f, struct fo_writer *w)
{
    fo_mp_write_map(w, (f->type_count > 0) + (f->tenant != NULL) + (f->key != NULL) + (f->region != NULL));
    if (f->type_count > 0) {
        fo_mp_write_str(w, FO_SLICE_LIT("type"));
        fo_mp_write_array(w, (uint32_t)f->type_count);
        for (size_t i = 0; i < f->type_count; i++)
            fo_mp_write_str(w, fo_slice_str(f->types[i]));
    }
    if (f->tenant != NULL)
        put_text(w, "tenant", f->tenant);
    if (f->key != NULL)
        put_text(w, "key", f->key);
    if (f->region != NULL)
        put_text(w, "region", f->region);
}

static const char *const from_names[] = {
    [FANOUT_FROM_NOW] = "now", [FANOUT_FROM_EARLIEST] = "earliest", [FANOUT_FROM_TIME] = "time",
};

enum fo_err
fo_encode_fetch(const struct fo_fetch_ask *ask, struct fo_buf *out)
{
    size_t cursor_bytes = ask->cursor != NULL ? strlen(ask->cursor) : 0, time_bytes = ask->time != NULL ? strlen(ask->time) : 0;
    enum fo_err err = fo_buf_reserve(out, 192 + filter_bytes_max(ask->filter) + cursor_bytes + time_bytes);
    struct fo_writer w;

    if (err != FO_OK)
        return err;
    w = room_of(out);
    fo_mp_write_map(&w, 6 + (ask->from == FANOUT_FROM_TIME));
    put_text(&w, "op", "fetch");
    fo_mp_write_str(&w, FO_SLICE_LIT("filter"));
    write_filter(ask->filter, &w);
    if (ask->from == FANOUT_FROM_CURSOR)
        put_text(&w, "cursor", ask->cursor);
    else
        put_text(&w, "from", from_names[ask->from]);
    if (ask->from == FANOUT_FROM_TIME)
        put_text(&w, "time", ask->time);
    fo_mp_write_str(&w, FO_SLICE_LIT("max"));
    fo_mp_write_uint(&w, ask->events_max);
    fo_mp_write_str(&w, FO_SLICE_LIT("maxBytes"));
    fo_mp_write_uint(&w, ask->bytes_max);
    fo_mp_write_str(&w, FO_SLICE_LIT("waitMs"));
    fo_mp_write_uint(&w, (uint64_t)ask->wait_ms);
    out->n += w.n;
    return FO_OK;
}

enum fo_err
fo_encode_ping(struct fo_buf *out)
{
    struct fo_writer w;
    enum fo_err err = fo_buf_reserve(out, 16);

    if (err != FO_OK)
        return err;
    w = room_of(out);
    fo_mp_write_map(&w, 1);
    put_text(&w, "op", "ping");
    out->n += w.n;
    return FO_OK;
}
