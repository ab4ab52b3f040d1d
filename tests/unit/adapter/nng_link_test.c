/* SPDX-License-Identifier: Apache-2.0
 *
 * Links between two transports, and the plain feed. */
#include "nng_fixture.h"

#include <stdatomic.h>

static atomic_uint frames_seen;

static bool
begins_with_u(struct fo_slice frame)
{
    atomic_fetch_add(&frames_seen, 1);
    return frame.n > 0 && frame.p[0] == 'u';
}

/* Two transports, the first of which has a link to the second as peer 5. */
struct pair { struct rig from, to; struct fo_nng_peer peer; };

static void
pair_open(struct pair *p)
{
    rig_init(&p->to);
    p->to.config.is_urgent = begins_with_u;
    rig_open(&p->to);
    p->peer = (struct fo_nng_peer){ 5, rig_url(&p->to, FO_NNG_LINK) };
    rig_init(&p->from);
    p->from.config.peers = &p->peer;
    p->from.config.peers_count = 1;
    rig_open(&p->from);
    rig_expect_links_up(&p->from, 1);
}

static void
pair_leave(struct pair *p)
{
    rig_leave(&p->from);
    rig_leave(&p->to);
}

static enum fo_err
send_frame(struct rig *rig, enum fo_link_class cls, const void *bytes, size_t n)
{
    return rig->transport->ops->link_send(rig->transport, 5, cls, fo_slice_of(bytes, n));
}

static void
frames_arrive_whole_and_in_order_on_each_connection(void **state)
{
    struct pair p;
    uint8_t frame[4096];
    unsigned next[FO_LINK_CLASSES] = { 0 };

    (void)state;
    pair_open(&p);
    for (unsigned i = 0; i < 100; i++) {
        memset(frame, (int)i, sizeof(frame));
        for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++) {
            frame[0] = (uint8_t)cls;
            assert_int_equal(send_frame(&p.from, (enum fo_link_class)cls, frame, sizeof(frame) - i), FO_OK);
        }
    }
    for (unsigned i = 0; i < 100 * FO_LINK_CLASSES; i++) {
        struct fo_input in = rig_expect(&p.to, FO_INPUT_FRAME);
        unsigned cls = in.msg.body.p[0];

        assert_in_range(cls, 0, FO_LINK_CLASSES - 1);
        assert_int_equal(in.msg.body.n, sizeof(frame) - next[cls]);
        assert_int_equal(in.msg.body.p[in.msg.body.n - 1], next[cls]);
        next[cls]++;
        p.to.transport->ops->msg_free(p.to.transport, &in.msg);
        assert_null(in.msg.handle);
    }
    assert_int_equal(rig_stats(&p.to).frames_dropped, 0);
    pair_leave(&p);
}

static void
wait_seen(unsigned count)
{
    double begin = seconds();

    while (atomic_load(&frames_seen) < count && seconds() - begin < PATIENCE_MS / 1000.0)
        sleep_ms(1);
    assert_int_equal(atomic_load(&frames_seen), count);
}

/* Frames of which each is sent on in the message that it came in, or in another's that had room for it. */
static void
messages_that_were_read_carry_others_bytes(void **state)
{
    enum { BYTES = 200000, FRAMES = 40 };
    uint8_t *frame = test_malloc(BYTES), *expected = test_malloc(BYTES);
    struct fo_nng_peer back = { .index = 5 };
    struct rig one, other;

    (void)state;
    rig_init(&one);
    one.config.frame_bytes_max = BYTES;
    rig_open(&one);
    rig_init(&other);
    other.config.frame_bytes_max = BYTES;
    back.url = rig_url(&one, FO_NNG_LINK);
    other.config.peers = &back;
    other.config.peers_count = 1;
    rig_open(&other);
    rig_expect_links_up(&other, 1);
    for (unsigned i = 0; i < FRAMES; i++) {
        size_t n = i % 3 == 0 ? 100 : BYTES - i * 1000;
        struct fo_input in;

        memset(frame, (int)i + 1, n);
        memset(expected, (int)i + 1, n);
        assert_int_equal(send_frame(&other, FO_LINK_BULK, frame, n), FO_OK);
        in = rig_expect(&one, FO_INPUT_FRAME);
        assert_int_equal(in.msg.body.n, n);
        assert_memory_equal(in.msg.body.p, expected, n);
        other.transport->ops->msg_free(other.transport, &in.msg);     /* to the sender, which may use it for the next */
    }
    test_free(frame);
    test_free(expected);
    rig_leave(&other);
    rig_leave(&one);
}

static void
an_urgent_frame_overtakes_bulk_in_the_inbox(void **state)
{
    struct pair p;
    struct fo_input in;

    (void)state;
    pair_open(&p);
    atomic_store(&frames_seen, 0);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(send_frame(&p.from, FO_LINK_BULK, "bulk", 4), FO_OK);
    wait_seen(50);
    assert_int_equal(send_frame(&p.from, FO_LINK_URGENT, "urgent", 6), FO_OK);
    wait_seen(51);
    assert_int_equal(send_frame(&p.from, FO_LINK_BULK, "bulk", 4), FO_OK);
    wait_seen(52);                                  /* so the urgent one is in the inbox, behind fifty */
    in = rig_expect(&p.to, FO_INPUT_FRAME);
    assert_true(fo_slice_is_equal(in.msg.body, FO_SLICE_LIT("urgent")));
    p.to.transport->ops->msg_free(p.to.transport, &in.msg);
    pair_leave(&p);
}

static void
a_link_without_its_peer_is_closed_and_comes_back(void **state)
{
    struct pair p;
    struct fo_input in;
    char url[64];

    (void)state;
    pair_open(&p);
    snprintf(url, sizeof(url), "%s", rig_url(&p.to, FO_NNG_LINK));
    rig_close(&p.to);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++) {
        in = rig_expect(&p.from, FO_INPUT_LINK_DOWN);
        assert_int_equal(in.peer, 5);
    }
    assert_int_equal(send_frame(&p.from, FO_LINK_URGENT, "x", 1), FO_ERR_CLOSED);
    assert_int_equal(send_frame(&p.from, FO_LINK_BULK, "x", 1), FO_ERR_CLOSED);
    sleep_ms(1500);                                 /* long enough for the watchdog to dial anew a few times */
    rig_init(&p.to);
    p.to.config.link = url;
    rig_open(&p.to);
    rig_expect_links_up(&p.from, 1);
    assert_int_equal(send_frame(&p.from, FO_LINK_BULK, "again", 5), FO_OK);
    in = rig_expect(&p.to, FO_INPUT_FRAME);
    assert_true(fo_slice_is_equal(in.msg.body, FO_SLICE_LIT("again")));
    p.to.transport->ops->msg_free(p.to.transport, &in.msg);
    pair_leave(&p);
}

static void
an_oversize_frame_costs_the_connection_which_comes_back(void **state)
{
    struct pair p;
    uint8_t *large = test_calloc(1, 70000);
    struct fo_input in;

    (void)state;
    pair_open(&p);
    assert_int_equal(send_frame(&p.from, FO_LINK_BULK, large, 70000), FO_OK);
    in = rig_expect(&p.from, FO_INPUT_LINK_DOWN);
    assert_int_equal(in.cls, FO_LINK_BULK);
    assert_int_equal(send_frame(&p.from, FO_LINK_URGENT, "unharmed", 8), FO_OK);
    in = rig_expect(&p.to, FO_INPUT_FRAME);
    assert_true(fo_slice_is_equal(in.msg.body, FO_SLICE_LIT("unharmed")));
    p.to.transport->ops->msg_free(p.to.transport, &in.msg);
    in = rig_expect(&p.from, FO_INPUT_LINK_UP);
    assert_int_equal(in.cls, FO_LINK_BULK);
    test_free(large);
    pair_leave(&p);
}

static void
a_full_inbox_drops_frames_and_counts_them(void **state)
{
    struct pair p;
    struct fo_input filler = { .kind = FO_INPUT_FRAME };
    double begin = seconds();

    (void)state;
    pair_open(&p);
    while (fo_inbox_post(p.to.inbox, &filler, false) == FO_OK)
        continue;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(send_frame(&p.from, FO_LINK_URGENT, "u", 1), FO_OK);
    while (rig_stats(&p.to).frames_dropped < 10 && seconds() - begin < PATIENCE_MS / 1000.0)
        sleep_ms(5);
    assert_int_equal(rig_stats(&p.to).frames_dropped, 10);
    pair_leave(&p);
}

static void
wait_subscribers(struct rig *rig, bool expected)
{
    double begin = seconds();

    while (rig->transport->ops->feed_has_subscribers(rig->transport) != expected && seconds() - begin < PATIENCE_MS / 1000.0)
        sleep_ms(5);
    assert_int_equal(rig->transport->ops->feed_has_subscribers(rig->transport), expected);
}

static void
the_feed_gives_each_subscriber_its_topics(void **state)
{
    struct rig rig;
    nng_socket all, orders;
    char text[64];
    size_t n = sizeof(text);
    struct fo_transport *t;

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    t = rig.transport;
    assert_false(t->ops->feed_has_subscribers(t));
    t->ops->feed_publish(t, FO_SLICE_LIT("order_status/default/1 "), FO_SLICE_LIT("nobody"));
    all = sub_dial(rig_url(&rig, FO_NNG_FEED), "");
    orders = sub_dial(rig_url(&rig, FO_NNG_FEED), "order_status");
    wait_subscribers(&rig, true);
    sleep_ms(50);                                   /* the second one may still be under way */
    t->ops->feed_publish(t, FO_SLICE_LIT("menu_updated/default/7 "), FO_SLICE_LIT("{}"));
    t->ops->feed_publish(t, FO_SLICE_LIT("order_status/default/1 "), FO_SLICE_LIT("{1}"));
    assert_int_equal(nng_recv(orders, text, &n, 0), 0);
    assert_int_equal(n, 26);
    assert_memory_equal(text, "order_status/default/1 {1}", n);
    n = sizeof(text);
    assert_int_equal(nng_recv(all, text, &n, 0), 0);
    assert_memory_equal(text, "menu_updated/default/7 {}", n);
    nng_close(all);
    nng_close(orders);
    wait_subscribers(&rig, false);
    rig_leave(&rig);
}

static void
without_a_feed_publishing_is_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    rig.config.feed = NULL;
    rig_open(&rig);
    assert_null(rig_url(&rig, FO_NNG_FEED));
    assert_false(rig.transport->ops->feed_has_subscribers(rig.transport));
    rig.transport->ops->feed_publish(rig.transport, FO_SLICE_LIT("a "), FO_SLICE_LIT("b"));
    rig_leave(&rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_whole_and_in_order_on_each_connection),
        cmocka_unit_test(messages_that_were_read_carry_others_bytes),
        cmocka_unit_test(an_urgent_frame_overtakes_bulk_in_the_inbox),
        cmocka_unit_test(a_link_without_its_peer_is_closed_and_comes_back),
        cmocka_unit_test(an_oversize_frame_costs_the_connection_which_comes_back),
        cmocka_unit_test(a_full_inbox_drops_frames_and_counts_them),
        cmocka_unit_test(the_feed_gives_each_subscriber_its_topics),
        cmocka_unit_test(without_a_feed_publishing_is_nothing),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
