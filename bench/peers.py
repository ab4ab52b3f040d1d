# SPDX-License-Identifier: Apache-2.0
"""The brokers that fanout-3 runs on: how three of each are started on loopback, A publishing to B and C, and how to speak to them.

A peer is up for one measurement or a few, then ended, by its processes' ids. Ports are fixed, 17001 to 17899."""
import os
import shutil
import signal
import socket
import subprocess
import time

RECORD_BYTES = 256


class Peer:
    """One way to run one product. `promises` is what holds when the publisher has its ack."""

    name = driver = ""
    ports = (0, 0, 0)
    needs = ()              # programs
    package = ""            # Debian's, that brings them
    promises = "no · no · no"
    events = 1.0            # of the number asked for: slow peers get fewer, so that a round has an end
    window = 16384
    has_sync = False
    has_backlog = True      # can hold events for subscribers that do not read
    is_oneshot = False      # serves one set of connections only

    def __init__(self, build, scratch):
        self.build, self.scratch, self.processes = build, scratch, []

    def missing(self):
        return [p for p in self.needs if not (shutil.which(p) or (self.build / "bench" / p).exists())]

    def directory(self, name):
        path = self.scratch / self.name / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, *command):
        program = self.build / "bench" / command[0]
        first = str(program if program.exists() else command[0])
        log = open(self.scratch / f"{self.name}.log", "ab")
        self.processes.append(subprocess.Popen([first, *map(str, command[1:])], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        log.close()

    def pids(self):
        return [p.pid for p in self.processes]

    def down(self):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes = []
        shutil.rmtree(self.scratch / self.name, ignore_errors=True)

    def wait_ports(self, ports=None):
        end = time.monotonic() + 30
        for port in ports or self.ports:
            while True:
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > end or any(p.poll() is not None for p in self.processes):
                    log = (self.scratch / f"{self.name}.log").read_text(errors="replace").splitlines()
                    raise RuntimeError(f"{self.name} does not listen at port {port}: {' / '.join(log[-3:])}")
                time.sleep(0.05)


class Fanout(Peer):
    name, driver, ports = "fanout", "fanout", (17801, 17804, 17807)
    promises, has_sync = "yes · yes · yes", True
    regions = ("us-east-1", "us-west-2", "eu-west-1")
    durability = "power"

    def missing(self):
        return []

    def program(self, name):
        return self.build / "src/cmd" / name

    def configure(self, i, region, directory):
        base = 17800 + 3 * i
        peers = "".join(f"  - region: {r}\n    link: tcp://127.0.0.1:{17800 + 3 * k + 2}\n" for k, r in enumerate(self.regions) if r != region)
        path = directory / f"{region}.yaml"
        path.write_text(f"region: {region}\ndata_dir: '{directory}/{region}'\nkeys:\n  secret_key: '{directory}/{region}.key'\n  public_keys: '{directory}'\n"
                        f"listen:\n  door: tcp://127.0.0.1:{base + 1}\n  link: tcp://127.0.0.1:{base + 2}\npeers:\n{peers}"
                        f"journal:\n  durability: {self.durability}\n{self.more()}")
        return path

    def more(self):
        """The rest of the configuration; it begins within the journal's part."""
        return "ledger:\n  enabled: false\n"

    def prepare(self):
        """Keys and configurations; answers the latter."""
        directory = self.directory("brokers")
        for region in self.regions:
            if not (directory / f"{region}.key").exists():
                subprocess.run([self.program("fanout"), "keys", "new", "--region", region, "--dir", directory], check=True, stdout=subprocess.DEVNULL)
        return [self.configure(i, region, directory) for i, region in enumerate(self.regions)]

    def up(self):
        for path in self.prepare():
            self.start(self.program("fanoutd"), "--config", path)
        self.wait_ports()
        time.sleep(1)


class FanoutProcess(Fanout):
    name, durability, promises = "fanout, no fsync", "process", "no · yes · yes"


class Raw(Peer):
    name, driver, ports, needs = "raw relay", "raw", (17001, 17003, 17004), ("relay",)
    events, is_oneshot, has_backlog = 3.0, True, False
    durable = ()

    def up(self):
        self.start("relay", "-l", 17001, "-o", 17002, "-n", 2, *self.log())
        time.sleep(0.2)
        self.start("relay", "-c", 17002, "-o", 17003)
        self.start("relay", "-c", 17002, "-o", 17004)
        time.sleep(0.3)

    def log(self):
        return ()


class RawDurable(Raw):
    name, driver, promises, has_sync = "raw relay + fdatasync", "rawack", "yes · no · no", True

    def log(self):
        return "-d", self.directory("A") / "log"


class Zmq(Peer):
    name, driver, ports, needs, package = "ZeroMQ proxies", "zmq", (17101, 17103, 17104), ("relay_zmq",), "libzmq3-dev"

    def up(self):
        self.start("relay_zmq", 17101, 17102)
        time.sleep(0.2)
        self.start("relay_zmq", 17102, 17103, "connect")
        self.start("relay_zmq", 17102, 17104, "connect")
        time.sleep(0.3)


class Nats(Peer):
    name, driver, ports, needs, package = "NATS gateways", "nats", (17201, 17202, 17203), ("nats-server",), "nats-server"

    def up(self):
        gateways = ", ".join(f'{{name: {s}, url: "nats://127.0.0.1:{17211 + i}"}}' for i, s in enumerate("ABC"))
        for i, s in enumerate("ABC"):
            conf = self.directory(s) / "conf"
            conf.write_text(f'server_name: {s}\nlisten: 127.0.0.1:{17201 + i}\nmax_pending: 512MB\nwrite_deadline: "60s"\n'
                            f'gateway {{ name: {s}, listen: "127.0.0.1:{17211 + i}", gateways: [{gateways}] }}\n')
            self.start("nats-server", "-c", conf)
        self.wait_ports()
        time.sleep(2)


class JetStream(Peer):
    """A stream in A and file mirrors of it in B and C over leaf nodes; no fsync, which is its default."""

    name, driver, ports, needs, package = "NATS JetStream mirrors", "js", (17301, 17302, 17303), ("nats-server",), "nats-server"
    promises, events, has_sync = "no · no · yes", 0.2, True

    def ask(self, port, subject, body):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(f'CONNECT {{"verbose":false}}\r\nSUB in 1\r\nPUB {subject} in {len(body)}\r\n{body}\r\n'.encode())
            text = b""
            while b"\r\nMSG " not in text or not text.endswith(b"\r\n") or text.count(b"\r\n", text.index(b"\r\nMSG ")) < 3:
                more = s.recv(65536)
                if not more:
                    break
                text += more
        if b'"error"' in text or b"MSG" not in text:
            raise RuntimeError(f"{subject}: {text[-300:]!r}")

    def up(self):
        for i, s in enumerate("ABC"):
            directory = self.directory(s)
            leaf = '{ listen: "127.0.0.1:17311" }' if s == "A" else '{ remotes: [{url: "nats://127.0.0.1:17311"}] }'
            (directory / "conf").write_text(f'server_name: {s}\nlisten: 127.0.0.1:{17301 + i}\nmax_pending: 512MB\nwrite_deadline: "60s"\n'
                                            f'jetstream {{ store_dir: "{directory}/store", domain: {s}, max_file_store: 20GB }}\nleafnodes {leaf}\n')
            self.start("nats-server", "-c", directory / "conf")
        self.wait_ports()
        time.sleep(2)
        self.ask(17301, "$JS.API.STREAM.CREATE.ev", '{"name":"ev","subjects":["ev"],"storage":"file","retention":"limits","num_replicas":1}')
        for port in (17302, 17303):
            self.ask(port, "$JS.API.STREAM.CREATE.M",
                     '{"name":"M","storage":"file","num_replicas":1,"mirror":{"name":"ev","external":{"api":"$JS.A.API","deliver":""}}}')


class Redis(Peer):
    name, driver, ports, needs, package = "Redis pub/sub over replicas", "redisps", (17401, 17402, 17403), ("redis-server", "redis-cli"), "redis-server"
    options = ()

    def up(self):
        limits = [w for kind in ("pubsub", "replica", "normal") for w in ("--client-output-buffer-limit", f"{kind} 0 0 0")]
        for i, s in enumerate("ABC"):
            self.start("redis-server", "--bind", "127.0.0.1", "--port", 17401 + i, "--dir", self.directory(s), "--save", "", "--daemonize", "no",
                       "--repl-diskless-sync-delay", 0, "--repl-backlog-size", "16mb", *limits, *(("--replicaof", "127.0.0.1", 17401) if i else self.options))
        self.wait_ports()
        for port in self.ports[1:]:
            end = time.monotonic() + 20
            while "master_link_status:up" not in subprocess.run(["redis-cli", "-p", str(port), "info", "replication"], capture_output=True, text=True).stdout:
                if time.monotonic() > end:
                    raise RuntimeError("redis replicas do not follow")
                time.sleep(0.1)
        time.sleep(0.5)


class RedisStreams(Redis):
    name, driver, promises, events, has_sync = "Redis Streams, fsync always", "redisst", "yes · no · no", 0.3, True
    options = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")


class Mosquitto(Peer):
    name, driver, ports, needs, package = "Mosquitto bridges QoS 0", "mqtt0", (17501, 17502, 17503), ("mosquitto",), "mosquitto"
    qos, events = 0, 0.15

    def up(self):
        for i, s in enumerate("ABC"):
            conf = self.directory(s) / "conf"
            bridge = "" if s == "A" else (f"connection to{s}\naddress 127.0.0.1:17501\nremote_clientid bridge{s}\ntopic ev in {self.qos}\ntry_private true\n"
                                          "notifications false\ncleansession true\nrestart_timeout 1\n")
            conf.write_text(f"listener {17501 + i} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
                            f"max_queued_messages 0\nlog_type error\n{'user root' if os.geteuid() == 0 else ''}\n{bridge}")
            self.start("mosquitto", "-c", conf)
            self.wait_ports(self.ports[i:i + 1])
        time.sleep(2)


class Mosquitto1(Mosquitto):
    name, driver, qos, events, window, promises = "Mosquitto bridges QoS 1", "mqtt1", 1, 0.08, 1024, "no · no · yes"


ALL = {"fanout": Fanout, "fanout-process": FanoutProcess, "raw": Raw, "raw-durable": RawDurable, "zmq": Zmq, "nats": Nats, "jetstream": JetStream,
       "redis": Redis, "redis-streams": RedisStreams, "mosquitto": Mosquitto, "mosquitto-qos1": Mosquitto1}
