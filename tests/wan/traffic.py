# SPDX-License-Identifier: Apache-2.0
"""Publishers that go on whatever happens, readers by cursor, and the account of what became of each event."""
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from lib import sp  # noqa: E402
from lib.cluster import ask  # noqa: E402

LANES = ("high", "normal", "normal", "normal", "low")      # of five events in a row
BURST = len(LANES)


class Worker:
    """A thread that is told to stop."""

    def __init__(self):
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self, timeout=30):
        self.stopping.set()
        self.thread.join(timeout)


class Publisher(Worker):
    """Five events at a time, one of them high and small, so many a second; notes when each was sent and acknowledged."""

    def __init__(self, broker, prefix, per_second, payload_bytes):
        self.broker, self.prefix, self.pause = broker, prefix, BURST / per_second
        self.pad = "x" * payload_bytes
        self.sent, self.acknowledged, self.number = {}, {}, 0
        super().__init__()

    def run(self):
        events, due = None, time.monotonic()
        while not self.stopping.is_set():
            try:
                with sp.Req(self.broker.door, timeout=5) as req:
                    while not self.stopping.is_set():
                        events = events or self._make()
                        self._send(req, events)
                        events = None
                        due = max(due + self.pause, time.monotonic() - 1)
                        time.sleep(max(0, due - time.monotonic()))
            except (OSError, sp.Closed):
                time.sleep(0.05)                # sent again under the same ids

    def _make(self):
        made = []
        for lane in LANES:
            self.number += 1
            made.append({"type": "custom", "id": f"{self.prefix}:{self.broker.region}:{self.number}", "priority": lane,
                         "partitionkey": f"k{self.number % 4}", "data": {"n": self.number, "pad": self.pad if lane != "high" else ""}})
        return made

    def _send(self, req, events):
        now = time.monotonic()
        for event in events:
            self.sent.setdefault(event["id"], (event["priority"], now))
        answer = ask(req, {"events": events, "wait": "accepted"}, 10)
        now = time.monotonic()
        for event, result in zip(events, answer.get("results", [])):
            if result["success"]:
                self.acknowledged[event["id"]] = now


class Arrivals:
    """When each event came to one region, and what came twice or out of order."""

    def __init__(self):
        self.arrived, self.duplicates, self.disordered = {}, [], []
        self.newest = defaultdict(int)          # number by publisher, source, key and lane

    def note(self, event, now):
        if event["id"] in self.arrived:
            self.duplicates.append(event["id"])
            return
        self.arrived[event["id"]] = now
        number = event["data"]["n"]
        chain = (*event["id"].split(":")[:2], event["partitionkey"], event["priority"])
        if number < self.newest[chain]:
            self.disordered.append(event["id"])
        self.newest[chain] = number


class Reader(Arrivals, Worker):
    """Follows one region by cursor, on a new connection every now and then."""

    def __init__(self, broker):
        Arrivals.__init__(self)
        self.broker, self.problem = broker, None
        self.cursor = broker.ask({"op": "fetch", "from": "now", "waitMs": 0})["cursor"]
        Worker.__init__(self)

    def run(self):
        while not self.stopping.is_set():
            try:
                with sp.Req(self.broker.door, timeout=5) as req:
                    for _ in range(50):
                        if not self._fetch(req):
                            break
            except (OSError, sp.Closed):
                time.sleep(0.05)

    def _fetch(self, req):
        answer = ask(req, {"op": "fetch", "cursor": self.cursor, "max": 1000, "waitMs": 500}, 10)
        if not answer.get("success"):
            self.problem = answer
            time.sleep(0.1)
            return False
        now = time.monotonic()
        for item in answer["events"]:
            self.note(item["event"], now)
        self.cursor = answer["cursor"]
        return not self.stopping.is_set()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def missing(publishers, readers, before=float("inf")):
    """[(region, id)] of what was acknowledged before that time and has not arrived there."""
    return [(region, event_id) for p in publishers for event_id, at in list(p.acknowledged.items()) if at < before
            for region, reader in readers.items() if event_id not in reader.arrived]


def latencies(publishers, readers, since, until, is_high, is_wanted):
    """Seconds from publishing to each wanted (source, target), of the events published in that time that have arrived: the
    high ones or the others."""
    found = []
    for p in publishers:
        for event_id, (lane, at) in list(p.sent.items()):
            if (lane == "high") == is_high and since <= at < until:
                found += [r.arrived[event_id] - at for region, r in readers.items()
                          if region != p.broker.region and is_wanted(p.broker.region, region) and event_id in r.arrived]
    return found


