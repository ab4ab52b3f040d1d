# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL for one test, by the same script that the local run uses."""
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "deploy/postgres-local"


class Postgres:
    def __init__(self, directory, name="postgres"):
        self.dir = Path(directory) / name

    def _run(self, verb, *args):
        done = subprocess.run([str(SCRIPT), verb, str(self.dir), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise AssertionError(f"postgres-local {verb}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.rstrip("\n")

    def start(self):
        self._run("start")

    def follow(self, primary):
        """Starts as a streaming standby of another one; gives the conninfo."""
        return self._run("standby", str(primary.dir))

    def promote(self):
        self._run("promote")

    def stop(self, immediately=False):
        self._run("stop", *(["immediate"] if immediately else []))

    @property
    def conninfo(self):
        """As the owner of everything there."""
        return self._run("conninfo")

    @property
    def broker_conninfo(self):
        """As the role that brokers use, which may do only what they need."""
        return self._run("conninfo", "fanout_broker")

    def psql(self, sql, user=None):
        """Runs it; rows as lines with | between the columns."""
        return self._run("psql", *(["--username", user] if user else []), "-At", "-v", "ON_ERROR_STOP=1", "-c", sql)
