/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/fanoutd/clock.h"

#include "ports/log.h"

#include <time.h>

enum { CHECK_EVERY_S = 10, STEP_US_MIN = 1000000 };

static int64_t
read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void
fo_clock_init(struct fo_clock *c)
{
    c->offset_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC);
    c->checked_at = (struct fo_instant){ read_us(CLOCK_MONOTONIC) * 1000 };
}

void
fo_clock_read(struct fo_clock *c, struct fo_instant *ret_now, struct fo_wall *ret_wall)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    ret_now->ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (ret_now->ns - c->checked_at.ns > CHECK_EVERY_S * 1000000000ll) {
        int64_t offset = read_us(CLOCK_REALTIME) - ret_now->ns / 1000, step = offset - c->offset_us;

        c->checked_at = *ret_now;
        if (step > STEP_US_MIN || step < -STEP_US_MIN) {
            fo_log(FO_LOG_WARN, "clock_stepped", FO_I("by_us", step));
            c->offset_us = offset;
        }
    }
    ret_wall->us = ret_now->ns / 1000 + c->offset_us;
}
