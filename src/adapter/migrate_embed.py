#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the migrations part of the program: migrate_embed.py OUT.c deploy/sql/0001_name.sql ..."""
import re
import sys
from pathlib import Path

out, inputs = Path(sys.argv[1]), sorted(map(Path, sys.argv[2:]), key=lambda p: p.name)
parts = ['/* Made by migrate_embed.py from deploy/sql. */\n#include "adapter/migrate_pg.h"\n']
rows = []
for number, path in enumerate(inputs, 1):
    match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
    if not match or int(match[1]) != number:
        sys.exit(f"{path}: expected the name {number:04d}_NAME.sql")
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    quoted = ("".join('\\"' if c == '"' else "\\\\" if c == "\\" else "\\n" if c == "\n" else c for c in line) for line in lines)
    parts.append(f"static const char sql_{number}[] =\n" + "".join(f'    "{line}"\n' for line in quoted) + "    ;\n")
    rows.append(f'    {{ {number}, "{match[2]}", sql_{number} }},\n')
parts.append("const struct fo_migration fo_migrations[] = {\n" + "".join(rows) + "};\n")
parts.append(f"const unsigned fo_migrations_count = {len(rows)};\n")
out.write_text("\n".join(parts), encoding="ascii")
