# SPDX-License-Identifier: Apache-2.0
"""What waits for a reader is handed out by lanes: high first, the lower ones with their share, each lane in its order and once."""
import threading
import unittest

from lib.cluster import ClusterTest, running, wait_until

LANES = ("high", "normal", "low")


def publish(broker, lane, count, **fields):
    """Many of one lane; names are LANE and a number."""
    for first in range(0, count, 500):
        events = [{"type": "custom", "id": f"{fields['tenant']}-{lane}-{i}", "priority": lane, **fields} for i in range(first, min(count, first + 500))]
        answer = broker.ask({"events": events, "brief": True}, 60)
        if not answer["success"]:
            raise AssertionError(answer)


def lane_of(item):
    return item["position"].split(":")[2]


class Lanes(ClusterTest):
    def fetch(self, broker, tenant, at, **more):
        answer = broker.ask({"op": "fetch", "filter": {"tenant": tenant}, "waitMs": 0, **at, **more})
        self.assertTrue(answer["success"], answer)
        return answer["events"], {"cursor": answer["cursor"]}

    def read(self, broker, tenant, at, **more):
        """Everything from there on, answer by answer."""
        while True:
            events, at = self.fetch(broker, tenant, at, **more)
            if not events:
                return
            yield events

    def check_whole(self, items, tenant, counts):
        for lane in LANES:
            self.assertEqual([e["event"]["id"] for e in items if lane_of(e) == lane], [f"{tenant}-{lane}-{i}" for i in range(counts.get(lane, 0))])

    def test_a_high_event_passes_a_waiting_backlog(self):
        for name in ("us-east-1", "eu-west-1"):         # where it was published, and where it came over a link
            tenant, broker = f"pass-{name}", self.cluster[name]
            publish(self.cluster.first, "normal", 6000, tenant=tenant)
            self.cluster.first.publish("custom", {}, id=f"{tenant}-normal-6000", tenant=tenant, wait="all")
            seen, at = self.fetch(broker, tenant, {"from": "earliest"})
            self.assertLess(len(seen), 3000, "an answer from a backlog is short")
            self.cluster.first.publish("custom", {}, id=f"{tenant}-high-0", tenant=tenant, priority="high", wait="all")
            events, at = self.fetch(broker, tenant, at)
            self.assertIn("high", [lane_of(e) for e in events[:2]], "the next answer begins with it")
            seen += events
            for events in self.read(broker, tenant, at):
                seen += events
            self.check_whole(seen, tenant, {"high": 1, "normal": 6001})

    def test_a_cursor_from_before_finds_the_high_event_after_a_restart(self):
        broker = self.cluster["us-west-2"]
        publish(self.cluster.first, "normal", 2000, tenant="again")
        self.cluster.first.publish("custom", {}, id="again-high-0", tenant="again", priority="high", wait="all")
        publish(self.cluster.first, "normal", 2, tenant="other")
        seen, at = self.fetch(broker, "again", {"from": "earliest"}, max=1)
        self.assertEqual([lane_of(e) for e in seen], ["high"])
        broker.restart()
        self.cluster.wait_links()
        for events in self.read(broker, "again", at, max=700):
            seen += events
        self.check_whole(seen, "again", {"high": 1, "normal": 2000})

    def test_through_is_never_later_than_what_is_left(self):
        """By it a reader begins at another region's broker: the high event that overtook is newer than all that waits."""
        tenant, publisher = "through", self.cluster.first
        for n in range(3):
            publisher.publish("custom", {}, id=f"{tenant}-low-{n}", tenant=tenant, priority="low", wait="all")
        publisher.publish("custom", {}, id=f"{tenant}-high-0", tenant=tenant, priority="high", wait="all")
        for broker in (publisher, self.cluster["eu-west-1"]):
            at, seen, through = {"from": "earliest"}, [], []
            while True:
                answer = broker.ask({"op": "fetch", "filter": {"tenant": tenant}, "waitMs": 0, "max": 1, **at})
                at = {"cursor": answer["cursor"]}
                through.append(answer["through"])
                if not answer["events"]:
                    break
                seen += answer["events"]
            self.check_whole(seen, tenant, {"high": 1, "low": 3})
            self.assertEqual(lane_of(seen[0]), "high")
            accepted = [e["event"]["acceptedtime"] for e in seen]
            self.assertLess(through[0], accepted[0], "three older ones are left")
            for n in range(4):
                again = broker.ask({"op": "fetch", "filter": {"tenant": tenant}, "waitMs": 0, "from": "time", "time": through[n]})
                names = {e["event"]["id"] for e in again["events"]}
                self.assertTrue({e["event"]["id"] for e in seen[n + 1:]} <= names, "all that was left, from then on")
            wait_until(lambda: broker.ask({"op": "fetch", "waitMs": 0, **at})["through"] > max(accepted), "nothing is left")

    def test_events_for_some_regions_say_so(self):
        publisher, some = self.cluster.first, ["us-east-1", "eu-west-1"]
        publisher.publish("custom", {}, id="whom-0", tenant="whom", wait="all")
        publisher.publish("custom", {}, id="whom-1", tenant="whom", targets=some, wait="all")
        for broker in (publisher, self.cluster["eu-west-1"]):
            first, second = self.fetch(broker, "whom", {"from": "earliest"})[0]
            self.assertNotIn("targets", first)
            self.assertEqual(second["targets"], some)
        self.assertEqual(len(self.fetch(self.cluster["us-west-2"], "whom", {"from": "earliest"})[0]), 1)

    def test_lower_lanes_get_their_share(self):
        broker, counts = self.cluster.first, {lane: 300 for lane in LANES}
        for lane in LANES:
            publish(broker, lane, 300, tenant="share")
        for size in (1, 7, 10, 1000):
            seen = [e for events in self.read(broker, "share", {"from": "earliest"}, max=size) for e in events]
            self.check_whole(seen, "share", counts)
            lanes = [lane_of(e) for e in seen]
            busy = max(i for i, lane in enumerate(lanes) if lane == "high")     # until then every lane has something waiting
            for first in range(0, busy - 10, 10):
                ten = lanes[first:first + 10]
                self.assertEqual((ten.count("high"), ten.count("normal"), ten.count("low")), (8, 1, 1), (size, first, ten))

    def test_those_who_ask_for_the_same_get_it(self):
        broker = self.cluster.first
        publish(broker, "normal", 3000, tenant="same")
        _, at = self.fetch(broker, "same", {"from": "earliest"}, max=10)
        first, _ = self.fetch(broker, "same", at)
        for _ in range(4):                      # made twice, then given again
            events, behind = self.fetch(broker, "same", at)
            self.assertEqual(events, first)
        self.assertNotEqual(self.fetch(broker, "same", at, max=11)[0], first)
        self.assertNotEqual(self.fetch(broker, "same", behind)[0], first)
        publish(broker, "high", 1, tenant="same")
        again, _ = self.fetch(broker, "same", at)
        self.assertEqual([e["event"]["id"] for e in again[:2]], ["same-high-0", "same-normal-10"], "not what was made before it came")

    def test_parked_fetches_are_answered_alike(self):
        broker, got = self.cluster["eu-west-1"], {}
        wishes = {f"{tenant}{i}": {"tenant": tenant} for tenant in ("p1", "p2", "p3") for i in range(3)} | {"type": {"type": "order_status"}, "key": {"key": "pk"}}

        def park(name):
            got[name] = broker.ask({"op": "fetch", "from": "now", "filter": wishes[name], "waitMs": 20000}, 40)
        threads = [threading.Thread(target=park, args=(name,)) for name in wishes]
        for t in threads:
            t.start()
        wait_until(lambda: broker.status()["subscribers"] == len(wishes), "all are parked")
        events = [{"type": "custom", "tenant": t, "id": f"{t}-{lane}", "priority": lane} for t in ("p1", "p2", "p4") for lane in ("low", "normal", "high")]
        self.cluster.first.ask({"events": events + [{"type": "custom", "tenant": "p4", "id": "keyed", "partitionkey": "pk"}]})
        for t in threads[:6] + threads[10:]:
            t.join(40)
        for name in sorted(got):
            answer = got[name]
            while name != "key" and len(answer["events"]) < 3:      # each lane may have become durable on its own
                answer["events"] += (more := broker.ask({"op": "fetch", "cursor": answer["cursor"], "filter": wishes[name], "waitMs": 5000}))["events"]
                self.assertTrue(more["events"], name)
                answer["cursor"] = more["cursor"]
            ids = {e["event"]["id"] for e in answer["events"]}
            self.assertEqual(ids, {"keyed"} if name == "key" else {f"{name[:2]}-{lane}" for lane in LANES}, name)
        self.assertEqual(len(got), 7)
        self.assertEqual(broker.status()["subscribers"], 4, "nobody else was woken")
        self.cluster.first.publish("order_status", tenant="p3", wait="all")
        for t in threads:
            t.join(40)
        self.assertEqual(len(got), len(wishes))

    def test_from_a_time_means_each_lane(self):
        broker = self.cluster.first
        publish(broker, "normal", 40, tenant="before")
        answer = broker.publish("custom", {}, id="mark", tenant="time")
        self.assertTrue(answer["success"])
        events, _ = self.fetch(broker, "time", {"from": "earliest"})
        since = events[0]["event"]["acceptedtime"]
        publish(broker, "high", 40, tenant="time")
        publish(broker, "low", 40, tenant="time")
        at, ids = {"from": "time", "time": since}, []
        while True:
            answer = broker.ask({"op": "fetch", "max": 7, "waitMs": 0, **at})
            if not answer["events"]:
                break
            ids += [e["event"]["id"] for e in answer["events"]]
            at = {"cursor": answer["cursor"]}
        self.assertEqual(sorted(i for i in ids if i.startswith("time-")), sorted(f"time-{lane}-{i}" for lane in ("high", "low") for i in range(40)))
        self.assertEqual([i for i in ids if i.startswith("before")], [])


class Gone(unittest.TestCase):
    def test_only_a_lane_that_lost_something_is_gone(self):
        extra = {"journal": {"segment_bytes": 4194304, "retention_bytes": 1, "retention_hours": 0}}
        with running(regions=("us-east-1",), extra=extra) as cluster:
            broker = cluster.first
            broker.publish("custom", {}, id="low-0", priority="low")
            stands = broker.ask({"op": "fetch", "from": "earliest", "waitMs": 0})["cursor"].split(".")
            self.assertEqual(len(stands), 11)
            filler = [{"type": "custom", "data": {"text": "x" * 100000}} for _ in range(20)]

            def is_gone():
                broker.ask({"events": filler, "brief": True}, 60)
                newest = broker.ask({"op": "fetch", "from": "now", "waitMs": 0})["cursor"].split(".")
                behind = stands[:5] + newest[5:7] + stands[7:9] + newest[9:]
                answer = broker.ask({"op": "fetch", "cursor": ".".join(behind), "waitMs": 0, "max": 1})
                return None if answer["success"] else (answer, newest)
            answer, newest = wait_until(is_gone, "what the normal lane began with is trimmed away", 60)
            self.assertEqual(answer["error"]["code"], "cursor_gone")
            offered = answer["cursor"].split(".")
            self.assertEqual((offered[5:7], offered[9:]), (newest[5:7], newest[9:]), "lanes that lost nothing stay where they were")
            quiet = stands[:7] + newest[7:9] + stands[9:]               # as far behind, but not in the lane that moved on
            answer = broker.ask({"op": "fetch", "cursor": ".".join(quiet), "waitMs": 0, "max": 1})
            self.assertTrue(answer["success"], answer)


if __name__ == "__main__":
    unittest.main()
