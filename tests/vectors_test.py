#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The golden vectors of frames, against the second implementation of the wire in integration/lib: same signature, same root."""
import json
import struct
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "proto/vectors"
sys.path.insert(0, str(HERE / "integration"))
from lib import frames, mp  # noqa: E402


def split(octets):
    """(signed part, header, signature, body) of a frame whose lengths are right."""
    header_bytes = struct.unpack(">I", octets[4:8])[0]
    end = 12 + header_bytes
    return octets[:end], mp.unpack(octets[12:end]), octets[end:end + 64], octets[end + 64:]


def records(body):
    found = []
    while body:
        n = struct.unpack(">I", body[:4])[0]
        found.append(body[4:4 + n])
        body = body[4 + n:]
    return found


class Frames(unittest.TestCase):
    def setUp(self):
        listed = [frames.Key.of_text(line) for line in json.loads((VECTORS / "keys.json").read_text())["secret"]]
        self.keys = {key.id: key for key in listed}
        self.vectors = [v for p in sorted((VECTORS / "valid").glob("frame-*.json")) if (v := json.loads(p.read_text()))["kind"] == "frame"]

    def test_there_are_some(self):
        self.assertGreater(len(self.vectors), 5)
        self.assertLessEqual({"batch", "ack", "hello", "heartbeat"}, {v["expect"]["frame"] for v in self.vectors})

    def test_signatures(self):
        for vector in self.vectors:
            with self.subTest(vector["name"]):
                signed, header, signature, _ = split(bytes.fromhex(vector["hex"]))
                self.assertEqual(frames.sign(self.keys[header[1]].secret, signed), signature)

    def test_merkle_roots(self):
        for vector in self.vectors:
            if vector["expect"]["frame"] == "batch":
                with self.subTest(vector["name"]):
                    _, header, _, body = split(bytes.fromhex(vector["hex"]))
                    self.assertEqual(frames.merkle_root(records(body)), header[9])

    def test_canonical_frames_are_written_alike(self):
        for vector in self.vectors:
            if vector["expect"]["canonical"]:
                with self.subTest(vector["name"]):
                    octets = bytes.fromhex(vector["hex"])
                    _, header, _, body = split(octets)
                    self.assertEqual(frames.frame(octets[3], header, body, self.keys[header[1]]), octets)


if __name__ == "__main__":
    unittest.main()
