# SPDX-License-Identifier: Apache-2.0
"""What an operator does before the first start: `fanout keys` and deploy/make-certs."""
import json
import re
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from lib.certs import certificate
from lib.cluster import FANOUT, ROOT


class InDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fanout-test-")
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def call(self, *args, status=0):
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def mode(self, path):
        return stat.S_IMODE(path.stat().st_mode)


class Keys(InDirectory):
    def keys(self, *args, status=0):
        return self.call(FANOUT, "keys", *args, status=status)

    def new(self, region="eu-west-1", *more, status=0):
        return self.keys("new", "--region", region, "--dir", self.dir / "keys", *more, status=status)

    def test_new_makes_a_pair_that_checks(self):
        said = self.new()
        secret, public = self.dir / "keys/eu-west-1.key", self.dir / "keys/eu-west-1.pub"
        self.assertEqual(self.mode(secret), 0o600)
        self.assertIn(str(public), said)
        self.assertNotIn(secret.read_text().split()[-1], said)
        key_id = re.search(r"key id +([0-9a-f]{16})\n", said)[1]
        for path, kind in ((secret, "secret"), (public, "public")):
            self.assertIn(f"sound {kind} key of eu-west-1, key id {key_id}", self.keys("check", path))
        self.assertEqual(self.keys("export", "--region", "eu-west-1", "--dir", self.dir / "keys"), public.read_text())

    def test_json_says_the_same(self):
        made = json.loads(self.new("eu-west-1", "--json"))
        secret, public = self.dir / "keys/eu-west-1.key", self.dir / "keys/eu-west-1.pub"
        self.assertEqual((made["region"], made["secretFile"], made["publicFile"]), ("eu-west-1", str(secret), str(public)))
        self.assertEqual(made["publicKey"] + "\n", public.read_text())
        exported = json.loads(self.keys("export", "--region", "eu-west-1", "--dir", self.dir / "keys", "--json"))
        checked, listed = json.loads(self.keys("check", secret, "--json")), json.loads(self.keys("list", "--dir", self.dir / "keys", "--json"))
        for other in (exported, checked, *listed):
            self.assertEqual(other, {k: made[k] for k in ("region", "keyId", "secret", "publicKey")})

    def test_new_replaces_only_when_told(self):
        self.new()
        secret, public = self.dir / "keys/eu-west-1.key", self.dir / "keys/eu-west-1.pub"
        before = secret.read_bytes(), public.read_bytes()
        self.assertIn("--force", self.new(status=1))
        self.assertEqual((secret.read_bytes(), public.read_bytes()), before)
        self.new("eu-west-1", "--force")
        self.assertNotEqual(secret.read_bytes(), before[0])
        old = self.dir / "keys/eu-west-1.key.old"
        self.assertEqual((old.read_bytes(), (self.dir / "keys/eu-west-1.pub.old").read_bytes()), before)
        self.assertEqual(self.mode(old), 0o600)

    def test_a_pair_is_never_left_half(self):
        self.new()
        (self.dir / "keys/eu-west-1.key").unlink()
        before = (self.dir / "keys/eu-west-1.pub").read_bytes()
        self.new(status=1)
        self.assertFalse((self.dir / "keys/eu-west-1.key").exists())
        self.assertEqual((self.dir / "keys/eu-west-1.pub").read_bytes(), before)

    def test_list(self):
        self.new("eu-west-1")
        self.new("us-east-1")
        self.new("us-west-2")
        (self.dir / "keys/us-east-1.key").chmod(0o640)
        (self.dir / "keys/us-west-2.key").unlink()
        listed = json.loads(self.keys("list", "--dir", self.dir / "keys", "--json"))
        self.assertEqual([(k["region"], k["secret"]) for k in listed],
                         [("eu-west-1", "yes"), ("us-east-1", "wrong mode"), ("us-west-2", "no")])
        table = self.keys("list", "--dir", self.dir / "keys")
        for key in listed:
            self.assertIn(key["keyId"], table)

    def test_what_is_wrong_is_said(self):
        self.new()
        secret, public = self.dir / "keys/eu-west-1.key", self.dir / "keys/eu-west-1.pub"
        secret.chmod(0o644)
        self.assertIn(f"chmod 600 {secret}", self.keys("check", secret, status=1))
        text = public.read_text()
        public.write_text(text.replace("eu-west-1 ", "eu-west-1 0"))
        self.assertIn(str(public), self.keys("list", "--dir", self.dir / "keys", status=1))
        self.assertIn("fanout keys new --region eu-west-9", self.keys("export", "--region", "eu-west-9", "--dir", self.dir, status=1))
        for name in ("EU", "eu-", "-eu"):
            self.assertIn("--region", self.keys("new", "--region", name, "--dir", self.dir, status=2))
        self.assertIn("--dir", self.keys("new", "--region", "eu", status=2))
        for wrong in ([], ["frob"], ["check"], ["list", "--dir", self.dir, "more"], ["--nonsense"]):
            self.keys(*wrong, status=2)
        self.assertIn("Examples:", self.keys("--help"))


class Certificates(InDirectory):
    def make(self, *args, status=0):
        return self.call(ROOT / "deploy/make-certs", self.dir, *args, status=status)

    def files(self):
        return {p.name: p.read_bytes() for p in self.dir.glob("*.crt")}

    def test_made_once_and_kept(self):
        self.make()
        before = self.files()
        self.assertEqual(set(before), {"ca.crt", "client.crt", "us-east-1.crt", "us-west-2.crt", "eu-west-1.crt"})
        for key in self.dir.glob("*.key"):
            self.assertEqual(self.mode(key), 0o600)
        self.assertEqual(self.make(), "")
        self.assertEqual(self.files(), before)
        for name in before:
            self.call("openssl", "verify", "-CAfile", self.dir / "ca.crt", self.dir / name)

    def test_renews_only_what_needs_it(self):
        self.make()
        before = self.files()
        (self.dir / "us-west-2.key").unlink()
        self.make("us-east-1=broker.example.com,10.0.0.5", "us-west-2")
        after = self.files()
        self.assertEqual({n for n in after if after[n] != before[n]}, {"us-east-1.crt", "us-west-2.crt"})
        for host in ("-checkhost", "broker.example.com"), ("-checkip", "10.0.0.5"), ("-checkip", "127.0.0.1"):
            self.assertIn("does match", self.call("openssl", "x509", "-in", self.dir / "us-east-1.crt", "-noout", *host))

    def purposes(self, name):
        text = self.call("openssl", "x509", "-in", self.dir / f"{name}.crt", "-noout", "-purpose")
        return [use for use in ("client", "server") if f"SSL {use} : Yes" in text]

    def test_a_clients_certificate_is_none_of_a_broker(self):
        self.make()
        self.assertEqual(self.purposes("client"), ["client"])
        self.assertEqual(self.purposes("us-east-1"), ["client", "server"])

    def test_an_older_clients_certificate_is_renewed(self):
        self.make()
        before = self.files()
        certificate(self.dir, "client", ["client"])
        self.assertEqual(self.purposes("client"), ["client", "server"])
        self.assertIn("client.crt", self.make())
        self.assertEqual(self.purposes("client"), ["client"])
        self.assertEqual({n for n, text in self.files().items() if text != before[n]}, {"client.crt"})

    def test_the_authority_is_never_replaced_unasked(self):
        self.make()
        before = self.files()
        (self.dir / "ca.key").unlink()
        self.assertIn("ca.key", self.make("ap-south-1", status=1))
        self.assertEqual(self.files(), before)

    def test_bad_names_are_refused(self):
        for bad in ("EU", "../x", "a=", "a=b;c", "ca", "client"):
            with self.subTest(bad):
                self.make(bad, status=2)
        self.assertEqual(self.files(), {})


if __name__ == "__main__":
    unittest.main()
