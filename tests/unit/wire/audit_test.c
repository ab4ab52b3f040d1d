/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements as bytes: what was sealed is read back, and nothing else is believed; and the digests that any language must get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "wire/audit.h"

static struct fo_key_pair key, other_key;
static struct fo_key_ring ring;

static int
setup(void **state)
{
    (void)state;
    if (fo_keys_library_init() != FO_OK || fo_key_pair_generate("here", &key) != FO_OK || fo_key_pair_generate("there", &other_key) != FO_OK)
        return -1;
    return fo_key_ring_add(&ring, &key.public_half) == FO_OK && fo_key_ring_add(&ring, &other_key.public_half) == FO_OK ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    fo_key_pair_fini(&key);
    fo_key_pair_fini(&other_key);
    return 0;
}

/* As large as one can be, when flows is the most. */
static void
fill(struct fo_audit_statement *s, unsigned flows)
{
    memset(s, 0, sizeof *s);
    snprintf(s->region, sizeof s->region, "here");
    snprintf(s->source, sizeof s->source, "there");
    snprintf(s->target, sizeof s->target, "abcdefghijklmnopqrstuvwxyz-00000");
    for (unsigned i = 0; i < FO_LANES; i++)
        s->after[i] = s->up_to[i] = (struct fo_mark){ UINT64_MAX, UINT64_MAX - i };
    s->ledger = FO_AUDIT_END;
    s->epoch = s->damaged = UINT64_MAX;
    s->made_at.us = s->from.us = s->to.us = s->complete_from.us = INT64_MAX;
    for (unsigned i = 0; i < FO_AUDIT_DAMAGED_MAX; i++)
        s->damage[i] = (struct fo_audit_damage){ UINT64_MAX, UINT8_MAX, UINT8_MAX, UINT32_MAX };
    for (unsigned i = 0; i < FO_LANES; i++)
        s->lane[i] = (struct fo_audit_lane){ UINT64_MAX, UINT64_MAX, FO_AUDIT_END, FO_AUDIT_END, UINT64_MAX, UINT64_MAX, FO_AUDIT_END, { 1, 2, 3 } };
    s->flow_count = flows;
    for (unsigned i = 0; i < flows; i++) {
        struct fo_audit_flow *f = &s->flow[i];

        snprintf(f->region, sizeof f->region, "abcdefghijklmnopqrstuvwxyz-%05u", i / FO_LANES);
        f->lane = (enum fo_lane)(i % FO_LANES);
        memset(f->count, 0xff, sizeof f->count);
        f->misplaced = UINT64_MAX;
        f->first = f->trimmed = f->up_to = FO_AUDIT_END;
        memset(f->digest, (int)i, sizeof f->digest);
    }
}

static void
is_read_back_as_it_was_sealed(void **state)
{
    static struct fo_audit_statement s, back;
    uint8_t signature[FO_SIGNATURE_BYTES];
    struct fo_buf bytes;

    (void)state;
    fo_buf_init(&bytes);
    fill(&s, FO_AUDIT_FLOWS_MAX);
    assert_int_equal(fo_audit_seal(&s, &key, &bytes, signature), FO_OK);
    assert_int_equal(fo_audit_decode(fo_buf_slice(&bytes), &back), FO_OK);
    assert_int_equal(fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature), &back, &ring), FO_OK);
    assert_string_equal(back.region, "here");
    assert_string_equal(back.source, "there");
    assert_string_equal(back.target, s.target);
    assert_memory_equal(back.after, s.after, sizeof s.after);
    assert_memory_equal(back.up_to, s.up_to, sizeof s.up_to);
    assert_memory_equal(&back.ledger, &s.ledger, sizeof s.ledger);
    assert_memory_equal(back.damage, s.damage, sizeof s.damage);
    assert_memory_equal(back.lane, s.lane, sizeof s.lane);
    assert_int_equal(back.flow_count, s.flow_count);
    for (unsigned i = 0; i < s.flow_count; i++) {
        assert_string_equal(back.flow[i].region, s.flow[i].region);
        assert_memory_equal(back.flow[i].digest, s.flow[i].digest, FO_HASH_BYTES);
        assert_true(back.flow[i].count[FO_AUDIT_PENDING] == UINT64_MAX && back.flow[i].lane == s.flow[i].lane);
    }
    fo_buf_fini(&bytes);
}

static void
nothing_altered_is_believed(void **state)
{
    static struct fo_audit_statement s, back;
    uint8_t signature[FO_SIGNATURE_BYTES];
    struct fo_buf bytes;

    (void)state;
    fo_buf_init(&bytes);
    fill(&s, FO_LANES);
    assert_int_equal(fo_audit_seal(&s, &key, &bytes, signature), FO_OK);
    for (size_t i = 0; i < bytes.n; i++) {
        enum fo_err err;

        assert_int_not_equal(fo_audit_decode(fo_slice_of(bytes.p, i), &back), FO_OK);
        bytes.p[i] ^= 1;
        err = fo_audit_decode(fo_buf_slice(&bytes), &back);
        if (err == FO_OK)
            err = fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature), &back, &ring);
        assert_int_not_equal(err, FO_OK);
        bytes.p[i] ^= 1;
    }
    assert_int_equal(fo_audit_decode(fo_buf_slice(&bytes), &back), FO_OK);
    assert_int_equal(fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature - 1), &back, &ring), FO_ERR_SIGNATURE);
    signature[3] ^= 1;
    assert_int_equal(fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature), &back, &ring), FO_ERR_SIGNATURE);
    fo_buf_fini(&bytes);
}

static void
a_region_speaks_for_itself_alone(void **state)
{
    static struct fo_audit_statement s;
    uint8_t signature[FO_SIGNATURE_BYTES];
    struct fo_buf bytes;

    (void)state;
    fo_buf_init(&bytes);
    fill(&s, 0);
    assert_int_equal(fo_audit_seal(&s, &other_key, &bytes, signature), FO_ERR_WRONG_KEY);
    snprintf(s.region, sizeof s.region, "there");
    assert_int_equal(fo_audit_seal(&s, &other_key, &bytes, signature), FO_OK);
    snprintf(s.region, sizeof s.region, "here");            /* as if it had been decoded so */
    assert_int_equal(fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature), &s, &ring), FO_ERR_WRONG_KEY);
    s.key_id ^= 1;
    assert_int_equal(fo_audit_verify(fo_buf_slice(&bytes), fo_slice_of(signature, sizeof signature), &s, &ring), FO_ERR_UNKNOWN_KEY);
    fo_buf_fini(&bytes);
}

/* A statement about less must not pass for one about more. */
static void
only_the_very_question_is_answered(void **state)
{
    static struct fo_audit_statement s, narrow;
    struct fo_audit_query q = { .from = { 5 }, .to = { 9 }, .up_to = { FO_AUDIT_END, FO_AUDIT_END, FO_AUDIT_END } };
    const struct fo_mark mark = { 7, 1 };

    (void)state;
    memset(&s, 0, sizeof s);
    s.from = q.from;
    s.to = q.to;
    memcpy(s.up_to, q.up_to, sizeof s.up_to);
    assert_true(fo_audit_answers(&s, &q));
    for (unsigned i = 0; i < 7; i++) {
        narrow = s;
        switch (i) {
        case 0: narrow.from.us++; break;
        case 1: narrow.to.us--; break;
        case 2: snprintf(narrow.source, sizeof narrow.source, "there"); break;
        case 3: snprintf(narrow.target, sizeof narrow.target, "there"); break;
        case 4: narrow.after[FO_LANE_LOW] = mark; break;
        case 5: narrow.up_to[FO_LANE_LOW] = mark; break;
        case 6: narrow.ledger = mark; break;
        }
        assert_false(fo_audit_answers(&narrow, &q));
    }
    q.to.us = 0;
    assert_true(fo_audit_answers(&s, &q));
}

static void
assert_hex(const uint8_t hash[FO_HASH_BYTES], const char *expected)
{
    char text[2 * FO_HASH_BYTES + 1];

    assert_string_equal(sodium_bin2hex(text, sizeof text, hash, FO_HASH_BYTES), expected);
}

/* Made with Python's hashlib from proto/WIRE.md. */
static void
digests_are_as_documented(void **state)
{
    uint8_t digest[FO_HASH_BYTES] = { 0 }, leaf[FO_HASH_BYTES];

    (void)state;
    fo_audit_leaf(FO_SLICE_LIT("record"), leaf);
    assert_hex(leaf, "42bccab5a3642788786162587194873f76e6b1cc3c4845b903208b18cd4ab108");
    fo_audit_digest_event(digest, (struct fo_mark){ 0x18f3c2a1b00, 42 }, leaf);
    assert_hex(digest, "40dfbcacb4b7d9ebe12adbc10537a4eed9bf29ace627d258afa0e29563c02da5");
    fo_audit_digest_row(digest, (struct fo_mark){ 0x18f3c2a1b00, 43 }, FO_SLICE_LIT("acme"), FO_SLICE_LIT("order-1"), FO_SLICE_LIT("1|eu=delivered"));
    assert_hex(digest, "1cef52735d01341a17c43bc6c661f3b57c8fd30ff60bd13bdc52983ad2ff3abd");
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(is_read_back_as_it_was_sealed), cmocka_unit_test(nothing_altered_is_believed),
        cmocka_unit_test(a_region_speaks_for_itself_alone), cmocka_unit_test(only_the_very_question_is_answered),
        cmocka_unit_test(digests_are_as_documented) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
