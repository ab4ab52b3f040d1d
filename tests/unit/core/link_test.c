/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/link.h"

enum { BATCHES = 4 };

static const enum fo_lane HIGH = FO_LANE_HIGH, NORMAL = FO_LANE_NORMAL, LOW = FO_LANE_LOW;

struct fixture { struct fo_link link; struct fo_slot slots[FO_LANES * BATCHES]; struct fo_link_limits limits; };

static void
fixture_init(struct fixture *f)
{
    f->limits = (struct fo_link_limits){.pace = {1000, 1000, fo_duration_ms(50)}, .window_batches = BATCHES, .low_share_percent = 10,
        .retransmit_min = fo_duration_ms(200), .retransmit_max = fo_duration_ms(5000)};
    fo_link_init(&f->link, &f->limits, f->slots);
    fo_link_up(&f->link, FO_LINK_URGENT);
    fo_link_up(&f->link, FO_LINK_BULK);
}

static struct fo_instant
at_ms(int64_t ms)
{
    return (struct fo_instant){1000000000 + ms * 1000000};
}

/* A batch of one event; its record stands at lsn seq * 100. */
static struct fo_slot
batch(uint64_t seq, uint32_t bytes)
{
    return (struct fo_slot){.lsn = seq * 100, .first_seq = seq, .last_seq = seq, .bytes = bytes};
}

static enum fo_err
offer(struct fixture *f, enum fo_lane lane, uint64_t seq, uint32_t bytes)
{
    struct fo_slot b = batch(seq, bytes);

    return fo_link_offer(&f->link, lane, &b, at_ms(0));
}

static enum fo_err
read_back(struct fixture *f, enum fo_lane lane, uint64_t seq, uint32_t bytes)
{
    struct fo_slot b = batch(seq, bytes);

    return fo_link_read(&f->link, lane, &b, (seq + 1) * 100, at_ms(0));
}

static void
sends_at_once_while_there_is_room(void **state)
{
    struct fixture f;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= BATCHES; s++)
        assert_int_equal(offer(&f, HIGH, s, 10), FO_OK);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(offer(&f, HIGH, 5, 10), FO_ERR_FULL);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(f.link.lane[HIGH].backlog_events, 5);
}

/* Bytes bound it too, but one batch always goes, however large. */
static void
bytes_bound_the_window(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    assert_int_equal(offer(&f, HIGH, 1, 5000), FO_OK);
    assert_int_equal(offer(&f, HIGH, 2, 1), FO_ERR_FULL);
    assert_int_equal(offer(&f, NORMAL, 1, 999), FO_OK);
    assert_int_equal(offer(&f, NORMAL, 2, 999), FO_OK);
    assert_int_equal(offer(&f, NORMAL, 3, 1), FO_ERR_FULL);
}

/* What did not fit is read back from exactly where it stands, and at the end the lane follows again. */
static void
behind_reads_back_and_follows_again(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= BATCHES; s++)
        assert_int_equal(offer(&f, NORMAL, s, 10), FO_OK);
    assert_int_equal(offer(&f, NORMAL, 5, 10), FO_ERR_FULL);
    assert_int_equal(offer(&f, NORMAL, 6, 10), FO_ERR_FULL);
    assert_int_equal(f.link.lane[NORMAL].read_lsn, 500);
    assert_int_equal(fo_link_ack(&f.link, NORMAL, 2, at_ms(1), &settled), FO_OK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(lane, NORMAL);
    assert_int_equal(read_back(&f, NORMAL, 5, 10), FO_OK);
    assert_int_equal(offer(&f, NORMAL, 7, 10), FO_ERR_FULL);
    assert_int_equal(read_back(&f, NORMAL, 6, 10), FO_OK);
    assert_int_equal(f.link.lane[NORMAL].read_lsn, 700);
    assert_int_equal(fo_link_ack(&f.link, NORMAL, 6, at_ms(2), &settled), FO_OK);
    assert_int_equal(read_back(&f, NORMAL, 7, 10), FO_OK);
    fo_link_read_past(&f.link, NORMAL, 800, true);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(offer(&f, NORMAL, 8, 10), FO_OK);
    assert_int_equal(fo_link_ack(&f.link, NORMAL, 8, at_ms(3), &settled), FO_OK);
    assert_int_equal(f.link.lane[NORMAL].backlog_events, 0);
}

static void
acks_settle_spans_once(void **state)
{
    struct fixture f;
    struct fo_settled settled;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= 4; s++)
        assert_int_equal(offer(&f, HIGH, s, 10), FO_OK);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 0, at_ms(1), &settled), FO_ERR_STALE);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 5, at_ms(1), &settled), FO_ERR_PROTO);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 3, at_ms(1), &settled), FO_OK);
    assert_int_equal(settled.from_seq, 1);
    assert_int_equal(settled.to_seq, 3);
    assert_int_equal(settled.attempts, 1);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 3, at_ms(1), &settled), FO_ERR_STALE);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 2, at_ms(1), &settled), FO_ERR_STALE);
    assert_int_equal(f.link.lane[HIGH].window.count, 1);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 4, at_ms(1), &settled), FO_OK);
    assert_int_equal(settled.from_seq, 4);
}

/* A reconnect sends everything unacked again, as a second attempt, and nothing that is acked. */
static void
reconnect_rewinds_its_own_class(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= 3; s++)
        assert_int_equal(offer(&f, HIGH, s, 10), FO_OK);
    assert_int_equal(offer(&f, NORMAL, 1, 10), FO_OK);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 1, at_ms(1), &settled), FO_OK);
    fo_link_down(&f.link, FO_LINK_URGENT);
    assert_int_equal(offer(&f, HIGH, 4, 10), FO_ERR_FULL);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
    fo_link_up(&f.link, FO_LINK_URGENT);
    assert_true(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(lane, HIGH);
    assert_int_equal(f.link.lane[HIGH].read_lsn, 200);
    assert_int_equal(f.link.lane[NORMAL].window.count, 1);
    assert_int_equal(read_back(&f, HIGH, 2, 10), FO_OK);
    assert_int_equal(read_back(&f, HIGH, 3, 10), FO_OK);
    assert_int_equal(read_back(&f, HIGH, 4, 10), FO_OK);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 3, at_ms(2), &settled), FO_OK);
    assert_int_equal(settled.attempts, 2);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 4, at_ms(2), &settled), FO_OK);
    assert_int_equal(settled.attempts, 1);
}

/* A link that lost the connection while behind must not step over what it had sent. */
static void
rewind_while_behind_begins_at_the_oldest_unacked(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= BATCHES; s++)
        assert_int_equal(offer(&f, LOW, s, 10), FO_OK);
    assert_int_equal(offer(&f, LOW, 5, 10), FO_ERR_FULL);
    fo_link_peer_restarted(&f.link);
    assert_int_equal(f.link.lane[LOW].read_lsn, 100);
    assert_int_equal(f.link.lane[LOW].sent_seq, 0);
}

/* Sent before a rewind, and it had arrived after all: what is read back of it is stale, and is not sent again. */
static void
ack_after_rewind_skips_what_arrived(void **state)
{
    struct fixture f;
    struct fo_settled settled;

    (void)state;
    fixture_init(&f);
    for (uint64_t s = 1; s <= 3; s++)
        assert_int_equal(offer(&f, HIGH, s, 10), FO_OK);
    fo_link_peer_restarted(&f.link);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 2, at_ms(1), &settled), FO_OK);
    assert_int_equal(read_back(&f, HIGH, 1, 10), FO_ERR_STALE);
    assert_int_equal(read_back(&f, HIGH, 2, 10), FO_ERR_STALE);
    assert_int_equal(read_back(&f, HIGH, 3, 10), FO_OK);
    assert_int_equal(f.link.lane[HIGH].read_lsn, 400);
}

static void
timeout_rewinds_and_doubles_up_to_its_limit(void **state)
{
    const int64_t waits_ms[] = {200, 400, 800, 1600, 3200, 5000, 5000};
    struct fixture f;
    struct fo_slot b = batch(1, 10);
    int64_t t = 0;

    (void)state;
    fixture_init(&f);
    assert_true(fo_link_check_timeouts(&f.link, at_ms(0)).ns == INT64_MAX);
    assert_int_equal(fo_link_offer(&f.link, HIGH, &b, at_ms(0)), FO_OK);
    for (unsigned i = 0; i < sizeof waits_ms / sizeof *waits_ms; i++) {
        assert_true(fo_link_check_timeouts(&f.link, at_ms(t + waits_ms[i] - 1)).ns == at_ms(t + waits_ms[i]).ns);
        assert_false(f.link.lane[HIGH].is_behind);
        t += waits_ms[i];
        (void)fo_link_check_timeouts(&f.link, at_ms(t));
        assert_true(f.link.lane[HIGH].is_behind);
        assert_int_equal(f.link.retransmits, i + 1);
        assert_int_equal(fo_link_read(&f.link, HIGH, &b, 200, at_ms(t)), FO_OK);
        assert_int_equal(fo_window_oldest(&f.link.lane[HIGH].window)->attempts, i + 2);
        fo_link_read_past(&f.link, HIGH, 200, true);
    }
}

/* An ack that moves shows that the path works: the next loss is waited for no longer than the first one. */
static void
progress_ends_the_doubling(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    int64_t t = 0;

    (void)state;
    fixture_init(&f);
    assert_int_equal(offer(&f, HIGH, 1, 10), FO_OK);
    assert_int_equal(offer(&f, HIGH, 2, 10), FO_OK);
    for (int i = 0; i < 3; i++) {
        t += 5000;
        (void)fo_link_check_timeouts(&f.link, at_ms(t));
        for (uint64_t s = 1; s <= 2; s++) {
            struct fo_slot b = batch(s, 10);

            assert_int_equal(fo_link_read(&f.link, HIGH, &b, (s + 1) * 100, at_ms(t)), FO_OK);
        }
    }
    assert_true(fo_link_check_timeouts(&f.link, at_ms(t)).ns == at_ms(t + 1600).ns);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 1, at_ms(t), &settled), FO_OK);
    assert_int_equal(settled.attempts, 4);
    assert_true(fo_link_check_timeouts(&f.link, at_ms(t)).ns == at_ms(t + 200).ns);
}

/* A slow path is not a lost frame. */
static void
timeout_follows_the_round_trip(void **state)
{
    struct fixture f;
    struct fo_slot b = batch(1, 10);

    (void)state;
    fixture_init(&f);
    fo_link_measure_rtt(&f.link, fo_duration_ms(-5));
    assert_true(f.link.rtt.ns == 0);
    fo_link_measure_rtt(&f.link, fo_duration_ms(300));
    assert_int_equal(fo_link_offer(&f.link, HIGH, &b, at_ms(0)), FO_OK);
    assert_true(fo_link_check_timeouts(&f.link, at_ms(1199)).ns == at_ms(1200).ns);
    fo_link_measure_rtt(&f.link, fo_duration_ms(1100));
    assert_true(f.link.rtt.ns == fo_duration_ms(400).ns);
}

/* Without a connection nothing times out: the reconnect repeats everything anyway. */
static void
no_timeout_while_down(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    assert_int_equal(offer(&f, HIGH, 1, 10), FO_OK);
    fo_link_down(&f.link, FO_LINK_URGENT);
    assert_true(fo_link_check_timeouts(&f.link, at_ms(60000)).ns == INT64_MAX);
    assert_int_equal(f.link.retransmits, 0);
}

/* The low lane gets its share while the normal one has a backlog, and no more. */
static void
low_lane_has_its_share(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    fo_link_down(&f.link, FO_LINK_BULK);
    for (uint64_t s = 1; s <= 20; s++) {
        assert_int_equal(offer(&f, NORMAL, s, 450), FO_ERR_FULL);
        assert_int_equal(offer(&f, LOW, s, 60), FO_ERR_FULL);
    }
    fo_link_up(&f.link, FO_LINK_BULK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == NORMAL);
    assert_int_equal(read_back(&f, NORMAL, 1, 450), FO_OK);
    assert_int_equal(read_back(&f, NORMAL, 2, 450), FO_OK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == LOW);     /* normal leaves a tenth to it */
    assert_int_equal(read_back(&f, LOW, 1, 60), FO_OK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == LOW);     /* below its share of 100 */
    assert_int_equal(read_back(&f, LOW, 2, 60), FO_OK);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));                   /* and now above it */
    assert_int_equal(fo_link_ack(&f.link, NORMAL, 1, at_ms(1), &settled), FO_OK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == NORMAL);
}

static void
high_lane_is_read_first(void **state)
{
    struct fixture f;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    fo_link_down(&f.link, FO_LINK_URGENT);
    fo_link_down(&f.link, FO_LINK_BULK);
    assert_int_equal(offer(&f, LOW, 1, 10), FO_ERR_FULL);
    assert_int_equal(offer(&f, HIGH, 1, 10), FO_ERR_FULL);
    fo_link_up(&f.link, FO_LINK_BULK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == LOW);
    fo_link_up(&f.link, FO_LINK_URGENT);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == HIGH);
}

/* After a restart everything between the ack and the tail is read back, and counts as a second attempt. */
static void
restore_reads_back_the_unacked(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    enum fo_lane lane;

    (void)state;
    fixture_init(&f);
    fo_link_restore(&f.link, HIGH, 9, 9, 100, 0);
    fo_link_restore(&f.link, NORMAL, 9, 7, 300, 2);
    assert_true(fo_link_wants_read(&f.link, 7, &lane) && lane == NORMAL);
    assert_int_equal(fo_link_oldest_lsn(&f.link, 5000), 300);
    assert_int_equal(read_back(&f, NORMAL, 7, 10), FO_ERR_STALE);
    assert_int_equal(read_back(&f, NORMAL, 8, 10), FO_OK);
    assert_int_equal(read_back(&f, NORMAL, 9, 10), FO_OK);
    fo_link_read_past(&f.link, NORMAL, 5000, true);
    assert_int_equal(fo_link_oldest_lsn(&f.link, 5000), 800);
    assert_int_equal(fo_link_ack(&f.link, NORMAL, 9, at_ms(1), &settled), FO_OK);
    assert_int_equal(settled.from_seq, 8);
    assert_int_equal(settled.attempts, 2);
    assert_int_equal(f.link.lane[NORMAL].backlog_events, 0);
    assert_int_equal(fo_link_oldest_lsn(&f.link, 5000), 5000);
    assert_int_equal(offer(&f, HIGH, 10, 10), FO_OK);
}

/* A crash took an ack back whose batches are trimmed: they are not sent again, and the peer's ack settles them when it comes again. */
static void
trimmed_batches_are_settled_but_not_sent(void **state)
{
    struct fixture f;
    struct fo_settled settled;

    (void)state;
    fixture_init(&f);
    fo_link_restore(&f.link, HIGH, 9, 2, 500, 7);
    fo_link_held_before(&f.link, HIGH, 5);
    assert_int_equal(read_back(&f, HIGH, 5, 10), FO_ERR_STALE);
    assert_int_equal(read_back(&f, HIGH, 6, 10), FO_OK);
    fo_link_peer_restarted(&f.link);
    assert_int_equal(f.link.lane[HIGH].read_lsn, 600);
    assert_int_equal(f.link.lane[HIGH].sent_seq, 5);
    assert_int_equal(read_back(&f, HIGH, 6, 10), FO_OK);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 6, at_ms(1), &settled), FO_OK);
    assert_int_equal(settled.from_seq, 3);
    assert_int_equal(settled.to_seq, 6);
}

static void
assert_oldest(const struct fixture *f, int64_t ms)
{
    struct fo_instant oldest = {-1};

    assert_true(fo_link_oldest(&f->link, HIGH, &oldest));
    assert_true(oldest.ns == at_ms(ms).ns);
}

/* Sealed when the clock said so many milliseconds. */
static struct fo_slot
sealed(uint64_t seq)
{
    struct fo_slot b = batch(seq, 10);

    b.sealed_at = at_ms((int64_t)seq);
    return b;
}

/* However often it was sent since, and though the connection is gone. */
static void
oldest_is_told_by_when_it_was_sealed(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    struct fo_instant oldest;
    enum fo_lane lane;
    struct fo_slot b[] = {sealed(1), sealed(2), sealed(3)};

    (void)state;
    fixture_init(&f);
    assert_false(fo_link_oldest(&f.link, HIGH, &oldest));
    assert_int_equal(fo_link_offer(&f.link, HIGH, &b[0], at_ms(10)), FO_OK);
    assert_int_equal(fo_link_offer(&f.link, HIGH, &b[1], at_ms(10)), FO_OK);
    assert_oldest(&f, 1);
    (void)fo_link_check_timeouts(&f.link, at_ms(5000));
    assert_true(fo_window_is_empty(&f.link.lane[HIGH].window));
    assert_oldest(&f, 1);
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[0], 200, at_ms(5000)), FO_OK);
    assert_oldest(&f, 1);
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[1], 300, at_ms(5000)), FO_OK);
    fo_link_read_past(&f.link, HIGH, 300, true);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 1, at_ms(5001), &settled), FO_OK);
    assert_oldest(&f, 2);
    assert_int_equal(fo_link_ack(&f.link, HIGH, 2, at_ms(5001), &settled), FO_OK);
    assert_false(fo_link_oldest(&f.link, HIGH, &oldest));
    fo_link_down(&f.link, FO_LINK_URGENT);
    assert_int_equal(fo_link_offer(&f.link, HIGH, &b[2], at_ms(6000)), FO_ERR_FULL);
    assert_oldest(&f, 3);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
}

/* After a start, or an ack of what had been rewound, the journal is read up to the oldest unacked batch, and no further. */
static void
oldest_is_looked_for_though_nothing_can_be_sent(void **state)
{
    struct fixture f;
    struct fo_settled settled;
    struct fo_instant oldest;
    enum fo_lane lane;
    struct fo_slot b[] = {sealed(4), sealed(5), sealed(6)};

    (void)state;
    fixture_init(&f);
    fo_link_down(&f.link, FO_LINK_URGENT);
    fo_link_restore(&f.link, HIGH, 6, 4, 400, 2);
    assert_false(fo_link_oldest(&f.link, HIGH, &oldest));
    assert_true(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(lane, HIGH);
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[0], 500, at_ms(10)), FO_ERR_STALE);
    assert_int_equal(f.link.lane[HIGH].backlog_events, 2);      /* it was acked before, and is not among them */
    assert_true(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[1], 600, at_ms(10)), FO_ERR_FULL);
    assert_oldest(&f, 5);
    assert_int_equal(f.link.lane[HIGH].read_lsn, 500);
    assert_false(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(fo_link_ack(&f.link, HIGH, 5, at_ms(11), &settled), FO_OK);
    assert_true(fo_link_wants_read(&f.link, 7, &lane));
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[1], 600, at_ms(11)), FO_ERR_STALE);
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[2], 700, at_ms(11)), FO_ERR_FULL);
    assert_oldest(&f, 6);
    fo_link_up(&f.link, FO_LINK_URGENT);
    assert_int_equal(fo_link_read(&f.link, HIGH, &b[2], 700, at_ms(12)), FO_OK);
    assert_oldest(&f, 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_at_once_while_there_is_room),
        cmocka_unit_test(bytes_bound_the_window),
        cmocka_unit_test(behind_reads_back_and_follows_again),
        cmocka_unit_test(acks_settle_spans_once),
        cmocka_unit_test(reconnect_rewinds_its_own_class),
        cmocka_unit_test(rewind_while_behind_begins_at_the_oldest_unacked),
        cmocka_unit_test(ack_after_rewind_skips_what_arrived),
        cmocka_unit_test(timeout_rewinds_and_doubles_up_to_its_limit),
        cmocka_unit_test(progress_ends_the_doubling),
        cmocka_unit_test(timeout_follows_the_round_trip),
        cmocka_unit_test(no_timeout_while_down),
        cmocka_unit_test(low_lane_has_its_share),
        cmocka_unit_test(high_lane_is_read_first),
        cmocka_unit_test(restore_reads_back_the_unacked),
        cmocka_unit_test(trimmed_batches_are_settled_but_not_sent),
        cmocka_unit_test(oldest_is_told_by_when_it_was_sealed),
        cmocka_unit_test(oldest_is_looked_for_though_nothing_can_be_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
