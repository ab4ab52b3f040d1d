# SPDX-License-Identifier: Apache-2.0
"""Power cuts, on a real file system: the broker's disk is a loop device under load. Either it is frozen at
some moment, or it ends at some I/O call (killat.h); its disk is copied as it is then, and what the kernel had not written yet is not there.
The copy is mounted, which replays the file system's journal, and the broker goes on with it, among peers that have lived on. Every
acknowledged event is in each region exactly once."""
import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from loopdisk import loop_disk
from shim import IS_LONG, PEER, SMALL, SOURCE, Shim, Traffic, count, mortal, wait_exit, without_shim

SLOW = True
HOWS = ("before", "after", "torn")
CUTS = int(os.environ.get("FANOUT_CRASH_CUTS", "200" if IS_LONG else "10"))
SEED = int(os.environ.get("FANOUT_CRASH_SEED", str(time.time_ns() % 1000000)))


@unittest.skipUnless(os.geteuid() == 0, "mounting a file system needs root")
class PowerCut(unittest.TestCase):
    def cut(self, broker, disk):
        """Ends with the broker down and its disk as a cut left it. True: the file system needs its journal, as after a real one."""
        copy = disk.image.with_name("copy")
        if broker.process.poll() is None:
            broker.process.send_signal(signal.SIGSTOP)
        disk.copy(copy)
        broker.kill()
        disk.umount()
        shutil.move(copy, disk.image)
        needed = "needs_recovery" in subprocess.run(["dumpe2fs", "-h", str(disk.image)], capture_output=True, text=True).stdout
        disk.mount()
        return needed

    def start(self, broker, rng):
        """Every other time so that it will end by itself, at some call."""
        shim = None
        without_shim(broker)
        if rng.random() < 0.5:
            shim = Shim(broker, rng.choice(HOWS), rng.randrange(20, 400))
        broker.spawn()
        with contextlib.suppress(AssertionError):       # it may end as early as that
            broker.wait_ready()
        return shim

    def cut_again_and_again(self, victim_region, cuts):
        rng, replayed, at_calls, kinds = random.Random(SEED), 0, 0, set()
        with mortal(start=False, extra=SMALL) as cluster, loop_disk(cluster.dir, 64) as disk:
            victim, shim = cluster[victim_region], None
            victim.config["data_dir"] = disk.path / "data"
            cluster.start()
            with Traffic(cluster, per_second=400, payload_bytes=2000) as traffic:
                for _ in range(cuts):
                    if shim and wait_exit(victim, 10) is not None:
                        at_calls += 1
                        kinds.add(shim.read()[2])
                    else:
                        traffic.wait_for(100)
                        time.sleep(rng.random() * 0.3)
                    replayed += self.cut(victim, disk)
                    shim = self.start(victim, rng)
                if shim:
                    victim.kill()
                    without_shim(victim)
                    victim.start()
                traffic.wait_for(50)
                traffic.judge(self)
                torn = victim.log_lines("journal_torn_end_cut")
                count(f"power cuts of {victim_region} (seed {SEED}): {cuts} images, {at_calls} of them taken at an I/O call "
                      f"({', '.join(sorted(kinds))}), {replayed} file systems replayed their journal, {len(torn)} torn ends cut; "
                      f"{traffic.acknowledged()} events acknowledged, all there once")
                self.assertEqual(replayed, cuts)
            victim.stop()

    def test_the_source(self):
        self.cut_again_and_again(SOURCE, CUTS)

    def test_a_target(self):
        self.cut_again_and_again(PEER, (CUTS + 1) // 2)


if __name__ == "__main__":
    unittest.main()
