/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree over a batch's records, with up to sixteen children to a node.
 *
 * A level groups sixteen neighbours of the one below; a last group of one is carried up as it is. Wide nodes, because there is one to
 * fifteen leaves where a binary tree has one to each, and because a level's nodes are hashed side by side as the leaves are.
 *
 * What a root stands for is one list of records, while BLAKE2b has no collisions: it is of a record, or of the hashes of a node's children, as
 * many as their length says, and so on down; and the two are personalized, so neither a record nor a node passes for the other. A
 * batch's count is signed beside its root, and (index, count) tell at every level how many siblings there are and where among them the
 * hash stands: a path has one length and one order, and any other proves nothing. */
#include "base/assert.h"
#include "wire/frame.h"

enum { ARITY = FO_MERKLE_ARITY, GROUPS_MAX = (FO_BATCH_EVENTS_MAX + ARITY - 1) / ARITY };

static uint32_t
groups_of(uint32_t count)
{
    return (count + ARITY - 1) / ARITY;
}

/* How many children the group has that begins at `first`. */
static uint32_t
group_size(uint32_t first, uint32_t count)
{
    return count - first < ARITY ? count - first : ARITY;
}

static void
hash_leaves(const struct fo_slice *records, uint32_t count, uint8_t ret_level[][FO_HASH_BYTES])
{
    fo_assert(count >= 1 && count <= FO_BATCH_EVENTS_MAX);
    fo_hash_many(FO_HASHED_RECORD, records, count, ret_level);
}

static uint32_t
level_up(uint8_t level[][FO_HASH_BYTES], uint32_t count)
{
    struct fo_slice children[GROUPS_MAX];
    uint8_t node[GROUPS_MAX][FO_HASH_BYTES];
    uint32_t groups = groups_of(count), hashed = count % ARITY == 1 ? groups - 1 : groups;

    fo_assert(count > 1 && groups <= GROUPS_MAX);
    for (uint32_t i = 0; i < hashed; i++)
        children[i] = fo_slice_of(level[i * ARITY], group_size(i * ARITY, count) * FO_HASH_BYTES);
    fo_hash_many(FO_HASHED_NODE, children, hashed, node);
    if (hashed < groups)
        memcpy(node[hashed], level[count - 1], FO_HASH_BYTES);
    memcpy(level, node, groups * sizeof node[0]);
    return groups;
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
    for (; count > 1; count = level_up(level, count), index /= ARITY) {
        uint32_t first = index - index % ARITY, size = group_size(first, count);

        for (uint32_t i = first; i < first + size; i++)
            if (i != index)
                memcpy(ret_path[path_len++], level[i], FO_HASH_BYTES);
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
    fo_hash(FO_HASHED_RECORD, record, hash);
    for (; count > 1; count = groups_of(count), index /= ARITY) {
        uint32_t at = index % ARITY, size = group_size(index - at, count);
        uint8_t children[ARITY][FO_HASH_BYTES];

        if (size == 1)                  /* carried up as it is */
            continue;
        if (path_len - used < size - 1)
            return false;
        for (uint32_t i = 0; i < size; i++)
            memcpy(children[i], i == at ? hash : path[used++], FO_HASH_BYTES);
        fo_hash(FO_HASHED_NODE, fo_slice_of(children[0], size * FO_HASH_BYTES), hash);
    }
    return used == path_len && memcmp(hash, root, FO_HASH_BYTES) == 0;
}
