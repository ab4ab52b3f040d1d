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

    *a = (struct fo_fetch_answer){ .enc = enc, .out = out };
    if ((err = fo_buf_reserve(out, 64)) != FO_OK)
        return err;
    fo_emit_map(&e, 4);
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

/* The position's text up to the sequence is the same for a whole batch. */
static void
note_batch(struct fo_fetch_answer *a, const char *region, const struct fo_position *pos)
{
    size_t n = strlen(region);

    if (a->count > 0 && pos->epoch == a->last.epoch && pos->lane == a->last.lane && n == a->last_region_bytes && memcmp(region, a->last_text, n) == 0)
        return;
    a->last = *pos;
    a->last_region_bytes = n;
    fo_position_format(region, *pos, a->last_text);
    a->last_text_bytes = (size_t)(strrchr(a->last_text, ':') + 1 - a->last_text);
}

static unsigned
digits_of(uint64_t v)
{
    unsigned n = 1;

    for (uint64_t next = 10; v >= next && n < 20; next *= 10)
        n++;
    return n;
}

/* What fo_emit would write, in one go: this is done for each event and reader. */
static enum fo_err
add_msgpack(struct fo_fetch_answer *a, const char *region, const struct fo_position *pos, struct fo_slice record)
{
    static const uint8_t position[] = "\x82\xa8" "position", event[] = "\xa5" "event";
    enum { POSITION_BYTES = sizeof position - 1, EVENT_BYTES = sizeof event - 1, FIXSTR_BYTES_MAX = 31 };
    unsigned digits = digits_of(pos->seq);
    uint64_t seq = pos->seq;
    size_t text_bytes;
    uint8_t *p;
    enum fo_err err = fo_buf_reserve(a->out, POSITION_BYTES + 2 + FO_POSITION_SIZE + EVENT_BYTES + record.n);

    if (err != FO_OK)
        return err;
    note_batch(a, region, pos);
    text_bytes = a->last_text_bytes + digits;
    p = a->out->p + a->out->n;
    memcpy(p, position, POSITION_BYTES);
    p += POSITION_BYTES;
    if (text_bytes > FIXSTR_BYTES_MAX)
        *p++ = 0xd9;
    *p++ = (uint8_t)(text_bytes > FIXSTR_BYTES_MAX ? text_bytes : 0xa0 | text_bytes);
    memcpy(p, a->last_text, a->last_text_bytes);
    p += a->last_text_bytes;
    for (unsigned i = digits; i-- > 0; seq /= 10)
        p[i] = (uint8_t)('0' + seq % 10);
    p += digits;
    memcpy(p, event, EVENT_BYTES);
    p += EVENT_BYTES;
    memcpy(p, record.p, record.n);
    a->out->n = (size_t)(p + record.n - a->out->p);
    a->count++;
    return FO_OK;
}

static void
emit_targets(struct fo_emit *e, const struct fo_target *targets, unsigned count)
{
    if (count == 0)
        return;
    fo_emit_key(e, "targets");
    fo_emit_array(e, count);
    for (unsigned i = 0; i < count; i++)
        fo_emit_str(e, targets[i].region);
    fo_emit_array_end(e);
}

enum fo_err
fo_fetch_answer_add(struct fo_fetch_answer *a, const char *region, const struct fo_position *pos, struct fo_slice record,
    const struct fo_target *targets, unsigned target_count)
{
    struct fo_emit e = fo_emit_of(a->enc, a->out);
    char text[FO_POSITION_SIZE];
    size_t before = a->out->n;

    if (a->enc == FO_ENC_MSGPACK && target_count == 0)
        return add_msgpack(a, region, pos, record);
    fo_position_format(region, *pos, text);
    e.needs_comma = a->count > 0;
    fo_emit_map(&e, 2 + (target_count > 0));
    fo_emit_key(&e, "position");
    fo_emit_cstr(&e, text);
    emit_targets(&e, targets, target_count);
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
fo_fetch_answer_finish(struct fo_fetch_answer *a, struct fo_slice cursor, struct fo_wall through)
{
    struct fo_emit e = fo_emit_of(a->enc, a->out);
    char time[FO_RFC3339_SIZE];

    if (a->enc == FO_ENC_MSGPACK)
        for (unsigned i = 0; i < COUNT_BYTES; i++)
            a->out->p[a->count_at + i] = (uint8_t)(a->count >> (8 * (COUNT_BYTES - 1 - i)));
    fo_emit_array_end(&e);
    fo_emit_key(&e, "cursor");
    fo_emit_str(&e, cursor);
    fo_wall_format(through, time);
    fo_emit_key(&e, "through");
    fo_emit_cstr(&e, time);
    fo_emit_map_end(&e);
    return e.err;
}
