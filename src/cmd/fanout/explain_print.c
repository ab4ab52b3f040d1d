/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout explain`: the story as a person reads it: what, when, where, and what is proven. */
#include "cmd/fanout/explain.h"
#include "cmd/fanout/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOMENTS_MAX = 256, PAYLOAD_BYTES_SHOWN = 400 };

struct moment { struct fo_wall at; const char *region; char what[160]; };
struct timeline { struct moment at[MOMENTS_MAX]; unsigned count; };

/* The source's answer, or else the first that knows the event; null: none does. */
static const struct told *
best_told(const struct story *s)
{
    if (s->source != NULL)
        return s->source;
    for (unsigned i = 0; i < s->count; i++) {
        if (s->told[i].is_found)
            return &s->told[i];
    }
    return NULL;
}

bool
explain_is_found(const struct story *story)
{
    return best_told(story) != NULL || json_array_size(story->ledger_rows) > 0;
}

unsigned
explain_unanswered(const struct story *story)
{
    unsigned n = 0;

    for (unsigned i = 0; i < story->count; i++)
        n += story->told[i].answer == NULL;
    return n;
}

static void
print_event(const struct story *s, const struct told *told)
{
    const json_t *event = json_object_get(told->answer, "event");
    char *data = json_dumps(json_object_get(event, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
    const char *key = cmd_text(event, "partitionkey", "");

    printf("Event %s, %s, tenant %s%s%s\n", s->id, cmd_text(event, "type", "?"), s->tenant, key[0] != '\0' ? ", key " : "", key);
    printf("  published in %s, position %s\n", cmd_text(event, "sourceregion", "?"), cmd_text(told->answer, "position", "?"));
    if (data != NULL)
        printf("  payload %.*s%s\n", PAYLOAD_BYTES_SHOWN, data, strlen(data) > PAYLOAD_BYTES_SHOWN ? "..." : "");
    free(data);
}

__attribute__((format(printf, 4, 5)))
static void
add_moment(struct timeline *t, const char *time, const char *region, const char *fmt, ...)
{
    struct moment *m = &t->at[t->count];
    va_list ap;

    if (t->count == MOMENTS_MAX || time == NULL || fo_wall_parse(time, strlen(time), &m->at) != FO_OK)
        return;
    m->region = region;
    va_start(ap, fmt);
    vsnprintf(m->what, sizeof(m->what), fmt, ap);
    va_end(ap);
    t->count++;
}

static void
collect_source(struct timeline *t, const json_t *answer)
{
    const json_t *batch = json_object_get(answer, "batch"), *deliveries = json_object_get(answer, "deliveries"), *d;
    const char *region = cmd_text(answer, "region", "?");
    char bytes[24];
    size_t i;

    add_moment(t, cmd_text(answer, "acceptedTime", NULL), region, "accepted");
    add_moment(t, cmd_text(batch, "sealedAt", NULL), region, "sealed into a batch of %.0f (%s lane, %s)", cmd_number(batch, "count", 0),
        cmd_text(batch, "lane", "?"), table_bytes(cmd_number(batch, "frameBytes", 0), bytes));
    add_moment(t, cmd_text(answer, "storedTime", NULL), region, "handed to the journal");
    json_array_foreach(deliveries, i, d) {
        double attempts = cmd_number(d, "attempts", 0);
        add_moment(t, cmd_text(d, "ackedAt", NULL), region, "ack of %s arrived: %s after %.0f attempt%s", cmd_text(d, "region", "?"),
            cmd_text(d, "state", "?"), attempts, attempts == 1 ? "" : "s");
    }
}

static int
by_time(const void *a, const void *b)
{
    int64_t x = ((const struct moment *)a)->at.us, y = ((const struct moment *)b)->at.us;

    return (x > y) - (x < y);
}

static void
print_timeline(const struct story *s)
{
    struct timeline *t = calloc(1, sizeof(*t));
    char time[FO_RFC3339_SIZE], offset[24];

    if (t == NULL)
        return;
    for (unsigned i = 0; i < s->count; i++) {
        const json_t *answer = s->told[i].answer;
        if (&s->told[i] == s->source)
            collect_source(t, answer);
        else if (s->told[i].is_found)
            add_moment(t, cmd_text(answer, "receivedTime", NULL), cmd_text(answer, "region", "?"), "verified, and handed to the journal");
    }
    qsort(t->at, t->count, sizeof(t->at[0]), by_time);
    if (t->count > 0)
        puts("\nTimeline (UTC, each region by its own clock)");
    for (unsigned i = 0; i < t->count; i++) {
        const struct moment *m = &t->at[i];
        fo_wall_format(m->at, time);
        snprintf(offset, sizeof(offset), "+%.3f ms", (double)(m->at.us - t->at[0].at.us) / 1000);
        printf("  %s  %13s  %-12s  %s\n", time, offset, m->region, m->what);
    }
    free(t);
}

static const struct told *
told_by(const struct story *s, const char *region)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->told[i].region != NULL && strcmp(s->told[i].region, region) == 0)
            return &s->told[i];
    }
    return NULL;
}

/* What the target's own broker says. */
static const char *
at_target(const struct story *s, const char *region)
{
    const struct told *told = told_by(s, region);

    if (told == NULL)
        return explain_unanswered(s) > 0 ? "not asked, or did not answer" : "not asked";
    if (told->answer == NULL)
        return "did not answer";
    if (!told->is_found)
        return "does not have it";
    return proof_is_same_record(s->source->answer, told->answer) ? "has it, same bytes" : "has OTHER bytes";
}

static void
print_regions(const struct story *s)
{
    static const char *const header[] = { "REGION", "STATE", ">ATTEMPTS", ">LATENCY", "ACK", "TARGET'S BROKER" };
    const json_t *d;
    struct proof proof;
    struct table t;
    char ms[24];
    size_t i;

    table_init(&t, header, 6);
    json_array_foreach(json_object_get(s->source->answer, "deliveries"), i, d) {
        proof_check_ack(d, &s->source->proof, s->keys, &proof);
        table_add(&t, "%s", cmd_text(d, "region", "?"));
        table_add(&t, "%s", cmd_text(d, "state", "?"));
        table_add(&t, "%.0f", cmd_number(d, "attempts", 0));
        table_add(&t, "%s", table_ms(cmd_number(d, "latencyMs", -1), ms));
        table_add(&t, "%s%s%s", proof_state_name(proof.state), proof.state == PROOF_FAILED ? ": " : "",
            proof.state == PROOF_FAILED ? proof.text : "");
        table_add(&t, "%s", at_target(s, cmd_text(d, "region", "")));
    }
    puts("\nRegions");
    table_print(&t, stdout, 2);
    table_fini(&t);
}

static void
print_proofs(const struct story *s)
{
    puts("\nProof");
    for (unsigned i = 0; i < s->count; i++) {
        const struct told *told = &s->told[i];
        const char *region = told->region != NULL ? told->region : told->address;
        if (told->answer == NULL)
            printf("  %-12s  did not answer\n", region);
        else if (told->is_found)
            printf("  %-12s  %s: %s\n", region, proof_state_name(told->proof.state), told->proof.text);
        else
            printf("  %-12s  does not have it\n", region);
    }
}

static void
print_ledger(const json_t *rows)
{
    const json_t *row;
    size_t i;

    puts("\nLedger");
    if (rows == NULL)
        puts("  did not answer");
    else if (json_array_size(rows) == 0)
        puts("  no row yet");
    json_array_foreach(rows, i, row) {
        const json_t *status = json_object_get(row, "delivery_status");
        printf("  row %.0f%s: %s, %s, fanout_at %s, position %s\n", cmd_number(row, "id", 0),
            json_is_true(json_object_get(row, "is_repeat")) ? " (the same id accepted again)" : "",
            json_is_true(json_object_get(status, "success")) ? "success" : "no success", cmd_text(status, "state", "?"),
            cmd_text(row, "fanout_at", "?"), cmd_text(row, "position", "-"));
    }
}

void
explain_print(const struct story *story)
{
    const struct told *told = best_told(story);

    if (told != NULL) {
        print_event(story, told);
        print_timeline(story);
        if (story->source != NULL)
            print_regions(story);
        else
            puts("\nThe broker of the publishing region did not answer or was not asked: give it with -b to see the deliveries.");
    } else {
        printf("Event %s, tenant %s: only the ledger has it\n", story->id, story->tenant);
    }
    print_proofs(story);
    if (story->ledger_rows != NULL || story->has_ledger_failed)
        print_ledger(story->ledger_rows);
}

static json_t *
proof_json(const struct proof *p)
{
    static const char *const names[] = { "none", "verified", "key_unknown", "failed" };

    return json_pack("{s:s, s:s}", "state", names[p->state], "text", p->text);
}

json_t *
explain_json(const struct story *story)
{
    json_t *brokers = json_array(), *acks = json_array(), *json;
    const json_t *d;
    struct proof proof;
    size_t j;

    for (unsigned i = 0; i < story->count; i++) {
        const struct told *told = &story->told[i];
        if (told->answer != NULL)
            json = json_pack("{s:s, s:s?, s:b, s:O, s:o}", "address", told->address, "region", told->region, "answered", 1, "answer", told->answer,
                "proof", proof_json(&told->proof));
        else
            json = json_pack("{s:s, s:s?, s:b}", "address", told->address, "region", told->region, "answered", 0);
        json_array_append_new(brokers, json);
    }
    if (story->source != NULL) {
        json_array_foreach(json_object_get(story->source->answer, "deliveries"), j, d) {
            proof_check_ack(d, &story->source->proof, story->keys, &proof);
            json_array_append_new(acks, json_pack("{s:s, s:s, s:o}", "region", cmd_text(d, "region", "?"), "state",
                cmd_text(d, "state", "?"), "proof", proof_json(&proof)));
        }
    }
    json = json_pack("{s:s, s:s, s:b, s:o, s:o}", "id", story->id, "tenant", story->tenant, "found", explain_is_found(story), "brokers",
        brokers, "acks", acks);
    if (story->ledger_rows != NULL)
        json_object_set(json, "ledger", (json_t *)(uintptr_t)story->ledger_rows);
    else if (story->has_ledger_failed)
        json_object_set_new(json, "ledger", json_null());
    return json;
}

bool
explain_has_failed_proof(const struct story *story)
{
    struct proof proof;
    const json_t *d;
    size_t j;

    for (unsigned i = 0; i < story->count; i++) {
        const struct told *told = &story->told[i];
        if (told->is_found && (told->proof.state == PROOF_FAILED
            || (story->source != NULL && !proof_is_same_record(story->source->answer, told->answer))))
            return true;
    }
    if (story->source == NULL)
        return false;
    json_array_foreach(json_object_get(story->source->answer, "deliveries"), j, d) {
        proof_check_ack(d, &story->source->proof, story->keys, &proof);
        if (proof.state == PROOF_FAILED)
            return true;
    }
    return false;
}
