/* SPDX-License-Identifier: Apache-2.0
 *
 * See table.h. */
#include "cmd/fanout/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void
table_init(struct table *t, const char *const *header, unsigned columns)
{
    *t = (struct table){ .header = header, .columns = columns };
}

void
table_fini(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (struct table){ 0 };
}

void
table_add(struct table *t, const char *fmt, ...)
{
    va_list ap;

    if (t->count == t->cap) {
        size_t cap = t->cap > 0 ? t->cap * 2 : 64;
        char **more = realloc(t->cell, cap * sizeof(*more));
        if (more == NULL)
            abort();
        t->cell = more;
        t->cap = cap;
    }
    va_start(ap, fmt);
    if (vasprintf(&t->cell[t->count], fmt, ap) < 0)
        abort();
    va_end(ap);
    t->count++;
}

/* Characters as a terminal shows them, near enough: UTF-8 continuation bytes take no room. */
static size_t
width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void
print_cell(FILE *out, const char *text, size_t width, bool is_right, bool is_last)
{
    size_t pad = width - width_of(text);

    if (is_right)
        fprintf(out, "%*s%s%s", (int)pad, "", text, is_last ? "" : "  ");
    else
        fprintf(out, "%s%*s", text, is_last ? 0 : (int)pad + 2, "");
}

void
table_print(const struct table *t, FILE *out, unsigned indent)
{
    size_t width[TABLE_COLUMNS_MAX], rows = t->count / t->columns;
    const char *title[TABLE_COLUMNS_MAX];
    bool is_right[TABLE_COLUMNS_MAX];

    for (unsigned c = 0; c < t->columns; c++) {
        is_right[c] = t->header[c][0] == '>';
        title[c] = t->header[c] + is_right[c];
        width[c] = width_of(title[c]);
        for (size_t r = 0; r < rows; r++) {
            size_t w = width_of(t->cell[r * t->columns + c]);
            width[c] = w > width[c] ? w : width[c];
        }
    }
    for (size_t r = 0; r <= rows; r++) {
        fprintf(out, "%*s", (int)indent, "");
        for (unsigned c = 0; c < t->columns; c++)
            print_cell(out, r == 0 ? title[c] : t->cell[(r - 1) * t->columns + c], width[c], is_right[c], c + 1 == t->columns);
        fputc('\n', out);
    }
}

const char *
table_ms(double ms, char ret_text[24])
{
    if (ms < 0)
        strcpy(ret_text, "-");
    else if (ms < 10)
        snprintf(ret_text, 24, "%.2f ms", ms);
    else if (ms < 1000)
        snprintf(ret_text, 24, "%.0f ms", ms);
    else if (ms < 120000)
        snprintf(ret_text, 24, "%.1f s", ms / 1000);
    else if (ms < 7200000)
        snprintf(ret_text, 24, "%.0f min", ms / 60000);
    else
        snprintf(ret_text, 24, "%.1f h", ms / 3600000);
    return ret_text;
}

const char *
table_bytes(double bytes, char ret_text[24])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned u = 0;

    while (bytes >= 1024 && u < 4) {
        bytes /= 1024;
        u++;
    }
    snprintf(ret_text, 24, u == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, unit[u]);
    return ret_text;
}
