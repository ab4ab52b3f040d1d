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

from lib import frames, sp
from lib.cluster import Cluster, ClusterTest, ask, wait_until

SLOW = True
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

    def goes_on(self, when, **fields):
        answer = self.victim.publish(wait="all", timeoutMs=20000, **fields)
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
        """Let go after 10 seconds, although a byte came now and then."""
        with contextlib.ExitStack() as stack:
            slow = []
            for url, protocol in self.ports().values():
                hello = b"\0SP\0" + struct.pack(">HH", protocol, 0)
                slow += [(stack.enter_context(plain_connection(url)), hello) for _ in range(50)]
            for i in range(7):
                for sock, hello in slow:
                    sock.sendall(hello[i:i + 1])
                time.sleep(0.2)
            self.goes_on("with slow handshakes")
            for sock, _ in slow:
                sock.settimeout(30)
                with contextlib.suppress(ConnectionError):
                    while sock.recv(100):           # to the end; the broker's own part of the handshake comes first
                        pass

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

    def test_frames_within_frames(self):
        """Relays that carry relays, as deep as a message can be, by a stranger: nothing here may walk them by calling itself."""
        levels = 15000
        nested = b"".join(b"FO" + struct.pack(">BBII", frames.VERSION, frames.RELAY, 0, 76 * (levels - 1 - i)) + bytes(64)
                          for i in range(levels))
        with sp.Pub(self.victim.link) as pub:
            for _ in range(3):
                pub.send(nested)
            time.sleep(0.5)

    def test_garbage_does_not_fill_the_log(self):
        started = time.monotonic()
        logged, refused = len(self.victim.log_lines("frame_refused")), self.victim.status()["counters"]["refusedFrames"]
        with sp.Pub(self.victim.link) as pub:
            for i in range(3000):
                pub.send(b"FO garbage %d" % i)
            wait_until(lambda: self.victim.status()["counters"]["refusedFrames"] > refused + 500, "garbage is refused")
        self.goes_on("with garbage on the link")
        logged = len(self.victim.log_lines("frame_refused")) - logged
        self.assertLessEqual(logged, 20 * (time.monotonic() - started + 2))

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
                    for _ in range(300):
                        pipe.send(request)
            wait_until(self.is_served, "others are served", 240)
            self.goes_on("with clients that read nothing")
        self.grown_at_most(500)

    def is_served(self):
        try:
            return self.victim.ask({"op": "ping"}, timeout=2)["success"]
        except (OSError, sp.Closed):
            return False

    def test_answers_go_to_who_asked(self):
        """Two clients use one request id, and one of them leaves: nobody hears another's answer."""
        leaver, other = self.victim.connect(), self.victim.connect()
        leaver.id = other.id = 41
        leaver.post(b'{"op":"fetch","filter":{"key":"for-the-leaver"},"waitMs":5000}')
        self.assertEqual(ask(other, {"op": "ping"})["region"], self.victim.region)
        leaver.close()
        self.victim.publish(partitionkey="for-the-leaver")
        with other, self.assertRaises(TimeoutError):
            other.receive(timeout=1)

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


MOST = (1 << 64) - 1
DAY_MS = 24 * 3600 * 1000


class Liar(HostileTest):
    """Region us-west-2 is somebody who has its key and says absurd things with it. us-east-1 and eu-west-1 are honest."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(env=SMALL_QUARANTINE)
        try:
            victim, liar, honest = cls.cluster
            for broker in (victim, honest):
                broker.spawn()
            for broker in (victim, honest):
                broker.wait_ready()
            wait_until(lambda: any(l["region"] == honest.region and l["state"] == "up" for l in victim.status()["links"]), "the honest link is up")
        except BaseException:
            cls.cluster.abandon()
            cls.cluster.remove()
            raise
        cls.liar, cls.honest = liar, honest
        cls.key = frames.Key.read(cls.cluster.dir / f"keys/{liar.region}.key")

    def goes_on(self, when, **fields):
        super().goes_on(when, targets=[self.victim.region, self.honest.region])
        answer = self.honest.publish(wait="all", timeoutMs=20000, targets=[self.victim.region])
        self.assertTrue(answer["success"], f"{when}, the other way: {answer}")

    def say(self, *octets):
        with sp.Pub(self.victim.link) as pub:
            for each in octets:
                pub.send(each)
            time.sleep(0.3)
        self.goes_on("after what was said")

    def refused(self):
        return self.victim.status()["counters"]["refusedFrames"]

    def ids(self):
        return [e["id"] for _, e in self.victim.fetch_all()]

    def record(self, id, sourceregion="us-west-2", **fields):
        return frames.record(id=id, type="custom", acceptedtime=int(time.time() * 1e6), sourceregion=sourceregion, data={"n": 1}, **fields)

    def batch(self, id, epoch=5, first_seq=1, prev=0, lane=1, records=None, targets=None):
        return frames.batch(self.key, epoch, lane, first_seq, [["us-east-1", prev]] if targets is None else targets,
                            records or [self.record(id)], sealed_at_us=1)

    def control(self, sent_at_us=None, session=1, kind=frames.HEARTBEAT, target="us-east-1", **fields):
        return frames.control(kind, self.key, target, session, int(time.time() * 1e6) if sent_at_us is None else sent_at_us, **fields)

    def test_epochs_of_another_age(self):
        now_ms = int(time.time() * 1000)
        before = self.refused()
        self.say(*(self.batch(f"epoch-{e}", epoch=e) for e in (1 << 63, MOST, now_ms + 2 * DAY_MS)))
        self.assertEqual(self.refused(), before + 3)
        self.assertFalse([i for i in self.ids() if i.startswith("epoch-")])

    def test_sequences_without_sense(self):
        frames_said = [self.batch("s1", epoch=2, first_seq=s, prev=p, lane=2)
                       for s, p in ((MOST - 1, 0), (MOST - 1, MOST - 2), (1, 0), (1 << 63, 1), (2, 1 << 62))]
        self.say(*[f for f in frames_said if f])

    def test_another_regions_events(self):
        """Whatever a region signs, its events are its own: it can neither speak for another nor take another's ids."""
        self.say(self.batch("", epoch=3, lane=0, records=[self.record("spoof-1", "us-east-1"), self.record("spoof-2", "eu-west-1"), self.record("own-1")]))
        wait_until(lambda: "own-1" in self.ids(), "the event that is its own arrives")
        self.assertFalse([i for i in self.ids() if i.startswith("spoof")])
        answer = self.victim.publish(id="spoof-1", wait="all", timeoutMs=20000, targets=[self.victim.region, self.honest.region])
        self.assertTrue(answer["success"] and not answer["duplicate"], answer)

    def test_records_that_are_none(self):
        garbage = [bytes([0xc1]) * 50, b"\x80", b"\xdf\xff\xff\xff\xff", os.urandom(400)]
        said = [self.batch("", epoch=4, lane=1, first_seq=1 + 4 * i, prev=4 * i, records=garbage) for i in range(150)]
        self.say(*said)
        self.assertFalse([e for _, e in self.victim.fetch_all(filter={"region": "us-west-2", "type": "nothing"})])

    def test_targets_that_are_none(self):
        many = [[f"region-{i}", 0] for i in range(63)] + [["us-east-1", 0]]
        self.say(self.batch("t1", epoch=2, targets=[["eu-west-1", 0]]), self.batch("t2", epoch=2, targets=[["us-west-2", 0]]), self.batch("t3", epoch=2, targets=many))

    def test_clocks_without_sense(self):
        most = (1 << 63) - 1
        for echo in ((0, 0), (1, 0), (most, most), (1, most), (int(time.time() * 1e6), most)):
            self.say(self.control(sent_at_us=most, echo=echo), self.control(sent_at_us=1, session=2, echo=echo), self.control(sent_at_us=most, session=MOST, echo=echo))

    def test_acks_of_what_was_never_sent(self):
        epoch = int(self.victim.status()["epoch"], 16)
        answer = self.victim.publish(id="to-the-liar", targets=["us-west-2"])
        seq = int(answer["position"].split(":")[3])
        self.say(self.control(epochs=(epoch,) * 3, cum=(MOST,) * 3), self.control(epochs=(epoch,) * 3, cum=(seq + 1000,) * 3),
                 self.control(epochs=(MOST,) * 3, cum=(MOST,) * 3), self.control(epochs=(1,) * 3, cum=(seq,) * 3),
                 self.control(settled=(MOST,) * 3), self.control(exceptions=[(l, seq + i, 1 + i % 3) for l in range(3) for i in range(80)]))
        answer = self.victim.publish(id="to-the-liar", targets=["us-west-2"], wait="all", timeoutMs=500)
        self.assertEqual([d["state"] for d in answer["deliveries"]], ["pending"], answer)
        self.say(self.control(epochs=(epoch, 0, 0), cum=(seq, 0, 0), exceptions=[(0, seq, 3)] + [(0, seq + i, 1) for i in range(1, 200)]))
        counters = self.victim.status()["counters"]
        self.assertLess(max(counters.values()), 1 << 62, "no counter runs below zero")

    def test_a_new_process_with_each_word(self):
        self.say(*(self.control(session=i + 10, kind=frames.HELLO) for i in range(300)))

    def test_reach_that_is_none(self):
        for reach in (["us-east-1"], ["us-west-2"], ["eu-west-1", "us-east-1", "us-west-2"], [f"region-{i}" for i in range(16)], ["eu-west-1"] * 16):
            self.say(self.control(reach=reach))

    def test_relays_that_go_nowhere(self):
        now = int(time.time() * 1e6)
        inner = self.control()
        own = frames.relay(self.key, "us-east-1", inner, now)
        self.say(own, frames.relay(self.key, "us-west-2", inner, now), frames.relay(self.key, "ap-south-1", inner, now), frames.relay(self.key, "us-east-1", own, now),
                 frames.relay(self.key, "eu-west-1", own, now), frames.relay(self.key, "eu-west-1", frames.relay(self.key, "us-east-1", own, now), now),
                 frames.relay(self.key, "us-east-1", b"", now), frames.relay(self.key, "us-east-1", b"FO" + b"\0" * 100, now),
                 frames.relay(self.key, "us-east-1", inner, now, region="eu-west-1"), frames.relay(self.key, "eu-west-1", self.batch("r1", targets=[["eu-west-1", 0]]), now))

    def test_the_true_region_is_heard_afterwards(self):
        """When the liar is gone, the real region comes with a later epoch, and its events and acks count."""
        self.liar.start()
        try:
            wait_until(lambda: self.liar.publish(wait="all", timeoutMs=5000)["success"], "the true region's events arrive", 60)
            wait_until(lambda: self.victim.publish(wait="all", timeoutMs=5000)["success"], "it has the victim's events", 60)
        finally:
            self.liar.stop()


if __name__ == "__main__":
    unittest.main()
