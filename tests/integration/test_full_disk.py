# SPDX-License-Identifier: Apache-2.0
"""A full disk: publishes are refused with a hint when to retry, what was accepted stays, and with space it goes on."""
import contextlib
import os
import subprocess
import unittest

from lib.cluster import running, wait_until


@contextlib.contextmanager
def small_disk(path, megabytes):
    path.mkdir(parents=True)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise unittest.SkipTest(f"no tmpfs can be mounted here: {error}") from None
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
class FullDisk(unittest.TestCase):
    def fill(self, broker, accepted, doubtful):
        """Publishes until it is refused. Whoever finds the disk full first is told that the event's fate is open; from
        then on the answer is a refusal."""
        for number in range(1000):
            event_id = f"fill-{number}"
            answer = broker.publish("custom", {"text": "x" * 100000}, id=event_id)
            error = answer.get("error")
            if error is None:
                accepted.append(event_id)
                continue
            self.assertGreater(error["retryAfterMs"], 0, error)
            if error["code"] == "no_space":
                return
            self.assertEqual(error["code"], "timeout", error)
            doubtful.append(event_id)
        self.fail("the disk never became full")

    def holds(self, broker, accepted, doubtful):
        """All that was accepted, once, in order, and nothing that was refused."""
        ids = [e["id"] for _, e in broker.fetch_all()]
        self.assertEqual([i for i in ids if i not in doubtful], accepted)
        self.assertEqual(len(ids), len(set(ids)))

    def peer_has_all(self, peer, accepted, doubtful):
        wait_until(lambda: set(accepted) <= {e["id"] for _, e in peer.fetch_all()}, "the peer has what was accepted")
        self.holds(peer, accepted, doubtful)

    def goes_again(self, broker):
        wait_until(lambda: "error" not in broker.publish("custom", {}, id="with-space"), "publishing goes on")

    def test_refused_kept_and_accepted_again(self):
        with running(start=False, regions=("us-east-1", "us-west-2")) as cluster:
            broker, peer, accepted, doubtful = cluster.first, cluster["us-west-2"], [], []
            with small_disk(broker.dir / "small", 48) as disk:
                broker.config["data_dir"] = disk / "data"
                ballast = disk / "ballast"
                ballast.write_bytes(bytes(16 << 20))
                cluster.start()
                self.fill(broker, accepted, doubtful)
                self.assertGreater(len(accepted), 20)
                self.holds(broker, accepted, doubtful)
                self.peer_has_all(peer, accepted, doubtful)
                self.assertTrue(broker.status()["success"], "and it still answers")
                ballast.unlink()
                self.goes_again(broker)
                accepted.append("with-space")
                self.peer_has_all(peer, accepted, doubtful)
                broker.restart()
                self.holds(broker, accepted, doubtful)
                broker.stop()

    def test_killed_while_full(self):
        with running(start=False, regions=("us-east-1",)) as cluster:
            broker, accepted, doubtful = cluster.first, [], []
            with small_disk(broker.dir / "small", 32) as disk:
                broker.config["data_dir"] = disk / "data"
                ballast = disk / "ballast"
                ballast.write_bytes(bytes(12 << 20))
                cluster.start()
                self.fill(broker, accepted, doubtful)
                broker.kill()
                ballast.unlink()
                broker.start()
                self.holds(broker, accepted, doubtful)
                self.goes_again(broker)
                broker.stop()

    def test_the_journals_own_limit(self):
        small = {"us-east-1": {"journal": {"segment_bytes": 4194304, "bytes_max": 16777216}}}
        with running(per_region=small, regions=("us-east-1", "us-west-2")) as cluster:
            accepted, doubtful = [], []
            cluster["us-west-2"].kill()         # what it has not acked must be kept
            self.fill(cluster.first, accepted, doubtful)
            cluster["us-west-2"].start()
            self.peer_has_all(cluster["us-west-2"], accepted, doubtful)
            self.goes_again(cluster.first)


if __name__ == "__main__":
    unittest.main()
