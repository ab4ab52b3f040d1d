# SPDX-License-Identifier: Apache-2.0
"""Fetch: filters, cursors that resume, starts, parking, and a position that is gone."""
import threading
import time
import unittest

from lib import mp
from lib.cluster import ClusterTest, ask, running, wait_until


class Subscribe(ClusterTest):
    def test_filters(self):
        first, far = self.cluster.first, self.cluster["eu-west-1"]
        for i in range(4):
            first.publish("custom", {"i": i}, id=f"f{i}", tenant=("a", "b")[i % 2], partitionkey=("k", "l")[i // 2], wait="all")
        far.publish("order_status", id="f-eu", tenant="a", wait="all")

        def ids(**filter):
            return [e["id"] for _, e in far.fetch_all(filter) if e["id"].startswith("f")]
        self.assertEqual(ids(tenant="a", type="custom"), ["f0", "f2"])
        self.assertEqual(ids(key="l"), ["f2", "f3"])
        self.assertEqual(ids(tenant="b", key="k"), ["f1"])
        self.assertEqual(ids(type=["custom", "order_status"], tenant="a"), ["f-eu", "f0", "f2"])
        self.assertEqual(ids(region="eu-west-1"), ["f-eu"])
        self.assertEqual(ids(region="us-east-1"), ["f0", "f1", "f2", "f3"])

    def test_a_cursor_resumes_where_it_was(self):
        for i in range(50):
            self.cluster.first.publish("custom", {"i": i}, id=f"c{i}", tenant="cursor", wait="all" if i == 49 else None)
        broker, seen, cursor = self.cluster["us-west-2"], [], {"from": "earliest"}
        while True:                             # a new connection each time, seven at a time
            answer = broker.ask({"op": "fetch", "filter": {"tenant": "cursor"}, "max": 7, "waitMs": 0, **cursor})
            self.assertLessEqual(len(answer["events"]), 7)
            if not answer["events"]:
                break
            seen += [e["event"]["id"] for e in answer["events"]]
            cursor = {"cursor": answer["cursor"]}
        self.assertEqual(seen, [f"c{i}" for i in range(50)])
        broker.restart()
        self.cluster.wait_links()
        self.cluster.first.publish("custom", {}, id="c-new", tenant="cursor", wait="all")
        answer = broker.ask({"op": "fetch", "filter": {"tenant": "cursor"}, "waitMs": 5000, **cursor})
        self.assertEqual([e["event"]["id"] for e in answer["events"]], ["c-new"], "a cursor outlives the broker's process")

    def test_a_parked_fetch_is_answered_when_something_matches(self):
        broker, got = self.cluster["eu-west-1"], []

        def park():
            got.append(broker.ask({"op": "fetch", "from": "now", "filter": {"tenant": "parked"}, "waitMs": 20000}, 40))
        thread = threading.Thread(target=park)
        thread.start()
        time.sleep(0.3)
        self.cluster.first.publish(tenant="someone-else", wait="all")
        self.cluster.first.publish(id="wake", tenant="parked", wait="all")
        thread.join(40)
        self.assertEqual([e["event"]["id"] for e in got[0]["events"]], ["wake"])

    def test_a_wait_that_ends_empty_gives_a_cursor(self):
        answer = self.cluster.first.ask({"op": "fetch", "from": "now", "filter": {"tenant": "nobody"}, "waitMs": 50})
        self.assertTrue(answer["success"], answer)
        self.assertEqual(answer["events"], [])
        self.cluster.first.publish(id="after", tenant="nobody")
        more = self.cluster.first.ask({"op": "fetch", "cursor": answer["cursor"], "filter": {"tenant": "nobody"}, "waitMs": 10000})
        self.assertEqual([e["event"]["id"] for e in more["events"]], ["after"])

    def test_from_a_time(self):
        self.cluster.first.publish(id="before", tenant="timed", wait="all")
        time.sleep(0.05)
        at = time.time()
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z"
        time.sleep(0.05)
        self.cluster.first.publish(id="behind", tenant="timed", wait="all")
        answer = self.cluster["us-west-2"].ask({"op": "fetch", "from": "time", "time": since, "filter": {"tenant": "timed"}, "waitMs": 5000})
        self.assertEqual([e["event"]["id"] for e in answer["events"]], ["behind"])

    def test_limits_of_one_answer(self):
        for i in range(10):
            self.cluster.first.publish("custom", {"text": "x" * 10000}, tenant="big", wait="all" if i == 9 else None)
        answer = self.cluster.first.ask({"op": "fetch", "from": "earliest", "filter": {"tenant": "big"}, "maxBytes": 35000, "waitMs": 0})
        self.assertTrue(1 <= len(answer["events"]) <= 4, len(answer["events"]))
        self.assertEqual(len(self.cluster.first.fetch_all({"tenant": "big"}, maxBytes=35000)), 10)

    def test_msgpack_hands_out_the_signed_record(self):
        self.cluster.first.publish("custom", {"a": 1}, id="raw", tenant="raw", wait="all")
        with self.cluster["eu-west-1"].connect() as req:
            answer = ask(req, mp.pack({"op": "fetch", "from": "earliest", "filter": {"tenant": "raw"}, "waitMs": 0}))
        event = answer["events"][0]["event"]
        self.assertEqual((event[1], event[2], event[4], event[17]), ("raw", "custom", "us-east-1", {"a": 1}))


class Gone(unittest.TestCase):
    def test_a_position_that_is_gone_is_said_to_be(self):
        extra = {"journal": {"segment_bytes": 4194304, "retention_bytes": 1, "retention_hours": 0}}
        with running(regions=("us-east-1",), extra=extra) as cluster:
            broker = cluster.first
            broker.publish("custom", {}, id="first")
            answer = broker.ask({"op": "fetch", "from": "earliest", "waitMs": 0, "max": 1})
            first_cursor = answer["cursor"]
            filler = [{"type": "custom", "data": {"text": "x" * 100000}} for _ in range(20)]

            def is_gone():
                broker.ask({"events": filler, "brief": True}, 60)
                return broker.ask({"op": "fetch", "cursor": first_cursor, "waitMs": 0, "max": 1}).get("error")
            error = wait_until(is_gone, "the first segment is trimmed away", 60)
            self.assertEqual(error["code"], "cursor_gone", error)
            answer = broker.ask({"op": "fetch", "cursor": first_cursor, "waitMs": 0, "max": 1})
            self.assertIn("cursor", answer, "the answer offers the earliest that is left")
            more = broker.ask({"op": "fetch", "cursor": answer["cursor"], "waitMs": 0, "max": 1})
            self.assertTrue(more["success"], more)


if __name__ == "__main__":
    unittest.main()
