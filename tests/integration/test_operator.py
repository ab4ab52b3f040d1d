# SPDX-License-Identifier: Apache-2.0
"""What an operator sees of a region that is in trouble: status, `fanout region ls`, `fanout doctor` and the log name it and its cause."""
import json
import shutil
import signal
import time
import unittest

from lib.cluster import FANOUT, Cluster, run, running, wait_until, yaml
from lib.ports import free_url

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


class Oldest(unittest.TestCase):
    """The age of what waits is told while a peer is frozen, while it is gone, and after a restart of the source."""

    def lane(self, broker, name="normal"):
        return broker.status()["links"][0]["lanes"][name]

    def test_age_of_what_waits(self):
        with running(regions=("us-east-1", "us-west-2")) as cluster:
            broker, peer = cluster.first, cluster["us-west-2"]
            for number in range(5):             # so that acked batches lie before what waits
                broker.publish("custom", {}, id=f"before-{number}", wait="all")
            self.assertEqual(self.lane(broker)["oldestMs"], 0)
            peer.process.send_signal(signal.SIGSTOP)
            try:
                for number in range(50):
                    broker.publish("custom", {}, id=f"waits-{number}")
                began = time.monotonic()
                wait_until(lambda: broker.status()["links"][0]["state"] == "down", "the link is seen to be down")
                before, lane = time.monotonic() - began, self.lane(broker)
                self.assertEqual(lane["backlog"], 50)
                self.assertGreaterEqual(lane["oldestMs"], before * 1000)
                self.assertRegex(cluster.cli("region", "ls").stdout, r" 0/50/0 +[0-9.]+ m?s ")
            finally:
                peer.process.send_signal(signal.SIGCONT)
            wait_until(lambda: self.lane(broker)["backlog"] == 0, "it has arrived")
            self.assertEqual(self.lane(broker)["oldestMs"], 0)

            peer.kill()
            for number in range(50):
                broker.publish("custom", {}, id=f"gone-{number}")
            before = self.lane(broker)["oldestMs"]
            self.assertGreater(before, 0)
            broker.restart()
            lane = wait_until(lambda: self.lane(broker)["oldestMs"] and self.lane(broker), "the age is known after a restart")
            self.assertEqual(lane["backlog"], 50)
            self.assertGreater(lane["oldestMs"], before)


class WrongKey(unittest.TestCase):
    """us-east-1 has another public key for eu-west-1 than eu-west-1 signs with."""

    def test_both_sides_say_so(self):
        with running(start=False, regions=("us-east-1", "eu-west-1")) as cluster:
            east, west = cluster["us-east-1"], cluster["eu-west-1"]
            keys = cluster.dir / "keys-of-us-east-1"
            run([FANOUT, "keys", "new", "--region", "eu-west-1", "--dir", keys])
            shutil.copy(cluster.dir / "keys/us-east-1.pub", keys)
            east.config["keys"]["public_keys"] = keys
            for broker in cluster:
                broker.spawn()
            for broker in cluster:
                broker.wait_ready()
            link = wait_until(lambda: next((l for l in west.status()["links"] if l["downBecause"] == "not_accepted"), None),
                              "eu-west-1 sees that it is not accepted")
            self.assertEqual((link["state"], link["hears"]), ("down", True))
            self.assertIn("does not accept our frames", cluster.cli("region", "ls", broker=west).stdout)
            found, status = findings(cluster, west, "peers")
            self.assertEqual((status, [state for state, _, _ in found]), (1, ["FAIL"]))
            self.assertIn("fanout keys list", found[0][2])

            link, = east.status()["links"]
            self.assertEqual((link["downBecause"], link["refused"]["lastError"]), ("not_heard", "unknown_key"))
            self.assertGreater(link["refused"]["frames"], 0)
            self.assertEqual(east.status()["strangers"]["frames"], 0)
            self.assertRegex(cluster.cli("region", "ls", broker=east).stdout, r"eu-west-1: \d+ frames refused .*: unknown_key\n +-> .*fanout keys list")
            found, status = findings(cluster, east, "peers")
            self.assertEqual((status, [state for state, _, _ in found]), (1, ["warn", "FAIL"]))


class Certificates(unittest.TestCase):
    """doctor refuses what fanoutd refuses, and says so before it does."""

    def setUp(self):
        self.cluster = Cluster(regions=("us-east-1",), tls=True)
        self.addCleanup(self.cluster.remove)
        self.broker, self.certs = self.cluster.first, self.cluster.dir / "certs"

    def doctor(self):
        self.broker.config_path.write_text(yaml(self.broker.config) + "\n")
        found, status = findings(self.cluster, self.broker, "tls")
        self.assertEqual(status == 1, "FAIL" in [state for state, _, _ in found], found)
        return found

    def reissue(self, days):
        crt, key, request = self.certs / "us-east-1.crt", self.certs / "us-east-1.key", self.certs / "request"
        run(["openssl", "x509", "-x509toreq", "-in", crt, "-signkey", key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.certs / "ca.crt", "-CAkey", self.certs / "ca.key", "-set_serial", "7",
             "-days", str(days), "-out", crt])

    def test_good_then_ending_then_expired(self):
        self.assertEqual({state for state, _, _ in self.doctor()}, {"ok"})
        self.reissue(20)
        (state, text, advice), = [f for f in self.doctor() if f[0] != "ok"]
        self.assertEqual(state, "warn")
        self.assertRegex(text, r"tls\.cert: .*us-east-1\.crt expires in (19|20) days")
        self.assertIn("make-certs", advice)
        self.reissue(-1)
        (state, text, _), = [f for f in self.doctor() if f[0] != "ok"]
        self.assertEqual(state, "FAIL")
        self.assertRegex(text, r"tls\.cert: .* has expired, at 20")
        self.broker.spawn()
        self.assertEqual(self.broker.process.wait(30), 2)       # and so does the broker

    def test_a_key_of_another_certificate(self):
        shutil.copy(self.certs / "client.key", self.certs / "us-east-1.key")
        (state, text, _), = [f for f in self.doctor() if f[0] != "ok"]
        self.assertEqual(state, "FAIL")
        self.assertIn("tls.key", text)


class Advice(unittest.TestCase):
    """doctor does not send anybody to do harm."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(regions=("us-east-1", "us-west-2")).start()
        cls.addClassCleanup(cls.cluster.remove)
        cls.addClassCleanup(cls.cluster.close)

    def test_a_frozen_broker_runs(self):
        broker = self.cluster.first
        broker.process.send_signal(signal.SIGSTOP)
        try:
            found, status = findings(self.cluster, broker, None, "--timeout", "300ms")
        finally:
            broker.process.send_signal(signal.SIGCONT)
        self.assertEqual(status, 1)
        (text, advice), = [(text, advice) for state, text, advice in found if state == "FAIL"]
        self.assertRegex(text, rf"runs, stopped \(pid {broker.process.pid}, .* does not answer at {broker.door} within 300 ms")
        self.assertIn(f"kill -CONT {broker.process.pid}", advice)
        self.assertNotIn("end the other program", json.dumps(found))

    def test_a_secret_key_of_another_region(self):
        broker = self.cluster.first
        wrong = self.cluster.dir / "wrong-key.yaml"
        wrong.write_text(broker.config_path.read_text().replace("keys/us-east-1.key", "keys/us-west-2.key"))
        done = self.cluster.cli("doctor", "-c", wrong, check=False)
        self.assertIn("us-west-2.key is the key of us-west-2", done.stdout)
        self.assertNotIn("remove the wrong", done.stdout)       # the public ones are right

    def test_the_broker_is_asked_where_the_command_line_says(self):
        broker, elsewhere = self.cluster.first, free_url("tcp")
        (state, text, _), = findings(self.cluster, broker, "broker", "-b", broker.door)[0]
        self.assertEqual((state, broker.door in text), ("ok", True))
        (state, text, _), = findings(self.cluster, broker, "broker", "-b", elsewhere, "--timeout", "300ms")[0]
        self.assertEqual((state, elsewhere in text), ("FAIL", True))
        self.assertEqual(self.cluster.cli("doctor", "-c", broker.config_path, "-b", "tcp://a:1", "-b", "tcp://b:1", check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
