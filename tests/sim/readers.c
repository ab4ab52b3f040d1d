/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribers that fetch by cursor, through every restart of their broker: each sees each event that it wants exactly
 * once, in order. */
#include "sim.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum reader_filter { FILTER_NONE, FILTER_TYPE, FILTER_TENANT, FILTER_KEY, FILTER_REGION, FILTERS };
enum { LATE_MS = 2000 };
static const int64_t ms = 1000000;

static void act(struct sim *s, const struct task *t);

static void
act_later(struct sim *s, unsigned i, int64_t delay_ns)
{
    sim_after(s, delay_ns, act, s->reader[i].node, i, 0, NULL);
}

bool
reader_wants(const struct reader *r, const struct truth_event *e)
{
    switch ((enum reader_filter)r->filter) {
    case FILTER_TYPE:
        return e->type == 0;
    case FILTER_TENANT:
        return e->tenant == 1;
    case FILTER_KEY:
        return e->key == 2;
    case FILTER_REGION:
        return e->source == 0;
    case FILTER_NONE:
    case FILTERS:
        break;
    }
    return true;
}

static void
late(struct sim *s, const struct task *t)
{
    const struct reader *r = &s->reader[t->a];

    if (r->request == t->b && s->node[r->node].life == t->life)
        sim_fail(s, "%s never answers fetch request %" PRIu64, region_name(r->node), t->b);
}

static void
act(struct sim *s, const struct task *t)
{
    static const char *const filters[FILTERS] = { "{}", "{\"type\":\"alpha\"}", "{\"tenant\":\"t1\"}", "{\"key\":\"k2\"}", "{\"region\":\"us-east-1\"}" };
    static const unsigned events[] = { 1, 5, 20 }, bytes[] = { 1024, 3000, 9000 };      /* few, so that some readers want the same */
    struct reader *r = &s->reader[t->a];
    uint64_t request = ++s->next_request;
    unsigned wait_ms = sim_chance(s, 300) ? 0 : (unsigned)sim_below(s, 1500);
    char text[512], begin[192];

    act_later(s, (unsigned)t->a, (5 + (int64_t)sim_below(s, 100)) * ms);
    if (r->request != 0)
        return;
    if (r->cursor[0] != '\0')
        snprintf(begin, sizeof begin, "\"cursor\":\"%s\"", r->cursor);
    else
        snprintf(begin, sizeof begin, "\"from\":\"%s\"", r->is_now ? "now" : "earliest");
    snprintf(text, sizeof text, "{\"op\":\"fetch\",%s,\"max\":%u,\"maxBytes\":%u,\"waitMs\":%u,\"filter\":%s}", begin, events[sim_below(s, 3)], bytes[sim_below(s, 3)],
        wait_ms, filters[r->filter]);
    if (!node_request(s, r->node, request, text, strlen(text)))
        return;
    r->has_gap |= r->is_now || (r->cursor[0] == '\0' && s->node[r->node].disk.first_lsn > 0);
    r->request = request;
    r->asked_at_ns = s->now_ns;
    sim_after(s, ((int64_t)wait_ms + LATE_MS) * ms, late, r->node, t->a, request, NULL);
}

static void
see(struct sim *s, unsigned i, const json_t *item)
{
    struct reader *r = &s->reader[i];
    const char *position = json_string_value(json_object_get(item, "position"));
    const char *subject = json_string_value(json_object_get(json_object_get(item, "event"), "subject"));
    struct truth_event *e = position != NULL && !s->plan.is_lossy ? truth_at(s, position) : NULL;
    int index = subject != NULL ? truth_index(s, fo_slice_str(subject)) : -1;
    uint64_t *last;

    if (s->plan.is_lossy && index >= 0) {
        if ((unsigned)index >= s->fresh_from && s->is_healing && s->truth.event[index].seen >> i & 1 && r->fresh_epoch == s->node[r->node].disk.epoch)
            sim_fail(s, "reader %u is given e%d twice", i, index);
        r->fresh_epoch = s->node[r->node].disk.epoch;
        s->truth.event[index].seen |= 1ull << i;
        return;
    }
    if (e == NULL || index < 0 || e != &s->truth.event[index]) {
        sim_fail(s, "reader %u is given %s as %s", i, subject ? subject : "nothing", position ? position : "nothing");
        return;
    }
    last = &r->last_seq[e->source][e->lane];
    if (!(e->targets >> r->node & 1) || !reader_wants(r, e))
        sim_fail(s, "reader %u is given e%d, which it did not ask for", i, index);
    if (e->source != r->node && !(e->received >> r->node & 1))
        sim_fail(s, "reader %u is given e%d before it is durable there", i, index);
    if (e->seen >> i & 1)
        sim_fail(s, "reader %u is given e%d twice", i, index);
    if (e->seq <= *last)
        sim_fail(s, "reader %u is given e%d behind a later event of its lane", i, index);
    trace_note(s, (int)r->node, "  seen e", (uint64_t)index, i, NULL);
    *last = e->seq;
    e->seen |= 1ull << i;
    s->truth.seen++;
}

/* The position may only be gone if it was trimmed away. */
static void
begin_again(struct sim *s, unsigned i, const json_t *answer)
{
    struct reader *r = &s->reader[i];
    const char *code = json_string_value(json_object_get(json_object_get(answer, "error"), "code"));
    const char *earliest = json_string_value(json_object_get(answer, "cursor"));
    unsigned long long lsn[FO_LANES] = { 0 }, first_lsn = s->node[r->node].disk.first_lsn;

    if (code != NULL && strcmp(code, "unavailable") == 0)
        return;                         /* again with the same cursor */
    if (code == NULL || strcmp(code, "cursor_gone") != 0) {
        sim_fail(s, "reader %u is refused: %s", i, code ? code : "no code");
        return;
    }
    s->covered.cursors_gone++;
    (void)sscanf(r->cursor, "c2.%*[a-z0-9-].%*x.%*x.%*x.%llx.%*x.%llx.%*x.%llx", &lsn[0], &lsn[1], &lsn[2]);
    if (lsn[0] >= first_lsn && lsn[1] >= first_lsn && lsn[2] >= first_lsn && !s->plan.is_lossy)
        sim_fail(s, "reader %u is told that its position %s is gone, and it is there", i, r->cursor);
    if (earliest == NULL)
        sim_fail(s, "reader %u is not told where to go on", i);
    snprintf(r->cursor, sizeof r->cursor, "%s", earliest ? earliest : "");
    r->has_gap = true;
}

void
reader_answer(struct sim *s, unsigned i, struct fo_slice body)
{
    struct reader *r = &s->reader[i];
    json_t *answer = json_loadb((const char *)body.p, body.n, 0, NULL);
    const json_t *events = json_object_get(answer, "events"), *item;
    const char *cursor = json_string_value(json_object_get(answer, "cursor"));
    size_t k;

    r->request = 0;
    if (answer == NULL) {
        sim_fail(s, "%s answers what is not JSON: %.*s", region_name(r->node), (int)body.n, (const char *)body.p);
        return;
    }
    if (!json_is_true(json_object_get(answer, "success"))) {
        begin_again(s, i, answer);
    } else if (cursor == NULL) {
        sim_fail(s, "reader %u is given no cursor", i);
    } else {
        json_array_foreach(events, k, item)
            see(s, i, item);
        snprintf(r->cursor, sizeof r->cursor, "%s", cursor);
        r->empties = json_array_size(events) == 0 && s->quiet_at_ns != 0 && r->asked_at_ns >= s->quiet_at_ns ? r->empties + 1 : 0;
    }
    json_decref(answer);
}

bool
readers_are_done(const struct sim *s)
{
    for (unsigned i = 0; i < s->plan.readers; i++)
        if (s->reader[i].empties < 2)
            return false;
    return true;
}

void
readers_start(struct sim *s)
{
    for (unsigned i = 0; i < s->plan.readers; i++) {
        struct reader *r = &s->reader[i];

        r->node = i % s->plan.nodes;
        r->filter = i < s->plan.nodes ? FILTER_NONE : (unsigned)sim_below(s, FILTERS);
        r->is_now = i >= s->plan.nodes && sim_chance(s, 150);
        act_later(s, i, (1 + (int64_t)sim_below(s, i < s->plan.nodes ? 500 : 3000)) * ms);
    }
}
