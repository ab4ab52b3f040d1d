#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a high event takes while many normal events wait for a slow line: 10 Mbit/s, 100 ms round trip, two regions.

    tests/wan/priority.py [--events N] [--windows default,256KiB,...] [--queues 128KiB,...] [--tcp bbr] [--seed N] [--build DIR]

The aim is one round trip plus 100 ms. The line's own queue counts: what a bulk connection fills it with, a high event waits behind,
whoever sends it; 128 KiB is what 10 Mbit/s times 100 ms holds. Also printed: how much of the line the waiting events still get."""
import argparse
import json
import os
import sys
import time
from dataclasses import dataclass

TCP = "reno"
SOURCE, TARGET = "us-east-1", "eu-west-1"
RATE_BPS, DELAY_MS = 10_000_000, 50
AIM_MS = 2 * DELAY_MS + 100
PAYLOAD_BYTES, PER_REQUEST, PROBES, PROBE_EVERY_S = 256, 500, 12, 0.25
SIZES = {"KiB": 1024, "MiB": 1 << 20}


def size_of(text):
    return int(text[:-3]) * SIZES[text[-3:]]


@dataclass
class Measured:
    window: str
    queue: str
    waiting: int                        # normal events when the first high one was published
    first_ms: float
    latencies_ms: list                  # of all probes that were published while events waited
    line_share: float                   # of the rate, used from the first event to the last
    problems: list


def window_config(window):
    """The configuration for it: a window is at least a batch, and a batch at least an event."""
    if window == "default":
        return {}
    octets = size_of(window)
    limits = {"batch_bytes_max": min(octets, 1 << 20)}
    limits["event_bytes_max"] = min(limits["batch_bytes_max"], 262144)
    return {"limits": limits, "link": {"window_bytes": octets}}


def fill(broker, count):
    """Events that wait, published as fast as it goes; ids are the broker's."""
    from lib.cluster import ask
    event = {"type": "custom", "priority": "normal", "data": {"pad": "x" * PAYLOAD_BYTES}}
    request = json.dumps({"events": [event] * PER_REQUEST, "wait": "accepted", "brief": True}).encode()
    with broker.connect() as req:
        for _ in range(count // PER_REQUEST):
            answer = ask(req, request)
            if not all(result["success"] for result in answer.get("results", [{"success": answer.get("success")}])):
                raise AssertionError(f"not accepted: {str(answer)[:300]}")


class Probe:
    """High events from source to target, one at a time."""

    def __init__(self, lab):
        self.source, self.target = lab.cluster[SOURCE], lab.cluster[TARGET]
        self.filter = {"tenant": "probe"}
        self.cursor = self.target.ask({"op": "fetch", "from": "now", "filter": self.filter, "waitMs": 0})["cursor"]
        self.out, self.back, self.number = self.source.connect(), self.target.connect(), 0

    def latency_ms(self):
        from lib.cluster import ask
        self.number += 1
        wanted, started = f"probe-{self.number}", time.monotonic()
        self.back.post(json.dumps({"op": "fetch", "cursor": self.cursor, "filter": self.filter, "waitMs": 20000}).encode())
        answer = ask(self.out, {"type": "custom", "id": wanted, "tenant": "probe", "priority": "high", "data": {}, "wait": "accepted"})
        if not answer["success"]:
            raise AssertionError(f"probe refused: {answer}")
        got = json.loads(self.back.answer(30))
        ended = time.monotonic()
        self.cursor = got["cursor"]
        if [e["event"]["id"] for e in got["events"]] != [wanted]:
            raise AssertionError(f"{wanted} did not come alone: {str(got)[:300]}")
        return 1000 * (ended - started)

    def close(self):
        self.out.close()
        self.back.close()


def measure(window="default", queue="128KiB", events=20000, seed=1, tcp=TCP):
    from lab import Lab
    regions = (SOURCE, TARGET)
    rules = f"delay={DELAY_MS}ms rate={RATE_BPS}bit queue={queue}"
    with Lab(regions=regions, seed=seed, extra=window_config(window), rules=rules, tcp=tcp) as lab:
        source, target = lab.cluster[SOURCE], lab.cluster[TARGET]
        probe = Probe(lab)
        before = lab.wan.stats(SOURCE, TARGET)["out_bytes"]
        started = time.monotonic()
        fill(source, events)
        waiting = lab.backlog()[SOURCE, TARGET]
        latencies = []
        while len(latencies) < PROBES and lab.backlog()[SOURCE, TARGET] > PER_REQUEST:
            latencies.append(probe.latency_ms())
            time.sleep(PROBE_EVERY_S)
        left = lab.wait_empty(60 + events / 1000)
        took = time.monotonic() - started
        probe.close()
        received = target.status()["counters"]["receivedEvents"]
        problems = [f"{left} still waiting"] if left else []
        if received != events + probe.number:
            problems.append(f"{received} received of {events + probe.number}")
        octets = lab.wan.stats(SOURCE, TARGET)["out_bytes"] - before
        return Measured(window, queue, waiting, latencies[0], latencies, 8 * octets / took / RATE_BPS, problems)


def print_measured(m):
    from traffic import percentile
    middle, most = percentile(m.latencies_ms, 0.5), max(m.latencies_ms)
    print(f"| {m.window:>7} | {m.queue:>7} | {m.waiting:>8} | {m.first_ms:>8.0f} | {middle:>6.0f} | {most:>6.0f} | {100 * m.line_share:>7.0f} % |", flush=True)


def print_heading(events):
    print(f"high events behind {events} normal ones, {RATE_BPS // 1000000} Mbit/s, {2 * DELAY_MS} ms round trip; the aim is {AIM_MS} ms")
    print("|  window |   queue |  waiting | first ms | p50 ms | max ms | line used |", flush=True)
    print("| ------- | ------- | -------- | -------- | ------ | ------ | ------- |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20000)
    parser.add_argument("--windows", default="default", help="values of link.window_bytes, or default")
    parser.add_argument("--queues", default="128KiB", help="what the line itself holds at most")
    parser.add_argument("--tcp", default=TCP, help=f"congestion control: {TCP}, or bbr or cubic where the kernel allows them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", help="build directory (default: $FANOUT_BUILD or build-test)")
    args = parser.parse_args()
    if args.build:
        os.environ["FANOUT_BUILD"] = args.build
    from lab import why_not
    if why_not():
        print(f"SKIP: {why_not()}")
        return 0
    problems = []
    print_heading(args.events)
    for queue in args.queues.split(","):
        for window in args.windows.split(","):
            measured = measure(window, queue, args.events, args.seed, args.tcp)
            print_measured(measured)
            problems += measured.problems
    for problem in problems:
        print("FAILED: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
