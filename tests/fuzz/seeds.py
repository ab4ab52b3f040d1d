#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seed corpora from the golden vectors, the example configurations and the schemas: seeds.py DIRECTORY makes DIRECTORY/TARGET/*."""
import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
from lib import mp  # noqa: E402

LARGEST = 16384                                 # seeds beyond this only make a fuzzer slow


def vectors():
    for path in sorted((ROOT / "proto/vectors").glob("*valid/*.json")):
        vector = json.loads(path.read_text())
        for form in ("hex", "json", "text"):
            if form in vector:
                octets = bytes.fromhex(vector[form]) if form == "hex" else vector[form].encode("utf-8", "surrogatepass")
                yield vector, form, octets


def of_vectors():
    """(target, name, bytes)."""
    for vector, form, octets in vectors():
        kind, name = vector["kind"], vector["name"]
        if kind == "publish":
            yield "publish_json" if form == "json" else "publish_msgpack", name, octets
            for event in vector.get("expect", {}).get("events", []) or []:
                if "record" in event:
                    yield "record", name, bytes.fromhex(event["record"])
        elif kind == "record":
            yield "record", name, octets
        elif kind == "request":
            yield "request", name, octets
        elif kind == "frame":
            yield "frame", name, octets
            if len(octets) > 12:
                yield "state", "ack-" + name, ack_record(octets)
        elif kind.endswith("_key"):
            yield "key", name, octets


def ack_record(frame):
    return mp.pack(["us-west-2", 1767225600123456, [[0, 5, 1, 3, 1], [2, 5, 9, 9, 2]], [[0, 2, 1]], frame[:200], "eu-west-1"])


def checkpoint():
    lane = [9, 7, 4096, 5, 3]
    return mp.pack([1, [[5, 1, 1, 1], [6, 4, 2, 1]], [9, bytes(32), 4, bytes(32), 0, bytes(32)],
                    [["us-east-1", lane * 3], ["us-west-2", lane * 3]], 42, [[4096, 1, 1767225600123456], [70000, 40, 1767225600999999]]])


def segment():
    """Records as a journal has them, but for the checksums, which the target takes for right."""
    out, first = b"", 0x100000 + 4096
    for kind, body in ((1, checkpoint()), (2, b"b" * 33), (3, b"c" * 8), (4, ack_record(bytes(76))), (255, b"")):
        lsn = 0x100000 + 4096 + len(out)
        out += b"FOR1" + struct.pack(">IQQqIIIBBH", 0, lsn, first if kind < 4 else lsn, 1767225600123456, len(body), kind in (2, 3), 0, kind, 0, 0) + body
        out += bytes(-len(out) % 8)
    return out


def answers():
    good = {"success": True, "eventId": "a", "position": "us-east-1:18f:high:42", "duplicate": False,
            "deliveries": [{"region": "us-west-2", "success": True, "state": "delivered", "latencyMs": 0.84, "attempts": 1}], "totalLatencyMs": 1.2}
    bad = {"success": False, "error": {"code": "busy", "path": "data", "message": "m", "retryAfterMs": 100}}
    yield good
    yield bad
    yield {"success": False, "count": 2, "results": [good, bad]}
    yield {"success": False, "count": 2, "accepted": 1, "duplicates": 0, "errors": [{"index": 1, **bad}], "positions": ["r:1:high:1", "r:1:high:2"]}
    yield {"success": True, "events": [{"position": "us-east-1:18f:high:42", "event": {1: "a", 2: "custom"}}], "cursor": "c1.us-east-1.5.1000.0"}
    yield {**bad, "cursor": "c1.us-east-1.5.1000.0"}
    yield {"success": True, "region": "us-east-1", "version": "0.1.0"}


def by_hand():
    for i, text in enumerate(("c2.us-east-1.18f3c2a1b00.0.4.1000.0.2000.7.1000.0", "c2.a.0.0.0.0.0.0.0.0.0",
                              "c2.z-9.ffffffffffffffff.7fffffffffffffff.9" + 3 * ".ffffffffffffffff.ffffffff")):
        yield "cursor", f"{i}", text.encode()
    payloads = [b"", mp.pack({"order_id": 123, "status": "preparing", "items": [{"name": "x", "quantity": 1}]}), mp.pack([1, 2.5, None, "t"])]
    for path in sorted((ROOT / "proto/schemas").glob("*.json")):
        for i, payload in enumerate(payloads):
            yield "schema", f"{path.stem}-{i}", path.read_bytes() + b"\0" + payload
    schema = {"type": ["object", "null"], "enum": [1, "a", None], "properties": {"a": {"const": 3.5}, "b": {"items": {"minimum": -1}, "minItems": 1, "maxItems": 3}},
              "required": ["a"], "additionalProperties": {"minLength": 1, "maxLength": 2}, "exclusiveMinimum": 0, "exclusiveMaximum": 9}
    yield "schema", "all", json.dumps(schema).encode() + b"\0" + mp.pack({"a": 3.5, "b": [0], "c": "x"})
    for path in sorted((ROOT / "deploy").glob("*.yaml")):
        yield "config", path.stem, path.read_bytes()
    yield "config", "least", b"region: a\ndata_dir: d\nkeys: {secret_key: k, public_keys: p}\nlisten: {door: tcp://127.0.0.1:1, link: tcp://127.0.0.1:2}\n"
    yield "state", "checkpoint", checkpoint()
    yield "journal", "segment", segment()
    mark, digest = [5, 7], bytes(32)
    for i, flows in enumerate(([], [["us-west-2", lane, [9, 1, 0, 0, 0, 2], 0, mark, [0, 0], mark, digest] for lane in range(3)])):
        yield "audit", f"{i}", mp.pack(["fanout-audit", 2, "us-east-1", 77, 5, 1767225600123456, 0, 1767225600999999, "us-west-2" if i else "", "",
                                        [mark, [0, 0], mark], [[5, 9], [2**64 - 1, 2**64 - 1], mark], [5, 4096], 0, i, [[4096, 2, 0, 9]] * i,
                                        [[12, 0, mark, mark, 12, 1, mark, digest]] * 3, flows])
    for i, answer in enumerate(answers()):
        yield "answer", f"{i}", mp.pack(answer)
    for i in range(1, 13):                      # programs for the peer: each begins with another mixture of steps
        yield "peer", f"{i}", bytes((i * 37 * k + k * k) % 251 for k in range(300))


def main():
    out = Path(sys.argv[1])
    for target, name, octets in [*of_vectors(), *by_hand()]:
        if len(octets) <= LARGEST:
            (out / target).mkdir(parents=True, exist_ok=True)
            (out / target / name).write_bytes(octets)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).touch()


if __name__ == "__main__":
    main()
