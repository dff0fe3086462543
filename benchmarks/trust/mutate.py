"""Seeded mutations of bytes, tables, JSON and the headers of array files."""

from __future__ import annotations

import copy
import json
import re
import struct
from collections.abc import Mapping
from random import Random
from typing import Any

Files = dict[str, bytes]
"""A folder: content by relative path."""

NUMBERS = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "7",
    "1e308",
    "1e309",
    "-1e309",
    "1e-320",
    "NaN",
    "nan",
    "-nan",
    "inf",
    "-Infinity",
    "1e20",
    "1.5",
    "1,5",
    "1.234,5",
    "01",
    "007",
    "+1",
    "0x10",
    "1_000",
    "１２",
    "٣",
    "99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "2147483648",
    "253402300799",
    "253402300800",
    "978300760000",
    "978300760000000",
    "4.5000000001",
    "True",
    "null",
]
TEXTS = [
    "",
    " ",
    "\x00",
    "\x1b[31mred\x1b[0m",
    "\u202e",
    "\ufeff",
    "\U0001f600",
    "é",
    "'",
    '"',
    '""',
    ",",
    ";",
    "\t",
    "|",
    "::",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\N",
    "=1+1",
    "a" * 3000,
    "../../x",
    "N/A",
    "2001-02-03",
    "2001-13-45",
    "03/04/2001",
    "31.12.1999 23:59:60",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "true",
    "[]",
    "{}",
    "['a', 'b']",
    "(1995)",
    "<html>",
    "{{7*7}}",
    "%s",
    "\u2028",
    "\x85",
    "ﬁ",
    "İ",
    "ß",
]
BYTES = [
    b"",
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b"\r\n",
    b'"',
    b",",
    b";",
    b"\t",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\x80",
    b"\xed\xa0\x80",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"PAR1",
    b"\x93NUMPY",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"&a [*a]",
    b"!!python/object/apply:os.system [true]",
    b"<<: *a",
    b"e" * 500,
    b"[" * 2000,
    b'{"a":' * 1500,
    b"9" * 5000,
]
PLAIN: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    10**30,
    -(2**63),
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "1",
    "a",
    "\ud800",
    "\x00",
    "\x1b[31m",
    "a" * 2000,
    "../x",
    [],
    [None],
    [1],
    ["a"],
    [[1]],
    [1, "a"],
    {},
    {"a": 1},
    {"": None},
    [[[[[[[[]]]]]]]],
]
"""Values of JSON."""


def mutate_bytes(data: bytes, random: Random, tokens: tuple[bytes, ...] = ()) -> bytes:
    """Return the data after one to four random changes."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        size = len(out)
        at = random.randrange(size + 1)
        kind = random.randrange(12)
        if kind == 0 and size:
            out[at % size] ^= 1 << random.randrange(8)
        elif kind == 1 and size:
            out[at % size] = random.choice((0, 9, 10, 13, 32, 34, 44, 48, 127, 128, 255, random.randrange(256)))
        elif kind == 2:
            del out[at : at + random.choice((1, 2, 4, 16, 100, size))]
        elif kind == 3:
            part = bytes(out[at : at + random.choice((1, 4, 20, 200))])
            out[at:at] = part * random.choice((1, 1, 2, 50))
        elif kind in (4, 5):
            out[at:at] = random.choice((*BYTES, *tokens))
        elif kind == 6:
            del out[at:]
        elif kind == 7 and size > 8:
            first, second = sorted((random.randrange(size), random.randrange(size)))
            length = random.choice((1, 4, 8, 32))
            one, other = bytes(out[first : first + length]), bytes(out[second : second + length])
            out[second : second + length], out[first : first + length] = one, other
        elif kind in (8, 9):
            numbers = list(re.finditer(rb"-?\d+(?:\.\d+)?", bytes(out[: 1 << 16])))
            if numbers:
                start, end = random.choice(numbers).span()
                out[start:end] = random.choice(NUMBERS).encode()
        elif kind == 10 and size > 8:
            at = random.randrange(size - 8)
            value = random.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1))
            out[at : at + 8] = struct.pack(random.choice("<>") + "Q", value)
        else:
            lines = bytes(out).split(b"\n")
            one, other = random.randrange(len(lines)), random.randrange(len(lines))
            change = random.randrange(4)
            if change == 0:
                lines[one], lines[other] = lines[other], lines[one]
            elif change == 1:
                lines.insert(one, lines[other])
            elif change == 2:
                del lines[one]
            else:
                lines[one] = lines[one] + random.choice((b",", b";", b"\t", b"::", b" ", b'"', b"|")) + lines[other]
            out = bytearray(b"\n".join(lines))
    return bytes(out)


def mutate_files(files: Mapping[str, bytes], random: Random, tokens: tuple[bytes, ...] = ()) -> Files:
    """Return a folder with one file changed; sometimes one is missing, empty, or has the content of another."""
    out = dict(files)
    name = random.choice(sorted(out))
    kind = random.randrange(30)
    if kind == 0 and len(out) > 1:
        del out[name]
    elif kind == 1:
        out[name] = b""
    elif kind == 2:
        out[name] = out[random.choice(sorted(out))]
    else:
        out[name] = mutate_bytes(out[name], random, tokens)
    return out


def cell_text(random: Random) -> str:
    """Return a text for a cell of a table."""
    return random.choice(random.choice((NUMBERS, TEXTS)))


def paths_in(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value; of long lists, of the first and the last entries."""
    found = [prefix] if prefix else []
    if isinstance(value, dict):
        for key, one in value.items():
            found += paths_in(one, (*prefix, key))
    elif isinstance(value, list):
        for place in dict.fromkeys([*range(min(len(value), 3)), *range(max(len(value) - 2, 0), len(value))]):
            found += paths_in(value[place], (*prefix, place))
    return found


def mutate_json(value: Any, random: Random) -> Any:
    """Return a JSON value with one or two values replaced, removed, renamed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 2))):
        paths = paths_in(value)
        if not paths:
            return random.choice(PLAIN)
        *way, last = random.choice(paths)
        parent = value
        for step in way:
            parent = parent[step]
        kind = random.randrange(8)
        if kind == 0:
            del parent[last]
        elif kind == 1 and isinstance(parent, dict):
            parent[random.choice(("x", "", "0", str(last) + " ", str(last).upper()))] = parent.pop(last)
        elif kind == 2 and isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        else:
            parent[last] = copy.deepcopy(random.choice(PLAIN))
    return value


def dump_json(value: Any) -> bytes:
    """Return JSON, lone surrogates and NaN included."""
    return json.dumps(value, ensure_ascii=True).encode()


def mutate_safetensors(data: bytes, random: Random) -> bytes:
    """Return a safetensors file whose header tells something else than its content."""
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    kind = random.randrange(7)
    entry = header[random.choice(names)] if names else {}
    if kind == 0 and entry:
        entry["shape"] = random.choice(([10**12], [2**40, 2**40], [0], [-1], [], [1.5], "x", [*entry["shape"], 1]))
    elif kind == 1 and entry:
        start, end = entry["data_offsets"]
        entry["data_offsets"] = random.choice(
            ([0, end], [start, 10**13], [end, start], [-4, end], [start, end - 1], [2**63, 2**64], [start])
        )
    elif kind == 2 and entry:
        entry["dtype"] = random.choice(
            ("F64", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "C64", "X", 5, None)
        )
    elif kind == 3 and names:
        header[random.choice(("x", "", "../x", "a\x00b", "embeddings", "\ud800"))] = header.pop(random.choice(names))
    elif kind == 4 and "__metadata__" in header:
        metadata = header["__metadata__"]
        key = random.choice(sorted(metadata))
        try:
            metadata[key] = json.dumps(mutate_json(json.loads(metadata[key]), random))
        except ValueError:
            metadata[key] = random.choice(("", "0", "x" * 5000))
    elif kind == 5:
        header = mutate_json(header, random)
    else:
        body = body[: random.randrange(len(body) + 1)]
    text = json.dumps(header).encode()
    size = len(text) if random.random() < 0.9 else random.choice((0, 2**40, 2**63, len(text) - 1, len(text) + 1))
    return struct.pack("<Q", size) + text + body


def mutate_npy(data: bytes, random: Random) -> bytes:
    """Return an npy file with another header."""
    length = struct.unpack("<H", data[8:10])[0]
    header, body = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    kind = random.randrange(4)
    if kind == 0:
        shape = random.choice(
            ("(10**9,)", "(10000000000, 100)", "(-1, 3)", "(2, 3", "()", "(2,)", "(True, 3)", "(3, 2)")
        )
        header = re.sub(r"'shape': \(.*?\)", f"'shape': {shape}", header)
    elif kind == 1:
        descr = random.choice(
            ("|O", "<f8", "<i8", "<U9", "|S4", "<M8[s]", "<c8", "|V4", "<f2", "|b1", "nonsense", ">f4")
        )
        header = re.sub(r"'descr': '.*?'", f"'descr': '{descr}'", header)
    elif kind == 2:
        header = header.replace("False", random.choice(("True", "None", "1", "[" * 300)))
    else:
        header = mutate_bytes(header.encode("latin-1"), random).decode("latin-1")
    text = header.rstrip().encode("latin-1", "replace")[:60_000] + b"\n"
    return data[:8] + struct.pack("<H", len(text)) + text + body
