/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fetch_answer.h"

#include "wire/emit.h"

enum { COUNT_BYTES = 4 };       /* of a msgpack array32, filled in at the end */

enum fo_err
fo_fetch_answer_begin(struct fo_fetch_answer *a, enum fo_encoding enc, struct fo_buf *out)
{
    struct fo_emit e = fo_emit_of(enc, out);
    static const uint8_t array32[1 + COUNT_BYTES] = { 0xdd };
    enum fo_err err;

    *a = (struct fo_fetch_answer){ .enc = enc, .out = out, .start = out->n };
    if ((err = fo_buf_reserve(out, 64)) != FO_OK)
        return err;
    fo_emit_map(&e, 3);
    fo_emit_key(&e, "success");
    fo_emit_bool(&e, true);
    fo_emit_key(&e, "events");
    if (enc == FO_ENC_JSON)
        fo_emit_array(&e, 0);
    else
        fo_emit_raw(&e, fo_slice_of(array32, sizeof(array32)));
    a->count_at = out->n - COUNT_BYTES;
    return e.err;
}

enum fo_err
fo_fetch_answer_add(struct fo_fetch_answer *a, const char *region, struct fo_position pos, struct fo_slice record)
{
    struct fo_emit e = fo_emit_of(a->enc, a->out);
    char text[FO_POSITION_SIZE];
    size_t before = a->out->n;

    fo_position_format(region, pos, text);
    e.needs_comma = a->count > 0;
    fo_emit_map(&e, 2);
    fo_emit_key(&e, "position");
    fo_emit_cstr(&e, text);
    fo_emit_key(&e, "event");
    if (a->enc == FO_ENC_MSGPACK)
        fo_emit_raw(&e, record);
    else if (e.err == FO_OK)
        e.err = fo_event_write_json(record, a->out);
    fo_emit_map_end(&e);
    if (e.err != FO_OK)
        a->out->n = before;
    else
        a->count++;
    return e.err;
}

enum fo_err
fo_fetch_answer_finish(struct fo_fetch_answer *a, struct fo_slice cursor)
{
    struct fo_emit e = fo_emit_of(a->enc, a->out);

    if (a->enc == FO_ENC_MSGPACK)
        for (unsigned i = 0; i < COUNT_BYTES; i++)
            a->out->p[a->count_at + i] = (uint8_t)(a->count >> (8 * (COUNT_BYTES - 1 - i)));
    fo_emit_array_end(&e);
    fo_emit_key(&e, "cursor");
    fo_emit_str(&e, cursor);
    fo_emit_map_end(&e);
    return e.err;
}
