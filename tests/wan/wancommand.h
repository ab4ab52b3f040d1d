/* SPDX-License-Identifier: Apache-2.0
 *
 * What the emulator is told on its control socket, one command a line; * stands for every node:
 *
 *   set FROM TO KEY=VALUE...   delay=250ms jitter=20ms rate=1mbit queue=64KiB burst=3KiB loss=10% duplicate=1% reorder=1%
 *   cut FROM TO                this direction carries nothing any more, and what is under way is lost
 *   heal FROM TO               as before the cut
 *   clear FROM TO              a perfect line, healed
 *   stats FROM TO
 *
 * Keys that `set` does not name stay as they are. */
#pragma once
#include "wanqueue.h"

enum wan_verb { WAN_SET, WAN_CUT, WAN_HEAL, WAN_CLEAR, WAN_STATS };
struct wan_command { enum wan_verb verb; const char *from, *to; char *changes; };    /* borrowed from the line */

/* Splits the line in place. */
FO_MUST_CHECK enum fo_err wan_command_parse(char *line, struct wan_command *ret_command);
/* Changes rules as the command says; on an error they are as before. `changes` is split in place. */
FO_MUST_CHECK enum fo_err wan_command_apply(enum wan_verb verb, char *changes, struct wan_rules *rules);
