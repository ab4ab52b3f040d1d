/* SPDX-License-Identifier: Apache-2.0
 *
 * The log by jansson: one object per line, one write(2) per line, so that lines of several threads and of several
 * processes on one terminal or pipe do not mix. */
#include "ports/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/names.h"
#include "base/time.h"
#include "base/utf8.h"

/* Written once by fo_log_init, before threads start. */
static struct {
    char region[FO_REGION_BYTES_MAX + 1];
    enum fo_log_level level_min;
} log_config = {.level_min = FO_LOG_INFO};

static const char line_when_out_of_memory[] = "{\"level\":\"error\",\"event\":\"log_line_lost\",\"error\":\"no_memory\"}\n";

void
fo_log_init(const char *region, enum fo_log_level level_min)
{
    size_t n = strnlen(region, FO_REGION_BYTES_MAX);

    memcpy(log_config.region, region, n);
    log_config.region[n] = '\0';
    log_config.level_min = level_min;
}

/* New reference, or null when out of memory. jansson refuses bad UTF-8; a line with '?' in it says more than no line. */
static json_t *
text_json(const char *s)
{
    json_t *ret;
    char *ascii;

    if (!s)
        return json_null();
    if (fo_utf8_is_valid((const uint8_t *)s, strlen(s)))
        return json_string(s);
    ascii = strdup(s);
    if (!ascii)
        return NULL;
    for (char *p = ascii; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    ret = json_string(ascii);
    free(ascii);
    return ret;
}

/* New reference, or null when out of memory. */
static json_t *
line_json(enum fo_log_level level, const char *event, const struct fo_log_field *fields, unsigned count)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char time_text[FO_RFC3339_SIZE];
    struct timespec now;
    json_t *line;

    clock_gettime(CLOCK_REALTIME, &now);
    fo_wall_format((struct fo_wall){(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000}, time_text);
    line = json_pack("{s:s, s:s, s:s, s:o}", "time", time_text, "level", levels[level], "event", event, "region",
                     text_json(log_config.region));
    if (!line)
        return NULL;
    for (unsigned i = 0; i < count; i++) {
        json_t *value = fields[i].kind == FO_LOG_STR ? text_json(fields[i].s) : json_integer(fields[i].i);
        if (json_object_set_new(line, fields[i].key, value) != 0) {
            json_decref(line);
            return NULL;
        }
    }
    return line;
}

static void
write_line(const char *line, size_t n)
{
    while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
        ;
}

void
fo_log_write(enum fo_log_level level, const char *event, const struct fo_log_field *fields, unsigned count)
{
    int errno_before = errno;
    json_t *json = NULL;
    char *text = NULL;
    char *line = NULL;
    int n;

    fo_assert((unsigned)level <= FO_LOG_ERROR);
    if (level < log_config.level_min)
        return;
    json = line_json(level, event, fields, count);
    if (json)
        text = json_dumps(json, JSON_COMPACT);
    n = text ? asprintf(&line, "%s\n", text) : -1;
    if (n >= 0)
        write_line(line, (size_t)n);
    else
        write_line(line_when_out_of_memory, sizeof line_when_out_of_memory - 1);
    if (n >= 0)
        free(line);
    free(text);
    json_decref(json);
    errno = errno_before;
}
