/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS configurations for tls+tcp:// addresses. NNG checks a certificate's name only against the configuration's server name, and sets
 * none by itself in a configuration that it is given; so there is one per address. Any thread. */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct nng_tls_config;

enum { FO_TLS_NAME_BYTES_MAX = 255, FO_TLS_WHY_BYTES = 256 };

struct fo_tls_files {                   /* paths of PEM files */
    const char *ca;                     /* authority that the broker's certificate must lead to */
    const char *cert;                   /* shown to the broker; null: none */
    const char *key;                    /* of cert; null: in cert's file, too */
};

bool fo_tls_is_address(const char *address);
/* What the broker's certificate must name: name, or the address's host when name is null. The host's comparison is of texts, for IP
 * addresses too: mbedTLS 2.28 looks at a certificate's DNS names alone. FO_ERR_INVALID: no address, or no name. */
FO_MUST_CHECK enum fo_err fo_tls_name(const char *address, const char *name, char ret_name[FO_TLS_NAME_BYTES_MAX + 1]);
/* A client's configuration, the caller's (nng_tls_config_free). name: that the broker's certificate must have. Null: for asking why a
 * connection does not come about, and nothing else: whoever answers is accepted, and NNG_OPT_TLS_VERIFIED tells whether its
 * certificate is of the authority. FO_ERR_INVALID with the reason in ret_why (FO_TLS_WHY_BYTES), FO_ERR_NO_MEMORY. */
FO_MUST_CHECK enum fo_err fo_tls_client(const struct fo_tls_files *files, const char *name, struct nng_tls_config **ret_config, char *ret_why);
