/* SPDX-License-Identifier: Apache-2.0
 *
 * sim --seed S [--trace] | [--from S] --count N [--seconds T]: runs schedules; the first one that breaks a promise ends the
 * run with its seed; --trace then shows what happened. Exit status: 0 all kept, 1 a failure, 2 usage. */
#include "sim.h"

#include "keys.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options { uint64_t seed, count, seconds; const char *seeds; bool is_tracing, expects_failure, is_twice; enum bug bug; };
static volatile sig_atomic_t has_world;
static struct sim world;

static double
seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A crash of the code under test names its seed too. */
static void
on_signal(int sig)
{
    char text[80];
    int n = snprintf(text, sizeof text, "seed %" PRIu64 ": signal %d\n", has_world ? world.seed : 0, sig);

    (void)!write(STDOUT_FILENO, text, (size_t)n);
    _Exit(1);
}

static int
usage(const char *name)
{
    fprintf(stderr, "usage: %s --seed S [--trace] [--twice]\n       %s [--from S] --count N [--seconds T]\n       %s --seeds FILE\n"
        "options: --real-signatures, --bug early-stored|torn-stored, --expect-failure\n", name, name, name);
    return 2;
}

static bool
parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = { { "seed", 1, NULL, 's' }, { "from", 1, NULL, 'f' }, { "count", 1, NULL, 'c' }, { "seconds", 1, NULL, 't' },
        { "trace", 0, NULL, 'v' }, { "seeds", 1, NULL, 'l' }, { "twice", 0, NULL, '2' }, { "bug", 1, NULL, 'b' }, { "expect-failure", 0, NULL, 'e' }, { "real-signatures", 0, NULL, 'r' }, { 0 } };
    int c;

    *o = (struct options){ .seed = 1, .count = 1 };
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->count = 1; o->seed = strtoull(optarg, NULL, 0); break;
        case 'f': o->seed = strtoull(optarg, NULL, 0); break;
        case 'c': o->count = strtoull(optarg, NULL, 0); break;
        case 't': o->seconds = strtoull(optarg, NULL, 0); break;
        case 'l': o->seeds = optarg; break;
        case 'v': o->is_tracing = true; break;
        case '2': o->is_twice = true; break;
        case 'e': o->expects_failure = true; break;
        case 'r': keys_are_real = true; break;
        case 'b': o->bug = strcmp(optarg, "early-stored") == 0 ? BUG_EARLY_STORED : BUG_TORN_STORED; break;
        default: return false;
        }
    }
    return optind == argc;
}

/* False: the schedule failed, and that has been told. */
static bool
run_one(const struct options *o, uint64_t seed)
{
    has_world = 1;
    sim_run(&world, seed, o->bug, o->is_tracing);
    if (world.failure[0] == '\0')
        return true;
    printf("seed %" PRIu64 ": %s\n", seed, world.failure);
    if (!o->is_tracing && !o->expects_failure)
        printf("repeat it with --seed %" PRIu64 " --trace\n", seed);
    return false;
}

struct tally { uint64_t schedules, events, steps; struct coverage covered; };

static bool
run_counted(const struct options *o, uint64_t seed, struct tally *t)
{
    bool is_good = run_one(o, seed);
    uint64_t hash = world.hash;

    if (is_good && o->is_twice) {
        is_good = run_one(o, seed) && world.hash == hash;
        if (world.hash != hash)
            printf("seed %" PRIu64 " makes two different traces\n", seed);
    }
    t->schedules++;
    t->events += world.truth.durable_own;
    t->steps += world.steps;
    for (size_t i = 0; i < sizeof t->covered / sizeof(uint64_t); i++)
        ((uint64_t *)&t->covered)[i] += ((const uint64_t *)&world.covered)[i];
    return is_good;
}

/* One seed a line, and behind it what it found; '#' begins a remark. */
static bool
run_list(const struct options *o, struct tally *t)
{
    FILE *f = fopen(o->seeds, "re");
    char line[512];
    bool is_good = f != NULL;

    if (f == NULL)
        fprintf(stderr, "%s: cannot be read\n", o->seeds);
    while (is_good && fgets(line, sizeof line, f) != NULL)
        if (line[0] >= '0' && line[0] <= '9')
            is_good = run_counted(o, strtoull(line, NULL, 0), t);
    if (f != NULL)
        fclose(f);
    return is_good;
}

static void
print_coverage(const struct coverage *c)
{
    printf("count: processes ended %" PRIu64 " (drained %" PRIu64 ", torn groups %" PRIu64 "), disk errors %" PRIu64 ", links cut %" PRIu64 ", frames relayed %" PRIu64
        ", retransmissions %" PRIu64 ", gaps %" PRIu64 ", duplicate batches %" PRIu64 ", frames refused %" PRIu64 ", events excepted %" PRIu64
        ", cursors gone %" PRIu64 ", segments trimmed %" PRIu64 ", batches gathered for %" PRIu64 " steps, clocks set %" PRIu64 "\n", c->kills, c->drains, c->torn_groups, c->disk_errors, c->cuts, c->relayed, c->retransmits, c->gaps,
        c->duplicates, c->refused_frames, c->excepted, c->cursors_gone, c->trims, c->gathered, c->clock_steps);
}

int
main(int argc, char **argv)
{
    struct options o;
    struct tally t = { 0 };
    double begin = seconds_now();
    bool is_good = true;

    if (!parse(argc, argv, &o))
        return usage(argv[0]);
    signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);
    trace_expects_failure = o.expects_failure;
    keys_init();
    if (o.seeds != NULL)
        is_good = run_list(&o, &t);
    while (o.seeds == NULL && is_good && t.schedules < o.count && (o.seconds == 0 || seconds_now() - begin < (double)o.seconds))
        is_good = run_counted(&o, o.seed + t.schedules, &t);
    printf("count: %" PRIu64 " schedules, %" PRIu64 " events, %" PRIu64 " steps, %.1f schedules/s, last trace hash %016" PRIx64 "\n", t.schedules, t.events, t.steps,
        (double)t.schedules / (seconds_now() - begin), world.hash);
    print_coverage(&t.covered);
    keys_fini();
    return is_good == !o.expects_failure ? 0 : 1;
}
