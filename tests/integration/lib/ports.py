# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports on loopback, outside the range that the kernel hands to outgoing connections."""
import os
import random
import socket

_random = random.Random(os.getpid() * 7919)
_taken = set()


def free_port():
    """A port that nothing listens on now and that this process has not been given before."""
    for _ in range(1000):
        port = _random.randrange(10240, 32000)
        if port in _taken:
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
