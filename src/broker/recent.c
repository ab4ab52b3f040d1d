/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/recent.h"

#include "base/assert.h"
#include "base/crc32c.h"

void
fo_recent_init(struct fo_recent *r)
{
    *r = (struct fo_recent){ 0 };
    for (unsigned i = 0; i < FO_RECENT_MAX; i++)
        fo_buf_init(&r->answer[i].bytes);
}

void
fo_recent_fini(struct fo_recent *r)
{
    for (unsigned i = 0; i < FO_RECENT_MAX; i++)
        fo_buf_fini(&r->answer[i].bytes);
}

const struct fo_recent_answer *
fo_recent_find(const struct fo_recent *r, struct fo_slice key)
{
    for (unsigned i = 0; i < FO_RECENT_MAX; i++)
        if (r->answer[i].bytes.n > 0 && fo_slice_is_equal(fo_slice_of(r->answer[i].bytes.p, r->answer[i].key_bytes), key))
            return &r->answer[i];
    return NULL;
}

static bool
was_seen(struct fo_recent *r, struct fo_slice key)
{
    uint32_t hash = fo_crc32c(0, key.p, key.n);

    for (unsigned i = 0; i < FO_RECENT_SEEN_MAX; i++)
        if (r->seen[i] == hash)
            return true;
    r->seen[r->next_seen] = hash;
    r->next_seen = (r->next_seen + 1) % FO_RECENT_SEEN_MAX;
    return false;
}

void
fo_recent_note(struct fo_recent *r, struct fo_slice key, struct fo_slice answer, uint32_t events, uint64_t high_lsn, uint64_t first_lsn)
{
    struct fo_recent_answer *a = (struct fo_recent_answer *)(uintptr_t)fo_recent_find(r, key);

    if (a == NULL && !was_seen(r, key))
        return;
    if (a == NULL) {
        a = &r->answer[r->next_answer];
        r->next_answer = (r->next_answer + 1) % FO_RECENT_MAX;
    }
    a->bytes.n = 0;
    a->key_bytes = key.n;
    a->events = events;
    a->high_lsn = high_lsn;
    a->first_lsn = first_lsn;
    if (fo_buf_reserve(&a->bytes, key.n + answer.n) != FO_OK)
        return;
    memcpy(a->bytes.p, key.p, key.n);
    memcpy(a->bytes.p + key.n, answer.p, answer.n);
    a->bytes.n = key.n + answer.n;
}

static struct fo_recent_search *
find_search(const struct fo_recent *r, struct fo_slice key)
{
    for (unsigned i = 0; i < FO_RECENT_SEARCHES; i++)
        if (fo_slice_is_equal(fo_slice_of(r->search[i].key, r->search[i].key_bytes), key))
            return (struct fo_recent_search *)(uintptr_t)&r->search[i];
    return NULL;
}

const struct fo_stand *
fo_recent_searched(const struct fo_recent *r, struct fo_slice key)
{
    const struct fo_recent_search *s = key.n > 0 ? find_search(r, key) : NULL;

    return s != NULL ? &s->stand : NULL;
}

void
fo_recent_note_search(struct fo_recent *r, struct fo_slice key, const struct fo_stand *stand)
{
    struct fo_recent_search *s;

    fo_assert(key.n > 0 && key.n <= FO_RECENT_KEY_BYTES_MAX);
    s = find_search(r, key);
    if (s == NULL) {
        s = &r->search[r->next_search];
        r->next_search = (r->next_search + 1) % FO_RECENT_SEARCHES;
        memcpy(s->key, key.p, key.n);
        s->key_bytes = key.n;
    }
    s->stand = *stand;
}
