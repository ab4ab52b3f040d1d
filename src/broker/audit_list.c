/* SPDX-License-Identifier: Apache-2.0
 *
 * The answers to audit requests: sealed statements, and lists that name the events of one lane, page by page, in the order of their
 * positions. A list need not be sealed: its events' hashes add up to the digest in a statement. */
#include "broker/audit.h"

#include "broker/audit_walk.h"
#include "wire/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *
text_json(struct fo_slice s)
{
    return s.n > 0 ? json_stringn((const char *)s.p, s.n) : json_string("");
}

static void
add_event(struct fo_audit_walk *w, const struct fo_audit_event *e, json_t *ret_events)
{
    int target = fo_audit_region(w->ctx, w->query->target);
    struct fo_audit_fate fate[FO_REGIONS_MAX];
    char outcome[FO_OUTCOME_SIZE], now[FO_OUTCOME_SIZE];
    uint8_t leaf[FO_HASH_BYTES];
    json_t *json;

    if (target > 0 && !(w->batch.targets >> target & 1))
        return;
    fo_audit_leaf(e->record, leaf);
    json = json_pack("{s:[I,I],s:o,s:o,s:o,s:o}", "at", (json_int_t)e->at.epoch, (json_int_t)e->at.seq, "id", text_json(e->event.id),
        "tenant", text_json(e->event.tenant), "type", text_json(e->event.type), "hash", fo_json_base64(fo_slice_of(leaf, sizeof leaf)));
    for (fo_region_set t = w->region == 0 ? w->batch.targets & ~1ull : 0; t != 0; t &= t - 1)
        fate[__builtin_ctzll(t)] = fo_audit_walk_fate(w, e, (unsigned)__builtin_ctzll(t));
    if (w->region != 0) {
        json_object_set_new(json, "state", json_string(fo_audit_state_name(e->state)));
    } else if (target > 0) {
        json_object_set_new(json, "state", json_string(fo_audit_state_name(fate[target].state)));
    } else {
        (void)fo_audit_outcome(w, fate, UINT64_MAX, now);
        json_object_set_new(json, "outcome", json_string(now));
        if (fo_audit_outcome(w, fate, w->query->ledger.seq, outcome))
            json_object_set_new(json, "outcomeBefore", json_string(outcome));
    }
    json_array_append_new(ret_events, json);
}

static enum fo_err
make_list(const struct fo_query_view *v, const struct fo_audit_query *q, json_t **ret_json)
{
    struct fo_audit_walk *w = calloc(1, sizeof *w);
    json_t *events = json_array(), *next = NULL;
    struct fo_audit_event e;
    char text[24];
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (w != NULL)
        err = fo_audit_walk_open(w, v, q);
    while (err == FO_OK && (err = fo_audit_walk_next(w)) == FO_OK) {
        for (uint32_t i = 0; i < w->batch.header.count; i++)
            if (fo_audit_walk_event(w, i, &e))
                add_event(w, &e, events);
        if (json_array_size(events) < q->max)
            continue;
        snprintf(text, sizeof text, "a1.%" PRIx64, w->rec.next_lsn);
        next = json_string(text);
        break;
    }
    if (w != NULL && w->failure != FO_OK)
        err = w->failure;
    if (w != NULL)
        fo_audit_walk_close(w);
    free(w);
    if (err != FO_OK && err != FO_ERR_NOT_FOUND) {
        json_decref(events);
        json_decref(next);
        return err;
    }
    *ret_json = json_pack("{s:b,s:s,s:o}", "success", 1, "region", fo_context_name(v->ctx, 0), "events", events);
    if (next != NULL)
        json_object_set_new(*ret_json, "next", next);
    return FO_OK;
}

static enum fo_err
make_statement(const struct fo_query_view *v, const struct fo_audit_query *q, json_t **ret_json)
{
    struct fo_audit_statement *s = calloc(1, sizeof *s);
    uint8_t signature[FO_SIGNATURE_BYTES];
    struct fo_buf bytes;
    char key_id[17];
    enum fo_err err = FO_ERR_NO_MEMORY;

    fo_buf_init(&bytes);
    if (s != NULL)
        err = fo_audit_state(v, q, s);
    if (err == FO_OK)
        err = fo_audit_seal(s, v->ctx->key, &bytes, signature);
    if (err == FO_OK) {
        snprintf(key_id, sizeof key_id, "%016" PRIx64, s->key_id);
        *ret_json = fo_audit_to_json(s);
        json_object_set_new(*ret_json, "success", json_true());
        json_object_set_new(*ret_json, "statement", fo_json_base64(fo_buf_slice(&bytes)));
        json_object_set_new(*ret_json, "signature", fo_json_base64(fo_slice_of(signature, sizeof signature)));
        json_object_set_new(*ret_json, "keyId", json_string(key_id));
    }
    fo_buf_fini(&bytes);
    free(s);
    return err;
}

enum fo_err
fo_audit_make(const struct fo_query_view *v, const struct fo_audit_query *q, json_t **ret_json)
{
    return q->is_list ? make_list(v, q, ret_json) : make_statement(v, q, ret_json);
}
