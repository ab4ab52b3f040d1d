/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "broker/state.h"

static struct fo_context
context_of(const char *const *names, unsigned count)
{
    struct fo_context ctx = {.regions = {.count = count}};

    for (unsigned i = 0; i < count; i++)
        ctx.regions.name[i] = names[i];
    return ctx;
}

static struct fo_batch_header
header(enum fo_lane lane, uint64_t epoch, uint64_t first_seq, uint32_t count)
{
    return (struct fo_batch_header){.lane = lane, .epoch = epoch, .first_seq = first_seq, .count = count, .root = {(uint8_t)first_seq}};
}

static void
own(struct fo_state *s, uint64_t epoch, uint64_t first_seq, uint32_t count, fo_region_set targets, uint64_t lsn)
{
    struct fo_batch_header h = header(FO_LANE_HIGH, epoch, first_seq, count);

    fo_state_apply_own(s, &h, targets, lsn);
}

static void
acked(struct fo_state *s, unsigned peer, uint64_t from_seq, uint64_t to_seq)
{
    struct fo_ack_record a = {.span = {{FO_LANE_HIGH, 7, from_seq, to_seq, 1}}, .span_count = 1};

    fo_state_apply_ack(s, peer, &a);
}

static struct fo_state *
state_create(void)
{
    struct fo_state *s = calloc(1, sizeof *s);

    assert_non_null(s);
    return s;
}

/* A restart reads back from the oldest batch that some ack has not covered; one that everything is acked of begins anew. */
static void
oldest_lsn_moves_when_the_lane_runs_empty(void **state)
{
    struct fo_state *s = state_create();

    (void)state;
    own(s, 7, 1, 2, 1 | 2, 100);
    own(s, 7, 3, 1, 1 | 2 | 4, 200);
    assert_int_equal(s->link[1][FO_LANE_HIGH].oldest_lsn, 100);
    assert_int_equal(s->link[2][FO_LANE_HIGH].oldest_lsn, 200);
    assert_int_equal(s->tail_seq[1][FO_LANE_HIGH], 3);
    acked(s, 1, 1, 2);
    own(s, 7, 4, 1, 1 | 2, 300);
    assert_int_equal(s->link[1][FO_LANE_HIGH].oldest_lsn, 100);
    acked(s, 1, 3, 4);
    own(s, 7, 5, 1, 1 | 2, 400);
    assert_int_equal(s->link[1][FO_LANE_HIGH].oldest_lsn, 400);
    assert_int_equal(s->link[1][FO_LANE_HIGH].acked_seq, 4);
    free(s);
}

/* Recovery may read a record that the checkpoint holds already. */
static void
applying_twice_changes_nothing(void **state)
{
    struct fo_state *once = state_create(), *twice = state_create();
    struct fo_batch_header received = header(FO_LANE_LOW, 5, 1, 4);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fo_state *s = i == 0 ? once : twice;

        own(s, 7, 1, 3, 1 | 2, 100);
        fo_state_apply_received(s, 1, &received);
        acked(s, 1, 1, 3);
        fo_state_apply_mark(s, 300, (struct fo_wall){9});
    }
    assert_memory_equal(once, twice, sizeof *once);
    assert_int_equal(once->events_total, 7);
    free(once);
    free(twice);
}

/* An ack of what is not there, from a damaged journal say, moves nothing; nor does one move back. */
static void
acks_stay_within_the_tail(void **state)
{
    struct fo_state *s = state_create();

    (void)state;
    own(s, 7, 1, 3, 1 | 2, 100);
    acked(s, 1, 1, 4);
    assert_int_equal(s->link[1][FO_LANE_HIGH].acked_seq, 0);
    acked(s, 1, 1, 3);
    acked(s, 1, 1, 2);
    assert_int_equal(s->link[1][FO_LANE_HIGH].acked_seq, 3);
    free(s);
}

static void
a_later_epoch_of_a_source_goes_back_in_sequence(void **state)
{
    struct fo_state *s = state_create();
    struct fo_batch_header a = header(FO_LANE_HIGH, 5, 9, 2), b = header(FO_LANE_HIGH, 6, 8, 1), stale = header(FO_LANE_HIGH, 5, 11, 1);

    (void)state;
    fo_state_apply_received(s, 1, &a);
    fo_state_apply_received(s, 1, &b);
    fo_state_apply_received(s, 1, &stale);
    assert_int_equal(s->received[1][FO_LANE_HIGH].epoch, 6);
    assert_int_equal(s->received[1][FO_LANE_HIGH].seq, 8);
    free(s);
}

static void
marks_find_their_time_and_place(void **state)
{
    struct fo_state *s = state_create();

    (void)state;
    assert_int_equal(fo_state_lsn_at(s, (struct fo_wall){1000}), 0);
    for (uint64_t i = 1; i <= FO_MARKS_MAX + 5; i++) {
        own(s, 7, i, 1, 1, i * 10);
        fo_state_apply_mark(s, i * 10, (struct fo_wall){(int64_t)i * 1000});
    }
    assert_int_equal(s->mark_count, FO_MARKS_MAX);
    assert_int_equal(fo_state_lsn_at(s, (struct fo_wall){20500}), 200);
    assert_int_equal(fo_state_lsn_at(s, (struct fo_wall){21000}), 200);
    assert_int_equal(fo_state_lsn_at(s, (struct fo_wall){6000}), 0);
    assert_int_equal(fo_state_lsn_before(s, 0), (FO_MARKS_MAX + 5) * 10);
    assert_int_equal(fo_state_lsn_before(s, 3), (FO_MARKS_MAX + 2) * 10);
    assert_int_equal(fo_state_lsn_before(s, 1000000), 60);
    free(s);
}

static struct fo_state *
busy_state(void)
{
    struct fo_state *s = state_create();
    struct fo_batch_header r = header(FO_LANE_LOW, 44, 6, 5);

    own(s, 7, 1, 3, 1 | 2 | 4, 100);
    own(s, 9, 4, 2, 1 | 2, 200);
    acked(s, 1, 1, 3);
    fo_state_apply_received(s, 2, &r);
    fo_state_apply_mark(s, 300, (struct fo_wall){1700000000000000});
    return s;
}

/* Regions stand by name: after a restart with the peers in another order, and one of them gone, each finds its own. */
static void
checkpoint_follows_names(void **state)
{
    struct fo_context before = context_of((const char *const[]){"a", "b", "c"}, 3), after = context_of((const char *const[]){"a", "d", "c", "b"}, 4),
        without = context_of((const char *const[]){"a", "c"}, 2);
    struct fo_state *s = busy_state(), *back = state_create();
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_checkpoint_encode(s, &before, &out), FO_OK);
    assert_int_equal(fo_checkpoint_decode(fo_buf_slice(&out), &before, back), FO_OK);
    assert_memory_equal(back, s, sizeof *s);
    assert_int_equal(fo_checkpoint_decode(fo_buf_slice(&out), &after, back), FO_OK);
    assert_memory_equal(back->tail_seq[3], s->tail_seq[1], sizeof s->tail_seq[1]);
    assert_memory_equal(back->link[3], s->link[1], sizeof s->link[1]);
    assert_memory_equal(back->received[2], s->received[2], sizeof s->received[2]);
    assert_int_equal(back->tail_seq[1][FO_LANE_HIGH], 0);
    assert_int_equal(fo_checkpoint_decode(fo_buf_slice(&out), &without, back), FO_OK);
    assert_memory_equal(back->tail_seq[1], s->tail_seq[2], sizeof s->tail_seq[2]);
    assert_int_equal(back->last_seq[FO_LANE_HIGH], 5);
    assert_int_equal(fo_epochs_current(&back->epochs), 9);
    fo_buf_fini(&out);
    free(back);
    free(s);
}

static void
cut_checkpoints_are_refused(void **state)
{
    struct fo_context ctx = context_of((const char *const[]){"a", "b", "c"}, 3);
    struct fo_state *s = busy_state(), *back = state_create();
    struct fo_buf out;

    (void)state;
    fo_buf_init(&out);
    assert_int_equal(fo_checkpoint_encode(s, &ctx, &out), FO_OK);
    for (size_t n = 0; n < out.n; n++) {
        uint8_t *exact = malloc(n ? n : 1);     /* so that reading beyond it is seen */

        memcpy(exact, out.p, n);
        assert_int_not_equal(fo_checkpoint_decode(fo_slice_of(exact, n), &ctx, back), FO_OK);
        free(exact);
    }
    fo_buf_fini(&out);
    free(back);
    free(s);
}

static void
ack_records_come_back_whole(void **state)
{
    static struct fo_ack_record a, back;
    struct fo_buf out;

    (void)state;
    a = (struct fo_ack_record){.peer = FO_SLICE_LIT("us-west-2"), .arrived_at = {1700000000000001}, .span_count = 2,
        .span = {{FO_LANE_HIGH, 7, 1, 9, 1}, {FO_LANE_LOW, 8, 5, 5, 4000000000u}}, .frame = FO_SLICE_LIT("signed"), .via = FO_SLICE_LIT("eu-west-1")};
    for (unsigned i = 0; i < FO_EXCEPTIONS_MAX; i++)
        a.exception[a.exception_count++] = (struct fo_exception){FO_LANE_LOW, 1ull << 40 | i, FO_VERDICT_EXPIRED};
    fo_buf_init(&out);
    assert_int_equal(fo_ack_record_encode(&a, &out), FO_OK);
    assert_int_equal(fo_ack_record_decode(fo_buf_slice(&out), &back), FO_OK);
    assert_true(fo_slice_is_equal(back.peer, a.peer) && fo_slice_is_equal(back.frame, a.frame) && fo_slice_is_equal(back.via, a.via));
    assert_true(back.arrived_at.us == a.arrived_at.us);
    assert_int_equal(back.span_count, 2);
    assert_int_equal(back.span[1].attempts, 4000000000u);
    assert_int_equal(back.exception_count, FO_EXCEPTIONS_MAX);
    assert_int_equal(back.exception[255].seq, 1ull << 40 | 255);
    for (size_t n = 0; n < out.n; n++)
        assert_int_not_equal(fo_ack_record_decode(fo_slice_of(out.p, n), &back), FO_OK);
    fo_buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_lsn_moves_when_the_lane_runs_empty),
        cmocka_unit_test(applying_twice_changes_nothing),
        cmocka_unit_test(acks_stay_within_the_tail),
        cmocka_unit_test(a_later_epoch_of_a_source_goes_back_in_sequence),
        cmocka_unit_test(marks_find_their_time_and_place),
        cmocka_unit_test(checkpoint_follows_names),
        cmocka_unit_test(cut_checkpoints_are_refused),
        cmocka_unit_test(ack_records_come_back_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
