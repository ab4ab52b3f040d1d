/* SPDX-License-Identifier: Apache-2.0
 *
 * See numbers.h. */
#include "numbers.h"

void
number_write(char *p, uint64_t v)
{
    for (int i = NUMBER_DIGITS - 1; i >= 0; i--, v >>= 4)
        p[i] = "0123456789abcdef"[v & 15];
}

uint64_t
number_read(const char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < NUMBER_DIGITS; i++)
        v = v << 4 | (uint64_t)(p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10);
    return v;
}

void
order_init(struct order *o, unsigned channels)
{
    *o = (struct order){ .channels = channels };
    for (unsigned i = 0; i < channels; i++)
        o->next[i] = i + 1;
}

void
order_note(struct order *o, uint64_t number)
{
    uint64_t *next = &o->next[(number - 1) % o->channels];

    if (number < *next) {
        o->repeats++;
        return;
    }
    o->gaps += (number - *next) / o->channels;
    *next = number + o->channels;
}
