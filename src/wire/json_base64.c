/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <sodium.h>
#include <stdlib.h>

json_t *
fo_json_base64(struct fo_slice bytes)
{
    size_t max = sodium_base64_ENCODED_LEN(bytes.n, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(max);
    json_t *json;

    if (text == NULL)
        return NULL;
    sodium_bin2base64(text, max, bytes.p, bytes.n, sodium_base64_VARIANT_ORIGINAL);
    json = json_string(text);
    free(text);
    return json;
}
