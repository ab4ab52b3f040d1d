#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves the shape of the code: which layer may include which, that the core needs nothing but base, and sizes.

Reads the sources, and with FANOUT_BUILD set also the core's object files there. Runs alone: tests/layers_test.py
"""
import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# base <- core <- wire <- broker <- cmd; adapters hang off the ports. Each layer: what it may include besides itself.
MAY_INCLUDE = {
    "base": set(),
    "core": {"base"},
    "wire": {"base", "core"},
    "ports": {"base", "core", "wire"},
    "broker": {"base", "core", "wire", "ports"},
    "client": {"base", "wire"},
    "adapter": {"base", "core", "wire", "ports", "broker"},
    "cmd": {"base", "core", "wire", "ports", "broker", "adapter", "client"},
}

# The one library, or two that belong together, that a layer's files may use; "adapter" is checked file by file below.
LIBRARY_OF_HEADER = {
    "nng/": "nng", "mbedtls/": "mbedtls", "libpq-fe.h": "libpq", "postgres_ext.h": "libpq", "cyaml/": "libcyaml", "jansson.h": "jansson",
    "msgpack": "msgpack", "sodium": "libsodium", "sqlite3.h": "sqlite", "microhttpd.h": "libmicrohttpd",
}
# jansson's json_t is the form in which answers are built, in every layer that builds one.
LIBRARIES_OF_LAYER = {
    "base": set(), "core": set(), "ports": set(),
    "wire": {"jansson", "msgpack", "libsodium"},
    "broker": {"jansson"},
    "client": {"nng", "jansson"},
    "cmd": {"jansson", "nng", "libpq", "libsodium"},
}
# What libc gives that neither waits, nor reads a clock, nor touches the world: all that core may include.
PURE_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "limits.h", "inttypes.h", "stdalign.h", "assert.h",
                "emmintrin.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def sources(*suffixes):
    return sorted(p for p in SRC.rglob("*") if p.suffix in suffixes)


def name(path):
    return path.relative_to(ROOT).as_posix()


def layer(path):
    return path.relative_to(SRC).parts[0]


def includes(path):
    """(is_ours, text) of each include directive."""
    return [(mark == '"', text) for mark, text in INCLUDE.findall(path.read_text(encoding="utf-8"))]


def resolve(path, text):
    """The file that a quoted include means: from src, from include/, or beside the includer."""
    for base in (SRC, ROOT / "include", path.parent):
        if (base / text).is_file():
            return (base / text).resolve()
    return None


def library(text):
    return next((lib for prefix, lib in LIBRARY_OF_HEADER.items() if text.startswith(prefix)), None)


def without_comments(text):
    """The same text with comments, strings and character constants blanked, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(text):
    """(first line, length in lines) of each function: in this style its braces stand in column one."""
    lines = without_comments(text).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{") and start is None:
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


class Layers(unittest.TestCase):
    def test_includes_run_one_way(self):
        wrong = []
        for path in sources(".c", ".h"):
            allowed = MAY_INCLUDE.get(layer(path))
            self.assertIsNotNone(allowed, f"{name(path)}: src/{layer(path)} is no layer")
            for is_ours, text in includes(path):
                target = resolve(path, text) if is_ours else None
                if target is None or SRC not in target.parents:
                    continue
                if layer(target) not in allowed | {layer(path)}:
                    wrong.append(f"{name(path)} includes {name(target)}: {layer(path)} may not know {layer(target)}")
        self.assertEqual(wrong, [])

    def test_quoted_includes_exist(self):
        generated = {"schemas_builtin.h"}
        wrong = [f'{name(p)}: "{text}"' for p in sources(".c", ".h") for is_ours, text in includes(p)
                 if is_ours and resolve(p, text) is None and Path(text).suffix == ".h" and Path(text).name not in generated]
        self.assertEqual(wrong, [])

    def test_no_include_cycles(self):
        edges = {p: [t for t in (resolve(p, text) for is_ours, text in includes(p) if is_ours) if t] for p in sources(".c", ".h")}
        done, cycles = set(), []

        def visit(path, trail):
            if path in trail:
                cycles.append(" -> ".join(name(p) for p in trail[trail.index(path):] + [path]))
            elif path not in done:
                for target in edges.get(path, []):
                    visit(target, trail + [path])
                done.add(path)

        for path in edges:
            visit(path, [])
        self.assertEqual(cycles, [])

    def test_libraries_stay_where_they_belong(self):
        wrong = []
        for path in sources(".c", ".h"):
            used = {library(text) for is_ours, text in includes(path) if not is_ours} - {None}
            if layer(path) == "adapter":
                used -= {"jansson"}
                if len(used) > 1:
                    wrong.append(f"{name(path)}: one library per adapter file, not {sorted(used)}")
            elif not used <= LIBRARIES_OF_LAYER[layer(path)]:
                wrong.append(f"{name(path)}: {layer(path)} uses {sorted(used - LIBRARIES_OF_LAYER[layer(path)])}")
        self.assertEqual(wrong, [])

    def test_core_includes_nothing_that_acts(self):
        wrong = [f"{name(p)}: <{text}>" for p in sources(".c", ".h") if layer(p) == "core"
                 for is_ours, text in includes(p) if not is_ours and text not in PURE_HEADERS]
        self.assertEqual(wrong, [])

    def test_core_objects_need_only_base(self):
        build = os.environ.get("FANOUT_BUILD")
        if not build:
            self.skipTest("FANOUT_BUILD is not set")
        core, base = (sorted((Path(build) / "src" / part).glob(f"lib{part}.a.p/*.o")) for part in ("core", "base"))
        self.assertTrue(core, "no core objects in the build directory")
        defined = set()
        for obj in core + base:
            defined |= symbols(obj, "--defined-only")
        instrumentation = re.compile(r"_*(asan|ubsan|gcov|stack_chk|gmon|sanitizer)|_GLOBAL_OFFSET_TABLE_")
        wrong = [f"{obj.name}: {s}" for obj in core for s in sorted(symbols(obj, "--undefined-only"))
                 if s not in defined and not re.fullmatch(r"mem(cpy|move|set|cmp|chr)", s) and not instrumentation.match(s)]
        self.assertEqual(wrong, [])


def symbols(obj, which):
    out = subprocess.run(["nm", "--format=posix", which, str(obj)], check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in out.splitlines() if line.strip()}


class Sizes(unittest.TestCase):
    def all_c(self):
        return sources(".c", ".h") + sorted(p for top in ("tests", "bench", "include", "examples") if (ROOT / top).is_dir()
                                            for p in (ROOT / top).rglob("*.[ch]"))

    def test_files_are_short(self):
        limit = {".c": 600, ".h": 150}
        wrong = [f"{name(p)}: {n} lines" for p in self.all_c()
                 if (n := p.read_text(encoding="utf-8").count("\n")) > limit[p.suffix]]
        self.assertEqual(wrong, [])

    def test_functions_are_short(self):
        wrong = [f"{name(p)}:{line}: {length} lines" for p in self.all_c() if p.suffix == ".c"
                 for line, length in functions(p.read_text(encoding="utf-8")) if length > 70]
        self.assertEqual(wrong, [])

    def test_each_source_says_its_licence(self):
        wrong = [name(p) for p in self.all_c() if "SPDX-License-Identifier: Apache-2.0" not in p.read_text(encoding="utf-8")[:200]]
        self.assertEqual(wrong, [])

    def test_nothing_is_left_for_later(self):
        marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
        wrong = [f"{name(p)}:{number}" for p in self.all_c()
                 for number, line in enumerate(p.read_text(encoding="utf-8").split("\n"), 1) if marks.search(line)]
        self.assertEqual(wrong, [])

    def test_the_parser_sees_a_long_function(self):
        body = "int\nf(void)\n{\n" + "    g();\n" * 80 + "}\n"
        self.assertEqual([length for _, length in functions(body)], [82])


if __name__ == "__main__":
    unittest.main()
