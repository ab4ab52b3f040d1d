# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports on loopback, outside the range that the kernel hands to outgoing connections."""
import fcntl
import os
import random
import socket
import tempfile

_random = random.Random(os.getpid() * 7919)
_taken = set()
_reservations = None


def _reserve(port):
    """Whether the port is ours until this process ends, among all that run these tests: byte `port` of a file is locked."""
    global _reservations
    if _reservations is None:
        path = os.path.join(tempfile.gettempdir(), f"fanout-test-ports-{os.getuid()}")
        _reservations = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(_reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def free_port():
    """A port that nothing listens on now and that no process of these tests has been given before, as long as that one runs."""
    for _ in range(1000):
        port = _random.randrange(10240, 32000)
        if port in _taken or not _reserve(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError("no free port found")


def free_url(scheme="tcp"):
    return f"{scheme}://127.0.0.1:{free_port()}"
