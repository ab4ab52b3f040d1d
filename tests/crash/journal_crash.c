/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's whole life, once per I/O call that it makes: killed before the call, behind it, in the middle of a write; the power cut there;
 * the call failing with EIO or ENOSPC. Each time what is left is opened and judged (journal_work.h). Then the same for the start
 * after a power cut: killed at each call, cut again at each call, and judged.
 *
 *   journal_crash [--all | --every N | --expect-failure] [WORKDIR]
 *
 *   --all       every start is taken through, not an even sample
 *   --every N   only every N-th call
 *   --expect-failure   for a journal with a deliberate bug: ok as soon as something is found
 *
 * Prints TAP, and a line "count: ..." for each kind. The work directory is /dev/shm if that is there: nothing but the process
 * ends here, so what a disk does is not in question, and a cut is computed (powercut.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <errno.h>

#include "journal_work.h"
#include "killat.h"
#include "ports/log.h"

enum { IMAGES = 24, IMAGES_IN_SAMPLE = 5, POINTS_MAX = 5000, PATH_SIZE = 400, STARTS_IN_SAMPLE = 60, FAULTS_SHOWN_MAX = 5 };

struct shared { struct work_told told; struct killat_count count; };

static struct shared *shared;
static char base[PATH_SIZE - 100];
static const struct work_options synced = {.is_synced = true, .seed = 7, .steps = 22}, unsynced = {.is_synced = false, .seed = 8, .steps = 22};
static unsigned test_number, faults, every = 1, images = IMAGES;

struct outcome { bool was_hit, is_ended; int status; };

/* Runs the life, or only a start on an image if `start_on` is set, in a child that follows the plan. */
static struct outcome
run_child(const struct killat_plan *plan, const char *dir, const struct work_options *options, bool is_start_only)
{
    struct outcome out = {0};
    pid_t child;

    memset(&shared->count, 0, sizeof shared->count);
    fflush(stdout);
    child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        killat_arm(plan);
        if (is_start_only) {
            char text[WORK_FAULT_SIZE];
            struct work_told told = shared->told;
            _exit(work_judge(dir, &told, text) ? 0 : 1);
        }
        work_live(dir, options, &shared->told);
        _exit(0);
    }
    if (waitpid(child, &out.status, 0) != child)
        abort();
    out.was_hit = shared->count.hits > 0;
    out.is_ended = WIFEXITED(out.status) && WEXITSTATUS(out.status) == 0;
    return out;
}

static struct killat_plan
plan_of(enum killat_how how, int errnum, uint64_t at, const char *dir)
{
    struct killat_plan plan = {.how = how, .errnum = errnum, .at = at, .count = &shared->count, .images = images, .seed = at};

    snprintf(plan.dir, sizeof plan.dir, "%s", dir);
    snprintf(plan.image, sizeof plan.image, "%.200s/image", base);
    return plan;
}

static void
report_fault(const char *what, uint64_t at, const char *more, const char *text)
{
    if (++faults <= FAULTS_SHOWN_MAX)
        printf("# %s call %llu (%s)%s: %s\n", what, (unsigned long long)at, shared->count.call, more, text);
}

static bool expects_failure;

static void
tap(const char *name)
{
    if (expects_failure && faults > 0) {
        printf("ok 1 - found: %s\n1..1\n", name);
        work_remove(base);
        exit(0);
    }
    if (expects_failure)
        return;
    printf("%s %u - %s\n", faults == 0 ? "ok" : "not ok", ++test_number, name);
    faults = 0;
}

/* What a call's error may do: an error at the start ends it; afterwards a full disk must pass, and whatever goes through to the end has it all. */
static void
check_error_outcome(const char *what, uint64_t at, int errnum)
{
    const struct work_told *t = &shared->told;

    if (errnum == ENOSPC && t->failed != FO_OK && t->is_open)
        report_fault(what, at, "", "one call that found the disk full ended the journal");
    if (t->failed == FO_OK && t->acked < t->appended - 2)
        report_fault(what, at, "", "went through to the end without having stored everything");
}

/* The life, killed at (or with an error of) each call in turn, until it is long enough not to be hit. */
static uint64_t calls_of_life;

static unsigned
each_call(const char *what, enum killat_how how, int errnum, const struct work_options *options, void (*each)(const char *what, uint64_t at))
{
    char dir[PATH_SIZE], text[WORK_FAULT_SIZE];
    uint64_t at;
    unsigned points = 0;

    snprintf(dir, sizeof dir, "%s/data", base);
    for (at = 1; at < POINTS_MAX; at += every, points++) {
        struct killat_plan plan = plan_of(how, errnum, at, dir);
        struct outcome out;

        work_remove(dir);
        out = run_child(&plan, dir, options, false);
        if (!out.is_ended && !WIFSIGNALED(out.status))
            report_fault(what, at, "", "the child did not end as it should");
        if (out.was_hit && how == KILLAT_ERRNO)
            check_error_outcome(what, at, errnum);
        else if (out.was_hit != (WIFSIGNALED(out.status) && WTERMSIG(out.status) == SIGKILL))
            report_fault(what, at, "", "the child ended in another way");
        if (!work_judge(dir, &shared->told, text))
            report_fault(what, at, "", text);
        if (out.was_hit && each != NULL)
            each(what, at);
        if (!out.was_hit)
            break;
    }
    calls_of_life = every == 1 ? points : shared->count.calls;      /* it differs by a few from life to life */
    return points;
}

static void
kill_at_each_call(const char *name, const char *what, enum killat_how how, int errnum, const struct work_options *options)
{
    unsigned n = each_call(what, how, errnum, options, NULL);

    printf("count: journal %s: %u of %llu calls\n", name, n, (unsigned long long)calls_of_life);
    if (calls_of_life < 100)
        report_fault(what, n, "", "too few calls to be a whole life");
    tap(name);
}

static unsigned images_judged, starts, starts_in_sample = STARTS_IN_SAMPLE;
static uint64_t starts_every;

/* A start on the image, killed or cut at each of its calls, and what is left is judged. */
static void
start_at_each_call(const char *image, uint64_t at)
{
    static const enum killat_how hows[] = {KILLAT_BEFORE, KILLAT_TORN, KILLAT_CUT};
    char dir[PATH_SIZE], text[WORK_FAULT_SIZE], more[60];
    struct work_told told = shared->told;

    snprintf(dir, sizeof dir, "%s/start", base);
    for (unsigned h = 0; h < sizeof hows / sizeof *hows; h++)
        for (uint64_t call = 1; call < POINTS_MAX; call++) {
            struct killat_plan plan = plan_of(hows[h], 0, call, dir);
            struct outcome out;

            snprintf(plan.image, sizeof plan.image, "%.200s/again", base);
            plan.images = 1 + (hows[h] == KILLAT_CUT);
            work_remove(dir);
            work_copy(image, dir);
            out = run_child(&plan, dir, NULL, true);
            if (!out.was_hit)
                break;
            starts++;
            /* The start itself may have appended and stored its three records and checkpoints. */
            shared->told.appended = told.appended + 20;
            snprintf(more, sizeof more, ", then at call %llu of the start", (unsigned long long)call);
            for (unsigned i = 0; i < (hows[h] == KILLAT_CUT ? 2 : 1); i++) {
                char again[PATH_SIZE + 20];

                snprintf(again, sizeof again, "%s/again.%u", base, i);
                if (!work_judge(hows[h] == KILLAT_CUT ? again : dir, &shared->told, text))
                    report_fault("cut", at, more, text);
                work_remove(again);
            }
            shared->told = told;
        }
}

static void
judge_images(const char *what, uint64_t at)
{
    static unsigned turn;
    char image[PATH_SIZE], copy[PATH_SIZE], text[WORK_FAULT_SIZE], more[40];

    snprintf(copy, sizeof copy, "%s/copy", base);
    for (unsigned i = 0; i < images; i++) {
        snprintf(image, sizeof image, "%s/image.%u", base, i);
        snprintf(more, sizeof more, ", image %u", i);
        work_remove(copy);
        work_copy(image, copy);
        if (!work_judge(copy, &shared->told, text)) {
            report_fault(what, at, more, text);
            if (getenv("FANOUT_KEEP") != NULL)
                printf("# kept: %s\n", image), exit(1);
        }
        images_judged++;
        if (starts_every > 0 && turn++ % starts_every == 0)
            start_at_each_call(image, at);
        work_remove(image);
    }
}

static void
cut_at_each_call(unsigned calls)
{
    unsigned n;

    starts_every = starts_in_sample == 0 ? 1 : (calls / every * images + starts_in_sample - 1) / starts_in_sample;
    n = each_call("cut before", KILLAT_CUT, 0, &synced, judge_images);
    printf("count: journal, power cut before each call: %u of %llu calls, %u images\n", n, (unsigned long long)calls_of_life, images_judged);
    printf("count: journal, killed and cut again at each call of the start after it: %u starts (after every %lluth image)\n", starts,
        (unsigned long long)starts_every);
    tap("power cut before each call, and again while starting");
}

/* The judge must be able to say no: each of these lives lied. */
static void
check_judge(void)
{
    char dir[PATH_SIZE], text[WORK_FAULT_SIZE];
    struct killat_plan plan;
    struct work_told told;

    snprintf(dir, sizeof dir, "%s/data", base);
    plan = plan_of(KILLAT_COUNTING, 0, 0, dir);
    for (unsigned lie = 0; lie < 4; lie++) {
        work_remove(dir);
        (void)run_child(&plan, dir, &synced, false);
        told = shared->told;
        if (lie == 1)
            told.acked = told.appended = told.appended + 1;
        if (lie == 2)
            told.trimmed = 0;
        if (lie == 3)
            told.epoch++;
        if (work_judge(dir, &told, text) != (lie == 0))
            report_fault("judge", lie, "", "was taken in");
    }
    tap("the judge notices a lost record, a lost beginning, an old epoch");
}

int
main(int argc, char **argv)
{
    struct stat st;
    unsigned calls;

    if (argc > 1 && strcmp(argv[1], "--all") == 0) {
        starts_in_sample = 0;
        argc--, argv++;
    } else if (argc > 1 && strcmp(argv[1], "--expect-failure") == 0) {
        expects_failure = true;
        starts_in_sample = 1;
        argc--, argv++;
    } else if (argc > 2 && strcmp(argv[1], "--every") == 0) {
        every = (unsigned)atoi(argv[2]);
        starts_in_sample = (STARTS_IN_SAMPLE + every - 1) / every;
        images = IMAGES_IN_SAMPLE;
        argc -= 2, argv += 2;
    }
    snprintf(base, sizeof base, "%s/fo-crash-XXXXXX", argc > 1 ? argv[1] : stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(base) == NULL)
        return perror(base), 1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return perror("mmap"), 1;
    fo_log_init("eu-west-1", FO_LOG_ERROR + 1);         /* the faults are made on purpose */
    check_judge();
    calls = (unsigned)shared->count.calls;
    if (expects_failure)
        cut_at_each_call(calls);                        /* finds most, so it comes first */
    kill_at_each_call("killed before each call", "before", KILLAT_BEFORE, 0, &synced);
    kill_at_each_call("killed behind each call", "after", KILLAT_AFTER, 0, &synced);
    kill_at_each_call("killed in the middle of each write", "torn", KILLAT_TORN, 0, &synced);
    kill_at_each_call("killed before each call, durability process", "before", KILLAT_BEFORE, 0, &unsynced);
    kill_at_each_call("EIO from each call", "EIO at", KILLAT_ERRNO, EIO, &synced);
    kill_at_each_call("ENOSPC from each call", "ENOSPC at", KILLAT_ERRNO, ENOSPC, &synced);
    if (!expects_failure)
        cut_at_each_call(calls);
    else
        printf("not ok %u - nothing was found\n", ++test_number);
    printf("1..%u\n", test_number);
    work_remove(base);
    return 0;
}
