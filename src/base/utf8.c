/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

/* Length of the sequence at p, whose first byte is not ASCII; 0: not well-formed. The bounds of the second byte are those
 * of the Unicode standard, table 3-7: they exclude overlong forms, surrogates and what lies above U+10FFFF. */
static size_t
sequence_bytes(const uint8_t *p, size_t n)
{
    uint8_t lo = 0x80, hi = 0xbf;
    size_t len;

    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (n < len || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool
fo_utf8_is_valid(const uint8_t *p, size_t n)
{
    const uint64_t high_bits = 0x8080808080808080;
    uint64_t word;

    for (size_t i = 0; i < n;) {
        if (n - i >= sizeof word) {     /* mostly ASCII: eight bytes at a time */
            memcpy(&word, p + i, sizeof word);
            if (!(word & high_bits)) {
                i += sizeof word;
                continue;
            }
        }
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t len = sequence_bytes(p + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

size_t
fo_ascii_span(const uint8_t *p, size_t n, uint8_t low, uint8_t high)
{
    const uint64_t each = 0x0101010101010101u, less = each * low, more = each * (uint8_t)(0x7f - high);
    size_t i = 0;

    /* Eight at a time: a byte below low borrows into its own high bit, one above high has that bit, or gets it by `more`. The byte behind
     * such a one may be judged wrongly, but is then looked at by itself. */
    for (; i + 8 <= n; i += 8) {
        uint64_t v;

        memcpy(&v, p + i, 8);
        if (((v - less) | v | (v + more)) & 0x8080808080808080u)
            break;
    }
    while (i < n && p[i] >= low && p[i] <= high)
        i++;
    return i;
}
