/* SPDX-License-Identifier: Apache-2.0
 *
 * See delivery.h. */
#include "client/delivery.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"

enum { AT_ID, AT_TYPE, AT_TENANT, AT_KEY, AT_REGION, AT_POSITION, ATS };

void
fo_delivery_init(struct fanout_delivery *d)
{
    memset(d, 0, sizeof(*d));
    fo_buf_init(&d->texts);
}

static void
forget_json(struct fanout_delivery *d)
{
    free(d->data_json);
    free(d->event_json);
    d->data_json = d->event_json = NULL;
}

void
fo_delivery_fini(struct fanout_delivery *d)
{
    forget_json(d);
    fo_buf_fini(&d->texts);
}

enum fo_err
fo_delivery_set(struct fanout_delivery *d, struct fo_slice position, struct fo_slice record)
{
    const struct fo_event *e = &d->event;
    size_t room = ATS + position.n;
    enum fo_err err;

    forget_json(d);
    d->record = record;
    if (fo_event_decode(record, &d->event) != FO_OK)
        return FO_ERR_PROTO;
    const struct fo_slice text[ATS] = {
        [AT_ID] = e->id, [AT_TYPE] = e->type, [AT_TENANT] = e->tenant, [AT_KEY] = e->partitionkey,
        [AT_REGION] = e->sourceregion, [AT_POSITION] = position,
    };
    for (unsigned i = 0; i < AT_POSITION; i++)
        room += text[i].n;
    d->texts.n = 0;
    if ((err = fo_buf_reserve(&d->texts, room)) != FO_OK)
        return err;
    for (unsigned i = 0; i < ATS; i++) {
        d->at[i] = d->texts.n;
        if (text[i].n > 0)
            memcpy(d->texts.p + d->texts.n, text[i].p, text[i].n);
        d->texts.n += text[i].n;
        d->texts.p[d->texts.n++] = '\0';
    }
    return FO_OK;
}

static const char *
text_at(const struct fanout_delivery *d, unsigned i)
{
    return (const char *)d->texts.p + d->at[i];
}

FANOUT_API const char *
fanout_delivery_id(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_ID);
}

FANOUT_API const char *
fanout_delivery_type(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_TYPE);
}

FANOUT_API const char *
fanout_delivery_tenant(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_TENANT);
}

FANOUT_API const char *
fanout_delivery_key(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_KEY);
}

FANOUT_API const char *
fanout_delivery_region(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_REGION);
}

FANOUT_API const char *
fanout_delivery_position(const fanout_delivery *delivery)
{
    return text_at(delivery, AT_POSITION);
}

static char *
take_dump(json_t *take_json)
{
    char *text = json_dumps(take_json, JSON_COMPACT | JSON_ENCODE_ANY);

    json_decref(take_json);
    return text;
}

/* The JSON is made behind a const handle: it belongs to one thread, and the event does not change by it. */
static struct fanout_delivery *
writable(const fanout_delivery *d)
{
    return (struct fanout_delivery *)(uintptr_t)d;
}

FANOUT_API const char *
fanout_delivery_data_json(const fanout_delivery *delivery)
{
    struct fanout_delivery *d = writable(delivery);
    struct fo_reader r = fo_reader_of(d->event.data);
    json_t *json;

    if (d->event.data.n == 0)
        return "";
    if (d->data_json == NULL && fo_json_from_msgpack(&r, &json) == FO_OK)
        d->data_json = take_dump(json);
    return d->data_json;
}

FANOUT_API const char *
fanout_delivery_event_json(const fanout_delivery *delivery)
{
    struct fanout_delivery *d = writable(delivery);
    json_t *json;

    if (d->event_json == NULL && fo_event_to_json(d->record, &json) == FO_OK)
        d->event_json = take_dump(json);
    return d->event_json;
}

FANOUT_API const void *
fanout_delivery_data_msgpack(const fanout_delivery *delivery, size_t *ret_size)
{
    *ret_size = delivery->event.data.n;
    return delivery->event.data.n > 0 ? delivery->event.data.p : NULL;
}
