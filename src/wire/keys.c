/* SPDX-License-Identifier: Apache-2.0
 *
 * Region keys and their one-line texts.
 *
 * A text names region and key id beside the key, so that a file copied under a wrong name, or edited, is noticed when it
 * is read and not when the first batch fails. A secret is only ever written to memory of sodium_malloc (locked, between
 * guard pages, left out of core dumps) and to the text that the caller wipes. */
#include "wire/keys.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

_Static_assert((int)FO_PUBLIC_KEY_BYTES == (int)crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
_Static_assert((int)FO_SECRET_KEY_BYTES == (int)crypto_sign_SECRETKEYBYTES, "Ed25519 secret key: seed and public half");

enum { KEY_ID_DIGITS = 16, BASE64_VARIANT = sodium_base64_VARIANT_ORIGINAL };

static const char public_word[] = "fanout-public-key";
static const char secret_word[] = "fanout-secret-key";

enum fo_err
fo_keys_library_init(void)
{
    return sodium_init() < 0 ? FO_ERR_INTERNAL : FO_OK;
}

static uint64_t
key_id_of(const uint8_t key[FO_PUBLIC_KEY_BYTES])
{
    uint8_t hash[32];
    uint64_t id = 0;

    crypto_generichash(hash, sizeof hash, key, FO_PUBLIC_KEY_BYTES, NULL, 0);
    for (int i = 0; i < 8; i++)
        id = id << 8 | hash[i];
    return id;
}

static void
public_half_set(struct fo_public_key *half, struct fo_slice region, const uint8_t key[FO_PUBLIC_KEY_BYTES])
{
    memset(half, 0, sizeof *half);
    memcpy(half->region, region.p, region.n);
    memcpy(half->key, key, FO_PUBLIC_KEY_BYTES);
    half->id = key_id_of(key);
}

enum fo_err
fo_key_pair_generate(const char *region, struct fo_key_pair *ret_pair)
{
    uint8_t public_key[FO_PUBLIC_KEY_BYTES];
    struct fo_slice name = fo_slice_str(region);
    uint8_t *secret;

    if (!fo_region_name_is_valid(name))
        return FO_ERR_UNKNOWN_REGION;
    secret = sodium_malloc(FO_SECRET_KEY_BYTES);
    if (secret == NULL)
        return FO_ERR_NO_MEMORY;
    crypto_sign_keypair(public_key, secret);
    sodium_mprotect_readonly(secret);
    public_half_set(&ret_pair->public_half, name, public_key);
    ret_pair->secret = secret;
    return FO_OK;
}

void
fo_key_pair_fini(struct fo_key_pair *pair)
{
    sodium_free(pair->secret);          /* wipes; takes null */
    sodium_memzero(pair, sizeof *pair);
}

/* "WORD v1 REGION KEYID BASE64\n". The key goes straight into ret_text: printf would leave copies of it behind. */
static enum fo_err
text_format(const char *word, const struct fo_public_key *half, const uint8_t *key, size_t key_bytes, char ret_text[FO_KEY_TEXT_MAX])
{
    size_t base64_size = sodium_base64_ENCODED_LEN(key_bytes, BASE64_VARIANT);
    int n = snprintf(ret_text, FO_KEY_TEXT_MAX, "%s v1 %s %016" PRIx64 " ", word, half->region, half->id);

    if (n < 0 || (size_t)n + base64_size + 1 > FO_KEY_TEXT_MAX)
        return FO_ERR_TOO_LARGE;
    sodium_bin2base64(ret_text + n, base64_size, key, key_bytes, BASE64_VARIANT);
    memcpy(ret_text + n + base64_size - 1, "\n", 2);
    return FO_OK;
}

enum fo_err
fo_key_pair_format(const struct fo_key_pair *pair, char ret_text[FO_KEY_TEXT_MAX])
{
    fo_assert(pair->secret != NULL);
    return text_format(secret_word, &pair->public_half, pair->secret, FO_SECRET_KEY_BYTES, ret_text);
}

enum fo_err
fo_public_key_format(const struct fo_public_key *key, char ret_text[FO_KEY_TEXT_MAX])
{
    return text_format(public_word, key, key->key, FO_PUBLIC_KEY_BYTES, ret_text);
}

struct key_text { struct fo_slice word, version, region, id, base64; };

static struct fo_slice
take_word(struct fo_slice *text)
{
    const uint8_t *space = text->n == 0 ? NULL : memchr(text->p, ' ', text->n);
    size_t n = space == NULL ? text->n : (size_t)(space - text->p);
    struct fo_slice word = fo_slice_of(text->p, n);

    text->p += n + (space != NULL);
    text->n -= n + (space != NULL);
    return word;
}

static bool
word_is(struct fo_slice word, const char *expected)
{
    return fo_slice_is_equal(word, fo_slice_str(expected));
}

static enum fo_err
check_word(struct fo_slice word, const char *expected, struct fo_fault *ret_fault)
{
    if (word_is(word, expected))
        return FO_OK;
    if (word_is(word, secret_word))
        return fo_fault_set(ret_fault, FO_ERR_PARSE, "", "this is a secret key; a public key is expected here");
    if (word_is(word, public_word))
        return fo_fault_set(ret_fault, FO_ERR_PARSE, "", "this is a public key; a secret key is expected here");
    return fo_fault_set(ret_fault, FO_ERR_PARSE, "", "expected one line \"%s v1 REGION KEYID BASE64\"", expected);
}

/* Splits the line and checks everything but the key itself. */
static enum fo_err
text_split(struct fo_slice text, const char *expected, struct key_text *ret_parts, struct fo_fault *ret_fault)
{
    struct key_text t;
    enum fo_err err;

    if (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n >= FO_KEY_TEXT_MAX)
        return fo_fault_set(ret_fault, FO_ERR_PARSE, "", "expected one line \"%s v1 REGION KEYID BASE64\", found more", expected);
    t.word = take_word(&text);
    t.version = take_word(&text);
    t.region = take_word(&text);
    t.id = take_word(&text);
    t.base64 = text;
    err = check_word(t.word, expected, ret_fault);
    if (err != FO_OK)
        return err;
    if (!word_is(t.version, "v1"))
        return fo_fault_set(ret_fault, FO_ERR_VERSION, "", "key format \"%.*s\" is not supported; expected v1",
                            (int)(t.version.n < 16 ? t.version.n : 16), t.version.n == 0 ? "" : (const char *)t.version.p);
    if (!fo_region_name_is_valid(t.region))
        return fo_fault_set(ret_fault, FO_ERR_UNKNOWN_REGION, "", "the region must be " FO_REGION_NAME_RULE);
    *ret_parts = t;
    return FO_OK;
}

static bool
is_ascii(struct fo_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80)
            return false;
    return true;
}

/* libsodium takes some bytes beyond ASCII for digits. */
static enum fo_err
key_decode(struct fo_slice base64, uint8_t *ret_key, size_t key_bytes, struct fo_fault *ret_fault)
{
    const char *end = NULL;
    size_t n = 0;

    if (base64.n == 0 || !is_ascii(base64) || sodium_base642bin(ret_key, key_bytes, (const char *)base64.p, base64.n, NULL, &n, &end, BASE64_VARIANT) != 0 ||
        n != key_bytes || end != (const char *)base64.p + base64.n)
        return fo_fault_set(ret_fault, FO_ERR_PARSE, "", "the key must be %zu bytes in base64", key_bytes);
    return FO_OK;
}

static enum fo_err
check_key_id(struct fo_slice id, uint64_t expected, struct fo_fault *ret_fault)
{
    char digits[KEY_ID_DIGITS + 1];

    snprintf(digits, sizeof digits, "%016" PRIx64, expected);
    if (!word_is(id, digits))
        return fo_fault_set(ret_fault, FO_ERR_CORRUPT, "", "the key id does not fit the key, which has %s: the file was altered", digits);
    return FO_OK;
}

enum fo_err
fo_public_key_parse(struct fo_slice text, struct fo_public_key *ret_key, struct fo_fault *ret_fault)
{
    uint8_t key[FO_PUBLIC_KEY_BYTES];
    struct key_text t;
    enum fo_err err;

    err = text_split(text, public_word, &t, ret_fault);
    if (err == FO_OK)
        err = key_decode(t.base64, key, sizeof key, ret_fault);
    if (err == FO_OK)
        err = check_key_id(t.id, key_id_of(key), ret_fault);
    if (err != FO_OK)
        return err;
    if (crypto_core_ed25519_is_valid_point(key) != 1)
        return fo_fault_set(ret_fault, FO_ERR_INVALID, "", "this is not an Ed25519 public key");
    public_half_set(ret_key, t.region, key);
    return FO_OK;
}

/* The public half inside a secret key must be the one that its seed makes: signing with any other gives the secret away. */
static bool
secret_is_consistent(const uint8_t *secret, uint8_t *scratch)
{
    uint8_t public_key[FO_PUBLIC_KEY_BYTES];

    crypto_sign_seed_keypair(public_key, scratch, secret);
    return sodium_memcmp(scratch, secret, FO_SECRET_KEY_BYTES) == 0;
}

enum fo_err
fo_key_pair_parse(struct fo_slice text, struct fo_key_pair *ret_pair, struct fo_fault *ret_fault)
{
    const uint8_t *public_key;
    uint8_t *secret = NULL, *scratch = NULL;
    struct key_text t;
    enum fo_err err;

    err = text_split(text, secret_word, &t, ret_fault);
    if (err != FO_OK)
        return err;
    secret = sodium_malloc(FO_SECRET_KEY_BYTES);
    scratch = sodium_malloc(FO_SECRET_KEY_BYTES);
    if (secret == NULL || scratch == NULL) {
        err = fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, "", "no memory for a key");
        goto cleanup;
    }
    err = key_decode(t.base64, secret, FO_SECRET_KEY_BYTES, ret_fault);
    if (err != FO_OK)
        goto cleanup;
    public_key = secret + FO_SECRET_KEY_BYTES - FO_PUBLIC_KEY_BYTES;
    if (!secret_is_consistent(secret, scratch)) {
        err = fo_fault_set(ret_fault, FO_ERR_CORRUPT, "", "the halves of the key do not fit each other: the file was altered");
        goto cleanup;
    }
    err = check_key_id(t.id, key_id_of(public_key), ret_fault);
    if (err != FO_OK)
        goto cleanup;
    sodium_mprotect_readonly(secret);
    public_half_set(&ret_pair->public_half, t.region, public_key);
    ret_pair->secret = secret;
    secret = NULL;
cleanup:
    sodium_free(secret);
    sodium_free(scratch);
    return err;
}

enum fo_err
fo_key_ring_add(struct fo_key_ring *ring, const struct fo_public_key *key)
{
    if (fo_key_ring_find(ring, key->id) != NULL)
        return FO_ERR_EXISTS;
    if (ring->count == FO_KEYS_MAX)
        return FO_ERR_FULL;
    ring->key[ring->count++] = *key;
    return FO_OK;
}

const struct fo_public_key *
fo_key_ring_find(const struct fo_key_ring *ring, uint64_t key_id)
{
    for (unsigned i = 0; i < ring->count; i++)
        if (ring->key[i].id == key_id)
            return &ring->key[i];
    return NULL;
}
