/* SPDX-License-Identifier: Apache-2.0
 *
 * Source against target. The source is asked first and says up to which position its events are settled; the target is then asked
 * about exactly those. So acks on their way, and whatever is accepted meanwhile, look like nothing but pending events. */
#include "cmd/fanout/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    struct audit *a;
    struct audit_region *source, *target;
    struct fo_audit_statement *of_source, *of_target;   /* of_source: own unless it had to be asked again */
};

static bool
agrees(const struct fo_audit_flow *s, const struct fo_audit_flow *t)
{
    if (t->misplaced > 0 || fo_audit_settled(s) != fo_audit_settled(t) || memcmp(s->digest, t->digest, FO_HASH_BYTES) != 0)
        return false;
    return s->count[FO_AUDIT_UNPROVEN] > 0 || memcmp(s->count, t->count, sizeof(s->count[0]) * FO_AUDIT_UNPROVEN) == 0;
}

static void
compare_event(struct pair *p, enum fo_lane lane, struct fo_mark at, const json_t *at_source, const json_t *at_target)
{
    const char *s = cmd_text(at_source, "state", "?"), *t = cmd_text(at_target, "state", "?");
    char text[96];

    if (strcmp(cmd_text(at_source, "hash", "s"), cmd_text(at_target, "hash", "t")) != 0) {
        audit_name(p->a, "differs", p->source->name, p->target->name, lane, at, at_source, "the records are not the same bytes");
    } else if (strcmp(s, t) != 0 && strcmp(s, "unproven") != 0) {
        snprintf(text, sizeof(text), "%s by the source's ack, %s by what the target does with it", s, t);
        audit_name(p->a, "differs", p->source->name, p->target->name, lane, at, at_source, text);
    }
}

/* Walks both lists side by side. */
static void
merge(struct pair *p, enum fo_lane lane, struct audit_feed *of_source, struct audit_feed *of_target)
{
    struct fo_mark s_at, t_at, last = { 0, 0 };
    const json_t *s = audit_feed_next(of_source, &s_at), *t = audit_feed_next(of_target, &t_at);
    char text[64];

    while ((s != NULL || t != NULL) && !of_source->has_failed && !of_target->has_failed) {
        if (t != NULL && last.epoch != 0 && !fo_mark_is_behind(t_at, last)) {
            audit_name(p->a, "twice", p->source->name, p->target->name, lane, t_at, t, "held twice, or out of order");
            t = audit_feed_next(of_target, &t_at);
        } else if (t == NULL || (s != NULL && fo_mark_is_behind(t_at, s_at))) {
            snprintf(text, sizeof(text), "%s, says the source", cmd_text(s, "state", "?"));
            audit_name(p->a, "missing", p->source->name, p->target->name, lane, s_at, s, text);
            s = audit_feed_next(of_source, &s_at);
        } else if (s == NULL || fo_mark_is_behind(s_at, t_at)) {
            audit_name(p->a, "extra", p->source->name, p->target->name, lane, t_at, t, "the source's journal does not have it");
            last = t_at;
            t = audit_feed_next(of_target, &t_at);
        } else {
            compare_event(p, lane, s_at, s, t);
            last = t_at;
            s = audit_feed_next(of_source, &s_at);
            t = audit_feed_next(of_target, &t_at);
        }
    }
}

static void
check_digest(struct audit *a, const struct audit_feed *f, const struct fo_audit_flow *stated)
{
    if (f->has_failed || memcmp(f->digest, stated->digest, FO_HASH_BYTES) == 0)
        return;
    audit_note(a, "%s: the events that it lists are not those that it signed for", f->region->name);
    a->has_failed = true;
}

static void
name_drift(struct pair *p, const struct fo_audit_flow *s, const struct fo_audit_flow *t)
{
    struct audit_feed of_source = { .audit = p->a, .region = p->source, .request = audit_list_request(p->a, s->lane) };
    struct audit_feed of_target = { .audit = p->a, .region = p->target, .request = audit_list_request(p->a, s->lane) };
    struct fo_mark after = fo_mark_is_behind(t->trimmed, s->trimmed) ? t->trimmed : s->trimmed;
    uint64_t before = p->a->drift;

    json_object_set_new(of_source.request, "target", json_string(p->target->name));
    json_object_set_new(of_target.request, "source", json_string(p->source->name));
    audit_add_mark(of_source.request, "after", s->lane, after);
    audit_add_mark(of_target.request, "after", s->lane, after);
    audit_add_mark(of_source.request, "upTo", s->lane, s->up_to);
    audit_add_mark(of_target.request, "upTo", s->lane, s->up_to);
    merge(p, s->lane, &of_source, &of_target);
    check_digest(p->a, &of_source, s);
    check_digest(p->a, &of_target, t);
    if (p->a->drift == before) {
        p->a->drift++;
        audit_note(p->a, "%s to %s, lane %s: the statements differ, but no event could be named", p->source->name, p->target->name,
            fo_lane_name(s->lane));
    }
    audit_feed_fini(&of_source);
    audit_feed_fini(&of_target);
}

static void
add_flow(struct pair *p, const char *target, const struct fo_audit_flow *s, const struct fo_audit_flow *t, uint64_t drift, const char *state)
{
    uint64_t dead = s->count[FO_AUDIT_INCOMPATIBLE] + s->count[FO_AUDIT_REJECTED];
    char digest[17];
    json_t *row;

    for (int i = 0; i < 8; i++)
        snprintf(digest + 2 * i, 3, "%02x", s->digest[i]);
    row = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:s}", "source", p->source->name, "target", target,
        "lane", fo_lane_name(s->lane), "accepted", (json_int_t)(fo_audit_settled(s) + s->count[FO_AUDIT_PENDING]),
        "delivered", (json_int_t)s->count[FO_AUDIT_DELIVERED], "dead", (json_int_t)dead, "expired", (json_int_t)s->count[FO_AUDIT_EXPIRED],
        "unproven", (json_int_t)s->count[FO_AUDIT_UNPROVEN], "pending", (json_int_t)s->count[FO_AUDIT_PENDING], "digest", digest,
        "drift", (json_int_t)drift, "state", state);
    if (t != NULL)
        json_object_set_new(row, "received", json_integer((json_int_t)fo_audit_settled(t)));
    json_array_append_new(p->a->flows, row);
    p->a->is_cut |= s->count[FO_AUDIT_UNPROVEN] > 0;
    p->a->pending += s->count[FO_AUDIT_PENDING];
}

/* The target may have trimmed what the source still has: then both are asked about what is behind that. */
static void
ask_behind_trim(struct pair *p)
{
    struct fo_mark after[FO_LANES], up_to[FO_LANES];
    uint64_t before = 0, now = 0;
    bool is_needed = false;

    for (int lane = 0; lane < FO_LANES; lane++) {
        const struct fo_audit_flow *s = fo_audit_flow_of(p->of_source, p->target->name, (enum fo_lane)lane);
        const struct fo_audit_flow *t = fo_audit_flow_of(p->of_target, p->source->name, (enum fo_lane)lane);
        if (s == NULL || t == NULL)
            return;
        after[lane] = fo_mark_is_behind(t->trimmed, s->trimmed) ? t->trimmed : s->trimmed;
        is_needed |= s->first.epoch != 0 && !fo_mark_is_behind(s->first, t->trimmed);
        before += fo_audit_settled(s);
    }
    if (!is_needed)
        return;
    p->of_source = audit_ask(p->a, p->source, &(struct audit_asked){ .target = p->target->name, .after = after });
    for (int lane = 0; lane < FO_LANES; lane++) {
        const struct fo_audit_flow *s = fo_audit_flow_of(p->of_source, p->target->name, (enum fo_lane)lane);
        up_to[lane] = s != NULL ? s->up_to : (struct fo_mark){ 0, 0 };
        now += s != NULL ? fo_audit_settled(s) : 0;
    }
    free(p->of_target);
    p->of_target = p->of_source == NULL ? NULL
        : audit_ask(p->a, p->target, &(struct audit_asked){ .source = p->source->name, .after = after, .up_to = up_to });
    p->a->is_cut = true;
    audit_note(p->a, "%s no longer retains %llu of the events from %s in this time; they were not compared", p->target->name,
        (unsigned long long)(before > now ? before - now : 0), p->source->name);
}

static void
compare_pair(struct pair *p, const char *target_name)
{
    for (int lane = 0; lane < FO_LANES; lane++) {
        const struct fo_audit_flow *s = fo_audit_flow_of(p->of_source, target_name, (enum fo_lane)lane);
        const struct fo_audit_flow *t = fo_audit_flow_of(p->of_target, p->source->name, (enum fo_lane)lane);
        uint64_t before = p->a->drift;

        if (s == NULL)
            continue;
        if (t != NULL && !agrees(s, t))
            name_drift(p, s, t);
        if (fo_audit_settled(s) + s->count[FO_AUDIT_PENDING] > 0 || p->a->drift > before)
            add_flow(p, target_name, s, t, p->a->drift - before, t == NULL ? "not compared" : p->a->drift > before ? "drift" : "agrees");
    }
}

static void
audit_pair(struct audit *a, struct audit_region *source, const char *target_name)
{
    struct pair p = { a, source, audit_find(a, target_name), source->own, NULL };
    struct fo_mark after[FO_LANES], up_to[FO_LANES];
    uint64_t accepted = 0;

    for (int lane = 0; lane < FO_LANES; lane++) {
        const struct fo_audit_flow *s = fo_audit_flow_of(source->own, target_name, (enum fo_lane)lane);
        if (s == NULL)
            return;
        after[lane] = s->trimmed;
        up_to[lane] = s->up_to;
        accepted += fo_audit_settled(s);
    }
    if (p.target != NULL && p.target->client != NULL)
        p.of_target = audit_ask(a, p.target, &(struct audit_asked){ .source = source->name, .after = after, .up_to = up_to });
    else if (accepted > 0)
        audit_note(a, "%s to %s: not compared, as %s %s", source->name, target_name, target_name,
            "was not named (-b, --config) or did not answer");
    if (p.of_target != NULL)
        ask_behind_trim(&p);
    compare_pair(&p, target_name);
    if (p.of_source != source->own)
        free(p.of_source);
    free(p.of_target);
}

static void
note_own(struct audit *a, const struct audit_region *r)
{
    char at[FO_RFC3339_SIZE];

    for (int lane = 0; lane < FO_LANES; lane++) {
        if (r->own->lane[lane].holes == 0)
            continue;
        a->drift += r->own->lane[lane].holes;
        audit_note(a, "%s: %llu sequences of lane %s are not in its own journal", r->name,
            (unsigned long long)r->own->lane[lane].holes, fo_lane_name((enum fo_lane)lane));
    }
    if (r->own->complete_from.us > a->from.us) {
        fo_wall_format(r->own->complete_from, at);
        a->is_cut = true;
        audit_note(a, "%s: its journal is complete only from %s; what it accepted earlier was not compared", r->name, at);
    }
}

void
audit_flows(struct audit *a)
{
    for (unsigned i = 0; i < a->region_count; i++) {
        struct audit_region *r = &a->region[i];

        if (r->own == NULL)
            continue;
        note_own(a, r);
        for (unsigned k = 0; k < r->own->flow_count; k += FO_LANES)
            audit_pair(a, r, r->own->flow[k].region);
    }
}
