"""Unpacks a zip file that came over the network and is not trusted."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from gnnrec.errors import DataError

MAX_BYTES = 8 << 30  # the largest MovieLens set unpacks to about 2 GiB
MAX_RATIO = 100  # rating files shrink about fivefold; a bomb, a thousandfold


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a zip file whose members lie in one folder.

    Parameters
    ----------
    archive : Path
        The zip file.
    into : Path
        A new folder.

    Returns
    -------
    Path
        The one folder that was in the archive, or `into` when there are several entries.

    Raises
    ------
    DataError
        The archive is damaged, or a member is a link, would land outside `into`, or the whole is
        suspiciously large. What was unpacked until then stays in `into`, for the caller to remove.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            _check(file, archive.stat().st_size)
            for member in file.infolist():
                target = into / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                # Reading a member to its end also compares its CRC.
                with file.open(member) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"the archive is damaged: {error}") from error
    entries = list(into.iterdir()) if into.is_dir() else []
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else into


def _check(file: zipfile.ZipFile, packed_bytes: int) -> None:
    for member in file.infolist():
        name = member.filename
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise DataError(f"the archive is unsafe: member {name!r} would land outside the folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"the archive is unsafe: member {name!r} is a link or a device")
    # zipfile never yields more than the size a member states, so the stated sizes can be relied on.
    total = sum(member.file_size for member in file.infolist())
    if total > min(MAX_BYTES, MAX_RATIO * packed_bytes):
        raise DataError(f"the archive is unsafe: it would unpack from {packed_bytes:,} to {total:,} bytes")
