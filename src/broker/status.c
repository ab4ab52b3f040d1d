/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator sees of a running broker. */
#include "broker/parts.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static json_t *
lane_json(const struct fo_peer *p, enum fo_lane lane, struct fo_instant now)
{
    const struct fo_link_lane *n = &p->link.lane[lane];
    struct fo_instant oldest_at = now;

    (void)fo_link_oldest(&p->link, lane, &oldest_at);

    return json_pack("{s:i,s:I,s:I,s:I,s:I,s:b,s:f}", "inFlight", (int)n->window.count, "inFlightBytes", (json_int_t)n->window.bytes,
        "backlog", (json_int_t)n->backlog_events, "ackedSeq", (json_int_t)n->acked_seq, "lastSeq", (json_int_t)n->tail_seq,
        "readingBack", n->is_behind, "oldestMs", (double)fo_instant_since(now, oldest_at).ns / 1e6);
}

static int64_t
heard_ns_of(const struct fo_broker *b, const struct fo_peer *p)
{
    return p->heard_at.ns == 0 ? -1000000 : fo_instant_since(b->ctx.now, p->heard_at).ns;
}

/* What keeps the direct link from working in both directions; null: it works. */
static const char *
down_because(const struct fo_broker *b, const struct fo_peer *p)
{
    int64_t heard_ns = heard_ns_of(b, p);

    if (!p->link.is_up[FO_LINK_URGENT] || !p->link.is_up[FO_LINK_BULK])
        return "not_connected";
    if (heard_ns < 0 || heard_ns >= 3 * fo_duration_ms(b->ctx.config->link.heartbeat_ms).ns)
        return "not_heard";
    if (p->health.state == FO_HEALTH_DOWN)
        return "not_accepted";
    return p->health.state == FO_HEALTH_PROBING ? "probing" : NULL;
}

static json_t *
refused_json(const struct fo_broker *b, unsigned peer)
{
    const struct fo_refusals *r = &b->receive.source[peer].refused;

    return json_pack("{s:I,s:s?,s:f}", "frames", (json_int_t)r->count, "lastError", r->count > 0 ? fo_err_name(r->last) : NULL,
        "lastMs", r->count > 0 ? (double)fo_instant_since(b->ctx.now, r->last_at).ns / 1e6 : -1.0);
}

static json_t *
link_json(const struct fo_broker *b, unsigned peer)
{
    const struct fo_peer *p = &b->forward.peer[peer];
    const char *because = down_because(b, p);
    json_t *lanes = json_object();

    for (int i = 0; i < FO_LANES; i++)
        json_object_set_new(lanes, fo_lane_name(i), lane_json(p, i, b->ctx.now));
    return json_pack("{s:s,s:s,s:b,s:i,s:i,s:s?,s:I,s:I,s:s,s:s?,s:s,s:s,s:f,s:f,s:I,s:o,s:o}", "region", fo_context_name(&b->ctx, peer),
        "health", fo_health_name(p->health.state), "hears", !fo_health_is_deaf(&p->health, b->ctx.now), "missed", (int)p->health.failures,
        "flaps", (int)p->health.flaps, "via", p->via != 0 ? fo_context_name(&b->ctx, p->via) : NULL,
        "windowBytesUrgent", (json_int_t)p->link.pace[FO_LINK_URGENT].window, "windowBytesBulk", (json_int_t)p->link.pace[FO_LINK_BULK].window, "state", because == NULL ? "up" : "down", "downBecause", because,
        "urgent", p->link.is_up[FO_LINK_URGENT] ? "up" : "down", "bulk", p->link.is_up[FO_LINK_BULK] ? "up" : "down",
        "rttMs", (double)p->link.rtt.ns / 1e6, "lastHeardMs", (double)heard_ns_of(b, p) / 1e6, "retransmits", (json_int_t)p->link.retransmits,
        "refused", refused_json(b, peer), "lanes", lanes);
}

static json_t *
journal_json(const struct fo_broker *b)
{
    struct fo_journal_stats s;

    b->ctx.journal->ops->stats(b->ctx.journal, &s);
    return json_pack("{s:I,s:I,s:I,s:I,s:i,s:I,s:I,s:s}", "firstLsn", (json_int_t)s.first_lsn, "endLsn", (json_int_t)s.end_lsn,
        "durableLsn", (json_int_t)s.durable_lsn, "bytesOnDisk", (json_int_t)s.bytes_on_disk, "segments", (int)s.segments,
        "fsyncs", (json_int_t)s.fsync_count, "quarantined", (json_int_t)s.quarantined, "failure", fo_err_name(b->store.failure));
}

/* What the room check says now; at the limit, where each ack makes room for a moment, what it said last. */
static enum fo_room_cause
refusing_cause(const struct fo_broker *b)
{
    enum fo_room_cause cause = fo_room_look(&b->room);

    return cause != FO_ROOM_FREE ? cause : b->room.cause;
}

static json_t *
publishing_json(const struct fo_broker *b)
{
    enum fo_room_cause cause = refusing_cause(b);
    struct fo_room_use use = fo_room_use(&b->room, cause);
    bool is_logged = b->room.cause != FO_ROOM_FREE;
    int64_t since_ms = is_logged ? fo_instant_since(b->ctx.now, b->room.since).ns / 1000000 : 0;
    char reason[192];

    fo_room_explain(&b->room, cause, reason, sizeof reason);
    return json_pack("{s:s,s:s,s:s,s:s?,s:I,s:I,s:I,s:I}", "state", cause == FO_ROOM_FREE ? "taken" : "refused", "cause", fo_room_cause_name(cause),
        "reason", reason, "heldFor", use.held_for, "heldBytes", (json_int_t)use.held_bytes, "limitBytes", (json_int_t)use.limit_bytes,
        "refusedForMs", (json_int_t)since_ms, "refusedEvents", (json_int_t)(is_logged ? b->room.refused_events : 0));
}

static json_t *
counters_json(const struct fo_counters *c)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "acceptedEvents", (json_int_t)c->accepted_events,
        "refusedEvents", (json_int_t)c->refused_events, "duplicateEvents", (json_int_t)c->duplicate_events, "ownBatches", (json_int_t)c->own_batches,
        "receivedEvents", (json_int_t)c->received_events, "receivedBatches", (json_int_t)c->received_batches,
        "duplicateBatches", (json_int_t)c->duplicate_batches, "gapBatches", (json_int_t)c->gap_batches, "refusedFrames", (json_int_t)c->refused_frames,
        "deliveredEvents", (json_int_t)c->delivered_events, "exceptedEvents", (json_int_t)c->excepted_events, "acksSent", (json_int_t)c->acks_sent,
        "acksReceived", (json_int_t)c->acks_received, "commits", (json_int_t)c->commits, "fetchedEvents", (json_int_t)c->fetched_events,
        "feedEvents", (json_int_t)c->feed_events, "relayedFrames", (json_int_t)c->relayed_frames);
}

struct json_t *
fo_status_make(const struct fo_broker *b)
{
    json_t *links = json_array(), *ledger = b->ledger.status != NULL ? b->ledger.status(b->ledger.user) : json_pack("{s:b}", "enabled", 0);
    char epoch[21];

    for (unsigned p = 1; p < b->ctx.regions.count; p++)
        json_array_append_new(links, link_json(b, p));
    snprintf(epoch, sizeof epoch, "%" PRIx64, fo_epochs_current(&b->state.epochs));
    return json_pack("{s:b,s:s,s:b,s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:i,s:b,s:i}", "success", 1, "region", b->ctx.config->region, "primary", b->ctx.config->is_primary,
        "version", FANOUT_VERSION, "epoch", epoch, "uptimeMs", (json_int_t)(fo_instant_since(b->ctx.now, b->ctx.started_at).ns / 1000000),
        "publishing", publishing_json(b), "links", links, "strangers", refused_json(b, 0), "journal", journal_json(b), "ledger", ledger, "counters", counters_json(&b->ctx.counters),
        "subscribers", (int)b->fetches.audience.parked_count,
        "feedHasSubscribers", (int)b->ctx.transport->ops->feed_has_subscribers(b->ctx.transport), "publishersWaiting", (int)b->waits.count);
}

void
fo_broker_summary(const struct fo_broker *b, char *ret_text, size_t size)
{
    const char *refusing = refusing_cause(b) != FO_ROOM_FREE ? ", REFUSES publishes" : "";
    unsigned up = 0;
    uint64_t backlog = 0;

    for (unsigned p = 1; p < b->ctx.regions.count; p++) {
        up += down_because(b, &b->forward.peer[p]) == NULL;
        for (int i = 0; i < FO_LANES; i++)
            backlog += b->forward.peer[p].link.lane[i].backlog_events;
    }
    snprintf(ret_text, size, "%s: %u of %u links up%s, %llu events wait for peers, %llu accepted, %llu received", b->ctx.config->region, up,
        b->ctx.regions.count - 1, refusing, (unsigned long long)backlog, (unsigned long long)b->ctx.counters.accepted_events, (unsigned long long)b->ctx.counters.received_events);
}
