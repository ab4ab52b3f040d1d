/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's clock: wall time at start plus the monotonic clock since, so that stamps within one process never go back
 * and the difference of two is a latency. A step of the system's clock by more than a second is adopted and logged. */
#pragma once
#include "base/time.h"

struct fo_clock { int64_t offset_us; struct fo_instant checked_at; };
void fo_clock_init(struct fo_clock *c);
void fo_clock_read(struct fo_clock *c, struct fo_instant *ret_now, struct fo_wall *ret_wall);
