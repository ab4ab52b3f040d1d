#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes C source that holds JSON Schema files as strings: embed_schemas.py OUTPUT.c SCHEMA.json..."""
import json
import os
import sys

output, inputs = sys.argv[1], sys.argv[2:]
with open(output, "w") as out:
    out.write('/* Generated from proto/schemas by embed_schemas.py. */\n#include "wire/schema_node.h"\n\n')
    out.write("const struct fo_builtin_schema fo_builtin_schemas[] = {\n")
    for path in inputs:
        with open(path) as f:
            text = json.dumps(json.load(f), separators=(",", ":"))
        name = os.path.splitext(os.path.basename(path))[0]
        out.write("    { %s,\n" % json.dumps(name))
        for i in range(0, len(text), 100):
            out.write("        %s\n" % json.dumps(text[i:i + 100]))
        out.write("    },\n")
    out.write("};\nconst unsigned fo_builtin_schema_count = sizeof(fo_builtin_schemas) / sizeof(fo_builtin_schemas[0]);\n")
