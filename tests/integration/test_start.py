# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping: the same data again, what is in the way of a start, what a wrong configuration is told, drain."""
import os
import signal
import socket
import subprocess
import threading
import unittest
from pathlib import Path

from lib import sp
from lib.cluster import FANOUTD, Cluster, ask, run, running, wait_until, yaml
from lib.load import Load, account


class Restart(unittest.TestCase):
    def test_a_second_start_finds_its_data(self):
        with running() as cluster:
            before = [cluster.first.publish(id=f"day1-{i}", wait="all") for i in range(20)]
            for broker in cluster:
                broker.stop()
            cluster.start()
            for broker in cluster:
                self.assertEqual([e["id"] for _, e in broker.fetch_all()], [f"day1-{i}" for i in range(20)])
            again = cluster.first.publish(id="day1-3", wait="all")
            self.assertTrue(again["duplicate"] and again["success"], again)
            self.assertEqual(again["position"], before[3]["position"])
            new = cluster.first.publish(id="day2", wait="all")
            self.assertTrue(new["success"] and not new.get("duplicate"), new)
            for broker in cluster:
                self.assertEqual([e["id"] for _, e in broker.fetch_all()][20:], ["day2"])

    def test_sigterm_drains(self):
        """A request that was taken is answered, the exit status is 0, and nothing acknowledged is lost."""
        with running() as cluster:
            with Load(cluster.first, "drain", pause_s=0) as load:
                load.wait_for(50)
                parked = threading.Thread(target=self.park, args=(cluster.first,))
                parked.start()
                cluster.first.stop(expect=0)
                cluster.first.start()
                load.wait_for(20)
                parked.join(30)
            account(self, cluster, load)

    def park(self, broker):
        try:
            broker.ask({"op": "fetch", "from": "now", "filter": {"tenant": "nobody"}, "waitMs": 60000}, 30)
        except (OSError, sp.Closed):
            pass

    def test_sigint_ends_it_too(self):
        with running(regions=("us-east-1",)) as cluster:
            cluster.first.process.send_signal(signal.SIGINT)
            self.assertEqual(cluster.first.process.wait(30), 0)

    def test_a_second_signal_does_not_begin_the_drain_anew(self):
        with running(regions=["us-east-1"]) as cluster:
            for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
                cluster.first.process.send_signal(number)
            self.assertEqual(cluster.first.process.wait(30), 0)
            self.assertEqual(len(cluster.first.log_lines("draining")), 1)

    def test_without_a_ledger_libpq_is_not_loaded(self):
        with running(regions=("us-east-1",)) as cluster:
            libraries = {Path(line.split()[-1]).name for line in Path(f"/proc/{cluster.first.process.pid}/maps").read_text().splitlines()}
            self.assertIn("libc.so.6", libraries)
            self.assertFalse([name for name in libraries if name.startswith(("libpq", "libldap", "libkrb5"))])

    def test_ready_is_told_to_the_service_manager(self):
        with running(regions=("us-east-1",), start=False) as cluster, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = cluster.dir / "notify"
            manager.bind(str(path))
            manager.settimeout(30)
            os.environ["NOTIFY_SOCKET"] = str(path)
            try:
                cluster.first.spawn()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            said = ""
            while "READY=1" not in said:
                said += manager.recv(4096).decode() + "\n"
            self.assertTrue(cluster.first.publish()["success"])
            cluster.first.process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in said:
                said += manager.recv(4096).decode() + "\n"
            self.assertEqual(cluster.first.process.wait(30), 0)


class InTheWay(unittest.TestCase):
    """Each says what is wrong, with a non-zero status, and leaves the data alone."""

    def refuses(self, broker, *words):
        broker.log_path.unlink(missing_ok=True)
        broker.spawn()
        try:
            status = broker.process.wait(30)
        except subprocess.TimeoutExpired:
            broker.kill()
            self.fail(f"it started all the same:\n{broker.log_tail()}")
        self.assertNotEqual(status, 0)
        self.assertGreater(status, 0, f"ended by a signal:\n{broker.log_tail()}")
        text = broker.log_text()
        for word in words:
            self.assertIn(str(word), text)
        return text

    def test_a_data_directory_in_use(self):
        with running(regions=("us-east-1",)) as cluster:
            other = Cluster(regions=("us-east-1",), directory=cluster.dir / "second")
            other.first.config["data_dir"] = cluster.first.config["data_dir"]
            self.refuses(other.first, "locked", cluster.first.config["data_dir"])
            self.assertTrue(cluster.first.publish()["success"])

    def test_a_data_directory_of_another_region(self):
        with running(regions=("us-east-1", "us-west-2")) as cluster:
            cluster.first.publish(wait="all")
            for broker in cluster:
                broker.stop()
            ours = cluster["us-west-2"].config["data_dir"]
            cluster["us-west-2"].config["data_dir"] = cluster.first.config["data_dir"]
            self.refuses(cluster["us-west-2"], "other_region", "us-east-1")
            cluster["us-west-2"].config["data_dir"] = ours
            cluster.start()
            self.assertEqual(len(cluster.first.fetch_all()), 1)

    def test_a_port_in_use(self):
        with running(regions=("us-east-1",), start=False) as cluster, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            for which in ("door", "feed", "link"):
                with self.subTest(which):
                    good = cluster.first.config["listen"][which]
                    cluster.first.config["listen"][which] = url
                    self.refuses(cluster.first, url)
                    cluster.first.config["listen"][which] = good
            cluster.start()

    def test_keys(self):
        with running(regions=("us-east-1", "us-west-2"), start=False) as cluster:
            secret = cluster.dir / "keys/us-east-1.key"
            for mode in (0o644, 0o640, 0o604):
                secret.chmod(mode)
                self.refuses(cluster.first, secret, "600")
            secret.chmod(0o600)
            kept = secret.read_bytes()
            secret.unlink()
            self.refuses(cluster.first, secret)
            other = (cluster.dir / "keys/us-west-2.key").read_bytes()
            for wrong in (b"", b"fanout-secret-key v1 us-east-1 0000000000000000 AAAA\n", kept[:-20] + b"\n", other):
                secret.write_bytes(wrong)
                secret.chmod(0o600)
                self.refuses(cluster.first, "us-east-1")
            secret.write_bytes(kept)
            public = cluster.dir / "keys/us-west-2.pub"
            kept_public = public.read_bytes()
            public.unlink()
            self.refuses(cluster.first, "us-west-2")
            public.write_bytes(kept_public)
            cluster.start()


class Configuration(unittest.TestCase):
    """--check reads the configuration and refuses mistakes with file, line, column and key."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(regions=("us-east-1", "us-west-2"))

    @classmethod
    def tearDownClass(cls):
        cls.cluster.remove()

    def check(self, text):
        path = self.cluster.dir / "check.yaml"
        path.write_text(text)
        return path, run([FANOUTD, "--config", path, "--check"], check=False)

    def refused(self, text, line, key):
        path, done = self.check(text)
        self.assertNotEqual(done.returncode, 0, done)
        said = done.stdout + done.stderr
        self.assertRegex(said, rf"{path}:{line}:\d+: ?{key}" if line else rf"{path}:\d+:\d+")
        return said

    def good(self):
        return yaml(self.cluster.first.config)

    def line_of(self, text, start):
        return next(n for n, line in enumerate(text.split("\n"), 1) if line.strip().startswith(start))

    def test_what_is_right_is_accepted(self):
        _, done = self.check(self.good())
        self.assertEqual(done.returncode, 0, done)

    def test_mistakes(self):
        good = self.good()
        for old, new, key in (
                ("  door:", "  dorr:", "listen.dorr"),
                ('  level: "debug"', '  level: "chatty"', "log.level"),
                ("  segment_bytes: 4194304", "  segment_bytes: lots", "journal.segment_bytes"),
                ("  segment_bytes: 4194304", "  segment_bytes: 7", "journal.segment_bytes"),
                ('region: "us-east-1"', 'region: "US East"', "region"),
                ("primary: true", "primary: perhaps", "primary")):
            with self.subTest(new):
                text = good.replace(old, new, 1)
                self.assertNotEqual(text, good)
                self.refused(text, self.line_of(text, new.strip()), key.replace(".", r"\."))

    def test_no_yaml_at_all(self):
        self.refused("region: [us-east-1\n", None, None)

    def test_a_required_key_is_missing(self):
        text = "\n".join(line for line in self.good().split("\n") if not line.startswith("data_dir"))
        path, done = self.check(text)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("data_dir", done.stdout + done.stderr)
        self.assertIn(str(path), done.stdout + done.stderr)

    def test_plain_tcp_beyond_loopback_must_be_asked_for(self):
        text = self.good().replace("tcp://127.0.0.1", "tcp://0.0.0.0", 1)
        path, done = self.check(text)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("allow_plain", done.stdout + done.stderr)

    def test_a_file_that_is_not_there(self):
        done = run([FANOUTD, "--config", self.cluster.dir / "nowhere.yaml", "--check"], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nowhere.yaml", done.stdout + done.stderr)

    def test_version_and_help(self):
        self.assertRegex(run([FANOUTD, "--version"]).stdout, r"\d+\.\d+\.\d+")
        self.assertIn("--config", run([FANOUTD, "--help"]).stdout)
        self.assertNotEqual(run([FANOUTD], check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
