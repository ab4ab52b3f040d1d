/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker, us-east-1, over memory, and one peer, us-west-2, that says exactly what a test wants. */
#include "../../fuzz/ports.h"
#include "broker/parts.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { PEER = 1, EPOCH = 5, ROOM = 160, ANSWERS_MAX = 16 };

static struct {
    struct ports ports;
    struct fo_config config;
    struct fo_broker *broker;
    int64_t now_ns, wall_base_us, heard_ns;
    struct fo_control heard;                /* last control frame to the peer */
    unsigned controls, batches;             /* frames sent to the peer */
    struct fo_batch_header sent;            /* last batch */
    struct fo_buf frame;
    char answer[ANSWERS_MAX][512];
} w;

static struct fo_wall
wall_now(void)
{
    return (struct fo_wall){ w.wall_base_us + w.now_ns / 1000 };
}

static struct fo_instant
step(struct fo_input *in, unsigned count)
{
    return fo_broker_step(w.broker, (struct fo_instant){ w.now_ns }, wall_now(), in, count);
}

static void
pass(int64_t ms)
{
    w.now_ns += ms * 1000000;
    (void)step(NULL, 0);
}

/* False: nothing was on its way to the disk. */
static bool
stored(enum fo_err err)
{
    struct fo_input in;

    if (!ports_stored(&w.ports, err, &in))
        return false;
    (void)step(&in, 1);
    return true;
}

static void
store_all(void)
{
    while (stored(FO_OK))
        continue;
}

static void
send_frame(void)
{
    struct fo_input in = ports_input(&w.ports, FO_INPUT_FRAME, 0, fo_buf_slice(&w.frame));

    (void)step(&in, 1);
    w.frame.n = 0;
}

static void
ask(uint64_t id, const char *text)
{
    struct fo_input in = ports_input(&w.ports, FO_INPUT_REQUEST, id, fo_slice_str(text));

    (void)step(&in, 1);
}

/* The peer sends a batch of the lane; its first `expired` events have expired. */
static void
peer_batch(enum fo_lane lane, uint64_t first, uint32_t count, uint32_t expired)
{
    static uint8_t room[FO_BATCH_EVENTS_MAX][ROOM];
    static struct fo_slice records[FO_BATCH_EVENTS_MAX];
    struct fo_batch_header h = { .region = fo_slice_str(world_regions.name[PEER]), .lane = lane, .epoch = EPOCH, .first_seq = first, .count = count, .sealed_at = { 1 },
        .target = { { fo_slice_str(world_regions.name[0]), first - 1 } }, .target_count = 1 };

    for (uint32_t i = 0; i < count; i++) {
        char id[32];
        struct fo_event e = { .id = fo_slice_of(id, (size_t)snprintf(id, sizeof id, "%d-%llu", lane, (unsigned long long)(first + i))), .type = FO_SLICE_LIT("custom"),
            .tenant = FO_SLICE_LIT("default"), .acceptedtime = { 1 }, .sourceregion = h.region, .schemaversion = 1, .mincompatible = 1, .lane = lane,
            .expirytime = { i < expired ? 1 : 0 } };
        struct fo_writer out = fo_writer_of(room[i], ROOM);

        fo_event_encode(&e, &out);
        records[i] = fo_slice_of(room[i], out.n);
    }
    assert_int_equal(fo_batch_seal(&h, records, &world_pair[PEER], &w.frame), FO_OK);
    send_frame();
}

/* An ack of the peer's, for what the test has put into it. */
static void
peer_says(struct fo_control *c)
{
    c->region = fo_slice_str(world_regions.name[PEER]);
    c->target = fo_slice_str(world_regions.name[0]);
    c->session = 77;
    c->sent_at = wall_now();
    c->echo_at = w.heard.sent_at;
    c->echo_delay_us = (w.now_ns - w.heard_ns) / 1000;
    assert_int_equal(fo_control_seal(FO_FRAME_ACK, c, &world_pair[PEER], &w.frame), FO_OK);
    send_frame();
}

static struct fo_mark
held(enum fo_lane lane)
{
    return w.broker->receive.source[PEER].chain[lane].durable;
}

static void
on_send(void *user, unsigned peer, struct fo_slice bytes)
{
    struct fo_frame f;

    (void)user;
    assert_int_equal(fo_frame_split(bytes, &f), FO_OK);
    if (peer != PEER)
        return;
    if (f.kind == FO_FRAME_BATCH) {
        assert_int_equal(fo_batch_header_decode(&f, &w.sent), FO_OK);
        w.batches++;
    } else {
        assert_int_equal(fo_control_decode(&f, &w.heard), FO_OK);
        w.controls++;
        w.heard_ns = w.now_ns;
    }
}

static void
on_reply(void *user, uint64_t request, struct fo_slice body)
{
    (void)user;
    assert_true(request < ANSWERS_MAX && w.answer[request][0] == '\0');
    snprintf(w.answer[request], sizeof w.answer[request], "%.*s", (int)(body.n < 500 ? body.n : 500), (const char *)body.p);
}

static void
links(bool is_up)
{
    for (unsigned c = 0; c < FO_LINK_CLASSES; c++) {
        struct fo_input in = { .kind = is_up ? FO_INPUT_LINK_UP : FO_INPUT_LINK_DOWN, .peer = PEER, .cls = c };

        (void)step(&in, 1);
    }
}

static void
start(void)
{
    struct fo_broker_setup setup = { .config = &w.config, .journal = &w.ports.journal, .checkpoint_lsn = ports_checkpoint_lsn(&w.ports), .epoch = EPOCH,
        .transport = &w.ports.transport, .key = &world_pair[0], .keys = &world_keys, .schemas = world_schemas, .seed = 1 };
    struct fo_fault fault;

    assert_int_equal(fo_broker_create(&setup, (struct fo_instant){ w.now_ns }, wall_now(), &w.broker, &fault), FO_OK);
    links(true);
    store_all();
}

static int
setup(void **state)
{
    (void)state;
    world_init();
    memset(&w, 0, sizeof w);
    w.now_ns = 1000000000;
    w.wall_base_us = 1770000000000000;
    w.config = *ports_config();
    w.config.limits.pending_bytes_max = 64 << 20;
    w.config.limits.request_bytes_max = w.config.limits.batch_bytes_max = 1 << 20;
    w.config.limits.pending_events_max = 10000;
    w.config.limits.event_bytes_max = 262144;
    w.config.limits.batch_events_max = FO_BATCH_EVENTS_MAX;
    ports_init(&w.ports);
    w.ports.on_send = on_send;
    w.ports.on_reply = on_reply;
    fo_buf_init(&w.frame);
    start();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fo_broker_destroy(w.broker);
    ports_fini(&w.ports);
    fo_buf_fini(&w.frame);
    return 0;
}

static void
one_undeliverable_event_does_not_stop_its_source(void **state)
{
    (void)state;
    peer_batch(FO_LANE_NORMAL, 1, 1, 1);
    store_all();
    assert_int_equal(w.broker->receive.source[PEER].exception_count, 1);
    peer_batch(FO_LANE_NORMAL, 2, FO_BATCH_EVENTS_MAX, 0);
    store_all();
    assert_int_equal(held(FO_LANE_NORMAL).seq, 1 + FO_BATCH_EVENTS_MAX);
}

static void
undeliverable_events_leave_room_for_the_high_lane(void **state)
{
    const uint32_t many = FO_EXCEPTIONS_MAX - 1;

    (void)state;
    peer_batch(FO_LANE_LOW, 1, 1, 1);
    peer_batch(FO_LANE_NORMAL, 1, many, many);
    peer_batch(FO_LANE_HIGH, 1, many, many);
    store_all();
    assert_int_equal(held(FO_LANE_LOW).seq, 1);
    assert_int_equal(held(FO_LANE_NORMAL).seq, 0);
    assert_int_equal(held(FO_LANE_HIGH).seq, many);
    assert_int_equal(w.broker->receive.source[PEER].exception_count, FO_EXCEPTIONS_MAX);
    /* what was refused is not known: it comes again */
    peer_says(&(struct fo_control){ .settled_seq = { many, 0, 1 }, .settled_epoch = { EPOCH, 0, EPOCH } });
    peer_batch(FO_LANE_NORMAL, 1, many, many);
    store_all();
    assert_int_equal(held(FO_LANE_NORMAL).seq, many);
}

/* Until it is told, the peer has that much less room for what else cannot be delivered. */
static void
a_peer_is_told_at_once_that_its_exceptions_are_settled(void **state)
{
    static struct fo_control ack;
    unsigned before;

    (void)state;
    ask(1, "{\"type\":\"custom\",\"targets\":[\"us-west-2\"]}");
    store_all();
    assert_int_equal(w.batches, 1);
    pass(10);                               /* a hello or heartbeat that is due anyway is out of the way */
    ack = (struct fo_control){ .epoch_acked = { 0, EPOCH, 0 }, .cum_seq = { 0, 1, 0 }, .exception = { { FO_LANE_NORMAL, 1, FO_VERDICT_EXPIRED } }, .exception_count = 1 };
    peer_says(&ack);
    before = w.controls;
    assert_true(stored(FO_OK));             /* without waiting for company */
    assert_int_equal(w.controls, before + 1);
    assert_int_equal(w.heard.settled_seq[FO_LANE_NORMAL], 1);
}

/* A full disk becomes less full by what acks let go of: more of them than can wait for a place on it count, and are recorded later. */
static void
acks_count_while_the_disk_is_full(void **state)
{
    enum { EVENTS = 1500, FIRST = 1024 };
    static struct fo_control ack;
    static char text[64 << 10];
    size_t at = (size_t)sprintf(text, "{\"events\":[");
    const struct fo_link_lane *lane = &w.broker->forward.peer[PEER].link.lane[FO_LANE_NORMAL];

    (void)state;
    for (int i = 0; i < EVENTS; i++)
        at += (size_t)sprintf(text + at, "%s{\"type\":\"custom\",\"targets\":[\"us-west-2\"]", i ? "}," : "");
    sprintf(text + at, "}]}");
    ask(1, text);
    store_all();
    assert_int_equal(lane->tail_seq, EVENTS);
    for (uint64_t i = 1; i <= EVENTS; i++) {
        ack = (struct fo_control){ .epoch_acked = { 0, EPOCH, 0 }, .cum_seq = { 0, i, 0 } };
        if (i > FIRST) {
            ack.exception[0] = (struct fo_exception){ FO_LANE_NORMAL, FIRST + 1, FO_VERDICT_EXPIRED };
            ack.exception_count = 1;
        }
        peer_says(&ack);
        pass(1);
        (void)stored(FO_ERR_NO_SPACE);
    }
    assert_int_equal(w.broker->store.failure, FO_ERR_NO_SPACE);
    assert_int_equal(lane->acked_seq, EVENTS);
    assert_true(w.broker->store.recorded_seq[PEER][FO_LANE_NORMAL] < EVENTS);
    pass(300);
    store_all();
    peer_says(&ack);                        /* as each heartbeat does */
    for (int i = 0; i < 50; i++) {
        pass(60);
        store_all();
    }
    assert_int_equal(w.broker->store.settled_seq[PEER][FO_LANE_NORMAL], EVENTS);
    assert_int_equal(w.broker->state.link[PEER][FO_LANE_NORMAL].acked_seq, EVENTS);
    assert_int_equal(fo_verdicts_of(&w.broker->receive.verdicts, PEER, FO_LANE_NORMAL, FIRST + 1), FO_DELIVERY_EXPIRED);
    assert_int_equal(w.broker->ctx.counters.excepted_events, 1);
}

/* Of small batches the frames are the least part. */
static void
what_waits_for_the_disk_is_counted_as_memory(void **state)
{
    (void)state;
    w.broker->receive.queue_bytes_max = 1 << 20;
    for (uint64_t i = 1; i <= 200; i++)
        peer_batch(FO_LANE_NORMAL, i, 1, 0);
    assert_in_range(w.broker->store.queued_bytes, 1, (1 << 20) + sizeof(struct fo_batch));
    assert_in_range(w.broker->receive.source[PEER].chain[FO_LANE_NORMAL].staged.seq, 2, 1 + (1 << 20) / sizeof(struct fo_batch));
}

static void
nothing_is_taken_from_peers_that_cannot_be_stored(void **state)
{
    (void)state;
    peer_batch(FO_LANE_NORMAL, 1, 1, 0);
    assert_true(stored(FO_ERR_NO_SPACE));
    peer_batch(FO_LANE_NORMAL, 2, 1, 0);
    assert_int_equal(w.broker->receive.source[PEER].chain[FO_LANE_NORMAL].staged.seq, 1);
    pass(300);
    store_all();
    peer_batch(FO_LANE_NORMAL, 2, 1, 0);
    store_all();
    assert_int_equal(held(FO_LANE_NORMAL).seq, 2);
}

static void
batches_that_alternate_take_no_room_for_all_that_is_left(void **state)
{
    enum { EVENTS = 1000 };
    static char text[128 << 10];
    size_t at = (size_t)sprintf(text, "{\"events\":["), before;

    (void)state;
    for (int i = 0; i < EVENTS; i++)
        at += (size_t)sprintf(text + at, "%s{\"type\":\"custom\",\"targets\":[\"%s\"]", i ? "}," : "", world_regions.name[1 + i % 2]);
    sprintf(text + at, "}]}");
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    ask(1, text);
    assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd - before, 0, EVENTS * (sizeof(struct fo_batch) + FO_BATCH_HEAD_ROOM + 8192));
    assert_int_equal(w.broker->store.queued_events, EVENTS);
    store_all();
}

static void
events_that_wait_for_peers_are_bounded(void **state)
{
    static struct fo_control ack;
    const char *two = "{\"wait\":\"all\",\"timeoutMs\":5000,\"events\":[{\"type\":\"custom\",\"targets\":[\"us-west-2\"]},{\"type\":\"custom\",\"targets\":[\"us-west-2\"]}]}";

    (void)state;
    w.config.limits.waiting_events_max = 3;
    ask(1, two);
    store_all();
    ask(2, two);
    assert_non_null(strstr(w.answer[2], "\"code\":\"busy\""));
    ask(3, "{\"type\":\"custom\"}");      /* waits for the disk alone */
    store_all();
    assert_non_null(strstr(w.answer[3], "\"position\""));
    assert_string_equal(w.answer[1], "");
    ack = (struct fo_control){ .epoch_acked = { 0, EPOCH, 0 }, .cum_seq = { 0, 2, 0 } };
    peer_says(&ack);
    assert_non_null(strstr(w.answer[1], "\"state\":\"delivered\""));
    ask(4, two);
    store_all();
    assert_string_equal(w.answer[4], "");
    pass(5001);
    assert_non_null(strstr(w.answer[4], "\"state\":\"pending\""));
    assert_int_equal(w.broker->waits.waiting_events, 0);
}

/* One of three batches of the normal lane stands where the disk cannot be read. */
static void
a_place_that_cannot_be_read_stops_one_lane_and_not_for_good(void **state)
{
    static const char *const lanes[] = { "normal", "normal", "normal", "high" };
    static struct fo_control ack;
    static char text[8192];
    const struct fo_link_lane *lane = w.broker->forward.peer[PEER].link.lane;
    uint64_t id = 1;

    (void)state;
    links(false);
    for (unsigned i = 0; i < 4; i++) {
        sprintf(text, "{\"type\":\"custom\",\"targets\":[\"us-west-2\"],\"priority\":\"%s\",\"data\":{\"pad\":\"%06000d\"}}", lanes[i], 0);
        ask(id++, text);
        store_all();
        for (unsigned k = 0; i == 1 && k < w.ports.count; k++)
            if (w.ports.record[k].rec.type == FO_RECORD_OWN)
                w.ports.unreadable_lsn = w.ports.record[k].rec.lsn;
    }
    links(true);
    pass(1);
    assert_int_equal(lane[FO_LANE_NORMAL].sent_seq, 1);
    assert_int_equal(lane[FO_LANE_HIGH].sent_seq, 1);
    ack = (struct fo_control){ .epoch_acked = { EPOCH, EPOCH, 0 }, .cum_seq = { 1, 1, 0 } };
    peer_says(&ack);
    for (int i = 0; i < 60 && lane[FO_LANE_NORMAL].sent_seq < 3; i++) {
        pass(250);
        peer_says(&ack);                    /* and lives */
    }
    assert_int_equal(lane[FO_LANE_NORMAL].sent_seq, 3);
    assert_int_equal(w.sent.first_seq, 3);
    assert_int_equal(w.broker->forward.peer[PEER].unreadable[FO_LANE_NORMAL].since.ns, 0);
}

/* A new data directory, made while the clock was behind: the peer would take its batches for old ones. */
static void
a_new_directory_goes_on_above_what_peers_hold(void **state)
{
    static struct fo_control ack = { .epoch_acked = { 0, EPOCH + 100, 0 }, .cum_seq = { 0, 9, 0 } };

    (void)state;
    peer_says(&ack);
    ask(1, "{\"type\":\"custom\",\"targets\":[\"us-west-2\"]}");
    store_all();
    assert_int_equal(w.sent.epoch, EPOCH + 101);
    assert_int_equal(w.sent.first_seq, 1);
    peer_says(&ack);                        /* of the old directory's events: none of today's */
    assert_int_equal(w.broker->forward.peer[PEER].link.lane[FO_LANE_NORMAL].acked_seq, 0);
    fo_broker_destroy(w.broker);
    ports_crash(&w.ports);
    start();
    assert_int_equal(w.broker->intake.epoch, EPOCH + 101);
    ack.epoch_acked[FO_LANE_NORMAL] = EPOCH + 200;
    peer_says(&ack);                        /* too late: what was given out would be another event */
    assert_int_equal(w.broker->intake.epoch, EPOCH + 101);
    ack.epoch_acked[FO_LANE_NORMAL] = UINT64_MAX;
    peer_says(&ack);
    assert_int_equal(w.broker->receive.epoch_named, EPOCH + 200);
    ack.epoch_acked[FO_LANE_NORMAL] = EPOCH + 100;
}

/* Fetches that find nothing read much; together no more in one step than the loop can spare. */
static void
fetches_of_one_step_share_what_is_read(void **state)
{
    enum { FETCHES = 5, EVENTS = 40 };
    static char text[300 << 10];
    struct fo_input in[FETCHES];

    (void)state;
    for (unsigned i = 0; i < EVENTS; i++) {
        sprintf(text, "{\"type\":\"custom\",\"data\":{\"pad\":\"%0250000d\"}}", 0);
        ask(0, text);
        w.answer[0][0] = '\0';
        store_all();
    }
    for (unsigned i = 0; i < FETCHES; i++) {
        sprintf(text, "{\"op\":\"fetch\",\"from\":\"earliest\",\"filter\":{\"type\":[\"none%u\"]},\"waitMs\":0}", i);
        in[i] = ports_input(&w.ports, FO_INPUT_REQUEST, 1 + i, fo_slice_str(text));
    }
    (void)step(in, FETCHES);
    for (unsigned i = 0; i < FETCHES; i++)
        assert_non_null(strstr(w.answer[1 + i], "\"cursor\""));
    assert_in_range(w.broker->fetches.backlog.step_bytes, 8 << 20, (8 << 20) + (FETCHES + 1) * 260000);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(one_undeliverable_event_does_not_stop_its_source), TEST(undeliverable_events_leave_room_for_the_high_lane),
        TEST(a_peer_is_told_at_once_that_its_exceptions_are_settled),
        TEST(acks_count_while_the_disk_is_full), TEST(what_waits_for_the_disk_is_counted_as_memory), TEST(nothing_is_taken_from_peers_that_cannot_be_stored),
        TEST(batches_that_alternate_take_no_room_for_all_that_is_left), TEST(events_that_wait_for_peers_are_bounded),
        TEST(a_place_that_cannot_be_read_stops_one_lane_and_not_for_good), TEST(a_new_directory_goes_on_above_what_peers_hold),
        TEST(fetches_of_one_step_share_what_is_read) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
