/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

static void
put_hex(char *text, uint64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--, v >>= 4)
        text[i] = "0123456789abcdef"[v & 0xf];
}

/* 48 bits of milliseconds, version, 12 bits of the millisecond's fraction (section 6.2, method 3, so that ids made
 * within a millisecond sort too), variant, 62 random bits. */
void
fo_uuid7_format(struct fo_wall now, struct fo_rng *rng, char ret_text[FO_UUID_SIZE])
{
    uint64_t us = now.us > 0 ? (uint64_t)now.us : 0;
    uint64_t ms = us / 1000, fraction = us % 1000 * 4096 / 1000;
    uint64_t random = fo_rng_next(rng);

    put_hex(ret_text, ms >> 16, 8);
    put_hex(ret_text + 9, ms & 0xffff, 4);
    put_hex(ret_text + 14, 0x7000 | fraction, 4);
    put_hex(ret_text + 19, 0x8000 | (random >> 48 & 0x3fff), 4);
    put_hex(ret_text + 24, random & 0xffffffffffff, 12);
    ret_text[8] = ret_text[13] = ret_text[18] = ret_text[23] = '-';
    ret_text[36] = '\0';
}
