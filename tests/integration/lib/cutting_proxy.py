# SPDX-License-Identifier: Apache-2.0
"""A unix socket between PostgreSQL and its client: cutting_proxy.py DIR SERVER_DIR

Says "ready", then obeys lines on its standard input until that ends: "cut N" ends every connection, open and new ones,
within N bytes of traffic, at a random byte, without a goodbye; "pass" stops that and prints how many were cut."""
import random
import selectors
import socket
import sys

NAME = ".s.PGSQL.5432"


class Proxy:
    def __init__(self, directory, server):
        self.server = f"{server}/{NAME}"
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{directory}/{NAME}")
        self.listener.listen(16)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.obey)
        self.other, self.left = {}, {}          # socket: its counterpart; its connection's bytes until the cut
        self.bytes_max, self.cuts, self.is_over = None, 0, False

    def run(self):
        print("ready", flush=True)
        while not self.is_over:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener or key.fileobj is sys.stdin or key.fileobj in self.other:
                    key.data(key.fileobj)

    def accept(self, _):
        client, _ = self.listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.server)
        except OSError:
            client.close()
            return
        self.other[client], self.other[server] = server, client
        for sock in (client, server):
            self.selector.register(sock, selectors.EVENT_READ, self.carry)
        self.measure(client)

    def measure(self, sock):
        left = [random.randint(1, self.bytes_max)] if self.bytes_max else [None]
        self.left[sock] = self.left[self.other[sock]] = left

    def carry(self, sock):
        try:
            data = sock.recv(65536)
            left = self.left[sock]
            if left[0] is not None:
                data, is_cut = data[:left[0]], len(data) >= left[0]
                left[0] -= len(data)
                self.cuts += is_cut
            else:
                is_cut = False
            if data:
                self.other[sock].sendall(data)
        except OSError:
            data, is_cut = b"", False
        if not data or is_cut:
            self.end(sock)

    def end(self, sock):
        for one in (self.other[sock], sock):
            self.selector.unregister(one)
            del self.other[one], self.left[one]
            one.close()

    def obey(self, stdin):
        words = stdin.readline().split()
        if not words:
            self.is_over = True
            return
        self.bytes_max = int(words[1]) if words[0] == "cut" else None
        for sock in list(self.other):
            self.measure(sock)
        print(self.cuts, flush=True)
        if self.bytes_max is None:
            self.cuts = 0


if __name__ == "__main__":
    Proxy(*sys.argv[1:]).run()
