/* SPDX-License-Identifier: Apache-2.0
 *
 * Acks that came after their rows: settles the pending rows they speak of, by range. */
#pragma once
#include "adapter/ledger_pg_write.h"

/* Inside a transaction: applies every late ack of the window. */
FO_MUST_CHECK enum fo_err fo_ledger_late_settle(struct fo_ledger_writer *wr);
