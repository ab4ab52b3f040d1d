# SPDX-License-Identifier: Apache-2.0
"""The NNG scalability protocols over a plain socket: a second implementation, so that the tests can send what a
well-behaved library would not, and need nothing but Python's own library.

A connection begins with eight bytes from each side (NUL 'S' 'P' NUL, protocol, NUL NUL); each message then
stands behind a 64-bit length. Over ipc a byte 1 stands before the length.
"""
import socket
import struct
import time
import urllib.parse

REQ, REP, PUB, SUB = 0x30, 0x31, 0x20, 0x21


class Closed(Exception):
    """The other side ended the connection."""


class Pipe:
    """One connection, from the opening handshake on."""

    def __init__(self, url, protocol, timeout=10.0, tls=None):
        parts = urllib.parse.urlsplit(url)
        self.is_ipc = parts.scheme == "ipc"
        if self.is_ipc:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(url[len("ipc://"):])
        else:
            self.sock = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=parts.hostname)
        self.buffer = b""
        self.sock.sendall(b"\0SP\0" + struct.pack(">HH", protocol, 0))
        hello = self._read(8)
        if hello[:4] != b"\0SP\0":
            raise Closed(f"no SP handshake: {hello!r}")

    def _fill(self, n):
        """Waits until n bytes are there; what has come stays when the time is up."""
        while len(self.buffer) < n:
            try:
                more = self.sock.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed(str(error)) from error
            if not more:
                raise Closed("end of stream")
            self.buffer += more

    def _read(self, n):
        self._fill(n)
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def send(self, body):
        try:
            self.sock.sendall((b"\1" if self.is_ipc else b"") + struct.pack(">Q", len(body)) + body)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(str(error)) from error

    def send_raw(self, octets):
        """Any bytes, framed or not."""
        self.sock.sendall(octets)

    def receive(self, timeout=10.0):
        """The next message; TimeoutError when none comes. A timeout in the middle of one keeps what has come."""
        self.sock.settimeout(timeout)
        head = 9 if self.is_ipc else 8
        self._fill(head)
        length = struct.unpack(">Q", self.buffer[head - 8:head])[0]
        self._fill(head + length)
        return self._read(head + length)[head:]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Req(Pipe):
    """A requester: one question at a time."""

    def __init__(self, url, timeout=10.0, tls=None):
        super().__init__(url, REQ, timeout, tls)
        self.id = int(time.monotonic_ns()) & 0x3fffffff

    def post(self, body):
        self.id = (self.id + 1) & 0x7fffffff
        self.send(struct.pack(">I", self.id | 0x80000000) + body)
        return self.id

    def answer(self, timeout=30.0):
        """The answer to the last question; answers to earlier ones are dropped, as NNG does."""
        until = time.monotonic() + timeout
        while True:
            body = self.receive(max(0.01, until - time.monotonic()))
            if struct.unpack(">I", body[:4])[0] == self.id | 0x80000000:
                return body[4:]

    def ask(self, body, timeout=30.0):
        self.post(body)
        return self.answer(timeout)


class Sub(Pipe):
    """A subscriber of everything that the feed sends: filtering is the subscriber's own part."""

    def __init__(self, url, timeout=10.0, tls=None):
        super().__init__(url, SUB, timeout, tls)


class Pub(Pipe):
    """A publisher, dialing as brokers dial each other's link listener."""

    def __init__(self, url, timeout=10.0, tls=None):
        super().__init__(url, PUB, timeout, tls)
