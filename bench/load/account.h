/* SPDX-License-Identifier: Apache-2.0
 *
 * What the load generator measures by: a log-linear histogram, CPU and memory of processes, and how busy the machine is. */
#pragma once
#include <stdint.h>

enum { HIST_BITS = 7, HIST_BUCKETS = ((64 - HIST_BITS) << HIST_BITS) + (1 << (HIST_BITS + 1)) };

struct hist { uint64_t n, max, bucket[HIST_BUCKETS]; };

void hist_add(struct hist *h, uint64_t value);
double hist_quantile(const struct hist *a, const struct hist *b, double q);     /* of both together; b may be null */

double process_cpu_s(int pid, double *ret_system_s);
double process_run_s(int pid);                           /* CPU time of the threads it has now */
double process_peak_mib(int pid);
double own_cpu_s(void);
void machine_cpu_s(double *ret_busy_s, double *ret_stolen_s);
