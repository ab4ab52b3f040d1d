/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/batch.h"

#include <stdlib.h>

enum { POOL_BYTES_MAX = 8 << 20 };      /* of frames that pooled batches keep room for: what is under way at full rate; a burst of large events is not held for ever */

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
    p->free_bytes = 0;
}

struct fo_batch *
fo_batch_take(struct fo_batch_pool *p)
{
    struct fo_batch *b = p->free;

    if (b != NULL) {
        p->free = b->next;
        p->free_count--;
        p->free_bytes -= b->built.cap;
    } else {
        b = malloc(sizeof *b);
        if (b == NULL)
            return NULL;
        fo_buf_init(&b->built);
    }
    b->next = NULL;
    b->count = 0;
    b->header.region = (struct fo_slice){ 0 };
    b->targets = 0;
    b->built.n = 0;
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
    if (p->free_count == p->free_max || p->free_bytes + b->built.cap > POOL_BYTES_MAX) {
        batch_destroy(b);
        return;
    }
    b->next = p->free;
    p->free = b;
    p->free_count++;
    p->free_bytes += b->built.cap;
}
