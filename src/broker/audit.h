/* SPDX-License-Identifier: Apache-2.0
 *
 * What this region can state about the events of a time, from its own journal alone: as their source, what it accepted and what the acks say became
 * of it; as a target, what it holds of one source. Made by a walk; memory does not grow with the range. */
#pragma once
#include "broker/query.h"

/* The answer to an audit request: a sealed statement, or one page of a list. FO_ERR_UNKNOWN_REGION: source or target is none we know. */
FO_MUST_CHECK enum fo_err fo_audit_make(const struct fo_query_view *v, const struct fo_audit_query *q, struct json_t **ret_json);
/* The statement alone, not yet sealed. */
FO_MUST_CHECK enum fo_err fo_audit_state(const struct fo_query_view *v, const struct fo_audit_query *q, struct fo_audit_statement *ret_s);
