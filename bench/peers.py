# SPDX-License-Identifier: Apache-2.0
"""The brokers that fanout-3 runs on: how three of each are started on loopback, A publishing to B and C, and how to speak to them.

A peer is up for one measurement or a few, then ended, by its processes' ids. Ports are fixed, 17001 to 17899."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RECORD_BYTES = 256


def end_orderly():
    """Being terminated ends the brokers too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def settle(path, quiet=0.5, patience=5):
    """Until the disk below has had nothing to do for a while: what was freed may keep it busy for seconds (discards), and the next one's numbers with it."""
    os.sync()
    device = os.stat(path).st_dev
    statistics = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    end = time.monotonic() + patience
    since, seen = time.monotonic(), None
    while statistics.exists() and time.monotonic() < min(end, since + quiet):
        now = statistics.read_text()
        if now != seen:
            since, seen = time.monotonic(), now
        time.sleep(0.05)


class Peer:
    """One way to run one product. `promises` is what holds when the publisher has its ack."""

    name = driver = ""
    ports = (0, 0, 0)
    needs = ()              # programs
    package = ""            # Debian's, that brings them
    promises = "no · no · no"
    events = 1.0            # of the number asked for: slow peers get fewer, so that a round has an end
    backlog = 1.0           # likewise, of the events that wait
    window = 16384
    has_sync = False
    has_backlog = True      # can hold events for subscribers that do not read, and for brokers that stand still
    is_oneshot = False      # serves one set of connections only
    is_slow = False         # takes long to start, so one set of brokers serves several runs

    def __init__(self, build, scratch):
        self.build, self.scratch, self.processes = build, scratch, []

    def missing(self):
        return [p for p in self.needs if not (shutil.which(p) or (self.build / "bench" / p).exists())]

    def directory(self, name):
        path = self.scratch / self.name / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, *command, **environment):
        program = self.build / "bench" / command[0]
        first = str(program if program.exists() else command[0])
        log = open(self.scratch / f"{self.name}.log", "ab")
        self.processes.append(subprocess.Popen([first, *map(str, command[1:])], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               env={**os.environ, **environment}))
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

    def port(self, i):
        return 17801 + 3 * i

    def link(self, i):
        return f"tcp://127.0.0.1:{17802 + 3 * i}"

    def configure(self, i, region, directory):
        others = "".join(f"  - region: {r}\n    link: {self.link(k)}\n" for k, r in enumerate(self.regions) if r != region)
        path = directory / f"{region}.yaml"
        path.write_text(f"region: {region}\ndata_dir: '{directory}/{region}'\nkeys:\n  secret_key: '{directory}/{region}.key'\n  public_keys: '{directory}'\n"
                        f"listen:\n  door: tcp://127.0.0.1:{self.port(i)}\n  link: {self.link(i)}\npeers:\n{others}"
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
        relay = self.needs[0]
        self.start(relay, "-l", 17001, "-o", 17002, "-n", 2, *self.log("A"))
        time.sleep(0.2)
        self.start(relay, "-c", 17002, "-o", 17003, *self.log("B"))
        self.start(relay, "-c", 17002, "-o", 17004, *self.log("C"))
        time.sleep(0.3)

    def log(self, _region):
        return ()


class RawDurable(Raw):
    """Syncs in A only, for the ack; what it forwards does not wait for that."""

    name, driver, promises, has_sync = "raw relay + fdatasync", "rawack", "yes · no · no", True

    def log(self, region):
        return ("-d", self.directory(region) / "log") if region == "A" else ()


class RawPromises(RawDurable):
    """What we promise, and nothing else: the least that it can cost."""

    name, promises, needs = "raw relay + our promises", "yes · yes · yes", ("relay_promises",)

    def log(self, region):
        return "-d", self.directory(region) / "log"


class Zmq(Peer):
    name, driver, ports, needs, package = "ZeroMQ proxies", "zmq", (17101, 17103, 17104), ("relay_zmq",), "libzmq3-dev"

    relay, inner = "relay_zmq", 17102

    def up(self):
        self.start(self.relay, self.ports[0], self.inner)
        time.sleep(0.2)
        for port in self.ports[1:]:
            self.start(self.relay, self.inner, port, "connect")
        time.sleep(0.3)


class Nng(Zmq):
    """One event a message; what a slow subscriber does not take is dropped, so few are in flight."""

    name, driver, ports, needs, package = "NNG raw device, one event a message", "nng", (17121, 17123, 17124), ("relay_nng",), ""
    relay, inner, events, window, has_backlog = "relay_nng", 17122, 0.1, 4096, False


class Nats(Peer):
    name, driver, ports, needs, package = "NATS gateways", "nats", (17201, 17202, 17203), ("nats-server",), "nats-server"

    def link(self, i, name):
        gateways = ", ".join(f'{{name: {s}, url: "nats://127.0.0.1:{17211 + k}"}}' for k, s in enumerate("ABC"))
        return f'gateway {{ name: {name}, listen: "127.0.0.1:{17211 + i}", gateways: [{gateways}] }}'

    def up(self):
        for i, s in enumerate("ABC"):
            conf = self.directory(s) / "conf"
            conf.write_text(f'server_name: {s}\nlisten: 127.0.0.1:{17201 + i}\nmax_pending: 512MB\nwrite_deadline: "60s"\n{self.link(i, s)}\n')
            self.start("nats-server", "-c", conf)
        self.wait_ports()
        time.sleep(2)


class NatsRoutes(Nats):
    name = "NATS routes"

    def link(self, i, name):
        routes = ", ".join(f"nats://127.0.0.1:{17211 + k}" for k in range(3))
        return f'cluster {{ name: x, listen: "127.0.0.1:{17211 + i}", routes: [{routes}] }}'


class NatsLeafs(Nats):
    name = "NATS leaf nodes"

    def link(self, i, name):
        return 'leafnodes { listen: "127.0.0.1:17211" }' if i == 0 else 'leafnodes { remotes: [{url: "nats://127.0.0.1:17211"}] }'


class JetStream(Peer):
    """A stream in A and file mirrors of it in B and C over leaf nodes; no fsync, which is its default."""

    name, driver, ports, needs, package = "NATS JetStream mirrors", "js", (17301, 17302, 17303), ("nats-server",), "nats-server"
    promises, events = "no · no · yes", 0.2

    def prepare_store(self, path):
        pass

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
            (directory / "store").mkdir()
            if s == "A":
                self.prepare_store(directory / "store")
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


class JetStreamSync(JetStream):
    """Each write to the stream's files in A is synchronous (ext4's attribute S): this version has no setting for it."""

    name, needs = "NATS JetStream, synchronous files", ("nats-server", "chattr")
    promises, events, backlog, window = "yes · no · yes", 0.02, 0.1, 1024
    has_sync = True

    def prepare_store(self, path):
        subprocess.run(["chattr", "+S", path], check=True)


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
    name, driver, events = "Redis Streams over replicas", "redisst", 0.3


class RedisStreamsSync(RedisStreams):
    name, promises, has_sync = "Redis Streams, fsync always", "yes · no · no", True
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


class Rabbit(Peer):
    """Three separate nodes: A's exchange feeds a durable queue for each of B and C, a shovel in each of these moves it on. Every queue
    has two priorities, so that a high event may pass."""

    name, driver, ports, package = "RabbitMQ shovels, durable, confirms", "amqp", (17601, 17602, 17603), "rabbitmq-server"
    program, plugin = "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq_shovel"
    promises, events, backlog, window, has_sync, is_slow = "yes · no · yes", 0.02, 0.1, 2048, True, True

    def missing(self):
        return [] if Path(self.program).exists() and shutil.which("epmd") else ["rabbitmq-server"]

    def definitions(self, i, site):
        queues = ["toB", "toC"] if i == 0 else ["sub"]
        defined = {"vhosts": [{"name": "/"}], "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
                   "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
                   "exchanges": [{"name": "ev", "vhost": "/", "type": "fanout", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}],
                   "queues": [{"name": q, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {"x-max-priority": 1}} for q in queues]}
        if i == 0:
            defined["bindings"] = [{"source": "ev", "vhost": "/", "destination": q, "destination_type": "queue", "routing_key": "", "arguments": {}} for q in queues]
        else:
            defined["parameters"] = [{"vhost": "/", "component": "shovel", "name": "from-a", "value": {
                "src-protocol": "amqp091", "src-uri": f"amqp://127.0.0.1:{self.ports[0]}", "src-queue": f"to{site}", "src-prefetch-count": 1000,
                "dest-protocol": "amqp091", "dest-uri": f"amqp://127.0.0.1:{self.ports[i]}", "dest-queue": "sub", "ack-mode": "on-confirm"}}]
        return json.dumps(defined)

    def up(self):
        common = {"ERL_EPMD_PORT": "17699", "ERL_EPMD_ADDRESS": "127.0.0.1", "HOME": str(self.directory("home"))}
        self.start("epmd", **common)
        for i, s in enumerate("ABC"):
            d = self.directory(s)
            (d / "plugins").write_text(f"[{self.plugin}].")
            (d / "definitions.json").write_text(self.definitions(i, s))
            (d / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{self.ports[i]}\ndistribution.listener.interface = 127.0.0.1\nlog.file = false\nlog.console = true\n"
                                             f"log.console.level = warning\ndisk_free_limit.absolute = 1GB\nload_definitions = {d}/definitions.json\n")
            self.start(self.program, RABBITMQ_NODENAME=f"bench{s}@localhost", RABBITMQ_CONFIG_FILE=f"{d}/rabbitmq", RABBITMQ_MNESIA_BASE=f"{d}/db", RABBITMQ_LOG_BASE=f"{d}/log",
                       RABBITMQ_ENABLED_PLUGINS_FILE=f"{d}/plugins", RABBITMQ_DIST_PORT=str(17611 + i), RABBITMQ_PID_FILE=f"{d}/pid", **common)
        self.wait_ports()
        time.sleep(3)

    def pids(self):
        """Of the Erlang machines, which are the scripts' children."""
        found = []
        for p in self.processes[1:]:
            tree = [p.pid, *map(int, Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split())]
            found += [pid for pid in tree if "beam" in Path(f"/proc/{pid}/comm").read_text()][:1]
        return found


ALL = {"fanout": Fanout, "fanout-process": FanoutProcess, "raw": Raw, "raw-durable": RawDurable, "raw-promises": RawPromises, "zmq": Zmq, "nats": Nats, "nats-routes": NatsRoutes,
       "nats-leafs": NatsLeafs, "redis": Redis, "redis-streams": RedisStreams, "redis-streams-sync": RedisStreamsSync, "nng": Nng, "jetstream": JetStream,
       "jetstream-sync": JetStreamSync, "mosquitto": Mosquitto, "mosquitto-qos1": Mosquitto1, "rabbitmq": Rabbit}
