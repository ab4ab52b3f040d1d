/* SPDX-License-Identifier: Apache-2.0
 *
 * What libFuzzer and replay.c call. */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);      /* of the exact size, so that a read past the end is seen */

    world_init();
    DEMAND(copy != NULL);
    if (n > 0)
        memcpy(copy, p, n);
    fuzz_one(fo_slice_of(copy, n));
    free(copy);
    return 0;
}
