"""Opens text files of any compression, encoding and line ending as UTF-8.

A plain UTF-8 file is used directly; anything else is converted to a temporary copy with the same lines, block by block.
Memory therefore does not depend on the size, and every reader works on paths.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnnrec.data.compression import (
    BLOCK,
    SUFFIXES,
    compression_of,
    damage,
    decompress,
    new_copy,
    open_compressed,
)
from gnnrec.data.encodings import BOMS, SAMPLE, blocks, first_fault, guess_encoding
from gnnrec.errors import DataError

UNIT = "\x1f"
"""Separator in copies of files whose own separator has several characters."""
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"SQLite format 3\0", "a SQLite database; export the table as CSV"),
    (b"%PDF-", "a PDF document; give a table"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the folder"),
    (b"Rar!", "a RAR archive; unpack it and give the folder"),
    (b"\x89HDF", "in HDF5; save the table as CSV or Parquet"),
    (b"\x93NUMPY", "a NumPy array; save the table as CSV or Parquet"),
    (b"ARROW1", "in Arrow's (Feather) format; save it as Parquet"),
    (b"ORC", "in ORC format; save it as Parquet"),
    (b"\x80\x04\x95", "a pickle, which may run any code when read; save the table as CSV or Parquet"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the table; fetch it with: git lfs pull"),
)
"""First bytes of files that are not tables, what they are, and what to do."""
_WEB_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<\?xml)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class TextFile:
    """A file of text.

    Attributes
    ----------
    path : Path
        As the caller gave it, for messages.
    file : Path
        The same text in UTF-8, perhaps with a byte-order mark: `path` itself or a temporary copy of it.
    notes : tuple of str
        How it was read, where it was not plain UTF-8.
    """

    path: Path
    file: Path
    notes: tuple[str, ...] = ()
    copy: Any = None  # removed with this object

    def with_separator(self, separator: str) -> TextFile:
        """Return the text with a separator of several characters replaced by one, `UNIT`."""
        copy = new_copy()
        old, carry = separator.encode(), b""
        with self.file.open("rb") as source:
            while block := source.read(BLOCK):
                block = carry + block
                keep = len(old) - 1
                end = len(block) if not keep else len(block) - keep
                cut = block.rfind(old, 0, len(block))
                end = max(end, cut + len(old)) if cut >= 0 else end
                copy.write(block[:end].replace(old, UNIT.encode()))
                carry = block[end:]
        copy.write(carry.replace(old, UNIT.encode()))
        copy.flush()
        return TextFile(self.path, Path(copy.name), self.notes, copy)


def stem_of(path: Path) -> str:
    """Return the name of a file without the suffixes of its format and its compression.

    >>> stem_of(Path("a/ratings.csv.gz"))
    'ratings'
    """
    name = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return name.stem if name.suffix else name.name


def suffix_of(path: Path) -> str:
    """Return the suffix of a file without that of its compression, in lower case.

    >>> suffix_of(Path("reviews.json.gz"))
    '.json'
    """
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES else path).suffix.lower()


def open_text(path: Path, encoding: str | None = None, *, lenient: bool = False) -> TextFile:
    """Open a file of text.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        Recognized by default: byte-order marks, UTF-16 without one, UTF-8, else by charset-normalizer.
    lenient : bool
        Replace bytes that cannot be decoded instead of failing.

    Raises
    ------
    DataError
        The file is missing, empty, damaged or not text.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    notes: list[str] = []
    copy, file = None, path
    if kind := compression_of(path):
        copy = decompress(path, kind)
        file = Path(copy.name)
        notes.append(kind)
    with file.open("rb") as source:
        start = source.read(SAMPLE)
    _refuse_foreign(path, start)
    if not start.strip(b" \t\r\n\xef\xbb\xbf\0"):
        raise DataError(f"{path} is empty; its first line must name the columns")
    if encoding is None:
        encoding, label = guess_encoding(path, file, start, lenient)
    else:
        label = encoding = codecs.lookup(encoding).name
        if encoding == "utf-8" and not lenient and (fault := first_fault(file)) is not None:
            offset, byte, line = fault
            raise DataError(
                f"byte 0x{byte:02x} at offset {offset} is not UTF-8; set another encoding", at=f"{path}:{line}"
            )
    lone_returns = _has_lone_returns(file, encoding)
    if label not in ("UTF-8", "utf-8"):
        notes.append(label)
    if lone_returns:
        notes.append("lines end in CR")
    if encoding not in ("utf-8", "utf-8-sig") or lone_returns or lenient:
        copy = _transcode(path, file, encoding, lone_returns, lenient)
        file = Path(copy.name)
    return TextFile(path, file, tuple(notes), copy)


def _refuse_foreign(path: Path, start: bytes) -> None:
    """Raise a `DataError` for a file that is not a table, by its first bytes."""
    what = next((what for magic, what in _FOREIGN if start.startswith(magic)), None)
    if start[257:262] == b"ustar":
        what = "a tar archive; unpack it and give the folder"
    elif _WEB_PAGE.match(start):
        what = "a web page or XML, not a table; was the download complete?"
    if what is not None:
        raise DataError(f"{path} is {what}")


def first_lines(path: Path, number: int) -> list[str]:
    """Return the first lines of a file, without converting all of it; characters may be wrong."""
    kind = compression_of(path)
    with damage(path), open_compressed(path, kind) if kind else path.open("rb") as file:
        start = file.read(1 << 16)
    encoding = next((encoding for mark, encoding, _ in BOMS if start.startswith(mark)), "utf-8")
    return start.decode(encoding, "replace").splitlines()[:number]


def _has_lone_returns(file: Path, encoding: str) -> bool:
    """Return whether lines end in CR alone, as they do on old Macintosh systems."""
    returns = False
    if encoding.startswith(("utf-16", "utf-32")):
        text = codecs.iterdecode(blocks(file), encoding, errors="replace")
        for part in text:
            if "\n" in part:
                return False
            returns = returns or "\r" in part
        return returns
    for block in blocks(file):
        if b"\n" in block:
            return False
        returns = returns or b"\r" in block
    return returns


def _transcode(path: Path, file: Path, encoding: str, lone_returns: bool, lenient: bool) -> Any:
    """Write the text in UTF-8 into a temporary file; line ends stay what they are, but CR alone becomes LF."""
    copy = new_copy()
    lines = 1
    try:
        for part in codecs.iterdecode(blocks(file), encoding, errors="replace" if lenient else "strict"):
            copy.write((part.replace("\r", "\n") if lone_returns else part).encode("utf-8", "replace"))
            lines += part.count("\r" if lone_returns else "\n")
    except UnicodeError as error:
        raise DataError(f"the file is not {encoding} ({error}); set another encoding", at=f"{path}:{lines}") from None
    copy.flush()
    return copy
