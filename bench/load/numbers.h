/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers in payloads, and what they tell of losses, repetitions and order. */
#pragma once
#include <stdint.h>

enum { NUMBER_DIGITS = 16, CHANNELS_MAX = 8 };

void number_write(char *p, uint64_t v);
uint64_t number_read(const char *p);

/* Events 1, 2, 3, ... take turns in channels, each with an order of its own. */
struct order { unsigned channels; uint64_t next[CHANNELS_MAX], gaps, repeats; };

void order_init(struct order *o, unsigned channels);
void order_note(struct order *o, uint64_t number);
