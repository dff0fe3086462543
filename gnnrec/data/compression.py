"""Compressed files and zip archives: recognized by their first bytes, and decompressed with limits."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gnnrec.errors import DataError

BLOCK = 1 << 20
SUFFIXES = (".gz", ".xz", ".bz2", ".zst", ".zip", ".lzma")
"""Suffixes of compressed files."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
_LZMA = b"]\0\0"
"""First bytes of the older format of LZMA, which `lzma` reads like xz."""
MAX_MEMBERS = 100_000
"""Maximum number of files in a zip file."""
ZSTD_BLOCK = 1 << 8
"""Bytes that are decompressed at a time: four of them may stand for 128 KiB, so these become 8 MiB at most."""
MIN_UNPACKED, MAX_RATIO = 64 << 20, 200
"""Limit of decompression in bytes, or as a multiple of the compressed size if that is more."""


def compression_of(path: Path) -> str | None:
    """Return the compression of a file by its first bytes."""
    with path.open("rb") as file:
        start = file.read(8)
    if path.suffix.lower() == ".lzma" and start.startswith(_LZMA):  # too short to identify other files
        return "xz"
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def archive_members(path: Path) -> list[str]:
    """Return the names of the files in a zip file that has several, none for any other file."""
    if compression_of(path) != "zip":
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                item.filename for item in archive.infolist() if not item.is_dir() and not _is_hidden(item.filename)
            ]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None
    if len(names) > MAX_MEMBERS:
        raise DataError(f"{path} has {len(names):,} files, too many for a dataset")
    if _is_workbook(names):
        raise DataError(f"{path} is an Excel or other workbook; save the sheet as CSV")
    return names if len(names) > 1 or (names and "/" in names[0]) else []


def extract_members(path: Path, members: list[str], folder: Path) -> None:
    """Extract files of a zip file into a folder, and nowhere else."""
    with zipfile.ZipFile(path) as archive:
        total = sum(archive.getinfo(member).file_size for member in members)  # extraction never exceeds these
        if total > max_unpacked(path):
            raise DataError(_bomb(path, f"{total:,}"))
        for member in members:
            try:
                archive.extract(member, folder)  # drops "..", drives and leading slashes
            except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
                raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None


def new_copy() -> Any:
    """Return a new temporary file."""
    return tempfile.NamedTemporaryFile(prefix="gnnrec-", suffix=".txt")


@contextlib.contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn the errors of decompression into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None
    except Exception as error:  # raised by the packages that read zstd
        if type(error).__name__ not in ("ZstdError", "ArrowInvalid"):
            raise
        raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None


def decompress(path: Path, kind: str) -> Any:
    """Return a temporary file with the content of a compressed file."""
    copy = new_copy()
    size, limit = 0, max_unpacked(path)
    with damage(path), open_compressed(path, kind) as source:
        while block := source.read(BLOCK):
            size += len(block)
            if size > limit:
                raise DataError(_bomb(path, f"more than {limit:,}"))
            copy.write(block)
    copy.flush()
    return copy


def max_unpacked(path: Path) -> int:
    """Return the number of bytes that a compressed file may unpack to; more indicates a decompression bomb."""
    return max(MIN_UNPACKED, MAX_RATIO * path.stat().st_size)


def _bomb(path: Path, size: str) -> str:
    return (
        f"{path} unpacks from {path.stat().st_size:,} to {size} bytes, too many for a table; unpack it yourself if it "
        "can be trusted"
    )


def open_compressed(path: Path, kind: str) -> Any:
    """Open a compressed file, or the only file in a zip file, for reading."""
    if kind == "zip":
        archive = zipfile.ZipFile(path)
        members = [member for member in archive.infolist() if not member.is_dir() and not _is_hidden(member.filename)]
        if _is_workbook([member.filename for member in members]):
            raise DataError(f"{path} is an Excel or other workbook; save the sheet as CSV")
        if len(members) != 1:
            raise DataError(f"{path} has {len(members)} files; a table is a single file")
        return archive.open(members[0])
    if kind == "zstd":
        return _open_zstd(path)
    opener: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "xz": lzma.open, "bzip2": bz2.open}
    return opener[kind](path)


def _is_workbook(names: list[str]) -> bool:
    """Return whether a zip file is that of Excel or LibreOffice."""
    return "xl/workbook.xml" in names or "xl/workbook.bin" in names or {"content.xml", "mimetype"} <= set(names)


def _is_hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _open_zstd(path: Path) -> Any:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        pass
    else:
        return zstd.open(path)
    try:
        import zstandard
    except ImportError:
        pass
    else:
        return _ZstdFile(path, zstandard)
    try:
        import pyarrow
    except ImportError:
        raise DataError(f"{path} needs zstandard; install it with: pip install 'gnnrec[zstd]'") from None
    return pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")


class _ZstdFile:
    """A file read by zstandard; unlike zstandard's own reader, it detects a truncated file."""

    def __init__(self, path: Path, zstandard: Any) -> None:
        self._file, self._new = path.open("rb"), zstandard.ZstdDecompressor().decompressobj
        self._frame, self._rest = self._new(), b""

    def __enter__(self) -> _ZstdFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = BLOCK) -> bytes:
        """Return about `size` bytes of the content, empty at the end."""
        parts, length = [], 0
        while length < size:
            data = self._rest or self._file.read(ZSTD_BLOCK)
            if not data:
                if not self._frame.eof:
                    raise EOFError("the end is missing")
                break
            if self._frame.eof:
                self._frame = self._new()
            parts.append(self._frame.decompress(data))
            length += len(parts[-1])
            self._rest = self._frame.unused_data if self._frame.eof else b""
        return b"".join(parts)
