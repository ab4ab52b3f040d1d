# SPDX-License-Identifier: Apache-2.0
"""For tests of the ledger under fault: a publisher that measures each answer, a server to freeze, a judge of the rows."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from . import sp
from .cluster import ask, wait_until

PROXY = Path(__file__).with_name("cutting_proxy.py")


class Pacer:
    """Publishes single events at a steady rate whatever happens, and notes when each was acknowledged and how long that
    took. An event whose answer was lost is sent again under its id."""

    def __init__(self, broker, prefix, per_second):
        self.broker, self.prefix, self.gap_s = broker, prefix, 1 / per_second
        self.acknowledged, self.latencies, self.failures = [], [], Counter()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.thread.join(60)

    def _run(self):
        while not self.stopping.is_set():
            try:
                with sp.Req(self.broker.door, timeout=5) as req:
                    self._publish(req)
            except (OSError, sp.Closed) as error:
                self.failures[type(error).__name__] += 1
                time.sleep(0.02)

    def _publish(self, req):
        due = time.monotonic()
        while not self.stopping.is_set():
            time.sleep(max(0, due - time.monotonic()))
            due = max(due + self.gap_s, time.monotonic() - 0.1)     # what a stall has cost is not made up for by a burst
            number = len(self.acknowledged)
            event = {"type": "custom", "id": f"{self.prefix}-{number}", "partitionkey": f"k{number % 7}", "data": {"n": number},
                     "priority": ("high", "normal", "low")[number % 3], "wait": "accepted"}
            began = time.monotonic()
            answer = ask(req, event, 20)
            ended = time.monotonic()
            if answer["success"]:
                self.acknowledged.append(event["id"])
                self.latencies.append((began, ended - began))
            else:
                self.failures[answer["error"]["code"]] += 1

    def between(self, since, until):
        """What the answers took that were asked for in that time."""
        return [took for began, took in self.latencies if since <= began < until]


def p99_ms(seconds):
    return 1000 * sorted(seconds)[int(len(seconds) * 0.99)]


def processes(postgres):
    """The server's process ids, its postmaster first."""
    first = int((postgres.dir / "data/postmaster.pid").read_text().split()[0])
    children = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == first]
    return [first, *children]


def _parent(stat):
    try:
        return int(stat.read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def freeze(postgres):
    """As a machine that hangs: connections stay open, nothing is answered."""
    for pid in processes(postgres):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def thaw(postgres):
    for pid in reversed(processes(postgres)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Cutter:
    """A process between a broker and PostgreSQL that passes everything on, and on demand ends connections after some
    number of bytes in either direction, so in the middle of anything."""

    def __init__(self, directory, postgres):
        self.dir = Path(directory) / "cut"
        self.dir.mkdir()
        real = dict(word.split("=", 1) for word in postgres.conninfo.split())["host"]
        self.process = subprocess.Popen([sys.executable, str(PROXY), str(self.dir), real], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line()

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the proxy has ended")
        return line.strip()

    def _say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._line()

    def cut(self, bytes_max):
        """From now on each connection ends within so many bytes."""
        self._say(f"cut {bytes_max}")

    def heal(self):
        """Ends the cutting; gives how many connections were cut."""
        return int(self._say("pass"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


ROWS = "SELECT event_id, is_settled, (delivery_status->>'success')::boolean, count(*) FROM realtime_fanout_log WHERE event_id LIKE '{}-%' GROUP BY 1, 2, 3"


def judge(test, postgres, pacer, timeout=60):
    """Every acknowledged event of the pacer has one row, settled and a success, and there is no row of anything else."""
    expected = set(pacer.acknowledged)
    test.assertEqual(len(expected), len(pacer.acknowledged))

    def rows():
        return [line.split("|") for line in postgres.psql(ROWS.format(pacer.prefix)).splitlines()]
    try:
        wait_until(lambda: {r[0] for r in rows() if r[1:3] == ["t", "t"]} >= expected, "every acknowledged event has a settled row", timeout)
    except AssertionError:
        found = rows()
        lost = sorted(expected - {r[0] for r in found})
        open_ = sorted(r[0] for r in found if r[1:3] != ["t", "t"])
        test.fail(f"{len(lost)} of {len(expected)} acknowledged events have no row: {lost[:5]}; {len(open_)} are not settled as a success: {open_[:5]}")
    found = rows()
    test.assertEqual([r for r in found if r[3] != "1"], [], "more than one row")
    # One more may be there: sent, stored, and its answer lost when the publisher ended.
    test.assertLessEqual({r[0] for r in found} - expected, {f"{pacer.prefix}-{len(pacer.acknowledged)}"})
    test.assertEqual(postgres.psql(f"SELECT count(*) FROM realtime_fanout_repeats WHERE event_id LIKE '{pacer.prefix}-%'"), "0")
    test.assertEqual(postgres.psql(f"SELECT count(*) FROM realtime_fanout_quarantine WHERE event_id LIKE '{pacer.prefix}-%'::bytea"), "0")
