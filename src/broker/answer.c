/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/answer.h"

#include "ports/log.h"

void
fo_answer_send(const struct fo_context *c, uint64_t request, enum fo_encoding enc, enum fo_err err, struct fo_slice answer)
{
    if (err != FO_OK)
        fo_log(FO_LOG_ERROR, "answer_failed", FO_E(err));
    c->transport->ops->door_reply(c->transport, request, err == FO_OK ? answer : fo_fallback_answer(enc));
}

void
fo_answer_refuse(const struct fo_context *c, uint64_t request, enum fo_encoding enc, const struct fo_fault *fault, uint32_t retry_ms)
{
    struct fo_buf out;
    enum fo_err err;

    fo_buf_init(&out);
    err = fo_error_answer_encode(enc, fault, retry_ms, &out);
    fo_answer_send(c, request, enc, err, fo_buf_slice(&out));
    fo_buf_fini(&out);
}
