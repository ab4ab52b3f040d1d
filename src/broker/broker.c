/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/parts.h"

#include "base/assert.h"
#include "broker/answer.h"
#include "broker/paths.h"
#include "broker/recover.h"
#include "ports/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    POOL_FREE_MAX = 64,
    TRIM_EVERY_MS = 1000,
    RETRY_BUSY_MS = 100,
};

static void
fill_regions(struct fo_context *ctx, const struct fo_config *config)
{
    ctx->regions.name[0] = config->region;
    ctx->regions.count = 1;
    for (unsigned i = 0; i < config->peers_count; i++)
        ctx->regions.name[ctx->regions.count++] = config->peers[i].region;
}

/* The event stands no further back than the newest checkpoint before it was accepted. */
static bool
ask_first(void *user, const struct fo_wait *t)
{
    struct fo_broker *b = user;
    const struct fo_wait_event *e = &t->event[0];
    const struct fo_known_event known = { e->tenant, e->id, e->position, e->targets, fo_state_lsn_at(&b->state, e->accepted_at) };

    return b->queries != NULL && fo_queries_ask_first(b->queries, t->request, t->encoding, t->wait, &known, fo_store_hurry(&b->store), b->ctx.wall) == FO_OK;
}

static void
join_parts(struct fo_broker *b, uint64_t durable_lsn)
{
    fo_store_init(&b->store, &b->ctx, &b->state, &b->pool, durable_lsn);
    fo_waits_init(&b->waits, &b->ctx, b->state.last_seq);
    b->waits.first_answer = ask_first;
    b->waits.first_answer_user = b;
    fo_fetches_init(&b->fetches, &b->ctx, &b->state, &b->pool, durable_lsn);
    b->fetches.through.forward = &b->forward;
    b->fetches.through.store = &b->store;
    b->intake.ctx = &b->ctx;
    b->intake.store = &b->store;
    b->intake.waits = &b->waits;
    b->intake.forward = &b->forward;
    b->room = (struct fo_room){ .ctx = &b->ctx, .store = &b->store, .forward = &b->forward, .ledger_lsn = &b->ledger_lsn };
    b->intake.room = &b->room;
    b->intake.verdicts = &b->receive.verdicts;
    b->intake.dedupe = &b->dedupe;
    b->intake.pool = &b->pool;
    b->intake.fingerprint_key = b->fingerprint_key;
    fo_intake_init(&b->intake, &b->state);
    fo_receive_init(&b->receive, &b->state);
}

static void
join_receive(struct fo_broker *b)
{
    b->receive.ctx = &b->ctx;
    b->receive.store = &b->store;
    b->receive.forward = &b->forward;
    b->receive.waits = &b->waits;
    b->receive.dedupe = &b->dedupe;
    b->receive.pool = &b->pool;
    b->receive.epochs = &b->state.epochs;
    b->receive.fingerprint_key = b->fingerprint_key;
    b->receive.queue_bytes_max = b->ctx.config->limits.pending_bytes_max;
}

static void
tell_health(void *user, unsigned peer, const struct fo_peer *p)
{
    struct fo_broker *b = user;
    struct fo_broker_health h = { .region = fo_context_name(&b->ctx, peer), .state = fo_health_name(p->health.state), .is_healthy = fo_health_is_trusted(&p->health),
        .rtt = p->link.rtt, .failures = p->health.failures, .at = b->ctx.wall };

    if (b->ledger.health != NULL)
        b->ledger.health(b->ledger.user, &h);
}

static enum fo_err
recover(struct fo_broker *b, const struct fo_broker_setup *setup, struct fo_fault *ret_fault)
{
    struct fo_replay_report report;
    struct fo_journal_stats stats;
    enum fo_err err;

    setup->journal->ops->stats(setup->journal, &stats);
    err = fo_recover(&b->ctx, setup->checkpoint_lsn, stats.durable_lsn, setup->epoch, b->fingerprint_key, &b->state, &b->dedupe, &b->receive, &report);
    if (err != FO_OK)
        return fo_fault_set(ret_fault, err, "data_dir", "a readable journal; restore it from a copy, or move it away to begin a new epoch");
    fo_log(FO_LOG_INFO, "recovered", FO_I("records", report.records), FO_I("events", report.events), FO_I("damaged", report.damaged),
        FO_I("durable_lsn", stats.durable_lsn), FO_I("epoch", fo_epochs_current(&b->state.epochs)));
    err = fo_forward_init(&b->forward, &b->ctx, &b->state, stats.first_lsn, stats.durable_lsn);
    if (err != FO_OK)
        return fo_fault_set(ret_fault, err, "link.window_batches", "a window that fits into memory");
    b->forward.on_health = tell_health;
    b->forward.on_health_user = b;
    join_parts(b, stats.durable_lsn);
    b->ledger_lsn = setup->config->ledger.is_enabled ? stats.first_lsn : UINT64_MAX;
    return FO_OK;
}

enum fo_err
fo_broker_create(const struct fo_broker_setup *setup, struct fo_instant now, struct fo_wall wall, struct fo_broker **ret_broker, struct fo_fault *ret_fault)
{
    struct fo_broker *b = calloc(1, sizeof *b);
    uint32_t known_max = setup->config->limits.dedupe_events_max;
    enum fo_err err = FO_OK;

    if (b == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "", "memory");
    b->ctx = (struct fo_context){ .config = setup->config, .journal = setup->journal, .transport = setup->transport, .key = setup->key,
        .keys = setup->keys, .schemas = setup->schemas, .now = now, .wall = wall, .started_at = now, .started_wall = wall };
    fo_rng_init(&b->ctx.rng, setup->seed);
    b->ctx.session = fo_rng_next(&b->ctx.rng) | 1;
    b->ctx.epoch = setup->epoch;
    memcpy(b->fingerprint_key, setup->fingerprint_key, sizeof b->fingerprint_key);
    fill_regions(&b->ctx, setup->config);
    fo_batch_pool_init(&b->pool, POOL_FREE_MAX);
    b->dedupe_memory = calloc(1, fo_dedupe_memory(known_max));
    if (b->dedupe_memory == NULL)
        err = fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "limits.dedupe_events_max", "a number that fits into memory");
    if (err == FO_OK) {
        fo_dedupe_init(&b->dedupe, b->dedupe_memory, known_max);
        join_receive(b);
        err = recover(b, setup, ret_fault);
    }
    if (err == FO_OK && setup->inbox != NULL && fo_queries_start(&b->ctx, setup->inbox, &b->queries) != FO_OK)
        err = fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "", "a thread for questions");
    if (err != FO_OK) {
        if (b->forward.ctx != NULL)
            fo_forward_fini(&b->forward);
        free(b->dedupe_memory);
        free(b);
        return err;
    }
    *ret_broker = b;
    return FO_OK;
}

void
fo_broker_destroy(struct fo_broker *b)
{
    if (b == NULL)
        return;
    fo_queries_stop(b->queries);
    fo_fetches_fini(&b->fetches);
    fo_intake_fini(&b->intake);
    fo_waits_fini(&b->waits);
    fo_store_fini(&b->store);
    fo_forward_fini(&b->forward);
    fo_batch_pool_fini(&b->pool);
    free(b->dedupe_memory);
    free(b);
}

void
fo_broker_set_transport(struct fo_broker *b, struct fo_transport *transport)
{
    b->ctx.transport = transport;
}

void
fo_broker_set_ledger(struct fo_broker *b, struct fo_broker_ledger ledger)
{
    b->ledger = ledger;
}

const struct fo_region_names *
fo_broker_regions(const struct fo_broker *b)
{
    return &b->ctx.regions;
}

const struct fo_epochs *
fo_broker_epochs(const struct fo_broker *b)
{
    return &b->state.epochs;
}

static void
reply_json(struct fo_broker *b, uint64_t request, enum fo_encoding enc, json_t *json)
{
    struct fo_buf out;
    enum fo_err err;

    fo_buf_init(&out);
    err = json == NULL ? FO_ERR_NO_MEMORY : fo_json_answer_encode(enc, json, &out);
    json_decref(json);
    fo_answer_send(&b->ctx, request, enc, err, fo_buf_slice(&out));
    fo_buf_fini(&out);
}

static void
ask(struct fo_broker *b, uint64_t request, const struct fo_request *req)
{
    struct fo_fault fault;

    if (b->queries != NULL && fo_queries_ask(b->queries, request, req, fo_store_hurry(&b->store), b->ctx.wall) == FO_OK)
        return;
    (void)fo_fault_set(&fault, FO_ERR_BUSY, "", "fewer questions at once");
    fo_answer_refuse(&b->ctx, request, req->encoding, &fault, RETRY_BUSY_MS);
}

static void
take_request(struct fo_broker *b, struct fo_input *in)
{
    struct fo_request req;
    struct fo_fault fault;
    struct fo_buf scratch;
    bool is_json = in->msg.body.n > 0 && (in->msg.body.p[0] == '{' || in->msg.body.p[0] == '[');

    fo_buf_init(&scratch);
    if (fo_request_decode(in->msg.body, &scratch, &req, &fault) != FO_OK) {
        b->ctx.counters.refused_events++;
        fo_answer_refuse(&b->ctx, in->request, is_json ? FO_ENC_JSON : FO_ENC_MSGPACK, &fault, 0);
    } else {
        switch (req.op) {
        case FO_OP_PUBLISH:
            fo_intake_publish(&b->intake, in->request, &req, &in->msg, &scratch);
            return;
        case FO_OP_FETCH:
            fo_fetches_request(&b->fetches, in->request, &req);
            break;
        case FO_OP_STATUS:
            reply_json(b, in->request, req.encoding, fo_status_make(b));
            break;
        case FO_OP_PING:
            reply_json(b, in->request, req.encoding, json_pack("{s:b,s:s,s:s}", "success", 1, "region", b->ctx.config->region, "version", FANOUT_VERSION));
            break;
        case FO_OP_REPORT:
        case FO_OP_EXPLAIN:
        case FO_OP_AUDIT:
            ask(b, in->request, &req);
            break;
        }
    }
    b->ctx.transport->ops->msg_free(b->ctx.transport, &in->msg);
    fo_buf_fini(&scratch);
}

static void
batch_durable(void *user, struct fo_batch **take_batch)
{
    struct fo_broker *b = user;
    struct fo_batch *batch = *take_batch;

    if (batch->is_own) {
        b->ctx.counters.own_batches++;
        b->ctx.counters.accepted_events += batch->count;
        fo_waits_durable(&b->waits, batch->header.lane, fo_batch_last_seq(batch));
        fo_waits_flush(&b->waits);          /* a publisher gets its answer before the batch is copied for each peer */
        fo_forward_batch(&b->forward, batch);
    } else {
        fo_receive_stored(&b->receive, batch);
    }
    fo_fetches_add(&b->fetches, take_batch);
}

static void
take_stored(struct fo_broker *b, const struct fo_input *in)
{
    if (in->err == FO_OK)
        b->forward.stored_lsn = in->lsn;
    fo_store_stored(&b->store, in->err, in->lsn, batch_durable, b);
    if (in->err != FO_OK)
        return;
    for (; b->store.has_settled_exceptions != 0; b->store.has_settled_exceptions &= b->store.has_settled_exceptions - 1)
        b->forward.peer[__builtin_ctzll(b->store.has_settled_exceptions)].wants_ack = true;
    if (b->queries != NULL)
        fo_queries_stored(b->queries, b->store.stored_items);
    fo_fetches_deliver(&b->fetches, in->lsn);
    if (b->ledger.poke != NULL)
        b->ledger.poke(b->ledger.user, in->lsn);
}

static void
take_answer(struct fo_broker *b, struct fo_input *in)
{
    b->ctx.transport->ops->door_reply(b->ctx.transport, in->request, in->msg.body);
    free(in->msg.handle);
}

static void
take_input(struct fo_broker *b, struct fo_input *in)
{
    switch (in->kind) {
    case FO_INPUT_FRAME:
        fo_receive_frame(&b->receive, &in->msg);
        break;
    case FO_INPUT_REQUEST:
        take_request(b, in);
        break;
    case FO_INPUT_LINK_UP:
        fo_forward_link_up(&b->forward, in->peer, in->cls);
        break;
    case FO_INPUT_LINK_DOWN:
        fo_forward_link_down(&b->forward, in->peer, in->cls);
        break;
    case FO_INPUT_STORED:
        take_stored(b, in);
        break;
    case FO_INPUT_LEDGER:
        b->ledger_lsn = in->lsn;
        break;
    case FO_INPUT_ANSWER:
        take_answer(b, in);
        break;
    case FO_INPUT_STOP:
        b->is_draining = b->intake.is_draining = b->receive.is_draining = true;
        b->forward.ack_delay = (struct fo_duration){ 0 };
        (void)fo_fetches_check_deadlines(&b->fetches, true);
        break;
    }
}

/* Replay keeps no more than retention_bytes, and never so much that the journal has no room to go on. */
static uint64_t
replay_bytes_max(const struct fo_config *c)
{
    uint64_t room = 3 * (uint64_t)c->journal.segment_bytes;
    uint64_t most = c->journal.bytes_max > room ? c->journal.bytes_max - room : 0;

    return c->journal.retention_bytes < most ? c->journal.retention_bytes : most;
}

/* Deletes what every link and the ledger have passed and replay need not keep any more. It lags by one round: an ack that a crash
 * could still take back must not have let go what it settled. */
static struct fo_instant
trim(struct fo_broker *b)
{
    const struct fo_config *c = b->ctx.config;
    uint64_t end = b->store.stored_lsn, replay_bytes = replay_bytes_max(c), below, kept_from;

    if (fo_instant_is_before(b->ctx.now, b->trim_at))
        return b->trim_at;
    b->trim_at = fo_instant_add(b->ctx.now, fo_duration_ms(TRIM_EVERY_MS));
    fo_room_check(&b->room);
    below = fo_receive_oldest_lsn(&b->receive, fo_forward_oldest_lsn(&b->forward, end));
    if (b->ledger_lsn < below)
        below = b->ledger_lsn;
    kept_from = fo_state_lsn_at(&b->state, (struct fo_wall){ b->ctx.wall.us - (int64_t)c->journal.retention_hours * 3600000000 });
    if (end > replay_bytes && end - replay_bytes > kept_from)
        kept_from = end - replay_bytes;
    if (kept_from < below)
        below = kept_from;
    if (b->store.failure == FO_ERR_NO_SPACE)
        b->trim_next.below_lsn = below;     /* nothing can be stored before there is room; a restart finds out what was settled */
    else if (b->trim_next.items > b->store.stored_items)
        return b->trim_at;
    if (b->trim_next.below_lsn > b->trimmed_lsn) {
        b->ctx.journal->ops->trim(b->ctx.journal, b->trim_next.below_lsn);
        b->trimmed_lsn = b->trim_next.below_lsn;
    }
    b->trim_next.below_lsn = below;
    b->trim_next.items = b->store.queued_items;
    return b->trim_at;
}

/* Peers hold a later epoch of ours than we know: the data directory was made while the clock was behind, or is an old copy. They take all that
 * this epoch says for what they have already. What was given out in it cannot reach them any more; what was not, can in a later one. */
static void
check_epoch(struct fo_broker *b)
{
    uint64_t theirs = b->receive.epoch_named, ours = b->intake.epoch;
    bool has_begun;

    if (theirs <= ours || theirs == b->epoch_told)
        return;
    b->epoch_told = theirs;
    has_begun = fo_intake_begin_epoch(&b->intake, theirs + 1);
    fo_log(FO_LOG_ERROR, "epoch_behind_peers", FO_I("epoch", ours), FO_I("peers_hold", theirs), FO_S("now", has_begun ? "a later epoch has begun" :
        "events of this epoch cannot be delivered: stop, set the clock, begin with an empty data_dir, publish them again"));
}

struct fo_instant
fo_broker_step(struct fo_broker *b, struct fo_instant now, struct fo_wall wall, struct fo_input *inputs, unsigned count)
{
    struct fo_instant next, sealed = { INT64_MAX };

    b->ctx.now = now;
    b->ctx.wall = wall;
    b->fetches.backlog.step_bytes = 0;
    for (unsigned i = 0; i < count; i++)
        take_input(b, &inputs[i]);
    check_epoch(b);
    if (!b->store.is_committing) {
        sealed = fo_intake_seal(&b->intake);
        fo_store_commit(&b->store);
    }
    if (b->is_draining && b->waits.durable_first == NULL)
        fo_waits_finish_acks(&b->waits);
    next = fo_paths_tick(&b->forward, fo_receive_acks, &b->receive);
    if (fo_forward_pump(&b->forward))
        next = now;
    next = fo_instant_earlier(next, sealed);
    next = fo_instant_earlier(next, fo_store_next_due(&b->store));
    next = fo_instant_earlier(next, fo_waits_check_deadlines(&b->waits));
    next = fo_instant_earlier(next, fo_fetches_check_deadlines(&b->fetches, false));
    return fo_instant_earlier(next, trim(b));
}

void
fo_broker_worked(struct fo_broker *b, struct fo_instant from, struct fo_instant to)
{
    fo_gather_worked(&b->intake.gather, from, to);
}

bool
fo_broker_is_drained(const struct fo_broker *b)
{
    return b->is_draining && fo_store_is_empty(&b->store) && b->waits.durable_first == NULL;
}

enum fo_err
fo_broker_failure(const struct fo_broker *b)
{
    return b->store.failure == FO_ERR_NO_SPACE ? FO_OK : b->store.failure;
}
