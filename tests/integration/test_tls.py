# SPDX-License-Identifier: Apache-2.0
"""A cluster over tls+tcp with certificates on both sides."""
import contextlib
import json
import signal
import socket
import ssl
import struct
import subprocess
import unittest

from lib import sp
from lib.certs import certificate
from lib.cluster import ROOT, ClusterTest, ask, run, running, wait_until, yaml
from lib.ports import free_url

NNG_FORGETS = {"LSAN_OPTIONS": f"suppressions={ROOT / 'tests/lsan.supp'}:print_suppressions=0"}      # connections, when a listener dies
READY = '{"order_id": 7, "status": "ready"}'


def tls_options(certs, ca="ca.crt", cert="client.crt", key="client.key"):
    return [word for name, path in (("ca", ca), ("cert", cert), ("key", key)) if path for word in (f"--tls-{name}", certs / path)]


def reach(cluster, region):
    """As anybody would: until its door answers."""
    wait_until(lambda: cluster.cli("region", "ls", "-b", cluster[region].door, "--timeout", "2s", *tls_options(cluster.dir / "certs"),
                                   check=False).returncode == 0, f"{region} answers")


def client_hello():
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


class Tls(ClusterTest):
    options = {"tls": True, "env": NNG_FORGETS}

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

    def why(self, expected, *options, door=None, status=3, **files):
        """What `fanout pub` says when it cannot connect."""
        door = door or self.cluster.first.door
        with self.subTest(expected):
            done = self.cluster.cli("pub", "order_status", READY, "--timeout", "1500ms", "-b", door, *options,
                                    *tls_options(self.cluster.dir / "certs", **files), check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(expected, done.stderr)
            if status == 3:
                self.assertIn(f"no broker can be reached: {door}: ", done.stderr)

    def test_no_connection_says_why(self):
        certs, first = self.cluster.dir / "certs", self.cluster.first
        run([ROOT / "deploy/make-certs", certs / "other"])
        certificate(certs, "server-only", ["x"], usage="serverAuth")
        self.why("not of the authority given", ca="other/ca.crt")
        self.why("refuses the client's certificate", cert="other/client.crt", key="other/client.key")
        self.why("refuses the client's certificate", cert="server-only.crt", key="server-only.key")
        self.why("the key given is not that certificate's", key="other/client.key")
        self.why("demands a client's certificate", cert=None, key=None)
        self.why("not for elsewhere.example.com", "--tls-name", "elsewhere.example.com")
        self.why("if it expects TLS, begin the address with tls+tcp://", door=first.door.replace("tls+", ""))
        self.why("no broker's door, but another of its addresses", door=first.feed)
        self.why("there is no such host", door="tls+tcp://nowhere.invalid:7101")
        self.why("connection refused", door=free_url("tls+tcp"))
        self.why("--tls-key needs --tls-cert", cert=None, status=2)
        self.why("needs --tls-ca", ca=None, status=2)

    def test_a_frozen_broker_is_told_from_an_absent_one(self):
        process = self.cluster["eu-west-1"].process
        process.send_signal(signal.SIGSTOP)
        try:
            self.why("takes the connection and does not answer", door=self.cluster["eu-west-1"].door)
        finally:
            process.send_signal(signal.SIGCONT)
        reach(self.cluster, "eu-west-1")

    def test_a_clients_certificate_makes_no_broker(self):
        url, certs = free_url("tls+tcp"), self.cluster.dir / "certs"
        with subprocess.Popen(["openssl", "s_server", "-accept", url.rsplit(":")[-1], "-cert", certs / "client.crt", "-key", certs / "client.key",
                               "-quiet"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            self.why("not for servers", "--tls-name", "client", door=url)
            server.kill()

    def test_tls_to_a_plain_door(self):
        with running(regions=("us-east-1",)) as plain:
            self.why("begin the address with tcp://", door=plain.first.door.replace("tcp", "tls+tcp"))

    def test_it_goes_on_after_all_that(self):
        self.assertTrue(self.cluster.first.publish(wait="all", timeoutMs=20000)["success"])


class Strays(ClusterTest):
    options = {"tls": True, "env": NNG_FORGETS}

    def test_clients_that_leave_in_the_middle_of_a_handshake_stop_no_listener(self):
        """It needs no certificate: a ClientHello, a reset at the wrong moment, and NNG 1.5.2 accepts nothing any more. One in a hundred hits it."""
        hello = client_hello()
        for url in (self.cluster["eu-west-1"].door, self.cluster["eu-west-1"].link):
            for _ in range(600):
                with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as stray:
                    stray.sendall(hello)
                    stray.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reach(self.cluster, "eu-west-1")
            self.assertTrue(self.cluster.first.publish(wait="all", timeoutMs=60000)["success"])
        self.cluster["us-west-2"].restart()     # what dials anew finds somebody who listens
        self.assertTrue(self.cluster["us-west-2"].publish(wait="all", timeoutMs=60000)["success"])


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
        self.assertIn("its certificate is not for 127.0.0.1", str(found))

    def test_the_doctor_sees_it_at_the_door(self):
        def of_broker(*options):
            found = json.loads(self.cluster.cli("doctor", "-c", self.cluster.first.config_path, "--json", *options, check=False).stdout)
            return next(f for f in found if f["check"] == "broker")
        self.assertIn("its certificate is not for 127.0.0.1", of_broker()["text"])
        self.assertIn("answers at", of_broker("--tls-name", "elsewhere.example.com")["text"])


if __name__ == "__main__":
    unittest.main()
