/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to the door's requests. */
#pragma once
#include "broker/context.h"
#include "wire/door.h"

/* Sends what was encoded; if that failed, logs it and sends that it did. */
void fo_answer_send(const struct fo_context *c, uint64_t request, enum fo_encoding enc, enum fo_err err, struct fo_slice answer);
/* Sends an error. retry_ms 0: not worth repeating. */
void fo_answer_refuse(const struct fo_context *c, uint64_t request, enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_ms);
