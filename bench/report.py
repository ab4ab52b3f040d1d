# SPDX-License-Identifier: Apache-2.0
"""What all benchmarks have: a release build of their own, measurements kept as JSON lines, and tables in Markdown."""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-bench"


def make(build, *targets):
    """A release build of its own: what is measured is what would run. A target that cannot be built here is left out."""
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", "--buildtype=release", "-Db_lto=true", build, ROOT], check=True, stdout=subprocess.DEVNULL)
    known = subprocess.run(["ninja", "-C", build, "-t", "targets", "all"], check=True, capture_output=True, text=True).stdout
    wanted = [t for t in ("src/cmd/fanoutd", "src/cmd/fanout", *targets) if f"\n{t}:" in known]
    done = subprocess.run(["ninja", "-C", build, *wanted], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-3000:])


class Results:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.rows = []

    def add(self, line):
        self.rows.append(json.loads(line))
        print(line, file=self.file, flush=True)

    def of(self, peer, metric):
        return [r["value"] for r in self.rows if r["peer"] == peer and r["metric"] == metric]

    def median(self, peer, metric):
        values = self.of(peer, metric)
        return statistics.median(values) if values else None


def headline(began=None):
    """When, where, and how it was called."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1048576
    began = began or datetime.datetime.now(datetime.timezone.utc)
    command = " ".join(["bench/" + Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"{began:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores of {cpu}, {memory} GiB, Linux {platform.release()}. `{command}`"


def row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def number(value, form="{:.0f}"):
    return "" if value is None else form.format(value)


def short(value):
    return "" if value is None else f"{value:.2g}" if 0 < value < 9.95 else f"{value:,.0f}"
