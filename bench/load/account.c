/* SPDX-License-Identifier: Apache-2.0
 *
 * See account.h. */
#include "account.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "load.h"

void
hist_add(struct hist *h, uint64_t value)
{
    int shift = value < (2u << HIST_BITS) ? 0 : 63 - HIST_BITS - __builtin_clzll(value);

    h->bucket[((uint64_t)shift << HIST_BITS) + (value >> shift)]++;
    h->n++;
    if (value > h->max)
        h->max = value;
}

double
hist_quantile(const struct hist *a, const struct hist *b, double q)
{
    uint64_t n = a->n + (b ? b->n : 0), wanted = (uint64_t)(q * (double)n), seen = 0;

    for (uint64_t i = 0; i < HIST_BUCKETS; i++) {
        seen += a->bucket[i] + (b ? b->bucket[i] : 0);
        if (seen > wanted) {
            int shift = i < (2u << HIST_BITS) ? 0 : (int)(i >> HIST_BITS) - 1;

            return (double)((i - ((uint64_t)shift << HIST_BITS)) << shift);
        }
    }
    return (double)a->max;
}

double
process_cpu_s(int pid, double *ret_system_s)
{
    char path[64], text[1024], *rest;
    unsigned long long user = 0, system = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (f && fgets(text, sizeof text, f) && (rest = strrchr(text, ')')))
        if (sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
            user = system = 0;
    if (f)
        fclose(f);
    *ret_system_s = (double)system / (double)sysconf(_SC_CLK_TCK);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* The scheduler's own account of each thread, in nanoseconds; ticks are too coarse for short runs. */
double
process_run_s(int pid)
{
    unsigned long long ns, sum = 0;
    char path[512];
    struct dirent *entry;
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    while (tasks && (entry = readdir(tasks))) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        f = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return (double)sum * 1e-9;
}

double
process_peak_mib(int pid)
{
    char path[64], text[256];
    long kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    while (fgets(text, sizeof text, f))
        if (sscanf(text, "VmHWM: %ld", &kib) == 1)
            break;
    fclose(f);
    return (double)kib / 1024.0;
}

double
own_cpu_s(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* Idle time is exact, the rest of that line is sampled; so busy is what was not idle. */
void
machine_cpu_s(double *ret_busy_s, double *ret_stolen_s)
{
    unsigned long long v[8] = { 0 };
    double hz = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "r");

    if (f && fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) != 8)
        v[3] = v[4] = v[7] = 0;
    if (f)
        fclose(f);
    *ret_busy_s = (double)sysconf(_SC_NPROCESSORS_ONLN) * ((double)now_ns() * 1e-9) - (double)(v[3] + v[4] + v[7]) / hz;
    *ret_stolen_s = (double)v[7] / hz;
}
