/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter/x509_dates.h"

#include <mbedtls/x509_crt.h>
#include <time.h>
#include <unistd.h>

static struct fo_wall
wall_of(const mbedtls_x509_time *t)
{
    struct tm tm = { .tm_year = t->year - 1900, .tm_mon = t->mon - 1, .tm_mday = t->day, .tm_hour = t->hour, .tm_min = t->min, .tm_sec = t->sec };

    return (struct fo_wall){ (int64_t)timegm(&tm) * 1000000 };
}

enum fo_err
fo_x509_dates(const char *path, enum fo_x509_pick pick, struct fo_x509_dates *ret_dates)
{
    struct fo_x509_dates found = { 0 };
    mbedtls_x509_crt chain;
    enum fo_err err = FO_OK;

    if (access(path, R_OK) != 0)
        return FO_ERR_NOT_FOUND;
    mbedtls_x509_crt_init(&chain);
    if (mbedtls_x509_crt_parse_file(&chain, path) != 0)     /* above 0: so many of them are damaged */
        err = FO_ERR_PARSE;
    for (const mbedtls_x509_crt *c = &chain; err == FO_OK && c != NULL; c = c->next) {
        struct fo_x509_dates d = { wall_of(&c->valid_from), wall_of(&c->valid_to) };

        if (c == &chain || (pick == FO_X509_LONGEST && d.not_after.us > found.not_after.us))
            found = d;
    }
    mbedtls_x509_crt_free(&chain);
    if (err == FO_OK)
        *ret_dates = found;
    return err;
}
