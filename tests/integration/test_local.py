# SPDX-License-Identifier: Apache-2.0
"""The first command as a new user runs it: what it prints works when pasted, Ctrl-C ends it, a second start finds the data."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from lib.cluster import BUILD, ROOT, wait_until

SLOW = True


class LocalRun:
    """deploy/local as a child process, with what it has printed so far."""

    def __init__(self, directory, *options):
        self.process = subprocess.Popen([str(ROOT / "deploy/local"), "--no-build", "--dir", str(directory), *options],
                                        cwd=directory, env=dict(os.environ, FANOUT_BUILD=str(BUILD)), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines, self.ready = [], threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(120) or self.process.poll() is not None:
            self.process.kill()
            raise AssertionError("it did not get to run:\n" + "".join(self.lines))

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C stops everything" in line:
                self.ready.set()
        self.ready.set()

    def commands(self, label):
        """The pasted lines: what stands behind a label."""
        return [m.group(1) for line in self.lines if (m := re.match(rf"  {label} +(\S.*)$", line))]

    def stop(self, with_signal=signal.SIGINT):
        started = time.monotonic()
        self.process.send_signal(with_signal)
        status = self.process.wait(60)
        self.reader.join(10)
        self.process.stdout.close()
        return status, time.monotonic() - started


def pasted(command, cwd, timeout=30):
    """A command as from a terminal; one that goes on for ever (a subscriber) is ended after a while."""
    process = subprocess.Popen(["bash", "-c", command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        return process.communicate(timeout=20)[0]


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Local(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="fanout-local-"))
        self.dir.chmod(0o755)
        self.run_ = None

    def tearDown(self):
        if self.run_ and self.run_.process.poll() is None:
            self.run_.stop(signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, *options):
        self.run_ = LocalRun(self.dir, *options)
        return self.run_

    def test_what_it_prints_works_and_a_second_start_finds_its_data(self):
        local = self.start()
        (publish, by_nngcat), (subscribe, _) = local.commands("publish"), local.commands("subscribe")
        (report,), (explain,) = local.commands("report"), local.commands("explain")
        event_id = re.search(r"explain (\S+)", explain).group(1)
        said = pasted(publish, self.dir)
        for word in (event_id, "us-west-2", "eu-west-1"):
            self.assertIn(word, said)
        self.assertIn('"success":true', pasted(by_nngcat, self.dir))
        self.assertIn('"order_id":123', pasted(subscribe, self.dir, timeout=5))
        said = pasted(report, self.dir)
        for word in ("order_status", "us-west-2", "eu-west-1"):
            self.assertIn(word, said)
        self.assertIn(event_id, pasted(explain, self.dir))
        self.assertIn("Zero drift", pasted(local.commands("audit")[0], self.dir))
        status, seconds = local.stop()
        self.assertEqual(status, 0, "".join(local.lines))
        self.assertLess(seconds, 30)
        addresses = [line for line in local.lines if "tcp://" in line and line.startswith("    ")]

        local = self.start()
        self.assertEqual([line for line in local.lines if "tcp://" in line and line.startswith("    ")], addresses)
        self.assertIn('"order_id":123', pasted(local.commands("subscribe")[0], self.dir, timeout=5))
        self.assertIn(event_id, pasted(explain, self.dir))
        self.assertEqual(local.stop(signal.SIGTERM)[0], 0)

    def test_without_a_database(self):
        local = self.start("--no-database")
        self.assertFalse((self.dir / "postgres").exists())
        pasted(local.commands("publish")[0], self.dir)
        self.assertIn("us-west-2", pasted(local.commands("report")[0], self.dir))
        self.assertEqual(local.stop()[0], 0)

    def test_with_tls(self):
        local = self.start("--no-database", "--tls")
        said = pasted(local.commands("publish")[0], self.dir)
        for word in ("us-west-2", "eu-west-1"):
            self.assertIn(word, said)
        self.assertEqual(local.stop()[0], 0)

    def test_two_at_once(self):
        """The second takes other ports; a third in the first one's directory is told so."""
        self.start("--no-database")
        with tempfile.TemporaryDirectory() as other:
            second = LocalRun(other, "--no-database")
            self.assertEqual(second.stop()[0], 0)
        third = subprocess.run([str(ROOT / "deploy/local"), "--no-build", "--no-database", "--dir", str(self.dir)], timeout=60,
                               env=dict(os.environ, FANOUT_BUILD=str(BUILD)), capture_output=True, text=True)
        self.assertNotEqual(third.returncode, 0)
        self.assertIn(str(self.dir), third.stderr)

    def test_when_it_is_killed_its_brokers_end_too(self):
        local = self.start("--no-database")
        local.process.kill()
        local.process.wait()
        local.reader.join(10)
        local.process.stdout.close()
        ports = re.findall(r"tcp://127\.0\.0\.1:(\d+)", "".join(local.lines))
        wait_until(lambda: not any(is_listening(int(port)) for port in ports), "its brokers are gone")
        local = self.start("--no-database")
        self.assertEqual([line for line in local.lines if "is taken" in line], [])
        self.assertEqual(local.stop()[0], 0)

    def test_an_unknown_option(self):
        done = subprocess.run([str(ROOT / "deploy/local"), "--databse"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--databse", done.stderr)


if __name__ == "__main__":
    unittest.main()
