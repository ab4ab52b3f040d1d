# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a region that is in trouble: status, `fanout region ls`, `fanout doctor` and the log name it and its cause."""
import json
import unittest

from lib.cluster import running, wait_until

MIB = 1 << 20


def findings(cluster, broker, check=None, *options):
    """What doctor says: [(state, text, advice), ...] of one check or all; and its exit status."""
    done = cluster.cli("doctor", "-c", broker.config_path, "--json", *options, check=False)
    return [(f["state"], f["text"], f.get("advice")) for f in json.loads(done.stdout) if check in (None, f["check"])], done.returncode


class Refusing(unittest.TestCase):
    def fill(self, broker):
        for number in range(1000):
            answer = broker.publish("custom", {"text": "x" * 100000}, id=f"fill-{number}")
            if "error" in answer:
                return answer["error"]
        self.fail("publishes were never refused")

    def test_a_region_that_is_away_and_fills_the_share(self):
        small = {"us-east-1": {"journal": {"segment_bytes": 4 * MIB, "bytes_max": 16 * MIB}}}
        with running(per_region=small, regions=("us-east-1", "us-west-2")) as cluster:
            broker, peer = cluster.first, cluster["us-west-2"]
            self.assertEqual(broker.status()["publishing"]["state"], "taken")
            peer.kill()
            error = self.fill(broker)
            self.assertEqual(error["code"], "no_space")
            for word in ("us-west-2", "journal.bytes_max"):
                self.assertIn(word, error["message"])
            self.assertNotIn("full", error["message"])      # the disk is not

            publishing = broker.status()["publishing"]
            self.assertEqual((publishing["state"], publishing["cause"], publishing["heldFor"], publishing["limitBytes"]),
                             ("refused", "peers_behind", "us-west-2", 4 * MIB))
            self.assertGreater(publishing["heldBytes"], publishing["limitBytes"])
            self.assertEqual(publishing["refusedEvents"], 1)
            begun, = broker.log_lines("publishes_refused")
            self.assertEqual((begun["cause"], begun["held_for"]), ("peers_behind", "us-west-2"))
            self.assertRegex(cluster.cli("region", "ls").stdout, r"REFUSES PUBLISHES.*wait for us-west-2.*journal\.bytes_max")
            (state, text, advice), = findings(cluster, broker, "publish")[0]
            self.assertEqual(state, "FAIL")
            self.assertIn("us-west-2", text)
            self.assertIn("journal.bytes_max", advice)
            self.assertEqual(findings(cluster, broker)[1], 1)

            peer.start()
            ended = wait_until(lambda: broker.log_lines("publishes_taken_again"), "the log says that it is over")
            self.assertEqual(ended[0]["refused_events"], 1)
            self.assertEqual(broker.status()["publishing"]["state"], "taken")
            self.assertEqual(findings(cluster, broker, "publish")[0][0][0], "ok")
            self.assertEqual(len(broker.log_lines("publishes_refused")), 1)


if __name__ == "__main__":
    unittest.main()
