/* SPDX-License-Identifier: Apache-2.0
 *
 * Key lines and key files. What is taken is written again as the same line. */
#include "fuzz.h"

#include <string.h>

#include "adapter/keys_file.h"

static void
same_line(struct fo_slice input, const char *text)
{
    DEMAND(input.n <= strlen(text) && memcmp(input.p, text, input.n) == 0);     /* the newline may be left out */
}

void
fuzz_one(struct fo_slice input)
{
    char text[FO_KEY_TEXT_MAX];
    struct fo_public_key key, from_file;
    struct fo_key_pair pair;
    struct fo_fault fault;

    if (fo_public_key_parse(input, &key, &fault) == FO_OK) {
        DEMAND(fo_public_key_format(&key, text) == FO_OK);
        same_line(input, text);
        DEMAND(fo_keys_file_load_public(world_file(input), &from_file, &fault) == FO_OK && from_file.id == key.id);
    } else {
        DEMAND(fo_keys_file_load_public(world_file(input), &from_file, &fault) != FO_OK);
    }
    if (fo_key_pair_parse(input, &pair, &fault) == FO_OK) {
        DEMAND(fo_key_pair_format(&pair, text) == FO_OK);
        same_line(input, text);
        fo_key_pair_fini(&pair);
    }
}
