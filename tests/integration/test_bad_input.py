# SPDX-License-Identifier: Apache-2.0
"""Bad input at the door: a clear error with code and path, in the encoding of the question, and nothing lost by it."""
import json
import unittest

from lib import mp, sp
from lib.cluster import ClusterTest, ask

GOOD = {"type": "order_status", "data": {"order_id": 123, "status": "preparing"}}


def with_fields(**fields):
    return {**GOOD, **fields}


def nested(levels):
    """A list in a list in a list ..."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value


# What any encoding can say: name, request, codes of which one is right, path.
CASES = [
    ("unknown type", with_fields(type="order_statsu"), {"unknown_type"}, "type"),
    ("no type", {"data": {}}, {"missing"}, "type"),
    ("type of the wrong kind", with_fields(type=7), {"wrong_type"}, "type"),
    ("payload: wrong kind", with_fields(data={"order_id": 123, "status": 5}), {"schema"}, "data.status"),
    ("payload: field missing", with_fields(data={"order_id": 123}), {"schema"}, "data.status"),
    ("payload: missing", {"type": "order_status"}, {"schema", "missing"}, "data"),
    ("priority unknown", with_fields(priority="urgent"), {"unknown_priority"}, "priority"),
    ("region unknown", with_fields(targets=["us-west-2", "mars-north-1"]), {"unknown_region"}, "targets[1]"),
    ("source region of another", with_fields(sourceRegion="eu-west-1"), {"unknown_region"}, "sourceregion"),
    ("id empty", with_fields(id=""), {"invalid_id"}, "id"),
    ("id too long", with_fields(id="x" * 129), {"invalid_id"}, "id"),
    ("id of the wrong kind", with_fields(id={"a": 1}), {"wrong_type", "invalid_id"}, "id"),
    ("tenant too long", with_fields(tenant="t" * 65), {"too_large", "invalid"}, "tenant"),
    ("time not a time", with_fields(time="yesterday"), {"parse", "invalid"}, "time"),
    ("event over the limit", with_fields(type="custom", data={"text": "x" * 270000}), {"too_large"}, None),
    ("wait neither word nor number", with_fields(wait="sometimes"), {"invalid", "wrong_type"}, "wait"),
    ("timeout negative", with_fields(timeoutMs=-1), {"invalid", "wrong_type"}, "timeoutMs"),
    ("unknown op", {"op": "destroy"}, {"invalid"}, "op"),
    ("fetch: cursor of nothing", {"op": "fetch", "cursor": "nonsense"}, {"invalid", "parse"}, "cursor"),
    ("nested too deeply", with_fields(type="custom", data=nested(17)), {"too_deep"}, None),
    ("not a map", 7, {"wrong_type", "parse"}, None),
]

JSON_CASES = [
    ("truncated", b'{"type":"order_status","data":{"order', {"parse", "truncated"}),
    ("not JSON", b'{type: order_status}', {"parse"}),
    ("trailing bytes", json.dumps(GOOD).encode() + b" x", {"trailing_bytes", "parse"}),
    ("second value", json.dumps(GOOD).encode() * 2, {"trailing_bytes", "parse"}),
    ("key twice", b'{"type":"order_status","type":"order_status","data":{}}', {"duplicate_key"}),
    ("key twice in the payload", b'{"type":"custom","data":{"a":1,"a":2}}', {"duplicate_key"}),
    ("bad UTF-8", b'{"type":"custom","data":{"a":"\xff\xfe"}}', {"bad_utf8"}),
    ("half a surrogate pair", b'{"type":"custom","data":{"a":"\\ud800"}}', {"bad_utf8", "parse"}),
    ("NUL in a key", b'{"type":"custom","data":{"\\u0000":1}}', {"parse", "invalid"}),
    ("number without bounds", b'{"type":"custom","data":' + b"9" * 400 + b"}", {"parse", "invalid"}),
    ("brackets without end", b"[" * 100000, {"too_deep", "parse"}),
]

MSGPACK_CASES = [
    ("truncated", mp.pack(GOOD)[:-3], {"truncated"}),
    ("trailing bytes", mp.pack(GOOD) + b"\xc0", {"trailing_bytes"}),
    ("key twice", mp.pack(mp.Pairs([("type", "custom"), ("type", "custom"), ("data", 1)])), {"duplicate_key"}),
    ("key twice in the payload", mp.pack({"type": "custom", "data": mp.Pairs([("a", 1), ("a", 2)])}), {"duplicate_key"}),
    ("bad UTF-8", mp.pack({"type": "custom", "data": {"a": mp.pack_str(b"\xff\xfe")}}), {"bad_utf8"}),
    ("map that claims more than it has", b"\xdf\xff\xff\xff\xff", {"truncated"}),
    ("array that claims more than it has", mp.pack({"type": "custom", "data": mp.Raw(b"\xdd\xff\xff\xff\xff")}), {"truncated"}),
    ("text that claims more than it has", mp.pack({"type": "custom", "data": mp.Raw(b"\xdb\xff\xff\xff\xff")}), {"truncated"}),
    ("events that claim more than they have", mp.pack({"events": mp.Raw(b"\xdd\xff\xff\xff\xff")}), {"truncated"}),
    ("the byte that means nothing", mp.pack({"type": "custom", "data": mp.Raw(b"\xc1")}), {"parse"}),
    ("nothing at all", b"", {"truncated", "parse"}),
    ("heads without end", mp.pack({"type": "custom", "data": mp.Raw(b"\x91" * 100000)}), {"too_deep"}),
]


class BadInput(ClusterTest):
    def refused(self, req, body, codes, path=None):
        answer = ask(req, body)
        self.assertIs(answer.get("success"), False, answer)
        error = answer["error"]
        self.assertIn(error["code"], codes, answer)
        self.assertGreater(len(error["message"]), 5, answer)
        if path is not None:
            self.assertEqual(error.get("path"), path, answer)

    def valid_goes_through(self, req, encode):
        answer = ask(req, encode({**GOOD, "wait": "all", "timeoutMs": 20000}))
        self.assertTrue(answer["success"], answer)
        return answer["eventId"]

    def test_each_case_in_both_encodings(self):
        encodings = {"json": lambda v: json.dumps(v).encode(), "msgpack": mp.pack}
        accepted = []
        for label, encode in encodings.items():
            with self.cluster.first.connect() as req:
                for name, request, codes, path in CASES:
                    if label == "json" and not isinstance(request, dict):
                        continue                # a bare number's first byte does not say JSON
                    with self.subTest(name, encoding=label):
                        self.refused(req, encode(request), codes, path)
                accepted.append(self.valid_goes_through(req, encode))
        for name, cases in (("json", JSON_CASES), ("msgpack", MSGPACK_CASES)):
            with self.cluster.first.connect() as req:
                for case, body, codes in cases:
                    with self.subTest(case, encoding=name):
                        self.refused(req, body, codes)
                        accepted.append(self.valid_goes_through(req, encodings[name]))
        for broker in self.cluster:
            seen = [e["id"] for _, e in broker.fetch_all()]
            self.assertEqual(sorted(seen), sorted(set(seen)))
            self.assertLessEqual(set(accepted), set(seen), "what was accepted between the bad ones has arrived")

    def test_in_an_array_only_the_bad_one_is_refused(self):
        for encode in (lambda v: json.dumps(v).encode(), mp.pack):
            with self.cluster.first.connect() as req:
                answer = ask(req, encode([GOOD, {**GOOD, "priority": "urgent"}, GOOD]))
            self.assertEqual(len(answer["results"]), 3, answer)
            self.assertEqual([r["success"] for r in answer["results"]], [True, False, True])
            self.assertEqual(answer["results"][1]["error"]["code"], "unknown_priority")
            self.assertIn("priority", answer["results"][1]["error"]["path"])

    def test_a_message_over_the_receive_limit_costs_only_its_connection(self):
        for url, protocol in ((self.cluster.first.door, sp.REQ), (self.cluster.first.link, sp.PUB)):
            with sp.Pipe(url, protocol) as pipe:
                pipe.send_raw((900 << 20).to_bytes(8, "big") + b"x" * 1000)     # claims 900 MB
                with self.assertRaises(sp.Closed):
                    pipe.receive(timeout=20)
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])

    def test_noise_instead_of_the_protocol(self):
        for url in (self.cluster.first.door, self.cluster.first.link, self.cluster.first.feed):
            for protocol in (sp.REP, 0x10):     # no peer of what listens there
                with self.subTest(url, protocol=protocol):
                    try:
                        with sp.Pipe(url, protocol) as pipe:
                            pipe.send(b"noise")
                            with self.assertRaises(sp.Closed):
                                pipe.receive(timeout=20)
                    except (sp.Closed, OSError):
                        pass
        self.assertTrue(self.cluster.first.publish(wait="all")["success"])


if __name__ == "__main__":
    unittest.main()
