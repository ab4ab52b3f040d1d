/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishers: they ask, wait, and ask again with the same ids until they know what became of their events, or give up. What
 * they are told is held against the truth. */
#include "sim.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAIT_ALL = 255, TEXT_MAX = 65536, LATE_MS = 2000, ATTEMPTS_MAX = 60 };
static const int64_t ms = 1000000;
static const char *const types[] = { "alpha", "beta" };
static const enum fo_lane type_lanes[] = { FO_LANE_NORMAL, FO_LANE_HIGH };

static void act(struct sim *s, const struct task *t);

static void
act_later(struct sim *s, unsigned i, int64_t delay_ms)
{
    sim_after(s, delay_ms * ms, act, s->publisher[i].node, i, 0, NULL);
}

static uint32_t
new_event(struct sim *s, unsigned node)
{
    uint32_t index = s->truth.count++;
    struct truth_event *e = &s->truth.event[index];
    node_set all = (1ull << s->plan.nodes) - 1;

    *e = (struct truth_event){ .source = node, .id = index, .has_id = !sim_chance(s, 100), .targets = all, .type = (unsigned)sim_below(s, 2),
        .tenant = (unsigned)sim_below(s, 3), .key = (unsigned)sim_below(s, 4) };
    if (sim_chance(s, 300))
        e->targets = 1 + sim_below(s, all);
    e->lane = sim_chance(s, 600) ? (enum fo_lane)sim_below(s, FO_LANES) : type_lanes[e->type];
    if (index > 0 && sim_chance(s, 40)) {
        const struct truth_event *twin = &s->truth.event[sim_below(s, index)];

        if (twin->has_id && e->has_id) {        /* somebody uses an id a second time */
            e->id = twin->id;
            e->tenant = twin->tenant;
        }
    }
    if (sim_chance(s, 150))
        e->expiry_us = s->node[node].wall_base_us + s->now_ns / 1000 + (int64_t)sim_below(s, 500000);
    return index;
}

static int
write_event(struct sim *s, const struct truth_event *e, uint32_t index, char *out, size_t size)
{
    int at = snprintf(out, size, "{\"type\":\"%s\",\"subject\":\"e%u\",\"tenant\":\"t%u\",\"partitionkey\":\"k%u\",\"priority\":\"%s\"",
        types[e->type], index, e->tenant, e->key, fo_lane_name(e->lane));

    if (e->has_id)
        at += snprintf(out + at, size - (size_t)at, ",\"id\":\"i%u\"", e->id);
    if (e->targets != (1ull << s->plan.nodes) - 1) {
        const char *comma = "";

        at += snprintf(out + at, size - (size_t)at, ",\"targets\":[");
        for (unsigned g = 0; g < s->plan.nodes; g++)
            if (e->targets >> g & 1) {
                at += snprintf(out + at, size - (size_t)at, "%s\"%s\"", comma, region_name(g));
                comma = ",";
            }
        at += snprintf(out + at, size - (size_t)at, "]");
    }
    if (e->expiry_us != 0) {
        char text[FO_RFC3339_SIZE];

        fo_wall_format((struct fo_wall){ e->expiry_us }, text);
        at += snprintf(out + at, size - (size_t)at, ",\"expirytime\":\"%s\"", text);
    }
    at += snprintf(out + at, size - (size_t)at, ",\"data\":{\"pad\":\"%0*u\"}", (int)(1 + index * 131 % (index % 17 == 0 ? 2500 : 300)), index);
    return at;
}

static void
late(struct sim *s, const struct task *t)
{
    const struct publisher *p = &s->publisher[t->a];

    if (p->request == t->b && s->node[p->node].life == t->life)
        sim_fail(s, "%s never answers publish request %" PRIu64, region_name(p->node), t->b);
}

static void
ask(struct sim *s, unsigned i)
{
    struct publisher *p = &s->publisher[i];
    static char text[TEXT_MAX];
    int at = 0;
    char wait[16] = "\"accepted\"";
    uint64_t request = ++s->next_request;

    if (p->wait > 0)
        snprintf(wait, sizeof wait, p->wait == WAIT_ALL ? "\"all\"" : "%u", p->wait);
    if (p->is_many)
        at = snprintf(text, sizeof text, "{\"wait\":%s,\"timeoutMs\":%u,\"events\":[", wait, p->timeout_ms);
    for (unsigned k = 0; k < p->count; k++) {
        struct truth_event *e = &s->truth.event[p->event[k]];

        if (!e->is_asked)
            e->after_seq = s->truth.lane[p->node][e->lane].acked_seq;
        e->is_asked = true;
        at += write_event(s, e, p->event[k], text + at, sizeof text - (size_t)at);
        if (p->is_many)
            at += snprintf(text + at, sizeof text - (size_t)at, k + 1 < p->count ? "}," : "}]}");
        else
            at += snprintf(text + at, sizeof text - (size_t)at, ",\"wait\":%s,\"timeoutMs\":%u}", wait, p->timeout_ms);
    }
    if (!node_request(s, p->node, request, text, (size_t)at)) {
        act_later(s, i, 20 + (int64_t)sim_below(s, 200));
        return;
    }
    p->request = request;
    sim_after(s, ((int64_t)p->timeout_ms + LATE_MS) * ms, late, p->node, i, request, NULL);
}

/* An id is known for as long as its event is retained: asking about an older one would publish it anew. */
static void
drop_trimmed(struct sim *s, struct publisher *p)
{
    unsigned left = 0;

    for (unsigned k = 0; k < p->count; k++) {
        const struct truth_event *e = &s->truth.event[p->event[k]];

        if (!e->is_durable || e->lsn >= s->node[p->node].disk.first_lsn)
            p->event[left++] = p->event[k];
    }
    p->count = left;
}

static void
act(struct sim *s, const struct task *t)
{
    struct publisher *p = &s->publisher[t->a];

    if (p->request != 0 || p->is_done)
        return;
    drop_trimmed(s, p);
    if (p->count == 0) {
        if (s->is_healing ? !s->plan.is_lossy || s->truth.count >= s->fresh_from + FRESH_EVENTS : s->truth.count + PUBLISH_EVENTS_MAX > s->plan.events) {
            p->is_done = true;
            return;
        }
        p->is_many = sim_chance(s, 400);
        p->count = p->is_many ? 1 + (unsigned)sim_below(s, PUBLISH_EVENTS_MAX) : 1;
        p->wait = sim_chance(s, 500) ? 0 : sim_chance(s, 600) ? WAIT_ALL : 1 + (unsigned)sim_below(s, s->plan.nodes - 1);
        p->timeout_ms = 20 + (unsigned)sim_below(s, sim_chance(s, 300) ? 200 : 3000);
        p->attempts = 0;
        for (unsigned k = 0; k < p->count; k++)
            p->event[k] = new_event(s, p->node);
    }
    if (s->is_healing && ++p->attempts > ATTEMPTS_MAX)
        sim_fail(s, "publisher %u asks for the %uth time about e%u and learns nothing", (unsigned)t->a, p->attempts, p->event[0]);
    ask(s, (unsigned)t->a);
}

static void
told_of_delivery(struct sim *s, uint32_t index, struct truth_event *e, const json_t *delivery)
{
    const char *region = json_string_value(json_object_get(delivery, "region")), *state = json_string_value(json_object_get(delivery, "state"));
    int g = region != NULL ? region_index(region, strlen(region)) : -1;

    if (g < 0 || state == NULL || !(e->targets >> g & 1)) {
        sim_fail(s, "e%u's publisher is told of a region that it did not ask for", index);
        return;
    }
    if (strcmp(state, "pending") == 0)
        return;
    if (!(e->received >> g & 1))
        sim_fail(s, "e%u's publisher is told '%s' by %s, where it is not durable", index, state, region);
    if (strcmp(state, "delivered") == 0)
        e->told_ok |= 1ull << g;
    else
        e->told_not |= 1ull << g;
}

static void
told_of_event(struct sim *s, const struct publisher *p, uint32_t index, const json_t *result)
{
    struct truth_event *e = &s->truth.event[index], *at;
    const char *position = json_string_value(json_object_get(result, "position"));
    bool is_duplicate = json_is_true(json_object_get(result, "duplicate")), is_success = json_is_true(json_object_get(result, "success"));
    const json_t *delivery;
    size_t i;
    unsigned others;

    if (position == NULL) {
        sim_fail(s, "an answer without position or error for e%u", index);
        return;
    }
    if (s->plan.is_lossy) {
        e->is_acked = !is_duplicate;    /* what a duplicate stands for may be lost by now */
        return;
    }
    at = truth_at(s, position);
    if (at == NULL)
        return;
    if (at != e) {
        if (!is_duplicate || !e->has_id || at->id != e->id)
            sim_fail(s, "e%u's publisher is told of %s, where another event stands", index, position);
        e->is_given_up = true;
        return;
    }
    e->is_acked = true;
    if (s->truth.lane[e->source][e->lane].acked_seq < e->seq)
        s->truth.lane[e->source][e->lane].acked_seq = e->seq;
    json_array_foreach(json_object_get(result, "deliveries"), i, delivery)
        told_of_delivery(s, index, e, delivery);
    others = (unsigned)__builtin_popcountll(e->targets & ~(1ull << e->source));
    if (is_success && p->wait > 0 && (unsigned)__builtin_popcountll(e->received) < (p->wait > others ? others : p->wait))
        sim_fail(s, "e%u's publisher waited for more regions than hold it", index);
}

/* True: nothing more will be learnt by asking again. */
static bool
is_final_error(struct sim *s, const struct publisher *p, const json_t *error)
{
    static const char *const passing[] = { "busy", "no_space", "io", "unavailable", "timeout" };
    const char *code = json_string_value(json_object_get(error, "code"));

    for (unsigned i = 0; code != NULL && i < sizeof passing / sizeof *passing; i++)
        if (strcmp(code, passing[i]) == 0)
            return false;
    if (code == NULL || strcmp(code, "expired") != 0)
        sim_fail(s, "%s refuses an event that is in order: %s", region_name(p->node), code ? code : "no code");
    return true;
}

/* Drops the events whose fate is known from the request. */
static void
take_results(struct sim *s, struct publisher *p, const json_t *answer)
{
    const json_t *results = json_object_get(answer, "results"), *whole_error = json_object_get(answer, "error");
    unsigned left = 0;

    if (p->is_many && whole_error == NULL && json_array_size(results) != p->count)
        sim_fail(s, "%zu results for %u events", json_array_size(results), p->count);
    for (unsigned k = 0; k < p->count; k++) {
        const json_t *result = p->is_many && whole_error == NULL ? json_array_get(results, k) : answer, *error = json_object_get(result, "error");
        struct truth_event *e = &s->truth.event[p->event[k]];

        if (error == NULL)
            told_of_event(s, p, p->event[k], result);
        else if (is_final_error(s, p, error)) {
            if (e->is_durable && e->has_id && !s->plan.is_lossy && e->lsn >= s->node[p->node].disk.first_lsn)
                sim_fail(s, "e%u was accepted, and is refused when it comes again", p->event[k]);
            e->is_given_up = true;
        }
        else if (e->has_id)             /* an event without an id cannot be asked about again */
            p->event[left++] = p->event[k];
    }
    p->count = left;
}

void
publisher_answer(struct sim *s, unsigned i, struct fo_slice body)
{
    struct publisher *p = &s->publisher[i];
    json_t *answer = json_loadb((const char *)body.p, body.n, 0, NULL);
    bool asks_again = sim_chance(s, 50);
    unsigned count = p->count;

    p->request = 0;
    if (answer == NULL)
        sim_fail(s, "%s answers what is not JSON: %.*s", region_name(p->node), (int)body.n, (const char *)body.p);
    else
        take_results(s, p, answer);
    json_decref(answer);
    if (p->count == 0 && asks_again && count == 1 && s->truth.event[p->event[0]].has_id && !s->truth.event[p->event[0]].is_given_up)
        p->count = 1;                   /* its answer was lost on the way, say */
    act_later(s, i, (int64_t)sim_below(s, p->count > 0 ? 300 : sim_chance(s, 100) ? 1000 : 30));
}

void
clients_node_down(struct sim *s, unsigned node)
{
    for (unsigned i = 0; i < s->plan.publishers; i++) {
        struct publisher *p = &s->publisher[i];
        unsigned left = 0;

        if (p->node != node || p->request == 0)
            continue;
        p->request = 0;
        for (unsigned k = 0; k < p->count; k++)
            if (s->truth.event[p->event[k]].has_id && !sim_chance(s, 50))
                p->event[left++] = p->event[k];
        p->count = left;
        act_later(s, i, 1 + (int64_t)sim_below(s, 500));
    }
    for (unsigned i = 0; i < s->plan.readers; i++)
        if (s->reader[i].node == node)
            s->reader[i].request = 0;
}

bool
publishers_are_done(const struct sim *s)
{
    for (unsigned i = 0; i < s->plan.publishers; i++)
        if (!s->publisher[i].is_done)
            return false;
    return true;
}

void
publishers_start(struct sim *s)
{
    for (unsigned i = 0; i < s->plan.publishers; i++) {
        s->publisher[i].node = i % s->plan.nodes;
        s->publisher[i].is_done = false;
        act_later(s, i, 1 + (int64_t)sim_below(s, 200));
    }
}
