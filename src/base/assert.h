/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions for our own mistakes; they stay on in production. What a peer or the world gets
 * wrong is an error, never an assertion. */
#pragma once

_Noreturn void fo_assert_failed(const char *expr, const char *file, int line);

#define fo_assert(expr) \
    ((expr) ? (void)0 : fo_assert_failed(#expr, __FILE__, __LINE__))
