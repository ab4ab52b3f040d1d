/* SPDX-License-Identifier: Apache-2.0
 *
 * What this region holds of one lane of another region.
 *
 * Each batch names the sequence before it that targeted us (prev_seq), so the batches for us form a chain without our
 * seeing the others. Only the chain's next batch is taken; what is held is therefore always the whole chain up to one
 * sequence, and that mark says exactly which events are here. A sender that has lost its unsynced tail begins a new
 * epoch, so that a sequence which it gives out a second time is not mistaken for the first.
 *
 *   durable.seq <= staged.seq within one epoch
 *
 * Pure. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct fo_mark { uint64_t epoch, seq; };
struct fo_chain { struct fo_mark staged, durable; };

/* What a batch says of itself. prev: the last sequence before it that was for us, and the epoch it was given out in; both 0: none. */
struct fo_chain_batch { uint64_t epoch; struct fo_mark prev; uint64_t first_seq, last_seq; };

/* FO_OK: next in the chain, or behind its end with nothing for us between (a sender that knew us no more for a while).
 * FO_ERR_STALE: held already, ack it again. FO_ERR_GAP: an earlier batch is missing. FO_ERR_PROTO: contradicts itself, or
 * overlaps what is held without continuing it: no honest sender makes that. */
FO_MUST_CHECK enum fo_err fo_chain_judge(const struct fo_chain *c, const struct fo_chain_batch *b);
/* The sender has our ack up to that mark (epoch 0: it does not say which; FO_EPOCH_FORGOTTEN: sequences alone are compared) and will not repeat what is below; if we hold less, we have lost it, and go on from there.
 * True: the chain has moved. Nothing is done while something staged is not durable. */
bool fo_chain_skip(struct fo_chain *c, struct fo_mark settled);
/* Taken: handed to the journal. Only after FO_OK from judge. */
void fo_chain_stage(struct fo_chain *c, uint64_t epoch, uint64_t last_seq);
/* The journal has it. Marks come in the order of staging. */
void fo_chain_stored(struct fo_chain *c, uint64_t epoch, uint64_t last_seq);
