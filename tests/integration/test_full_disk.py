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
    def fill(self, broker, accepted):
        """Publishes until it is refused; the refusal."""
        for number in range(1000):
            event_id = f"fill-{len(accepted)}-{number}"
            answer = broker.publish("custom", {"text": "x" * 100000}, id=event_id)
            if "error" in answer:
                return answer["error"]
            accepted.append(event_id)
        self.fail("the disk never became full")

    def test_refused_kept_and_accepted_again(self):
        with running(start=False, regions=("us-east-1", "us-west-2")) as cluster:
            broker, accepted = cluster.first, []
            with small_disk(broker.dir / "small", 48) as disk:
                broker.config["data_dir"] = disk / "data"
                ballast = disk / "ballast"
                ballast.write_bytes(bytes(16 << 20))
                cluster.start()
                error = self.fill(broker, accepted)
                self.assertIn(error["code"], ("no_space", "full", "busy"), error)
                self.assertGreater(error["retryAfterMs"], 0)
                self.assertGreater(len(accepted), 20)
                self.assertEqual([e["id"] for _, e in broker.fetch_all()], accepted)
                wait_until(lambda: [e["id"] for _, e in cluster["us-west-2"].fetch_all()] == accepted, "the peer has what was accepted")
                self.assertTrue(broker.status()["success"], "and it still answers")
                ballast.unlink()

                def goes_again():
                    answer = broker.publish("custom", {}, id="with-space", wait="all")
                    return answer if "error" not in answer else None
                self.assertTrue(wait_until(goes_again, "publishing goes on")["success"])
                accepted.append("with-space")
                broker.restart()
                self.assertEqual([e["id"] for _, e in broker.fetch_all()], accepted)
                broker.stop()

    def test_the_journals_own_limit(self):
        extra = {"journal": {"segment_bytes": 4194304, "bytes_max": 16777216}}
        with running(extra=extra, regions=("us-east-1", "us-west-2")) as cluster:
            cluster["us-west-2"].kill()         # what it has not acked must be kept
            accepted = []
            error = self.fill(cluster.first, accepted)
            self.assertIn(error["code"], ("no_space", "full", "busy"), error)
            self.assertGreater(error["retryAfterMs"], 0)
            cluster["us-west-2"].start()
            wait_until(lambda: [e["id"] for _, e in cluster["us-west-2"].fetch_all()] == accepted, "the peer has what was accepted")
            wait_until(lambda: cluster.first.publish("custom", {}).get("success"), "publishing goes on")


if __name__ == "__main__":
    unittest.main()
