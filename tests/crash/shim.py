# SPDX-License-Identifier: Apache-2.0
"""Brokers under killat.so (killat.h), load on them, and the judge of what is left."""
import os
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/wan")]

from lib.cluster import BUILD, running, wait_until  # noqa: E402
from traffic import Publisher, Reader, missing  # noqa: E402

IS_LONG = os.environ.get("FANOUT_CRASH") == "long"
SOURCE, PEER = "us-east-1", "us-west-2"
# Small segments and little replay, so that within seconds segments are made, closed and deleted.
SMALL = {"journal": {"segment_bytes": 1 << 20, "bytes_max": 16 << 20, "retention_bytes": 3 << 20},
         "limits": {"batch_bytes_max": 131072, "event_bytes_max": 65536}}


class Shim:
    """For one start of a broker: which I/O call below its data directory is hit, and how. `call` is a name, or any."""

    def __init__(self, broker, how, at=0, call="", errnum=0, lasting=False):
        self.count_path = broker.dir / "killat"
        self.count_path.unlink(missing_ok=True)
        settings = {
            "LD_PRELOAD": BUILD / "tests/crash/killat.so", "KILLAT_DIR": broker.config["data_dir"], "KILLAT_HOW": how, "KILLAT_AT": at,
            "KILLAT_CALL": call, "KILLAT_ERRNO": errnum, "KILLAT_FROM": int(lasting), "KILLAT_COUNT": self.count_path,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }
        broker.prefix = ["env", *(f"{k}={v}" for k, v in settings.items())]

    def read(self):
        """(calls so far, times hit, name of the first call that was hit)"""
        if not self.count_path.exists() or self.count_path.stat().st_size < 40:
            return 0, 0, ""
        calls, hits, name = struct.unpack("QQ24s", self.count_path.read_bytes()[:40])
        return calls, hits, name.split(b"\0")[0].decode()


def mortal(**options):
    """Brokers that are killed time and again: without a word about what NNG forgets when its peers die (lsan.supp)."""
    return running(env={"LSAN_OPTIONS": f"suppressions={ROOT}/tests/lsan.supp"}, **options)


def count(text):
    """A line that the test runner shows."""
    print(f"\ncount: broker, {text}", flush=True)


def without_shim(broker):
    broker.prefix = []


def wait_exit(broker, seconds=30):
    """Its exit status; None: it still runs."""
    until = time.monotonic() + seconds
    while broker.process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    return broker.process.returncode


class Traffic:
    """Publishers at some brokers, a reader by cursor at each; for a with statement."""

    def __init__(self, cluster, sources=(SOURCE,), prefix="e", per_second=200, payload_bytes=8000):
        self.cluster = cluster
        self.readers = {b.region: Reader(b) for b in cluster}
        self.publishers = [Publisher(cluster[s], prefix, per_second, payload_bytes) for s in sources]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for worker in (*self.publishers, *self.readers.values()):
            worker.stopping.set()
        for worker in (*self.publishers, *self.readers.values()):
            worker.stop()

    def acknowledged(self):
        return sum(len(p.acknowledged) for p in self.publishers)

    def wait_for(self, count, timeout=60):
        goal = self.acknowledged() + count
        wait_until(lambda: self.acknowledged() >= goal, f"{count} more events are acknowledged", timeout)

    def judge(self, test, timeout=90):
        """Every acknowledged event in each region exactly once and in order; and no region has what another lacks: what was never
        acknowledged is either everywhere or nowhere."""
        for p in self.publishers:
            p.stop()
        test.assertGreater(self.acknowledged(), 0)

        def differences():
            arrived = [set(r.arrived) for r in self.readers.values()]
            return missing(self.publishers, self.readers) or set.union(*arrived) - set.intersection(*arrived)
        try:
            wait_until(lambda: not differences(), "all has arrived everywhere", timeout)
        except AssertionError:
            lost = missing(self.publishers, self.readers)
            test.fail(f"{len(lost)} acknowledged events are missing: {lost[:5]}; not in every region: {sorted(differences())[:5]}; "
                      f"{[(r.broker.region, r.problem) for r in self.readers.values()]}")
        for region, reader in self.readers.items():
            test.assertEqual((region, reader.duplicates[:5], reader.disordered[:5], reader.problem), (region, [], [], None))
        for broker in self.cluster:
            damaged = broker.log_lines("journal_damaged")
            test.assertEqual(damaged, [], f"{broker.region} found damage, and there was none")
