/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* A path or text quotes what a publisher sent, perhaps cut in the middle of a character; an answer must be valid
 * UTF-8 all the same. */
static void
make_printable(char *text)
{
    size_t n = strlen(text), cut = n;

    while (cut > 0 && n - cut < 4 && ((uint8_t)text[cut - 1] & 0xc0) == 0x80)
        cut--;                              /* a character cut at the end of the buffer is left out */
    if (cut > 0 && (uint8_t)text[cut - 1] >= 0xc0 && !fo_utf8_is_valid((const uint8_t *)text + cut - 1, n - cut + 1))
        text[n = cut - 1] = '\0';
    if (fo_utf8_is_valid((const uint8_t *)text, n))
        return;
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)text[i] >= 0x80)
            text[i] = '?';
}

enum fo_err
fo_fault_set(struct fo_fault *ret_fault, enum fo_err err, const char *path, const char *fmt, ...)
{
    va_list ap;

    ret_fault->err = err;
    snprintf(ret_fault->path, sizeof(ret_fault->path), "%s", path);
    va_start(ap, fmt);
    vsnprintf(ret_fault->text, sizeof(ret_fault->text), fmt, ap);
    va_end(ap);
    make_printable(ret_fault->path);
    make_printable(ret_fault->text);
    return err;
}
