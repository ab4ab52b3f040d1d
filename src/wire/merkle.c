/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of RFC 6962 section 2.1 over a batch's records, with SHA-256.
 *
 * The RFC splits n leaves at the largest power of two below n. That is the same tree as pairing
 * neighbours level by level and carrying an odd last node up as it is, which needs no recursion:
 * one array of a level's hashes, halved in place until the root is left. */
#include "base/assert.h"
#include "wire/frame.h"

enum { LEAF_PREFIX = 0, NODE_PREFIX = 1 };

static void
hash_prefixed(uint8_t prefix, const uint8_t *p, size_t n, uint8_t ret_hash[FO_HASH_BYTES])
{
    fo_hash_prefixed(prefix, fo_slice_of(p, n), ret_hash);
}

static void
hash_pair(const uint8_t *left, const uint8_t *right, uint8_t ret_hash[FO_HASH_BYTES])
{
    uint8_t pair[2 * FO_HASH_BYTES];

    memcpy(pair, left, FO_HASH_BYTES);
    memcpy(pair + FO_HASH_BYTES, right, FO_HASH_BYTES);
    hash_prefixed(NODE_PREFIX, pair, sizeof pair, ret_hash);
}

static void
hash_leaves(const struct fo_slice *records, uint32_t count, uint8_t ret_level[][FO_HASH_BYTES])
{
    fo_assert(count >= 1 && count <= FO_BATCH_EVENTS_MAX);
    fo_hash_prefixed_many(LEAF_PREFIX, records, count, ret_level);
}

/* One level up, in place: a pair is read before its parent overwrites a slot at or before it. */
static uint32_t
level_up(uint8_t level[][FO_HASH_BYTES], uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i += 2)
        hash_prefixed(NODE_PREFIX, level[i], 2 * FO_HASH_BYTES, level[i / 2]);
    if (count % 2 != 0 && count > 1)
        memcpy(level[count / 2], level[count - 1], FO_HASH_BYTES);
    return (count + 1) / 2;
}

void
fo_merkle_root(const struct fo_slice *records, uint32_t count, uint8_t ret_root[FO_HASH_BYTES])
{
    uint8_t level[FO_BATCH_EVENTS_MAX][FO_HASH_BYTES];

    hash_leaves(records, count, level);
    while (count > 1)
        count = level_up(level, count);
    memcpy(ret_root, level[0], FO_HASH_BYTES);
}

unsigned
fo_merkle_path(const struct fo_slice *records, uint32_t count, uint32_t index, uint8_t ret_path[][FO_HASH_BYTES])
{
    uint8_t level[FO_BATCH_EVENTS_MAX][FO_HASH_BYTES];
    unsigned path_len = 0;

    fo_assert(index < count);
    hash_leaves(records, count, level);
    while (count > 1) {
        uint32_t sibling = index ^ 1;

        if (sibling < count)            /* else: an odd last node, carried up alone */
            memcpy(ret_path[path_len++], level[sibling], FO_HASH_BYTES);
        count = level_up(level, count);
        index /= 2;
    }
    return path_len;
}

/* Nothing here is believed, neither index nor path_len: both come from whoever claims the proof. */
bool
fo_merkle_proves(struct fo_slice record, uint32_t index, uint32_t count, const uint8_t path[][FO_HASH_BYTES],
                 unsigned path_len, const uint8_t root[FO_HASH_BYTES])
{
    uint8_t hash[FO_HASH_BYTES];
    unsigned used = 0;

    if (count < 1 || count > FO_BATCH_EVENTS_MAX || index >= count)
        return false;
    hash_prefixed(LEAF_PREFIX, record.p, record.n, hash);
    for (; count > 1; count = (count + 1) / 2, index /= 2) {
        if ((index ^ 1) >= count)
            continue;
        if (used == path_len)
            return false;
        if (index % 2 == 0)
            hash_pair(hash, path[used], hash);
        else
            hash_pair(path[used], hash, hash);
        used++;
    }
    return used == path_len && memcmp(hash, root, FO_HASH_BYTES) == 0;
}
