#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden vectors of publish requests, event records and other requests, from proto/WIRE.md.

It is a second, plain reading of that page, which shares no code with the broker, so that each checks the other. The vectors
are committed; run this only to add to them. README.md says what stands in a vector.
"""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
OWN, REGIONS = "us-east-1", ["us-east-1", "us-west-2", "eu-west-1"]
ACCEPTED, MADE_ID = 1767225600123456, "00000000-0000-7000-8000-000000000000"
NUMBERS = {name: i + 1 for i, name in enumerate(
    "id type acceptedtime sourceregion tenant partitionkey priority source subject time expirytime schemaversion "
    "mincompatible traceparent datacontenttype dataschema data targets".split())}
LANES = {"high": 0, "normal": 1, "low": 2}
DEFAULT_LANES = {"order_status": "high", "store_status": "high", "order_created": "normal", "menu_updated": "normal", "custom": "normal"}


# msgpack

class Raw(bytes):
    """Bytes that are msgpack already."""


class Pairs(list):
    """A map as [(key, value), ...], so that a key can stand twice."""


def head(n, fix, fix_max, forms):
    if fix is not None and n <= fix_max:
        return bytes([fix | n])
    for code, form, bits in forms:
        if n < 1 << bits:
            return bytes([code]) + struct.pack(form, n)
    raise ValueError(n)


STR = ((0xd9, ">B", 8), (0xda, ">H", 16), (0xdb, ">I", 32))
BIN = ((0xc4, ">B", 8), (0xc5, ">H", 16), (0xc6, ">I", 32))
ARRAY, MAP = ((0xdc, ">H", 16), (0xdd, ">I", 32)), ((0xde, ">H", 16), (0xdf, ">I", 32))
UINT = ((0xcc, ">B", 8), (0xcd, ">H", 16), (0xce, ">I", 32), (0xcf, ">Q", 64))
INT = ((0xd0, ">b", 7), (0xd1, ">h", 15), (0xd2, ">i", 31), (0xd3, ">q", 63))


def pack(v):
    if isinstance(v, Raw):
        return bytes(v)
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int) and v >= 0:
        return head(v, 0, 0x7f, UINT)
    if isinstance(v, int):
        if v >= -32:
            return struct.pack(">b", v)
        return next(bytes([c]) + struct.pack(f, v) for c, f, bits in INT if v >= -(1 << bits))
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        b = v.encode()
        return head(len(b), 0xa0, 31, STR) + b
    if isinstance(v, bytes):
        return head(len(v), None, 0, BIN) + v
    if isinstance(v, Pairs):
        return head(len(v), 0x80, 15, MAP) + b"".join(pack(k) + pack(x) for k, x in v)
    if isinstance(v, dict):
        return pack(Pairs(v.items()))
    return head(len(v), 0x90, 15, ARRAY) + b"".join(pack(x) for x in v)


# The record that one event becomes. `unknown`: pairs; `data` absent when not given.

def record_of(type, unknown=(), priority=None, **given):
    fields = dict(given, id=given.get("id", MADE_ID), type=type, acceptedtime=ACCEPTED, sourceregion=OWN)
    fields["priority"] = LANES[priority or DEFAULT_LANES[type]]
    defaults = {"tenant": "default", "schemaversion": 1, "mincompatible": 1, "datacontenttype": "application/json"}
    first = ["id", "type", "acceptedtime", "sourceregion"]
    rest = sorted((n for n in fields if n not in first and not (n in defaults and fields[n] == defaults[n])), key=NUMBERS.get)
    return pack(Pairs([(NUMBERS[n], fields[n]) for n in first + rest] + list(unknown)))


def write(folder, name, kind, body, expect):
    vector = {"name": name, "kind": kind}
    if isinstance(body, str):
        vector["json"] = body
    else:
        vector["hex"] = (bytes(body) if isinstance(body, Raw) else pack(body)).hex()
    vector["expect"] = expect
    path = HERE / folder / (name + ".json")
    path.write_text(json.dumps(vector, indent=1, ensure_ascii=True) + "\n")


def publish(name, body, *events, cloudevents=None, targets=None, **request):
    """events: keyword dicts for record_of; targets: one list (or None for all) per event, or one for all of them."""
    expect = {"wait": "accepted", "timeoutMs": 5000, "many": False, "brief": False}
    expect.update(request)
    expect["events"] = [{"record": record_of(**e).hex(), "targets": targets} for e in events]
    if cloudevents:
        for e, c in zip(expect["events"], cloudevents):
            e["cloudevent"] = c
    write("valid", "publish-" + name, "publish", body, expect)


def refuse(name, body, error, path="", index=None, kind="publish"):
    expect = {"error": error, "path": path}
    if index is not None:
        expect["index"] = index
    write("invalid", kind + "-" + name, kind, body, expect)


def cloudevent(data=None, **more):
    event = {"specversion": "1.0", "id": MADE_ID, "source": "/regions/us-east-1", "type": "order_status", "time": "2026-01-01T00:00:00.123456Z",
             "tenant": "default", "priority": "high", "sourceregion": OWN, "acceptedtime": "2026-01-01T00:00:00.123456Z",
             "schemaversion": 1, "mincompatible": 1, "datacontenttype": "application/json"}
    event.update(more)
    if data is not None:
        event["data"] = data
    return event


STATUS = {"order_id": 123, "status": "preparing", "previous_status": "pending"}
ORDER = {"type": "order_status", "data": STATUS}
CUSTOM = {"type": "custom"}


def nest(depth, inside=None):
    v = inside
    for _ in range(depth):
        v = [v]
    return v


def text(v):
    return json.dumps(v, separators=(",", ":"))


def valid_publish():
    seeds = {"type": "order_status", "payload": STATUS, "sourceRegion": OWN, "priority": "high"}
    publish("seeds-json", text(seeds), dict(type="order_status", data=STATUS), cloudevents=[cloudevent(STATUS)])
    publish("seeds-msgpack", seeds, dict(type="order_status", data=STATUS), cloudevents=[cloudevent(STATUS)])
    publish("only-type", CUSTOM, dict(type="custom"), cloudevents=[cloudevent(type="custom", priority="normal")])
    every = dict(id="evt-1", type="order_status", tenant="acme", partitionkey="order 1/2%", source="/orders", subject="orders/1",
                 traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", datacontenttype="application/json; charset=utf-8",
                 dataschema="https://example.com/order.json", schemaversion=3, mincompatible=2, data=STATUS)
    given = dict(every, specversion="1.0", sourceregion=OWN, priority="low", time="2026-01-31T23:59:59.5+01:00",
                 expirytime="2030-01-01T00:00:00Z", targets=["eu-west-1", "us-west-2"], payloadversion="x")
    full = dict(every, priority="low", time=1769900399500000, expirytime=1893456000000000, unknown=[("payloadversion", "x")])
    shown = cloudevent(**{k: v for k, v in every.items()}, priority="low", time="2026-01-31T22:59:59.500000Z",
                       expirytime="2030-01-01T00:00:00.000000Z", payloadversion="x")
    publish("every-field-json", text(given), full, cloudevents=[shown], targets=["us-west-2", "eu-west-1"])
    publish("every-field-msgpack", given, full, cloudevents=[shown], targets=["us-west-2", "eu-west-1"])
    numbered = Pairs((NUMBERS.get(k, k), v) for k, v in given.items())
    publish("every-field-by-number", numbered, full, cloudevents=[shown], targets=["us-west-2", "eu-west-1"])
    publish("event-id-as-the-seeds-spell-it", dict(ORDER, eventId="e-7"), dict(type="order_status", id="e-7", data=STATUS))
    publish("fields-in-any-order", Pairs([("data", STATUS), ("id", "x"), ("type", "order_status")]), dict(type="order_status", id="x", data=STATUS))
    publish("time-in-microseconds", dict(CUSTOM, time=1, expirytime=253402300799999999), dict(type="custom", time=1, expirytime=253402300799999999))
    publish("time-cut-to-microseconds", dict(CUSTOM, time="2026-01-01T00:00:00.123456789Z"), dict(type="custom", time=1767225600123456))
    publish("time-leap-day", dict(CUSTOM, time="2028-02-29T12:00:00-05:30"), dict(type="custom", time=1835458200000000))
    odd = [("zone", {"a": [1, None, {"b": -1.5}]}), (99, [1, 2]), ("x" * 64, True)]
    publish("unknown-fields", Pairs([("type", "custom")] + odd), dict(type="custom", unknown=odd))
    many = [("f%d" % i, i) for i in range(16)]
    publish("16-unknown-fields", Pairs([("type", "custom")] + many), dict(type="custom", unknown=many))
    publish("null-is-absent", dict(CUSTOM, id=None, tenant=None, priority=None, time=None, targets=None, subject=None), dict(type="custom"))
    publish("data-null", dict(CUSTOM, data=None), dict(type="custom", data=None))
    for name, data in (("text", "état"), ("true", True), ("float", 0.1), ("negative", -(1 << 63)), ("largest-integer", (1 << 63) - 1), ("bin", b"\0\xff"),
                       ("ext", Raw(b"\xd4\x05\x2a")), ("float32", Raw(b"\xca\x3f\xc0\x00\x00")), ("empty-map", {}), ("empty-array", []),
                       ("16-deep", nest(16)), ("17-keys", {"k%d" % i: i for i in range(17)}), ("300-keys", {"k%d" % i: None for i in range(300)}),
                       ("empty-key", {"": 1}), ("300-bytes", "x" * 300)):
        publish("data-" + name, dict(CUSTOM, data=data), dict(type="custom", data=data))
    publish("data-shown-in-json", dict(CUSTOM, data=[b"\0\xff", Raw(b"\xd4\xfb\x2a"), 1.0, "\x01\"\\\n"]),
            dict(type="custom", data=[b"\0\xff", Raw(b"\xd4\xfb\x2a"), 1.0, "\x01\"\\\n"]),
            cloudevents=[cloudevent([{"$base64": "AP8="}, {"$ext": -5, "$base64": "Kg=="}, 1.0, "\x01\"\\\n"], type="custom", priority="normal")])
    wide = Raw(b"\xdf\0\0\0\2" + b"\xdb\0\0\0\4type" + b"\xda\0\x06custom" + b"\xd9\4data" + b"\xdd\0\0\0\1\xd3" + bytes(7) + b"\1")
    publish("long-forms-are-kept-in-data", wide, dict(type="custom", data=Raw(b"\xdd\0\0\0\1\xd3" + bytes(7) + b"\1")))
    publish("json-escapes", '{"type":"custom","id":"\\u00e9\\ud83d\\ude00","data":"\\u0001\\n\\"\\\\\\/"}', dict(type="custom", id="é\U0001f600", data="\1\n\"\\/"))
    publish("json-white-space", " \r\n\t{ \"type\" : \"custom\" , \"data\" : [ 1 , -2 , 1.5e3 ] } \n", dict(type="custom", data=[1, -2, 1500.0]))
    publish("id-128-bytes", dict(CUSTOM, id="é" * 64), dict(type="custom", id="é" * 64))
    publish("texts-of-256-bytes", dict(CUSTOM, source="s" * 256, subject="t" * 256), dict(type="custom", source="s" * 256, subject="t" * 256))
    publish("partitionkey-128-bytes", dict(CUSTOM, partitionkey="k" * 128), dict(type="custom", partitionkey="k" * 128))
    publish("tenant-64-bytes", dict(CUSTOM, tenant="~" * 64), dict(type="custom", tenant="~" * 64))
    publish("default-left-out", dict(CUSTOM, tenant="default", schemaversion=1, mincompatible=1, datacontenttype="application/json"), dict(type="custom"))
    publish("target-own-region", dict(CUSTOM, targets=[OWN]), dict(type="custom"), targets=[OWN])
    publish("target-twice-is-once", dict(CUSTOM, targets=["eu-west-1", "eu-west-1"]), dict(type="custom"), targets=["eu-west-1"])
    for priority in LANES:
        publish("priority-" + priority, dict(ORDER, priority=priority), dict(type="order_status", data=STATUS, priority=priority))
    examples = {"order_created": {"order_id": "A-1", "store_id": 7, "items": [{"item_id": 4, "quantity": 1, "price": 18.5}], "total": 18.5},
                "menu_updated": {"store_id": 7, "item_id": 4, "action": "updated", "price": 19},
                "store_status": {"store_id": "7", "status": "paused"}}
    for type, data in examples.items():
        publish("type-" + type.replace("_", "-"), dict(type=type, data=data), dict(type=type, data=data))
    for name, data in (("integer-as-float", dict(STATUS, order_id=123.0)), ("property-not-in-the-schema", dict(STATUS, table=4, nested={"a": []})),
                       ("null-where-allowed", dict(STATUS, previous_status=None)), ("id-as-text", dict(STATUS, order_id="A-123"))):
        publish("schema-" + name, dict(ORDER, data=data), dict(type="order_status", data=data))
    publish("wait-all", dict(ORDER, op="publish", wait="all", timeoutMs=60000), dict(type="order_status", data=STATUS), wait="all", timeoutMs=60000)
    publish("wait-2-json", text(dict(ORDER, wait=2, timeoutMs=1)), dict(type="order_status", data=STATUS), wait=2, timeoutMs=1)
    publish("wait-0-is-accepted", dict(ORDER, wait=0), dict(type="order_status", data=STATUS))
    two = [dict(ORDER, id="1"), dict(CUSTOM, id="2", data=7)]
    records = dict(type="order_status", id="1", data=STATUS), dict(type="custom", id="2", data=7)
    publish("many-array-json", text(two), *records, many=True)
    publish("many-array-msgpack", two, *records, many=True)
    publish("many-map", Pairs([("wait", "accepted"), ("events", two), ("brief", True), ("timeoutMs", 100)]), *records, many=True, brief=True, timeoutMs=100)
    publish("many-of-one", [two[0]], records[0], many=True)


def invalid_publish():
    packed = pack(dict(ORDER, id="abc"))
    for name, n in (("empty", 0), ("in-map", 1), ("in-key", 3), ("in-text", 12), ("in-data", len(packed) - 12), ("at-last-byte", len(packed) - 1)):
        refuse("truncated-" + name, Raw(packed[:n]), "truncated", {"in-text": "type", "in-data": "data", "at-last-byte": "id"}.get(name, ""))
    refuse("trailing-byte", Raw(packed + b"\0"), "trailing_bytes")
    refuse("trailing-behind-array", Raw(pack([ORDER]) + b"\xc0"), "trailing_bytes")
    for name, raw in (("map", b"\xdf\xff\xff\xff\xff"), ("array", b"\xdd\xff\xff\xff\xff"), ("map16", b"\xde\xff\xff\xa4type")):
        refuse("claims-more-than-it-has-" + name, Raw(raw), "truncated")
    for name, raw in (("text", b"\xdb\x7f\xff\xff\xff"), ("bin", b"\xc6\xff\xff\xff\xff"), ("array", b"\xdd\xff\xff\xff\xff"), ("map", b"\xdf\x80\0\0\0"),
                      ("ext", b"\xc9\xff\xff\xff\xff\1")):
        refuse("data-claims-more-" + name, Raw(b"\x82" + pack("type") + pack("custom") + pack("data") + raw + b"xxxx"), "truncated", "data")
    refuse("byte-c1", dict(CUSTOM, data=Raw(b"\xc1")), "parse", "data")
    refuse("not-a-map", 7, "wrong_type")
    refuse("text-instead", "order_status", "wrong_type")
    for n in (17, 18):
        refuse("data-%d-deep" % n, dict(CUSTOM, data=nest(n)), "too_deep", "data")
        refuse("data-%d-deep-json" % n, text(dict(CUSTOM, data=nest(n))), "too_deep", "data")
    refuse("data-1000-deep", dict(CUSTOM, data=Raw(b"\x91" * 1000 + b"\xc0")), "too_deep", "data")
    refuse("data-100-deep-json", text(dict(CUSTOM, data=nest(100))), "too_deep")
    refuse("unknown-field-17-deep", dict(CUSTOM, extra=nest(17)), "too_deep", "extra")
    refuse("schema-property-too-deep", dict(ORDER, data=dict(STATUS, extra=nest(16))), "too_deep", "data")
    refuse("key-twice", Pairs([("type", "custom"), ("id", "a"), ("id", "b")]), "duplicate_key", "id")
    refuse("key-twice-by-other-spelling", Pairs([("type", "custom"), ("data", 1), ("payload", 2)]), "duplicate_key", "data")
    refuse("key-twice-by-number", Pairs([("type", "custom"), (2, "custom")]), "duplicate_key", "type")
    refuse("key-twice-null", Pairs([("type", "custom"), ("id", None), ("id", "x")]), "duplicate_key", "id")
    refuse("unknown-key-twice", Pairs([("type", "custom"), ("x", 1), ("y", 1), ("x", 1)]), "duplicate_key", "x")
    refuse("unknown-key-as-number-and-text", Pairs([("type", "custom"), (99, 1), ("99", 1)]), "duplicate_key", "99")
    refuse("request-key-twice", Pairs([("type", "custom"), ("wait", 1), ("wait", 1)]), "duplicate_key", "wait")
    refuse("data-key-twice", dict(CUSTOM, data=Pairs([("a", 1), ("a", 2)])), "duplicate_key", "data")
    refuse("data-key-twice-nested", dict(ORDER, data=dict(STATUS, x=[{"y": Pairs([("a", 1), ("b", 2), ("a", 1)])}])), "duplicate_key", "data.x")
    refuse("data-key-twice-in-schema", dict(ORDER, data=Pairs(list(STATUS.items()) + [("status", "ready")])), "duplicate_key", "data.status")
    refuse("data-key-twice-other-length-form", dict(CUSTOM, data=Pairs([("a", 1), (Raw(b"\xd9\1a"), 2)])), "duplicate_key", "data")
    refuse("data-key-twice-in-large-map", dict(CUSTOM, data=Pairs([("k%d" % i, 0) for i in range(500)] + [("k77", 0)])), "duplicate_key", "data")
    refuse("json-key-twice", '{"type":"custom","id":"a","id":"b"}', "duplicate_key")
    refuse("json-data-key-twice", '{"type":"custom","data":{"a":[{"b":1,"b":2}]}}', "duplicate_key")
    for name, bad in (("lone-continuation", b"\x80"), ("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"), ("cut", b"\xe2\x82"), ("above-10ffff", b"\xf4\x90\x80\x80")):
        refuse("utf8-%s-in-data" % name, dict(CUSTOM, data={"a": Raw(head(len(bad), 0xa0, 31, STR) + bad)}), "bad_utf8", "data")
    refuse("utf8-in-schema-text", dict(ORDER, data=dict(STATUS, reason=Raw(b"\xa1\xff"))), "bad_utf8", "data.reason")
    refuse("utf8-in-id", dict(CUSTOM, id=Raw(b"\xa1\xff")), "bad_utf8", "id")
    refuse("utf8-in-data-key", dict(CUSTOM, data=Pairs([(Raw(b"\xa1\xff"), 1)])), "bad_utf8", "data")
    refuse("utf8-in-tenant", dict(CUSTOM, tenant=Raw(b"\xa2\xc3\x28")), "bad_utf8", "tenant")
    refuse("nul-in-data", dict(CUSTOM, data="a\0b"), "invalid", "data")
    refuse("nul-in-data-json", '{"type":"custom","data":"a\\u0000b"}', "invalid")
    refuse("nan", dict(CUSTOM, data=Raw(b"\xcb\x7f\xf8" + bytes(6))), "invalid", "data")
    refuse("infinity", dict(CUSTOM, data=Raw(b"\xca\x7f\x80\0\0")), "invalid", "data")
    refuse("integer-above-int64", dict(CUSTOM, data=1 << 63), "invalid", "data")
    refuse("integer-above-int64-json", '{"type":"custom","data":9223372036854775808}', "invalid")
    refuse("data-integer-key", dict(CUSTOM, data=Pairs([(1, 2)])), "wrong_type", "data")
    refuse("field-name-is-bool", Pairs([("type", "custom"), (True, 1)]), "wrong_type")
    refuse("field-name-is-array", Raw(b"\x82\xa4type\xa6custom\x92\xa1a"), "wrong_type")
    refuse("field-name-empty", Pairs([("type", "custom"), ("", 1)]), "invalid")
    refuse("field-name-65-bytes", Pairs([("type", "custom"), ("y" * 65, 1)]), "invalid", "y" * 64)
    refuse("17-unknown-fields", Pairs([("type", "custom")] + [("f%d" % i, i) for i in range(17)]), "too_large", "f16")
    for name, raw, error in (("cut", '{"type":"custom"', "truncated"), ("trailing", '{"type":"custom"}x', "trailing_bytes"), ("single-quotes", "{'type':'custom'}", "parse"),
                             ("trailing-comma", '{"type":"custom",}', "parse"), ("nan", '{"type":"custom","data":NaN}', "parse"), ("lone-surrogate", '{"type":"custom","id":"\\ud800"}', "parse"),
                             ("leading-zero", '{"type":"custom","data":01}', "parse"), ("comment", '{"type":"custom"/**/}', "parse"), ("two", '{"type":"custom"}{"type":"custom"}', "trailing_bytes"),
                             ("number-overflow", '{"type":"custom","data":1e999}', "invalid")):
        refuse("json-" + name, raw, error)
    refuse("json-utf8", Raw(b'{"type":"custom","id":"\xff"}'), "bad_utf8")
    refuse("type-missing", dict(data=STATUS), "missing", "type")
    refuse("type-null", dict(type=None, data=STATUS), "missing", "type")
    refuse("type-unknown", dict(type="order_lost", data={}), "unknown_type", "type")
    refuse("type-empty", dict(type=""), "invalid", "type")
    refuse("type-integer", dict(type=3), "wrong_type", "type")
    refuse("type-case-matters", dict(type="Order_Status", data=STATUS), "unknown_type", "type")
    refuse("id-empty", dict(CUSTOM, id=""), "invalid_id", "id")
    refuse("id-129-bytes", dict(CUSTOM, id="i" * 129), "invalid_id", "id")
    refuse("id-control-character", dict(CUSTOM, id="a\nb"), "invalid_id", "id")
    refuse("id-integer", dict(CUSTOM, id=456), "wrong_type", "id")
    refuse("event-id-empty", dict(CUSTOM, eventId=""), "invalid_id", "id")
    for field, limit in (("tenant", 64), ("partitionkey", 128), ("source", 256), ("subject", 256), ("traceparent", 256), ("datacontenttype", 256), ("dataschema", 256)):
        refuse(field + "-too-long", dict(CUSTOM, **{field: "x" * (limit + 1)}), "too_large", field)
        refuse(field + "-empty", dict(CUSTOM, **{field: ""}), "invalid", field)
    refuse("subject-c1-control", dict(CUSTOM, subject="a\u0085"), "invalid", "subject")
    refuse("tenant-with-slash", dict(CUSTOM, tenant="a/b"), "invalid", "tenant")
    refuse("tenant-with-space", dict(CUSTOM, tenant="a b"), "invalid", "tenant")
    refuse("tenant-integer", dict(CUSTOM, tenant=1), "wrong_type", "tenant")
    refuse("priority-unknown", dict(CUSTOM, priority="urgent"), "unknown_priority", "priority")
    refuse("priority-upper-case", dict(CUSTOM, priority="HIGH"), "unknown_priority", "priority")
    refuse("priority-integer", dict(CUSTOM, priority=0), "wrong_type", "priority")
    refuse("target-unknown", dict(CUSTOM, targets=["us-west-2", "moon-1"]), "unknown_region", "targets[1]")
    refuse("target-integer", dict(CUSTOM, targets=[2]), "wrong_type", "targets[0]")
    refuse("targets-empty", dict(CUSTOM, targets=[]), "invalid", "targets")
    refuse("targets-text", dict(CUSTOM, targets="us-west-2"), "wrong_type", "targets")
    refuse("targets-65", dict(CUSTOM, targets=["us-west-2"] * 65), "invalid", "targets")
    refuse("source-region-of-another-broker", dict(CUSTOM, sourceRegion="us-west-2"), "unknown_region", "sourceregion")
    refuse("acceptedtime-given", dict(CUSTOM, acceptedtime=1), "invalid", "acceptedtime")
    refuse("data-base64", dict(CUSTOM, data_base64="AA=="), "invalid", "data_base64")
    refuse("specversion-0.3", dict(CUSTOM, specversion="0.3"), "version", "specversion")
    for name, time in (("text", "yesterday"), ("no-such-day", "2026-02-30T00:00:00Z"), ("no-offset", "2026-01-01T00:00:00"), ("zero", 0), ("negative", -1), ("year-10000", 253402300800000000)):
        refuse("time-" + name, dict(CUSTOM, time=time), "invalid", "time")
    refuse("time-float", dict(CUSTOM, time=1.5), "wrong_type", "time")
    refuse("expirytime-text", dict(CUSTOM, expirytime="soon"), "invalid", "expirytime")
    refuse("schemaversion-0", dict(CUSTOM, schemaversion=0), "invalid", "schemaversion")
    refuse("schemaversion-2-to-the-31", dict(CUSTOM, schemaversion=1 << 31), "invalid", "schemaversion")
    refuse("schemaversion-text", dict(CUSTOM, schemaversion="1"), "wrong_type", "schemaversion")
    refuse("mincompatible-above-schemaversion", dict(CUSTOM, schemaversion=2, mincompatible=3), "invalid", "mincompatible")
    for name, data, path in (("required", {"order_id": 1}, "data.status"), ("enum", dict(STATUS, status="cooking"), "data.status"), ("type", dict(STATUS, order_id=True), "data.order_id"),
                             ("fraction", dict(STATUS, order_id=1.5), "data.order_id"), ("minimum", dict(STATUS, order_id=-1), "data.order_id"), ("empty-text", dict(STATUS, order_id=""), "data.order_id"),
                             ("max-length", dict(STATUS, reason="x" * 1025), "data.reason"), ("not-an-object", [1], "data"), ("null", None, "data"), ("bin", b"x", "data")):
        refuse("schema-" + name, dict(ORDER, data=data), "schema", path)
    refuse("schema-json", text(dict(ORDER, data=dict(STATUS, status="cooking"))), "schema", "data.status")
    refuse("schema-data-missing", dict(type="order_status"), "schema", "data")
    refuse("schema-in-array", dict(type="order_created", data={"order_id": 1, "store_id": 2, "items": [{"quantity": 1}, {"quantity": 0}]}), "schema", "data.items[1].quantity")
    for name, wait in (("text", "some"), ("65", 65), ("negative", -1), ("null", None)):
        refuse("wait-" + name, dict(CUSTOM, wait=wait), "invalid", "wait")
    refuse("timeout-0", dict(CUSTOM, timeoutMs=0), "invalid", "timeoutMs")
    refuse("timeout-60001", dict(CUSTOM, timeoutMs=60001), "invalid", "timeoutMs")
    refuse("timeout-text", dict(CUSTOM, timeoutMs="5s"), "wrong_type", "timeoutMs")
    refuse("brief-integer", dict(events=[CUSTOM], brief=1), "wrong_type", "brief")
    refuse("events-empty", dict(events=[]), "invalid", "events")
    refuse("array-empty", [], "invalid")
    refuse("events-not-an-array", dict(events=CUSTOM), "wrong_type", "events")
    refuse("events-element-not-a-map", [CUSTOM, 3], "wrong_type", "events[1]")
    refuse("events-10001", Raw(head(10001, 0x90, 15, ARRAY) + pack({}) * 10001), "too_large")
    refuse("events-with-a-stray-field", dict(events=[CUSTOM], tenant="acme"), "invalid", "tenant")
    refuse("events-with-an-unknown-field", dict(events=[CUSTOM], targts=[]), "invalid", "targts")
    refuse("second-of-many", [CUSTOM, dict(CUSTOM, id="")], "invalid_id", "id", index=1)
    refuse("op-unknown", dict(op="publsh", type="custom"), "invalid", "op")
    refuse("op-integer", dict(op=1), "wrong_type", "op")


def requests():
    def take(name, body, **expect):
        write("valid", "request-" + name, "request", body, expect)
    take("ping-json", '{"op":"ping"}', op="ping")
    take("ping-msgpack", {"op": "ping"}, op="ping")
    take("status", {"op": "status"}, op="status")
    fetch = dict(op="fetch", filter={}, max=1000, maxBytes=1048576, waitMs=30000)
    take("fetch-defaults", {"op": "fetch"}, **fetch, **{"from": "now"})
    take("fetch-all-json", text(dict(op="fetch", filter=dict(type=["order_status", "custom"], tenant="acme", key="order-1", region="eu-west-1"), max=1, maxBytes=1024, waitMs=0, **{"from": "earliest"})),
         op="fetch", filter=dict(type=["order_status", "custom"], tenant="acme", key="order-1", region="eu-west-1"), max=1, maxBytes=1024, waitMs=0, **{"from": "earliest"})
    take("fetch-one-type", dict(op="fetch", filter=dict(type="order_status"), max=10000, maxBytes=4194304, waitMs=60000), op="fetch", filter=dict(type=["order_status"]),
         max=10000, maxBytes=4194304, waitMs=60000, **{"from": "now"})
    take("fetch-from-time", dict(op="fetch", time="2026-01-01T00:00:00Z", **{"from": "time"}), **fetch, since=1767225600000000, **{"from": "time"})
    take("fetch-cursor-wins", dict(op="fetch", cursor="c1.18f.2a.0", **{"from": "earliest"}), **fetch, cursor="c1.18f.2a.0", **{"from": "cursor"})
    take("report-milliseconds", dict(op="report", since=1767225600000, until=1767225600001), op="report", since=1767225600000000, until=1767225600001000)
    take("report-text", text(dict(op="report", since="2026-01-01T00:00:00Z")), op="report", since=1767225600000000)
    take("report-everything", dict(op="report"), op="report")
    take("explain", dict(op="explain", id="evt-1"), op="explain", id="evt-1", tenant="default")
    take("explain-tenant", text(dict(op="explain", id="evt-1", tenant="acme")), op="explain", id="evt-1", tenant="acme")
    audit = dict(op="audit", source="", target="", after=dict(high=[0, 0], normal=[0, 0], low=[0, 0]), upTo={}, ledger=[0, 0], list=False, lane="high", max=1000)
    take("audit-everything", dict(op="audit"), **audit)
    take("audit-source", text({"op": "audit", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00.000001Z", "ledger": [1767225600000, 4096]}),
         **{**audit, "from": 1767225600000000, "to": 1767225600000001, "ledger": [1767225600000, 4096]})
    take("audit-target", {"op": "audit", "from": 1767225600000000, "source": "us-west-2", "after": {"low": [5, 7]}, "upTo": {"high": [6, 1], "normal": [6, 0]}},
         **{**audit, "from": 1767225600000000, "source": "us-west-2", "after": {**audit["after"], "low": [5, 7]}, "upTo": {"high": [6, 1], "normal": [6, 0]}})
    take("audit-list", dict(op="audit", target="eu-west-1", list=True, lane="low", max=10000, cursor="a1.ff00"),
         **{**audit, "target": "eu-west-1", "list": True, "lane": "low", "max": 10000, "fromLsn": 0xff00})

    def no(name, body, error, path=""):
        refuse(name, body, error, path, kind="request")
    no("audit-since", dict(op="audit", since=1), "invalid", "since")
    no("audit-to-before-from", {"op": "audit", "from": 2, "to": 1}, "invalid", "to")
    no("audit-source-and-target", dict(op="audit", source="a", target="b"), "invalid", "target")
    no("audit-source-name", dict(op="audit", source="US East"), "unknown_region", "source")
    no("audit-after-lane", dict(op="audit", after=dict(urgent=[1, 1])), "invalid", "after")
    no("audit-after-twice", dict(op="audit", after=Pairs([("low", [1, 1]), ("low", [2, 1])])), "duplicate_key", "after")
    no("audit-up-to-short", dict(op="audit", upTo=dict(high=[1])), "invalid", "upTo")
    no("audit-up-to-negative", dict(op="audit", upTo=dict(high=[1, -1])), "invalid", "upTo")
    no("audit-ledger-long", dict(op="audit", ledger=[1, 2, 3]), "invalid", "ledger")
    no("audit-lane", dict(op="audit", lane="highest"), "unknown_priority", "lane")
    no("audit-list-integer", dict(op="audit", list=1), "wrong_type", "list")
    no("audit-max-10001", dict(op="audit", max=10001), "invalid", "max")
    no("audit-cursor-of-fetch", dict(op="audit", cursor="c1.us-east-1.1.2.3"), "invalid", "cursor")
    no("audit-cursor-upper-case", dict(op="audit", cursor="a1.FF"), "invalid", "cursor")
    no("audit-cursor-17-digits", dict(op="audit", cursor="a1.10000000000000000"), "invalid", "cursor")
    no("ping-with-a-stray-field", dict(op="ping", x=1), "invalid", "x")
    no("fetch-filter-misspelt", dict(op="fetch", filtr={}), "invalid", "filtr")
    no("fetch-filter-field-misspelt", dict(op="fetch", filter=dict(typ="x")), "invalid", "filter")
    no("fetch-filter-text", dict(op="fetch", filter="x"), "wrong_type", "filter")
    no("fetch-filter-type-integer", dict(op="fetch", filter=dict(type=1)), "wrong_type", "filter.type")
    no("fetch-filter-type-empty", dict(op="fetch", filter=dict(type=[])), "invalid", "filter.type")
    no("fetch-filter-9-types", dict(op="fetch", filter=dict(type=["t"] * 9)), "invalid", "filter.type")
    no("fetch-filter-type-element", dict(op="fetch", filter=dict(type=["a", ""])), "invalid", "filter.type[1]")
    no("fetch-filter-key-twice", dict(op="fetch", filter=Pairs([("key", "a"), ("key", "b")])), "duplicate_key", "filter.key")
    no("fetch-filter-region", dict(op="fetch", filter=dict(region="US East")), "unknown_region", "filter.region")
    no("fetch-from-unknown", {"op": "fetch", "from": "yesterday"}, "invalid", "from")
    no("fetch-from-time-without-time", {"op": "fetch", "from": "time"}, "missing", "time")
    no("fetch-max-0", dict(op="fetch", max=0), "invalid", "max")
    no("fetch-max-10001", dict(op="fetch", max=10001), "invalid", "max")
    no("fetch-max-bytes-1023", dict(op="fetch", maxBytes=1023), "invalid", "maxBytes")
    no("fetch-max-bytes-above", dict(op="fetch", maxBytes=4194305), "invalid", "maxBytes")
    no("fetch-wait-60001", dict(op="fetch", waitMs=60001), "invalid", "waitMs")
    no("fetch-with-wait-of-publish", dict(op="fetch", wait="all"), "invalid", "wait")
    no("fetch-cursor-empty", dict(op="fetch", cursor=""), "invalid", "cursor")
    no("fetch-cursor-too-long", dict(op="fetch", cursor="c" * 257), "invalid", "cursor")
    no("report-until-before-since", dict(op="report", since=2000, until=1000), "invalid", "until")
    no("report-since-text", dict(op="report", since="1 day"), "invalid", "since")
    no("explain-without-id", dict(op="explain"), "missing", "id")
    no("explain-id-empty", dict(op="explain", id=""), "invalid_id", "id")
    no("op-twice", Pairs([("op", "ping"), ("op", "ping")]), "duplicate_key", "op")


def records():
    four = [(1, "evt-1"), (2, "custom"), (3, ACCEPTED), (4, "eu-west-1")]

    def take(name, pairs, canonical=None):
        write("valid", "record-" + name, "record", Pairs(pairs), {"canonical": pack(Pairs(canonical or pairs)).hex()})
    take("smallest", four + [(7, 1)])
    take("priority-absent-is-normal", four, four + [(7, 1)])
    take("field-of-a-later-version", four + [(7, 0), (42, {"a": 1})])
    take("known-field-by-name", four + [("subject", "s"), (7, 2)], four + [(7, 2), (9, "s")])
    take("unknown-text-field", four + [(7, 1), (17, [1]), ("zone", "b")])
    take("default-written-out", four + [(5, "default"), (7, 1), (12, 1)], four + [(7, 1)])

    def no(name, pairs, error):
        refuse(name, pairs if isinstance(pairs, Raw) else Pairs(pairs), error, kind="record")
    no("empty", Raw(b""), "truncated")
    no("not-a-map", Raw(b"\x90"), "wrong_type")
    no("three-fields", four[:3], "missing")
    no("first-four-in-another-order", [four[1], four[0]] + four[2:], "protocol")
    no("id-by-name", [("id", "x")] + four[1:] + [(1, "x")], "duplicate_key")
    no("id-empty", [(1, "")] + four[1:], "invalid")
    no("id-129-bytes", [(1, "x" * 129)] + four[1:], "too_large")
    no("type-with-slash", four[:1] + [(2, "order_status/acme")] + four[2:], "invalid")
    no("type-with-space", four[:1] + [(2, "order_status x")] + four[2:], "invalid")
    no("acceptedtime-0", four[:2] + [(3, 0)] + four[3:], "invalid")
    no("acceptedtime-text", four[:2] + [(3, "2026-01-01T00:00:00Z")] + four[3:], "wrong_type")
    no("sourceregion-upper-case", four[:3] + [(4, "EU")], "invalid")
    no("sourceregion-hyphen-first", four[:3] + [(4, "-eu")], "invalid")
    no("field-twice", four + [(9, "a"), (9, "b")], "duplicate_key")
    no("field-twice-by-name", four + [(9, "a"), ("subject", "b")], "duplicate_key")
    no("priority-3", four + [(7, 3)], "invalid")
    no("priority-text", four + [(7, "high")], "wrong_type")
    no("targets", four + [(18, ["us-west-2"])], "protocol")
    no("publishers-spelling", four + [("payload", 1)], "protocol")
    no("specversion", four + [("specversion", "1.0")], "protocol")
    no("tenant-with-slash", four + [(5, "a/b")], "invalid")
    no("data-key-twice", four + [(17, Pairs([("a", 1), ("a", 1)]))], "duplicate_key")
    no("data-17-deep", four + [(17, nest(17))], "too_deep")
    no("data-utf8", four + [(17, Raw(b"\xa1\xff"))], "bad_utf8")
    no("unknown-field-twice", four + [(42, 1), (42, 1)], "duplicate_key")
    no("17-unknown-fields", four + [(i, 1) for i in range(42, 59)], "too_large")
    no("trailing", Raw(pack(Pairs(four)) + b"\0"), "trailing_bytes")
    no("truncated", Raw(pack(Pairs(four))[:-1]), "truncated")


valid_publish()
invalid_publish()
requests()
records()
