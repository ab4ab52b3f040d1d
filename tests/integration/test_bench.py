# SPDX-License-Identifier: Apache-2.0
"""Each benchmark at tiny size, in a network of its own where that is allowed: what they say of speed is not looked at, but that
every event arrived once, in order, and every row is right, they must find themselves."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from lib.cluster import BUILD, ROOT

SLOW = True
BENCH = ROOT / "bench"


def rows(text):
    """Of all Markdown tables: the cells, by the first one."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    return {c[0]: c[1:] for c in cells}


class Bench(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="fanout-test-bench-")
        self.addCleanup(scratch.cleanup)
        self.dir = Path(scratch.name)
        self.dir.chmod(0o755)               # PostgreSQL runs as a user of its own

    def bench(self, program, *options):
        """Runs it; what it printed."""
        command = [str(program), *map(str, options)]
        if os.geteuid() == 0:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        # Load generators end without giving back what they have, which the kernel does.
        env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        done = subprocess.run(command, cwd=self.dir, env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-4000:])
        return done.stdout

    def test_fanout3_shows_each_peer_and_loses_nothing(self):
        out = self.bench(BENCH / "run", "--build", BUILD, "--peers", "fanout,raw,raw-durable", "--rounds", 1, "--events", 3000, "--seconds", 0.3, "--backlog", 500)
        found = rows(out)
        self.assertLessEqual({"fanout", "raw relay", "raw relay + fdatasync"}, set(found), out)     # a run that lost something bears a *
        self.assertTrue(all(found["fanout"][2:]), out)                      # but for what compares with peers that are not there
        self.assertIn("; ", found["fanout"][10], out)                       # the high event behind a backlog at the link

    def test_scaling_tables_and_plots(self):
        measured = self.dir / "scale.jsonl"
        out = self.bench(BENCH / "scale", "--build", BUILD, "--events", 200, "--tiny", "--out", measured, "--plots", self.dir)
        tables = {json.loads(line)["table"] for line in measured.read_text().splitlines()}
        self.assertLessEqual({"batch", "payload", "regions", "subscribers", "bystanders", "publishers", "rate"}, tables, out)
        for name in ("latency-rate", "cost-batch"):
            self.assertIn("<svg", (self.dir / f"{name}.svg").read_text())

    def test_ledger_in_whole_brokers_finds_every_row(self):
        out = self.bench(BENCH / "ledger", "--build", BUILD, "--seconds", 0.5, "--burst", 0.5, "--probe", 2000, "--rates", "0,3000")
        self.assertIn("each one row", rows(out)["3,000 events/s"][-1], out)

    def test_ledger_writer(self):
        self.assertIn("as it is", self.bench(BENCH / "ledger_writer", "--build", BUILD, "--events", 2560, "--rounds", 1))

    def test_memory_and_start(self):
        out = self.bench(BENCH / "memory", "--build", BUILD, "--events", 3000, "--load", 3000, "--pending", 3000)
        self.assertLessEqual({"idle", "full load", "waiting for the link", "going out", "waiting for readers", "being read", "3,000"}, set(rows(out)), out)

    def test_stages(self):
        subprocess.run(["ninja", "-C", BUILD, "bench/stage_bench"], check=True, capture_output=True)
        out = self.bench(BUILD / "bench/stage_bench", 1)
        self.assertIn("seal: hash, copy, sign", rows(out), out)


if __name__ == "__main__":
    unittest.main()
