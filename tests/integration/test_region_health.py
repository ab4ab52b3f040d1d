# SPDX-License-Identifier: Apache-2.0
"""What an operator reads in region_health and get_region_sync_status while a region goes and comes back."""
import unittest

from lib.cluster import ClusterTest, wait_until

SLOW = True


class RegionHealth(ClusterTest):
    options = {"database": True}

    def rows(self, where="true"):
        """{(region, observer): (healthy, state, failures, latency)}, by the guide's own query."""
        found = self.cluster.postgres.psql(f"SELECT region_id, observed_by, healthy, state, consecutive_failures, latency_ms"
                                           f" FROM (SELECT * FROM region_health) h WHERE {where} ORDER BY latency_ms")
        return {tuple(line.split("|")[:2]): tuple(line.split("|")[2:]) for line in found.splitlines()}

    def wait_state(self, region, state):
        expected = {(region, b.region) for b in self.cluster if b.region != region}
        wait_until(lambda: set(self.rows(f"region_id = '{region}' AND state = '{state}'")) == expected, f"both others see {region} {state}")

    def test_a_region_goes_and_comes_back(self):
        names = [b.region for b in self.cluster]
        pairs = {(a, b) for a in names for b in names if a != b}
        wait_until(lambda: set(self.rows("healthy AND state = 'healthy' AND latency_ms >= 1 AND consecutive_failures = 0")) == pairs, "all see all")
        self.cluster["us-west-2"].kill()
        self.wait_state("us-west-2", "down")
        for healthy, _, failures, _ in self.rows("region_id = 'us-west-2'").values():
            self.assertEqual(healthy, "f")
            self.assertGreaterEqual(int(failures), 3)
        self.assertEqual(self.rows("region_id <> 'us-west-2' AND observed_by <> 'us-west-2' AND NOT healthy"), {})
        self.cluster["us-west-2"].start()
        self.wait_state("us-west-2", "healthy")
        # Nothing changes any more, and still the rows move on.
        wait_until(lambda: set(self.rows("last_check_at > since + interval '5 seconds' AND last_check_at > now() - interval '30 seconds'")) == pairs,
                   "every row is checked again")

    def test_sync_status(self):
        region = self.cluster.first.region
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])

        def status():
            return self.cluster.postgres.psql("SELECT status, rows_written > 0, rows_pending, newest_row_at = (SELECT max(fanout_at) FROM realtime_fanout_log),"
                                              f" lag_ms < 15000 FROM get_region_sync_status() WHERE region_id = '{region}'")
        wait_until(lambda: status() == "active|t|0|t|t", "the event's row shows, and no lag")


if __name__ == "__main__":
    unittest.main()
