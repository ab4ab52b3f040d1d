/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/* The name among `names` (count of them) that `word` was most likely meant to be: fewest edits, at most a third of
 * its length (at least one). Null when none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);
