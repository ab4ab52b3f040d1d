# SPDX-License-Identifier: Apache-2.0
"""A cluster over tls+tcp with certificates on both sides."""
import ssl
import unittest

from lib import sp
from lib.cluster import ClusterTest, ask


class Tls(ClusterTest):
    options = {"tls": True}

    def test_events_flow(self):
        answer = self.cluster.first.publish(wait="all", timeoutMs=20000)
        self.assertTrue(answer["success"], answer)
        for broker in self.cluster:
            self.assertIn(answer["eventId"], [e["id"] for _, e in broker.fetch_all()])

    def test_a_plain_client_gets_nowhere(self):
        for url in (self.cluster.first.door, self.cluster.first.link, self.cluster.first.feed):
            with self.subTest(url), self.assertRaises((sp.Closed, OSError)):
                with sp.Req(url.replace("tls+tcp", "tcp"), timeout=5) as req:
                    ask(req, {"op": "ping"}, 5)

    def test_a_client_without_a_certificate_gets_nowhere(self):
        context = ssl.create_default_context(cafile=self.cluster.dir / "certs/ca.crt")
        context.check_hostname = False
        with self.assertRaises((sp.Closed, OSError)):
            with sp.Req(self.cluster.first.door, timeout=5, tls=context) as req:
                ask(req, {"op": "ping"}, 5)

    def test_it_goes_on_after_all_that(self):
        self.assertTrue(self.cluster.first.publish(wait="all", timeoutMs=20000)["success"])


if __name__ == "__main__":
    unittest.main()
