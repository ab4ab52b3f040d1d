# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, or are broken: what they cost is bounded, and everybody else goes on. After each: a publish reaches every region,
no sanitizer speaks, and descriptors are back to what they were."""
import contextlib
import json
import os
import socket
import struct
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

from lib import mp, sp
from lib.cluster import ClusterTest, ask, wait_until

MIB = 1 << 20
# The quarantine of a sanitized build keeps what was freed, and would be measured with the rest.
SMALL_QUARANTINE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"}


def descriptors(broker):
    """What each open descriptor of the process is."""
    found, folder = [], Path(f"/proc/{broker.process.pid}/fd")
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return found


def peak_bytes(broker):
    """Most resident memory since the last call of reset_peak."""
    for line in Path(f"/proc/{broker.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def reset_peak(broker):
    Path(f"/proc/{broker.process.pid}/clear_refs").write_text("5")


def plain_connection(url, timeout=10):
    parts = urllib.parse.urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout)


class HostileTest(ClusterTest):
    """A cluster whose first broker is the victim."""

    def setUp(self):
        self.victim = self.cluster.first
        self.before = descriptors(self.victim)
        reset_peak(self.victim)
        self.peak_before = peak_bytes(self.victim)

    def tearDown(self):
        self.goes_on("after")
        try:
            wait_until(lambda: len(descriptors(self.victim)) <= len(self.before) + 8, "descriptors are back", 40)
        except AssertionError:
            self.fail(f"descriptors: {sorted(self.before)} before, {sorted(descriptors(self.victim))} after")

    def goes_on(self, when):
        answer = self.victim.publish(wait="all", timeoutMs=20000)
        self.assertTrue(answer["success"], f"{when}: {answer}")

    def grown_at_most(self, mib):
        grown = peak_bytes(self.victim) - self.peak_before
        self.assertLess(grown, mib * MIB, f"grew by {grown / MIB:.0f} MiB")


class Floods(HostileTest):
    options = {"regions": ("us-east-1", "us-west-2"), "env": SMALL_QUARANTINE}

    def ports(self):
        return {"door": (self.victim.door, sp.REQ), "feed": (self.victim.feed, sp.SUB), "link": (self.victim.link, sp.PUB)}

    def test_a_thousand_connections_that_say_nothing(self):
        for name, (url, _) in self.ports().items():
            with self.subTest(name), contextlib.ExitStack() as stack:
                for _ in range(1000):
                    stack.enter_context(plain_connection(url))
                self.goes_on(f"with 1000 connections at the {name}")
        self.grown_at_most(200)

    def test_a_thousand_connections_that_shake_hands(self):
        for name, (url, protocol) in self.ports().items():
            with self.subTest(name), contextlib.ExitStack() as stack:
                for _ in range(1000):
                    stack.enter_context(sp.Pipe(url, protocol))
                self.goes_on(f"with 1000 clients at the {name}")
        self.grown_at_most(400)

    def test_handshakes_that_never_end(self):
        """Let go after a while, although a byte comes now and then."""
        for name, (url, protocol) in self.ports().items():
            hello = b"\0SP\0" + struct.pack(">HH", protocol, 0)
            with self.subTest(name), contextlib.ExitStack() as stack:
                slow = [stack.enter_context(plain_connection(url)) for _ in range(50)]
                for i in range(7):
                    for sock in slow:
                        with contextlib.suppress(OSError):
                            sock.sendall(hello[i:i + 1])
                self.goes_on(f"with slow handshakes at the {name}")

    def test_messages_that_never_end(self):
        with contextlib.ExitStack() as stack:
            for url, protocol in self.ports().values():
                for _ in range(100):
                    pipe = stack.enter_context(sp.Pipe(url, protocol))
                    pipe.send_raw(struct.pack(">Q", 4 * MIB - 100) + b"\x80\0\0\1{\"type\":")
            self.goes_on("with half-sent messages")
            time.sleep(1)
            self.goes_on("a second later")
        self.grown_at_most(400)

    def test_sizes_that_nobody_takes(self):
        for url, protocol in self.ports().values():
            for size in (1 << 63, (1 << 64) - 1, 1 << 40, 65 * MIB):
                with sp.Pipe(url, protocol) as pipe:
                    with contextlib.suppress(OSError):
                        pipe.send_raw(struct.pack(">Q", size) + b"x" * 1000)
        self.grown_at_most(100)

    def test_answers_that_nobody_reads(self):
        """Far more than the door has places and memory for, to clients that read nothing: the others are served again in seconds."""
        for _ in range(10):
            self.victim.ask({"events": [{"type": "custom", "data": {"text": "x" * 4000}} for _ in range(50)]})
        request = struct.pack(">I", 0x80000001) + b'{"op":"fetch","from":"earliest","max":1000,"maxBytes":1000000,"waitMs":0}'
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                pipe = stack.enter_context(sp.Pipe(self.victim.door, sp.REQ, timeout=1))
                with contextlib.suppress(OSError, sp.Closed):
                    for _ in range(600):
                        pipe.send(request)
            wait_until(self.is_served, "others are served", 60)
            self.goes_on("with clients that read nothing")
        self.grown_at_most(500)

    def is_served(self):
        try:
            return self.victim.ask({"op": "ping"}, timeout=2)["success"]
        except (OSError, sp.Closed):
            return False

    def test_a_feed_that_nobody_reads(self):
        with contextlib.ExitStack() as stack:
            subs = [stack.enter_context(sp.Sub(self.victim.feed)) for _ in range(20)]
            wait_until(lambda: self.victim.status()["feedHasSubscribers"], "the feed has subscribers")
            for _ in range(40):
                answer = self.victim.ask({"events": [{"type": "custom", "data": {"text": "y" * 4000}} for _ in range(100)]})
                self.assertTrue(answer["success"], str(answer)[:300])
            self.goes_on("with a feed that nobody reads")
            self.assertEqual(len(subs), 20)
        self.grown_at_most(500)


class Limits(HostileTest):
    """At the configured limits the answer is busy, with a hint when to come back, and memory is what the limits allow."""
    limits = {"request_bytes_max": MIB, "pending_bytes_max": 4 * MIB, "requests_max": 64, "fetches_max": 40}
    options = {"regions": ("us-east-1", "us-west-2"), "env": SMALL_QUARANTINE, "extra": {"limits": limits}}

    def test_large_requests_at_once(self):
        body = json.dumps({"events": [{"type": "custom", "data": {"text": "z" * 200000}} for _ in range(5)], "brief": True}).encode()
        answers = []

        def publish():
            with self.victim.connect() as req:
                for _ in range(4):
                    answers.append(ask(req, body, 60))

        threads = [threading.Thread(target=publish) for _ in range(48)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), 48 * 4)
        refused = [a["error"] for a in answers if "error" in a]
        self.assertTrue(all(e["code"] == "busy" and e["retryAfterMs"] > 0 for e in refused), refused[:1])
        self.assertGreater(len(refused), 0, "the limit was never met")
        self.assertGreater(sum(a["success"] for a in answers), 0)
        self.grown_at_most(400)

    def test_fetches_over_the_limit(self):
        request = b'{"op":"fetch","filter":{"type":"nothing-like-it"},"waitMs":60000}'
        with contextlib.ExitStack() as stack:
            parked = []
            for _ in range(40):
                parked.append(stack.enter_context(self.victim.connect()))
                parked[-1].post(request)
            wait_until(lambda: self.victim.status()["subscribers"] == 40, "all are parked")
            for _ in range(100):
                error = self.victim.ask(request)["error"]
                self.assertEqual(error["code"], "busy")
                self.assertGreater(error["retryAfterMs"], 0)
            self.goes_on("with as many fetches as may be")
        # Nothing is kept for the readers that left but the places that they hold until their time is over.
        self.assertLessEqual(self.victim.status()["subscribers"], 40)
        self.victim.restart()


if __name__ == "__main__":
    unittest.main()
