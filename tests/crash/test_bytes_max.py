# SPDX-License-Identifier: Apache-2.0
"""A journal at its limit, journal.bytes_max: publishing is refused with a hint when to retry; what was accepted is kept, through a restart,
too; and as soon as peers ack, it goes on by itself. Also when two brokers are full of what each has for the other."""
import unittest

from shim import SMALL, count, mortal
from lib.cluster import wait_until

SLOW = True
ONE, OTHER = "us-east-1", "us-west-2"
# Refused by the journal, or by a broker that knows already that it is full.
EXTRA = {"journal": {"segment_bytes": 1 << 20, "bytes_max": 9 << 20}, "limits": SMALL["limits"]}


class Full(unittest.TestCase):
    def fill(self, broker):
        """Publishes until it is refused; the ids that were accepted, and those whose fate was left open."""
        accepted, doubtful = [], []
        for number in range(2000):
            event_id = f"{broker.region}:{number}"
            answer = broker.publish("custom", {"pad": "x" * 30000}, id=event_id, timeoutMs=1000)
            error = answer.get("error")
            if error is None:
                accepted.append(event_id)
                continue
            self.assertGreater(error["retryAfterMs"], 0, error)
            if error["code"] == "no_space":
                self.assertGreater(len(accepted), 50)
                return accepted, doubtful
            self.assertEqual(error["code"], "timeout", error)
            doubtful.append(event_id)
        self.fail("the journal never became full")

    def check_bound(self, broker):
        self.assertLessEqual(broker.status()["journal"]["bytesOnDisk"], EXTRA["journal"]["bytes_max"])

    def goes_again(self, broker, number=1):
        wait_until(lambda: "error" not in broker.publish("custom", {}, id=f"again:{broker.region}:{number}"), f"{broker.region} takes events again")

    def has_all(self, broker, ids, cursor):
        """All arrive, followed by cursor, because what is old is trimmed while new comes."""
        arrived = []
        state = {"cursor": cursor}

        def all_there():
            answer = broker.ask({"op": "fetch", "cursor": state["cursor"], "max": 1000, "waitMs": 200})
            self.assertTrue(answer.get("success"), answer)
            arrived.extend(e["event"]["id"] for e in answer["events"])
            state["cursor"] = answer["cursor"]
            return set(ids) <= set(arrived)
        wait_until(all_there, f"{broker.region} has all {len(ids)}", 60)
        self.assertEqual(len(arrived), len(set(arrived)))

    def position(self, broker):
        return broker.ask({"op": "fetch", "from": "now", "waitMs": 0})["cursor"]

    def test_recovers_when_the_peer_acks_after_a_restart(self):
        with mortal(regions=(ONE, OTHER), extra=EXTRA) as cluster:
            one, other = cluster[ONE], cluster[OTHER]
            cursor = self.position(other)
            other.kill()
            accepted, _ = self.fill(one)
            self.check_bound(one)
            one.kill()
            one.start()
            self.assertTrue(set(accepted) <= {e["id"] for _, e in one.fetch_all()})
            self.fill_answer(one)
            one.kill()
            one.start()
            other.start()
            self.has_all(other, accepted, cursor)
            self.goes_again(one)
            self.check_bound(one)
        count(f"journal full: {len(accepted)} events kept through two restarts and delivered; it went on by itself")

    def fill_answer(self, broker):
        """After the restart it is still full, and says so. The one that finds out may be left open."""
        for number in range(300):
            answer = broker.publish("custom", {"pad": "x" * 30000}, id=f"more:{number}", timeoutMs=1000)
            if answer.get("error", {}).get("code") == "no_space":
                return
        self.fail("full before the restart, and never after it")

    def exchange(self, regions):
        """Each is filled while the others are down; then all are there."""
        with mortal(start=False, regions=regions, extra=EXTRA) as cluster:
            accepted = {}
            for broker in cluster:
                broker.start()
                accepted[broker.region], _ = self.fill(broker)
                broker.kill()
            for broker in cluster:
                broker.start()
            for broker in cluster:
                wait_until(lambda b=broker: b.status()["journal"]["failure"] == "ok" and self.has_settled(b), f"{broker.region} has told all it had", 60)
                self.check_bound(broker)
            for broker in cluster:
                arrived = [e["id"] for _, e in broker.fetch_all()]
                self.assertEqual(len(arrived), len(set(arrived)))
                # Its own, which are older, may be trimmed by now.
                expected = {i for region, ids in accepted.items() if region != broker.region for i in ids}
                self.assertLessEqual(expected, set(arrived), f"{broker.region} lacks some")
                self.goes_again(broker)
        count(f"{len(regions)} full journals: {', '.join(str(len(a)) for a in accepted.values())} events exchanged; all went on by themselves")

    def has_settled(self, broker):
        return all(lane["backlog"] == 0 for link in broker.status()["links"] for lane in link["lanes"].values())

    def test_two_full_of_what_each_has_for_the_other(self):
        self.exchange((ONE, OTHER))

    def test_three_full_of_what_each_has_for_the_others(self):
        self.exchange((ONE, OTHER, "eu-west-1"))


if __name__ == "__main__":
    unittest.main()
