# SPDX-License-Identifier: Apache-2.0
"""Links: back within a second or so of what kills an NNG listener; frames that are forged, replayed or out of place."""
import base64
import socket
import struct
import time
import unittest
import urllib.parse

from lib import frames, sp
from lib.cluster import ROOT, ClusterTest, ask, wait_until


def connect_fin_rst(url):
    """The sequence after which NNG 1.5.2's listener accepts nothing any more: the reset arrives before it accepts."""
    parts = urllib.parse.urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port))
    sock.shutdown(socket.SHUT_WR)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def seconds_until(condition, what):
    started = time.monotonic()
    wait_until(condition, what)
    return time.monotonic() - started


class Recovery(ClusterTest):
    # Here alone NNG's own leaks are let pass: 1.5.2 forgets what a dead listener had accepted.
    options = {"env": {"LSAN_OPTIONS": f"suppressions={ROOT / 'tests/lsan.supp'}:print_suppressions=0"}}

    def can_publish(self):
        try:
            with sp.Req(self.cluster.first.door, timeout=1) as req:
                return ask(req, {"op": "ping"}, 1)["success"]
        except (OSError, sp.Closed):
            return False

    def test_the_door_is_back(self):
        for _ in range(50):
            connect_fin_rst(self.cluster.first.door)
        self.assertLess(seconds_until(self.can_publish, "the door answers"), 10)
        self.assertTrue(self.cluster.first.publish(wait="all", timeoutMs=20000)["success"])

    def test_the_link_listener_is_back(self):
        target = self.cluster["us-west-2"]
        for _ in range(50):
            connect_fin_rst(target.link)
        answer = self.cluster.first.publish(wait="all", timeoutMs=20000)
        self.assertTrue(answer["success"], "connections that stood go on")
        # A listener that died shows only to a connection that is new: the source broker's, after its restart.
        self.cluster.first.restart()
        answer = self.cluster.first.publish(wait="all", timeoutMs=20000)
        self.assertTrue(answer["success"], answer)

    def test_the_feed_is_back(self):
        for _ in range(50):
            connect_fin_rst(self.cluster.first.feed)

        def is_heard():
            try:
                with sp.Sub(self.cluster.first.feed, timeout=1) as sub:
                    wait_until(lambda: self.cluster.first.status()["feedHasSubscribers"], "subscriber counted", 1)
                    self.cluster.first.publish()
                    return sub.receive(timeout=1)
            except (OSError, sp.Closed, AssertionError):
                return None
        self.assertTrue(wait_until(is_heard, "the feed is heard").startswith(b"order_status/"))

    def test_a_peer_that_went_away_is_found_again(self):
        peer = self.cluster["eu-west-1"]
        peer.kill()
        wait_until(lambda: any(l["region"] == peer.region and l["state"] == "down" for l in self.cluster.first.status()["links"]),
                   "the link is seen to be down")
        self.assertTrue(self.cluster.first.publish(wait=1)["success"])
        peer.start()
        self.cluster.wait_links()
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])


AT_ONCE = 16                            # acks after silence that are not gathered


class Acks(ClusterTest):
    options = {"extra": {"link": {"ack_delay_ms_max": 200, "queue_delay_ms_max": 4000, "retransmit_ms_min": 4000}}}

    def is_all_acked(self):
        return all(lane["backlog"] == 0 for link in self.cluster.first.status()["links"] for lane in link["lanes"].values())

    def test_acks_of_a_stream_are_gathered(self):
        first, events = self.cluster.first, 100
        before = first.status()["counters"]["acksReceived"]
        started = time.monotonic()
        for _ in range(events):
            self.assertTrue(first.publish("custom", {})["success"])
        wait_until(self.is_all_acked, "everything is acked")
        seconds = time.monotonic() - started
        acks = first.status()["counters"]["acksReceived"] - before
        # Each peer: the first ones, then in time, or by a quarter of the window (16 batches), or as the answer to a probe.
        self.assertLessEqual(acks, 2 * (AT_ONCE + seconds / 0.2 + events / 16 + seconds / 0.75 + 3))

    def test_an_awaited_ack_is_not_gathered(self):
        """Gathered, it would come 0.2 s after the ack before, once those that go at once are used up."""
        def is_in_time():
            return self.cluster.first.publish(wait="all", timeoutMs=50)["success"]

        for _ in range(3 * AT_ONCE):
            self.assertTrue(self.cluster.first.publish("custom", {})["success"])
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])
        self.assertTrue(any([is_in_time() for _ in range(3)]))


class Forged(ClusterTest):
    """Frames sent straight to a link listener, by somebody who has no key, some key, or a region's own."""
    options = {"regions": ("us-east-1", "us-west-2")}

    def setUp(self):
        self.target = self.cluster["us-west-2"]
        self.cluster.first.publish(id=f"before-{self.id()}", wait="all")
        self.before = self.ids()
        self.key = frames.Key.read(self.cluster.dir / "keys/us-east-1.key")
        position = self.cluster.first.publish(id=f"base-{self.id()}", wait="all")["position"].split(":")
        self.epoch, self.seq = int(position[1], 16), int(position[3])

    def ids(self):
        return [e["id"] for _, e in self.target.fetch_all()]

    def forged_batch(self, key=None, first_seq=None, prev=None, **changes):
        """What the source would send next, unless changed."""
        first_seq = self.seq + 1 if first_seq is None else first_seq
        record = frames.record(id="forged", type="order_status", acceptedtime=int(time.time() * 1e6), sourceregion="us-east-1",
                               data={"order_id": 1, "status": "forged"})
        return frames.batch(key or self.key, self.epoch, 0, first_seq, [["us-west-2", self.seq if prev is None else prev]], [record],
                            sealed_at_us=int(time.time() * 1e6), **changes)

    def send(self, *octets):
        with sp.Pub(self.target.link) as pub:
            for each in octets:
                pub.send(each)
            time.sleep(0.3)

    def not_believed(self, *octets):
        self.send(*octets)
        answer = self.cluster.first.publish(id=f"after-{time.monotonic_ns()}", wait="all")
        self.assertTrue(answer["success"], answer)
        self.assertNotIn("forged", self.ids())
        self.seq = int(answer["position"].split(":")[3])

    def test_a_wrong_signature(self):
        good = self.forged_batch()
        header_bytes = struct.unpack(">I", good[4:8])[0]
        signature_at = 12 + header_bytes
        for at in (signature_at, signature_at + 63, 14, len(good) - 1):
            with self.subTest(flipped=at):
                self.not_believed(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])

    def test_an_unknown_key(self):
        self.not_believed(self.forged_batch(frames.Key.of_seed("us-east-1", b"s" * 32)))

    def test_a_key_id_that_is_not_the_signers(self):
        self.not_believed(self.forged_batch(frames.Key.of_seed("us-east-1", b"s" * 32), key_id=self.key.id))

    def test_another_regions_key(self):
        own = frames.Key.read(self.cluster.dir / "keys/us-west-2.key")
        self.not_believed(self.forged_batch(own, region="us-east-1"))

    def test_a_region_that_is_no_peer(self):
        self.not_believed(self.forged_batch(region="ap-south-1"))

    def test_a_future_sequence(self):
        self.not_believed(self.forged_batch(first_seq=self.seq + 1000, prev=self.seq + 999))

    def test_a_past_sequence(self):
        self.not_believed(self.forged_batch(first_seq=self.seq, prev=self.seq - 1))

    def test_a_root_that_is_not_the_records(self):
        self.not_believed(self.forged_batch(root=bytes(32)))

    def test_a_batch_for_somebody_else(self):
        record = frames.record(id="forged", type="order_status", acceptedtime=1, sourceregion="us-east-1", data=1)
        self.not_believed(frames.batch(self.key, self.epoch, 0, self.seq + 1, [["eu-west-1", self.seq]], [record]))

    def test_no_frame_at_all(self):
        good = self.forged_batch()
        for octets in (b"", b"F", b"FO", good[:40], good[:-1], good + b"x", b"XX" + good[2:], good[:2] + b"\x63" + good[3:],
                       good[:3] + b"\x63" + good[4:], good[:4] + b"\xff" * 8 + good[12:], b"\0" * 5000):
            with self.subTest(octets[:16]):
                self.not_believed(octets)

    def test_an_ack_that_nobody_owes(self):
        """A forged ack must not settle anything: here by an unknown key, and by a peer for sequences never sent."""
        own = frames.Key.read(self.cluster.dir / "keys/us-west-2.key")
        unknown = frames.Key.of_seed("us-west-2", b"t" * 32)
        self.target.kill()
        waiting = f"unacked-{self.id()}"
        with self.cluster.first.connect() as req, sp.Pub(self.cluster.first.link) as pub:
            ask(req, {"type": "order_status", "id": waiting, "data": {"order_id": 1, "status": "preparing"}})
            now = int(time.time() * 1e6)
            pub.send(frames.control(frames.ACK, unknown, "us-east-1", 1, now, (self.epoch, 0, 0), (self.seq + 1, 0, 0)))
            pub.send(frames.control(frames.ACK, own, "us-east-1", 1, now, (self.epoch, 0, 0), (self.seq + 1000000, 0, 0)))
            pub.send(frames.control(frames.ACK, own, "eu-west-1", 1, now, (self.epoch, 0, 0), (self.seq + 1, 0, 0)))
            time.sleep(0.5)
            answer = ask(req, {"type": "order_status", "id": waiting, "data": {"order_id": 1, "status": "preparing"}, "wait": "all",
                               "timeoutMs": 300})
        self.assertEqual([d["state"] for d in answer["deliveries"]], ["pending"], answer)
        self.target.start()
        wait_until(lambda: waiting in self.ids(), "the event has arrived")

    def test_a_replayed_frame_changes_nothing(self):
        """An honest frame, sent again by somebody who overheard it: no event twice, and the order goes on."""
        answer = self.cluster.first.ask({"op": "explain", "id": f"base-{self.id()}"})
        self.assertTrue(answer["found"], answer)
        before = self.ids()
        self.send(self.rebuild(answer))
        self.assertEqual(self.ids(), before)
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])

    def rebuild(self, explained):
        """The frame of a batch with one event, from what explain shows of it."""
        batch = explained["batch"]
        self.assertEqual(batch["count"], 1)
        header, signature, record = (base64.b64decode(batch[k]) for k in ("header", "signature", "record"))
        return header + signature + struct.pack(">I", len(record)) + record


if __name__ == "__main__":
    unittest.main()
