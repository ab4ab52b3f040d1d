# SPDX-License-Identifier: Apache-2.0
"""A small msgpack encoder and decoder (https://github.com/msgpack/msgpack/blob/master/spec.md)."""
import struct


class Raw(bytes):
    """Bytes that pack() puts out as they are: for msgpack that no encoder would write."""


class Pairs(list):
    """A map as a list of pairs, so that a key can stand twice."""


def pack(value):
    if isinstance(value, Raw):
        return bytes(value)
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return pack_str(value.encode())
    if isinstance(value, (bytes, bytearray)):
        return sized(len(value), None, 0, b"\xc4", b"\xc5", b"\xc6") + bytes(value)
    if isinstance(value, (dict, Pairs)):
        pairs = list(value.items()) if isinstance(value, dict) else value
        return sized(len(pairs), 0x80, 16, None, b"\xde", b"\xdf") + b"".join(pack(k) + pack(v) for k, v in pairs)
    if isinstance(value, (list, tuple)):
        return sized(len(value), 0x90, 16, None, b"\xdc", b"\xdd") + b"".join(pack(v) for v in value)
    raise TypeError(type(value))


def pack_str(octets):
    """A str from bytes that need not be UTF-8."""
    return Raw(sized(len(octets), 0xa0, 32, b"\xd9", b"\xda", b"\xdb") + octets)


def pack_int(v):
    if 0 <= v < 0x80 or -32 <= v < 0:
        return struct.pack(">B", v & 0xff)
    for code, form, low, high in ((0xcc, ">B", 0, 1 << 8), (0xcd, ">H", 0, 1 << 16), (0xce, ">I", 0, 1 << 32), (0xcf, ">Q", 0, 1 << 64),
                                  (0xd0, ">b", -1 << 7, 0), (0xd1, ">h", -1 << 15, 0), (0xd2, ">i", -1 << 31, 0), (0xd3, ">q", -1 << 63, 0)):
        if low <= v < high:
            return bytes([code]) + struct.pack(form, v)
    raise OverflowError(v)


def sized(n, fix, fix_end, one, two, four):
    if fix is not None and n < fix_end:
        return bytes([fix | n])
    if one is not None and n < 1 << 8:
        return one + struct.pack(">B", n)
    if n < 1 << 16:
        return two + struct.pack(">H", n)
    return four + struct.pack(">I", n)


def unpack(octets):
    value, end = _unpack(octets, 0)
    if end != len(octets):
        raise ValueError("bytes follow the value")
    return value


_SCALARS = {0xca: (">f", 4), 0xcb: (">d", 8), 0xcc: (">B", 1), 0xcd: (">H", 2), 0xce: (">I", 4), 0xcf: (">Q", 8),
            0xd0: (">b", 1), 0xd1: (">h", 2), 0xd2: (">i", 4), 0xd3: (">q", 8)}
# first byte: (bytes of the length, what it is the length of)
_SIZED = {0xc4: (1, "bin"), 0xc5: (2, "bin"), 0xc6: (4, "bin"), 0xd9: (1, "str"), 0xda: (2, "str"), 0xdb: (4, "str"),
          0xdc: (2, "array"), 0xdd: (4, "array"), 0xde: (2, "map"), 0xdf: (4, "map")}


def _unpack(b, at):
    first = b[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xe0:
        return first - 256, at
    if first < 0xc0:
        kind, n = (("map", first & 15) if first < 0x90 else ("array", first & 15)) if first < 0xa0 else ("str", first & 31)
    elif first in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[first], at
    elif first in _SCALARS:
        form, n = _SCALARS[first]
        return struct.unpack_from(form, b, at)[0], at + n
    elif first in _SIZED:
        width, kind = _SIZED[first]
        n = int.from_bytes(b[at:at + width], "big")
        at += width
    else:
        raise ValueError(f"byte {first:#x} at {at - 1}")
    if kind in ("bin", "str"):
        if at + n > len(b):
            raise ValueError("truncated")
        return (bytes(b[at:at + n]) if kind == "bin" else b[at:at + n].decode()), at + n
    items = []
    for _ in range(n * (2 if kind == "map" else 1)):
        value, at = _unpack(b, at)
        items.append(value)
    return (dict(zip(items[::2], items[1::2])) if kind == "map" else items), at
