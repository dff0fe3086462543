"""Recognizes the encoding of a text file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from gnnrec.data.compression import BLOCK
from gnnrec.errors import DataError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with BOM"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
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
SAMPLE = 1 << 17


def blocks(file: Path) -> Iterator[bytes]:
    """Yield the content of a file in blocks."""
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            yield block


def guess_encoding(path: Path, file: Path, start: bytes, lenient: bool) -> tuple[str, str]:
    """Return the encoding of a file and what to call it."""
    for mark, encoding, label in BOMS:
        if start.startswith(mark):
            return encoding, label
    if b"\0" in start:
        even, odd = start[::2].count(0), start[1::2].count(0)
        if max(even, odd) > 10 * min(even, odd) and max(even, odd) > len(start) / 8:
            return ("utf-16-be", "UTF-16") if even > odd else ("utf-16-le", "UTF-16")
        line = start.count(b"\n", 0, start.index(b"\0")) + 1
        raise DataError("the file is not text; give a file of text or Parquet", at=f"{path}:{line}")
    fault = first_fault(file)
    if fault is None:
        return "utf-8", "UTF-8"
    lines = _lines_beyond_ascii(file)
    if lenient and _is_mostly_utf8(lines):
        return "utf-8", "UTF-8"
    if _is_mostly_utf8(lines):
        offset, byte, line = fault
        raise DataError(
            f"byte 0x{byte:02x} at offset {offset} is not UTF-8, as the rest of the file is; correct the line, set "
            "encoding, or leave such rows out with errors='skip'",
            at=f"{path}:{line}",
        )
    return _guess_single_byte(lines)


def first_fault(file: Path) -> tuple[int, int, int] | None:
    """Return offset, value and line of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, pending = 0, b""
    for block in blocks(file):
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
    for block in blocks(file):
        line += block.count(b"\n", 0, max(offset, 0))
        offset -= len(block)
    return line


def _lines_beyond_ascii(file: Path) -> bytes:
    """Return the first lines with non-ASCII bytes."""
    found, size = [], 0
    with file.open("rb") as source:
        for line in source:
            if not line.isascii():
                found.append(line[:4096])
                size += len(found[-1])
                if size > SAMPLE // 2:
                    break
    return b"".join(found)


def _is_mostly_utf8(sample: bytes) -> bool:
    """Return whether most of the non-ASCII bytes form UTF-8 characters."""
    total = sum(byte > 127 for byte in sample)
    lost = sum(byte > 127 for byte in sample) - sum(
        len(character.encode()) for character in sample.decode("utf-8", "ignore") if ord(character) > 127
    )
    return lost < total / 2


def _guess_single_byte(sample: bytes) -> tuple[str, str]:
    """Guess the encoding of text that is not Unicode.

    In Western languages non-ASCII letters stand alone among ASCII letters; in other scripts they are
    most of a word.
    """
    words = [word for word in re.findall(rb"[A-Za-z\x80-\xff]+", sample) if not word.isascii()]
    foreign = sum(len(re.sub(rb"[A-Za-z]", b"", word)) > max(2, len(word) / 2) for word in words)
    western = "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    letters = [c for c in sample.decode(western) if ord(c) > 127]
    odd = sum(not c.isalpha() and c not in "‘’“”–—…€™®©°·¡¿«»\xa0" for c in letters)
    if foreign > len(words) / 4 or odd > len(letters) / 4:
        from charset_normalizer import from_bytes  # takes a third of a second, and few files need it

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

    For these, CP1250 has letters where Western encodings have symbols, or letters that do not occur together.
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
