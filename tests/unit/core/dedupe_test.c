/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/dedupe.h"

static struct fo_dedupe_entry
entry(uint64_t hi, uint64_t lo, uint64_t seq)
{
    return (struct fo_dedupe_entry){.fp = {hi, lo}, .seq = seq, .epoch = 3, .targets = 5, .accepted_at = {77}, .lane = 1, .region = 2};
}

static void *
dedupe_create(struct fo_dedupe *d, uint32_t cap)
{
    void *mem = calloc(1, fo_dedupe_memory(cap));

    assert_non_null(mem);
    fo_dedupe_init(d, mem, cap);
    return mem;
}

static void
finds_what_was_added_first(void **state)
{
    struct fo_dedupe_entry a = entry(1, 2, 10), again = entry(1, 2, 11);
    const struct fo_dedupe_entry *found;
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, 4);

    (void)state;
    assert_null(fo_dedupe_find(&d, a.fp));
    assert_int_equal(fo_dedupe_add(&d, &a), FO_OK);
    assert_int_equal(fo_dedupe_add(&d, &again), FO_ERR_EXISTS);
    found = fo_dedupe_find(&d, a.fp);
    assert_non_null(found);
    assert_int_equal(found->seq, 10);
    assert_int_equal(found->epoch, 3);
    assert_int_equal(found->targets, 5);
    assert_int_equal(found->accepted_at.us, 77);
    assert_int_equal(found->lane, 1);
    assert_int_equal(found->region, 2);
    free(mem);
}

/* Half a fingerprint is not the event. */
static void
both_halves_count(void **state)
{
    struct fo_dedupe_entry a = entry(1, 2, 10), b = entry(9, 2, 11);
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, 4);

    (void)state;
    assert_int_equal(fo_dedupe_add(&d, &a), FO_OK);
    assert_null(fo_dedupe_find(&d, b.fp));
    assert_int_equal(fo_dedupe_add(&d, &b), FO_OK);
    assert_int_equal(fo_dedupe_find(&d, a.fp)->seq, 10);
    assert_int_equal(fo_dedupe_find(&d, b.fp)->seq, 11);
    free(mem);
}

static void
keeps_exactly_the_newest(void **state)
{
    enum { CAP = 5 };
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, CAP);

    (void)state;
    for (uint64_t i = 0; i < 4 * CAP + 3; i++) {
        struct fo_dedupe_entry e = entry(i, i, i);

        assert_int_equal(fo_dedupe_add(&d, &e), FO_OK);
        for (uint64_t k = 0; k <= i; k++)
            assert_int_equal(fo_dedupe_find(&d, (struct fo_fingerprint){k, k}) != NULL, k + CAP > i);
    }
    free(mem);
}

static void
one_entry_is_enough(void **state)
{
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, 1);

    (void)state;
    for (uint64_t i = 0; i < 50; i++) {
        struct fo_dedupe_entry e = entry(0, i * 4, i);

        assert_int_equal(fo_dedupe_add(&d, &e), FO_OK);
        assert_int_equal(fo_dedupe_find(&d, e.fp)->seq, i);
        if (i > 0)
            assert_null(fo_dedupe_find(&d, (struct fo_fingerprint){0, (i - 1) * 4}));
    }
    free(mem);
}

struct naive { struct fo_dedupe_entry entry[128]; unsigned count, cap; };

static int
naive_find(const struct naive *n, struct fo_fingerprint fp)
{
    for (unsigned i = 0; i < n->count; i++)
        if (n->entry[i].fp.hi == fp.hi && n->entry[i].fp.lo == fp.lo)
            return (int)i;
    return -1;
}

static void
naive_add(struct naive *n, const struct fo_dedupe_entry *e)
{
    if (n->count == n->cap) {
        n->count--;
        memmove(n->entry, n->entry + 1, n->count * sizeof *n->entry);
    }
    n->entry[n->count++] = *e;
}

static void
check_same(const struct fo_dedupe_entry *a, const struct fo_dedupe_entry *b)
{
    assert_non_null(a);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->lane, b->lane);
    assert_int_equal(a->region, b->region);
    assert_int_equal(a->targets, b->targets);
    assert_int_equal(a->accepted_at.us, b->accepted_at.us);
}

/* An event like the one before it, most of the time; else one thing is different, or a sequence is left out. */
static void
vary(struct fo_dedupe_entry *e, struct fo_rng *r, bool is_often)
{
    switch (fo_rng_below(r, is_often ? 8 : 60)) {
    case 0: e->seq++; break;
    case 1: e->epoch ^= 1; break;
    case 2: e->lane ^= 1; break;
    case 3: e->region ^= 1; break;
    case 4: e->targets ^= 1; break;
    case 5: e->accepted_at.us ^= 1; break;
    }
}

/* Fingerprints crowd into three buckets, around the table's end too, and look alike there, so that buckets are full and are passed. */
static void
agrees_with_a_list_through_many_turns(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct naive n = {.cap = 1 + 3 * (unsigned)seed};
        struct fo_dedupe d;
        void *mem = dedupe_create(&d, n.cap);
        struct fo_dedupe_entry e = entry(0, 0, 1);
        struct fo_rng r;

        fo_rng_init(&r, seed);
        for (uint64_t i = 0; i < 1000; i++) {
            int known;

            e.fp = (struct fo_fingerprint){fo_rng_below(&r, 3 * n.cap), (fo_rng_below(&r, 3) - 1) ^ fo_rng_below(&r, 3) << 56};
            known = naive_find(&n, e.fp);
            assert_int_equal(fo_dedupe_add(&d, &e), known >= 0 ? FO_ERR_EXISTS : FO_OK);
            if (known < 0)
                naive_add(&n, &e);
            for (unsigned k = 0; k < n.count; k++)
                check_same(fo_dedupe_find(&d, n.entry[k].fp), &n.entry[k]);
            e.seq++;
            vary(&e, &r, seed % 2 == 0);
        }
        free(mem);
    }
}

/* When all that passed a bucket has left, nobody looks behind it any more. */
static void
forgets_who_passed(void **state)
{
    enum { CAP = 512 };
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, CAP);
    unsigned passed = 0;

    (void)state;
    for (uint64_t i = 0; i < 8 * CAP; i++) {     /* those that had to go further because of them must go, too */
        struct fo_dedupe_entry e = entry(i, i < CAP ? 3 : i, i);

        assert_int_equal(fo_dedupe_add(&d, &e), FO_OK);
        if (i == CAP - 1)
            for (uint32_t b = 0; b <= d.table_mask; b++)
                passed += d.table[b].passed;
    }
    assert_true(passed > CAP);
    for (uint32_t b = 0; b <= d.table_mask; b++)
        assert_int_equal(d.table[b].passed, 0);
    free(mem);
}

/* Events that come together share what they have in common; when each is different there is a run for each that is kept, and no more. */
static void
takes_a_run_for_what_comes_together(void **state)
{
    enum { CAP = 100, BATCH = 25 };
    struct fo_dedupe d;
    void *mem = dedupe_create(&d, CAP);

    (void)state;
    for (uint64_t i = 0; i < 10 * CAP; i++) {
        struct fo_dedupe_entry e = entry(i, i, i);

        e.accepted_at.us = (int64_t)(i / BATCH);
        assert_int_equal(fo_dedupe_add(&d, &e), FO_OK);
        assert_true(d.run_count <= CAP / BATCH + 1 && d.run_limit <= 8);
    }
    for (uint64_t i = 0; i < 10 * CAP; i++) {
        struct fo_dedupe_entry e = entry(i, ~i, 2 * i);

        assert_int_equal(fo_dedupe_add(&d, &e), FO_OK);
        assert_true(d.run_count <= CAP && d.run_limit <= 128);
    }
    assert_int_equal(d.run_count, CAP);
    free(mem);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_first),
        cmocka_unit_test(both_halves_count),
        cmocka_unit_test(keeps_exactly_the_newest),
        cmocka_unit_test(one_entry_is_enough),
        cmocka_unit_test(agrees_with_a_list_through_many_turns),
        cmocka_unit_test(forgets_who_passed),
        cmocka_unit_test(takes_a_run_for_what_comes_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
