#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mutate.py SOURCE OUT OLD NEW: copies a source file with one deliberate bug in it. OLD stands in it exactly once."""
import sys

source, out, old, new = sys.argv[1:]
with open(source, encoding="utf-8") as f:
    text = f.read()
if text.count(old) != 1:
    sys.exit(f"{source}: the mutant's place was found {text.count(old)} times, not once: {old}")
with open(out, "w", encoding="utf-8") as f:
    f.write(text.replace(old, new))
