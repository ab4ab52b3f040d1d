# SPDX-License-Identifier: Apache-2.0
"""What the disk may say: EIO from a sync or a write ends the broker, at once and for good, because asking again would get a lie; whatever
was acknowledged is there after the next start. ENOSPC passes. Said by the shim at every kind of call, and by a real file system whose
disk is gone."""
import errno
import os
import time
import unittest

from shim import SMALL, SOURCE, Shim, Traffic, count, mortal, wait_exit, without_shim
from lib.cluster import wait_until
from loopdisk import loop_disk

SLOW = True
# The call, which one of them, and whether EIO from it must end the broker: a commit's must, a trim's must not, and for the making of the
# next segment (None) it may, or another attempt may be made with another file.
FATAL = (("fdatasync", 1, True), ("fdatasync", 40, True), ("pwritev", 30, True), ("fsync", 2, None), ("fsync", 3, None), ("fsync", 4, None),
         ("rename", 1, None), ("pwrite", 3, None), ("pwrite", 5, None), ("unlink", 1, False))
PASSING = (("pwritev", 20), ("fdatasync", 30), ("fallocate", 1), ("fallocate", 2), ("pwrite", 9), ("fsync", 3), ("unlink", 1))


class ByShim(unittest.TestCase):
    def test_eio_is_final(self):
        ended, went_on = [], []
        with mortal(regions=(SOURCE, "us-west-2"), extra=SMALL) as cluster, Traffic(cluster, per_second=300) as traffic:
            broker = cluster.first
            traffic.wait_for(100)
            for call, at, is_fatal in FATAL:
                broker.kill()
                shim = Shim(broker, "errno", at, call, errno.EIO)       # that call only: the next one would be told that all is well
                broker.spawn()
                status = wait_exit(broker, 10 if is_fatal else 3)
                where = f"EIO from {call} {at}: exit status {status}, counted {shim.read()}\n{broker.log_tail()}"
                self.assertEqual(shim.read()[1], 1, where)
                if is_fatal is not None:
                    self.assertEqual(status is not None, is_fatal, where)
                if status is not None:
                    self.assertGreater(status, 0, where)                # it ends itself, and not by a signal
                    ended.append(f"{call} {at}")
                else:
                    went_on.append(f"{call} {at}")
                    broker.kill()
                without_shim(broker)
                broker.start()
                traffic.wait_for(50)
            traffic.judge(self)
        count(f"EIO: ended by {', '.join(ended)}; not by {', '.join(went_on)}; {traffic.acknowledged()} events acknowledged, all there once")

    def test_enospc_passes(self):
        passed = []
        with mortal(regions=(SOURCE, "us-west-2"), extra=SMALL) as cluster, Traffic(cluster, per_second=300) as traffic:
            broker = cluster.first
            traffic.wait_for(100)
            for call, at in PASSING:
                broker.kill()
                shim = Shim(broker, "errno", at, call, errno.ENOSPC)
                broker.spawn()
                wait_until(lambda s=shim: s.read()[1] == 1, f"{call} {at} is reached")
                without_shim(broker)
                if wait_exit(broker, 0.3) is not None:                  # it was reached while starting, which says so and ends
                    self.assertEqual(broker.log_lines("start_failed")[-1]["error"], "no_space")
                    broker.spawn()
                broker.wait_ready()
                traffic.wait_for(100)
                passed.append(f"{call} {at}")
            broker.restart()
            traffic.wait_for(50)
            traffic.judge(self)
        count(f"ENOSPC once from {', '.join(passed)}: went on; {traffic.acknowledged()} events acknowledged, all there once")


@unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
class ByARealDisk(unittest.TestCase):
    def test_writeback_eio(self):
        """The kernel fails to write back what the broker wrote, and says so once, at the next sync."""
        with mortal(start=False, regions=(SOURCE, "us-west-2"), extra=SMALL) as cluster, loop_disk(cluster.dir, 64) as disk:
            broker = cluster.first
            broker.config["data_dir"] = disk.path / "data"
            cluster.start()
            with Traffic(cluster, per_second=100, payload_bytes=2000) as traffic:
                traffic.wait_for(100)
                disk.fail()
                status = wait_exit(broker, 20)
                self.assertNotIn(status, (None, 0), broker.log_tail())
                self.assertGreater(status, 0, broker.log_tail())
                self.assertEqual(broker.log_lines("stopped")[-1]["error"], "io")
                acknowledged = traffic.acknowledged()
                time.sleep(0.5)
                self.assertEqual(traffic.acknowledged(), acknowledged, "nothing is acknowledged any more")
                disk.heal()
                broker.start()
                traffic.wait_for(50)
                traffic.judge(self)
            count(f"real writeback EIO: ended with status {status}; {traffic.acknowledged()} events acknowledged, all there once")
            broker.stop()


if __name__ == "__main__":
    unittest.main()
