/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

extern bool keys_are_real;              /* false: a keyed hash stands in for Ed25519 */
void keys_fini(void);
