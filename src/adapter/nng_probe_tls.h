/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "adapter/nng_parts.h"

enum fo_nng_life {
    FO_NNG_SERVES,
    FO_NNG_DEAF,                        /* shakes hands, greets, and does not listen */
    FO_NNG_SILENT,                      /* not even that: overload rather than death */
};

/* Knocks at a tls+tcp listener of this process, as the watchdog's probe does at a plain one. Blocks, for up to some 6 s when nothing comes. */
enum fo_nng_life fo_nng_probe_tls(const struct fo_nng_listener *l);
