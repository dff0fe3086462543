"""Small files that would fill the memory or the disk, run code, or land somewhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load, save

ABSOLUTE = str(Path(tempfile.gettempdir(), "gnnrec-climbed.csv"))
"""Absolute name of a member of an archive."""

SIZE = 100 << 20
"""Bytes that a bomb unpacks to."""
LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
).encode()
"""YAML of a few lines that holds a hundred billion values."""


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def evil_pickle(path: Path) -> bytes:
    """Return a pickle that makes a file when it is read."""
    return pickle.dumps(_Evil(path))


def with_value(data: bytes, value: float) -> bytes:
    """Return weights of which one is another value."""
    length = int.from_bytes(data[:8], "little")
    metadata = __import__("json").loads(data[8 : 8 + length]).get("__metadata__")
    tensors = load(data)
    name = next(name for name, one in tensors.items() if one.is_floating_point() and one.numel())
    tensors[name].view(-1)[0] = value
    return save(tensors, metadata)


def zip_of(members: dict[str, bytes]) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


@cache
def climbing_zip() -> bytes:
    """Return a zip file whose members want to be elsewhere, one of them a link."""
    buffer = io.BytesIO()
    table = b"user_id,movie_id\n1,2\n"
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("ratings.csv", table)
        for name in (
            "../climbed.csv",
            "../../climbed.csv",
            ABSOLUTE,
            "a/../../climbed.csv",
            "..\\climbed.csv",
        ):
            file.writestr(name, table)
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    return buffer.getvalue()


@cache
def many_members() -> bytes:
    """Return a zip file of very many empty files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(20_000):
            file.writestr(f"{number}.csv", b"")
    return buffer.getvalue()


@cache
def _lines() -> bytes:
    return b"user_id,movie_id\n" + b"1,2\n" * (SIZE // 4)


@cache
def gzip_bomb() -> bytes:
    """Return 100 MB of zeros, compressed."""
    return gzip.compress(b"\0" * SIZE, 9, mtime=0)


def _zstd() -> bytes:
    import zstandard

    return zstandard.compress(_lines())


COMPRESSED: dict[str, Callable[[], bytes]] = {
    "ratings.csv.gz": lambda: gzip.compress(_lines(), 9, mtime=0),
    "ratings.csv.bz2": lambda: bz2.compress(_lines()),
    "ratings.csv.xz": lambda: lzma.compress(_lines(), preset=1),
    "ratings.csv.zst": _zstd,
    "ratings.csv.zip": lambda: zip_of({"ratings.csv": _lines()}),
    "all.zip": lambda: zip_of({"ratings.csv": _lines(), "movies.csv": b"movie_id\n2\n"}),
}
COMPRESSED = {name: cache(make) for name, make in COMPRESSED.items()}
"""Compressed tables that explode."""


@cache
def npz_bomb() -> bytes:
    """Return an npz file whose array is huge, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, movie_ids=np.arange(3), embeddings=np.zeros((3, 40_000_000), dtype=np.float32))
    return buffer.getvalue()


@cache
def parquet_bomb() -> bytes:
    """Return a Parquet file of a hundred million equal rows."""
    import pyarrow as pa
    import pyarrow.parquet

    buffer = io.BytesIO()
    column = pa.array(np.zeros(1 << 20, dtype=np.int64))
    table = pa.table({"user_id": column, "movie_id": column})
    with pyarrow.parquet.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(table)
    return buffer.getvalue()


def _png(width: int, height: int, *more: tuple[bytes, bytes]) -> bytes:
    """Return a PNG with a header, further chunks and no more."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in more), chunk(b"IDAT", zlib.compress(b"\0" * 1000))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    return _png(60, 90, (b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (100 << 20), 9)))


def _gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
        + struct.pack("<HH", width, height)
        + b"\0\x02\x02D\x01\0;"
    )


def _bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def _jpeg(width: int, height: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


IMAGES: dict[str, Callable[[], bytes]] = {
    "bomb.png": lambda: _png(60_000, 60_000),
    "huge.png": lambda: _png(2**31 - 1, 2**31 - 1),
    "thin.png": lambda: _png(30_000_000, 1),
    "text.png": _text_bomb,
    "bomb.gif": lambda: _gif(65_535, 65_535),
    "bomb.bmp": lambda: _bmp(100_000, 100_000),
    "negative.bmp": lambda: _bmp(2**31 - 1, -(2**31)),
    "bomb.jpg": lambda: _jpeg(65_500, 65_500),
}
IMAGES = {name: cache(make) for name, make in IMAGES.items()}
"""Images that are small as files and huge once they are decoded, or no images."""
