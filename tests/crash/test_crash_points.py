# SPDX-License-Identifier: Apache-2.0
"""A broker killed at one I/O call after the other, under load, and started again each time: before the call, behind it, and in the
middle of a write. Every acknowledged event is in each region exactly once.

The calls of a few seconds are counted first; then as many of them as the time allows, evenly spaced, are where it ends. With
FANOUT_CRASH=long all of them. journal_crash.c does the same with the journal alone, at every call."""
import os
import time
import unittest

from shim import IS_LONG, PEER, SMALL, SOURCE, Shim, Traffic, count, mortal, wait_exit, without_shim

SLOW = True
HOWS = ("before", "after", "torn")
RARE = ("open", "fallocate", "fsync", "rename", "unlink")
COUNT_S = 2.5
BUDGET_S = float(os.environ.get("FANOUT_CRASH_S", "20"))


class CrashPoints(unittest.TestCase):
    maxDiff = 4000

    def end_at(self, broker, how, at, call=""):
        """Starts the broker, which is down; it ends there, and is down again. What it was hit at; "" if it was not within a while."""
        shim = Shim(broker, how, at, call)
        broker.spawn()
        status = wait_exit(broker, 2 * COUNT_S + 5)
        calls, hits, name = shim.read()
        if status is None:
            broker.kill()
            return ""
        self.assertTrue(status == -9 and hits, f"{how} {call} {at}: exit status {status}, {calls} calls\n{broker.log_tail()}")
        return name

    def test_first_start(self):
        """The first start of all, killed at each of its calls, each start going on from what the one before left."""
        points = 0
        for how in HOWS:
            with mortal(start=False, regions=(SOURCE,), extra=SMALL) as cluster:
                for at in range(1, 60):
                    shim = Shim(cluster.first, how, at)
                    cluster.first.spawn()
                    while cluster.first.process.poll() is None and not self.answers(cluster.first):
                        time.sleep(0.005)
                    if cluster.first.process.poll() is None:
                        break
                    self.assertEqual((cluster.first.process.returncode, shim.read()[1]), (-9, 1), cluster.first.log_tail())
                    points += 1
                else:
                    self.fail("the start never went through")
                cluster.first.kill()            # its point is still ahead, and would come with the first publish
                without_shim(cluster.first)
                cluster.first.start()
                self.assertTrue(cluster.first.publish("custom", {"n": 1}, id="after")["success"])
                cluster.first.kill()
                cluster.first.start()
                self.assertEqual([e["id"] for _, e in cluster.first.fetch_all()], ["after"])
        count(f"crash points of the first start: {points} of {points}")

    def answers(self, broker):
        try:
            return broker.is_up()
        except AssertionError:
            return False                        # it has ended: what the caller looks for

    def counted(self, broker):
        """Calls of a start and some seconds of load."""
        shim = Shim(broker, "count")
        broker.kill()
        broker.start()
        time.sleep(COUNT_S)
        return shim.read()[0]

    def crash(self, victim_region, budget_s):
        with mortal(extra=SMALL) as cluster, Traffic(cluster) as traffic:
            victim, ended, kinds = cluster[victim_region], 0, {}
            traffic.wait_for(200)
            calls = self.counted(victim)
            self.assertGreater(calls, 100)
            victim.kill()
            until = time.monotonic() + budget_s
            rare = [(how, at, call) for call in RARE for how, at in zip(HOWS, (1, 1, 2))]
            for how, at, call in rare:
                name = self.end_at(victim, how, at, call)
                ended += bool(name)
                kinds[name] = kinds.get(name, 0) + bool(name)
            # Each point costs what the calls before it take: so many that the budget holds.
            each_s = COUNT_S / 2 + 0.2
            points = calls if IS_LONG else max(5, min(calls, int((until - time.monotonic()) / each_s)))
            for i in range(points):
                name = self.end_at(victim, HOWS[i % len(HOWS)], 1 + i * calls // points)
                ended += bool(name)
                kinds[name] = kinds.get(name, 0) + bool(name)
            without_shim(victim)
            victim.start()
            traffic.wait_for(100)
            traffic.judge(self)
            kinds.pop("", None)
            self.assertTrue({"fsync", "rename", "unlink", "fallocate", "open"} <= set(kinds) and {"pwritev", "fdatasync"} & set(kinds), kinds)
            count(f"{victim_region} killed: {ended} crash points of {len(rare) + points} tried, over {calls} calls; "
                  f"{traffic.acknowledged()} events acknowledged, all there once ({', '.join(f'{n} at {k}' for k, n in sorted(kinds.items()))})")
            without_shim(victim)

    def test_the_source(self):
        self.crash(SOURCE, BUDGET_S)

    def test_a_target(self):
        self.crash(PEER, BUDGET_S / 2)


if __name__ == "__main__":
    unittest.main()
