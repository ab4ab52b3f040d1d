# SPDX-License-Identifier: Apache-2.0
"""What a publisher may ask for: duplicates, waits, lanes, arrays, custom types, targets, fields nobody knows."""
import json
import unittest

from lib import mp
from lib.cluster import ClusterTest, ask, wait_until

OTHERS = {"us-west-2", "eu-west-1"}


class Publish(ClusterTest):
    options = {"extra": {"types": [{"type": "kitchen_ticket", "lane": "low"},
                                   {"type": "courier_location", "lane": "normal", "schema": "courier.json"}]}}

    @classmethod
    def prepare(cls, cluster):
        schema = {"type": "object", "properties": {"lat": {"type": "number", "minimum": -90, "maximum": 90}}, "required": ["lat"]}
        for broker in cluster:
            (broker.dir / "courier.json").write_text(json.dumps(schema))

    def ids_at(self, broker, **filter):
        return [e["id"] for _, e in broker.fetch_all(filter)]

    def test_a_duplicate_gets_the_first_answer_and_is_not_sent_again(self):
        first = self.cluster.first.publish(id="once", wait="all")
        again = self.cluster.first.publish(id="once", wait="all")
        self.assertTrue(first["success"] and again["success"], (first, again))
        self.assertEqual(again["position"], first["position"])
        self.assertFalse(first.get("duplicate", False))
        self.assertTrue(again["duplicate"])
        self.assertEqual({d["region"] for d in again["deliveries"] if d["success"]}, OTHERS)
        for broker in self.cluster:
            self.assertEqual(self.ids_at(broker).count("once"), 1)

    def test_the_same_id_of_another_tenant_is_another_event(self):
        answers = [self.cluster.first.publish(id="shared", tenant=t, wait="all") for t in ("red", "blue")]
        self.assertTrue(all(a["success"] and not a.get("duplicate") for a in answers), answers)
        self.assertNotEqual(answers[0]["position"], answers[1]["position"])
        self.assertEqual(self.ids_at(self.cluster["eu-west-1"], tenant="red"), ["shared"])

    def test_duplicates_within_one_array(self):
        event = {"type": "custom", "id": "twin", "data": 1}
        answer = self.cluster.first.ask({"events": [event, event], "wait": "all"})
        self.assertEqual([r["success"] for r in answer["results"]], [True, True], answer)
        self.assertEqual(answer["results"][0]["position"], answer["results"][1]["position"])
        wait_until(lambda: self.ids_at(self.cluster["us-west-2"]).count("twin") == 1, "it arrived once")

    def test_without_an_id_the_broker_makes_a_uuid(self):
        answer = self.cluster.first.publish()
        self.assertRegex(answer["eventId"], r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_waits(self):
        self.assertTrue(self.cluster.first.publish(wait="accepted")["success"])
        one = self.cluster.first.publish(wait=1)
        self.assertTrue(one["success"], one)
        self.assertGreaterEqual(sum(d["success"] for d in one["deliveries"]), 1)
        everywhere = self.cluster.first.publish(wait="all")
        self.assertEqual({d["region"] for d in everywhere["deliveries"] if d["success"]}, OTHERS)
        self.assertTrue(all(d["state"] == "delivered" for d in everywhere["deliveries"]))

    def test_what_a_publisher_was_told_is_what_an_operator_reads_at_once(self):
        for i in range(20):
            self.assertTrue(self.cluster.first.publish(id=f"told-{i}", tenant="told", wait="all")["success"])
            story = self.cluster.first.ask({"op": "explain", "id": f"told-{i}", "tenant": "told"})
            self.assertEqual([d["state"] for d in story["deliveries"]], ["delivered", "delivered"])
        self.assertTrue(self.cluster.first.publish("order_created", {"order_id": 9, "store_id": 7}, wait="all")["success"])
        rows = [r for r in self.cluster.first.ask({"op": "report"})["rows"] if r["type"] == "order_created"]
        self.assertEqual([(r["total"], r["delivered"]) for r in rows], [(1, 1), (1, 1)])

    def test_lanes_by_type_and_by_choice(self):
        lane = {"custom": "normal", "order_status": "high", "kitchen_ticket": "low"}
        for type, expected in lane.items():
            answer = self.cluster.first.publish(type)
            self.assertEqual(answer["position"].split(":")[2], expected, answer)
        for chosen in ("high", "normal", "low"):
            answer = self.cluster.first.publish("custom", {}, priority=chosen)
            self.assertEqual(answer["position"].split(":")[2], chosen)

    def test_targets(self):
        answer = self.cluster.first.publish(id="eu-only", targets=["eu-west-1"], wait="all")
        self.assertEqual([d["region"] for d in answer["deliveries"]], ["eu-west-1"])
        marker = self.cluster.first.publish(id="for-all", wait="all")
        self.assertTrue(marker["success"])
        self.assertIn("eu-only", self.ids_at(self.cluster["eu-west-1"]))
        self.assertNotIn("eu-only", self.ids_at(self.cluster["us-west-2"]))
        self.assertIn("for-all", self.ids_at(self.cluster["us-west-2"]))

    def test_many_in_both_encodings(self):
        for label, encode in (("json", lambda v: json.dumps(v).encode()), ("msgpack", mp.pack)):
            events = [{"type": "custom", "id": f"{label}-{i}", "data": {"i": i}} for i in range(600)]
            with self.cluster.first.connect() as req:
                full = ask(req, encode({"events": events[:300], "wait": "all", "timeoutMs": 20000}), 60)
                self.assertEqual([r["eventId"] for r in full["results"]], [e["id"] for e in events[:300]])
                self.assertTrue(all({d["region"] for d in r["deliveries"] if d["success"]} == OTHERS for r in full["results"]))
                brief = ask(req, encode({"events": events[300:] + [{"type": "nope"}], "wait": "all", "brief": True}), 60)
            self.assertEqual((brief["count"], brief["accepted"], brief["duplicates"]), (301, 300, 0), brief)
            self.assertEqual([(e["index"], e["error"]["code"] if "error" in e else e["code"]) for e in brief["errors"]], [(300, "unknown_type")])
            self.assertNotIn("results", brief)
            for broker in self.cluster:
                wait_until(lambda b=broker, l=label: [i for i in self.ids_at(b) if i.startswith(l)] == [e["id"] for e in events],
                           f"{broker.region} has them all, in order")

    def test_a_registered_type_is_held_to_its_schema(self):
        self.assertTrue(self.cluster.first.publish("courier_location", {"lat": 52.5})["success"])
        refused = self.cluster.first.publish("courier_location", {"lat": 152.5})
        self.assertEqual((refused["error"]["code"], refused["error"]["path"]), ("schema", "data.lat"))
        self.assertTrue(self.cluster.first.publish("kitchen_ticket", "anything at all")["success"])

    def test_fields_arrive_as_they_were_given(self):
        given = {"id": "full", "source": "/orders", "subject": "order 123", "partitionkey": "order-123", "tenant": "acme",
                 "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "time": "2026-01-31T12:00:00.5Z",
                 "schemaversion": 3, "mincompatible": 2, "kitchencolour": {"deep": [1, None, True, "é"]}, "comexampleother": 42}
        self.assertTrue(self.cluster.first.publish("custom", {"n": 2**40, "f": 1.5, "none": None}, wait="all", **given)["success"])
        event = next(e for _, e in self.cluster["eu-west-1"].fetch_all({"tenant": "acme"}) if e["id"] == "full")
        for field, value in given.items():
            if field == "time":
                self.assertTrue(event[field].startswith("2026-01-31T12:00:00.5"), event)
            else:
                self.assertEqual(event[field], value, field)
        self.assertEqual(event["data"], {"n": 2**40, "f": 1.5, "none": None})

    def test_an_expired_event_is_said_to_be(self):
        answer = self.cluster.first.publish("custom", {}, expirytime="2020-01-01T00:00:00Z", wait="all", timeoutMs=5000)
        if "error" in answer:                   # refused at once is as good
            self.assertEqual(answer["error"]["code"], "expired")
            return
        self.assertEqual({d["state"] for d in answer["deliveries"]}, {"expired"})
        self.assertFalse(answer["success"])


class WaitWithARegionDown(ClusterTest):
    def test_a_wait_ends_in_time_and_lists_who_is_pending(self):
        self.cluster["us-west-2"].kill()
        answer = self.cluster.first.publish(id="late", wait="all", timeoutMs=700)
        states = {d["region"]: d["state"] for d in answer["deliveries"]}
        self.assertEqual(states, {"us-west-2": "pending", "eu-west-1": "delivered"})
        self.assertFalse(answer["success"])
        self.assertTrue(self.cluster.first.publish(wait=1, timeoutMs=10000)["success"])
        self.cluster["us-west-2"].start()
        wait_until(lambda: "late" in [e["id"] for _, e in self.cluster["us-west-2"].fetch_all()], "the region caught up")
        again = self.cluster.first.publish(id="late", wait="all", timeoutMs=10000)
        self.assertTrue(again["success"] and again["duplicate"], again)


if __name__ == "__main__":
    unittest.main()
