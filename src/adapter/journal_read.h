/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers: each with a descriptor and a buffer of its own, below the durable LSN only. */
#pragma once
#include "adapter/journal_write.h"

/* As in ports/journal.h. */
FO_MUST_CHECK enum fo_err fo_reader_create(struct fo_segments *s, const struct fo_journal_writer *w, _Atomic unsigned *reader_count,
    uint64_t lsn, struct fo_journal_reader **ret_reader);
void fo_reader_destroy(struct fo_journal_reader *r);
FO_MUST_CHECK enum fo_err fo_reader_next(struct fo_journal_reader *r, unsigned lane_mask, unsigned type_mask, struct fo_record *ret_rec);
FO_MUST_CHECK enum fo_err fo_reader_seek(struct fo_journal_reader *r, uint64_t lsn);
uint64_t fo_reader_lsn(const struct fo_journal_reader *r);
