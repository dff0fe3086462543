"""Opens history files: a file, a zip file, or the folder of an unpacked one."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gnnrec._checks import as_path
from gnnrec.datasets.histories.entries import HistoryFile, UnknownFormatError, known_formats
from gnnrec.datasets.histories.items import parse_json
from gnnrec.datasets.histories.tables import parse_text
from gnnrec.errors import DataError

MAX_BYTES = 64 << 20
"""Maximum size of an export, unpacked."""
MAX_MEMBERS = 10_000
"""Maximum number of files in a zip file."""
MAX_COMPRESSION_RATIO = 200
_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".md")
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


def read_history_file(path: str | Path, *, netflix_profile: str | None = None) -> HistoryFile:
    """Read an export: a file, a zip file, or the folder of an unpacked one.

    Parameters
    ----------
    path : str or Path
    netflix_profile : str, optional
        For exports of Netflix with several profiles: which one.

    Returns
    -------
    HistoryFile
        Entries, rows that are not used, and notes.

    Raises
    ------
    DataError
        The file is missing, too large, damaged, or of no known kind.
    """
    path = as_path(path, "a history")
    if path.is_dir():
        members = _folder_members(path)
    elif not path.is_file():
        raise DataError(f"{path} does not exist")
    elif zipfile.is_zipfile(path):
        members = _zip_members(path)
    elif path.suffix.lower() == ".zip":
        raise DataError(f"{path} is not a zip file, or it is damaged; download it again")
    else:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path} has {size >> 20} MiB; a history is at most {MAX_BYTES >> 20} MiB")
        return _parse(path.read_bytes(), str(path), path.name, netflix_profile)
    found, unknown = HistoryFile(""), []
    # Text files next to tables are notes; text files alone are lists of titles.
    for name, data in sorted(members, key=lambda member: member[0].lower().endswith((".txt", ".md"))):
        if found.source and name.lower().endswith((".txt", ".md")):
            unknown.append(name)
            continue
        try:
            found.add(_parse(data, f"{path}/{name}", name, netflix_profile))
        except UnknownFormatError:
            unknown.append(name)
    if not found.source:
        listed = ", ".join(unknown[:5]) or "no .csv, .json or .txt file"
        raise DataError(f"{path} is not a known export (it has {listed}); {known_formats()}")
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        found.notes.append(f"files not used: {', '.join(unknown[:3])}{more}")
    return found


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    for path in paths[: MAX_MEMBERS + 1]:
        total += path.stat().st_size
        if total > MAX_BYTES or len(paths) > MAX_MEMBERS:
            raise DataError(f"{folder} has too many or too large files for a history; pass the path of the file")
        if not _is_ignored(name := path.relative_to(folder).as_posix()):
            yield name, path.read_bytes()


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the tables in a zip file, which is never unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
            if len(infos) > MAX_MEMBERS:
                raise DataError(f"{path} has {len(infos):,} files; an export has at most {MAX_MEMBERS:,}")
            wanted = [info for info in infos if info.filename.lower().endswith(_SUFFIXES)]
            wanted = [info for info in wanted if not _is_ignored(info.filename)]
            for info in wanted:
                ratio = info.file_size / max(info.compress_size, 1)
                if info.file_size > MAX_BYTES or (info.file_size > 1 << 20 and ratio > MAX_COMPRESSION_RATIO):
                    size = f"unpacks to {info.file_size >> 20:,} MiB"
                    raise DataError(f"{path}: {info.filename} {size}, too large for a history file")
                if info.flag_bits & 1:
                    raise DataError(f"{path}: {info.filename} is encrypted; unpack it and pass the folder")
            if sum(info.file_size for info in wanted) > MAX_BYTES:
                raise DataError(
                    f"{path} unpacks to more than {MAX_BYTES >> 20} MiB; unpack it and pass the path of one file"
                )
            for info in wanted:
                with file.open(info) as member:
                    yield info.filename, member.read(MAX_BYTES)
    except _ZIP_ERRORS as error:
        raise DataError(f"{path} is a damaged zip file: {error}; download it again") from None


def _is_ignored(name: str) -> bool:
    """Return whether to ignore a file of an export: hidden, deleted, or a duplicate of other files."""
    parts = [part.lower() for part in PurePosixPath(name.replace("\\", "/")).parts]
    folders = {"__macosx", "deleted", "orphaned", "lists"}
    if parts[-1].endswith((".txt", ".md")) and _DOCUMENT.match(parts[-1]):
        return True
    return parts[-1].startswith(".") or bool(folders.intersection(parts[:-1])) or parts[-1] in _IGNORED_FILES


_DOCUMENT = re.compile(r"readme|licen[cs]e|notice|changelog|copying|terms|about|privacy|info\b")
_IGNORED_FILES = {"profile.csv", "comments.csv", "reviews.csv"}  # Letterboxd's; diary.csv has the ratings of reviews


def _parse(data: bytes, label: str, name: str, netflix_profile: str | None) -> HistoryFile:
    text = _decode(data, label)
    if not text.strip():
        raise DataError(f"{label} is empty")
    start = text.lstrip()[:1]
    if start in "[{" and (name.lower().endswith(".json") or start == "{" or text.lstrip()[1:].lstrip()[:1] in '{"]'):
        return parse_json(text, label, name)
    if name.lower().endswith((".json", ".jsonl")):
        raise DataError(f"{label} is not JSON")
    return parse_text(text, label, name, netflix_profile)


def _decode(data: bytes, label: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:4096]:
        raise UnknownFormatError(f"{label} is not text; {known_formats()}")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if encoding == "utf-16":
            raise DataError(f"{label} is damaged UTF-16; save it as UTF-8") from None
        return data.decode("cp1252", errors="replace")  # older exports of IMDb
