# SPDX-License-Identifier: Apache-2.0
"""A small WAN on one machine: each region's broker in a network namespace of its own, joined by wanlink.

Addresses (10.77.0.x) and host names (REGION.wan) exist inside these namespaces only. Doors are unix sockets, which namespaces
do not separate, so that tests reach every broker whatever the WAN does."""
import atexit
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from lib import sp  # noqa: E402
from lib.cluster import BUILD, REGIONS, ROOT, Cluster, run, wait_until  # noqa: E402

WANLINK = BUILD / "tests/wan/wanlink"
PREFIX, DEVICE, LINK_PORT = "fanout-wan", "wan0", 7103
TCP = "reno"                            # fills a line's queue as Debian's default cubic does, and needs no permission; bbr does not fill it
NETNS, ETC = Path("/run/netns"), Path("/etc/netns")


def ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, capture_output=True, text=True)


def why_not():
    """Why no WAN can be built here; empty when one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"{PREFIX}-{os.getpid()}-try"
    try:
        ip("netns", "add", name)
        ip("-n", name, "tuntap", "add", DEVICE, "mode", "tun")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespace with a TUN device can be made: {getattr(error, 'stderr', '') or error}".strip()
    finally:
        ip("netns", "del", name, check=False)
    return ""


def remove_namespaces(pid):
    for found in [*NETNS.glob(f"{PREFIX}-{pid}-*"), *ETC.glob(f"{PREFIX}-{pid}-*")]:
        ip("netns", "del", found.name, check=False)
        shutil.rmtree(ETC / found.name, ignore_errors=True)
    if ETC.is_dir() and not any(ETC.iterdir()):
        ETC.rmdir()


def remove_stale():
    """What runs that were killed have left."""
    for found in [*NETNS.glob(f"{PREFIX}-*"), *ETC.glob(f"{PREFIX}-*")]:
        pid = found.name.split("-")[2]
        if not Path("/proc", pid).exists():
            remove_namespaces(pid)


class Wan:
    """Namespaces, their TUN devices, and wanlink between them."""

    def __init__(self, directory, regions=REGIONS, seed=1, tcp=TCP):
        self.regions, self.seed, self.process, self.control = regions, seed, None, None
        self.netns = {r: f"{PREFIX}-{os.getpid()}-{i}" for i, r in enumerate(regions)}
        self.address = {r: f"10.77.0.{i + 1}" for i, r in enumerate(regions)}
        remove_stale()
        atexit.register(remove_namespaces, os.getpid())
        for region, name in self.netns.items():
            etc = ETC / name
            etc.mkdir(parents=True, exist_ok=True)
            (etc / "resolv.conf").write_text("nameserver 10.77.0.250\n")     # nobody is there: only the hosts file knows names
            self.set_names(region, True)
            ip("netns", "add", name)
            ip("netns", "exec", name, "sh", "-c", f"echo {tcp} >/proc/sys/net/ipv4/tcp_congestion_control")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "tuntap", "add", DEVICE, "mode", "tun")
            ip("-n", name, "addr", "add", self.address[region] + "/24", "dev", DEVICE)
            ip("-n", name, "link", "set", DEVICE, "up")
        self.socket_path = str(directory / "wanlink.sock")
        self.process = subprocess.Popen([str(WANLINK), str(seed), self.socket_path, DEVICE,
                                         *(f"{r}={self.netns[r]}={self.address[r]}" for r in regions)], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise AssertionError("wanlink did not start")
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(self.socket_path)
        self.answers = self.control.makefile()

    def set_names(self, region, are_known):
        """The names that the region's broker can look up. Written in place: the file is mounted in the broker's namespace."""
        lines = ["127.0.0.1 localhost"] + [f"{a} {r}.wan" for r, a in self.address.items() if are_known]
        with (ETC / self.netns[region] / "hosts").open("w") as hosts:
            hosts.write("\n".join(lines) + "\n")

    def tell(self, command):
        """One command of wancommand.h; its answer without the ok."""
        self.control.sendall(command.encode() + b"\n")
        answer = self.answers.readline().strip()
        if not answer.startswith("ok"):
            raise AssertionError(f"wanlink: {command}: {answer or 'no answer'}")
        return answer[3:]

    def stats(self, source="*", target="*"):
        """Packets by their fate since the start."""
        return {k: int(v) for k, v in (word.split("=") for word in self.tell(f"stats {source} {target}").split())}

    def rules(self, rules, source="*", target="*"):
        """These rules and no others in that direction, or all."""
        self.tell(f"clear {source} {target}")
        self.tell(f"set {source} {target} {rules}")

    def close(self):
        if self.control:
            self.control.close()
        if self.process:
            self.process.kill()
            self.process.wait()
        remove_namespaces(os.getpid())


class LinkWatch:
    """Notes when a link that the fault hits is first reported down by the broker that holds it."""

    def __init__(self, cluster, is_hit):
        self.cluster, self.is_hit, self.down_at = cluster, is_hit, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.down_at is None and not self.stopping.wait(0.1):
            for broker in self.cluster:
                try:
                    links = broker.ask({"op": "status"}, 2)["links"]
                except (OSError, sp.Closed):
                    continue
                if any(link["state"] != "up" and self.is_hit(broker.region, link["region"]) for link in links):
                    self.down_at = time.monotonic()

    def stop(self):
        self.stopping.set()
        self.thread.join()


class Lab:
    """Brokers on a WAN, for a with statement. extra: configuration merged into each region's; tls: of the links."""

    def __init__(self, regions=REGIONS, seed=1, extra=None, rules="", tcp=TCP, tls=False):
        self.regions, self.extra, self.rules, self.seed, self.tcp, self.tls = regions, extra, rules, seed, tcp, tls

    def __enter__(self):
        self.cluster = Cluster(regions=self.regions, tls=self.tls)
        self.cluster.is_tls = False             # the doors are not
        if self.tls:
            run([ROOT / "deploy/make-certs", self.cluster.dir / "certs", *(f"{r}={r}.wan" for r in self.regions)])
        try:
            self.wan = Wan(self.cluster.dir, self.regions, self.seed, self.tcp)
        except BaseException:
            remove_namespaces(os.getpid())
            self.cluster.remove()
            raise
        for broker in self.cluster:
            self._move(broker)
        try:
            self.wan.rules(self.rules)
            self.cluster.start()
        except BaseException:
            self.__exit__(AssertionError)
            raise
        return self

    def _move(self, broker):
        """Its addresses and its process into its namespace. A broker never outlives this thread."""
        config, scheme = broker.config, "tls+tcp" if self.tls else "tcp"
        broker.door = config["listen"]["door"] = f"ipc://{broker.dir}/door"
        config["listen"]["link"] = f"{scheme}://{self.wan.address[broker.region]}:{LINK_PORT}"
        config["peers"] = [{"region": r, "link": f"{scheme}://{r}.wan:{LINK_PORT}"} for r in self.regions if r != broker.region]
        config.setdefault("tls", {"allow_plain": True})
        for section, values in (self.extra or {}).items():
            config.setdefault(section, {}).update(values)
        broker.prefix = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.wan.netns[broker.region]]

    def __exit__(self, kind, *unused):
        try:
            self.wan.tell("clear * *")
            if kind is None:
                self.cluster.close()
            else:
                self.cluster.abandon()
        finally:
            self.wan.close()
            self.cluster.remove()

    def watch_links(self, is_hit):
        return LinkWatch(self.cluster, is_hit)

    def backlog(self):
        """{(source, target): events of the source that the target has not acknowledged}."""
        return {(b.region, link["region"]): sum(lane["backlog"] for lane in link["lanes"].values())
                for b in self.cluster for link in b.status()["links"]}

    def batches(self):
        """Batches received from peers by all brokers since their start, and how many came again."""
        counters = [b.status()["counters"] for b in self.cluster]
        return [sum(c[name] for c in counters) for name in ("receivedBatches", "duplicateBatches")]

    def wait_healthy(self, timeout):
        """Until every link is trusted again, or the time is up: after much flapping that takes long, on purpose."""
        until = time.monotonic() + timeout
        while time.monotonic() < until and any(link["health"] != "healthy" for b in self.cluster for link in b.status()["links"]):
            time.sleep(0.05)

    def wait_empty(self, timeout):
        """Until every backlog is zero; what is left when the time is up."""
        try:
            wait_until(lambda: not any(self.backlog().values()), "every backlog is empty", timeout)
        except AssertionError:
            return {pair: n for pair, n in self.backlog().items() if n}
        return {}
