/* SPDX-License-Identifier: Apache-2.0
 *
 * See tls.h. */
#include "client/tls.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
fo_tls_is_address(const char *address)
{
    return strncmp(address, "tls+tcp://", 10) == 0;
}

enum fo_err
fo_tls_name(const char *address, const char *name, char ret_name[FO_TLS_NAME_BYTES_MAX + 1])
{
    nng_url *url = NULL;
    bool is_fit;
    size_t n;

    if (name == NULL && nng_url_parse(&url, address) == 0)
        name = url->u_hostname;         /* an IPv6 address without its brackets */
    n = name != NULL ? strlen(name) : 0;
    is_fit = n > 0 && n <= FO_TLS_NAME_BYTES_MAX;
    if (is_fit)
        memcpy(ret_name, name, n + 1);
    if (url != NULL)
        nng_url_free(url);
    return is_fit ? FO_OK : FO_ERR_INVALID;
}

/* NNG wants certificate and key in one file; here they are read from two. */
static enum fo_err
set_own(nng_tls_config *tls, const char *cert, const char *key, char *ret_why)
{
    char *text[2] = { NULL, NULL };
    const char *path[2] = { cert, key != NULL ? key : cert };
    enum fo_err err = FO_ERR_INVALID;
    int rv;

    for (int i = 0; i < 2; i++) {
        size_t room = 0;
        FILE *f = fopen(path[i], "r");
        ssize_t n = f != NULL ? getdelim(&text[i], &room, '\0', f) : -1;
        if (f != NULL)
            fclose(f);
        if (n <= 0) {
            snprintf(ret_why, FO_TLS_WHY_BYTES, "%.200s: cannot be read", path[i]);
            goto cleanup;
        }
    }
    rv = nng_tls_config_own_cert(tls, text[0], text[1], NULL);
    if (rv != 0) {
        snprintf(ret_why, FO_TLS_WHY_BYTES, "%.90s and %.90s: not a certificate with its key: %s", path[0], path[1], nng_strerror(rv));
        goto cleanup;
    }
    err = FO_OK;
cleanup:
    if (text[1] != NULL)
        explicit_bzero(text[1], strlen(text[1]));
    free(text[0]);
    free(text[1]);
    return err;
}

enum fo_err
fo_tls_client(const struct fo_tls_files *files, const char *name, nng_tls_config **ret_config, char *ret_why)
{
    nng_tls_config *tls;
    enum fo_err err;
    int rv;

    if (nng_tls_config_alloc(&tls, NNG_TLS_MODE_CLIENT) != 0)
        return FO_ERR_NO_MEMORY;
    if ((rv = nng_tls_config_ca_file(tls, files->ca)) != 0) {
        snprintf(ret_why, FO_TLS_WHY_BYTES, "%.180s: cannot be used as a TLS authority: %s", files->ca, nng_strerror(rv));
        err = FO_ERR_INVALID;
    } else if (nng_tls_config_auth_mode(tls, name != NULL ? NNG_TLS_AUTH_MODE_REQUIRED : NNG_TLS_AUTH_MODE_OPTIONAL) != 0
        || (name != NULL && nng_tls_config_server_name(tls, name) != 0)) {
        err = FO_ERR_NO_MEMORY;
    } else {
        err = files->cert != NULL ? set_own(tls, files->cert, files->key, ret_why) : FO_OK;
    }
    if (err == FO_OK)
        *ret_config = tls;
    else
        nng_tls_config_free(tls);
    return err;
}
