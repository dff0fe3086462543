"""Published datasets whose files are not tables of users, movies and ratings.

The Netflix prize, Steam-200k, and the listening logs of Last.fm.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from gnnrec._checks import counted
from gnnrec.data.provenance import ReadLog
from gnnrec.data.tables import Table
from gnnrec.data.text_files import TextFile, first_lines, open_text
from gnnrec.errors import DataError

BLOCK = 1 << 25
_HEADING = re.compile(rb"^[ \t]*(\d+):[ \t]*\r?$", re.MULTILINE)
_STEAM = re.compile(r",\"?(purchase|play)\"?,\d+(\.\d+)?(,0)?$")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def sniff(path: Path) -> str | None:
    """Return the format of a file: "netflix", "steam", "lastfm-360k", "lastfm-1k", "lists" or None for any other."""
    try:
        lines = first_lines(path, 20)
        lines = lines[:-1] if len(lines) > 2 else lines  # the last line may be truncated
    except (OSError, DataError):
        return None  # the error is reported when the file is read
    if len(lines) > 1 and re.fullmatch(r"\s*\d+:\s*", lines[0]) and re.match(r"\d+,\d+(\.\d+)?,\d{4}-", lines[1]):
        return "netflix"
    rows = [line.split("\t") for line in lines if line]
    if rows and all(len(row) == 4 and _SHA1.fullmatch(row[0]) and row[3].strip().isdecimal() for row in rows):
        return "lastfm-360k"
    if rows and all(len(row) == 6 and re.match(r"\d{4}-\d\d-\d\dT", row[1]) for row in rows):
        return "lastfm-1k"
    if lines[1:] and all(_STEAM.search(line) for line in lines[1:] if line):
        return "steam"
    numbers = [line.split(" ") for line in lines if line]
    widths = {len(row) for row in numbers}
    if len(widths) > 1 and all(word.isdecimal() for row in numbers for word in row if word):
        return "lists"
    return None


def read_log(paths: list[Path], kind: str, log: ReadLog) -> dict[str, Table]:
    """Read files of the format that `sniff` returned."""
    readers = {"netflix": _netflix, "steam": _steam, "lastfm-360k": _plays, "lastfm-1k": _listens, "lists": _lists}
    return readers[kind](paths, log)


def _lists(paths: list[Path], log: ReadLog) -> dict[str, Table]:
    """Read lines of a user and all items of that user, as published with NGCF and LightGCN; files are joined."""
    users, items, places = [], [], []
    for path in paths:
        source = open_text(path)
        with source.file.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, 1):
                try:
                    user, *rest = map(int, text.split()) if text.strip() else (None,)
                except ValueError:
                    raise DataError(
                        "expected numbers: a user and the items of that user", at=f"{path}:{line}"
                    ) from None
                users += [user] * len(rest)
                items += rest
                places += [f"{path}:{line}"] * len(rest)
        log.read(path, [*source.notes, "a user and items per line"])
    frame = pd.DataFrame({"user_id": users, "movie_id": items}, dtype="int64")
    if (again := frame.duplicated()).any():
        row = int(np.argmax(again))
        user, movie = frame.iloc[row]
        raise DataError(f"user {user} has item {movie} twice; keep one", at=places[row])
    return {"ratings": Table(paths[0], frame)}


def _netflix(paths: list[Path], log: ReadLog) -> dict[str, Table]:
    """Read lines of user, rating and date under headings of a movie, such as ``8:``."""
    pieces = []
    for path in paths:
        source = open_text(path)
        pieces += list(_netflix_pieces(source))
        log.read(path, [*source.notes, "Netflix prize"])
    return {"ratings": Table(paths[0], pd.concat(pieces, ignore_index=True))}


def _netflix_pieces(source: TextFile) -> Iterator[pd.DataFrame]:
    movie, line = 0, 1
    for block in _whole_lines(source.file):
        headings = list(_HEADING.finditer(block))
        starts = [0, *(heading.end() for heading in headings)]
        ends = [*(heading.start() for heading in headings), len(block)]
        counts = [_count_rows(block, start, end) for start, end in zip(starts, ends, strict=True)]
        movies = [movie, *(int(heading[1]) for heading in headings)]
        body = _HEADING.sub(b"", block)
        if not body.strip():
            movie, line = movies[-1], line + block.count(b"\n")
            continue
        try:
            with np.errstate(invalid="raise"):  # a user such as 1e30
                frame = pd.read_csv(
                    io.BytesIO(body),
                    names=["user_id", "rating", "timestamp"],
                    dtype={"user_id": "int64", "rating": "float32", "timestamp": "category"},
                )
        except (ValueError, FloatingPointError, pd.errors.ParserError):
            raise _netflix_fault(source.path, block, line) from None
        days = pd.to_datetime(pd.Series(frame["timestamp"].cat.categories), format="%Y-%m-%d", errors="coerce")
        if (
            days.isna().any()
            or frame["timestamp"].isna().any()
            or len(frame) != sum(counts)
            or movies[0] < counts[0] > 0
        ):
            raise _netflix_fault(source.path, block, line)
        seconds = days.astype("datetime64[s]").astype("int64").to_numpy()
        frame["timestamp"] = seconds[frame["timestamp"].cat.codes]
        frame.insert(1, "movie_id", np.repeat(np.array(movies, dtype=np.int64), counts))
        yield frame
        movie, line = movies[-1], line + block.count(b"\n")


def _count_rows(block: bytes, start: int, end: int) -> int:
    """Return the number of non-empty lines between two headings."""
    part = block[start:end]
    return (
        sum(1 for text in part.split(b"\n") if text.strip())
        if b"\n\n" in part[1:]
        else part.strip().count(b"\n") + bool(part.strip())
    )


def _netflix_fault(path: Path, block: bytes, first: int) -> DataError:
    for number, text in enumerate(block.decode("utf-8", "replace").split("\n"), first):
        if text.strip() and not re.fullmatch(r"\s*\d+:\s*|\s*\d+,\d+(\.\d+)?,\d{4}-\d\d-\d\d\s*", text):
            return DataError("expected user, rating and date, or a movie such as 8:", at=f"{path}:{number}")
    return DataError(
        "the file does not begin with a movie such as 8:, or has a date that does not exist", at=f"{path}:{first}"
    )


def _whole_lines(file: Path) -> Iterator[bytes]:
    rest = b""
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            block = rest + block
            end = block.rfind(b"\n") + 1
            rest = block[end:]
            if end:
                yield block[:end]
    if rest:
        yield rest


def _steam(paths: list[Path], log: ReadLog) -> dict[str, Table]:
    """Read users, games and hours; a game that was bought and not played counts as an hour."""
    source = open_text(paths[0])
    start = first_lines(paths[0], 2)
    has_header, last = not _STEAM.search(start[0]), _STEAM.search(start[-1])
    names = ["user_id", "movie_id", "what", "hours", *(["zero"] if last is not None and last[3] else [])]
    try:
        frame = pd.read_csv(
            source.file, header=None, names=names, dtype=str, keep_default_na=False, skiprows=int(has_header),
            index_col=False,
        )  # fmt: skip
    except pd.errors.ParserError as error:
        raise DataError(f"{paths[0]} cannot be read: {error}") from None
    hours, users = (pd.to_numeric(frame[name], errors="coerce") for name in ("hours", "user_id"))
    for column, bad in (("hours", ~(hours >= 0)), ("purchase or play", ~frame["what"].isin(["purchase", "play"]))):
        if bad.any():
            row = int(np.argmax(bad))
            at, value = f"{paths[0]}:{row + 1 + has_header}", frame["hours" if column == "hours" else "what"].iloc[row]
            raise DataError(f"{column} expected, not {value!r}", at=at)
    frame = frame.assign(hours=hours, user_id=users.astype("int64") if (users % 1 == 0).all() else frame["user_id"])
    frame = frame.assign(played=frame["what"] == "play")
    sums = frame.groupby(["user_id", "movie_id", "played"], sort=False)["hours"].sum().reset_index("played")
    sums.loc[~sums["played"], "hours"] = 1.0
    best = sums.sort_values("played", kind="stable").groupby(level=[0, 1], sort=False)["hours"].last()
    log.read(paths[0], [*source.notes, "Steam-200k"])
    log.assume(f"the columns of {paths[0].name} are user_id, movie_id, purchase or play, hours")
    ratings = best.reset_index()
    return {"ratings": Table(paths[0], ratings)}


def _plays(paths: list[Path], log: ReadLog) -> dict[str, Table]:
    """Read users, ids and names of artists, and play counts."""
    source = open_text(paths[0])
    names = ["user_id", "artist", "title", "plays"]
    frame = pd.read_csv(source.file, sep="\t", quoting=3, header=None, names=names, dtype=str, keep_default_na=False)
    frame["plays"] = pd.to_numeric(frame["plays"], errors="coerce").fillna(0)
    log.read(paths[0], [*source.notes, "Last.fm-360K"])
    return _artists(paths[0], frame, log)


def _listens(paths: list[Path], log: ReadLog) -> dict[str, Table]:
    """Read users, times and tracks, and count the tracks of each artist."""
    source = open_text(paths[0])
    names = ["user_id", "timestamp", "artist", "title", "track", "track_title"]
    pieces = []
    with pd.read_csv(
        source.file, sep="\t", quoting=3, header=None, names=names, usecols=names[:4], dtype=str,
        keep_default_na=False, chunksize=500_000,
    ) as reader:  # fmt: skip
        for piece in reader:
            seconds = pd.to_datetime(piece["timestamp"], format="ISO8601", utc=True).dt.tz_convert(None)
            piece["timestamp"] = seconds.astype("datetime64[s]").astype("int64")
            groups = piece.groupby(["user_id", "artist", "title"], sort=False)["timestamp"]
            pieces.append(groups.agg(["size", "max"]).reset_index())
    frame = pd.concat(pieces).groupby(["user_id", "artist", "title"], sort=False).agg({"size": "sum", "max": "max"})
    log.read(paths[0], [*source.notes, "Last.fm-1K"])
    return _artists(paths[0], frame.reset_index().rename(columns={"size": "plays", "max": "timestamp"}), log)


def _artists(path: Path, frame: pd.DataFrame, log: ReadLog) -> dict[str, Table]:
    """Return ratings and movies tables of artists; an artist without an id gets the name as id."""
    frame["movie_id"] = frame["artist"].where(frame["artist"] != "", frame["title"])
    lost = frame["movie_id"] == ""
    if lost.any():
        log.note(f"{counted(int(lost.sum()), 'row')} of {path.name} without an artist")
        frame = frame[~lost]
    how = {"plays": "sum"} | ({"timestamp": "max"} if "timestamp" in frame else {})
    ratings = frame.groupby(["user_id", "movie_id"], sort=False).agg(how).reset_index()
    movies = frame[["movie_id", "title"]].drop_duplicates("movie_id").reset_index(drop=True)
    log.assume(f"the movies of {path.name} are artists")
    return {"ratings": Table(path, ratings), "movies": Table(path, movies)}
