# SPDX-License-Identifier: Apache-2.0
"""The main job as a user sees it: stock NNG tools publish and listen, psql asks the seeds' question, an operator looks."""
import json
import subprocess
import unittest

from lib.cluster import ClusterTest, run, wait_until

# As the documents that this project began with have it; every character counts.
SUCCESS_RATE_QUERY = """
-- Fanout delivery success rate
SELECT
  event_type,
  COUNT(*) as total,
  SUM(CASE WHEN (delivery_status->>'success')::boolean THEN 1 ELSE 0 END) as successful
FROM realtime_fanout_log
WHERE fanout_at > NOW() - INTERVAL '1 day'
GROUP BY event_type;
"""

EVENT = {"type": "order_status", "payload": {"order_id": 123, "status": "preparing", "previous_status": "pending"},
         "sourceRegion": "us-east-1", "priority": "high", "wait": "all", "timeoutMs": 10000}


def feed_listener(broker, topic):
    return subprocess.Popen(["nngcat", "--sub", "--dial", broker.feed, "--subscribe", topic, "--count", "1", "--raw"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class MainJob(ClusterTest):
    options = {"database": True}

    def test_1_order_status_with_stock_tools(self):
        listeners = [feed_listener(b, "order_status") for b in self.cluster.others()]
        for broker in self.cluster.others():
            wait_until(lambda b=broker: b.status()["feedHasSubscribers"], f"{broker.region} has its feed's subscriber")

        done = run(["nngcat", "--req", "--dial", self.cluster.first.door, "--data", json.dumps(EVENT), "--raw"])
        answer = json.loads(done.stdout)
        self.assertTrue(answer["success"], answer)
        self.assertEqual({d["region"] for d in answer["deliveries"]}, {"us-west-2", "eu-west-1"})
        for delivery in answer["deliveries"]:
            self.assertTrue(delivery["success"], delivery)
            self.assertGreater(delivery["latencyMs"], 0)
            self.assertGreaterEqual(delivery["attempts"], 1)
        self.assertGreater(answer["totalLatencyMs"], 0)
        self.assertTrue(answer["position"].startswith("us-east-1:"), answer["position"])
        type(self).event_id = answer["eventId"]

        for listener in listeners:
            text, _ = listener.communicate(timeout=20)
            topic, _, body = text.partition(" ")
            self.assertTrue(topic.startswith("order_status/default"), text)
            event = json.loads(body)
            self.assertEqual(event["id"], self.event_id)
            self.assertEqual(event["specversion"], "1.0")
            self.assertEqual(event["sourceregion"], "us-east-1")
            self.assertEqual(event["data"], EVENT["payload"])

    def test_2_every_region_can_fetch_it(self):
        for broker in self.cluster:
            events = [e for _, e in broker.fetch_all({"type": "order_status"})]
            self.assertEqual([e["id"] for e in events], [self.event_id])
            self.assertEqual(events[0]["data"], EVENT["payload"])

    def test_3_the_seeds_query_counts_it(self):
        psql = self.cluster.postgres.psql
        wait_until(lambda: psql("SELECT count(*) FROM realtime_fanout_log") == "1", "the ledger has its row")
        self.assertEqual(psql(SUCCESS_RATE_QUERY), "order_status|1|1")
        row = psql("SELECT source_region, array_to_string(target_regions, ' '), payload_size > 0 FROM realtime_fanout_log").split("|")
        self.assertEqual((row[0], set(row[1].split()), row[2]), ("us-east-1", {"us-west-2", "eu-west-1"}, "t"))

    def test_4_explain_shows_and_verifies(self):
        for broker in self.cluster:
            done = self.cluster.cli("explain", self.event_id, "--keys", self.cluster.dir / "keys", broker=broker)
            self.assertIn(self.event_id, done.stdout)
            self.assertRegex(done.stdout.lower(), r"verif|valid")

    def test_5_report_names_both_regions(self):
        done = self.cluster.cli("report")
        for word in ("order_status", "us-west-2", "eu-west-1", "100"):
            self.assertIn(word, done.stdout)
        source, = json.loads(self.cluster.cli("report", "--json").stdout)["sources"]
        rows = {row["region"]: row for row in source["rows"]}
        self.assertEqual(set(rows), {"us-west-2", "eu-west-1"})
        for row in rows.values():
            self.assertEqual((row["type"], row["total"], row["delivered"], row["successRate"]), ("order_status", 1, 1, 1))
            self.assertGreater(row["p99Ms"], 0)

    def test_5_report_from_the_ledger_says_the_same(self):
        done = self.cluster.cli("report", "--ledger", self.cluster.postgres.conninfo)
        for word in ("order_status", "us-west-2", "eu-west-1", "100"):
            self.assertIn(word, done.stdout)

    def test_6_regions_are_listed_with_their_links(self):
        done = self.cluster.cli("region", "ls")
        for word in ("us-west-2", "eu-west-1", "up"):
            self.assertIn(word, done.stdout)

    def test_7_any_region_may_publish(self):
        for broker in self.cluster.others():
            answer = broker.publish("store_status", {"store_id": 7, "status": "closed"}, wait="all")
            self.assertTrue(answer["success"], answer)
            for other in self.cluster:
                wait_until(lambda o=other, i=answer["eventId"]: i in [e["id"] for _, e in o.fetch_all({"type": "store_status"})],
                           f"{other.region} has {broker.region}'s event")


if __name__ == "__main__":
    unittest.main()
