"""Where posters and plots come from: a folder of pictures, a column of the movies, a table of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gnnrec.data import Dataset
from gnnrec.data.schema import format_id, to_ids, to_text
from gnnrec.data.tables import Table, locator, read_files
from gnnrec.errors import DataError
from gnnrec.features.images import open_poster
from gnnrec.features.store import HASH_BYTES

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Of files that are taken for posters, in upper or lower case."""
TEXT_COLUMNS = ("plot_full", "full_plot", "plot", "overview", "synopsis", "summary", "description")
"""Columns that hold plots, best first; how they are spelled (``plotFull``, ``Plot``) does not matter."""


class Item(NamedTuple):
    """A movie's poster or plot."""

    movie_id: Any
    content: bytes
    """Hash of the picture's bytes or of the text; 16 bytes."""
    raw: Any
    """The picture's path, or the text."""


@dataclass(frozen=True)
class Source:
    """The posters or the plots of movies.

    Parameters
    ----------
    modality : str
        "poster" or "text".
    reads : str
        Which encoders read it: "image" or "text".
    items : list of Item
        In the order of the movies.
    missing : dict
        Movie id -> why there is nothing.
    open : callable
        From an item's `raw` to what an encoder prepares; a `GnnrecError` says what is wrong with it.
    place : str
        Where it comes from, for reports.

    Examples
    --------
    >>> plots = [Item(7, b"its hash", "A heist.")]
    >>> Source("text", "text", plots, {8: "no text"}, lambda text: text, "my notes")
    text of 1 movies from my notes, 1 have none
    """

    modality: str
    reads: str
    items: list[Item]
    missing: dict[Any, str]
    open: Callable[[Any], Any]
    place: str

    def __repr__(self) -> str:
        return f"{self.modality} of {len(self.items):,} movies from {self.place}, {len(self.missing):,} have none"


def find_posters(movies: Dataset | Iterable[Any], folder: str | Path) -> Source:
    """Find the posters of movies in a folder.

    Parameters
    ----------
    movies : Dataset or iterable of movie ids
    folder : str or Path
        Holds ``<movie_id>.jpg`` and the like, see `ENDINGS`; where ids are numbers, ``0007.jpg`` is that of 7. Other
        files are left alone.

    Returns
    -------
    Source
        Files are hashed, not opened as pictures yet.

    Raises
    ------
    DataError
        There is no such folder, no poster of any movie in it, or two of one movie.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (60, 90)).save(folder / "7.png")
    >>> posters = find_posters([7, 8], folder)
    >>> [item.movie_id for item in posters.items], posters.missing
    ([7], {8: 'no picture'})
    """
    ids, folder = _movie_ids(movies), Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of posters")
    numbers = pd.api.types.is_integer_dtype(ids.dtype)
    found: dict[Any, Path] = {}
    wanted, pictures = set(ids), 0
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file()):
        movie = int(path.stem) if numbers and path.stem.isdecimal() else path.stem
        pictures += 1
        if movie not in wanted:
            continue
        if movie in found:
            raise DataError(
                f"movie {movie!r} has two posters, {found[movie].name} and {path.name}; keep one", at=str(folder)
            )
        found[movie] = path
    if not found:
        raise DataError(f"{folder} has no poster of any movie; {pictures} pictures are there, expected <movie_id>.jpg")
    items = [Item(movie, _hash_file(found[movie]), found[movie]) for movie in ids if movie in found]
    missing = dict.fromkeys((movie for movie in ids if movie not in found), "no picture")
    return Source("poster", "image", items, missing, open_poster, str(folder))


def find_plots(dataset: Dataset, plots: str | Path | None = None) -> Source:
    """Find the plots of movies.

    Parameters
    ----------
    dataset : Dataset
    plots : str or Path, optional
        A CSV, TSV or Parquet file with movie ids and one of `TEXT_COLUMNS`, or the name of a column of
        ``dataset.movies``; by default the first of `TEXT_COLUMNS` that it has.

    Returns
    -------
    Source
        Texts are without blanks around them; empty ones and "N/A" count as missing.

    Raises
    ------
    DataError
        There is no such file or column, no plot of any movie, a movie is there twice, or its id is missing or of
        another type than in the dataset; the message names file and line.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> find_plots(make_sample(n_users=100, n_movies=80))
    text of 80 movies from column plot, 0 have none
    """
    ids, given = _movie_ids(dataset), None if plots is None else str(plots)
    if given is not None and (given not in dataset.movies or isinstance(plots, Path)):
        texts, place = _from_file(ids, Path(given).expanduser())
    else:
        column = given or _text_column(dataset.movies)
        if column is None:
            raise DataError(f"the movies of {dataset.name} have no plots; give a file with {', '.join(TEXT_COLUMNS)}")
        texts, place = pd.Series(to_text(dataset.movies[column]).array, index=ids), f"column {column}"
    known = texts[texts.notna() & texts.index.isin(ids)].reindex(ids).dropna()
    if known.empty:
        raise DataError(f"{place} has no plot of any movie of {dataset.name}")
    items = [Item(movie, _hash(text.encode()), text) for movie, text in known.items()]
    missing = dict.fromkeys(ids.difference(known.index, sort=False), "no text")
    return Source("text", "text", items, missing, lambda text: text, place)


def _from_file(ids: pd.Index, path: Path) -> tuple[pd.Series, str]:
    """Return the texts in a file, by movie."""
    table = read_by_movie(path, ids)
    column = _text_column(table.frame)
    if column is None:
        raise DataError(f"no column with plots; expected one of {', '.join(TEXT_COLUMNS)}", at=str(path))
    return table.frame.set_index("movie_id")[column].pipe(to_text), f"{path.name}, {column}"


def read_by_movie(path: Path, ids: pd.Index | None = None) -> Table:
    """Read a table with a row per movie.

    Parameters
    ----------
    path : Path
        CSV, TSV or Parquet.
    ids : pandas.Index, optional
        Movie ids of a dataset; those of the file must be numbers or text as these.

    Returns
    -------
    Table
        Its column ``movie_id`` is checked.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    text_ids = {"movie_id"} if ids is not None and not pd.api.types.is_integer_dtype(ids.dtype) else set()
    table = read_files({"table": path}, {"table": "movies"}, text_ids)["table"]
    if "movie_id" not in table.frame:
        raise DataError("no column movie_id; every row needs the id of its movie", at=str(path))
    try:
        found = to_ids(table.frame["movie_id"], "table")
    except DataError as error:
        raise error.relocated(locator({"table": table})) from None
    if text_ids:
        found = found.astype(str)
    elif ids is not None and not pd.api.types.is_integer_dtype(found.dtype):
        wrong = ~found.str.fullmatch(r"[+-]?\d{1,18}").to_numpy(dtype=bool)
        if wrong.any():
            row = int(wrong.argmax())
            problem = f"movie id {found[row]!r} is not a whole number like those of the dataset"
            raise DataError(problem, at=table.locate(row))
        found = found.astype("int64")  # 0007 is 7 where ids are numbers
    if found.duplicated().any():
        row = int(found.duplicated().to_numpy().argmax())
        first = int((found == found[row]).to_numpy().argmax())
        raise DataError(
            f"movie {format_id(found[row])} is there twice", at=table.locate(row), earlier=table.locate(first)
        )
    return Table(path, table.frame.assign(movie_id=found), table.line)


def _text_column(frame: pd.DataFrame) -> str | None:
    plain = {"".join(filter(str.isalnum, str(name).lower())): str(name) for name in frame.columns}
    plain |= {"plot": "plot"} if "plot" in frame else {}  # chosen among several already when the file was read
    return next((plain[key] for name in TEXT_COLUMNS if (key := name.replace("_", "")) in plain), None)


def _movie_ids(movies: Dataset | Iterable[Any]) -> pd.Index:
    return pd.Index(movies.movies["movie_id"] if isinstance(movies, Dataset) else movies)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def _hash_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).digest()
