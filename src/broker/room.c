/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/room.h"

#include "ports/log.h"

#include <inttypes.h>
#include <stdio.h>

enum { EXPLANATION_SIZE = 192 };

const char *
fo_room_cause_name(enum fo_room_cause cause)
{
    static const char *const names[] = { "none", "peers_behind", "journal_full", "disk_full" };

    return names[cause];
}

/* What waits for peers fills this region's share of the journal. The rest is for what peers send: if every region kept its share only,
 * each can store all that the others have for it, so that none waits for room that only the other's ack would make. 0: no bound. */
static uint64_t
share_bytes(const struct fo_room *r)
{
    const struct fo_config *c = r->ctx->config;
    uint64_t share = c->journal.bytes_max / r->ctx->regions.count;

    if (r->ctx->regions.count == 1 || c->journal.bytes_max == 0)
        return 0;
    return share > 2 * (uint64_t)c->journal.segment_bytes ? share - c->journal.segment_bytes : c->journal.segment_bytes;
}

static uint64_t
waiting_bytes(const struct fo_room *r)
{
    uint64_t end = r->store->stored_lsn;

    return end - fo_forward_oldest_lsn(r->forward, end) + r->store->queued_frame_bytes;
}

static bool
is_journal_full(const struct fo_room *r)
{
    struct fo_journal_stats s = { 0 };

    r->ctx->journal->ops->stats(r->ctx->journal, &s);
    return s.is_full;
}

enum fo_room_cause
fo_room_look(const struct fo_room *r)
{
    uint64_t share = share_bytes(r);

    if (r->store->failure == FO_ERR_NO_SPACE)
        return is_journal_full(r) ? FO_ROOM_JOURNAL : FO_ROOM_DISK;
    return share != 0 && waiting_bytes(r) > share ? FO_ROOM_PEERS : FO_ROOM_FREE;
}

struct fo_room_use
fo_room_use(const struct fo_room *r, enum fo_room_cause cause)
{
    uint64_t end = r->store->stored_lsn, oldest = end, share = share_bytes(r);
    struct fo_room_use use = { .limit_bytes = cause == FO_ROOM_JOURNAL || share == 0 ? r->ctx->config->journal.bytes_max : share };

    for (unsigned p = 1; p < r->ctx->regions.count; p++) {
        uint64_t lsn = fo_link_oldest_lsn(&r->forward->peer[p].link, end);

        if (lsn < oldest) {
            oldest = lsn;
            use.held_for = fo_context_name(r->ctx, p);
        }
    }
    use.held_bytes = end - oldest + r->store->queued_frame_bytes;
    if ((cause == FO_ROOM_JOURNAL || cause == FO_ROOM_DISK) && *r->ledger_lsn < oldest) {     /* it takes none of the share */
        use.held_for = "ledger";
        use.held_bytes = end - *r->ledger_lsn;
    }
    return use;
}

void
fo_room_explain(const struct fo_room *r, enum fo_room_cause cause, char *ret_text, size_t size)
{
    struct fo_room_use use = fo_room_use(r, cause);
    uint64_t held_kib = use.held_bytes >> 10, limit_kib = use.limit_bytes >> 10;
    const char *whom = use.held_for != NULL ? use.held_for : "the disk";

    switch (cause) {
    case FO_ROOM_FREE:
        *ret_text = '\0';
        break;
    case FO_ROOM_PEERS:
        snprintf(ret_text, size, "%" PRIu64 " KiB wait for %s, more than the %" PRIu64 " KiB that journal.bytes_max leaves to what waits for peers; what was accepted is kept",
            held_kib, whom, limit_kib);
        break;
    case FO_ROOM_JOURNAL:
        snprintf(ret_text, size, "the journal has reached journal.bytes_max (%" PRIu64 " KiB), %" PRIu64 " KiB of it wait for %s; what was accepted is kept",
            limit_kib, held_kib, whom);
        break;
    case FO_ROOM_DISK:
        snprintf(ret_text, size, "the file system of data_dir is full; what was accepted is kept");
        break;
    }
}

static void
begin(struct fo_room *r, enum fo_room_cause cause)
{
    struct fo_room_use use = fo_room_use(r, cause);
    char text[EXPLANATION_SIZE];

    r->cause = cause;
    r->since = r->ctx->now;
    r->refused_events = 0;
    fo_room_explain(r, cause, text, sizeof text);
    fo_log(FO_LOG_WARN, "publishes_refused", FO_S("cause", fo_room_cause_name(cause)), FO_S("held_for", use.held_for != NULL ? use.held_for : "-"),
        FO_I("held_bytes", use.held_bytes), FO_I("limit_bytes", use.limit_bytes), FO_S("reason", text));
}

enum fo_err
fo_room_ask(struct fo_room *r, uint32_t events, struct fo_fault *ret_fault)
{
    enum fo_room_cause cause = fo_room_look(r);
    char text[EXPLANATION_SIZE];

    if (cause == FO_ROOM_FREE)
        return FO_OK;
    if (r->cause != cause)
        begin(r, cause);
    r->refused_events += events;
    r->has_refused = true;
    fo_room_explain(r, cause, text, sizeof text);
    return fo_fault_set(ret_fault, FO_ERR_NO_SPACE, "", "%s", text);
}

/* At the limit each ack makes room for a moment: it has ended when nobody was refused for a while. */
void
fo_room_check(struct fo_room *r)
{
    enum fo_room_cause cause = fo_room_look(r);
    bool has_refused = r->has_refused;

    r->has_refused = false;
    if (cause != FO_ROOM_FREE && cause != r->cause)
        begin(r, cause);
    if (cause != FO_ROOM_FREE || r->cause == FO_ROOM_FREE || has_refused)
        return;
    fo_log(FO_LOG_INFO, "publishes_taken_again", FO_S("cause", fo_room_cause_name(r->cause)),
        FO_I("after_ms", fo_instant_since(r->ctx->now, r->since).ns / 1000000), FO_I("refused_events", r->refused_events));
    r->cause = FO_ROOM_FREE;
}
