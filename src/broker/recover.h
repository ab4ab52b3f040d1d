/* SPDX-License-Identifier: Apache-2.0
 *
 * From the journal back to memory: the newest checkpoint, then every record after it, through the same apply functions that ran
 * when they were appended. */
#pragma once
#include "broker/receive.h"
#include "broker/state.h"
#include "core/dedupe.h"

struct fo_replay_report { uint64_t records, events, damaged, exceptions_again; };

/* checkpoint_lsn: of the newest CHECKPOINT record, or the journal's first record; durable_lsn: its end. new_epoch: the data directory's;
 * begun here if it is later than the records'.
 * Restores state, dedupe and the receiver's unsettled exceptions. FO_ERR_CORRUPT: the checkpoint cannot be read. */
FO_MUST_CHECK enum fo_err fo_recover(struct fo_context *ctx, uint64_t checkpoint_lsn, uint64_t durable_lsn, uint64_t new_epoch,
    const uint8_t *fingerprint_key, struct fo_state *ret_state, struct fo_dedupe *dedupe, struct fo_receive *receive, struct fo_replay_report *ret_report);
