/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "rules.h"
#include "vectors.h"
#include "wire/json.h"

/* One event with something of everything, as a publisher's msgpack. */
static void
make_sample(struct fo_buf *out)
{
    static const char text[] = "{\"type\":\"order_status\",\"id\":\"evt-1\",\"tenant\":\"acme\",\"partitionkey\":\"k\",\"targets\":[\"us-west-2\"],\"time\":1,\"zone\":{\"a\":[1,\"b\"]},"
        "\"schemaversion\":300,\"priority\":\"low\",\"data\":{\"order_id\":123,\"status\":\"preparing\",\"x\":[1.5,{\"y\":null}]}}";
    struct fo_fault fault;
    json_t *json;

    fo_buf_init(out);
    assert_int_equal(fo_json_parse(FO_SLICE_LIT(text), &json, &fault), FO_OK);
    assert_int_equal(fo_json_to_msgpack(json, out), FO_OK);
    json_decref(json);
}

/* In memory of exactly n bytes, so that the sanitizer sees a read beyond. */
static enum fo_err
decode_cut(struct fo_slice whole, size_t n, struct fo_fault *fault)
{
    uint8_t *cut = malloc(n + 1);
    struct fo_event e;
    enum fo_err err;

    assert_non_null(cut);
    cut = realloc(memcpy(cut, whole.p, n), n > 0 ? n : 1);
    err = fo_event_decode_publish(fo_slice_of(cut, n), rules(), &e, fault);
    free(cut);
    return err;
}

static void
an_event_cut_anywhere_is_refused(void **state)
{
    struct fo_fault fault;
    struct fo_buf sample;

    (void)state;
    make_sample(&sample);
    assert_int_equal(decode_cut(fo_buf_slice(&sample), sample.n, &fault), FO_OK);
    for (size_t n = 0; n < sample.n; n++)
        assert_int_equal(decode_cut(fo_buf_slice(&sample), n, &fault), FO_ERR_TRUNCATED);
    fo_buf_fini(&sample);
}

static void
a_record_cut_anywhere_is_refused(void **state)
{
    struct fo_event e, back;
    struct fo_slice record;
    struct fo_fault fault;
    struct fo_buf sample;

    (void)state;
    make_sample(&sample);
    assert_int_equal(fo_event_decode_publish(fo_buf_slice(&sample), rules(), &e, &fault), FO_OK);
    record = rules_record(&e);
    for (size_t n = 0; n < record.n; n++) {
        uint8_t *cut = malloc(n > 0 ? n : 1);
        memcpy(cut, record.p, n);
        assert_int_equal(fo_event_decode(fo_slice_of(cut, n), &back), FO_ERR_TRUNCATED);
        assert_int_equal(fo_event_view(fo_slice_of(cut, n), &back), FO_ERR_TRUNCATED);
        free(cut);
    }
    fo_buf_fini(&sample);
}

static void
an_event_is_one_map_and_nothing_else(void **state)
{
    struct fo_fault fault;
    struct fo_event e;
    struct fo_buf sample;

    (void)state;
    assert_int_equal(fo_event_decode_publish(FO_SLICE_LIT("\x93\1\2\3"), rules(), &e, &fault), FO_ERR_TYPE);
    assert_string_equal(fault.text, "an event is a map");
    make_sample(&sample);
    assert_int_equal(fo_buf_add(&sample, "", 1), FO_OK);
    assert_int_equal(fo_event_decode_publish(fo_buf_slice(&sample), rules(), &e, &fault), FO_ERR_TRAILING);
    fo_buf_fini(&sample);
}

static enum fo_err
decode_of_size(uint32_t data_bytes, const char *id, size_t *ret_record, struct fo_fault *fault)
{
    char *text = malloc(data_bytes + 200);
    struct fo_request req;
    struct fo_slice bytes;
    struct fo_buf scratch;
    struct fo_event e;
    enum fo_err err;
    int n;

    assert_non_null(text);
    fo_buf_init(&scratch);
    n = snprintf(text, 100, "{\"type\":\"custom\"%s,\"data\":\"", id);
    memset(text + n, 'x', data_bytes);
    strcpy(text + n + data_bytes, "\"}");
    assert_int_equal(fo_request_decode(fo_slice_str(text), &scratch, &req, fault), FO_OK);
    assert_true(fo_request_next_event(&req, &bytes));
    if ((err = fo_event_decode_publish(bytes, rules(), &e, fault)) == FO_OK)
        *ret_record = rules_record(&e).n;
    fo_buf_fini(&scratch);
    free(text);
    return err;
}

static void
the_size_limit_is_that_of_the_record(void **state)
{
    static const char *const ids[] = { ",\"id\":\"a\"", "" };       /* the broker's own id counts too */

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        size_t small = 0, largest = 0, none = 0;
        struct fo_fault fault;

        assert_int_equal(decode_of_size(100000, ids[i], &small, &fault), FO_OK);
        assert_int_equal(decode_of_size(100000 + 262144 - (uint32_t)small, ids[i], &largest, &fault), FO_OK);
        assert_int_equal(largest, 262144);
        assert_int_equal(decode_of_size(100001 + 262144 - (uint32_t)small, ids[i], &none, &fault), FO_ERR_TOO_LARGE);
        assert_non_null(strstr(fault.text, "262144"));
    }
}

static void
a_topic_ends_at_its_first_space(void **state)
{
    static const struct { const char *event, *topic; } cases[] = {
        { "{\"type\":\"custom\"}", "custom/default/" },
        { "{\"type\":\"custom\",\"tenant\":\"acme\",\"partitionkey\":\"order-1\"}", "custom/acme/order-1" },
        { "{\"type\":\"custom\",\"partitionkey\":\"a b%/\\u00e9\"}", "custom/default/a%20b%25/\xc3\xa9" },
    };
    char topic[FO_TOPIC_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fo_event e = rules_event(cases[i].event);
        struct fo_writer w = fo_writer_of(topic, sizeof topic);

        fo_event_write_topic(&e, &w);
        assert_true(fo_slice_is_equal(fo_slice_of(w.p, w.n), fo_slice_str(cases[i].topic)));
    }
}

static void
the_longest_topic_fits(void **state)
{
    char text[1024], type[65], tenant[65], key[129], topic[FO_TOPIC_BYTES_MAX];
    struct fo_writer w = fo_writer_of(topic, sizeof topic);
    struct fo_event e;

    (void)state;
    snprintf(text, sizeof text, "{\"type\":\"custom\"}");
    e = rules_event(text);
    memset(type, 'a', 64);
    memset(tenant, 'b', 64);
    memset(key, ' ', 128);
    e.type = fo_slice_of(type, 64);
    e.tenant = fo_slice_of(tenant, 64);
    e.partitionkey = fo_slice_of(key, 128);
    fo_event_write_topic(&e, &w);
    assert_false(w.overflow);
    assert_int_equal(w.n, FO_TOPIC_BYTES_MAX);
}

/* Mutation: a golden vector, changed in a few places, is either refused or taken as what it then says. */

enum { CORPUS_MAX = 128, MUTATIONS = 200000 };

static struct { uint8_t *p; size_t n; } corpus[CORPUS_MAX];
static unsigned corpus_count;

static void
add_to_corpus(json_t *vector)
{
    const json_t *text = json_object_get(vector, "json");
    size_t n = json_string_length(text);
    uint8_t *p = text != NULL ? (uint8_t *)strndup(json_string_value(text), n) : vector_bytes(json_object_get(vector, "hex"), &n);

    assert_non_null(p);
    if (corpus_count == CORPUS_MAX || n > 1500) {           /* long ones only cost time */
        free(p);
        return;
    }
    corpus[corpus_count].p = p;
    corpus[corpus_count++].n = n;
}

static void
mutate(struct fo_rng *rng, struct fo_buf *b)
{
    static const uint8_t heads[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc7, 0xca, 0xcf, 0xd3, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, '"', '{' };
    size_t at = fo_rng_below(rng, b->n + 1), n;

    switch (fo_rng_below(rng, 7)) {
    case 0:                                 /* one bit */
        if (at < b->n)
            b->p[at] ^= (uint8_t)(1u << fo_rng_below(rng, 8));
        break;
    case 1:                                 /* any byte */
        if (at < b->n)
            b->p[at] = (uint8_t)fo_rng_next(rng);
        break;
    case 2:                                 /* a head */
        if (at < b->n)
            b->p[at] = heads[fo_rng_below(rng, sizeof heads)];
        break;
    case 3:                                 /* cut */
        b->n = at;
        break;
    case 4:                                 /* a gap closed */
        n = fo_rng_below(rng, 9);
        if (at + n <= b->n) {
            memmove(b->p + at, b->p + at + n, b->n - at - n);
            b->n -= n;
        }
        break;
    case 5:                                 /* a piece said twice */
        n = fo_rng_below(rng, 17);
        if (at + n <= b->n) {
            assert_int_equal(fo_buf_reserve(b, n), FO_OK);
            memmove(b->p + at + n, b->p + at, b->n - at);
            b->n += n;
        }
        break;
    default:                                /* a piece of another vector */
        n = fo_rng_below(rng, corpus_count);
        if (at < corpus[n].n && at < b->n) {
            size_t piece = fo_rng_below(rng, corpus[n].n - at) + 1;
            b->n = at;
            assert_int_equal(fo_buf_add(b, corpus[n].p + at, piece), FO_OK);
        }
    }
}

/* A copy in memory of its own size. */
static uint8_t *
exact_copy(const struct fo_buf *b)
{
    uint8_t *copy = malloc(b->n > 0 ? b->n : 1);

    assert_non_null(copy);
    if (b->n > 0)
        memcpy(copy, b->p, b->n);
    return copy;
}

/* What was accepted can be stored, read back as the same, and shown. */
static void
check_accepted(struct fo_event *e, struct fo_buf *kept, struct fo_buf *json)
{
    struct fo_slice record = rules_record(e), again;
    struct fo_event back;
    json_t *shown;

    kept->n = 0;
    assert_int_equal(fo_buf_add(kept, record.p, record.n), FO_OK);
    assert_int_equal(fo_event_decode(fo_buf_slice(kept), &back), FO_OK);
    assert_true(fo_slice_is_equal(back.type, e->type) && fo_slice_is_equal(back.id, e->id) && fo_slice_is_equal(back.data, e->data));
    assert_int_equal(back.unknown_count, e->unknown_count);
    again = rules_record(&back);
    assert_true(fo_slice_is_equal(again, fo_buf_slice(kept)));
    json->n = 0;
    assert_int_equal(fo_event_write_json(fo_buf_slice(kept), json), FO_OK);
    assert_int_equal(fo_event_to_json(fo_buf_slice(kept), &shown), FO_OK);
    json_decref(shown);
}

static unsigned
try_request(const struct fo_buf *b, struct fo_buf scratch[3])
{
    uint8_t *copy = exact_copy(b);
    struct fo_request req;
    struct fo_slice bytes;
    struct fo_fault fault;
    struct fo_event e;
    unsigned accepted = 0;

    if (fo_request_decode(fo_slice_of(copy, b->n), &scratch[0], &req, &fault) == FO_OK && req.op == FO_OP_PUBLISH)
        while (fo_request_next_event(&req, &bytes)) {
            fault.err = FO_OK;
            if (fo_event_decode_publish(bytes, rules(), &e, &fault) != FO_OK) {
                assert_int_not_equal(fault.err, FO_OK);
                continue;
            }
            check_accepted(&e, &scratch[1], &scratch[2]);
            accepted++;
        }
    free(copy);
    return accepted;
}

static unsigned
try_record(const struct fo_buf *b, struct fo_buf scratch[3])
{
    uint8_t *copy = exact_copy(b);
    struct fo_slice record = fo_slice_of(copy, b->n);
    struct fo_event e, seen;
    unsigned accepted = 0;

    if (fo_event_decode(record, &e) == FO_OK) {
        assert_int_equal(fo_event_view(record, &seen), FO_OK);
        assert_true(fo_slice_is_equal(seen.data, e.data));
        check_accepted(&e, &scratch[1], &scratch[2]);
        accepted = 1;
    }
    free(copy);
    return accepted;
}

static void
fuzz(const char *prefix, uint64_t seed, unsigned (*try)(const struct fo_buf *b, struct fo_buf scratch[3]))
{
    struct fo_buf b, scratch[3];
    unsigned accepted = 0;
    struct fo_rng rng;

    corpus_count = 0;
    vector_each("valid", prefix, 5, add_to_corpus);
    fo_rng_init(&rng, seed);
    fo_buf_init(&b);
    for (unsigned i = 0; i < 3; i++)
        fo_buf_init(&scratch[i]);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        unsigned from = (unsigned)fo_rng_below(&rng, corpus_count);

        b.n = 0;
        assert_int_equal(fo_buf_add(&b, corpus[from].p, corpus[from].n), FO_OK);
        for (uint64_t k = fo_rng_below(&rng, 4) + 1; k > 0; k--)
            mutate(&rng, &b);
        accepted += try(&b, scratch);
    }
    assert_in_range(accepted, MUTATIONS / 100, MUTATIONS - MUTATIONS / 10);     /* both ways were walked */
    for (unsigned i = 0; i < corpus_count; i++)
        free(corpus[i].p);
    for (unsigned i = 0; i < 3; i++)
        fo_buf_fini(&scratch[i]);
    fo_buf_fini(&b);
}

static void
mutated_requests_are_refused_or_taken_whole(void **state)
{
    (void)state;
    fuzz("publish-", 1, try_request);
}

static void
mutated_records_are_refused_or_taken_whole(void **state)
{
    (void)state;
    fuzz("record-", 2, try_record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_cut_anywhere_is_refused),
        cmocka_unit_test(a_record_cut_anywhere_is_refused),
        cmocka_unit_test(an_event_is_one_map_and_nothing_else),
        cmocka_unit_test(the_size_limit_is_that_of_the_record),
        cmocka_unit_test(a_topic_ends_at_its_first_space),
        cmocka_unit_test(the_longest_topic_fits),
        cmocka_unit_test(mutated_requests_are_refused_or_taken_whole),
        cmocka_unit_test(mutated_records_are_refused_or_taken_whole),
    };

    return cmocka_run_group_tests(tests, rules_setup, rules_teardown);
}
