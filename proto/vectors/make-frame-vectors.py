#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden vectors of frames and keys (proto/WIRE.md, "Frames between brokers" and "Keys").

It is written from WIRE.md alone and shares no code with the broker, so that each checks the other. The vectors are
committed; run this only to add to them. Needs the Python package `cryptography`.

Every vector: {"name", "kind", "hex" or "text", "expect"}. An invalid one expects {"error": NAME}, the first error that
splitting, reading the header and verifying (in this order) come to. keys.json holds the keys: the listed public ones are
known to the receiver; the secret ones exist for these vectors only.
"""
import base64
import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
EPOCH, SEALED_AT = 1767225600000, 1767225600123456


# msgpack, shortest form

def uint(v):
    if v < 0x80:
        return bytes([v])
    for head, form, bits in ((0xcc, ">B", 8), (0xcd, ">H", 16), (0xce, ">I", 32), (0xcf, ">Q", 64)):
        if v < 1 << bits:
            return bytes([head]) + struct.pack(form, v)
    raise ValueError(v)


def sized(n, fix, fix_max, heads):
    if n <= fix_max:
        return bytes([fix | n])
    for head, form, bits in heads:
        if n < 1 << bits:
            return bytes([head]) + struct.pack(form, n)
    raise ValueError(n)


class Raw(bytes):
    """msgpack that is put in as it stands."""


def pack(v):
    if isinstance(v, Raw):
        return bytes(v)
    if isinstance(v, int):
        return uint(v)
    if isinstance(v, str):
        b = v.encode()
        return sized(len(b), 0xa0, 31, ((0xd9, ">B", 8), (0xda, ">H", 16))) + b
    if isinstance(v, bytes):
        return sized(len(v), 0, -1, ((0xc4, ">B", 8), (0xc5, ">H", 16))) + v
    if isinstance(v, dict):
        return sized(len(v), 0x80, 15, ((0xde, ">H", 16),)) + b"".join(pack(k) + pack(x) for k, x in v.items())
    return sized(len(v), 0x90, 15, ((0xdc, ">H", 16),)) + b"".join(pack(x) for x in v)


# hashes and keys

def blake(data, person=b""):
    return hashlib.blake2b(data, digest_size=32, person=person).digest()


def pieces(records):
    """Of w records, w the largest power of 16 below their number; the last piece may have fewer."""
    w = 1
    while w * 16 < len(records):
        w *= 16
    return [records[i:i + w] for i in range(0, len(records), w)]


def merkle(records):
    if len(records) == 1:
        return blake(records[0], b"fanout record")
    return blake(b"".join(merkle(p) for p in pieces(records)), b"fanout node")


def path(m, records):
    if len(records) == 1:
        return []
    split = pieces(records)
    own, within = divmod(m, len(split[0]))
    return path(within, split[own]) + [merkle(p) for i, p in enumerate(split) if i != own]


class Key:
    def __init__(self, region, salt=""):
        self.region = region
        self.seed = blake(b"fanout test key " + (region + salt).encode())
        self.private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = int.from_bytes(blake(self.public)[:8], "big")

    def sign(self, data):
        return self.private.sign(data)

    def line(self, word, key, region=None, key_id=None):
        return "fanout-%s-key v1 %s %s %s\n" % (word, region or self.region, key_id or "%016x" % self.id,
                                               base64.b64encode(key).decode())

    def public_line(self, **kw):
        return self.line("public", self.public, **kw)

    def secret_line(self, **kw):
        return self.line("secret", self.seed + self.public, **kw)


EAST, WEST, EU = Key("us-east-1"), Key("us-west-2"), Key("eu-west-1")
STRANGER = Key("us-east-1", " of a stranger")


# frames

def frame(kind, header, body, key, version=3, magic=b"FO", header_bytes=None, body_bytes=None, sign=True):
    head = magic + struct.pack(">BBII", version, kind, len(header) if header_bytes is None else header_bytes,
                               len(body) if body_bytes is None else body_bytes) + header
    return head + (key.sign(head) if sign else bytes(64)) + body


def body_of(records):
    return b"".join(struct.pack(">I", len(r)) + r for r in records)


def record(i, text=""):
    return pack({1: "event-%d" % i, 2: "order_status", 3: SEALED_AT - 100 + i, 4: "us-east-1",
                 17: {"orderId": "o-%d" % i, "status": "ready" + text}})


def small_record(i):
    return pack({1: "%x" % i, 2: "custom", 3: SEALED_AT, 4: "us-east-1"})


TARGETS = [("us-west-2", 41), ("eu-west-1", 0)]


def batch_fields(records, **kw):
    f = dict(region="us-east-1", key_id=EAST.id, epoch=EPOCH, lane=0, first_seq=42, count=len(records), sealed_at_us=SEALED_AT,
             targets=TARGETS, prev_root=bytes(32), root=merkle(records) if records else bytes(32))
    f.update(kw)
    return f


def batch_header(f, more=()):
    return pack([f["region"], f["key_id"], f["epoch"], f["lane"], f["first_seq"], f["count"], f["sealed_at_us"],
                 [list(t) for t in f["targets"]], f["prev_root"], f["root"], *more])


def batch(records, key=EAST, body=None, more=(), **kw):
    return frame(1, batch_header(batch_fields(records, **kw), more), body_of(records) if body is None else body, key)


def control_fields(**kw):
    f = dict(region="us-west-2", key_id=WEST.id, target="us-east-1", session=0x1122334455667788, sent_at_us=SEALED_AT + 900,
             epoch_acked=[EPOCH, EPOCH, 0], cum_seq=[44, 7, 0], exceptions=[], echo_at_us=SEALED_AT, echo_delay_us=250,
             settled_seq=[3, 0, 0])
    f.update(kw)
    return f


def control_header(f, more=()):
    return pack([f["region"], f["key_id"], f["target"], f["session"], f["sent_at_us"], f["epoch_acked"], f["cum_seq"],
                 [list(e) for e in f["exceptions"]], f["echo_at_us"], f["echo_delay_us"], f["settled_seq"],
                 *([f["reach"]] if f.get("reach") else []), *more])


def control(kind=2, key=WEST, more=(), body=b"", **kw):
    return frame(kind, control_header(control_fields(**kw), more), body, key)


def relay(inner, key=WEST, region="us-west-2", target="us-east-1", sent_at_us=SEALED_AT + 901):
    return frame(5, pack([region, key.id, target, sent_at_us]), inner, key)


def shown(f):
    def one(k, v):
        if k == "key_id":
            return "%016x" % v
        if isinstance(v, bytes):
            return v.hex()
        return [list(x) if isinstance(x, tuple) else x for x in v] if isinstance(v, list) else v
    return {k: one(k, v) for k, v in f.items()}


def save(folder, name, kind, content, expect):
    out = {"name": name, "kind": kind}
    out["text" if isinstance(content, str) else "hex"] = content if isinstance(content, str) else content.hex()
    out["expect"] = expect
    (HERE / folder / (name + ".json")).write_text(json.dumps(out, indent=1) + "\n")


def valid_batch(name, records, frame_bytes=None, canonical=True, show_records=True, awaited=False, **kw):
    expect = {"frame": "batch", "canonical": canonical, **shown(batch_fields(records, **kw))}
    if awaited:
        expect["awaited"] = True
    if show_records:
        expect["records"] = [r.hex() for r in records]
    save("valid", "frame-" + name, "frame", frame_bytes or batch(records, **kw), expect)


def valid_control(name, kind, frame_bytes=None, canonical=True, **kw):
    word = {2: "ack", 3: "hello", 4: "heartbeat"}[kind]
    save("valid", "frame-" + name, "frame", frame_bytes or control(kind, **kw),
         {"frame": word, "canonical": canonical, **shown(control_fields(**kw))})


def invalid(name, frame_bytes, error):
    save("invalid", "frame-" + name, "frame", frame_bytes, {"error": error})


def flip(data, at, bit=0):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


def write_valid():
    three = [record(i) for i in range(3)]
    valid_batch("batch-1", three[:1])
    valid_batch("batch-3", three)
    valid_batch("batch-1024", [small_record(i) for i in range(1024)], lane=2, first_seq=1 << 40, show_records=False,
                targets=[("us-west-2", (1 << 40) - 1), ("eu-west-1", 12)], prev_root=merkle(three))
    valid_batch("batch-64-targets", three[:1], lane=1, targets=[("region-%02d" % i, i % 42) for i in range(64)])
    valid_batch("batch-previous-epoch", three, targets=[("us-west-2", 41, EPOCH - 1), ("eu-west-1", 0), ("ap-south-1", 7, 1)])
    valid_batch("batch-largest-numbers", three, epoch=(1 << 63) - 1, first_seq=(1 << 63) - 4, sealed_at_us=(1 << 63) - 1,
                targets=[("a" * 32, (1 << 63) - 5)])
    valid_batch("batch-header-grown", three, batch(three, more=(0, "later", {"k": [1, 2]})), canonical=False)
    valid_batch("batch-awaited", three, batch(three, more=(1,)), awaited=True)
    f = batch_fields(three)
    f.update(lane=Raw(b"\xcf" + bytes(8)), count=Raw(b"\xce\0\0\0\x03"), region=Raw(b"\xda\0\x09us-east-1"))
    valid_batch("batch-long-forms", three, frame(1, batch_header(f), body_of(three), EAST), canonical=False)
    valid_control("ack", 2)
    valid_control("ack-exceptions", 2, exceptions=[(0, 42, 1), (0, 44, 3), (1, 7, 2)])
    valid_control("ack-1024-exceptions", 2, cum_seq=[1 << 62, 7, 0], exceptions=[(0, (1 << 62) - 1024 + i, 1 + i % 3) for i in range(1024)])
    valid_control("ack-header-grown", 2, control(2, reach=["eu-west-1"], more=(7, None_)), canonical=False, reach=["eu-west-1"])
    valid_control("ack-reach", 2, reach=["ap-southeast-1", "eu-west-1"])
    valid_control("ack-settled-epochs", 2, settled_seq=[3, 0, 9, EPOCH, 0, EPOCH - 1], reach=["eu-west-1"])
    valid_control("heartbeat-reach-16", 4, reach=["region-%02d" % i for i in range(16)])
    inner = control(2)
    save("valid", "frame-relay", "frame", relay(inner), {"frame": "relay", "canonical": True, "region": "us-west-2", "key_id": "%016x" % WEST.id,
         "target": "us-east-1", "sent_at_us": SEALED_AT + 901, "inner": inner.hex()})
    valid_control("hello", 3, epoch_acked=[0, 0, 0], cum_seq=[0, 0, 0], settled_seq=[0, 0, 0], echo_at_us=0, echo_delay_us=0)
    valid_control("heartbeat", 4)


None_ = Raw(b"\xc0")


def write_invalid_outside(three, good):
    header_end = 12 + struct.unpack(">I", good[4:8])[0]
    header = batch_header(batch_fields(three))
    body = body_of(three)
    for cut, where in ((0, "empty"), (1, "magic"), (2, "version"), (3, "kind"), (4, "header-length"), (8, "body-length"),
                       (12, "header"), (header_end - 1, "header-end"), (header_end, "signature"), (header_end + 63, "signature-end"),
                       (header_end + 64, "body"), (len(good) - 1, "body-end")):
        invalid("truncated-at-" + where, good[:cut], "truncated")
    invalid("trailing-byte", good + b"\0", "trailing_bytes")
    invalid("magic", b"fo" + good[2:], "protocol")
    invalid("version-0", frame(1, header, body, EAST, version=0), "version")
    invalid("version-1", frame(1, header, body, EAST, version=1), "version")
    invalid("version-2", frame(1, header, body, EAST, version=2), "version")
    invalid("version-4", frame(1, header, body, EAST, version=4), "version")
    invalid("kind-0", frame(0, header, body, EAST), "protocol")
    invalid("kind-9", frame(9, header, body, EAST), "protocol")
    invalid("kind-of-control", frame(2, header, b"", EAST), "protocol")
    invalid("kind-of-batch", frame(1, control_header(control_fields()), b"", WEST), "protocol")
    invalid("header-too-long", frame(1, header + bytes(16385 - len(header)), body, EAST), "too_large")
    invalid("header-length-claims-4-gib", frame(1, header, body, EAST, header_bytes=0xffffffff), "too_large")
    invalid("body-too-long", frame(1, header, body, EAST, body_bytes=(64 << 20) + 1), "too_large")
    invalid("header-empty", frame(1, b"", body, EAST), "protocol")
    invalid("header-not-array", frame(1, pack({1: 2}), body, EAST), "protocol")
    invalid("header-array-claims-more", frame(1, b"\x9b" + header[1:], body, EAST), "protocol")
    invalid("header-array-short", frame(1, b"\x99" + header[1:], body, EAST), "protocol")
    invalid("header-trailing-byte", frame(1, header + b"\xc0", body, EAST), "protocol")
    return header_end


def write_invalid_signed(three, good, header_end):
    unsigned = frame(1, batch_header(batch_fields(three)), body_of(three), EAST, sign=False)
    other = batch(three, epoch=EPOCH + 1)
    invalid("signature-zero", unsigned, "bad_signature")
    invalid("signature-of-another-frame", good[:header_end] + other[header_end:header_end + 64] + good[header_end + 64:], "bad_signature")
    invalid("flipped-bit-in-body-length", flip(good, 11), "truncated")
    invalid("flipped-bit-in-epoch", flip(good, good.index(pack(EPOCH)) + 8), "bad_signature")
    invalid("flipped-bit-in-root", flip(good, header_end - 1), "bad_signature")
    invalid("flipped-bit-in-signature", flip(good, header_end + 5, 3), "bad_signature")
    invalid("flipped-bit-in-record", flip(good, len(good) - 1), "bad_signature")
    invalid("flipped-bit-in-record-length", flip(good, header_end + 64 + 3), "protocol")
    invalid("unknown-key", batch(three, key=STRANGER, key_id=STRANGER.id), "unknown_key")
    invalid("another-regions-key", batch(three, key=WEST, key_id=WEST.id), "wrong_key")
    invalid("signed-by-another-region", batch(three, key=WEST), "bad_signature")
    invalid("records-swapped", batch(three, body=body_of([three[1], three[0], three[2]])), "bad_signature")
    invalid("records-split-elsewhere", batch(three, body=body_of([three[0] + three[1][:1], three[1][1:], three[2]])), "bad_signature")


def write_invalid_batches(three):
    invalid("count-above-body", batch(three, count=4), "protocol")
    invalid("count-below-body", batch(three, count=2), "protocol")
    invalid("count-0", batch([], body=b""), "protocol")
    invalid("count-1025", batch([small_record(i) for i in range(1025)]), "protocol")
    invalid("record-empty", batch([three[0], b"", three[2]]), "protocol")
    invalid("record-length-beyond-body", batch(three, body=body_of(three[:2]) + struct.pack(">I", 1000) + three[2]), "protocol")
    invalid("record-length-cut", batch(three, body=body_of(three[:2]) + b"\0\0"), "protocol")
    invalid("lane-3", batch(three, lane=3), "protocol")
    invalid("lane-7", batch(three, lane=7), "protocol")
    invalid("lane-2-to-the-32", batch(three, lane=1 << 32), "protocol")
    invalid("epoch-0", batch(three, epoch=0), "protocol")
    invalid("epoch-text", batch(three, epoch="1"), "protocol")
    invalid("epoch-negative", batch(three, epoch=Raw(b"\xff")), "protocol")
    invalid("epoch-float", batch(three, epoch=Raw(b"\xcb" + struct.pack(">d", 1.0))), "protocol")
    invalid("first-seq-0", batch(three, first_seq=0, targets=[("us-west-2", 0)]), "protocol")
    invalid("sequence-overflow", batch(three, first_seq=(1 << 64) - 3), "protocol")
    invalid("sealed-at-0", batch(three, sealed_at_us=0), "protocol")
    invalid("sealed-at-2-to-the-63", batch(three, sealed_at_us=1 << 63), "protocol")
    invalid("target-none", batch(three, targets=[]), "protocol")
    invalid("target-twice", batch(three, targets=[("us-west-2", 41), ("eu-west-1", 0), ("us-west-2", 41)]), "protocol")
    invalid("targets-65", batch(three, targets=[("region-%02d" % i, 0) for i in range(65)]), "protocol")
    invalid("target-without-prev-seq", batch(three, targets=[("us-west-2",)]), "protocol")
    invalid("prev-seq-equal-first-seq", batch(three, targets=[("us-west-2", 42)]), "protocol")
    invalid("prev-epoch-equal-epoch", batch(three, targets=[("us-west-2", 41, EPOCH)]), "protocol")
    invalid("prev-epoch-0", batch(three, targets=[("us-west-2", 41, 0)]), "protocol")
    invalid("prev-epoch-without-prev-seq", batch(three, targets=[("us-west-2", 0, EPOCH - 1)]), "protocol")
    invalid("target-of-four", batch(three, targets=[("us-west-2", 41, EPOCH - 1, 0)]), "protocol")
    invalid("prev-seq-above-first-seq", batch(three, targets=[("us-west-2", 43)]), "protocol")
    for name, region in (("empty", ""), ("upper-case", "US-WEST-2"), ("too-long", "a" * 33), ("nul", "us\0west"), ("utf8", "zürich"),
                         ("hyphen-first", "-us-west-2"), ("hyphen-last", "us-west-2-")):
        invalid("region-" + name, batch(three, region=region), "protocol")
        invalid("target-" + name, batch(three, targets=[(region, 0)]), "protocol")
    invalid("root-31-bytes", batch(three, root=merkle(three)[:31]), "protocol")
    invalid("prev-root-33-bytes", batch(three, prev_root=bytes(33)), "protocol")
    invalid("root-as-text", batch(three, root=Raw(pack("r" * 32))), "protocol")


def write_invalid_controls():
    good = control()
    invalid("control-with-body", control(body=b"x"), "protocol")
    invalid("control-flipped-bit", flip(good, good.index(pack(SEALED_AT + 900)) + 8), "bad_signature")
    invalid("control-kind-changed", flip(good, 3, 0), "bad_signature")
    invalid("control-unknown-key", control(region="us-east-1", target="us-west-2", key=STRANGER, key_id=STRANGER.id), "unknown_key")
    invalid("control-another-regions-key", control(key=EU, key_id=EU.id), "wrong_key")
    invalid("control-to-itself", control(target="us-west-2"), "protocol")
    invalid("control-target-empty", control(target=""), "protocol")
    invalid("control-sent-at-0", control(sent_at_us=0), "protocol")
    invalid("control-two-lanes", control(cum_seq=[1, 2]), "protocol")
    invalid("control-settled-five", control(settled_seq=[3, 0, 0, EPOCH, 0]), "protocol")
    invalid("control-settled-seven", control(settled_seq=[3, 0, 0, EPOCH, 0, 0, 0]), "protocol")
    invalid("control-four-lanes", control(cum_seq=[1, 2, 0, 0]), "protocol")
    invalid("control-cum-without-epoch", control(epoch_acked=[EPOCH, 0, 0]), "protocol")
    invalid("control-exception-lane-3", control(exceptions=[(3, 5, 1)]), "protocol")
    invalid("control-exception-seq-0", control(exceptions=[(0, 0, 1)]), "protocol")
    invalid("control-exception-verdict-0", control(exceptions=[(0, 5, 0)]), "protocol")
    invalid("control-exception-verdict-4", control(exceptions=[(0, 5, 4)]), "protocol")
    invalid("control-exception-twice", control(exceptions=[(0, 5, 1), (0, 5, 1)]), "protocol")
    invalid("control-exception-descending", control(exceptions=[(0, 6, 1), (1, 2, 1), (0, 5, 1)]), "protocol")
    invalid("control-exceptions-1025", control(exceptions=[(0, 1 + i, 1) for i in range(1025)]), "protocol")
    invalid("control-echo-delay-without-echo", control(echo_at_us=0, echo_delay_us=1), "protocol")
    invalid("control-header-short", frame(2, b"\x9a" + control_header(control_fields())[1:], b"", WEST), "protocol")


def write_invalid():
    inner = control(2)
    invalid("control-reach-17", control(reach=["region-%02d" % i for i in range(17)]), "protocol")
    invalid("control-reach-not-array", control(more=(7,)), "protocol")
    invalid("control-reach-upper-case", control(reach=["EU"]), "protocol")
    invalid("relay-empty", relay(b""), "protocol")
    invalid("relay-to-itself", relay(inner, target="us-west-2"), "protocol")
    invalid("relay-sent-at-0", relay(inner, sent_at_us=0), "protocol")
    invalid("relay-another-regions-key", relay(inner, region="eu-west-1"), "wrong_key")
    invalid("relay-flipped-bit", flip(relay(inner), 50), "bad_signature")
    three = [record(i) for i in range(3)]
    good = batch(three)
    header_end = write_invalid_outside(three, good)
    write_invalid_signed(three, good, header_end)
    write_invalid_batches(three)
    write_invalid_controls()


def key_vector(folder, name, kind, text, expect):
    save(folder, "key-" + name, kind, text, expect)


def write_keys():
    fields = {"region": EAST.region, "key_id": "%016x" % EAST.id, "key": EAST.public.hex()}
    key_vector("valid", "public", "public_key", EAST.public_line(), fields)
    key_vector("valid", "public-without-newline", "public_key", EAST.public_line()[:-1], fields)
    key_vector("valid", "secret", "secret_key", EAST.secret_line(), fields)
    bad = lambda name, text, error, kind="public_key": key_vector("invalid", name, kind, text, {"error": error})
    bad("empty", "", "parse")
    bad("newline-only", "\n", "parse")
    bad("other-word", EAST.public_line().replace("fanout", "fanin"), "parse")
    bad("version-2", EAST.public_line().replace(" v1 ", " v2 "), "version")
    bad("without-version", EAST.public_line().replace(" v1 ", " "), "version")
    bad("two-spaces", EAST.public_line().replace(" v1 ", "  v1 "), "version")
    bad("region-upper-case", EAST.public_line(region="US-EAST-1"), "unknown_region")
    bad("region-hyphen-last", EAST.public_line(region="us-east-"), "unknown_region")
    bad("region-too-long", EAST.public_line(region="a" * 33), "unknown_region")
    bad("id-of-another-key", EAST.public_line(key_id="%016x" % WEST.id), "corrupt")
    bad("id-upper-case", EAST.public_line(key_id="%016X" % EAST.id), "corrupt")
    bad("id-short", EAST.public_line(key_id=("%016x" % EAST.id)[:15]), "corrupt")
    bad("31-bytes", EAST.line("public", EAST.public[:31]), "parse")
    bad("33-bytes", EAST.line("public", EAST.public + b"\0"), "parse")
    bad("not-base64", EAST.public_line().replace("=", "*"), "parse")
    bad("not-ascii", EAST.public_line()[:50] + "\u00d7" + EAST.public_line()[52:], "parse")
    bad("trailing-word", EAST.public_line()[:-1] + " comment\n", "parse")
    bad("two-lines", EAST.public_line() + WEST.public_line(), "parse")
    bad("carriage-return", EAST.public_line()[:-1] + "\r\n", "parse")
    nowhere = Key("us-east-1")
    nowhere.public = b"\x02" + bytes(31)
    nowhere.id = int.from_bytes(blake(nowhere.public)[:8], "big")
    bad("not-a-point", nowhere.public_line(), "invalid")
    bad("secret-as-public", EAST.secret_line(), "parse")
    bad("public-as-secret", EAST.public_line(), "parse", "secret_key")
    bad("secret-halves-differ", EAST.line("secret", EAST.seed + WEST.public), "corrupt", "secret_key")
    bad("secret-63-bytes", EAST.line("secret", (EAST.seed + EAST.public)[:63]), "parse", "secret_key")
    bad("secret-id-of-another-key", EAST.secret_line(key_id="%016x" % WEST.id), "corrupt", "secret_key")
    known = [EAST, WEST, EU]
    (HERE / "keys.json").write_text(json.dumps({"note": "for these vectors only, never for a region", "known": [k.public_line() for k in known],
                                               "secret": [k.secret_line() for k in known]}, indent=1) + "\n")


def write_merkle():
    cases = []
    for count in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 100, 255, 256, 257, 258, 272, 273, 1023, 1024):
        records = [b"record %d" % i for i in range(count)]
        picks = range(count) if count < 10 else (0, 1, count // 2, count - 2, count - 1)
        cases.append({"count": count, "root": merkle(records).hex(),
                      "paths": [{"index": i, "path": [h.hex() for h in path(i, records)]} for i in picks]})
    (HERE / "valid" / "frame-merkle.json").write_text(json.dumps(
        {"name": "frame-merkle", "kind": "merkle", "records": "record i is the text \"record \" and i in decimal", "expect": cases},
        indent=1) + "\n")


if __name__ == "__main__":
    for folder in ("valid", "invalid"):
        for old in [*(HERE / folder).glob("frame-*.json"), *(HERE / folder).glob("key-*.json")]:
            old.unlink()
    write_valid()
    write_invalid()
    write_keys()
    write_merkle()
