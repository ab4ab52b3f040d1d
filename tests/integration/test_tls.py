# SPDX-License-Identifier: Apache-2.0
"""A cluster over tls+tcp with certificates on both sides."""
import json
import ssl
import unittest

from lib import sp
from lib.certs import certificate
from lib.cluster import ClusterTest, ask, yaml

READY = '{"order_id": 7, "status": "ready"}'


def tls_options(certs, cert="client"):
    return ("--tls-ca", certs / "ca.crt", "--tls-cert", certs / f"{cert}.crt", "--tls-key", certs / f"{cert}.key")


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


class Names(ClusterTest):
    """The broker of us-east-1 runs with a certificate of the right authority for another host; us-west-2's does not run."""
    options = {"tls": True, "regions": ("us-east-1", "us-west-2")}

    @classmethod
    def prepare(cls, cluster):
        cls.certs = cluster.dir / "certs"
        crt, key = certificate(cls.certs, "elsewhere", ["elsewhere.example.com"])
        cluster.first.config["tls"].update(cert=crt, key=key)
        cluster.start = cluster.first.start
        cls.away = cluster["us-west-2"]
        cls.away.config_path.write_text(yaml(cls.away.config) + "\n")

    def pub(self, *options):
        return self.cluster.cli("pub", "order_status", READY, "--timeout", "5s", *tls_options(self.certs), *options, check=False)

    def test_a_certificate_for_another_host_is_refused(self):
        self.assertEqual(self.pub().returncode, 3)
        self.assertEqual(self.pub("--tls-name", "127.0.0.1").returncode, 3)
        self.assertEqual(self.pub("--tls-name", "").returncode, 2)

    def test_unless_that_name_was_asked_for(self):
        self.assertEqual(self.pub("--tls-name", "elsewhere.example.com").returncode, 0)

    def test_the_doctor_sees_it_on_the_link(self):
        found = json.loads(self.cluster.cli("doctor", "-c", self.away.config_path, "--json", check=False).stdout)
        self.assertEqual([f["state"] for f in found if f["check"] == "peers"], ["warn"], found)
        self.assertNotIn("answers at", str(found))


if __name__ == "__main__":
    unittest.main()
