/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "adapter/journal_write.h"

/* The writer thread; arg: struct fo_journal_writer. */
void *fo_journal_flush_main(void *arg);
