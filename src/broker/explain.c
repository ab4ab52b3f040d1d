/* SPDX-License-Identifier: Apache-2.0
 *
 * One event's story as this region's journal tells it, with everything that is needed to check it: the signed header, the
 * record, its Merkle path and the peers' signed acks. The reader verifies; this broker is not to be believed. */
#include "broker/query.h"

#include "broker/ack_cursor.h"
#include "broker/delivery_state.h"
#include "broker/story.h"
#include "ports/log.h"
#include "wire/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *
batch_json(const struct fo_story *s)
{
    const struct fo_batch_header *h = &s->batch.header;
    uint8_t path[FO_MERKLE_PATH_MAX][FO_HASH_BYTES];
    unsigned n = fo_merkle_path(s->batch.record, h->count, s->index, path);
    json_t *targets = json_array(), *hashes = json_array();
    char sealed[FO_RFC3339_SIZE], key[17], epoch[17];

    for (unsigned i = 0; i < h->target_count; i++)
        json_array_append_new(targets, json_stringn((const char *)h->target[i].region.p, h->target[i].region.n));
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(hashes, fo_json_base64(fo_slice_of(path[i], FO_HASH_BYTES)));
    fo_wall_format(h->sealed_at, sealed);
    snprintf(key, sizeof key, "%016" PRIx64, h->key_id);
    snprintf(epoch, sizeof epoch, "%" PRIx64, h->epoch);
    return json_pack("{s:I,s:i,s:i,s:s,s:s,s:s,s:i,s:s,s:o,s:o,s:o,s:o,s:o}", "firstSeq", (json_int_t)h->first_seq, "count", (int)h->count,
        "index", (int)s->index, "lane", fo_lane_name(h->lane), "epoch", epoch, "sealedAt", sealed, "frameBytes", (int)s->rec.body.n,
        "keyId", key, "targets", targets, "header", fo_json_base64(s->batch.frame.signed_part),
        "signature", fo_json_base64(s->batch.frame.signature), "path", hashes, "record", fo_json_base64(s->batch.record[s->index]));
}

static enum fo_err
add_delivery(const struct fo_story *s, unsigned peer, json_t *deliveries)
{
    const char *name = fo_context_name(s->ctx, peer);
    uint64_t seq = s->batch.header.first_seq + s->index;
    struct fo_ack_cursor *c = calloc(1, sizeof *c);
    char at[FO_RFC3339_SIZE];
    json_t *json = NULL;
    enum fo_err err;

    if (c == NULL)
        return FO_ERR_NO_MEMORY;
    err = fo_ack_cursor_open(c, s->view, peer, s->batch.header.lane, s->rec.lsn);
    if (err == FO_OK)
        err = fo_ack_cursor_find(c, seq);
    if (err == FO_OK) {
        fo_wall_format(c->record.arrived_at, at);
        json = json_pack("{s:s,s:s,s:s,s:f,s:i,s:o}", "region", name, "state", fo_delivery_state_name(fo_delivery_state_of(fo_ack_cursor_verdict(c, seq))), "ackedAt", at,
            "latencyMs", (double)(c->record.arrived_at.us - s->event.acceptedtime.us) / 1000.0, "attempts", (int)c->span.attempts,
            "ackFrame", fo_json_base64(c->record.frame));
        if (json != NULL && c->record.via.n > 0)
            json_object_set_new(json, "via", json_stringn((const char *)c->record.via.p, c->record.via.n));
    } else if (err == FO_ERR_NOT_FOUND) {
        json = json_pack("{s:s,s:s,s:i}", "region", name, "state", fo_delivery_state_name(FO_DELIVERY_PENDING), "attempts", 0);
        err = FO_OK;
    }
    fo_ack_cursor_close(c);
    free(c);
    return err == FO_OK && json_array_append_new(deliveries, json) != 0 ? FO_ERR_NO_MEMORY : err;
}

static enum fo_err
story_json(const struct fo_story *s, json_t **ret_json)
{
    const struct fo_context *ctx = s->ctx;
    const struct fo_batch_header *h = &s->batch.header;
    bool is_source = s->rec.type == FO_RECORD_OWN;
    char stored[FO_RFC3339_SIZE], accepted[FO_RFC3339_SIZE], position[FO_POSITION_SIZE], region[FO_REGION_BYTES_MAX + 1];
    json_t *event = NULL, *deliveries = json_array();
    enum fo_err err = fo_event_to_json(s->batch.record[s->index], &event);

    for (fo_region_set t = is_source ? s->batch.targets & ~1ull : 0; t != 0 && err == FO_OK; t &= t - 1)
        err = add_delivery(s, (unsigned)__builtin_ctzll(t), deliveries);
    if (err != FO_OK) {
        json_decref(deliveries);
        json_decref(event);
        return err;
    }
    snprintf(region, sizeof region, "%.*s", (int)h->region.n, (const char *)h->region.p);
    fo_position_format(region, (struct fo_position){ h->epoch, h->first_seq + s->index, h->lane }, position);
    fo_wall_format(s->rec.at, stored);
    fo_wall_format(s->event.acceptedtime, accepted);
    *ret_json = json_pack("{s:b,s:b,s:s,s:s,s:s,s:o,s:s,s:s,s:I,s:o,s:o}", "success", 1, "found", 1, "role", is_source ? "source" : "target",
        "region", fo_context_name(ctx, 0), "position", position, "event", event, "acceptedTime", accepted, is_source ? "storedTime" : "receivedTime", stored,
        "lsn", (json_int_t)s->rec.lsn, "batch", batch_json(s), "deliveries", deliveries);
    return *ret_json != NULL ? FO_OK : FO_ERR_NO_MEMORY;
}

enum fo_err
fo_explain_make(const struct fo_query_view *v, struct fo_slice tenant, struct fo_slice id, json_t **ret_json)
{
    struct fo_story *s = calloc(1, sizeof *s);
    enum fo_err err = FO_ERR_NO_MEMORY;

    if (s == NULL)
        return err;
    err = fo_story_open(s, v, tenant, id, 0);
    if (err == FO_OK)
        err = story_json(s, ret_json);
    if (err == FO_ERR_NOT_FOUND) {
        *ret_json = json_pack("{s:b,s:b,s:s}", "success", 1, "found", 0, "region", fo_context_name(v->ctx, 0));
        err = FO_OK;
    }
    fo_story_close(s);
    free(s);
    return err;
}
