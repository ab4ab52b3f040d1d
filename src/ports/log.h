/* SPDX-License-Identifier: Apache-2.0
 *
 * Structured log: one JSON object per line on standard error. Thread-safe. Fields are key, value pairs. */
#pragma once
#include "base/err.h"
#include <stdint.h>

enum fo_log_level { FO_LOG_DEBUG, FO_LOG_INFO, FO_LOG_WARN, FO_LOG_ERROR };

enum fo_log_kind { FO_LOG_STR, FO_LOG_INT };
struct fo_log_field { const char *key; enum fo_log_kind kind; const char *s; int64_t i; };
#define FO_S(k, v) ((struct fo_log_field){ .key = (k), .kind = FO_LOG_STR, .s = (v) })
#define FO_I(k, v) ((struct fo_log_field){ .key = (k), .kind = FO_LOG_INT, .i = (int64_t)(v) })
#define FO_E(err) FO_S("error", fo_err_name(err))

/* Once, before threads start. region: stands in every line. */
void fo_log_init(const char *region, enum fo_log_level level_min);
void fo_log_write(enum fo_log_level level, const char *event, const struct fo_log_field *fields, unsigned count);
/* fo_log(FO_LOG_WARN, "link_down", FO_S("peer", name), FO_I("after_ms", 3000)) */
#define fo_log(level, event, ...)                                                        \
    fo_log_write((level), (event), (struct fo_log_field[]){ __VA_ARGS__ },               \
        sizeof((struct fo_log_field[]){ __VA_ARGS__ }) / sizeof(struct fo_log_field))
