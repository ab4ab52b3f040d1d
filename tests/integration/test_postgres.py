# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL stopped and started under load, down at the start, silent, or not there at all: publishing does not notice."""
import json
import socket
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


class Unreachable(unittest.TestCase):
    def test_a_stop_does_not_wait_for_a_server_that_never_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(60)
            ledger = {"enabled": True, "conninfo": f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=fanout connect_timeout=600"}
            with running(regions=["us-east-1"], extra={"ledger": ledger, "journal": {"durability": "process"}}) as cluster:
                broker = cluster.first
                self.assertTrue(broker.publish(id="kept")["success"])
                with silent.accept()[0] as connection:
                    self.assertGreater(len(connection.recv(4096)), 0)       # from now on the ledger waits for an answer
                    broker.stop()
                self.assertEqual(len(broker.log_lines("ledger_stop_cut_short")), 1)
                self.assertIn("unsynced-boot -", (broker.dir / "data" / "region").read_text())     # the journal was closed in order
                broker.start()
                self.assertEqual([event["id"] for _, event in broker.fetch_all()], ["kept"])


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
