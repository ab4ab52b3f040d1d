# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL stopped and started under load, down at the start, or not there at all: publishing does not notice."""
import json
import unittest

from lib.cluster import running, wait_until
from lib.load import Load, account

SLOW = True


class Outage(unittest.TestCase):
    def test_stopped_and_started_under_load(self):
        with running(database=True) as cluster:
            with Load(cluster.first, "pg") as load:
                for immediately in (False, True):
                    load.wait_for(100)
                    cluster.postgres.stop(immediately)
                    load.wait_for(100)
                    cluster.postgres.start()
                load.wait_for(50)
            account(self, cluster, load)

    def test_killed_while_the_broker_is_killed(self):
        with running(database=True) as cluster:
            with Load(cluster.first, "both") as load:
                load.wait_for(100)
                cluster.postgres.stop(immediately=True)
                load.wait_for(50)
                cluster.first.kill()
                cluster.first.start()
                load.wait_for(50)
                cluster.postgres.start()
            account(self, cluster, load)

    def test_down_at_the_start(self):
        with running(database=True, start=False) as cluster:
            cluster.postgres.stop()
            cluster.start()
            with Load(cluster.first, "late") as load:
                load.wait_for(100)
            self.assertIs(cluster.first.status()["ledger"]["enabled"], True)
            cluster.postgres.start()
            account(self, cluster, load)

    def test_a_row_is_pending_until_its_region_is_back(self):
        with running(database=True, extra={"ledger": {"settle_wait_ms": 300}}) as cluster:
            psql = cluster.postgres.psql
            cluster["us-west-2"].kill()
            cluster.first.publish(id="waits")
            where = "FROM realtime_fanout_log WHERE event_id = 'waits'"
            wait_until(lambda: psql(f"SELECT count(*) {where}") == "1", "the pending row")
            self.assertEqual(psql(f"SELECT (delivery_status->>'success')::boolean {where}"), "f")
            cluster["us-west-2"].start()
            wait_until(lambda: psql(f"SELECT (delivery_status->>'success')::boolean {where}") == "t", "the row says success")
            self.assertEqual(psql(f"SELECT count(*) {where}"), "1")


class NoDatabase(unittest.TestCase):
    def test_reports_come_from_the_brokers(self):
        with running() as cluster:
            answer = cluster.first.publish(wait="all")
            self.assertTrue(answer["success"], answer)

            def delivered():
                source, = json.loads(cluster.cli("report", "--json").stdout)["sources"]
                return {(r["region"], r["delivered"]) for r in source["rows"]}
            wait_until(lambda: delivered() == {("us-west-2", 1), ("eu-west-1", 1)}, "the report counts both deliveries")
            self.assertIs(cluster.first.status()["ledger"]["enabled"], False)


if __name__ == "__main__":
    unittest.main()
