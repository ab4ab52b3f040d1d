/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests at the door: publish in msgpack, publish in JSON, and all the others (FUZZ_ONLY says which of them a program takes, so that
 * each gets its time). What was accepted becomes a record that reads back as the same event, in both forms of JSON alike. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

enum { ONLY_MSGPACK = 1, ONLY_JSON = 2, ONLY_OTHERS = 3, ONLY_RECORDS = 4 };

static void
same_json(struct fo_slice record)
{
    struct fo_buf text;
    json_t *built = NULL, *written;
    json_error_t e;
    enum fo_err err, err_text;

    fo_buf_init(&text);
    err = fo_event_to_json(record, &built);
    err_text = fo_event_write_json(record, &text);
    DEMAND(err == FO_OK && err_text == FO_OK);      /* else a reader in JSON would stand before it for ever */
    written = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &e);
    DEMAND(written != NULL && json_equal(built, written));
    json_decref(written);
    json_decref(built);
    fo_buf_fini(&text);
}

static void
take_record(struct fo_slice record)
{
    uint8_t topic[FO_TOPIC_BYTES_MAX];
    struct fo_writer w = fo_writer_of(topic, sizeof topic);
    struct fo_event e, view;

    DEMAND(fo_event_view(record, &view) == FO_OK);
    DEMAND(fo_event_decode(record, &e) == FO_OK);
    DEMAND(fo_slice_is_equal(e.id, view.id) && fo_slice_is_equal(e.type, view.type) && fo_slice_is_equal(e.data, view.data)
        && e.lane == view.lane && e.expirytime.us == view.expirytime.us && e.unknown_count == view.unknown_count);
    fo_event_write_topic(&e, &w);
    DEMAND(!w.overflow && memchr(topic, ' ', w.n) == NULL);
    same_json(record);
}

static void
take_event(struct fo_slice bytes)
{
    struct fo_event e;
    struct fo_fault fault;
    struct fo_writer w;
    size_t max;
    uint8_t *p;

    if (fo_event_decode_publish(bytes, &world_rules, &e, &fault) != FO_OK) {
        DEMAND(fault.err != FO_OK && strnlen(fault.path, sizeof fault.path) < sizeof fault.path && strnlen(fault.text, sizeof fault.text) < sizeof fault.text);
        return;
    }
    if (e.id.n == 0)
        e.id = FO_SLICE_LIT("made");
    e.acceptedtime.us = 1767225600123456;
    e.sourceregion = FO_SLICE_LIT("us-east-1");
    max = fo_event_encoded_max(&e);
    p = malloc(max);
    w = fo_writer_of(p, max);
    fo_event_encode(&e, &w);
    DEMAND(!w.overflow);
    take_record(fo_slice_of(p, w.n));
    free(p);
}

static void
take_request(struct fo_slice input)
{
    struct fo_buf scratch, answer;
    struct fo_request req;
    struct fo_fault fault;
    struct fo_slice event;
    uint32_t events = 0;

    fo_buf_init(&scratch);
    fo_buf_init(&answer);
    if (fo_request_decode(input, &scratch, &req, &fault) != FO_OK) {
        DEMAND(fo_error_answer_encode(FO_ENC_JSON, &fault, 7, &answer) == FO_OK);
        DEMAND(fo_error_answer_encode(FO_ENC_MSGPACK, &fault, 0, &answer) == FO_OK);
    } else if (req.op == FO_OP_PUBLISH) {
        for (; fo_request_next_event(&req, &event); events++)
            if (events < 64)
                take_event(event);
        DEMAND(events == req.events_count);
    } else if (req.op == FO_OP_FETCH) {
        struct fo_event e = { .type = FO_SLICE_LIT("order_status"), .tenant = FO_SLICE_LIT("acme") };

        (void)fo_filter_match(&req.filter, &e);
        DEMAND(req.events_max > 0 && req.bytes_max > 0);
    }
    fo_buf_fini(&scratch);
    fo_buf_fini(&answer);
}

void
fuzz_one(struct fo_slice input)
{
    bool is_json = input.n > 0 && memchr("{[ \t\r\n", input.p[0], 6) != NULL;
    struct fo_event e;

    if (FUZZ_ONLY == ONLY_RECORDS) {
        if (fo_event_decode(input, &e) == FO_OK)
            take_record(input);
        return;
    }
    if (FUZZ_ONLY == ONLY_OTHERS || is_json == (FUZZ_ONLY == ONLY_JSON))
        take_request(input);
}
