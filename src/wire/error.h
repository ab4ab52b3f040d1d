/* SPDX-License-Identifier: Apache-2.0
 *
 * What was wrong, where, and what was expected: filled in by decoders, sent to publishers. */
#pragma once
#include "base/err.h"

struct fo_fault {
    enum fo_err err;
    char path[128];     /* field's path, "data.items[3].price"; empty: the message as a whole */
    char text[192];     /* what is expected there, one sentence without a full stop */
};

/* Fills ret_fault and returns err, so that a decoder can `return fo_fault_set(...)`. */
__attribute__((format(printf, 4, 5)))
enum fo_err fo_fault_set(struct fo_fault *ret_fault, enum fo_err err, const char *path, const char *fmt, ...);
