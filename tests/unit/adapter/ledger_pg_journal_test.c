/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ledger makes of a journal with a past: acks that come after their rows, over the beginning of a new epoch, settle each row by its
 * own; a journal that cannot be read stops it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ledger_pg_fixture.h"
#include "ports/log.h"

static struct postgres pg;

#define ROWS "SELECT count(*) FROM realtime_fanout_log"

/* The ack speaks of rows of two epochs, and the ledger has read nothing of the older one since its start. */
static void
test_late_ack_reaches_an_epoch_that_is_over(void **state)
{
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "over", true);
    s.settle_wait_ms = 30;
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, 1 << WEST, "o", 4, wall_us());
    shop_wait(&s, ROWS " WHERE NOT is_settled", 4);
    shop_stop(&s);
    shop_lose(&s, FO_LANE_HIGH, 5);
    sql_do(s.owner, "UPDATE fanout_ledger_cursor SET epoch = epoch + 1");
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, 1 << WEST, "o", 4, wall_us());
    shop_wait(&s, ROWS " WHERE NOT is_settled", 8);
    shop_ack(&s, WEST, FO_LANE_HIGH, 1, 8, 1, wall_us(), NULL, 0);
    shop_wait(&s, ROWS " WHERE is_settled AND (delivery_status->>'success')::boolean", 8);
    shop_close(&s);
}

/* Sequences 3 and 4 were lost after they had become rows, and given out again. The peer has the later ones. */
static void
test_late_ack_settles_no_lost_row(void **state)
{
    char text[512];
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "lost", true);
    s.settle_wait_ms = 30;
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, 1 << WEST, "before", 4, wall_us());
    shop_wait(&s, ROWS " WHERE NOT is_settled", 4);
    shop_stop(&s);
    shop_lose(&s, FO_LANE_HIGH, 3);
    shop_start(&s);
    shop_many(&s, FO_LANE_HIGH, 1 << WEST, "after", 4, wall_us());
    shop_wait(&s, ROWS " WHERE NOT is_settled", 8);
    shop_ack(&s, WEST, FO_LANE_HIGH, 1, 6, 1, wall_us(), NULL, 0);
    shop_wait(&s, ROWS " WHERE is_settled", 6);
    assert_string_equal(sql_text(s.owner, "SELECT string_agg(event_id, ' ' ORDER BY event_id) FROM realtime_fanout_log WHERE NOT is_settled", text), "before-0-3 before-0-4");
    shop_close(&s);
}

static struct fo_journal_ops broken_ops;

static enum fo_err
read_fails(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec)
{
    (void)r, (void)lane_mask, (void)type_mask, (void)ret_rec;
    return FO_ERR_IO;
}

/* What has not been read is not complete, whatever the time. */
static void
test_journal_that_cannot_be_read(void **state)
{
    const struct fo_journal_ops *ops;
    struct fo_ledger_status status;
    struct shop s;

    (void)state;
    shop_open(&s, &pg, "unread", true);
    ops = s.journal->ops;
    shop_many(&s, FO_LANE_HIGH, 1, "u", 3, wall_us());
    broken_ops = *ops;
    broken_ops.read_next = read_fails;
    s.journal->ops = &broken_ops;
    shop_start(&s);
    do {
        usleep(1000);
        fo_ledger_status(s.ledger, &status);
    } while (strstr(status.error, "not connected yet") != NULL || (status.is_connected && status.lag_bytes > 0 && status.error[0] == '\0'));
    assert_non_null(strstr(status.error, "journal at "));
    shop_health(&s, WEST, "up", true, 1000, 0);
    assert_int_equal(sql_long(s.owner, "SELECT count(complete_to) FROM fanout_ledger_cursor"), 0);
    shop_stop(&s);
    s.journal->ops = ops;
    shop_start(&s);
    shop_wait(&s, ROWS " WHERE is_settled", 3);
    shop_close(&s);
}

static int
setup(void **state)
{
    (void)state;
    return postgres_create(&pg);
}

static int
teardown(void **state)
{
    (void)state;
    return postgres_destroy(&pg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_ack_reaches_an_epoch_that_is_over),
        cmocka_unit_test(test_late_ack_settles_no_lost_row),
        cmocka_unit_test(test_journal_that_cannot_be_read),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    fo_log_init("us-east-1", FO_LOG_ERROR);
    return cmocka_run_group_tests(tests, setup, teardown);
}
