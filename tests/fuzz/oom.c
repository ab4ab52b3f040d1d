/* SPDX-License-Identifier: Apache-2.0
 *
 * Fails every allocation once, in turn: run N times, the N-th call of malloc, calloc or realloc fails, until a run has none left to fail.
 * Over the codecs, and over a broker that publishes, receives, forwards, fetches, checkpoints and starts again. Nothing may crash or leak
 * (the sanitizer looks at the end), what was refused says so, and the same work done again with memory succeeds. */
#include "ports.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/chain.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

static long run_number, calls_left = -1;                /* until the one that fails; negative: none does */
static long outstanding;                    /* of jansson's */

/* Says which allocation it was, for whoever looks into it: oom N begins there. */
static void
on_abort(int sig)
{
    char text[64];
    int n = snprintf(text, sizeof text, "allocation %ld\n", run_number);

    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(128 + sig);
}

static bool
fails(void)
{
    if (calls_left < 0 || calls_left-- > 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *
__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t m)
{
    return fails() ? NULL : __real_calloc(n, m);
}

void *
__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

static void *
json_malloc(size_t n)
{
    void *p = __wrap_malloc(n);

    outstanding += p != NULL;
    return p;
}

static void
json_free(void *p)
{
    outstanding -= p != NULL;
    free(p);
}

/* Returns true when the work was done wholly. */
static bool
codecs(void)
{
    static const char text[] = "{\"type\":\"order_status\",\"id\":\"1\",\"data\":{\"order_id\":1,\"status\":\"preparing\",\"list\":[1,2.5,null,\"x\"]},\"extra\":{\"a\":true}}";
    struct fo_batch_header h = { .region = FO_SLICE_LIT("us-east-1"), .epoch = 1, .first_seq = 1, .count = 1, .sealed_at = { 1 }, .target_count = 1,
        .target = { { FO_SLICE_LIT("us-west-2"), 0 } } };
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],\"enum\":[\"x\",null]},\"b\":{\"items\":{\"minimum\":1}}},\"required\":[\"a\"]}";
    struct fo_schema_set *set = NULL;
    struct fo_buf scratch, out, answer;
    struct fo_request req;
    struct fo_slice event, record;
    struct fo_event e;
    struct fo_fault fault;
    struct fo_writer w;
    uint8_t room[1024];
    json_t *json = NULL;
    bool is_done = false;

    fo_buf_init(&scratch);
    fo_buf_init(&out);
    fo_buf_init(&answer);
    if (fo_request_decode(FO_SLICE_LIT(text), &scratch, &req, &fault) == FO_OK) {
        DEMAND(fo_request_next_event(&req, &event) && fo_event_decode_publish(event, &world_rules, &e, &fault) == FO_OK);
        e.acceptedtime.us = 1767225600123456;
        e.sourceregion = FO_SLICE_LIT("us-east-1");
        w = fo_writer_of(room, sizeof room);
        fo_event_encode(&e, &w);
        record = fo_slice_of(room, w.n);
        is_done = fo_event_to_json(record, &json) == FO_OK;
        is_done &= fo_event_write_json(record, &answer) == FO_OK;
        is_done &= fo_batch_seal(&h, &record, &world_pair[0], &out) == FO_OK;
        is_done &= json != NULL && fo_json_answer_encode(FO_ENC_JSON, json, &answer) == FO_OK && fo_json_answer_encode(FO_ENC_MSGPACK, json, &answer) == FO_OK;
        is_done &= fo_error_answer_encode(FO_ENC_JSON, &fault, 1, &answer) == FO_OK;
    }
    is_done &= fo_schema_set_create(&set) == FO_OK;
    if (set != NULL) {
        is_done &= fo_schema_set_add(set, "t", FO_LANE_LOW, FO_SLICE_LIT(schema), &fault) == FO_OK;
        is_done &= fo_schema_set_add_builtin(set, &fault) == FO_OK;
        fo_schema_set_destroy(set);
    }
    json_decref(json);
    fo_buf_fini(&scratch);
    fo_buf_fini(&out);
    fo_buf_fini(&answer);
    return is_done;
}

static struct {
    struct ports ports;
    struct fo_broker *broker;
    int64_t now_ns;
    unsigned requests, answers, successes, refused;
    struct fo_chain held;                   /* by us-west-2, of the high lane */
    uint64_t acked;                         /* of us-west-2's own events, by the broker */
    struct fo_wall echo_at; int64_t echo_ns;
} w;

static void
on_reply(void *user, uint64_t id, struct fo_slice body)
{
    (void)user;
    w.answers++;
    DEMAND(body.n > 15);
    if (memcmp(body.p, "{\"success\":true", 15) != 0)
        return;
    DEMAND(id != w.refused);                /* what cannot be right is not accepted for want of memory to say so */
    w.successes++;
}

static void
on_send(void *user, unsigned peer, struct fo_slice bytes)
{
    static struct fo_control c;
    struct fo_batch_header h;
    struct fo_chain_batch b;
    struct fo_frame f;

    (void)user;
    DEMAND(fo_frame_split(bytes, &f) == FO_OK);
    if (peer != 1)
        return;
    if (f.kind != FO_FRAME_BATCH) {
        DEMAND(fo_control_decode(&f, &c) == FO_OK);
        w.acked = c.cum_seq[FO_LANE_NORMAL];
        w.echo_at = c.sent_at;
        w.echo_ns = w.now_ns;
        return;
    }
    DEMAND(fo_batch_header_decode(&f, &h) == FO_OK && h.target_count == 1 && h.lane == FO_LANE_HIGH);
    b = (struct fo_chain_batch){ h.epoch, { h.target[0].prev_epoch, h.target[0].prev_seq }, h.first_seq, h.first_seq + h.count - 1 };
    if (fo_chain_judge(&w.held, &b) == FO_OK) {
        fo_chain_stage(&w.held, h.epoch, b.last_seq);
        fo_chain_stored(&w.held, h.epoch, b.last_seq);
    }
}

static void
step(const struct fo_input *in)
{
    struct fo_wall wall = { 1770000000000000 + w.now_ns / 1000 };
    struct fo_input copy;
    int spins = 0;

    if (in != NULL)
        copy = *in;
    for (struct fo_instant due = fo_broker_step(w.broker, (struct fo_instant){ w.now_ns }, wall, in ? &copy : NULL, in != NULL); due.ns <= w.now_ns;) {
        DEMAND(++spins < 300);
        due = fo_broker_step(w.broker, (struct fo_instant){ w.now_ns }, wall, NULL, 0);
    }
}

static void
request(const char *text)
{
    struct fo_input in = ports_input(&w.ports, FO_INPUT_REQUEST, w.requests, fo_slice_str(text));

    if (in.msg.handle == NULL)
        return;                             /* the transport had no memory: nobody was promised anything */
    w.requests++;
    step(&in);
}

static void
frame(const struct fo_buf *bytes, enum fo_err err)
{
    struct fo_input in;

    if (err != FO_OK)
        return;
    in = ports_input(&w.ports, FO_INPUT_FRAME, 0, fo_buf_slice(bytes));
    if (in.msg.handle != NULL)
        step(&in);
}

/* us-west-2 says what it holds, and sends its next event. */
static void
peer_speaks(void)
{
    static struct fo_control c;
    uint64_t next = w.acked + 1;
    struct fo_batch_header h = { .region = FO_SLICE_LIT("us-west-2"), .lane = FO_LANE_NORMAL, .sealed_at = { 1 }, .epoch = 9, .first_seq = next, .count = 1,
        .target = { { FO_SLICE_LIT("us-east-1"), w.acked } }, .target_count = 1 };
    char id[24];
    struct fo_event e = { .id = fo_slice_of(id, (size_t)snprintf(id, sizeof id, "%llu", (unsigned long long)next)), .type = FO_SLICE_LIT("custom"),
        .tenant = FO_SLICE_LIT("default"), .acceptedtime = { 1770000000000000 }, .sourceregion = FO_SLICE_LIT("us-west-2"), .schemaversion = 1, .mincompatible = 1 };
    uint8_t room[256];
    struct fo_writer out = fo_writer_of(room, sizeof room);
    struct fo_slice record;
    struct fo_buf bytes;

    c = (struct fo_control){ .region = FO_SLICE_LIT("us-west-2"), .target = FO_SLICE_LIT("us-east-1"), .session = 7, .sent_at = { 1770000000000000 + w.now_ns / 1000 } };
    c.epoch_acked[FO_LANE_HIGH] = w.held.durable.epoch;
    c.cum_seq[FO_LANE_HIGH] = w.held.durable.seq;
    c.echo_at = w.echo_at;
    c.echo_delay_us = w.echo_at.us != 0 ? (w.now_ns - w.echo_ns) / 1000 : 0;
    fo_buf_init(&bytes);
    frame(&bytes, fo_control_seal(FO_FRAME_HEARTBEAT, &c, &world_pair[1], &bytes));
    fo_event_encode(&e, &out);
    record = fo_slice_of(room, out.n);
    bytes.n = 0;
    frame(&bytes, fo_batch_seal(&h, &record, &world_pair[1], &bytes));
    fo_buf_fini(&bytes);
}

static void
stored(void)
{
    struct fo_input in;

    while (ports_stored(&w.ports, FO_OK, &in))
        step(&in);
}

static void
pass(int64_t ms)
{
    w.now_ns += ms * 1000000;
    step(NULL);
    stored();
}

static bool
start(void)
{
    struct fo_broker_setup setup = { .config = ports_config(), .journal = &w.ports.journal, .checkpoint_lsn = ports_checkpoint_lsn(&w.ports), .epoch = 1769999999000,
        .transport = &w.ports.transport, .key = &world_pair[0], .keys = &world_keys, .schemas = world_schemas, .seed = 1 };
    struct fo_fault fault;

    if (fo_broker_create(&setup, (struct fo_instant){ w.now_ns }, (struct fo_wall){ 1770000000000000 + w.now_ns / 1000 }, &w.broker, &fault) != FO_OK)
        return false;
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        step(&(struct fo_input){ .kind = FO_INPUT_LINK_UP, .peer = 1, .cls = cls });
    return true;
}

static void
work(void)
{
    request("{\"op\":\"fetch\",\"from\":\"now\",\"waitMs\":1000}");
    request("{\"op\":\"status\"}");
    request("{\"type\":\"order_status\",\"data\":{\"order_id\":1,\"status\":\"ready\"},\"targets\":[\"us-west-2\"],\"wait\":\"all\",\"timeoutMs\":3000}");
    w.refused = w.requests;
    request("{\"events\":[{\"type\":\"order_status\",\"data\":{\"order_id\":1},\"targets\":[\"us-west-2\"]},{\"type\":\"no_such_type\"}],\"timeoutMs\":3000}");
    if (w.requests == w.refused)
        w.refused = UINT_MAX;               /* it was never sent */
    stored();
    for (int i = 0; i < 4; i++) {
        peer_speaks();
        pass(300);
    }
    request("{\"op\":\"fetch\",\"from\":\"earliest\",\"waitMs\":0}");
    request("{\"op\":\"report\"}");
    for (int i = 0; i < 6; i++)
        pass(1000);
}

/* With memory again: an event goes out and is acked, one comes in, and the answer says so. */
static void
demand_all_is_well(void)
{
    uint64_t acked = w.acked;
    unsigned before = w.successes;

    request("{\"type\":\"order_status\",\"data\":{\"order_id\":1,\"status\":\"ready\"},\"targets\":[\"us-west-2\"],\"wait\":\"all\",\"timeoutMs\":2000}");
    stored();
    DEMAND(w.ports.messages == 0);          /* a request's bytes are not held while a peer is waited for */
    for (int i = 0; i < 60 && !(w.successes > before && w.acked > acked); i++) {
        if (i % 10 == 0)
            request("{\"type\":\"order_status\",\"data\":{\"order_id\":1,\"status\":\"ready\"},\"targets\":[\"us-west-2\"],\"wait\":\"all\",\"timeoutMs\":2000}");
        peer_speaks();
        pass(250);
    }
    DEMAND(w.successes > before && w.acked > acked && fo_broker_failure(w.broker) == FO_OK);
    for (int i = 0; i < 10; i++)
        pass(1000);
}

/* As an operator does: a start that fails is tried again. */
static void
start_twice(void)
{
    if (!start())
        DEMAND(start());
}

/* True: this run had fewer allocations than were to succeed. */
static bool
broker(void)
{
    bool has_none_left;

    memset(&w, 0, sizeof w);
    w.now_ns = 1000000000;
    w.refused = UINT_MAX;
    ports_init(&w.ports);
    w.ports.on_send = on_send;
    w.ports.on_reply = on_reply;
    start_twice();
    work();
    fo_broker_destroy(w.broker);
    ports_crash(&w.ports);
    w.answers = w.requests;                 /* whoever still waited saw the connection go */
    start_twice();
    work();
    has_none_left = calls_left >= 0;
    calls_left = -1;
    demand_all_is_well();
    DEMAND(w.answers >= w.requests);
    fo_broker_destroy(w.broker);
    ports_fini(&w.ports);
    return has_none_left;
}

static bool
codecs_again(void)
{
    (void)codecs();
    if (calls_left >= 0)
        return true;
    DEMAND(codecs());
    return false;
}

static void
run(const char *name, bool (*one)(void), long from)
{
    long n = from;

    for (run_number = calls_left = n; !one(); run_number = calls_left = ++n)
        DEMAND(outstanding == 0);
    calls_left = -1;
    printf("ok - %s: each of %ld allocations failed once\n", name, n);
    DEMAND(n > from + 10);
}

int
main(int argc, char **argv)
{
    long from = argc > 1 ? atol(argv[1]) : 0;

    signal(SIGABRT, on_abort);
    json_object_seed(1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    world_is_short_of_memory = true;
    world_init();
    json_set_alloc_funcs(json_malloc, json_free);
    run("codecs", codecs_again, 0);
    run("broker", broker, from);
    fo_schema_set_destroy((struct fo_schema_set *)(uintptr_t)world_schemas);
    for (unsigned i = 0; i < WORLD_REGIONS; i++)
        fo_key_pair_fini(&world_pair[i]);
    return 0;
}
