# SPDX-License-Identifier: Apache-2.0
"""Frames between brokers as proto/WIRE.md gives them, written a second time: signing (RFC 8032), Merkle root.

For tests only: slow, and not constant-time.
"""
import base64
import hashlib
import struct

from . import mp

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
VERSION = 3
BATCH, ACK, HELLO, HEARTBEAT, RELAY = 1, 2, 3, 4, 5
FIELDS = {"id": 1, "type": 2, "acceptedtime": 3, "sourceregion": 4, "tenant": 5, "partitionkey": 6, "priority": 7, "source": 8,
          "subject": 9, "time": 10, "expirytime": 11, "schemaversion": 12, "mincompatible": 13, "traceparent": 14,
          "datacontenttype": 15, "dataschema": 16, "data": 17, "targets": 18}


def _add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    s, m = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = m - s, d - c, d + c, m + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(k, point):
    out = (0, 1, 1, 0)
    while k:
        if k & 1:
            out = _add(out, point)
        point = _add(point, point)
        k >>= 1
    return out


def _compress(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _base():
    y = 4 * pow(5, P - 2, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1:
        x = P - x
    return x, y, 1, x * y % P


BASE = _base()


def sign(secret, message):
    """secret: 64 bytes, seed then public key."""
    h = hashlib.sha512(secret[:32]).digest()
    scalar = (int.from_bytes(h[:32], "little") & (1 << 254) - 8) | 1 << 254
    r = int.from_bytes(hashlib.sha512(h[32:] + message).digest(), "little") % L
    point = _compress(_multiply(r, BASE))
    k = int.from_bytes(hashlib.sha512(point + secret[32:] + message).digest(), "little") % L
    return point + ((r + k * scalar) % L).to_bytes(32, "little")


class Key:
    """A region's secret key, from its file or made of a seed."""

    def __init__(self, region, secret):
        self.region, self.secret = region, secret
        self.public = secret[32:]
        self.id = int.from_bytes(hashlib.blake2b(self.public, digest_size=32).digest()[:8], "big")

    @classmethod
    def read(cls, path):
        return cls.of_text(path.read_text())

    @classmethod
    def of_text(cls, line):
        label, version, region, _, text = line.split()
        assert (label, version) == ("fanout-secret-key", "v1")
        return cls(region, base64.b64decode(text + "=" * (-len(text) % 4)))

    @classmethod
    def of_seed(cls, region, seed):
        h = hashlib.sha512(seed).digest()
        scalar = (int.from_bytes(h[:32], "little") & (1 << 254) - 8) | 1 << 254
        return cls(region, seed + _compress(_multiply(scalar, BASE)))


def _hash(what, octets):
    return hashlib.blake2b(octets, digest_size=32, person=what).digest()


def merkle_root(records):
    level = [_hash(b"fanout record", r) for r in records]
    while len(level) > 1:
        groups = [level[i:i + 16] for i in range(0, len(level), 16)]
        level = [_hash(b"fanout node", b"".join(g)) if len(g) > 1 else g[0] for g in groups]
    return level[0]


def record(**fields):
    """An event record: known names become numbers, in ascending order."""
    known = sorted((FIELDS[k], v) for k, v in fields.items() if k in FIELDS)
    return mp.pack(mp.Pairs(known + [(k, v) for k, v in fields.items() if k not in FIELDS]))


def frame(kind, header, body, key, version=VERSION):
    header = mp.pack(header)
    signed = b"FO" + struct.pack(">BBII", version, kind, len(header), len(body)) + header
    return signed + sign(key.secret, signed) + body


def batch(key, epoch, lane, first_seq, targets, records, region=None, key_id=None, prev_root=bytes(32), root=None, sealed_at_us=1):
    """targets: [[region, prev_seq], ...]. What is not given is what an honest broker would write."""
    header = [region or key.region, key.id if key_id is None else key_id, epoch, lane, first_seq, len(records), sealed_at_us,
              targets, prev_root, root or merkle_root(records)]
    return frame(BATCH, header, b"".join(struct.pack(">I", len(r)) + r for r in records), key)


def control(kind, key, target, session, sent_at_us, epochs=(0, 0, 0), cum=(0, 0, 0), exceptions=(), echo=(0, 0), settled=(0, 0, 0), reach=()):
    return frame(kind, [key.region, key.id, target, session, sent_at_us, list(epochs), list(cum), [list(e) for e in exceptions], *echo,
                        list(settled), *([list(reach)] if reach else [])], b"", key)


def relay(key, target, inner, sent_at_us, region=None):
    return frame(RELAY, [region or key.region, key.id, target, sent_at_us], inner, key)
