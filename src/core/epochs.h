/* SPDX-License-Identifier: Apache-2.0
 *
 * The epochs of this region's own sequences: an epoch begins when the data directory is made, and again after a
 * restart that may have lost acknowledged-to-nobody, unsynced batches. An ack that speaks of an older epoch counts only
 * as far as that epoch's sequences were kept.
 *
 * Pure. */
#pragma once
#include "base/names.h"

#define FO_EPOCH_FORGOTTEN 1            /* as said to others: lower than any that there is, of what was given out before those that the list has */
#define FO_EPOCHS_MAX 16                /* the newest are kept; an ack of a forgotten one settles nothing */
struct fo_epoch { uint64_t epoch, first_seq[FO_LANES]; };
struct fo_epochs { struct fo_epoch list[FO_EPOCHS_MAX]; unsigned count; };  /* ascending */

/* epoch is above the newest. */
void fo_epochs_begin(struct fo_epochs *e, uint64_t epoch, const uint64_t first_seq[FO_LANES]);
static inline uint64_t fo_epochs_current(const struct fo_epochs *e) { return e->count ? e->list[e->count - 1].epoch : 0; }
/* The epoch in which a sequence of today's was given out; 0 for sequence 0, and where the list no longer reaches. */
uint64_t fo_epochs_of(const struct fo_epochs *e, enum fo_lane lane, uint64_t seq);
/* The same as it is said to a peer: FO_EPOCH_FORGOTTEN where the list no longer reaches. */
uint64_t fo_epochs_said(const struct fo_epochs *e, enum fo_lane lane, uint64_t seq);
/* What a batch of `epoch` says of its previous sequence's epoch: 0 when it is the same one or there is none; else as
 * fo_epochs_said. */
uint64_t fo_epochs_prev(const struct fo_epochs *e, enum fo_lane lane, uint64_t epoch, uint64_t prev_seq);
/* How much of a cumulative ack (epoch, cum_seq) in this lane is true of today's sequences. An epoch between those of the list was lost
 * whole: who holds something of it holds what was kept before it. */
uint64_t fo_epochs_clamp(const struct fo_epochs *e, enum fo_lane lane, uint64_t epoch, uint64_t cum_seq);
