/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/audience.h"

#include "base/crc32c.h"

#include <stdlib.h>

/* The field that a group is found by: the first of these that its filter names, as the first ones tell most events apart. */
enum { BY_KEY, BY_TENANT, BY_TYPE, BY_REGION, FIELDS };

enum { HITS_KEPT_BYTES_MAX = 65536 };

void
fo_audience_init(struct fo_audience *a)
{
    *a = (struct fo_audience){ .deadline = { INT64_MAX } };
    fo_buf_init(&a->hits);
}

void
fo_audience_fini(struct fo_audience *a)
{
    for (int i = 0; i < 2; i++) {
        while (a->groups[i] != NULL) {
            struct fo_parked *p = fo_audience_take(a, a->groups[i], (struct fo_instant){ 0 }, true);

            while (p != NULL) {
                struct fo_parked *next = p->next;

                free(p);
                p = next;
            }
        }
    }
    fo_buf_fini(&a->hits);
}

static void
write_text(struct fo_writer *w, struct fo_slice s)
{
    fo_write_u8(w, (uint8_t)s.n);
    fo_write_bytes(w, s.p, s.n);
}

static struct fo_slice
read_text(struct fo_reader *r)
{
    struct fo_slice s = { r->p + 1, r->p[0] };

    r->p += 1 + s.n;
    return s;
}

void
fo_wish_write(const struct fo_request *req, struct fo_wall since, struct fo_writer *w)
{
    fo_write_u8(w, (uint8_t)req->encoding);
    fo_write_u32(w, req->events_max);
    fo_write_u32(w, req->bytes_max);
    fo_write_u64(w, (uint64_t)since.us);
    fo_write_u8(w, req->filter.type_count);
    for (unsigned i = 0; i < req->filter.type_count; i++)
        write_text(w, req->filter.type[i]);
    write_text(w, req->filter.key);
    write_text(w, req->filter.tenant);
    write_text(w, req->filter.region);
}

/* The filter again, in the group's own bytes. */
static void
read_filter(struct fo_group *g)
{
    struct fo_reader r = { g->key.p + 1 + 4 + 4 + 8, g->key.p + g->key.n };

    g->filter.type_count = *r.p++;
    for (unsigned i = 0; i < g->filter.type_count; i++)
        g->filter.type[i] = read_text(&r);
    g->filter.key = read_text(&r);
    g->filter.tenant = read_text(&r);
    g->filter.region = read_text(&r);
}

static uint32_t
hash_of(unsigned field, struct fo_slice value)
{
    return fo_crc32c(field, value.p, value.n);
}

static void
add_want(struct fo_audience *a, struct fo_group *g, unsigned field, struct fo_slice value)
{
    struct fo_want *w = &g->want[g->want_count++], **bucket;

    *w = (struct fo_want){ .group = g, .hash = hash_of(field, value), .field = field, .value = value };
    bucket = &a->by_value[w->hash % FO_AUDIENCE_BUCKETS];
    w->next = *bucket;
    *bucket = w;
    a->wants[field]++;
}

static void
add_wants(struct fo_audience *a, struct fo_group *g)
{
    const struct fo_filter *f = &g->filter;

    if (f->key.n > 0)
        add_want(a, g, BY_KEY, f->key);
    else if (f->tenant.n > 0)
        add_want(a, g, BY_TENANT, f->tenant);
    else if (f->type_count == 0 && f->region.n > 0)
        add_want(a, g, BY_REGION, f->region);
    else
        for (unsigned i = 0; i < f->type_count; i++)
            add_want(a, g, BY_TYPE, f->type[i]);
}

static void
forget_group_hits(struct fo_group *g)
{
    for (int i = 0; i < FO_LANES; i++) {
        g->hits[i].first = g->hits[i].last = FO_HIT_NONE;
        g->hits[i].count = 0;
    }
}

static struct fo_group *
group_create(struct fo_audience *a, struct fo_slice key, uint32_t hash, const struct fo_request *req, struct fo_wall since)
{
    struct fo_group *g = malloc(sizeof *g + key.n);

    if (g == NULL)
        return NULL;
    *g = (struct fo_group){ .hash = hash, .key = { (uint8_t *)(g + 1), key.n }, .encoding = req->encoding, .events_max = req->events_max,
        .bytes_max = req->bytes_max, .since = since, .is_any = fo_filter_is_any(&req->filter) };
    memcpy(g + 1, key.p, key.n);
    read_filter(g);
    forget_group_hits(g);
    add_wants(a, g);
    g->same_hash = a->by_hash[hash % FO_AUDIENCE_BUCKETS];
    a->by_hash[hash % FO_AUDIENCE_BUCKETS] = g;
    g->link = &a->groups[g->is_any];
    g->next = *g->link;
    if (g->next != NULL)
        g->next->link = &g->next;
    *g->link = g;
    return g;
}

static void
group_destroy(struct fo_audience *a, struct fo_group *g)
{
    struct fo_group **at = &a->by_hash[g->hash % FO_AUDIENCE_BUCKETS];

    for (unsigned i = 0; i < g->want_count; i++) {
        struct fo_want **w = &a->by_value[g->want[i].hash % FO_AUDIENCE_BUCKETS];

        while (*w != &g->want[i])
            w = &(*w)->next;
        *w = (*w)->next;
        a->wants[g->want[i].field]--;
    }
    while (*at != g)
        at = &(*at)->same_hash;
    *at = g->same_hash;
    *g->link = g->next;
    if (g->next != NULL)
        g->next->link = g->link;
    free(g);
}

enum fo_err
fo_audience_park(struct fo_audience *a, uint64_t request, const struct fo_request *req, struct fo_wall since, struct fo_instant deadline)
{
    uint8_t bytes[FO_WISH_BYTES_MAX];
    struct fo_writer w = fo_writer_of(bytes, sizeof bytes);
    struct fo_parked *p = malloc(sizeof *p);
    struct fo_slice key;
    struct fo_group *g;
    uint32_t hash;

    if (p == NULL)
        return FO_ERR_NO_MEMORY;
    fo_wish_write(req, since, &w);
    key = fo_slice_of(bytes, w.n);
    hash = hash_of(0, key);
    g = a->by_hash[hash % FO_AUDIENCE_BUCKETS];
    while (g != NULL && !fo_slice_is_equal(g->key, key))
        g = g->same_hash;
    if (g == NULL)
        g = group_create(a, key, hash, req, since);
    if (g == NULL) {
        free(p);
        return FO_ERR_NO_MEMORY;
    }
    *p = (struct fo_parked){ g->parked, request, deadline };
    g->parked = p;
    a->parked_count++;
    if (fo_instant_is_before(deadline, a->deadline))
        a->deadline = deadline;
    return FO_OK;
}

const struct fo_hit *
fo_audience_hit(const struct fo_audience *a, uint32_t hit)
{
    return (const struct fo_hit *)(const void *)a->hits.p + hit;
}

/* No more are noted than an answer may hold, and one to say where to go on. */
static void
note_hit(struct fo_audience *a, struct fo_group *g, const struct fo_batch *b, uint32_t i)
{
    enum fo_lane lane = b->header.lane;
    struct fo_hit hit = { b, i, FO_HIT_NONE }, *all;
    uint32_t at = (uint32_t)(a->hits.n / sizeof hit), last = g->hits[lane].last;

    if (!g->is_heard) {
        g->is_heard = true;
        g->heard_next = a->heard;
        a->heard = g;
    }
    if (g->hits[lane].count > g->events_max)
        return;
    if (last != FO_HIT_NONE && fo_audience_hit(a, last)->batch == b && fo_audience_hit(a, last)->index == i)
        return;                         /* it names the type twice */
    if (fo_buf_add(&a->hits, &hit, sizeof hit) != FO_OK) {
        g->is_short_of_memory = true;
        return;
    }
    all = (struct fo_hit *)(void *)a->hits.p;
    if (last == FO_HIT_NONE)
        g->hits[lane].first = at;
    else
        all[last].next = at;
    g->hits[lane].last = at;
    g->hits[lane].count++;
}

static void
show(struct fo_audience *a, unsigned field, struct fo_slice value, const struct fo_batch *b, uint32_t i, const struct fo_event *e)
{
    uint32_t hash;

    if (a->wants[field] == 0 || value.n == 0)
        return;
    hash = hash_of(field, value);
    for (const struct fo_want *w = a->by_value[hash % FO_AUDIENCE_BUCKETS]; w != NULL; w = w->next)
        if (w->hash == hash && w->field == field && fo_slice_is_equal(w->value, value) && b->at.us >= w->group->since.us && fo_filter_match(&w->group->filter, e))
            note_hit(a, w->group, b, i);
}

void
fo_audience_hear(struct fo_audience *a, const struct fo_batch *b)
{
    unsigned wants = 0;

    for (unsigned i = 0; i < FIELDS; i++)
        wants += a->wants[i];
    for (uint32_t i = 0; wants > 0 && (b->targets & 1) && i < b->count; i++) {
        struct fo_event e;

        if (!fo_batch_is_shown(b, i) || fo_event_view(b->record[i], &e) != FO_OK)
            continue;
        show(a, BY_KEY, e.partitionkey, b, i, &e);
        show(a, BY_TENANT, e.tenant, b, i, &e);
        show(a, BY_TYPE, e.type, b, i, &e);
        show(a, BY_REGION, e.sourceregion, b, i, &e);
    }
}

void
fo_audience_forget_hits(struct fo_audience *a)
{
    a->heard = NULL;
    a->hits.n = 0;
    if (a->hits.cap > HITS_KEPT_BYTES_MAX)
        fo_buf_fini(&a->hits);
}

struct fo_parked *
fo_audience_take(struct fo_audience *a, struct fo_group *g, struct fo_instant now, bool all)
{
    struct fo_parked *taken = NULL;

    for (struct fo_parked **at = &g->parked; *at != NULL;) {
        struct fo_parked *p = *at;

        if (!all && fo_instant_is_before(now, p->deadline)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        p->next = taken;
        taken = p;
        a->parked_count--;
    }
    if (g->parked == NULL)
        group_destroy(a, g);
    return taken;
}
