/* SPDX-License-Identifier: Apache-2.0
 *
 * One event as handed to the application: texts NUL-terminated, JSON made when asked for. */
#pragma once
#include <fanout/subscribe.h>

#include "base/bytes.h"
#include "wire/event.h"

struct fanout_delivery {
    struct fo_event event;          /* views into record */
    struct fo_slice record;         /* borrowed from the answer */
    struct fo_buf texts;            /* id, type, tenant, key, region, position, each with a NUL */
    size_t at[6];                   /* where each begins */
    char *data_json, *event_json;   /* made when asked for; null: not yet */
};

void fo_delivery_init(struct fanout_delivery *d);
void fo_delivery_fini(struct fanout_delivery *d);
/* Shows another event. FO_ERR_PROTO: not an event; FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_delivery_set(struct fanout_delivery *d, struct fo_slice position, struct fo_slice record);
