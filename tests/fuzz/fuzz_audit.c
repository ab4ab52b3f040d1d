/* SPDX-License-Identifier: Apache-2.0
 *
 * Audit statements, as a broker that is not believed may send them. What is read is sealed again, by a key of the region that it names, and comes out the
 * same; nothing unsigned verifies. */
#include "fuzz.h"

#include <jansson.h>
#include <string.h>

#include "wire/audit.h"

static struct fo_audit_statement s, again;

static void
same(void)
{
    again.key_id = s.key_id;
    DEMAND(memcmp(&s, &again, sizeof s) == 0);
}

void
fuzz_one(struct fo_slice input)
{
    uint8_t signature[FO_SIGNATURE_BYTES] = { 0 };
    struct fo_key_pair pair;
    struct fo_buf bytes;
    json_t *json;

    if (fo_audit_decode(input, &s) != FO_OK)
        return;
    DEMAND(fo_audit_verify(input, fo_slice_of(signature, sizeof signature), &s, &world_keys) != FO_OK);
    json = fo_audit_to_json(&s);
    DEMAND(json != NULL);
    json_decref(json);
    fo_buf_init(&bytes);
    DEMAND(fo_key_pair_generate(s.region, &pair) == FO_OK);
    again = s;
    DEMAND(fo_audit_seal(&again, &pair, &bytes, signature) == FO_OK);
    DEMAND(fo_audit_decode(fo_buf_slice(&bytes), &again) == FO_OK);
    same();
    fo_key_pair_fini(&pair);
    fo_buf_fini(&bytes);
}
