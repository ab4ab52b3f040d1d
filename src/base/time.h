/* SPDX-License-Identifier: Apache-2.0
 *
 * Instants, durations and wall-clock stamps are distinct types, so that they cannot be mixed.
 * Nothing here reads a clock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct fo_instant { int64_t ns; };      /* monotonic; origin unspecified */
struct fo_duration { int64_t ns; };
struct fo_wall { int64_t us; };         /* microseconds since 1970-01-01T00:00:00Z; 0: none */

static inline struct fo_duration fo_duration_ms(int64_t ms) { return (struct fo_duration){ ms * 1000000 }; }
static inline struct fo_duration fo_instant_since(struct fo_instant later, struct fo_instant earlier)
{ return (struct fo_duration){ later.ns - earlier.ns }; }
static inline struct fo_instant fo_instant_add(struct fo_instant t, struct fo_duration d)
{ return (struct fo_instant){ t.ns + d.ns }; }
static inline bool fo_instant_is_before(struct fo_instant a, struct fo_instant b) { return a.ns < b.ns; }
static inline struct fo_instant fo_instant_earlier(struct fo_instant a, struct fo_instant b) { return fo_instant_is_before(b, a) ? b : a; }
static inline struct fo_wall fo_wall_earlier(struct fo_wall a, struct fo_wall b) { return b.us < a.us ? b : a; }
static inline struct fo_instant fo_instant_later(struct fo_instant a, struct fo_instant b) { return fo_instant_is_before(a, b) ? b : a; }

/* RFC 3339 in UTC with microseconds, "2026-01-31T23:59:59.000001Z". */
#define FO_RFC3339_SIZE 28              /* with the terminating NUL */
void fo_wall_format(struct fo_wall t, char ret_text[FO_RFC3339_SIZE]);
/* Any RFC 3339 date-time, any offset, up to nine fraction digits (cut to microseconds).
 * FO_ERR_PARSE otherwise, or when the day does not exist, or is not one of the years 0 to 9999 in UTC. */
FO_MUST_CHECK enum fo_err fo_wall_parse(const char *text, size_t n, struct fo_wall *ret_t);
