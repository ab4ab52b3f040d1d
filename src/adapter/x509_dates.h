/* SPDX-License-Identifier: Apache-2.0
 *
 * From when to when a certificate is good. NNG says only that a handshake failed. */
#pragma once
#include "base/err.h"
#include "base/time.h"

struct fo_x509_dates { struct fo_wall not_before, not_after; };

enum fo_x509_pick {
    FO_X509_FIRST,      /* of a chain, the one that is shown to others */
    FO_X509_LONGEST,    /* of several authorities, the one that is good longest */
};

/* Of a certificate in a PEM file. FO_ERR_NOT_FOUND: the file cannot be read; FO_ERR_PARSE: it holds no certificate, or a damaged one. */
FO_MUST_CHECK enum fo_err fo_x509_dates(const char *path, enum fo_x509_pick pick, struct fo_x509_dates *ret_dates);
