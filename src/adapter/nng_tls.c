/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS for tls+tcp:// URLs, always mutual. NNG says only that a certificate or key was bad, not which; so the files are read
 * here and tried one at a time. A server's certificate must name the host of the URL as a DNS name: mbedTLS 2.28 does
 * not look at IP addresses in certificates. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter/nng_parts.h"

enum { PEM_BYTES_MAX = 1 << 20 };

bool
fo_nng_url_is_tls(const char *url)
{
    return strncmp(url, "tls+tcp://", 10) == 0;
}

static enum fo_err
read_pem(const char *path, const char *key, const char *marker, bool is_secret, char **ret_text, struct fo_fault *ret_fault)
{
    enum fo_err err = FO_OK;
    FILE *file = fopen(path, "re");
    struct stat st;
    char *text = NULL;
    size_t n;

    if (file == NULL)
        return fo_fault_set(ret_fault, errno == EACCES ? FO_ERR_PERMISSION : FO_ERR_CONFIG, key, "cannot read %s: %s", path,
            strerror(errno));
    if (is_secret && fstat(fileno(file), &st) == 0 && (st.st_mode & S_IRWXO) != 0) {
        err = fo_fault_set(ret_fault, FO_ERR_PERMISSION, key, "%s is open to everybody; run chmod 600 on it", path);
        goto cleanup;
    }
    text = malloc(PEM_BYTES_MAX + 1);
    if (text == NULL) {
        err = fo_fault_set(ret_fault, FO_ERR_NO_MEMORY, key, "out of memory");
        goto cleanup;
    }
    n = fread(text, 1, PEM_BYTES_MAX, file);
    text[n] = '\0';
    if (ferror(file) || !feof(file) || strlen(text) != n || strstr(text, marker) == NULL) {
        err = fo_fault_set(ret_fault, FO_ERR_CONFIG, key, "%s is not a PEM file with a %s in it", path, marker);
        goto cleanup;
    }
    *ret_text = text;
    text = NULL;
cleanup:
    if (text != NULL)
        explicit_bzero(text, PEM_BYTES_MAX);
    free(text);
    fclose(file);
    return err;
}

/* Tries each file by itself, so that the error can name it. */
static enum fo_err
try_files(const struct fo_nng_config *config, const struct fo_nng_tls *tls, struct fo_fault *ret_fault)
{
    enum fo_err err = FO_OK;
    nng_tls_config *trial;
    int rv;

    rv = nng_tls_config_alloc(&trial, NNG_TLS_MODE_SERVER);
    if (rv != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), "tls", "NNG has no TLS here: %s", nng_strerror(rv));
    if ((rv = nng_tls_config_ca_chain(trial, tls->ca, NULL)) != 0)
        err = fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls.ca", "%s holds no usable certificate: %s", config->tls.ca, nng_strerror(rv));
    else if ((rv = nng_tls_config_ca_chain(trial, tls->cert, NULL)) != 0)
        err = fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls.cert", "%s holds no usable certificate: %s", config->tls.cert, nng_strerror(rv));
    else if ((rv = nng_tls_config_own_cert(trial, tls->cert, tls->key, NULL)) != 0)
        err = fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls.key", "%s is damaged or encrypted: %s", config->tls.key, nng_strerror(rv));
    nng_tls_config_free(trial);
    return err;
}

enum fo_err
fo_nng_tls_read(const struct fo_nng_config *config, struct fo_nng_tls *ret_tls, struct fo_fault *ret_fault)
{
    struct fo_nng_tls tls = { 0 };
    enum fo_err err;

    if (config->tls.cert == NULL || config->tls.key == NULL || config->tls.ca == NULL)
        return fo_fault_set(ret_fault, FO_ERR_CONFIG, "tls", "tls+tcp:// needs tls.cert, tls.key and tls.ca");
    if ((err = read_pem(config->tls.ca, "tls.ca", "CERTIFICATE-----", false, &tls.ca, ret_fault)) != FO_OK ||
        (err = read_pem(config->tls.cert, "tls.cert", "CERTIFICATE-----", false, &tls.cert, ret_fault)) != FO_OK ||
        (err = read_pem(config->tls.key, "tls.key", "PRIVATE KEY-----", true, &tls.key, ret_fault)) != FO_OK ||
        (err = try_files(config, &tls, ret_fault)) != FO_OK ||
        (err = fo_nng_tls_try(config, &tls, ret_fault)) != FO_OK) {
        fo_nng_tls_fini(&tls);
        return err;
    }
    *ret_tls = tls;
    return FO_OK;
}

enum fo_err
fo_nng_tls_check(const struct fo_nng_config *config, struct fo_fault *ret_fault)
{
    struct fo_nng_tls tls;
    enum fo_err err = fo_nng_tls_read(config, &tls, ret_fault);

    if (err == FO_OK)
        fo_nng_tls_fini(&tls);
    return err;
}

void
fo_nng_tls_fini(struct fo_nng_tls *tls)
{
    if (tls->key != NULL)
        explicit_bzero(tls->key, strlen(tls->key));
    free(tls->cert);
    free(tls->key);
    free(tls->ca);
    *tls = (struct fo_nng_tls){ 0 };
}

static enum fo_err
make_config(const struct fo_nng_tls *tls, nng_tls_mode mode, const char *host, nng_tls_config **ret_config, struct fo_fault *ret_fault)
{
    nng_tls_config *config;
    int rv;

    rv = nng_tls_config_alloc(&config, mode);
    if (rv != 0)
        return fo_fault_set(ret_fault, fo_nng_err(rv), "tls", "%s", nng_strerror(rv));
    if ((rv = nng_tls_config_ca_chain(config, tls->ca, NULL)) != 0 ||
        (rv = nng_tls_config_own_cert(config, tls->cert, tls->key, NULL)) != 0 ||
        (host != NULL && (rv = nng_tls_config_server_name(config, host)) != 0) ||
        (rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED)) != 0) {
        nng_tls_config_free(config);
        return fo_fault_set(ret_fault, fo_nng_err(rv), "tls", "%s", nng_strerror(rv));
    }
    *ret_config = config;
    return FO_OK;
}

enum fo_err
fo_nng_tls_server(const struct fo_nng_tls *tls, nng_tls_config **ret_config, struct fo_fault *ret_fault)
{
    return make_config(tls, NNG_TLS_MODE_SERVER, NULL, ret_config, ret_fault);
}

enum fo_err
fo_nng_tls_client(const struct fo_nng_tls *tls, const char *host, nng_tls_config **ret_config, struct fo_fault *ret_fault)
{
    return make_config(tls, NNG_TLS_MODE_CLIENT, host, ret_config, ret_fault);
}
