/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/batch.h"

#include <stdlib.h>

/* A pooled batch keeps room for a few events. Larger rooms are kept apart, and are of few sizes, so that one fits the next batch. */
enum { BUILT_KEPT_MAX = 16 << 10, ROOM_STEP = 64 << 10, ROOM_BYTES_MAX = 2 << 20 };

static void
batch_destroy(struct fo_batch *b)
{
    fo_buf_fini(&b->built);
    free(b);
}

void
fo_batch_pool_init(struct fo_batch_pool *p, unsigned free_max)
{
    *p = (struct fo_batch_pool){ .free_max = free_max };
}

void
fo_batch_pool_fini(struct fo_batch_pool *p)
{
    while (p->free != NULL) {
        struct fo_batch *b = p->free;

        p->free = b->next;
        batch_destroy(b);
    }
    p->free_count = 0;
    p->is_room_used = false;
    fo_batch_pool_trim(p);
}

void
fo_batch_pool_trim(struct fo_batch_pool *p)
{
    while (!p->is_room_used && p->room_count > 0)
        fo_buf_fini(&p->room[--p->room_count]);
    p->is_room_used = false;
}

/* Makes room for so many bytes in an empty batch. */
static enum fo_err
make_room(struct fo_batch_pool *p, size_t bytes, struct fo_buf *built)
{
    unsigned i = 0;

    if (bytes <= BUILT_KEPT_MAX || bytes <= built->cap)
        return fo_buf_reserve(built, bytes);
    bytes = (bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    fo_buf_fini(built);
    while (i < p->room_count && p->room[i].cap < bytes)
        i++;
    if (i == p->room_count)
        return fo_buf_reserve(built, bytes);
    *built = p->room[i];
    p->room_count--;
    memmove(&p->room[i], &p->room[i + 1], (p->room_count - i) * sizeof p->room[0]);
    p->is_room_used = true;
    return FO_OK;
}

/* What was kept for the longest time goes when there is too much: it is not of the size that is needed now. */
static void
keep_room(struct fo_batch_pool *p, struct fo_buf *built)
{
    struct fo_buf room = *built;

    fo_buf_init(built);
    room.n = 0;
    if (room.cap > ROOM_BYTES_MAX) {
        fo_buf_fini(&room);
        return;
    }
    if (p->room_count == FO_BATCH_ROOMS_MAX) {
        fo_buf_fini(&p->room[0]);
        memmove(&p->room[0], &p->room[1], --p->room_count * sizeof p->room[0]);
    }
    p->room[p->room_count++] = room;
}

struct fo_batch *
fo_batch_take(struct fo_batch_pool *p, size_t built_bytes)
{
    struct fo_batch *b = p->free;

    if (b != NULL) {
        p->free = b->next;
        p->free_count--;
    } else {
        b = malloc(sizeof *b);
        if (b == NULL)
            return NULL;
        fo_buf_init(&b->built);
    }
    b->built.n = 0;
    if (make_room(p, built_bytes, &b->built) != FO_OK) {
        batch_destroy(b);
        return NULL;
    }
    b->next = NULL;
    b->count = 0;
    b->header.region = (struct fo_slice){ 0 };
    b->targets = 0;
    b->msg = (struct fo_msg){ 0 };
    b->frame = (struct fo_slice){ 0 };
    return b;
}

void
fo_batch_give_back(struct fo_batch_pool *p, struct fo_transport *t, struct fo_batch **take_batch)
{
    struct fo_batch *b = *take_batch;

    *take_batch = NULL;
    if (b->msg.handle != NULL)
        t->ops->msg_free(t, &b->msg);
    if (b->built.cap > BUILT_KEPT_MAX)
        keep_room(p, &b->built);
    if (p->free_count == p->free_max) {
        batch_destroy(b);
        return;
    }
    b->next = p->free;
    p->free = b;
    p->free_count++;
}
