#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a build: Meson's unit tests, the layer test, the integration tests; then coverage. See tests/run.

A test program is one line of progress; its cases are what is counted. What it says in lines that begin with "count: " is shown
below it; a failing program's output in full.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNIT_TIMEOUT_S, LONG_TIMEOUT_S, PROGRAM_TIMEOUT_S = 180, 300, 400


@dataclass
class Result:
    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    output: str


def tap_counts(output, is_failed):
    """Cases in TAP output; a program that ended badly without saying which case failed counts as one failure."""
    skipped = len(re.findall(r"^ok\b.*# SKIP", output, re.M | re.I))
    passed = len(re.findall(r"^ok\b", output, re.M)) - skipped
    failed = len(re.findall(r"^not ok\b", output, re.M))
    if is_failed and not failed:
        failed = 1
    if not is_failed and passed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def unit_tests(build, patterns, is_quick, report):
    """Runs them; the names of those that --quick leaves out."""
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", str(build)], check=True, capture_output=True, text=True).stdout)
    tests = [t for t in listed if matches(" ".join([t["name"], *t["cmd"][-1:]]), patterns)]
    left_out = [t["name"] for t in tests if is_quick and t["timeout"] >= LONG_TIMEOUT_S]
    tests = [t for t in tests if t["name"] not in left_out]
    tests.sort(key=lambda t: -t["timeout"])     # the long ones first, so that none is left alone at the end
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", G_DEBUG="", **sanitizer_options())

    def run(test):
        started = time.monotonic()
        try:
            done = subprocess.run(test["cmd"], cwd=test["workdir"] or build, env={**env, **test["env"]}, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=max(UNIT_TIMEOUT_S, test["timeout"]), errors="replace", text=True)
            output, is_failed = done.stdout, done.returncode != 0
            if is_failed:
                output += f"\nexit status {done.returncode}\n"
        except subprocess.TimeoutExpired as error:
            output, is_failed = text_of(error.stdout) + "\nno end in sight: stopped\n", True
        label = f"{Path(test['cmd'][0]).name}" if len(test["cmd"]) == 1 else test["name"]
        report(Result(label, *tap_counts(output, is_failed), time.monotonic() - started, output))

    with concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
        list(pool.map(run, tests))
    return left_out


def python_tests(build, files, report, workers):
    env = dict(os.environ, FANOUT_BUILD=str(build), PYTHONDONTWRITEBYTECODE="1", **sanitizer_options())

    def run(path):
        started = time.monotonic()
        with tempfile.NamedTemporaryFile("r", suffix=".json") as counts:
            command = [sys.executable, str(ROOT / "tests/one.py"), str(path), counts.name]
            try:
                done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", text=True,
                                      timeout=PROGRAM_TIMEOUT_S)
                output = done.stdout
            except subprocess.TimeoutExpired as error:
                output = text_of(error.stdout) + "\nno end in sight: stopped\n"
            text = counts.read()
        passed, failed, skipped = json.loads(text) if text else (0, 1, 0)
        report(Result(path.stem, passed, failed, skipped, time.monotonic() - started, output))

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, files))


def text_of(output):
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def jobs():
    return os.cpu_count() or 1


def matches(text, patterns):
    return not patterns or any(p in text for p in patterns)


def sanitizer_options():
    return {
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:" + os.environ.get("ASAN_OPTIONS", ""),
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:" + os.environ.get("UBSAN_OPTIONS", ""),
    }


def is_slow(path):
    return re.search(r"^SLOW = True", path.read_text(), re.M) is not None


def coverage(build):
    """Lines that the tests ran, by directory."""
    print("== coverage: lines run by these tests", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "coverage.json"
        done = subprocess.run(["gcovr", "--root", str(ROOT), "--filter", str(ROOT / "src") + "/", "--exclude-unreachable-branches",
                               "--gcov-ignore-parse-errors", "-j", str(jobs()), "--json-summary", str(out), str(build)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0 or not out.exists():
            print("coverage could not be read:\n" + done.stdout[-2000:])
            return
        files = json.loads(out.read_text())["files"]
    totals = {}
    for entry in files:
        folder = str(Path(entry["filename"]).parent)
        for key in (folder, "all"):
            lines, covered = totals.get(key, (0, 0))
            totals[key] = lines + entry["line_total"], covered + entry["line_covered"]
    for folder, (lines, covered) in sorted(totals.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"   {folder:24} {covered:6} of {lines:6} lines  {100 * covered / max(1, lines):5.1f} %")


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)    # a shell's background job has it ignored, and so would what is tested
    parser = argparse.ArgumentParser(description="Runs the tests of a build directory.")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-coverage", dest="coverage", action="store_false")
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args()
    build = args.build.resolve()
    results = []

    def report(result):
        results.append(result)
        counts = f"{result.passed} passed" + (f", {result.failed} FAILED" if result.failed else "") \
            + (f", {result.skipped} skipped" if result.skipped else "")
        print(f"   {result.name:34} {counts:28} {result.seconds:6.1f} s", flush=True)
        for line in re.findall(r"^count: (.*)$", result.output, re.M):
            print(f"      {line}", flush=True)
        if result.failed:
            print(result.output, flush=True)

    for old in build.rglob("*.gcda"):
        old.unlink()
    print("== unit tests", flush=True)
    left_out = unit_tests(build, args.patterns, args.quick, report)
    print("== layers, vectors", flush=True)
    python_tests(build, [p for p in sorted((ROOT / "tests").glob("*_test.py")) if matches(p.stem, args.patterns)], report, 1)

    print("== integration tests: real brokers, files and sockets", flush=True)
    files = sorted(p for folder in ("integration", "crash") for p in (ROOT / "tests" / folder).glob("test_*.py") if matches(p.stem, args.patterns))
    slow = {p for p in files if args.quick and is_slow(p)}
    left_out += [p.stem for p in slow]
    for name in sorted(left_out):
        print(f"   {name:34} left out by --quick")
    # Most of them wait more than they compute; the slow ones go first so that none is left alone at the end.
    python_tests(build, sorted(set(files) - slow, key=lambda p: (not is_slow(p), p)), report, jobs())

    if args.coverage and shutil.which("gcovr"):
        coverage(build)
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results) + len(left_out)
    if failed:
        print("== failed: " + ", ".join(sorted(r.name for r in results if r.failed)))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
