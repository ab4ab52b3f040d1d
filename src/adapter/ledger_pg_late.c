/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/ledger_pg_late.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum array { ARRIVED_AT, EPOCH, LANE, FROM, TO, ATTEMPTS, EXCEPTION_LANE, EXCEPTION_SEQUENCE, EXCEPTION_STATE, ARRAYS };

enum { NAMES = 2 };     /* parameters before the arrays: this region, and the peer */

#define SETTLE "SELECT fanout_settle($1, $2, $3::timestamptz[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[]," \
    " $8::integer[], $9::smallint[], $10::bigint[], $11::text[])"

/* Appends to an array in text form, "{a,b"; errors are left to the end by an empty buffer. */
__attribute__((format(printf, 2, 3)))
static enum fo_err
element(struct fo_buf *array, const char *fmt, ...)
{
    char text[64];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text + 1, sizeof text - 1, fmt, args);
    va_end(args);
    text[0] = array->n == 0 ? '{' : ',';
    return fo_buf_add(array, text, (size_t)n + 1);
}

static enum fo_err
add_piece(struct fo_buf arrays[ARRAYS], const struct fo_ledger_late *s, uint64_t epoch, uint64_t from, uint64_t to)
{
    char at[FO_RFC3339_SIZE];
    enum fo_err err;

    fo_wall_format((struct fo_wall){ s->arrived_at_us }, at);
    if ((err = element(&arrays[ARRIVED_AT], "\"%s\"", at)) == FO_OK && (err = element(&arrays[EPOCH], "%" PRIu64, epoch)) == FO_OK
        && (err = element(&arrays[LANE], "%u", s->lane)) == FO_OK && (err = element(&arrays[FROM], "%" PRIu64, from)) == FO_OK
        && (err = element(&arrays[TO], "%" PRIu64, to)) == FO_OK)
        err = element(&arrays[ATTEMPTS], "%" PRIu32, s->attempts);
    return err;
}

/* The span was noted in its epoch; what of it was given out before belongs to the epochs before. Where the list does not reach, no
 * row is settled. */
static enum fo_err
add_span(struct fo_buf arrays[ARRAYS], const struct fo_ledger_late *s, const struct fo_epochs *epochs)
{
    uint64_t to = s->to_seq;
    enum fo_err err = FO_OK;

    for (unsigned i = epochs->count; err == FO_OK && i > 0 && to >= s->from_seq; i--) {
        const struct fo_epoch *e = &epochs->list[i - 1];
        uint64_t from = e->first_seq[s->lane] > s->from_seq ? e->first_seq[s->lane] : s->from_seq;

        if (e->epoch > s->epoch || from > to)
            continue;
        err = add_piece(arrays, s, e->epoch, from, to);
        to = from - 1;
    }
    return err;
}

static enum fo_err
add_exception(struct fo_buf arrays[ARRAYS], const struct fo_ledger_late_exception *x)
{
    enum fo_err err;

    if ((err = element(&arrays[EXCEPTION_LANE], "%u", x->lane)) == FO_OK && (err = element(&arrays[EXCEPTION_SEQUENCE], "%" PRIu64, x->seq)) == FO_OK)
        err = element(&arrays[EXCEPTION_STATE], "%s", fo_ledger_state_name(x->verdict));
    return err;
}

static enum fo_err
settle_peer(struct fo_ledger_writer *wr, unsigned peer, struct fo_buf arrays[ARRAYS])
{
    const struct fo_ledger_window *w = wr->window;
    const char *params[NAMES + ARRAYS] = { wr->config->regions->name[0], wr->config->regions->name[peer] };
    enum fo_err err = FO_OK;

    for (unsigned i = 0; i < ARRAYS; i++)
        arrays[i].n = 0;
    for (unsigned i = 0; err == FO_OK && i < w->late_count; i++)
        if (w->late[i].peer == peer)
            err = add_span(arrays, &w->late[i], &wr->config->epochs);
    for (unsigned i = 0; err == FO_OK && i < w->late_exception_count; i++)
        if (w->late_exception[i].peer == peer)
            err = add_exception(arrays, &w->late_exception[i]);
    if (err == FO_OK && arrays[FROM].n == 0)
        return FO_OK;
    for (unsigned i = 0; err == FO_OK && i < ARRAYS; i++) {
        err = fo_buf_add(&arrays[i], arrays[i].n == 0 ? "{}" : "}", arrays[i].n == 0 ? 3 : 2);     /* with the NUL */
        params[NAMES + i] = (const char *)arrays[i].p;
    }
    return err != FO_OK ? err : fo_pg_query(wr->pg, SETTLE, NAMES + ARRAYS, params, NULL);
}

/* One statement per peer: an UPDATE changes a row once, however many ranges it stands in. */
enum fo_err
fo_ledger_late_settle(struct fo_ledger_writer *wr)
{
    struct fo_buf arrays[ARRAYS];
    enum fo_err err = FO_OK;

    if (wr->window->late_count == 0)
        return FO_OK;
    for (unsigned i = 0; i < ARRAYS; i++)
        fo_buf_init(&arrays[i]);
    for (unsigned peer = 1; err == FO_OK && peer < wr->config->regions->count; peer++)
        err = settle_peer(wr, peer, arrays);
    for (unsigned i = 0; i < ARRAYS; i++)
        fo_buf_fini(&arrays[i]);
    return err;
}
