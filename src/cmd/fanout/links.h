/* SPDX-License-Identifier: Apache-2.0
 *
 * What a status answer says of links, in words: for `region ls` and `doctor`. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

enum { LINK_TEXT_SIZE = 256 };

/* Trouble that somebody has to mend, in contrast to a peer or a line that is away and may come back. */
struct link_trouble { bool is_found, is_lasting; char text[LINK_TEXT_SIZE]; const char *advice; };

/* Why the link (a member of "links") is down. */
struct link_trouble link_down(const json_t *link);
/* Frames refused lately (a "refused" or "strangers" member). whose: a region, or null for frames of no known one. */
struct link_trouble link_refusals(const json_t *refused, const char *whose);
