#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a bad WAN costs: brokers in three network namespaces, steady publishing from each, readers by cursor in each, and one
fault after the other. After each fault is healed: nothing lost, nothing twice, in order, every backlog zero; and how long that took.

    tests/wan/scenarios.py [--full] [--only WORD,...] [--seconds N] [--seed N] [--tls] [--build DIR]

Without --full each fault lasts a few seconds. Needs root for network namespaces; says SKIP where there are none."""
import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import Callable

US, WEST, EU = "us-east-1", "us-west-2", "eu-west-1"
BASE = "delay=40ms jitter=2ms queue=256KiB"     # 80 ms there and back, as between coasts
SETTLE_S, WARM_S, FULL_FAULT_S, SHORT_FAULT_S, DELIVERY_S = 5, 1, 20, 4, 90


@dataclass
class Scenario:
    name: str
    fault: Callable                     # (lab, seconds): makes it, and lasts that long
    is_hit: Callable = lambda source, target: True      # which directions the fault hits
    per_second: int = 50                # events from each region
    payload_bytes: int = 200
    full_only: bool = False


def rules(text):
    def fault(lab, seconds):
        lab.wan.rules(text)
        time.sleep(seconds)
    return fault


def cut(source, target):
    def fault(lab, seconds):
        lab.wan.tell(f"cut {source} {target}")
        time.sleep(seconds)
    short = {US: "us-east", WEST: "us-west", EU: "eu"}
    # Data one way, acknowledgements the other: a direction that is cut hurts both.
    return lambda **more: Scenario(f"cut {short[source]} -> {short[target]}", fault, lambda s, t: {s, t} == {source, target}, **more)


def split(lab, seconds):
    lab.wan.tell("cut * *")
    time.sleep(seconds)


def flapping(lab, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for verb in ("cut", "heal"):
            lab.wan.tell(f"{verb} * *")
            time.sleep(1)


def names_gone(lab, seconds):
    """Links that stand must not notice; then one broker restarts, so that every link with it must be made anew."""
    for region in lab.regions:
        lab.wan.set_names(region, False)
    time.sleep(seconds / 2)
    disconnected = [line for broker in lab.cluster for line in broker.log_lines("link_disconnected")]
    if len(disconnected) > lab.disconnected:
        raise AssertionError(f"a link that stood broke when names went: {disconnected[-1]}")
    lab.cluster[WEST].restart()
    time.sleep(seconds / 2)


def heal(lab):
    lab.wan.rules(BASE)
    for region in lab.regions:
        lab.wan.set_names(region, True)


SCENARIOS = [
    Scenario("healthy, 80 ms round trip", rules(BASE)),
    Scenario("+500 ms each way", rules("delay=540ms jitter=20ms")),
    Scenario("+500 ms, 1.7 Mbit/s offered", rules("delay=540ms jitter=20ms"), per_second=150, payload_bytes=1000, full_only=True),
    Scenario("10 % loss", rules(BASE + " loss=10%")),
    Scenario("reordering, duplicates, jitter", rules("delay=40ms jitter=30ms reorder=10% duplicate=5% loss=1%")),
    Scenario("1 Mbit/s, 1.7 Mbit/s offered", rules("delay=40ms jitter=2ms rate=1mbit queue=32KiB"), per_second=150, payload_bytes=1000),
    cut(US, WEST)(),
    cut(WEST, US)(),
    cut(US, EU)(full_only=True),
    cut(EU, US)(full_only=True),
    cut(WEST, EU)(full_only=True),
    cut(EU, WEST)(full_only=True),
    Scenario("names gone, a broker restarts", names_gone, lambda s, t: WEST in (s, t)),
    Scenario("flapping, 1 s down, 1 s up", flapping),
    Scenario("all three split", split),
]


@dataclass
class Outcome:
    scenario: Scenario
    events: int = 0                     # acknowledged to their publishers
    lost: int = 0                       # (event, region) pairs
    duplicated: int = 0
    disordered: int = 0
    backlog: int = 0
    repeated: float = 0                 # batches that came again, for each that came
    down_s: float = None                # when a hit link was first seen to be down
    delivered_s: float = None           # after healing, until all from before it had arrived
    high_ms: tuple = (None, None)       # p50, p99 where the fault hits
    lower_ms: tuple = (None, None)      # the normal and low lanes there
    other_ms: tuple = (None, None)      # high elsewhere

    def problems(self):
        return [f"{self.scenario.name}: {n} {what}" for n, what in (
            (self.lost, "lost"), (self.duplicated, "duplicated"), (self.disordered, "out of order"), (self.backlog, "still waiting")) if n]


def play(lab, readers, scenario, seconds, number):
    from traffic import Publisher, latencies, missing, percentile
    outcome = Outcome(scenario)
    seen_before = {r: (len(reader.duplicates), len(reader.disordered)) for r, reader in readers.items()}
    lab.wait_healthy(SETTLE_S)
    before = lab.batches()
    lab.disconnected = sum(len(b.log_lines("link_disconnected")) for b in lab.cluster)
    publishers = [Publisher(b, f"s{number}", scenario.per_second, scenario.payload_bytes) for b in lab.cluster]
    time.sleep(WARM_S)
    since = time.monotonic()
    watch = lab.watch_links(scenario.is_hit)
    try:
        scenario.fault(lab, seconds)
    finally:
        heal(lab)
        healed = time.monotonic()
        watch.stop()
    outcome.down_s = watch.down_at - since if watch.down_at else None
    while missing(publishers, readers, healed) and time.monotonic() < healed + DELIVERY_S:
        time.sleep(0.02)
    if not missing(publishers, readers, healed):
        outcome.delivered_s = time.monotonic() - healed
    time.sleep(0.5)
    for p in publishers:
        p.stop()
    outcome.backlog = sum(lab.wait_empty(DELIVERY_S if outcome.delivered_s is not None else 1).values())
    until = time.monotonic() + 5
    while missing(publishers, readers) and time.monotonic() < until:
        time.sleep(0.05)
    outcome.events = sum(len(p.acknowledged) for p in publishers)
    outcome.lost = len(missing(publishers, readers))
    for region, reader in readers.items():
        duplicates, disordered = seen_before[region]
        outcome.duplicated += len(reader.duplicates) - duplicates
        outcome.disordered += len(reader.disordered) - disordered

    def delays(is_high, is_wanted):
        found = latencies(publishers, readers, since, healed, is_high, is_wanted)
        return tuple(v and 1000 * v for v in (percentile(found, 0.5), percentile(found, 0.99)))
    came, again = (after - min(before, after) for before, after in zip(before, lab.batches()))
    outcome.repeated = again / came if came else 0
    outcome.high_ms = delays(True, scenario.is_hit)
    outcome.lower_ms = delays(False, scenario.is_hit)
    outcome.other_ms = delays(True, lambda s, t: not scenario.is_hit(s, t))
    return outcome


def show(number, form="{:.0f}"):
    return "-" if number is None else form.format(number)


HEADINGS = ("scenario", "events", "lost", "twice", "disorder", "repeats", "down seen", "all there", "high p50", "p99", "lower p50", "p99", "else p50", "p99")
WIDTH = 9


def cells(o):
    return [o.scenario.name, str(o.events), str(o.lost), str(o.duplicated), str(o.disordered), f"{100 * o.repeated:.0f} %",
            show(o.down_s, "{:.1f} s"), show(o.delivered_s, "{:.2f} s") if o.delivered_s is not None else "never",
            *map(show, o.high_ms), *map(show, o.lower_ms), *map(show, o.other_ms)]


def print_row(values, file=sys.stdout):
    print("| " + f"{values[0]:31}" + " | " + " | ".join(f"{v:>{WIDTH}}" for v in values[1:]) + " |", file=file, flush=True)


def play_all(full=False, only=(), seed=1, seconds=None, tls=False):
    """Plays them in one cluster, prints the table, and returns what went wrong."""
    from lab import Lab
    from traffic import Reader
    chosen = [s for s in SCENARIOS if (full or not s.full_only) and (not only or any(w in s.name for w in only))]
    problems, seconds = [], seconds or (FULL_FAULT_S if full else SHORT_FAULT_S)
    print(f"WAN faults of {seconds} s, seed {seed}. all there: from healing until all that was acknowledged "
          "before it had arrived everywhere; ms from publisher to subscriber where the fault hits, by lane, and elsewhere", flush=True)
    print_row(HEADINGS)
    print_row(["-" * 31] + ["-" * WIDTH] * (len(HEADINGS) - 1))
    with Lab(rules=BASE, seed=seed, tls=tls) as lab:
        readers = {b.region: Reader(b) for b in lab.cluster}
        for number, scenario in enumerate(chosen):
            outcome = play(lab, readers, scenario, seconds, number)
            print_row(cells(outcome))
            problems += outcome.problems()
        for region, reader in readers.items():
            reader.stop()
            if reader.problem:
                problems.append(f"reader in {region}: {reader.problem}")
        if problems:
            lab.cluster.show_logs()
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="long faults, each direction cut")
    parser.add_argument("--only", default="", help="scenarios whose name contains one of these words")
    parser.add_argument("--seconds", type=float, help=f"how long a fault lasts (default: {SHORT_FAULT_S}, with --full {FULL_FAULT_S})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tls", action="store_true", help="links over tls+tcp")
    parser.add_argument("--build", help="build directory (default: $FANOUT_BUILD or build-test)")
    args = parser.parse_args()
    if args.build:
        os.environ["FANOUT_BUILD"] = args.build
    from lab import why_not
    if why_not():
        print(f"SKIP: {why_not()}")
        return 0
    problems = play_all(args.full, [w for w in args.only.split(",") if w], args.seed, args.seconds, args.tls)
    for problem in problems:
        print("FAILED: " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
