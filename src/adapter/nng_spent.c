/* SPDX-License-Identifier: Apache-2.0
 *
 * NNG fills each message that it allocates with zeros, which costs as much as copying the bytes in. So a few large ones that the broker
 * has done with are kept, and sent again with other bytes. */
#include "adapter/nng_parts.h"

enum {
    KEPT_BYTES_MAX = 512 << 10,         /* of all */
    BYTES_MIN = 64 << 10,               /* smaller ones are not worth it */
    WASTE_MAX = 2,                      /* nor is one so many times as large as its new bytes */
};

void
fo_nng_spent_keep(struct fo_nng_spent *s, nng_msg *take_msg)
{
    size_t bytes = nng_msg_len(take_msg);

    if (bytes < BYTES_MIN || s->count == FO_NNG_SPENT_MAX || s->bytes + bytes > KEPT_BYTES_MAX) {
        nng_msg_free(take_msg);
        return;
    }
    nng_msg_header_clear(take_msg);
    s->bytes += bytes;
    s->kept[s->count].bytes = bytes;
    s->kept[s->count++].msg = take_msg;
}

static nng_msg *
take(struct fo_nng_spent *s, size_t bytes)
{
    for (unsigned i = s->count; i-- > 0;)
        if (s->kept[i].bytes >= bytes && s->kept[i].bytes <= WASTE_MAX * bytes) {
            nng_msg *msg = s->kept[i].msg;

            s->bytes -= s->kept[i].bytes;
            s->kept[i] = s->kept[--s->count];
            return msg;
        }
    return NULL;
}

int
fo_nng_msg_of(struct fo_nng_spent *s, struct fo_slice first, struct fo_slice second, nng_msg **ret_msg)
{
    nng_msg *msg = s != NULL ? take(s, first.n + second.n) : NULL;
    int rv;

    if (msg == NULL && (rv = nng_msg_alloc(&msg, first.n + second.n)) != 0)
        return rv;
    nng_msg_clear(msg);
    rv = nng_msg_append(msg, first.p, first.n);         /* there is room for both: nothing is allocated */
    if (rv == 0)
        rv = nng_msg_append(msg, second.p, second.n);
    if (rv == 0)
        *ret_msg = msg;
    else
        nng_msg_free(msg);
    return rv;
}

void
fo_nng_spent_fini(struct fo_nng_spent *s)
{
    while (s->count > 0)
        nng_msg_free(s->kept[--s->count].msg);
}
