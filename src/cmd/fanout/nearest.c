/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": edit distance (Levenshtein) over short words. */
#include "cmd/fanout/nearest.h"

#include <string.h>

enum { WORD_MAX = 32 };

static size_t
min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* One row of the usual matrix at a time; both words are at most WORD_MAX long. */
static size_t
distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], na = strlen(a), nb = strlen(b);

    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

const char *
nearest_name(const char *word, const char *const *names, size_t count)
{
    size_t n = strlen(word), best = n / 3 > 1 ? n / 3 : 1;
    const char *found = NULL;

    if (n > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > WORD_MAX)
            continue;
        size_t d = distance(word, names[i]);
        if (d < best || (d == best && found == NULL)) {
            best = d;
            found = names[i];
        }
    }
    return found;
}
