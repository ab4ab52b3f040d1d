/* SPDX-License-Identifier: Apache-2.0
 *
 * libpq, loaded when a ledger is configured and not before: with what Debian's libpq brings along (Kerberos, LDAP, GnuTLS) it is a third of
 * an idle broker's memory. A member is called as the function is, without its PQ: fo_pq.clear(res). */
#pragma once
#include <libpq-fe.h>
#include "wire/error.h"

#define FO_PQ_LIST(X) \
    X(clear) X(cmdTuples) X(connectdbParams) X(consumeInput) X(errorMessage) X(finish) X(flush) X(getResult) X(getvalue) X(isBusy) \
    X(ntuples) X(parameterStatus) X(putCopyData) X(putCopyEnd) X(resultErrorField) X(resultStatus) X(sendQuery) X(sendQueryParams) \
    X(setNoticeReceiver) X(setnonblocking) X(socket) X(status)

struct fo_pq_calls {
#define FO_PQ_MEMBER(name) __typeof__(&PQ##name) name;
    FO_PQ_LIST(FO_PQ_MEMBER)
#undef FO_PQ_MEMBER
};

extern struct fo_pq_calls fo_pq;        /* nulls until loaded */
/* Before the first call, and before there are threads that call; again is harmless. FO_ERR_NOT_FOUND: ret_fault says what is missing. */
FO_MUST_CHECK enum fo_err fo_pq_load(struct fo_fault *ret_fault);
