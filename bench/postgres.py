# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL for a benchmark, and what it costs."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def ticks(stat, fields):
    words = stat.rsplit(")", 1)[1].split()
    return sum(int(words[f]) for f in fields)


class Postgres:
    """For a with statement; the cluster is gone afterwards. Databases are made anew by fresh()."""

    def __init__(self, build, scratch):
        self.build, self.directory = build, Path(scratch) / "postgres"
        os.chmod(scratch, 0o755)            # the server runs as a user of its own

    def script(self, verb, *args):
        return run(ROOT / "deploy/postgres-local", verb, self.directory, *args)

    def __enter__(self):
        self.conninfo = self.script("start")
        return self

    def __exit__(self, *unused):
        self.script("stop")

    def fresh(self):
        """An empty database with the schema; its conninfo as the owner."""
        for sql in ("DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench"):
            run("psql", "-Xq", self.conninfo, "-c", "SET client_min_messages = error", "-c", sql)
        here = self.conninfo.replace("dbname=fanout", "dbname=bench")
        run(self.build / "src/cmd/fanout", "migrate", "--conninfo", here)
        return here

    def broker_conninfo(self):
        """Of the same database, for the role that brokers have."""
        return self.script("conninfo", "fanout_broker").replace("dbname=fanout", "dbname=bench")

    def cpu_s(self):
        """Of the postmaster, what lives below it, and what has ended there."""
        postmaster = (self.directory / "data/postmaster.pid").read_text().split()[0]
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                stat = path.read_text()
            except OSError:
                continue
            if path.parent.name == postmaster:
                total += ticks(stat, (11, 12, 13, 14))
            elif stat.rsplit(")", 1)[1].split()[1] == postmaster:
                total += ticks(stat, (11, 12))
        return total / TICK


def query(conninfo, sql):
    """Rows as lists of texts."""
    return [line.split("|") for line in run("psql", "-XAtq", conninfo, "-c", sql).splitlines()]
