#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What libfanout exports is exactly what exports.txt lists: nothing gets out by accident, nothing disappears unnoticed.
# Usage: exports_test.sh LIBRARY EXPORTS
set -eu
found=$(nm -D --defined-only "$1" | awk '{ print $3 }' | grep -Ev '^(__asan_|__odr_asan|__ubsan_|__gcov|mangle_path$|_init$|_fini$)' | LC_ALL=C sort)
listed=$(LC_ALL=C sort "$2")
[ "$found" = "$listed" ] && exit 0
printf '%s\n' "$found" >/dev/stderr
echo "libfanout exports the above; $2 lists something else" >&2
exit 1
