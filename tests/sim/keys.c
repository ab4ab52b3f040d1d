/* SPDX-License-Identifier: Apache-2.0
 *
 * What every world shares: keys that are the same in each run, and the event types.
 *
 * Ed25519 costs more than all the rest of a schedule, and nothing here turns on its hardness: unless asked for, a keyed
 * hash of the same length stands in for it at the linker, so that ten times as many schedules run. */
#include "sim.h"

#include "keys.h"

#include <sodium.h>
#include <stdlib.h>

bool keys_are_real;

static struct fo_key_pair pairs[NODES_MAX];
static struct fo_key_ring ring;
static struct fo_schema_set *schemas;

static const char *const names[NODES_MAX] = { "us-east-1", "us-west-2", "eu-west-1", "ap-south-1", "sa-east-1" };

static void
make_pair(unsigned i)
{
    struct fo_public_key *half = &pairs[i].public_half;
    uint8_t seed[crypto_sign_SEEDBYTES] = { (uint8_t)(i + 1) }, hash[32];

    pairs[i].secret = sodium_malloc(FO_SECRET_KEY_BYTES);
    crypto_sign_seed_keypair(half->key, pairs[i].secret, seed);
    strcpy(half->region, names[i]);
    crypto_generichash(hash, sizeof hash, half->key, FO_PUBLIC_KEY_BYTES, NULL, 0);
    for (int k = 0; k < 8; k++)
        half->id = half->id << 8 | hash[k];
    if (fo_key_ring_add(&ring, half) != FO_OK)
        abort();
}

void
keys_init(void)
{
    struct fo_fault fault;

    if (fo_keys_library_init() != FO_OK)
        abort();
    for (unsigned i = 0; i < NODES_MAX; i++)
        make_pair(i);
    if (fo_schema_set_create(&schemas) != FO_OK || fo_schema_set_add(schemas, "alpha", FO_LANE_NORMAL, (struct fo_slice){ 0 }, &fault) != FO_OK
        || fo_schema_set_add(schemas, "beta", FO_LANE_HIGH, (struct fo_slice){ 0 }, &fault) != FO_OK)
        abort();
}

void
keys_fini(void)
{
    for (unsigned i = 0; i < NODES_MAX; i++)
        fo_key_pair_fini(&pairs[i]);
    fo_schema_set_destroy(schemas);
}

const struct fo_key_pair *
keys_pair(unsigned node)
{
    return &pairs[node];
}

const struct fo_key_ring *
keys_ring(void)
{
    return &ring;
}

const struct fo_schema_set *
keys_schemas(void)
{
    return schemas;
}

const char *
region_name(unsigned node)
{
    return names[node];
}

int
region_index(const char *name, size_t n)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return i;
    return -1;
}

/* The linker leads the wire code's calls here (-Wl,--wrap). */
int __real_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n, const unsigned char *m, unsigned long long n, const unsigned char *secret);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n, const unsigned char *m, unsigned long long n, const unsigned char *secret);
int __real_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key);

int
__wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n, const unsigned char *m, unsigned long long n, const unsigned char *secret)
{
    if (keys_are_real)
        return __real_crypto_sign_detached(sig, ret_n, m, n, secret);
    return crypto_generichash(sig, FO_SIGNATURE_BYTES, m, n, secret + FO_SECRET_KEY_BYTES - FO_PUBLIC_KEY_BYTES, FO_PUBLIC_KEY_BYTES);
}

int
__wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m, unsigned long long n, const unsigned char *key)
{
    uint8_t expected[FO_SIGNATURE_BYTES];

    if (keys_are_real)
        return __real_crypto_sign_verify_detached(sig, m, n, key);
    crypto_generichash(expected, sizeof expected, m, n, key, FO_PUBLIC_KEY_BYTES);
    return memcmp(expected, sig, sizeof expected) == 0 ? 0 : -1;
}
