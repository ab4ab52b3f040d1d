/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker over memory, and a peer, us-west-2, whose signatures hold and whose words do not: the input is a program of what it
 * says, of publishes, time, disk errors and restarts. The other peer, eu-west-1, is honest. Nothing may crash or spin, every request is
 * answered once, and at the end an event still reaches the honest peer and one of its events still arrives here.
 *
 * Signing and verifying cost more than all the rest and are led to functions that nod. */
#include "ports.h"

#include <sodium.h>
#include <string.h>

#include "core/chain.h"
#include "wire/relay.h"

enum { LIAR = 1, HONEST = 2, REQUESTS_MAX = 256, OPS_MAX = 400, SPINS_MAX = 300 };

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n, const unsigned char *m, unsigned long long n, const unsigned char *secret);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key);

int
__wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n, const unsigned char *m, unsigned long long n, const unsigned char *secret)
{
    (void)m;
    (void)n;
    (void)secret;
    memset(sig, 7, FO_SIGNATURE_BYTES);
    if (ret_n != NULL)
        *ret_n = FO_SIGNATURE_BYTES;
    return 0;
}

int
__wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key)
{
    (void)sig;
    (void)m;
    (void)n;
    (void)key;
    return 0;
}

static struct {
    struct ports ports;
    struct fo_broker *broker;
    struct fo_reader in;                    /* the program's rest */
    int64_t now_ns, wall_base_us;
    uint64_t epoch, requests, first_request;
    uint8_t answers[REQUESTS_MAX];
    char last_answer[512];
    uint64_t sent_last[FO_LANES];           /* newest sequence that the broker sent to the liar */
    struct fo_buf said;                     /* by the liar, last */
    struct fo_chain held[FO_LANES];         /* by the honest peer, of the broker's */
    uint64_t honest_seq, honest_acked;      /* of the honest peer's own, in the normal lane */
    struct fo_wall honest_echo;
    int64_t honest_echo_ns;
} w;

static uint8_t
byte(void)
{
    uint8_t v = 0;

    return fo_read_u8(&w.in, &v) == FO_OK ? v : 0;
}

/* What ought to stand there, something near it, or something absurd. */
static uint64_t
number(uint64_t real)
{
    uint64_t v = 0;

    switch (byte() % 8) {
    case 0: return real;
    case 1: return real + byte();
    case 2: return real - byte();
    case 3: return UINT64_MAX;
    case 4: return (uint64_t)1 << 63;
    case 5: return INT64_MAX;
    case 6: return byte();
    }
    return fo_read_u64(&w.in, &v) == FO_OK ? v : 1;
}

static struct fo_wall
wall_now(void)
{
    return (struct fo_wall){ w.wall_base_us + w.now_ns / 1000 };
}

static int64_t
honest_clock_us(void)
{
    return 1770000000000000 + w.now_ns / 1000;
}

static void
step(struct fo_input *in, unsigned count)
{
    struct fo_instant due;
    int spins = 0;

    due = fo_broker_step(w.broker, (struct fo_instant){ w.now_ns }, wall_now(), in, count);
    while (due.ns <= w.now_ns) {
        DEMAND(++spins < SPINS_MAX);
        due = fo_broker_step(w.broker, (struct fo_instant){ w.now_ns }, wall_now(), NULL, 0);
    }
}

static void
stored(enum fo_err err)
{
    struct fo_input in;

    if (ports_stored(&w.ports, err, &in))
        step(&in, 1);
}

static void
request(const char *text)
{
    struct fo_input in;

    if (w.requests == REQUESTS_MAX)
        return;
    in = ports_input(&w.ports, FO_INPUT_REQUEST, w.requests++, fo_slice_str(text));
    step(&in, 1);
}

static void
frame(struct fo_slice bytes)
{
    struct fo_input in = ports_input(&w.ports, FO_INPUT_FRAME, 0, bytes);

    step(&in, 1);
}

static void
on_reply(void *user, uint64_t id, struct fo_slice body)
{
    (void)user;
    DEMAND(id < w.requests && w.answers[id]++ == 0 && body.n > 0);
    snprintf(w.last_answer, sizeof w.last_answer, "%.*s", (int)(body.n < 500 ? body.n : 500), (const char *)body.p);
}

static struct fo_mark
prev_of(const struct fo_batch_header *h, unsigned i)
{
    const struct fo_target *t = &h->target[i];

    return (struct fo_mark){ t->prev_seq == 0 ? 0 : t->prev_epoch != 0 ? t->prev_epoch : h->epoch, t->prev_seq };
}

/* The honest peer has whatever is next in the chain durable at once. */
static void
honest_hears(const struct fo_frame *f)
{
    struct fo_batch_header h;
    struct fo_control c;

    if (f->kind == FO_FRAME_BATCH) {
        DEMAND(fo_batch_header_decode(f, &h) == FO_OK);
        for (unsigned i = 0; i < h.target_count; i++) {
            uint64_t last = h.first_seq + h.count - 1;

            if (!fo_slice_is_equal(h.target[i].region, fo_slice_str(world_regions.name[HONEST])))
                continue;
            if (fo_chain_judge(&w.held[h.lane], &(struct fo_chain_batch){ h.epoch, prev_of(&h, i), h.first_seq, last }) == FO_OK) {
                fo_chain_stage(&w.held[h.lane], h.epoch, last);
                fo_chain_stored(&w.held[h.lane], h.epoch, last);
            }
        }
    } else if (f->kind != FO_FRAME_RELAY) {
        DEMAND(fo_control_decode(f, &c) == FO_OK);
        w.honest_echo = c.sent_at;
        w.honest_echo_ns = w.now_ns;
        if (c.cum_seq[FO_LANE_NORMAL] > w.honest_acked)
            w.honest_acked = c.cum_seq[FO_LANE_NORMAL];
        DEMAND(w.honest_acked <= w.honest_seq);
    }
}

static void
on_send(void *user, unsigned peer, struct fo_slice bytes)
{
    struct fo_batch_header h;
    struct fo_frame f;

    (void)user;
    DEMAND(fo_frame_split(bytes, &f) == FO_OK);
    if (peer == HONEST)
        honest_hears(&f);
    else if (f.kind == FO_FRAME_BATCH && fo_batch_header_decode(&f, &h) == FO_OK)
        w.sent_last[h.lane] = h.first_seq + h.count - 1;
}

static struct fo_slice
record(uint8_t kind, uint8_t *room, size_t size)
{
    char id[8];
    struct fo_event e = { .id = fo_slice_of(id, (size_t)snprintf(id, sizeof id, "%u", kind)), .type = FO_SLICE_LIT("custom"), .tenant = FO_SLICE_LIT("default"),
        .acceptedtime = { 1770000000000000 }, .sourceregion = fo_slice_str(world_regions.name[kind % 5 == 0 ? 0 : LIAR]), .schemaversion = 1, .mincompatible = 1,
        .lane = FO_LANE_NORMAL, .expirytime = { kind % 7 == 1 ? 1 : 0 } };
    struct fo_writer out = fo_writer_of(room, size);

    if (kind % 6 == 1)
        return fo_slice_of("\x80", 1);
    fo_event_encode(&e, &out);
    return fo_slice_of(room, out.n);
}

static void
liar_batch(void)
{
    static const char *const names[] = { "us-east-1", "eu-west-1", "us-west-2", "ap-south-1" };
    struct fo_batch_header h = { .region = fo_slice_str(world_regions.name[LIAR]), .lane = byte() % FO_LANES, .sealed_at = { 1 } };
    uint8_t room[4][128], targets = byte();
    struct fo_slice records[4];

    h.epoch = number(5);
    h.first_seq = number(1);
    h.count = 1 + byte() % 4;
    for (unsigned i = 0; i < 4; i++)
        if (i == 0 || targets >> i & 1)
            h.target[h.target_count++] = (struct fo_target){ fo_slice_str(names[(i + targets / 128) % 4]), number(h.first_seq - 1), byte() % 3 ? 0 : number(4) };
    for (uint32_t i = 0; i < h.count; i++)
        records[i] = record(byte(), room[i], sizeof room[i]);
    w.said.n = 0;
    if (fo_batch_seal(&h, records, &world_pair[LIAR], &w.said) == FO_OK)
        frame(fo_buf_slice(&w.said));
}

static void
liar_control(void)
{
    static struct fo_control c;
    uint8_t kind = byte();

    c = (struct fo_control){ .region = fo_slice_str(world_regions.name[LIAR]), .target = fo_slice_str(world_regions.name[kind & 1 ? 0 : kind % 3]),
        .session = number(1), .sent_at = { (int64_t)number((uint64_t)wall_now().us) } };
    for (int i = 0; i < FO_LANES; i++) {
        c.epoch_acked[i] = number(w.epoch);
        c.cum_seq[i] = number(w.sent_last[i]);
        c.settled_seq[i] = number(0);
        c.settled_epoch[i] = byte() % 2 ? number(5) : 0;
    }
    c.exception_count = byte() % 8;
    for (unsigned i = 0; i < c.exception_count; i++)
        c.exception[i] = (struct fo_exception){ byte() % FO_LANES, number(w.sent_last[0]), 1 + byte() % 3 };
    c.echo_at.us = (int64_t)number((uint64_t)wall_now().us);
    c.echo_delay_us = (int64_t)number(100);
    for (unsigned i = byte() % 3; i > 0; i--)
        c.reach[c.reach_count++] = fo_slice_str(world_regions.name[byte() % WORLD_REGIONS]);
    w.said.n = 0;
    if (fo_control_seal(kind % 3 ? kind % 3 == 1 ? FO_FRAME_ACK : FO_FRAME_HELLO : FO_FRAME_HEARTBEAT, &c, &world_pair[LIAR], &w.said) == FO_OK)
        frame(fo_buf_slice(&w.said));
}

static void
liar_relay(void)
{
    struct fo_relay r = { .region = fo_slice_str(world_regions.name[LIAR]), .target = fo_slice_str(world_regions.name[byte() % 2 ? 0 : HONEST]), .sent_at = wall_now() };
    struct fo_buf out;

    fo_buf_init(&out);
    if (fo_relay_seal(&r, fo_buf_slice(&w.said), &world_pair[LIAR], &out) == FO_OK) {
        frame(fo_buf_slice(&out));
        if (byte() % 4 == 0) {              /* and once more around it */
            w.said.n = 0;
            DEMAND(fo_buf_add(&w.said, out.p, out.n) == FO_OK);
        }
    }
    fo_buf_fini(&out);
}

static void
honest_control(void)
{
    static struct fo_control c;
    struct fo_buf out;

    c = (struct fo_control){ .region = fo_slice_str(world_regions.name[HONEST]), .target = fo_slice_str(world_regions.name[0]), .session = 77, .sent_at = { honest_clock_us() } };
    for (int i = 0; i < FO_LANES; i++) {
        c.epoch_acked[i] = w.held[i].durable.epoch;
        c.cum_seq[i] = w.held[i].durable.seq;
    }
    c.settled_seq[FO_LANE_NORMAL] = w.honest_acked;
    if (w.honest_echo.us != 0) {
        c.echo_at = w.honest_echo;
        c.echo_delay_us = (w.now_ns - w.honest_echo_ns) / 1000;
    }
    fo_buf_init(&out);
    DEMAND(fo_control_seal(FO_FRAME_ACK, &c, &world_pair[HONEST], &out) == FO_OK);
    frame(fo_buf_slice(&out));
    fo_buf_fini(&out);
}

static void
honest_batch(void)
{
    struct fo_batch_header h = { .region = fo_slice_str(world_regions.name[HONEST]), .lane = FO_LANE_NORMAL, .sealed_at = { 1 }, .epoch = 9, .first_seq = w.honest_acked + 1,
        .count = 1, .target = { { fo_slice_str(world_regions.name[0]), w.honest_acked } }, .target_count = 1 };
    uint8_t room[128];
    struct fo_slice r = record(2, room, sizeof room);
    struct fo_buf out;

    fo_buf_init(&out);
    DEMAND(fo_batch_seal(&h, &r, &world_pair[HONEST], &out) == FO_OK);
    w.honest_seq = h.first_seq;
    frame(fo_buf_slice(&out));
    fo_buf_fini(&out);
}

static void
publish(void)
{
    static const char *const lanes[] = { "high", "normal", "low" }, *const waits[] = { "\"accepted\"", "\"all\"", "1" };
    static const char *const targets[] = { "", ",\"targets\":[\"us-west-2\"]", ",\"targets\":[\"eu-west-1\",\"us-east-1\"]" };
    uint8_t a = byte(), b = byte();
    char text[256];

    snprintf(text, sizeof text, "{\"type\":\"custom\",\"id\":\"%u\",\"priority\":\"%s\",\"wait\":%s,\"timeoutMs\":%u%s}", a, lanes[b % 3], waits[b / 3 % 3], 1 + b * 9u, targets[b / 9 % 3]);
    request(text);
}

static void
links(bool is_up)
{
    for (unsigned p = 1; p < WORLD_REGIONS; p++)
        for (unsigned c = 0; c < FO_LINK_CLASSES; c++) {
            struct fo_input in = { .kind = is_up ? FO_INPUT_LINK_UP : FO_INPUT_LINK_DOWN, .peer = p, .cls = c };

            step(&in, 1);
        }
}

static void
start(void)
{
    struct fo_broker_setup setup = { .config = ports_config(), .journal = &w.ports.journal, .checkpoint_lsn = ports_checkpoint_lsn(&w.ports), .epoch = w.epoch,
        .transport = &w.ports.transport, .key = &world_pair[0], .keys = &world_keys, .schemas = world_schemas, .seed = 1 };
    struct fo_fault fault;

    DEMAND(fo_broker_create(&setup, (struct fo_instant){ w.now_ns }, wall_now(), &w.broker, &fault) == FO_OK);
    links(true);
}

static void
restart(void)
{
    uint8_t how = byte();

    fo_broker_destroy(w.broker);
    ports_crash(&w.ports);
    memset(w.answers, 1, sizeof w.answers);     /* whoever waited saw the connection go */
    w.first_request = w.requests;
    memset(w.answers + w.first_request, 0, sizeof w.answers - w.first_request);
    w.wall_base_us += (how % 3 - 1) * 3600000000ll;
    w.epoch += how & 4;
    start();
}

static void
pass(int64_t ms)
{
    w.now_ns += ms * 1000000;
    step(NULL, 0);
}

static void
one_op(uint8_t op)
{
    switch (op % 12) {
    case 0: publish(); break;
    case 1:
    case 2: liar_control(); break;
    case 3:
    case 4: liar_batch(); break;
    case 5: liar_relay(); break;
    case 6: pass(1 + byte() * 20); break;
    case 7: stored(FO_OK); break;
    case 8: stored(byte() % 4 ? FO_OK : FO_ERR_NO_SPACE); break;
    case 9: honest_control(); break;
    case 10: links(byte() & 1); break;
    case 11:
        if (byte() % 4 == 0)
            restart();
        else
            request("{\"op\":\"fetch\",\"from\":\"earliest\",\"waitMs\":1000,\"max\":3}");
        break;
    }
}

/* The liar falls silent; the broker owes the honest peer, and whoever asked, what it promises. */
static void
demand_peace(void)
{
    uint64_t before = w.honest_acked, id = w.requests = w.requests == REQUESTS_MAX ? REQUESTS_MAX - 1 : w.requests;
    bool is_published = false;

    w.answers[id] = 0;
    stored(FO_OK);
    links(true);
    for (int i = 0; i < 1000 && !(is_published && w.honest_acked > before); i++) {
        if (!is_published && (i == 0 || w.answers[id] != 0)) {
            w.requests = id;
            w.answers[id] = 0;
            request("{\"type\":\"custom\",\"targets\":[\"eu-west-1\"],\"wait\":\"all\",\"timeoutMs\":60000}");
        }
        honest_control();
        honest_batch();
        stored(FO_OK);
        pass(250);
        stored(FO_OK);
        is_published = w.answers[id] != 0 && strstr(w.last_answer, "\"success\":true") != NULL;
    }
    DEMAND(is_published && w.honest_acked > before);
    for (int i = 0; i < 20; i++) {
        pass(5000);
        stored(FO_OK);
    }
    for (uint64_t i = w.first_request; i < w.requests; i++)
        DEMAND(w.answers[i] == 1);
}

void
fuzz_one(struct fo_slice input)
{
    memset(&w, 0, sizeof w);
    w.in = fo_reader_of(input);
    w.now_ns = 1000000000;
    w.wall_base_us = 1770000000000000;
    w.epoch = 1769999999000;
    ports_init(&w.ports);
    w.ports.on_send = on_send;
    w.ports.on_reply = on_reply;
    fo_buf_init(&w.said);
    start();
    for (int i = 0; i < OPS_MAX && fo_reader_left(&w.in) > 0; i++)
        one_op(byte());
    demand_peace();
    fo_broker_destroy(w.broker);
    ports_fini(&w.ports);
    fo_buf_fini(&w.said);
}
