/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/batch.h"

#include <stdlib.h>

/* A pooled batch keeps room for a few events; larger rooms go back to the heap, which keeps some for the next ones. */
enum { BUILT_KEPT_MAX = 16 << 10 };

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
    if (built_bytes > b->built.cap)
        fo_buf_fini(&b->built);         /* grown, it would be copied, and twice as large as need be */
    if (fo_buf_reserve(&b->built, built_bytes) != FO_OK) {
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
        fo_buf_fini(&b->built);
    if (p->free_count == p->free_max) {
        batch_destroy(b);
        return;
    }
    b->next = p->free;
    p->free = b;
    p->free_count++;
}
