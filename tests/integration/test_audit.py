# SPDX-License-Identifier: Apache-2.0
"""The auditor: silent where nothing is wrong, and where something is, it names exactly that."""
import base64
import json
import re
import shutil
import time
import unittest

from lib import mp
from lib.cluster import ClusterTest, running, wait_until
from lib.load import Load

SLOW = True


def named(audit, kind=None):
    """{(kind, where, id)} of the events that are not as they should be."""
    return {(e["kind"], e["where"], e["id"]) for e in audit["events"] if kind in (None, e["kind"])}


def flow(audit, source, target, lane):
    found = [f for f in audit["flows"] if (f["source"], f["target"], f["lane"]) == (source, target, lane)]
    return found[0] if found else None


class Ledger(ClusterTest):
    """Traffic in every direction and lane, with some that expires or is refused; then rows are tampered with, one test each."""
    options = {"database": True, "extra": {"ledger": {"settle_wait_ms": 300}},
               "per_region": {"eu-west-1": {"limits": {"schema_version_min": 2}}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for source in cls.cluster:
            for lane in ("high", "normal", "low"):
                events = [{"type": "custom", "id": f"{source.region}-{lane}-{i}", "priority": lane, "data": {"n": i},
                           "schemaversion": 1 + i % 3} for i in range(40)]
                events.append({"type": "custom", "id": f"{source.region}-{lane}-one", "priority": lane, "data": {}, "targets": ["us-west-2"],
                               "schemaversion": 2})
                answer = source.ask({"events": events, "wait": "all", "timeoutMs": 10000, "brief": True})
                assert answer["accepted"] == 41, answer
        cls.clean = cls.cluster.judge()

    def psql(self, sql):
        return self.cluster.postgres.psql(sql)

    def tampered(self, where, change, put_back):
        """What the audit says while a row is changed."""
        self.psql("CREATE TABLE IF NOT EXISTS kept (LIKE realtime_fanout_log); TRUNCATE kept; "
                  f"INSERT INTO kept SELECT * FROM realtime_fanout_log WHERE {where}")
        self.psql(change)
        try:
            return self.cluster.audit()
        finally:
            self.psql(put_back)

    def test_traffic_in_every_direction_has_zero_drift(self):
        clean = self.clean
        self.assertEqual((clean["drift"], clean["pending"], clean["events"], clean["notes"]), (0, 0, [], []))
        self.assertEqual((clean["proven"], clean["complete"], clean["compared"]), (True, True, 726))
        self.assertEqual({r["signature"] for r in clean["regions"]}, {"verified"})
        self.assertEqual(len(clean["flows"]), 18)
        self.assertEqual(sum(r["rows"] for r in clean["ledger"]), 3 * 3 * 41)
        for f in clean["flows"]:
            self.assertEqual(f["accepted"], f["delivered"] + f["dead"] + f["expired"] + f["pending"] + f["unproven"], f)
            self.assertEqual(f["received"], f["accepted"], f)
        self.assertEqual(flow(clean, "us-east-1", "eu-west-1", "low")["dead"], 14)      # schemaversion 1
        self.assertEqual(flow(clean, "us-east-1", "us-west-2", "low")["delivered"], 41)
        self.assertEqual(flow(clean, "us-east-1", "eu-west-1", "low")["accepted"], 40)

    def test_a_person_can_read_it(self):
        args = ["audit", "--keys", self.cluster.dir / "keys", *(f"--broker={b.door}" for b in self.cluster)]
        text = self.cluster.cli(*args).stdout
        self.assertRegex(text, r"(?m)^us-east-1 +us-west-2 +high +41 +41 +0 +0 +0 +41 +[0-9a-f]{16} +0 +agrees$")
        self.assertRegex(text, r"Zero drift: 726 deliveries compared\.")

    def test_configurations_say_where_everything_is(self):
        files = [f"--config={b.config_path}" for b in self.cluster]
        done = self.cluster.cli("audit", "--json", *files)
        found = json.loads(done.stdout)
        self.assertEqual((found["drift"], len(found["flows"]), len(found["ledger"])), (0, 18, 9))
        self.assertEqual({r["signature"] for r in found["regions"]}, {"verified"})

    def test_a_deleted_row_is_missing(self):
        where = "event_id = 'us-west-2-low-7'"
        found = self.tampered(where, f"DELETE FROM realtime_fanout_log WHERE {where}",
                              "INSERT INTO realtime_fanout_log OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        self.assertEqual(named(found), {("missing", "ledger", "us-west-2-low-7")})
        self.assertEqual((found["drift"], found["status"]), (1, 1))
        self.assertRegex(found["events"][0]["position"], r"^us-west-2:[0-9a-f]+:low:8$")

    def test_an_outcome_that_was_changed_is_named(self):
        where = "event_id = 'us-east-1-high-8'"
        back = f"UPDATE realtime_fanout_log SET delivery_status = (SELECT delivery_status FROM kept), is_settled = true WHERE {where}"
        for change in ("jsonb_set(delivery_status, '{success}', 'false')", "'{}'", "jsonb_set(delivery_status, '{deliveries,0,state}', '\"failed\"')",
                       "jsonb_set(delivery_status, '{deliveries}', '7')", "'[]'"):
            with self.subTest(change):
                found = self.tampered(where, f"UPDATE realtime_fanout_log SET delivery_status = {change} WHERE {where}", back)
                self.assertEqual(named(found), {("differs", "ledger", "us-east-1-high-8")})

    def test_a_row_that_is_never_settled_is_named(self):
        where = "event_id = 'us-east-1-high-5'"
        found = self.tampered(where, f"UPDATE realtime_fanout_log SET is_settled = false WHERE {where}",
                              f"UPDATE realtime_fanout_log SET is_settled = true WHERE {where}")
        self.assertEqual(named(found), {("differs", "ledger", "us-east-1-high-5")})

    def test_a_row_of_another_event_is_named(self):
        where = "event_id = 'us-east-1-normal-3'"
        found = self.tampered(where, f"UPDATE realtime_fanout_log SET event_id = 'somebody-elses' WHERE {where}",
                              "UPDATE realtime_fanout_log SET event_id = 'us-east-1-normal-3' WHERE event_id = 'somebody-elses'")
        self.assertEqual(named(found), {("differs", "ledger", "us-east-1-normal-3")})

    def test_rows_nobody_published_are_extra(self):
        columns = "event_type, source_region, target_regions, payload_size, fanout_at, delivery_status, tenant, epoch, lane, sequence"
        for table, kind in (("realtime_fanout_log", "extra"), ("realtime_fanout_repeats", "twice")):
            with self.subTest(table):
                more = {"realtime_fanout_log": ("", "", "epoch - 1"), "realtime_fanout_repeats": ("first_id, is_settled, ", "id, true, ", "epoch")}[table]
                found = self.tampered("false", f"INSERT INTO {table} ({more[0]}event_id, {columns}) SELECT {more[1]}'made-up', "
                                      f"{columns.replace('epoch', more[2])} FROM realtime_fanout_log WHERE event_id = 'us-east-1-low-9'",
                                      f"DELETE FROM {table} WHERE event_id = 'made-up'")
                self.assertEqual({(k, w) for k, w, _ in named(found)}, {(kind, "ledger")})
                self.assertEqual(found["drift"], 1)

    def test_a_row_set_aside_is_accounted_for(self):
        where = "event_id = 'us-west-2-high-2'"
        found = self.tampered(where, "INSERT INTO realtime_fanout_quarantine SELECT source_region, epoch, lane, sequence, tenant::bytea, event_id::bytea, "
                              f"event_type::bytea, 'for a test' FROM realtime_fanout_log WHERE {where}; DELETE FROM realtime_fanout_log WHERE {where}",
                              "DELETE FROM realtime_fanout_quarantine; INSERT INTO realtime_fanout_log OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        self.assertEqual((found["drift"], found["events"]), (0, []))
        self.assertEqual(sum(r["quarantined"] for r in found["ledger"]), 1)

    def test_more_than_can_be_named_is_counted(self):
        where = "source_region = 'eu-west-1' AND lane = 1"
        found = self.tampered(where, f"DELETE FROM realtime_fanout_log WHERE {where}",
                              "INSERT INTO realtime_fanout_log OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        self.assertEqual((found["drift"], len(found["events"])), (41, 20))

    def test_a_time_without_events_is_clean(self):
        found = self.cluster.audit("--from", "2001-01-01T00:00:00Z", "--to", "2001-01-02T00:00:00Z")
        self.assertEqual((found["drift"], found["flows"], found["ledger"], found["status"]), (0, [], [], 0))
        self.assertEqual((found["complete"], found["proven"]), (True, True))

    def test_a_range_is_cut_alike_everywhere(self):
        middle = self.psql("SELECT to_char(fanout_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM realtime_fanout_log "
                           "WHERE event_id = 'us-west-2-normal-one'")
        before, behind = self.cluster.audit("--to", middle), self.cluster.audit("--from", middle)
        self.assertEqual((before["status"], behind["status"]), (0, 0))
        self.assertGreater(before["compared"], 0)
        self.assertGreater(behind["compared"], 0)
        self.assertEqual(before["compared"] + behind["compared"], self.clean["compared"])

    def test_a_wrong_key_is_not_believed(self):
        other = self.cluster.dir / "other-keys"
        for region in self.cluster.brokers:
            self.cluster.cli("keys", "new", "--region", region, "--dir", other)
        found = self.cluster.audit("--keys", other)
        self.assertEqual(found["status"], 1)
        self.assertEqual({r["signature"] for r in found["regions"]}, {"NOT verified"})
        self.assertEqual((found["complete"], found["proven"], found["believed"]), (False, False, False))
        text = self.cluster.cli("audit", "--keys", other, *(f"--broker={b.door}" for b in self.cluster), check=False).stdout
        self.assertRegex(text, "Not proven: no drift was seen, but not every answer could be had or believed")

    def said(self, *args):
        """Exit status, JSON and last line for people of an audit of these brokers."""
        done = [self.cluster.cli("audit", *args, *more, check=False) for more in (["--json"], [])]
        self.assertEqual(done[0].returncode, done[1].returncode)
        return done[0].returncode, json.loads(done[0].stdout), done[1].stdout.rstrip().splitlines()[-1]

    def test_without_keys_nothing_is_proven(self):
        status, found, line = self.said(*(f"--broker={b.door}" for b in self.cluster))
        self.assertEqual((status, found["drift"], found["complete"], found["proven"]), (0, 0, True, False))
        self.assertRegex(line, r"^Zero drift: 726 deliveries compared; not proven, as no signature was checked\.$")

    def test_one_region_alone_compares_nothing(self):
        keys, door = f"--keys={self.cluster.dir}/keys", f"--broker={self.cluster.first.door}"
        for brokers in ([door], [door, door, door]):
            with self.subTest(len(brokers)):
                status, found, line = self.said(keys, *brokers)
                self.assertEqual((status, found["proven"], found["complete"], found["compared"]), (1, False, False, 0))
                self.assertEqual(line, "Nothing could be compared, see above.")
                notes = "\n".join(found["notes"])
                self.assertEqual(notes.count("us-east-1 is named twice"), len(brokers) - 1)
                for other in ("us-west-2", "eu-west-1"):
                    self.assertRegex(notes, f"{other} was not named .*: what it accepted was not audited")

    def test_nobody_reached_is_no_proof(self):
        status, found, line = self.said(f"--keys={self.cluster.dir}/keys", "-b", "tcp://127.0.0.1:9", "--timeout", "500ms")
        self.assertEqual((status, found["proven"], found["complete"], found["compared"]), (3, False, False, 0))
        self.assertEqual(line, "Nothing could be compared, see above.")

    def test_what_is_signed_repeats_the_whole_question(self):
        end, mark = 2 ** 64 - 1, [1, 2]
        anything = ["", "", [[0, 0]] * 3, [[end, end]] * 3, [0, 0]]
        for asked, expected in (({}, anything), ({"target": "us-west-2"}, ["", "us-west-2", *anything[2:]]),
                                ({"source": "us-west-2"}, ["us-west-2", "", *anything[2:]]),
                                ({"after": {"low": mark}}, ["", "", [[0, 0], [0, 0], mark], *anything[3:]]),
                                ({"upTo": {"high": mark}}, ["", "", [[0, 0]] * 3, [mark, [end, end], [end, end]], [0, 0]]),
                                ({"ledger": mark}, [*anything[:4], mark])):
            with self.subTest(asked):
                answer = self.cluster.first.ask({"op": "audit", **asked})
                statement = mp.unpack(base64.b64decode(answer["statement"]))
                self.assertEqual((statement[:3], statement[8:13]), (["fanout-audit", 2, "us-east-1"], expected))
                for member, value in asked.items():
                    self.assertEqual(answer[member], value)

    def test_the_door_refuses_what_is_not_an_audit(self):
        for path, request in (("to", {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}), ("source", {"source": "Nowhere!"}),
                              ("target", {"source": "us-west-2", "target": "eu-west-1"}), ("after", {"after": {"high": [1]}}),
                              ("upTo", {"upTo": {"urgent": [1, 2]}}), ("lane", {"lane": 1}), ("list", {"list": "yes"}), ("max", {"max": 0}),
                              ("cursor", {"cursor": "c1.0"}), ("ledger", {"ledger": 7}), ("since", {"since": "1h"})):
            with self.subTest(path):
                answer = self.cluster.first.ask({"op": "audit", **request})
                self.assertIs(answer["success"], False)
                self.assertEqual(answer["error"]["path"], path)
        answer = self.cluster.first.ask({"op": "audit", "source": "mars-1"})
        self.assertEqual(answer["error"]["code"], "unknown_region")


class Regions(unittest.TestCase):
    def test_pending_is_not_drift(self):
        with running(database=True, extra={"ledger": {"settle_wait_ms": 300}}) as cluster:
            cluster["us-west-2"].kill()
            rows = "SELECT count(*) FROM realtime_fanout_log"
            for i in range(5):
                cluster.first.publish(id=f"waits-{i}", wait=1)
            soon = time.time_ns() // 1000 + 1500000
            cluster.first.publish(id="too-late", expirytime=soon, wait=1)
            found = cluster.audit()
            self.assertEqual((found["drift"], found["status"], found["complete"]), (0, 3, False))
            self.assertEqual(flow(found, "us-east-1", "us-west-2", "high")["pending"], 6)
            self.assertEqual(flow(found, "us-east-1", "eu-west-1", "high")["delivered"], 6)
            said = cluster.cli("audit", *(f"--config={b.config_path}" for b in cluster), check=False)
            self.assertEqual(said.returncode, 3)
            self.assertRegex(said.stdout, r"what us-west-2 accepted was not audited")
            self.assertRegex(said.stdout, r"Zero drift: .* 6 still pending; not everything could be compared")
            wait_until(lambda: cluster.postgres.psql(rows).strip() == "6", "the ledger has a row of each")
            alone = cluster.audit(regions=["us-east-1"])
            self.assertEqual((alone["drift"], alone["status"], alone["complete"], alone["proven"]), (0, 0, False, False))
            wait_until(lambda: time.time_ns() // 1000 > soon, "one of them has expired")
            cluster["us-west-2"].start()
            late = flow(cluster.judge(), "us-east-1", "us-west-2", "high")
            self.assertEqual((late["delivered"], late["expired"], late["pending"], late["received"]), (5, 1, 0, 6))

    def test_clean_at_any_moment_under_load(self):
        with running(database=True, extra={"ledger": {"settle_wait_ms": 200}}) as cluster:
            with Load(cluster.first, "one") as load, Load(cluster["us-west-2"], "two", batch=17):
                for _ in range(5):
                    load.wait_for(60)
                    found = cluster.audit()
                    self.assertEqual((found["status"], found["drift"]), (0, 0), json.dumps(found, indent=1))
                cluster["us-west-2"].kill()
                cluster["us-west-2"].start()
                load.wait_for(60)
                self.assertEqual(cluster.audit()["drift"], 0)
            self.assertGreater(cluster.judge()["compared"], 2 * len(load.acknowledged))

    def test_a_lost_disk_is_named_event_by_event(self):
        with running(database=True) as cluster:
            for region in ("us-east-1", "us-west-2"):
                cluster[region].publish(id=f"from-{region}", wait="all")
            cluster.judge()
            lost = cluster["us-west-2"]
            lost.kill()
            shutil.rmtree(lost.dir / "data")
            lost.start()
            cluster.wait_links()
            found = cluster.audit()
            self.assertEqual(found["status"], 1)
            self.assertEqual(named(found), {
                ("missing", "us-west-2", "from-us-east-1"),         # what the region had received ...
                ("extra", "us-east-1", "from-us-west-2"), ("extra", "eu-west-1", "from-us-west-2"),
                ("extra", "ledger", "from-us-west-2")})             # ... and what it had accepted, and others still have
            self.assertEqual(found["drift"], 4)

    def test_a_damaged_record_is_told_and_its_events_are_missing(self):
        with running() as cluster:
            for i in range(3):
                cluster.first.publish(id=f"e-{i}", data={"order_id": i, "status": "preparing", "note": f"marker-{i}"}, wait="all")
            cluster.judge()
            damaged = cluster["eu-west-1"]
            damaged.stop()
            at = None
            for path in sorted((damaged.dir / "data").rglob("*")):
                content = path.read_bytes() if path.is_file() else b""
                at = content.find(b"marker-1")
                if at >= 0:
                    path.write_bytes(content[:at] + b"M" + content[at + 1:])
                    break
            self.assertGreaterEqual(at, 0)
            damaged.start()
            cluster.wait_links()
            found = cluster.audit()
            self.assertEqual(named(found), {("missing", "eu-west-1", "e-1")})
            self.assertTrue(any(re.search(r"eu-west-1: damaged received batch .* 1 events", note) for note in found["notes"]), found["notes"])

    def test_what_is_no_longer_retained_is_said_and_not_drift(self):
        small = {"journal": {"segment_bytes": "1MiB", "bytes_max": "8MiB", "retention_hours": 0, "retention_bytes": 0}}
        limits = {"limits": {"event_bytes_max": "64KiB", "batch_bytes_max": "64KiB"}}
        with running(regions=("us-east-1", "us-west-2"), extra=limits, per_region={"us-west-2": small}) as cluster:
            text = "x" * 50000
            for _ in range(10):
                answer = cluster.first.ask({"events": [{"type": "custom", "data": {"text": text}} for _ in range(6)], "wait": "all"})
                self.assertTrue(answer["success"], answer)
            wait_until(lambda: cluster["us-west-2"].status()["journal"]["firstLsn"] > 4096, "the target has trimmed", 60)
            found = cluster.judge()
            compared = flow(found, "us-east-1", "us-west-2", "normal")
            self.assertLess(compared["accepted"], 60)
            self.assertGreater(compared["received"], 0)
            self.assertTrue(any("no longer retains" in note for note in found["notes"]), found["notes"])
            self.assertEqual((found["complete"], found["proven"]), (False, False))


if __name__ == "__main__":
    unittest.main()
