"""Files of text whatever their compression, encoding and line ends, as files in UTF-8.

A plain file in UTF-8 is used as it is; anything else is converted into a temporary copy, block by block, which has the
same lines. So memory does not depend on the size, and every reader works on paths.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charset_normalizer import from_bytes

from gnnrec.errors import DataError

BLOCK = 1 << 20
SUFFIXES = (".gz", ".xz", ".bz2", ".zst", ".zip", ".lzma")
"""Suffixes of compressed files."""
UNIT = "\x1f"
"""Separator in copies of files whose own separator has several characters."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
_LZMA = b"]\0\0"
"""First bytes of the older format of LZMA, which `lzma` reads like xz."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with BOM"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
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
"""First bytes of files that are no tables, what they are, and what to do."""
_WEB_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<\?xml)", re.IGNORECASE)
_OTHER_SCRIPTS = [
    "cp1250",
    "cp1251",
    "koi8_r",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
    "euc_jp",
]
_SAMPLE = 1 << 17
MAX_MEMBERS = 100_000
"""Files of the largest zip file."""
MIN_UNPACKED, MAX_RATIO = 64 << 20, 200
"""A compressed file may unpack to so many bytes, and to more if it is itself large."""


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
        copy = _new_copy()
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


def compression_of(path: Path) -> str | None:
    """Return the compression of a file by its first bytes."""
    with path.open("rb") as file:
        start = file.read(8)
    if path.suffix.lower() == ".lzma" and start.startswith(_LZMA):  # too short a mark for files of any name
        return "xz"
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


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
        copy = _decompress(path, kind)
        file = Path(copy.name)
        notes.append(kind)
    with file.open("rb") as source:
        start = source.read(_SAMPLE)
    _refuse_foreign(path, start)
    if not start.strip(b" \t\r\n\xef\xbb\xbf\0"):
        raise DataError(f"{path} is empty; its first line must name the columns")
    if encoding is None:
        encoding, label = _guess_encoding(path, file, start, lenient)
    else:
        label = encoding = codecs.lookup(encoding).name
        if encoding == "utf-8" and not lenient and (fault := _first_fault(file)) is not None:
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
    """Raise a `DataError` for a file that is no table, by its first bytes."""
    what = next((what for magic, what in _FOREIGN if start.startswith(magic)), None)
    if start[257:262] == b"ustar":
        what = "a tar archive; unpack it and give the folder"
    elif _WEB_PAGE.match(start):
        what = "a web page or XML, not a table; was the download complete?"
    if what is not None:
        raise DataError(f"{path} is {what}")


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
        total = sum(archive.getinfo(member).file_size for member in members)  # no more is extracted than these say
        if total > max_unpacked(path):
            raise DataError(_bomb(path, f"{total:,}"))
        for member in members:
            try:
                archive.extract(member, folder)  # drops "..", drives and leading slashes
            except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
                raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None


def first_lines(path: Path, number: int) -> list[str]:
    """Return the first lines of a file, without converting all of it; characters may be wrong."""
    kind = compression_of(path)
    with _damage(path), _open_compressed(path, kind) if kind else path.open("rb") as file:
        start = file.read(1 << 16)
    encoding = next((encoding for mark, encoding, _ in _BOMS if start.startswith(mark)), "utf-8")
    return start.decode(encoding, "replace").splitlines()[:number]


def _new_copy() -> Any:
    return tempfile.NamedTemporaryFile(prefix="gnnrec-", suffix=".txt")


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn the errors of decompression into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None
    except Exception as error:  # of the packages that read zstd
        if type(error).__name__ not in ("ZstdError", "ArrowInvalid"):
            raise
        raise DataError(f"{path} is damaged and cannot be decompressed: {error}") from None


def _decompress(path: Path, kind: str) -> Any:
    copy = _new_copy()
    size, limit = 0, max_unpacked(path)
    with _damage(path), _open_compressed(path, kind) as source:
        while block := source.read(BLOCK):
            size += len(block)
            if size > limit:
                raise DataError(_bomb(path, f"more than {limit:,}"))
            copy.write(block)
    copy.flush()
    return copy


def max_unpacked(path: Path) -> int:
    """Return how many bytes a compressed file may unpack to; more would be a file made to fill a disk."""
    return max(MIN_UNPACKED, MAX_RATIO * path.stat().st_size)


def _bomb(path: Path, size: str) -> str:
    return (
        f"{path} unpacks from {path.stat().st_size:,} to {size} bytes, too many for a table; unpack it yourself if it "
        "can be trusted"
    )


def _open_compressed(path: Path, kind: str) -> Any:
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
    """A file that zstandard reads; unlike its own reader it notices that the end is missing."""

    def __init__(self, path: Path, zstandard: Any) -> None:
        self._file, self._new = path.open("rb"), zstandard.ZstdDecompressor().decompressobj
        self._frame, self._rest = self._new(), b""

    def __enter__(self) -> _ZstdFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = BLOCK) -> bytes:
        """Return some more of the content, empty at the end."""
        while True:
            data = self._rest or self._file.read(BLOCK)
            if not data:
                if not self._frame.eof:
                    raise EOFError("the end is missing")
                return b""
            if self._frame.eof:
                self._frame = self._new()
            found: bytes = self._frame.decompress(data)
            self._rest = self._frame.unused_data if self._frame.eof else b""
            if found:
                return found


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            yield block


def _guess_encoding(path: Path, file: Path, start: bytes, lenient: bool) -> tuple[str, str]:
    """Return the encoding of a file and what to call it."""
    for mark, encoding, label in _BOMS:
        if start.startswith(mark):
            return encoding, label
    if b"\0" in start:
        even, odd = start[::2].count(0), start[1::2].count(0)
        if max(even, odd) > 10 * min(even, odd) and max(even, odd) > len(start) / 8:
            return ("utf-16-be", "UTF-16") if even > odd else ("utf-16-le", "UTF-16")
        line = start.count(b"\n", 0, start.index(b"\0")) + 1
        raise DataError("the file is not text; give a file of text or Parquet", at=f"{path}:{line}")
    first_fault = _first_fault(file)
    if first_fault is None:
        return "utf-8", "UTF-8"
    lines = _lines_beyond_ascii(file)
    if lenient and _is_mostly_utf8(lines):
        return "utf-8", "UTF-8"
    if _is_mostly_utf8(lines):
        offset, byte, line = first_fault
        raise DataError(
            f"byte 0x{byte:02x} at offset {offset} is not UTF-8, as the rest of the file is; correct the line, set "
            "encoding, or leave such rows out with errors='skip'",
            at=f"{path}:{line}",
        )
    return _guess_single_byte(lines)


def _first_fault(file: Path) -> tuple[int, int, int] | None:
    """Return offset, value and line of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, pending = 0, b""
    for block in _blocks(file):
        if pending or not block.isascii():
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                # The decoder holds back the bytes of a character that the last block cut off.
                whole = error.object
                at = offset + len(block) - len(whole) + error.start
                return at, whole[error.start], _line_at(file, at)
            pending = decoder.getstate()[0]
        offset += len(block)
    at = offset - len(pending)
    return (at, pending[0], _line_at(file, at)) if pending else None


def _line_at(file: Path, offset: int) -> int:
    """Return the line of a byte."""
    line = 1
    for block in _blocks(file):
        line += block.count(b"\n", 0, max(offset, 0))
        offset -= len(block)
    return line


def _lines_beyond_ascii(file: Path) -> bytes:
    """Return the first lines with other bytes than ASCII."""
    found, size = [], 0
    with file.open("rb") as source:
        for line in source:
            if not line.isascii():
                found.append(line[:4096])
                size += len(found[-1])
                if size > _SAMPLE // 2:
                    break
    return b"".join(found)


def _is_mostly_utf8(sample: bytes) -> bool:
    """Return whether most of the bytes beyond ASCII form characters of UTF-8."""
    total = sum(byte > 127 for byte in sample)
    lost = sum(byte > 127 for byte in sample) - sum(
        len(character.encode()) for character in sample.decode("utf-8", "ignore") if ord(character) > 127
    )
    return lost < total / 2


def _guess_single_byte(sample: bytes) -> tuple[str, str]:
    """Guess the encoding of text that is not Unicode.

    In Western texts letters beyond ASCII stand alone, with letters of ASCII around them; in other scripts they are
    most of a word.
    """
    words = [word for word in re.findall(rb"[A-Za-z\x80-\xff]+", sample) if not word.isascii()]
    foreign = sum(len(re.sub(rb"[A-Za-z]", b"", word)) > max(2, len(word) / 2) for word in words)
    western = "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    letters = [c for c in sample.decode(western) if ord(c) > 127]
    odd = sum(not c.isalpha() and c not in "‘’“”–—…€™®©°·¡¿«»\xa0" for c in letters)
    if foreign > len(words) / 4 or odd > len(letters) / 4:
        best = from_bytes(sample, cp_isolation=[*_OTHER_SCRIPTS, western], explain=False).best()
        if best is not None and best.encoding == "euc_kr" and _has_hanja(sample) and _decodes(sample, "gb18030"):
            return "gb18030", "gb18030"
        if best is not None and best.encoding != western:
            return best.encoding, best.encoding
    if _is_central_european([word.decode(western, "replace") for word in words]) and _decodes(sample, "cp1250"):
        return "cp1250", "cp1250"
    return western, western


def _has_hanja(sample: bytes) -> bool:
    """Return whether text in EUC-KR has many Chinese characters, which Koreans hardly use."""
    text = [letter for letter in sample.decode("euc_kr", "ignore") if ord(letter) > 127]
    return sum("\u4e00" <= letter <= "\u9fff" for letter in text) > len(text) / 10


def _is_central_european(words: list[str]) -> bool:
    """Return whether words that were read as Western ones are Czech, Slovak, Polish or Hungarian.

    In these, CP1250 has other letters in the place of such that no Western word has together, or of signs.
    """
    czech = sum(any(c in word for c in "øìùèòï") and any(c in word for c in "šžýíáúŠŽ") for word in words)
    polish = sum(re.search(r"[³¹¿][a-zê]|[a-z][¿¹³][a-z]|£[a-z]", word) is not None for word in words)
    text = "".join(words)
    is_hungarian = re.search("õ(?!e)", text) is not None and "û" in text and "ã" not in text
    return is_hungarian or 10 * max(czech, polish) >= len(words) > 0


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _has_lone_returns(file: Path, encoding: str) -> bool:
    """Return whether lines end in CR alone, as they do on old Macintosh systems."""
    returns = False
    if encoding.startswith(("utf-16", "utf-32")):
        text = codecs.iterdecode(_blocks(file), encoding, errors="replace")
        for part in text:
            if "\n" in part:
                return False
            returns = returns or "\r" in part
        return returns
    for block in _blocks(file):
        if b"\n" in block:
            return False
        returns = returns or b"\r" in block
    return returns


def _transcode(path: Path, file: Path, encoding: str, lone_returns: bool, lenient: bool) -> Any:
    """Write the text in UTF-8 into a temporary file; line ends stay what they are, but CR alone becomes LF."""
    copy = _new_copy()
    lines = 1
    try:
        for part in codecs.iterdecode(_blocks(file), encoding, errors="replace" if lenient else "strict"):
            copy.write((part.replace("\r", "\n") if lone_returns else part).encode("utf-8", "replace"))
            lines += part.count("\r" if lone_returns else "\n")
    except UnicodeError as error:
        raise DataError(f"the file is not {encoding} ({error}); set another encoding", at=f"{path}:{lines}") from None
    copy.flush()
    return copy
