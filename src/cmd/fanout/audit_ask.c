/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to brokers: signed statements, believed only as far as their signature goes, and lists page by page. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fanout/audit.h"

static void
fill_times(const struct audit *a, json_t *request)
{
    json_object_set_new(request, "op", json_string("audit"));
    json_object_set_new(request, "from", json_string(a->from_text));
    json_object_set_new(request, "to", json_string(a->to_text));
}

static json_t *
mark_json(struct fo_mark m)
{
    return json_pack("[I, I]", (json_int_t)m.epoch, (json_int_t)m.seq);
}

void
audit_add_mark(json_t *request, const char *name, enum fo_lane lane, struct fo_mark at)
{
    json_t *marks = json_object_get(request, name);

    if (marks == NULL)
        json_object_set_new(request, name, marks = json_object());
    json_object_set_new(marks, fo_lane_name(lane), mark_json(at));
}

json_t *
audit_list_request(const struct audit *a, enum fo_lane lane)
{
    json_t *request = json_pack("{s:b, s:i, s:s}", "list", 1, "max", (int)AUDIT_PAGE, "lane", fo_lane_name(lane));

    fill_times(a, request);
    return request;
}

/* Decoded base64, to be freed; p null: not base64. */
static struct fo_slice
bytes_of(const json_t *answer, const char *name)
{
    const char *text = cmd_text(answer, name, "");
    size_t room = strlen(text), n = 0;
    uint8_t *p = malloc(room + 1);

    if (p == NULL || sodium_base642bin(p, room, text, strlen(text), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        free(p);
        return (struct fo_slice){ NULL, 0 };
    }
    return fo_slice_of(p, n);
}

static bool
disbelieve(struct audit *a, struct audit_region *of, const char *why)
{
    audit_note(a, "%s: its statement is not believed: %s", of->name, why);
    a->has_failed = true;
    json_object_set_new(of->json, "signature", json_string("NOT verified"));
    return false;
}

/* What a statement must repeat to be the answer. */
static struct fo_audit_query
query_of(const struct audit *a, const struct audit_asked *asked)
{
    struct fo_audit_query q = { .from = a->from, .to = a->to, .ledger = asked->ledger, .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END } };

    snprintf(q.source, sizeof(q.source), "%s", asked->source != NULL ? asked->source : "");
    snprintf(q.target, sizeof(q.target), "%s", asked->target != NULL ? asked->target : "");
    if (asked->after != NULL)
        memcpy(q.after, asked->after, sizeof(q.after));
    if (asked->up_to != NULL)
        memcpy(q.up_to, asked->up_to, sizeof(q.up_to));
    return q;
}

static bool
is_believable(struct audit *a, struct audit_region *of, const struct audit_asked *asked, struct fo_slice bytes, struct fo_slice signature,
    struct fo_audit_statement *s)
{
    const struct fo_audit_query q = query_of(a, asked);
    enum fo_err err = bytes.p == NULL || signature.p == NULL ? FO_ERR_PROTO : fo_audit_decode(bytes, s);
    char key_id[17];

    if (err != FO_OK)
        return disbelieve(a, of, "it cannot be read");
    if (strcmp(s->region, of->name) != 0 || !fo_audit_answers(s, &q))
        return disbelieve(a, of, "it is not about what was asked");
    snprintf(key_id, sizeof(key_id), "%016" PRIx64, s->key_id);
    json_object_set_new(of->json, "keyId", json_string(key_id));
    if (a->keys == NULL)
        return true;
    err = fo_audit_verify(bytes, signature, s, a->keys);
    if (err != FO_OK)
        return disbelieve(a, of, fo_err_text(err));
    json_object_set_new(of->json, "signature", json_string("verified"));
    return true;
}

/* Damage is told once per region, and lists at most what the statement holds. */
static void
note_damage(struct audit *a, struct audit_region *of, const struct fo_audit_statement *s)
{
    static const char *const type[] = { "record", "checkpoint", "own batch", "received batch", "ack" };

    if (s->damaged <= (uint64_t)cmd_number(of->json, "damaged", 0))
        return;
    json_object_set_new(of->json, "damaged", json_integer((json_int_t)s->damaged));
    for (unsigned i = 0; i < s->damaged && i < FO_AUDIT_DAMAGED_MAX; i++)
        audit_note(a, "%s: damaged %s at LSN %" PRIu64 ", lane %s, %u events: quarantined, and not counted there", of->name,
            type[s->damage[i].type <= 4 ? s->damage[i].type : 0], s->damage[i].lsn,
            fo_lane_name((enum fo_lane)(s->damage[i].lane < FO_LANES ? s->damage[i].lane : 0)), s->damage[i].count);
}

struct fo_audit_statement *
audit_ask(struct audit *a, struct audit_region *of, const struct audit_asked *asked)
{
    struct fo_audit_statement *s = calloc(1, sizeof(*s));
    struct fo_slice bytes, signature;
    json_t *request = json_object(), *answer;
    bool is_good;

    audit_progress("asking", of->name);
    fill_times(a, request);
    if (asked->source != NULL)
        json_object_set_new(request, "source", json_string(asked->source));
    if (asked->target != NULL)
        json_object_set_new(request, "target", json_string(asked->target));
    for (unsigned lane = 0; lane < FO_LANES; lane++) {
        if (asked->after != NULL)
            audit_add_mark(request, "after", (enum fo_lane)lane, asked->after[lane]);
        if (asked->up_to != NULL)
            audit_add_mark(request, "upTo", (enum fo_lane)lane, asked->up_to[lane]);
    }
    if (asked->ledger.epoch != 0)
        json_object_set_new(request, "ledger", mark_json(asked->ledger));
    if (s == NULL || cmd_call(of->client, of->address, request, a->timeout_ms, &answer) != CMD_OK) {
        audit_note(a, "%s at %s could not tell", of->name, of->address);
        a->has_failed = true;
        free(s);
        return NULL;
    }
    bytes = bytes_of(answer, "statement");
    signature = bytes_of(answer, "signature");
    is_good = is_believable(a, of, asked, bytes, signature, s);
    free((void *)(uintptr_t)bytes.p);
    free((void *)(uintptr_t)signature.p);
    json_decref(answer);
    if (!is_good) {
        free(s);
        return NULL;
    }
    note_damage(a, of, s);
    return s;
}

static bool
next_page(struct audit_feed *f)
{
    const char *cursor;
    json_t *answer;

    audit_progress("listing events of", f->region->name);
    json_decref(f->page);
    f->page = NULL;
    f->index = 0;
    if (cmd_call(f->region->client, f->region->address, json_deep_copy(f->request), f->audit->timeout_ms, &answer) != CMD_OK) {
        audit_note(f->audit, "%s could not list its events", f->region->name);
        f->audit->has_failed = f->has_failed = true;
        return false;
    }
    f->page = json_incref(json_object_get(answer, "events"));
    cursor = cmd_text(answer, "next", "");
    f->is_last = cursor[0] == '\0';
    json_object_set_new(f->request, "cursor", json_string(cursor));
    json_decref(answer);
    return true;
}

static void
add_to_digest(struct audit_feed *f, struct fo_mark at, const json_t *event)
{
    struct fo_slice leaf = bytes_of(event, "hash");

    if (leaf.p != NULL && leaf.n == FO_HASH_BYTES)
        fo_audit_digest_event(f->digest, at, leaf.p);
    free((void *)(uintptr_t)leaf.p);
}

const json_t *
audit_feed_next(struct audit_feed *f, struct fo_mark *ret_at)
{
    const json_t *event, *at;

    while (f->page == NULL || f->index == json_array_size(f->page))
        if (f->has_failed || (f->page != NULL && f->is_last) || !next_page(f))
            return NULL;
    event = json_array_get(f->page, f->index++);
    at = json_object_get(event, "at");
    ret_at->epoch = (uint64_t)json_integer_value(json_array_get(at, 0));
    ret_at->seq = (uint64_t)json_integer_value(json_array_get(at, 1));
    add_to_digest(f, *ret_at, event);
    return event;
}

void
audit_feed_fini(struct audit_feed *f)
{
    json_decref(f->page);
    json_decref(f->request);
    f->page = f->request = NULL;
}
