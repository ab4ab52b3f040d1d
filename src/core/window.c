/* SPDX-License-Identifier: Apache-2.0 */
#include "core/window.h"

#include "base/assert.h"

static void
window_check(const struct fo_window *w)
{
    fo_assert(w->count <= w->cap);
    fo_assert(w->count > 0 || w->bytes == 0);
}

void
fo_window_init(struct fo_window *w, struct fo_slot *slots, uint32_t cap)
{
    fo_assert(cap > 0);
    *w = (struct fo_window){ .slots = slots, .cap = cap };
}

const struct fo_slot *
fo_window_oldest(const struct fo_window *w)
{
    fo_assert(w->count > 0);
    return &w->slots[w->head];
}

enum fo_err
fo_window_push(struct fo_window *w, const struct fo_slot *slot)
{
    window_check(w);
    if (w->count == w->cap)
        return FO_ERR_FULL;
    if (w->count > 0)
        fo_assert(w->slots[(w->head + w->count - 1) % w->cap].last_seq < slot->first_seq);
    w->slots[(w->head + w->count) % w->cap] = *slot;
    w->count++;
    w->bytes += slot->bytes;
    return FO_OK;
}

enum fo_err
fo_window_settle(struct fo_window *w, uint64_t cum_seq, struct fo_slot *ret_slot)
{
    window_check(w);
    if (w->count == 0 || w->slots[w->head].last_seq > cum_seq)
        return FO_ERR_NOT_FOUND;
    *ret_slot = w->slots[w->head];
    w->head = (w->head + 1) % w->cap;
    w->count--;
    w->bytes -= ret_slot->bytes;
    window_check(w);
    return FO_OK;
}

void
fo_window_clear(struct fo_window *w)
{
    w->head = w->count = 0;
    w->bytes = 0;
}
