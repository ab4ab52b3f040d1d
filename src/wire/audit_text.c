/* SPDX-License-Identifier: Apache-2.0
 *
 * Audits at the door: the request's fields, and a statement as JSON. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "wire/audit.h"
#include "wire/msgpack.h"

static enum fo_err
read_region(struct fo_reader *r, const char *name, char ret_region[FO_REGION_BYTES_MAX + 1], struct fo_fault *fault)
{
    struct fo_slice s;

    if (r == NULL)
        return FO_OK;
    if (fo_mp_read_str(r, &s) != FO_OK)
        return fo_fault_set(fault, FO_ERR_TYPE, name, "a region's name");
    if (!fo_region_name_is_valid(s))
        return fo_fault_set(fault, FO_ERR_UNKNOWN_REGION, name, "a region's name: " FO_REGION_NAME_RULE);
    memcpy(ret_region, s.p, s.n);
    ret_region[s.n] = '\0';
    return FO_OK;
}

static bool
lane_of(struct fo_slice name, enum fo_lane *ret_lane)
{
    for (unsigned i = 0; i < FO_LANES; i++)
        if (fo_slice_is_equal(name, fo_slice_str(fo_lane_name((enum fo_lane)i)))) {
            *ret_lane = (enum fo_lane)i;
            return true;
        }
    return false;
}

static bool
read_mark(struct fo_reader *r, struct fo_mark *ret_mark)
{
    uint32_t n;

    return fo_mp_read_array(r, &n) == FO_OK && n == 2 && fo_mp_read_uint(r, &ret_mark->epoch) == FO_OK && fo_mp_read_uint(r, &ret_mark->seq) == FO_OK;
}

/* {"high": [epoch, sequence], ...}; lanes that it does not name stay as they are. */
static enum fo_err
read_marks(struct fo_reader *r, const char *name, struct fo_mark *ret_mark, struct fo_fault *fault)
{
    uint32_t pairs = 0;
    struct fo_slice key;
    enum fo_lane lane;
    unsigned seen = 0;
    bool is_valid = r == NULL || fo_mp_read_map(r, &pairs) == FO_OK;

    while (is_valid && pairs-- > 0) {
        is_valid = fo_mp_read_str(r, &key) == FO_OK && lane_of(key, &lane) && read_mark(r, &ret_mark[lane]);
        if (is_valid && seen >> lane & 1)
            return fo_fault_set(fault, FO_ERR_DUPLICATE_KEY, name, "each lane once");
        seen |= is_valid ? 1u << lane : 0;
    }
    return is_valid ? FO_OK : fo_fault_set(fault, FO_ERR_INVALID, name, "{\"high\": [epoch, sequence], ...} by lane");
}

static enum fo_err
read_lane(struct fo_reader *r, enum fo_lane *ret_lane, struct fo_fault *fault)
{
    struct fo_slice s;

    if (r != NULL && (fo_mp_read_str(r, &s) != FO_OK || !lane_of(s, ret_lane)))
        return fo_fault_set(fault, FO_ERR_PRIORITY, "lane", "one of high, normal, low");
    return FO_OK;
}

/* "a1." and 1 to 16 lower-case hexadecimal digits. */
static bool
parse_cursor(struct fo_slice s, uint64_t *ret_lsn)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t lsn = 0;

    if (s.n < 4 || s.n > 19 || memcmp(s.p, "a1.", 3) != 0)
        return false;
    for (size_t i = 3; i < s.n; i++) {
        const char *digit = memchr(digits, s.p[i], 16);

        if (digit == NULL)
            return false;
        lsn = lsn << 4 | (uint64_t)(digit - digits);
    }
    *ret_lsn = lsn;
    return true;
}

static enum fo_err
read_list(const struct fo_audit_fields *f, struct fo_audit_query *q, struct fo_fault *fault)
{
    struct fo_slice cursor = { NULL, 0 };
    uint64_t max = 1000;
    struct fo_mp v;

    if (f->list != NULL && (fo_mp_read(f->list, &v) != FO_OK || v.kind != FO_MP_BOOL))
        return fo_fault_set(fault, FO_ERR_TYPE, "list", "true or false");
    q->is_list = f->list != NULL && v.boolean;
    if (f->max != NULL && (fo_mp_read_uint(f->max, &max) != FO_OK || max < 1 || max > FO_AUDIT_LIST_MAX))
        return fo_fault_set(fault, FO_ERR_INVALID, "max", "an integer from 1 to %d", FO_AUDIT_LIST_MAX);
    q->max = (uint32_t)max;
    if (f->cursor == NULL || (fo_mp_read_str(f->cursor, &cursor) == FO_OK && parse_cursor(cursor, &q->from_lsn)))
        return FO_OK;
    return fo_fault_set(fault, FO_ERR_INVALID, "cursor", "the \"next\" of an earlier answer");
}

enum fo_err
fo_audit_query_decode(const struct fo_audit_fields *f, struct fo_audit_query *ret_q, struct fo_fault *ret_fault)
{
    struct fo_audit_query *q = ret_q;
    enum fo_err err;

    *q = (struct fo_audit_query){ .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END } };
    if ((err = read_region(f->source, "source", q->source, ret_fault)) != FO_OK || (err = read_region(f->target, "target", q->target, ret_fault)) != FO_OK)
        return err;
    if (q->source[0] != '\0' && q->target[0] != '\0')
        return fo_fault_set(ret_fault, FO_ERR_INVALID, "target", "either source or target");
    if ((err = read_marks(f->after, "after", q->after, ret_fault)) != FO_OK || (err = read_marks(f->up_to, "upTo", q->up_to, ret_fault)) != FO_OK)
        return err;
    if (f->ledger != NULL && !read_mark(f->ledger, &q->ledger))
        return fo_fault_set(ret_fault, FO_ERR_INVALID, "ledger", "[epoch, lsn] of the ledger's cursor");
    if ((err = read_lane(f->lane, &q->lane, ret_fault)) != FO_OK)
        return err;
    return read_list(f, q, ret_fault);
}

static json_t *
mark_json(struct fo_mark m)
{
    return m.epoch == 0 ? json_null() : m.epoch == UINT64_MAX ? json_string("end")
        : json_pack("[I,I]", (json_int_t)m.epoch, (json_int_t)m.seq);
}

static json_t *
hex_json(const uint8_t hash[FO_HASH_BYTES])
{
    char text[2 * FO_HASH_BYTES + 1];

    for (int i = 0; i < FO_HASH_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return json_string(text);
}

static json_t *
flow_json(const struct fo_audit_flow *f)
{
    json_t *json = json_pack("{s:s,s:s}", "region", f->region, "lane", fo_lane_name(f->lane));

    for (unsigned i = 0; i < FO_AUDIT_STATES; i++)
        json_object_set_new(json, fo_audit_state_name((enum fo_audit_state)i), json_integer((json_int_t)f->count[i]));
    json_object_set_new(json, "misplaced", json_integer((json_int_t)f->misplaced));
    json_object_set_new(json, "first", mark_json(f->first));
    json_object_set_new(json, "trimmed", mark_json(f->trimmed));
    json_object_set_new(json, "upTo", mark_json(f->up_to));
    json_object_set_new(json, "digest", hex_json(f->digest));
    return json;
}

static json_t *
lane_json(const struct fo_audit_lane *l, unsigned lane)
{
    return json_pack("{s:s,s:I,s:I,s:o,s:o,s:I,s:I,s:o,s:o}", "lane", fo_lane_name((enum fo_lane)lane), "accepted", (json_int_t)l->accepted,
        "holes", (json_int_t)l->holes, "trimmed", mark_json(l->trimmed), "end", mark_json(l->end), "ledgerRows", (json_int_t)l->ledger_rows,
        "ledgerMoving", (json_int_t)l->ledger_moving, "ledgerUpTo", mark_json(l->ledger_up_to), "ledgerDigest", hex_json(l->ledger_digest));
}

static json_t *
time_json(struct fo_wall t)
{
    char text[FO_RFC3339_SIZE];

    if (t.us == 0)
        return json_null();
    fo_wall_format(t, text);
    return json_string(text);
}

/* As in a request: the lanes that are restricted; nowhere: the mark of those that are not. */
static void
add_marks(json_t *json, const char *name, const struct fo_mark m[FO_LANES], uint64_t nowhere)
{
    json_t *marks = json_object();

    for (unsigned i = 0; i < FO_LANES; i++)
        if (m[i].epoch != nowhere)
            json_object_set_new(marks, fo_lane_name((enum fo_lane)i), json_pack("[I,I]", (json_int_t)m[i].epoch, (json_int_t)m[i].seq));
    if (json_object_size(marks) > 0)
        json_object_set(json, name, marks);
    json_decref(marks);
}

static json_t *
damage_json(const struct fo_audit_damage *d)
{
    static const char *const type[] = { "unknown", "checkpoint", "own", "received", "ack" };

    return json_pack("{s:I,s:s,s:s,s:i}", "lsn", (json_int_t)d->lsn, "type", type[d->type <= 4 ? d->type : 0], "lane",
        fo_lane_name((enum fo_lane)(d->lane < FO_LANES ? d->lane : 0)), "count", (int)d->count);
}

json_t *
fo_audit_to_json(const struct fo_audit_statement *s)
{
    json_t *json = json_object(), *list;
    char epoch[17];

    snprintf(epoch, sizeof epoch, "%" PRIx64, s->epoch);
    json_object_set_new(json, "region", json_string(s->region));
    json_object_set_new(json, "epoch", json_string(epoch));
    json_object_set_new(json, "madeAt", time_json(s->made_at));
    json_object_set_new(json, "from", time_json(s->from));
    json_object_set_new(json, "to", time_json(s->to));
    if (s->source[0] != '\0')
        json_object_set_new(json, "source", json_string(s->source));
    if (s->target[0] != '\0')
        json_object_set_new(json, "target", json_string(s->target));
    add_marks(json, "after", s->after, 0);
    add_marks(json, "upTo", s->up_to, UINT64_MAX);
    if (s->ledger.epoch != 0)
        json_object_set_new(json, "ledger", mark_json(s->ledger));
    json_object_set_new(json, "completeFrom", time_json(s->complete_from));
    json_object_set_new(json, "damaged", json_integer((json_int_t)s->damaged));
    json_object_set_new(json, "damage", list = json_array());
    for (unsigned i = 0; i < s->damaged && i < FO_AUDIT_DAMAGED_MAX; i++)
        json_array_append_new(list, damage_json(&s->damage[i]));
    if (s->source[0] == '\0') {
        json_object_set_new(json, "lanes", list = json_array());
        for (unsigned i = 0; i < FO_LANES; i++)
            json_array_append_new(list, lane_json(&s->lane[i], i));
    }
    json_object_set_new(json, "flows", list = json_array());
    for (unsigned i = 0; i < s->flow_count; i++)
        json_array_append_new(list, flow_json(&s->flow[i]));
    return json;
}
