# SPDX-License-Identifier: Apache-2.0
"""What the fanout command says when a broker or the ledger does not: silence is told apart from "no"."""
import json
import unittest

from lib.cluster import running, wait_until
from lib.ports import free_url


class Explain(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(running(regions=("us-east-1", "us-west-2"), database=True))
        self.up, self.down = self.cluster.first, self.cluster["us-west-2"]
        self.ledger = f"--ledger={self.cluster.postgres.conninfo}"

    def explain(self, *args, status):
        """What it tells people, and programs; both end with this status."""
        done = [self.cluster.cli("explain", "--timeout=2s", *args, *more, check=False) for more in ([], ["--json"])]
        for one in done:
            self.assertEqual(one.returncode, status, one.stdout + one.stderr)
        return done[0], json.loads(done[1].stdout)

    def test_a_broker_that_does_not_answer_stays_in_the_story(self):
        self.up.publish(id="one", wait="all")
        self.down.stop()
        doors = ["-b", self.up.door, "-b", self.down.door]
        configs = ["--config", self.up.config_path, "--config", self.down.config_path]
        for named, at_target, region in ((doors, "not asked, or did not answer", None), (configs, "did not answer", "us-west-2")):
            with self.subTest(region):
                text, story = self.explain("one", *named, status=0)
                self.assertRegex(text.stdout, rf"(?m)^  us-west-2 +delivered +.* {at_target}$")
                self.assertRegex(text.stdout, rf"(?m)^  {region or self.down.door} +did not answer$")
                self.assertEqual([b["answered"] for b in story["brokers"]], [True, False])
                self.assertEqual(story["brokers"][1], {"address": self.down.door, "region": region, "answered": False})
        self.assertRegex(self.explain("one", "-b", self.up.door, status=0)[0].stdout, r"(?m)^  us-west-2 +delivered +.* not asked$")

    def test_what_is_not_found_may_be_where_nobody_answered(self):
        self.down.stop()
        both = ["-b", self.up.door, "-b", self.down.door]
        text, story = self.explain("nobody-knows", *both, status=3)
        self.assertIn("1 did not answer and may have it", text.stderr)
        self.assertEqual((story["found"], [b["answered"] for b in story["brokers"]]), (False, [True, False]))
        text, story = self.explain("nobody-knows", *both[:2], status=4)
        self.assertIn("no broker asked knows", text.stderr)
        text, story = self.explain("nobody-knows", *both[2:], status=3)
        self.assertEqual(story["found"], False)

    def test_a_ledger_that_does_not_answer_is_said(self):
        self.up.publish(id="two", wait="all")
        nowhere = "--ledger=host=127.0.0.1 port=9 dbname=fanout"
        text, story = self.explain("two", "-b", self.up.door, nowhere, status=1)
        self.assertRegex(text.stdout, r"Ledger\n  did not answer\n")
        self.assertEqual((story["found"], story["ledger"]), (True, None))
        self.assertNotIn("ledger", self.explain("two", "-b", self.up.door, status=0)[1])
        self.explain("nobody-knows", "-b", self.up.door, nowhere, status=1)

    def test_what_only_the_ledger_has_is_found(self):
        self.up.publish(id="three", wait="all")
        wait_until(lambda: self.cluster.postgres.psql("SELECT count(*) FROM realtime_fanout_log WHERE is_settled").strip() == "1", "its row")
        text, story = self.explain("three", "-b", free_url("tcp"), self.ledger, status=0)
        self.assertIn("only the ledger has it", text.stdout)
        self.assertRegex(text.stdout, r"row \d+: success, settled")
        self.assertEqual((story["found"], len(story["ledger"])), (True, 1))


if __name__ == "__main__":
    unittest.main()
