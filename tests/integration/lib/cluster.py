# SPDX-License-Identifier: Apache-2.0
"""Real brokers on loopback: makes keys and configurations, starts, kills and restarts processes, asks them things."""
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from . import mp, sp
from .ports import free_url
from .postgres import Postgres

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("FANOUT_BUILD", ROOT / "build-test")).resolve()
FANOUTD, FANOUT = BUILD / "src/cmd/fanoutd", BUILD / "src/cmd/fanout"
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
START_S, STOP_S = 30, 30
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "assertion failed")


def yaml(value, indent=0):
    """A dict of dicts, lists and scalars as YAML."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict):
            lines.append(" " * indent + f"{key}:")
            lines.append(yaml(item, indent + 2))
        elif isinstance(item, list):
            lines.append(" " * indent + f"{key}:")
            for entry in item:
                first, *rest = yaml(entry, indent + 4).split("\n")
                lines += [" " * (indent + 2) + "- " + first.strip(), *rest]
        else:
            text = str(item).lower() if isinstance(item, (bool, int)) else json.dumps(str(item))
            lines.append(" " * indent + f"{key}: {text}")
    return "\n".join(line for line in lines if line)


def merge(into, extra):
    for key, value in extra.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value
    return into


def wait_until(condition, what, timeout=START_S):
    """Waits until condition() is true and returns its value; a failure names what was waited for."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout} s in vain for: {what}")
        time.sleep(0.02)


class Broker:
    """One region's broker process."""

    def __init__(self, cluster, region, config):
        self.cluster, self.region, self.config = cluster, region, config
        self.dir = cluster.dir / region
        self.dir.mkdir(exist_ok=True)
        self.config_path = self.dir / "fanoutd.yaml"
        self.log_path = self.dir / "log"
        self.process = None
        self.prefix = []                        # of the command: to start it elsewhere, in a network namespace say
        self.door, self.feed, self.link = (config["listen"].get(k) for k in ("door", "feed", "link"))

    def spawn(self):
        """Starts the process and does not wait."""
        self.config_path.write_text(yaml(self.config) + "\n")
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([*self.prefix, str(FANOUTD), "--config", str(self.config_path)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.dir, env={**os.environ, **self.cluster.env})
        return self

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.region} ended with status {self.process.returncode}:\n{self.log_tail()}")
        try:
            return self.ask({"op": "ping"}, timeout=2).get("success")
        except (OSError, sp.Closed):
            return False

    def wait_ready(self):
        wait_until(self.is_up, f"{self.region} answers")

    def ask(self, request, timeout=30.0):
        """One question over a connection of its own; a dict or list is sent as JSON, bytes as they are."""
        with self.connect() as req:
            return ask(req, request, timeout)

    def connect(self):
        return sp.Req(self.door, tls=self.cluster.tls_context())

    def publish(self, type="order_status", data=None, **fields):
        """One event; the answer."""
        event = {"type": type, "data": {"order_id": 123, "status": "preparing"} if data is None else data}
        event.update({k: v for k, v in fields.items() if v is not None})
        return self.ask(event, timeout=fields.get("timeoutMs", 5000) / 1000 + 30)

    def fetch_all(self, filter=None, **fields):
        """Every retained event, oldest first, in as many fetches as it takes: [(position, event), ...]."""
        found, request = [], {"op": "fetch", "from": "earliest", "max": 1000, "waitMs": 0, **fields}
        if filter:
            request["filter"] = filter
        with self.connect() as req:
            while True:
                answer = ask(req, request)
                if not answer.get("success"):
                    raise AssertionError(f"fetch at {self.region}: {answer}")
                found += [(e["position"], e["event"]) for e in answer["events"]]
                if not answer["events"]:
                    return found
                request.pop("from", None)
                request["cursor"] = answer["cursor"]

    def status(self):
        return self.ask({"op": "status"})

    def links_up(self):
        try:
            links = self.status()["links"]
        except (OSError, sp.Closed):
            return False
        return all(link["state"] == "up" for link in links)

    def stop(self, expect=0):
        """SIGTERM, and the end within a sensible time with exit status 0."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.region} did not end within {STOP_S} s of SIGTERM:\n{self.log_tail()}") from None
        if status != expect:
            raise AssertionError(f"{self.region} ended with status {status}:\n{self.log_tail()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_lines(self, event=None):
        """Log lines as dicts; lines that are not JSON are left to the sanitizer check."""
        found = []
        for line in self.log_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if event is None or entry.get("event") == event:
                found.append(entry)
        return found

    def log_tail(self, lines=12):
        return f"--- {self.region}: end of its log\n" + "\n".join(self.log_text().splitlines()[-lines:])


def ask(req, request, timeout=30.0):
    """A question on an open connection: bytes as they are, a dict or list as JSON. The answer as a dict."""
    body = request if isinstance(request, (bytes, bytearray)) else json.dumps(request).encode()
    answer = req.ask(body, timeout)
    return json.loads(answer) if answer[:1] in (b"{", b"[") else mp.unpack(answer)


class Cluster:
    """Regions that know each other. Options: database (True: a private PostgreSQL), tls, extra (config merged into each
    region's), per_region (config merged into one region's), env (of the brokers)."""

    def __init__(self, regions=REGIONS, database=False, tls=False, extra=None, per_region=None, directory=None, env=None):
        self.dir = Path(directory or tempfile.mkdtemp(prefix="fanout-test-"))
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o755)                   # PostgreSQL may run as another user, below here
        self.is_tls, self.brokers, self.postgres, self.env = tls, {}, None, env or {}
        (self.dir / "keys").mkdir(exist_ok=True)
        for region in regions:
            run([FANOUT, "keys", "new", "--region", region, "--dir", self.dir / "keys"])
        if tls:
            run([ROOT / "deploy/make-certs", self.dir / "certs", *regions])
        if database:
            self.postgres = Postgres(self.dir)
            self.postgres.start()
            run([FANOUT, "migrate", "--conninfo", self.postgres.conninfo, *(f"--region={r}" for r in regions), "--primary", regions[0]])
        scheme = "tls+tcp" if tls else "tcp"
        listen = {r: {k: free_url(scheme) for k in ("door", "feed", "link")} for r in regions}
        for region in regions:
            config = {
                "region": region, "primary": region == regions[0], "data_dir": self.dir / region / "data",
                "keys": {"secret_key": self.dir / "keys" / f"{region}.key", "public_keys": self.dir / "keys"},
                "listen": listen[region],
                "peers": [{"region": peer, "link": listen[peer]["link"]} for peer in regions if peer != region],
                "journal": {"segment_bytes": 4194304},
                "ledger": {"enabled": bool(database), **({"conninfo": self.postgres.broker_conninfo} if database else {})},
                "log": {"level": "debug"},
            }
            if not config["peers"]:
                del config["peers"]
            if tls:
                config["tls"] = {"cert": self.dir / "certs" / f"{region}.crt", "key": self.dir / "certs" / f"{region}.key",
                                 "ca": self.dir / "certs" / "ca.crt"}
            merge(config, extra or {})
            merge(config, (per_region or {}).get(region, {}))
            self.brokers[region] = Broker(self, region, config)

    def __getitem__(self, region):
        return self.brokers[region]

    def __iter__(self):
        return iter(self.brokers.values())

    @property
    def first(self):
        return next(iter(self))

    def others(self):
        return list(self)[1:]

    def start(self):
        for broker in self:
            broker.spawn()
        for broker in self:
            broker.wait_ready()
        self.wait_links()
        return self

    def wait_links(self):
        wait_until(lambda: all(b.links_up() for b in self), "every link is up")

    def tls_context(self):
        if not self.is_tls:
            return None
        context = ssl.create_default_context(cafile=self.dir / "certs/ca.crt")
        context.load_cert_chain(self.dir / "certs/client.crt", self.dir / "certs/client.key")
        context.check_hostname = False
        return context

    def cli(self, *args, broker=None, check=True, stdin=None, timeout=60):
        """The fanout command, against the first region's broker unless told otherwise."""
        env = dict(os.environ, FANOUT_BROKER=(broker or self.first).door)
        return run([FANOUT, *args], check=check, stdin=stdin, env=env, timeout=timeout)

    def audit(self, *options, regions=None, since="24h"):
        """What `fanout audit` says about these regions (default: all) and the ledger, as a dict; its exit status is in "status"."""
        addresses = [f"--broker={self[r].door}" for r in regions or self.brokers]
        tls = [f"--tls-{name}={self.dir}/certs/{file}" for name, file in
               (("ca", "ca.crt"), ("cert", "client.crt"), ("key", "client.key"))] if self.is_tls else []
        ledger = [f"--ledger={self.postgres.conninfo}"] if self.postgres else []
        done = self.cli("audit", "--json", "--since", since, "--keys", self.dir / "keys", *addresses, *tls, *ledger, *options, check=False, timeout=180)
        if not done.stdout:
            raise AssertionError(f"fanout audit: exit status {done.returncode}\n{done.stderr}")
        return {**json.loads(done.stdout), "status": done.returncode}

    def judge(self, timeout=90):
        """The auditor as the judge: every accepted event that is still retained settled everywhere and in the ledger, and zero drift. The audit."""
        until = time.monotonic() + timeout
        while True:
            found = self.audit("--from", "2001-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z")
            if found["status"] == 0 and found["pending"] == 0 and all("received" in f for f in found["flows"]):
                return found
            if found["status"] == 1 or time.monotonic() > until:
                raise AssertionError(f"the audit finds:\n{json.dumps(found, indent=1)}")
            time.sleep(0.2)

    def sanitizer_reports(self):
        found = []
        for broker in self:
            text = broker.log_text()
            places = [text.find(mark) for mark in SANITIZER_MARKS if mark in text]
            if places:
                at = text.rfind("\n", 0, min(places)) + 1
                found.append(f"--- {broker.region}:\n{text[at:at + 6000]}")
        return found

    def close(self):
        """Stops whatever still runs; the first thing that went wrong on the way is raised at the end."""
        problem = None
        for broker in self:
            try:
                broker.stop()
            except AssertionError as error:
                problem = problem or error
        if self.postgres:
            self.postgres.stop()
        reports = self.sanitizer_reports()
        if reports:
            problem = AssertionError("a sanitizer or an assertion spoke:\n" + "\n".join(reports))
        if problem:
            raise problem

    def abandon(self):
        """After a failure: shows the logs and ends everything."""
        self.show_logs()
        for broker in self:
            if broker.process and broker.process.poll() is None:
                broker.kill()
        if self.postgres:
            self.postgres.stop()

    def show_logs(self):
        for broker in self:
            print(broker.log_tail(), flush=True)

    def remove(self):
        if os.environ.get("FANOUT_KEEP"):
            print(f"kept: {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def run(command, check=True, stdin=None, env=None, timeout=60):
    """A command to its end: CompletedProcess with stdout and stderr as text."""
    done = subprocess.run([str(c) for c in command], input=stdin, env=env, timeout=timeout, capture_output=True, text=True, errors="replace")
    if any(mark in done.stderr for mark in SANITIZER_MARKS) or check and done.returncode != 0:
        raise AssertionError(f"{' '.join(str(c) for c in command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@contextlib.contextmanager
def running(start=True, **options):
    """A cluster for a with statement: stopped, checked and removed at its end; shows its logs after a failure."""
    cluster = Cluster(**options)
    try:
        if start:
            cluster.start()
        yield cluster
        cluster.close()
    except BaseException:
        cluster.abandon()
        raise
    finally:
        cluster.remove()


class ClusterTest(unittest.TestCase):
    """Tests on a cluster that is started once for the class. `options` are Cluster's."""
    options = {}
    maxDiff = 4000

    @classmethod
    def prepare(cls, cluster):
        """Called before the start: the place to write files that configurations name."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(**cls.options)
        try:
            cls.prepare(cls.cluster)
            cls.cluster.start()
        except BaseException:
            cls.cluster.abandon()
            cls.cluster.remove()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.cluster.close()
        except BaseException:
            cls.cluster.abandon()
            raise
        finally:
            cls.cluster.remove()

    def run(self, result=None):
        """As usual, and after a failure the ends of the brokers' logs."""
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            self.cluster.show_logs()
