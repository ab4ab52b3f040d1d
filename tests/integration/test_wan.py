# SPDX-License-Identifier: Apache-2.0
"""Three regions on a bad WAN, in network namespaces: whatever happens to the lines, nothing is lost, nothing comes twice, and
afterwards every backlog is empty. Prints the tables; tests/wan/ has the long variants."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "wan"))

import lab  # noqa: E402
import priority  # noqa: E402
import scenarios  # noqa: E402
import traffic  # noqa: E402

SLOW = True
WHY_NOT = lab.why_not()


class Account(unittest.TestCase):
    """The judge of the tests below must see what it judges."""

    def setUp(self):
        self.arrivals = traffic.Arrivals()

    def arrive(self, *numbers):
        for n in numbers:
            self.arrivals.note({"id": f"s0:us-east-1:{n}", "partitionkey": "k", "priority": "high", "data": {"n": n}}, float(n))

    def test_what_comes_once_and_in_order_is_right(self):
        self.arrive(1, 2, 4)
        self.assertEqual((self.arrivals.duplicates, self.arrivals.disordered), ([], []))

    def test_twice(self):
        self.arrive(1, 2, 1)
        self.assertEqual(self.arrivals.duplicates, ["s0:us-east-1:1"])

    def test_out_of_order(self):
        self.arrive(1, 3, 2)
        self.assertEqual(self.arrivals.disordered, ["s0:us-east-1:2"])

    def test_lost(self):
        class Publisher:
            acknowledged = {f"s0:us-east-1:{n}": float(n) for n in (1, 2, 3)}
        self.arrive(1, 3)
        self.assertEqual(traffic.missing([Publisher], {"eu-west-1": self.arrivals}), [("eu-west-1", "s0:us-east-1:2")])
        self.assertEqual(traffic.missing([Publisher], {"eu-west-1": self.arrivals}, before=2), [])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Wan(unittest.TestCase):
    def test_faults_cost_nothing_but_time(self):
        self.assertEqual(scenarios.play_all(), [])

    def test_tls_links_come_up_over_a_long_line(self):
        """A handshake of four round trips takes longer than a link's dialer is given at first."""
        regions = ("us-east-1", "eu-west-1")
        with lab.Lab(regions=regions, rules="delay=540ms", tls=True) as two:
            answer = two.cluster.first.publish(wait="all", timeoutMs=20000)
            self.assertTrue(answer["success"], answer)
            self.assertGreater(answer["totalLatencyMs"], 1000)

    def test_a_high_event_overtakes_what_waits_for_a_slow_line(self):
        events = 20000
        priority.print_heading(events)
        measured = priority.measure(events=events)
        priority.print_measured(measured)
        self.assertEqual(measured.problems, [])
        # All that waits would take ten seconds: whoever stands behind it, or behind a good part, is far above this.
        self.assertLess(max(measured.latencies_ms), 2000)


if __name__ == "__main__":
    unittest.main()
