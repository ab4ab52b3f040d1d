/* SPDX-License-Identifier: Apache-2.0
 *
 * Code that works on as many messages side by side as a vector has 64-bit lanes is built once for each width of vectors, with the
 * compiler's option for it (meson.build): FO_VEC_LANES says how many lanes, FO_VEC_WIDTH which width. */
#pragma once
#include <stddef.h>

#define FO_VEC_PASTE(function, width) function##_##width
#define FO_VEC_FUNCTION(function, width) FO_VEC_PASTE(function, width)

#if defined(__x86_64__)
/* That function in the widest form that this CPU can do; null: none. */
#define FO_VEC_OF_THIS_CPU(function)                                                                                          \
    (__builtin_cpu_supports("avx512f") ? function##_avx512 : __builtin_cpu_supports("avx2") ? function##_avx2 : NULL)
#else
#define FO_VEC_OF_THIS_CPU(function) NULL
#endif
