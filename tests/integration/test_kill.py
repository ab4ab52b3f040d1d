# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in each role while events flow: every acknowledged event is in each region and in the ledger exactly once."""
import time
import unittest

from lib.cluster import running
from lib.load import Load, account

SLOW = True


class Kill(unittest.TestCase):
    def test_the_source_is_killed(self):
        with running(database=True) as cluster:
            with Load(cluster.first, "src") as load:
                for _ in range(3):
                    load.wait_for(60)
                    cluster.first.kill()
                    cluster.first.start()
                load.wait_for(60)
            account(self, cluster, load)

    def test_a_target_is_killed(self):
        with running(database=True) as cluster:
            with Load(cluster.first, "tgt") as load:
                for _ in range(3):
                    load.wait_for(60)
                    cluster["eu-west-1"].kill()
                    load.wait_for(60)           # the others go on
                    cluster["eu-west-1"].start()
                load.wait_for(60)
            account(self, cluster, load)

    def test_all_are_killed_at_once(self):
        with running(database=True) as cluster:
            with Load(cluster.first, "a") as here, Load(cluster["us-west-2"], "b") as there:
                for _ in range(2):
                    here.wait_for(50)
                    there.wait_for(50)
                    for broker in cluster:
                        broker.process.kill()
                    for broker in cluster:
                        broker.process.wait()
                    for broker in cluster:
                        broker.spawn()
                    for broker in cluster:
                        broker.wait_ready()
                here.wait_for(50)
                there.wait_for(50)
            account(self, cluster, here)
            account(self, cluster, there)

    def test_killed_in_quick_succession(self):
        """Kills that fall into recovery and the first exchange between peers."""
        with running(database=False) as cluster:
            with Load(cluster.first, "quick") as load:
                load.wait_for(50)
                for i in range(6):
                    victim = list(cluster)[i % 3]
                    victim.kill()
                    victim.spawn()
                    time.sleep(0.15 * (i % 3))
                for broker in cluster:
                    broker.wait_ready()
                load.wait_for(50)
            account(self, cluster, load)


if __name__ == "__main__":
    unittest.main()
