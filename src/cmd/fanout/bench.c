/* SPDX-License-Identifier: Apache-2.0
 *
 * `fanout bench`: publishes numbered events, has subscribers count them, and tells rate, latency, loss, repeats and
 * disorder. */
#include "cmd/fanout/bench.h"
#include "cmd/fanout/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { OPT_SIZE = 0x100, OPT_RATE, OPT_DEPTH, OPT_BATCH, OPT_KEYS, OPT_TYPE, OPT_PRIORITY, OPT_DRAIN, OPT_PER_ADDRESS, LOADS_MAX = 256,
    LOOK_NS = 20000000, SHOW_NS = 500000000 };

static const struct argp_option options[] = {
    { "events", 'n', "N", 0, "events to publish (default 100000)", 0 },
    { "connections", 'c', "P", 0, "publishing connections (default 4)", 0 },
    { "subscriber", 's', "ADDRESS", 0, "count the events at this broker, too; may be repeated (default: at the publishing broker)", 0 },
    { "subscribers", OPT_PER_ADDRESS, "K", 0, "subscribers at each of these (default 1)", 0 },
    { "size", OPT_SIZE, "BYTES", 0, "payload, 48 to 60000 bytes (default 256)", 0 },
    { "rate", OPT_RATE, "R", 0, "events a second in all (default: as fast as possible)", 0 },
    { "depth", OPT_DEPTH, "D", 0, "requests in flight on each connection (default 2)", 0 },
    { "batch", OPT_BATCH, "B", 0, "at most this many events in a request (default 256)", 0 },
    { "keys", OPT_KEYS, "K", 0, "ordering keys in all (default 64)", 0 },
    { "type", OPT_TYPE, "TYPE", 0, "event type without a schema (default custom)", 0 },
    { "priority", OPT_PRIORITY, "LANE", 0, "high, normal or low (default: the type's)", 0 },
    { "drain", OPT_DRAIN, "TIME", 0, "stop when nothing has arrived for so long (default 10s)", 0 },
    { 0 },
};

static const char doc[] =
    "Measure rate and latency from publisher to subscriber, and check that nothing is lost, repeated or out of order.\n"
    "\v"
    "Publishers and subscribers run in this process; latency is from when an event was to be sent (with --rate: by the "
    "schedule) to its arrival at a subscriber.\n"
    "\n"
    "Examples:\n"
    "  fanout bench -b tcp://127.0.0.1:7101 -s tcp://127.0.0.1:7201 -s tcp://127.0.0.1:7301 -n 1000000\n"
    "  fanout bench -b tcp://127.0.0.1:7101 -s tcp://127.0.0.1:7201 -n 20000 --rate 1000 --batch 1 --json\n"
    "\n"
    "Exit status: 0 everything arrived once and in order, 1 not so, 2 usage error, 3 a broker was not reachable.";

static const struct argp_child children[] = CMD_COMMON_CHILDREN;

static void
parse_count(const char *arg, uint64_t min, uint64_t max, uint64_t *ret_v, struct argp_state *state)
{
    if (!cmd_parse_number(arg, min, max, ret_v))
        argp_error(state, "'%s' is not a number from %llu to %llu", arg, (unsigned long long)min, (unsigned long long)max);
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
    struct bench *b = state->input;
    char *end;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &b->common; return 0;
    case 'n': parse_count(arg, 1, 1000000000, &b->events, state); return 0;
    case 'c': parse_count(arg, 1, LOADS_MAX, &b->connections, state); return 0;
    case 's':
        if (b->sub_addresses == BENCH_SUBSCRIBERS_MAX)
            argp_error(state, "at most %d subscribers", BENCH_SUBSCRIBERS_MAX);
        b->sub_address[b->sub_addresses++] = arg;
        return 0;
    case OPT_PER_ADDRESS: parse_count(arg, 1, BENCH_SUBSCRIBERS_MAX, &b->per_address, state); return 0;
    case OPT_SIZE: parse_count(arg, BENCH_PAYLOAD_BYTES_MIN, 60000, &b->size, state); return 0;
    case OPT_RATE:
        b->rate = strtod(arg, &end);
        if (*end != '\0' || !(b->rate > 0 && b->rate <= 1e8))
            argp_error(state, "--rate: '%s' is not a number of events a second", arg);
        return 0;
    case OPT_DEPTH: parse_count(arg, 1, 256, &b->depth, state); return 0;
    case OPT_BATCH: parse_count(arg, 1, 4096, &b->batch, state); return 0;
    case OPT_KEYS: parse_count(arg, 1, 10000000, &b->keys, state); return 0;
    case OPT_TYPE: b->type = arg; return 0;
    case OPT_PRIORITY: b->priority = arg; return 0;
    case OPT_DRAIN:
        if (!cmd_parse_ms(arg, &b->drain_ms))
            argp_error(state, "--drain: '%s' is not a time such as 10s", arg);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s': no such argument", arg); return 0;
    case ARGP_KEY_END:
        if (b->connections * b->depth > BENCH_SLOTS_MAX)
            argp_error(state, "connections times depth is at most %d", BENCH_SLOTS_MAX);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static uint64_t
fewest_received(struct bench_sub *subs, unsigned count)
{
    uint64_t fewest = UINT64_MAX;

    for (unsigned i = 0; i < count; i++) {
        uint64_t n = atomic_load(&subs[i].received);
        fewest = n < fewest ? n : fewest;
    }
    return fewest;
}

static bool
has_failed(const struct bench_load *loads, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (loads[i].failure[0] != '\0')
            return true;
    }
    return false;
}

static void
show_progress(const struct bench *b, uint64_t accepted, uint64_t received, int64_t *shown_ns)
{
    int64_t now = bench_now_ns();
    double seconds = (double)(now - b->begun_ns) / 1e9;

    if (now - *shown_ns < SHOW_NS || b->common.is_json || !isatty(STDERR_FILENO))
        return;
    *shown_ns = now;
    fprintf(stderr, "\r\033[K%llu of %llu accepted (%.0f/s), %llu at the slowest subscriber", (unsigned long long)accepted,
        (unsigned long long)b->events, (double)accepted / seconds, (unsigned long long)received);
}

/* Until every subscriber has everything, or nothing moves any more. */
static void
wait_for_end(struct bench *b, const struct bench_load *loads, struct bench_sub *subs, unsigned sub_count)
{
    struct timespec nap = { 0, LOOK_NS };
    uint64_t last_sum = 0;
    int64_t moved_ns = bench_now_ns(), shown_ns = moved_ns;

    for (;;) {
        uint64_t accepted = atomic_load(&b->accepted), received = fewest_received(subs, sub_count), sum = accepted + atomic_load(&b->refused);
        bool is_published = sum >= b->events || has_failed(loads, b->connections);
        int64_t now = bench_now_ns();
        if (is_published && b->published_ns == 0)
            b->published_ns = now;
        if (is_published && received >= accepted)
            break;
        for (unsigned i = 0; i < sub_count; i++)
            sum += atomic_load(&subs[i].received);
        if (sum != last_sum)
            moved_ns = now;
        last_sum = sum;
        if (now - moved_ns > (int64_t)b->drain_ms * 1000000)
            break;
        show_progress(b, accepted, received, &shown_ns);
        nanosleep(&nap, NULL);
    }
    if (b->published_ns == 0)
        b->published_ns = bench_now_ns();
    atomic_store(&b->is_stopping, true);
    if (!b->common.is_json && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static bool
start_subscribers(struct bench *b, struct bench_sub *subs, unsigned count)
{
    int64_t until = bench_now_ns() + (int64_t)b->common.timeout_ms * 1000000;
    struct timespec nap = { 0, LOOK_NS };

    for (unsigned i = 0; i < count; i++) {
        struct bench_sub *s = &subs[i];
        s->bench = b;
        s->address = b->sub_address[i / b->per_address];
        s->seen = calloc(b->events / 8 + 1, 1);
        s->newest = calloc(b->slots * b->keys_per_slot, sizeof(*s->newest));
        if (s->seen == NULL || s->newest == NULL || pthread_create(&s->thread, NULL, bench_sub_run, s) != 0) {
            fputs("fanout: bench: out of memory or threads\n", stderr);
            return false;
        }
    }
    while (atomic_load(&b->subscribers_ready) < count && bench_now_ns() < until)
        nanosleep(&nap, NULL);
    for (unsigned i = 0; i < count && atomic_load(&b->subscribers_ready) < count; i++)
        fprintf(stderr, "fanout: bench: subscriber at %s: %s\n", subs[i].address,
            subs[i].failure[0] != '\0' ? subs[i].failure : "did not get ready, or another one did not");
    return atomic_load(&b->subscribers_ready) == count;
}

static void
merge_answers(const struct bench *b, const struct bench_load *loads, struct fo_hist *ret_hist)
{
    fo_hist_init(ret_hist);
    for (uint64_t i = 0; i < b->connections; i++)
        fo_hist_merge(ret_hist, &loads[i].answer_us);
}

static double
ms_of(const struct fo_hist *h, double q)
{
    return h->count > 0 ? (double)fo_hist_quantile(h, q) / 1000 : -1;
}

static json_t *
hist_json(const struct fo_hist *h)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "p50Ms", ms_of(h, 0.5), "p95Ms", ms_of(h, 0.95), "p99Ms", ms_of(h, 0.99), "maxMs", ms_of(h, 1));
}

static double
rate_of(const struct bench *b, uint64_t events, int64_t end_ns)
{
    return end_ns > b->begun_ns ? (double)events / ((double)(end_ns - b->begun_ns) / 1e9) : 0;
}

static void
print_json(const struct bench *b, const struct fo_hist *answers, struct bench_sub *subs, unsigned count, uint64_t accepted)
{
    json_t *list = json_array(), *all;

    for (unsigned i = 0; i < count; i++) {
        const struct bench_sub *s = &subs[i];
        uint64_t received = atomic_load(&subs[i].received);
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:o, s:s}", "address", s->address, "received",
            (json_int_t)received, "lost", (json_int_t)(accepted - received), "duplicates", (json_int_t)s->duplicates, "outOfOrder",
            (json_int_t)s->disordered, "eventsPerSecond", rate_of(b, received, s->last_ns), "latency", hist_json(&s->latency_us), "failure",
            s->failure));
    }
    all = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o}", "events", (json_int_t)b->events, "payloadBytes", (json_int_t)b->size,
        "accepted", (json_int_t)accepted, "refused", (json_int_t)atomic_load(&b->refused), "repeatedRequests",
        (json_int_t)atomic_load(&b->repeated_requests), "seconds", (double)(b->published_ns - b->begun_ns) / 1e9, "eventsPerSecond",
        rate_of(b, accepted, b->published_ns), "answer", hist_json(answers), "subscribers", list);
    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(all);
}

static void
print_table(const struct bench *b, const struct fo_hist *answers, struct bench_sub *subs, unsigned count, uint64_t accepted)
{
    static const char *const header[] = { "AT", ">EVENTS", ">LOST", ">REPEATED", ">DISORDERED", ">EVENTS/S", ">P50", ">P95", ">P99", ">MAX" };
    char t1[24], t2[24], t3[24], t4[24];
    struct table t;

    printf("%llu events with %llu bytes of payload, %llu connections; %llu refused, %llu requests repeated\n", (unsigned long long)accepted,
        (unsigned long long)b->size, (unsigned long long)b->connections, (unsigned long long)atomic_load(&b->refused),
        (unsigned long long)atomic_load(&b->repeated_requests));
    table_init(&t, header, 10);
    for (unsigned i = 0; i <= count; i++) {
        const struct bench_sub *s = i > 0 ? &subs[i - 1] : NULL;
        const struct fo_hist *h = s != NULL ? &s->latency_us : answers;
        uint64_t events = s != NULL ? atomic_load(&subs[i - 1].received) : accepted;
        table_add(&t, "%s", s != NULL ? s->address : "publisher (accepted)");
        table_add(&t, "%llu", (unsigned long long)events);
        if (s != NULL) {
            table_add(&t, "%llu", (unsigned long long)(accepted - events));
            table_add(&t, "%llu", (unsigned long long)s->duplicates);
            table_add(&t, "%llu", (unsigned long long)s->disordered);
        } else {
            for (int j = 0; j < 3; j++)
                table_add(&t, "-");
        }
        table_add(&t, "%.0f", rate_of(b, events, s != NULL ? s->last_ns : b->published_ns));
        table_add(&t, "%s", table_ms(ms_of(h, 0.5), t1));
        table_add(&t, "%s", table_ms(ms_of(h, 0.95), t2));
        table_add(&t, "%s", table_ms(ms_of(h, 0.99), t3));
        table_add(&t, "%s", table_ms(ms_of(h, 1), t4));
    }
    table_print(&t, stdout, 2);
    table_fini(&t);
}

/* Prints what came out. Returns an exit code. */
static int
judge(const struct bench *b, const struct bench_load *loads, struct bench_sub *subs, unsigned count)
{
    uint64_t accepted = atomic_load(&b->accepted);
    struct fo_hist *answers = malloc(sizeof(*answers));
    int rc = accepted < b->events ? CMD_FAILED : CMD_OK;

    if (answers == NULL)
        return CMD_FAILED;
    merge_answers(b, loads, answers);
    if (b->common.is_json)
        print_json(b, answers, subs, count, accepted);
    else
        print_table(b, answers, subs, count, accepted);
    free(answers);
    for (uint64_t i = 0; i < b->connections; i++) {
        if (loads[i].failure[0] != '\0') {
            fprintf(stderr, "fanout: bench: publishing: %s\n", loads[i].failure);
            break;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        const struct bench_sub *s = &subs[i];
        if (s->failure[0] != '\0')
            fprintf(stderr, "fanout: bench: subscriber at %s: %s\n", s->address, s->failure);
        if (s->failure[0] != '\0' || atomic_load(&subs[i].received) != accepted || s->duplicates + s->disordered + s->strange > 0)
            rc = CMD_FAILED;
    }
    return rc;
}

static int
run(struct bench *b)
{
    unsigned sub_count = (unsigned)(b->sub_addresses * b->per_address);
    struct bench_load *loads = calloc(b->connections, sizeof(*loads));
    struct bench_sub *subs = calloc(sub_count, sizeof(*subs));

    if (loads == NULL || subs == NULL)
        return CMD_FAILED;
    if (!start_subscribers(b, subs, sub_count))
        return CMD_UNREACHABLE;
    b->begun_ns = bench_now_ns();
    for (uint64_t i = 0; i < b->connections; i++) {
        loads[i].bench = b;
        loads[i].first_slot = (unsigned)(i * b->depth);
        if (pthread_create(&loads[i].thread, NULL, bench_load_run, &loads[i]) != 0)
            return CMD_FAILED;
    }
    wait_for_end(b, loads, subs, sub_count);
    for (uint64_t i = 0; i < b->connections; i++)
        pthread_join(loads[i].thread, NULL);
    for (unsigned i = 0; i < sub_count; i++)
        pthread_join(subs[i].thread, NULL);
    return judge(b, loads, subs, sub_count);    /* memory is left to the end of the program, with the connections */
}

/* Before any thread starts: an address or certificate that is no good is a usage error, and named. Returns an exit code. */
static int
check_addresses(const struct bench *b)
{
    fanout_client *client;
    int rc = CMD_OK;

    for (unsigned i = 0; rc == CMD_OK && i <= b->sub_addresses; i++) {
        rc = cmd_connect_to(&b->common, i > 0 ? b->sub_address[i - 1] : b->common.broker[0], &client);
        if (rc == CMD_OK)
            fanout_close(client);
    }
    return rc;
}

int
cmd_bench(int argc, char **argv)
{
    static const struct argp argp = { options, parse_option, "", doc, children, NULL, NULL };
    static struct bench b = { .type = "custom", .events = 100000, .connections = 4, .depth = 2, .batch = 256, .size = 256, .keys = 64,
        .per_address = 1, .drain_ms = 10000 };
    int rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &b) != 0)
        return CMD_USAGE;
    if (getrandom(&b.run, sizeof(b.run), 0) != (ssize_t)sizeof(b.run))
        return CMD_FAILED;
    b.run >>= 1;                        /* payload integers are signed */
    snprintf(b.tenant, sizeof(b.tenant), "bench-%016llx", (unsigned long long)b.run);
    if (b.sub_addresses == 0)
        b.sub_address[b.sub_addresses++] = b.common.broker[0];
    if (b.sub_addresses * b.per_address > BENCH_SUBSCRIBERS_MAX) {
        fprintf(stderr, "fanout: bench: at most %d subscribers\n", BENCH_SUBSCRIBERS_MAX);
        return CMD_USAGE;
    }
    rc = check_addresses(&b);
    if (rc != CMD_OK)
        return rc;
    b.slots = (unsigned)(b.connections * b.depth);
    b.keys_per_slot = b.keys / b.slots > 0 ? b.keys / b.slots : 1;
    return run(&b);
}
