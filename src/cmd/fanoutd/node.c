/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/fanoutd/node.h"

#include "adapter/journal_file.h"
#include "adapter/keys_file.h"
#include "adapter/nng_transport.h"
#include "cmd/fanoutd/notify.h"
#include "ports/log.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INBOX_CAP = 8192,
    INPUTS_PER_STEP = 256,
    FLUSH_MS = 2000,
    DRAIN_MS = 10000,
    LEDGER_STOP_MS = 2000,
    STATUS_EVERY_MS = 5000,
    WAKE_MS_MAX = 1000,
};

/* Nobody has verified the frame: a relay within a relay is not looked into, however deep a stranger has nested them. */
static bool
is_urgent(struct fo_slice frame)
{
    struct fo_frame f, carried;
    struct fo_batch_header h;

    if (fo_frame_split(frame, &f) != FO_OK)
        return false;
    if (f.kind == FO_FRAME_RELAY) {
        if (fo_frame_split(f.body, &carried) != FO_OK || carried.kind == FO_FRAME_RELAY)
            return false;
        f = carried;
    }
    if (f.kind != FO_FRAME_BATCH)
        return true;
    return fo_batch_header_decode(&f, &h) == FO_OK && h.lane == FO_LANE_HIGH;
}

/* Journal's thread. The inbox always has room for this: at most one commit is on its way. */
static void
stored(void *ctx, enum fo_err err, uint64_t durable_lsn)
{
    struct fo_input in = { .kind = FO_INPUT_STORED, .err = err, .lsn = durable_lsn };

    if (fo_inbox_post(ctx, &in, true) != FO_OK)
        abort();
}

static enum fo_err
open_keys(struct fo_node *n, struct fo_fault *ret_fault)
{
    const struct fo_config *c = n->config;
    enum fo_err err = fo_keys_library_init();

    if (err != FO_OK)
        return fo_fault_set(ret_fault, err, "keys", "libsodium that initializes");
    n->keys = calloc(1, sizeof *n->keys);
    if (n->keys == NULL)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "keys", "memory");
    err = fo_keys_file_load_secret(c->keys.secret_key, &n->key, ret_fault);
    if (err == FO_OK && strcmp(n->key.public_half.region, c->region) != 0)
        err = fo_fault_set(ret_fault, FO_ERR_WRONG_KEY, "keys.secret_key", "region %s's key, this one is %s's", c->region, n->key.public_half.region);
    if (err == FO_OK)
        err = fo_keys_file_load_ring(c->keys.public_keys, n->keys, ret_fault);
    for (unsigned i = 0; err == FO_OK && i < c->peers_count; i++) {
        bool has_key = false;

        for (unsigned k = 0; k < n->keys->count; k++)
            has_key |= strcmp(n->keys->key[k].region, c->peers[i].region) == 0;
        if (!has_key)
            err = fo_fault_set(ret_fault, FO_ERR_NOT_FOUND, "keys.public_keys", "a public key of peer %s in %s; copy its .pub file there", c->peers[i].region, c->keys.public_keys);
    }
    return err;
}

static enum fo_err
open_journal(struct fo_node *n, struct fo_journal_opened *ret_opened, struct fo_fault *ret_fault)
{
    const struct fo_config *c = n->config;
    struct fo_journal_config j = { .dir = c->data_dir, .region = c->region, .segment_bytes = c->journal.segment_bytes,
        .record_bytes_max = fo_config_frame_bytes_max(c), .bytes_max = c->journal.bytes_max,
        .is_synced = strcmp(c->journal.durability, "power") == 0, .stored = stored, .stored_ctx = n->inbox };
    enum fo_err err = fo_journal_file_open(&j, &n->journal, ret_opened, ret_fault);

    if (err != FO_OK)
        return err;
    if (ret_opened->torn_bytes > 0)
        fo_log(FO_LOG_WARN, "journal_torn_tail_cut", FO_I("bytes", ret_opened->torn_bytes));
    if (ret_opened->may_have_lost)
        fo_log(FO_LOG_WARN, "journal_may_have_lost", FO_S("why", "a restart of the machine under durability process, or damaged records"),
            FO_I("epoch", fo_journal_file_epoch(n->journal)));
    return FO_OK;
}

static void
poke_ledger(void *user, uint64_t durable_lsn)
{
    (void)durable_lsn;
    fo_ledger_poke(user);
}

static void
tell_ledger_health(void *user, const struct fo_broker_health *h)
{
    fo_ledger_health(user, h);
}

static json_t *
ledger_json(void *user)
{
    struct fo_ledger_status s;

    fo_ledger_status(user, &s);
    return json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:s}", "enabled", 1, "connected", s.is_connected, "lsn", (json_int_t)s.lsn,
        "lagBytes", (json_int_t)s.lag_bytes, "rowsWritten", (json_int_t)s.rows_written, "rowsRepeated", (json_int_t)s.rows_repeated,
        "rowsQuarantined", (json_int_t)s.rows_quarantined, "lastError", s.error);
}

static enum fo_err
open_broker(struct fo_node *n, const struct fo_journal_opened *opened, struct fo_fault *ret_fault)
{
    struct fo_broker_setup s = { .config = n->config, .journal = n->journal, .checkpoint_lsn = opened->checkpoint_lsn,
        .epoch = fo_journal_file_epoch(n->journal), .inbox = n->inbox, .key = &n->key, .keys = n->keys, .schemas = n->schemas };
    struct fo_instant now;
    struct fo_wall wall;

    randombytes_buf(&s.seed, sizeof s.seed);
    randombytes_buf(s.fingerprint_key, sizeof s.fingerprint_key);
    fo_clock_read(&n->clock, &now, &wall);
    return fo_broker_create(&s, now, wall, &n->broker, ret_fault);
}

static enum fo_err
open_transport(struct fo_node *n, struct fo_fault *ret_fault)
{
    const struct fo_config *c = n->config;
    struct fo_nng_peer peers[FO_REGIONS_MAX];
    struct fo_nng_config t = { .door = c->listen.door, .feed = c->listen.feed, .link = c->listen.link, .peers = peers, .peers_count = c->peers_count,
        .tls = { c->tls.cert, c->tls.key, c->tls.ca }, .requests_max = c->limits.requests_max, .request_bytes_max = c->limits.request_bytes_max,
        .frame_bytes_max = fo_config_frame_bytes_max(c), .inbox = n->inbox, .is_urgent = is_urgent };
    enum fo_err err;

    for (unsigned i = 0; i < c->peers_count; i++)
        peers[i] = (struct fo_nng_peer){ i + 1, c->peers[i].link };
    err = fo_nng_transport_open(&t, &n->transport, ret_fault);
    if (err == FO_OK)
        fo_broker_set_transport(n->broker, n->transport);
    return err;
}

static enum fo_err
open_ledger(struct fo_node *n, struct fo_fault *ret_fault)
{
    const struct fo_config *c = n->config;
    struct fo_ledger_config l = { .conninfo = c->ledger.conninfo, .regions = fo_broker_regions(n->broker), .journal = n->journal, .inbox = n->inbox,
        .rows_max = c->ledger.rows_max, .settle_wait_ms = c->ledger.settle_wait_ms, .answer_timeout_ms = c->ledger.answer_timeout_ms, .epochs = *fo_broker_epochs(n->broker) };
    enum fo_err err;

    if (!c->ledger.is_enabled)
        return FO_OK;
    err = fo_ledger_start(&l, &n->ledger, ret_fault);
    if (err != FO_OK)
        return err;
    fo_broker_set_ledger(n->broker, (struct fo_broker_ledger){ .user = n->ledger, .poke = poke_ledger, .health = tell_ledger_health, .status = ledger_json });
    return FO_OK;
}

enum fo_err
fo_node_open(struct fo_node *n, const struct fo_config *config, struct fo_fault *ret_fault)
{
    struct fo_journal_opened opened;
    enum fo_err err;

    memset(n, 0, sizeof *n);
    n->config = config;
    fo_clock_init(&n->clock);
    if (fo_inbox_create(INBOX_CAP, &n->inbox) != FO_OK)
        return fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "", "memory");
    err = open_keys(n, ret_fault);
    if (err == FO_OK)
        err = fo_config_load_schemas(config, &n->schemas, ret_fault);
    if (err == FO_OK)
        err = open_journal(n, &opened, ret_fault);
    if (err == FO_OK)
        err = open_broker(n, &opened, ret_fault);
    if (err == FO_OK)
        err = open_transport(n, ret_fault);
    if (err == FO_OK)
        err = open_ledger(n, ret_fault);
    return err;
}

/* Microseconds until `due`, rounded up, so that a wake-up is never too early and then busy. */
static int
wait_us(struct fo_instant due, struct fo_instant now)
{
    int64_t ns = due.ns - now.ns;

    if (ns <= 0)
        return 0;
    return ns > WAKE_MS_MAX * 1000000ll ? WAKE_MS_MAX * 1000 : (int)((ns + 999) / 1000);
}

static void
notify(struct fo_node *n, struct fo_instant now, struct fo_instant *status_at)
{
    char text[256] = "STATUS=";
    size_t label = strlen(text);

    fo_notify("WATCHDOG=1");
    if (fo_instant_is_before(now, *status_at))
        return;
    fo_broker_summary(n->broker, text + label, sizeof text - label);
    fo_notify(text);
    *status_at = fo_instant_add(now, fo_duration_ms(STATUS_EVERY_MS));
}

enum fo_err
fo_node_run(struct fo_node *n)
{
    static struct fo_input inputs[INPUTS_PER_STEP];
    struct fo_instant now = { 0 }, due = { 0 }, status_at = { 0 }, notify_at = { 0 }, drain_until = { INT64_MAX };
    struct fo_wall wall;

    for (;;) {
        struct fo_instant began = now;
        unsigned count;

        fo_clock_read(&n->clock, &now, &wall);
        fo_broker_worked(n->broker, began, now);
        count = fo_inbox_take(n->inbox, inputs, INPUTS_PER_STEP, wait_us(due, now));
        fo_clock_read(&n->clock, &now, &wall);
        for (unsigned i = 0; i < count; i++) {
            if (inputs[i].kind != FO_INPUT_STOP || drain_until.ns != INT64_MAX)
                continue;
            fo_notify("STOPPING=1");
            fo_log(FO_LOG_INFO, "draining");
            drain_until = fo_instant_add(now, fo_duration_ms(DRAIN_MS));
        }
        due = fo_broker_step(n->broker, now, wall, inputs, count);
        if (!fo_instant_is_before(now, notify_at)) {
            notify(n, now, &status_at);
            notify_at = fo_instant_add(now, fo_duration_ms(WAKE_MS_MAX));
        }
        if (fo_broker_failure(n->broker) != FO_OK)
            return fo_broker_failure(n->broker);
        if (fo_broker_is_drained(n->broker))
            return FO_OK;
        if (!fo_instant_is_before(now, drain_until))
            return FO_ERR_TIMEOUT;
    }
}

void
fo_node_close(struct fo_node *n)
{
    if (n->transport != NULL && !fo_nng_transport_flush(n->transport, FLUSH_MS))
        fo_log(FO_LOG_WARN, "answers_not_flushed");
    if (n->ledger != NULL && !fo_ledger_stop(n->ledger, LEDGER_STOP_MS)) {
        fo_journal_file_finish(n->journal);     /* the ledger's thread still has its readers, and the broker's names of regions */
    } else {
        if (n->broker != NULL)
            fo_broker_destroy(n->broker);
        fo_journal_file_close(n->journal);
    }
    fo_schema_set_destroy(n->schemas);
    fo_key_pair_fini(&n->key);
    free(n->keys);
}
