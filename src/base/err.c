/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

static const char *const names[FO_ERR_COUNT_] = {
#define NAME(sym, name, text) [FO_ERR_##sym] = name,
    FO_ERR_LIST(NAME)
#undef NAME
};
static const char *const texts[FO_ERR_COUNT_] = {
#define TEXT(sym, name, text) [FO_ERR_##sym] = text,
    FO_ERR_LIST(TEXT)
#undef TEXT
};

const char *
fo_err_name(enum fo_err err)
{
    return (unsigned)err < FO_ERR_COUNT_ ? names[err] : "internal";
}

const char *
fo_err_text(enum fo_err err)
{
    return (unsigned)err < FO_ERR_COUNT_ ? texts[err] : "unknown error";
}
