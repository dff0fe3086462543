"""Input of the encoders, posters and plots from files or columns; and embeddings computed elsewhere, from files."""

from __future__ import annotations

import hashlib
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gnnrec._checks import as_path
from gnnrec.data import Dataset
from gnnrec.data.compression import max_unpacked
from gnnrec.data.convert import format_id, to_ids, to_text
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.data.tables import SUFFIXES, Table, locator, read_files
from gnnrec.errors import ConfigError, DataError
from gnnrec.features.images import open_poster
from gnnrec.features.store import HASH_BYTES, read_embedding_file, read_safetensors

POSTER_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Suffixes of poster files, in upper or lower case."""
PLOT_COLUMNS = ("plot_full", "full_plot", "plot", "overview", "synopsis", "summary", "description")
"""Columns that hold plots, best first; case and underscores are ignored (``plotFull``, ``Plot``)."""
ID_NAMES = ("movie_ids", "movie_id", "movieIds", "movieId", "ids", "id")
"""Names of the array of movie ids, for npz and safetensors files with more than two arrays."""
EMBEDDING_NAMES = ("embeddings", "vectors", "values", "features")
"""Names of the array of embeddings in such files."""


class SourceItem(NamedTuple):
    """The poster or the plot of a movie."""

    movie_id: Any
    content_hash: bytes
    """Hash of the image file or of the text, 16 bytes."""
    raw: Any
    """Path of the image, or the text."""


@dataclass(frozen=True)
class FeatureSource:
    """The posters or the plots of movies.

    Parameters
    ----------
    name : str
        Feature name, as in ``dataset.features``: "poster" or "text".
    modality : str
        The modality of its encoders, "image" or "text".
    items : list of SourceItem
        In the order of the movies.
    missing : dict
        Movie id to the reason why the movie has no item.
    open : callable
        Maps `raw` of an item to the input of an encoder; raises `GnnrecError` if the item is unusable.
    origin : str
        Folder, file or column, for reports.

    Examples
    --------
    >>> plots = [SourceItem(7, b"its hash", "A heist.")]
    >>> FeatureSource("text", "text", plots, {8: "no text"}, lambda text: text, "my notes")
    FeatureSource(text of 1 movies from my notes, missing for 1)
    """

    name: str
    modality: str
    items: list[SourceItem]
    missing: dict[Any, str]
    open: Callable[[Any], Any]
    origin: str

    def __repr__(self) -> str:
        return (
            f"FeatureSource({self.name} of {len(self.items):,} movies from {self.origin}, "
            f"missing for {len(self.missing):,})"
        )


def find_posters(movies: Dataset | Iterable[Any], folder: str | Path) -> FeatureSource:
    """Find the posters of movies in a folder.

    Parameters
    ----------
    movies : Dataset or iterable of movie ids
    folder : str or Path
        Contains ``<movie_id>.jpg`` or another of `POSTER_SUFFIXES`; with integer ids, ``0007.jpg`` belongs to movie 7.
        Other files are ignored.

    Returns
    -------
    FeatureSource
        Files are hashed, but not decoded yet.

    Raises
    ------
    DataError
        The folder does not exist, has no poster of any movie, or has two of one movie.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (60, 90)).save(folder / "7.png")
    >>> posters = find_posters([7, 8], folder)
    >>> [item.movie_id for item in posters.items], posters.missing
    ([7], {8: 'no image'})
    """
    ids, folder = _movie_ids(movies), as_path(folder, "a folder of posters")
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder of posters")
    integer_ids = pd.api.types.is_integer_dtype(ids.dtype)
    found: dict[Any, Path] = {}
    known, num_images = set(ids), 0
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in POSTER_SUFFIXES and path.is_file()):
        movie = int(path.stem) if integer_ids and path.stem.isdecimal() else path.stem
        num_images += 1
        if movie not in known:
            continue
        if movie in found:
            raise DataError(
                f"movie {movie!r} has two posters, {found[movie].name} and {path.name}; keep one", at=str(folder)
            )
        found[movie] = path
    if not found:
        raise DataError(
            f"{folder} contains {num_images} images, but no poster of any movie; name the files <movie_id>.jpg"
        )
    items = [SourceItem(movie, _hash_file(found[movie]), found[movie]) for movie in ids if movie in found]
    missing = dict.fromkeys((movie for movie in ids if movie not in found), "no image")
    return FeatureSource("poster", "image", items, missing, open_poster, str(folder))


def find_plots(dataset: Dataset, plots: str | Path | None = None) -> FeatureSource:
    """Find the plots of movies.

    Parameters
    ----------
    dataset : Dataset
    plots : str or Path, optional
        A CSV, TSV or Parquet file with movie ids and one of `PLOT_COLUMNS`, or the name of a column of
        ``dataset.movies``; by default the first of `PLOT_COLUMNS` that the dataset has.

    Returns
    -------
    FeatureSource
        Texts are stripped; empty ones and "N/A" count as missing.

    Raises
    ------
    DataError
        The file or column does not exist, it has no plot of any movie, or a movie id is duplicated, missing or of
        another type than in the dataset; the message names file and line.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> find_plots(make_sample(num_users=100, num_movies=80))
    FeatureSource(text of 80 movies from column plot, missing for 0)
    """
    ids = _movie_ids(dataset)
    if plots is not None and (isinstance(plots, Path) or plots not in dataset.movies):
        texts, origin = _read_plots(ids, as_path(plots, "a file of plots"))
    else:
        column = plots or _plot_column(dataset.movies)
        if column is None:
            raise DataError(
                f"the movies of {dataset.name} have no plots; give a file with a column {' or '.join(PLOT_COLUMNS)}"
            )
        texts, origin = pd.Series(to_text(dataset.movies[column]).array, index=ids), f"column {column}"
    known = texts[texts.notna() & texts.index.isin(ids)].reindex(ids).dropna()
    if known.empty:
        raise DataError(f"{origin} has no plot of any movie of {dataset.name}")
    items = [SourceItem(movie, _hash(text.encode()), text) for movie, text in known.items()]
    missing = dict.fromkeys(ids.difference(known.index, sort=False), "no text")
    return FeatureSource("text", "text", items, missing, lambda text: text, origin)


def read_embeddings(
    path: str | Path, *, ids: str | Path | None = None, dataset: Dataset | None = None, description: str | None = None
) -> ContentEmbeddings:
    r"""Read embeddings of movies that were computed elsewhere.

    The file must contain the movie id of each row: rows are never assumed to be in the order of a dataset.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv`` or ``.parquet``: a column of movie ids (``movie_id``, ``movieId``, ...), the others numeric.
        ``.npz`` or ``.safetensors``: a 1-D array of ids and a 2-D array of embeddings, the only ones or named as in
        `ID_NAMES` and `EMBEDDING_NAMES`; also the files of ``gnnrec features``. ``.npy``: a 2-D array of embeddings,
        with `ids` in another file.
    ids : str or Path, optional
        For ``.npy``: a table with a column of movie ids, or an ``.npy`` file of ids, one for each row. By default
        ``NAME.ids.csv`` or ``NAME.ids.npy`` next to ``NAME.npy``.
    dataset : Dataset, optional
        The file must contain at least one of its movies, and ids get its id type.
    description : str, optional
        For reports; by default the name of the file.

    Returns
    -------
    ContentEmbeddings
        In file order.

    Raises
    ------
    DataError
        The file is missing, damaged or malformed, an id is missing or duplicated, a value is not a finite number, or
        no movie of the dataset is in it; for tables the message names file and line.
    ConfigError
        `ids` are given for a file that contains its own.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("movieId,x,y\n1,0.5,1\n7,0,2\n")
    >>> embeddings = read_embeddings(path)
    >>> embeddings.movie_ids.tolist(), embeddings.values.tolist()
    ([1, 7], [[0.5, 1.0], [0.0, 2.0]])
    """
    path = as_path(path, "a file of embeddings")
    suffix = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    if ids is not None and suffix != ".npy":
        raise ConfigError(f"a separate file of ids is for .npy files only; {path.name} contains its own ids")
    known = None if dataset is None else _movie_ids(dataset)
    if suffix in SUFFIXES:
        found, values = _read_table(path, known)
    elif suffix == ".npz":
        found, values = _select_arrays(_load_npz(path), path)
    elif suffix == ".npy":
        found, values = _read_ids(path, ids, known), _load_npy(path)
    elif suffix == ".safetensors":
        header, tensors = read_safetensors(path)
        if header is not None:
            return _check_overlap(read_embedding_file(path).embeddings, known, path)
        found, values = _select_arrays(tensors, path)
    else:
        kinds = ", ".join((*SUFFIXES, ".npy", ".npz", ".safetensors"))
        raise DataError(f"{path} has an unsupported suffix; embeddings are read from {kinds}")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path} contains {values.dtype}, not numbers")
    try:
        embeddings = ContentEmbeddings(found, values, description or f"from {path.name}")
    except DataError as error:
        raise DataError(error.problem, at=str(path)) from None
    return _check_overlap(embeddings, known, path)


def read_movie_table(path: Path, ids: pd.Index | None = None) -> Table:
    """Read a table with one row per movie.

    Parameters
    ----------
    path : Path
        CSV, TSV or Parquet.
    ids : pandas.Index, optional
        Movie ids of a dataset; the ids of the file get their type, integer or text.

    Returns
    -------
    Table
        With a validated column ``movie_id``.

    Raises
    ------
    DataError
        The file or its column of movie ids is missing, or an id is missing, duplicated or not an integer like those
        of the dataset.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    text_ids = {"movie_id"} if ids is not None and not pd.api.types.is_integer_dtype(ids.dtype) else set()
    table = read_files({"table": path}, {"table": "movies"}, text_ids)["table"]
    if "movie_id" not in table.frame:
        raise DataError("there is no column movie_id; every row needs the id of its movie", at=str(path))
    try:
        found = to_ids(table.frame["movie_id"], "table")
    except DataError as error:
        raise error.relocated(locator({"table": table})) from None
    if text_ids:
        found = found.astype(str)
    elif ids is not None and not pd.api.types.is_integer_dtype(found.dtype):
        invalid = ~found.str.fullmatch(r"[+-]?\d{1,18}").to_numpy(dtype=bool)
        if invalid.any():
            row = int(invalid.argmax())
            problem = f"movie id {found[row]!r} is not an integer like the ids of the dataset"
            raise DataError(problem, at=table.locate(row))
        found = found.astype("int64")  # with integer ids, 0007 is 7
    if found.duplicated().any():
        row = int(found.duplicated().to_numpy().argmax())
        first = int((found == found[row]).to_numpy().argmax())
        raise DataError(
            f"movie {format_id(found[row])} is duplicated", at=table.locate(row), earlier=table.locate(first)
        )
    return Table(path, table.frame.assign(movie_id=found), table.line)


def _read_plots(ids: pd.Index, path: Path) -> tuple[pd.Series, str]:
    """Return the texts of a file, indexed by movie, and their origin."""
    table = read_movie_table(path, ids)
    column = _plot_column(table.frame)
    if column is None:
        raise DataError(f"there is no column with plots; expected one of {', '.join(PLOT_COLUMNS)}", at=str(path))
    return table.frame.set_index("movie_id")[column].pipe(to_text), f"column {column} of {path.name}"


def _plot_column(frame: pd.DataFrame) -> str | None:
    plain = {"".join(filter(str.isalnum, str(name).lower())): str(name) for name in frame.columns}
    plain |= {"plot": "plot"} if "plot" in frame else {}  # the reader of the file already chose it among several
    return next((plain[key] for name in PLOT_COLUMNS if (key := name.replace("_", "")) in plain), None)


def _movie_ids(movies: Dataset | Iterable[Any]) -> pd.Index:
    ids: pd.Index = pd.Index(movies.movies["movie_id"] if isinstance(movies, Dataset) else movies)
    return ids


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def _hash_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).digest()


def _read_table(path: Path, known: pd.Index | None) -> tuple[Any, np.ndarray]:
    table = read_movie_table(path, known)
    columns = table.frame.drop(columns="movie_id")
    if columns.empty:
        raise DataError("there are no numeric columns besides the movie ids", at=str(path))
    for name in columns:
        numbers = pd.to_numeric(columns[name], errors="coerce")
        invalid = ~np.isfinite(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
        if invalid.any():
            row = int(invalid.argmax())
            problem = (
                f"{name} is {format_id(columns[name].iloc[row])}; every column but movie_id must hold finite numbers"
            )
            raise DataError(problem, at=table.locate(row))
        columns[name] = numbers
    return table.frame["movie_id"], columns.to_numpy(dtype=np.float32)


def _read_ids(path: Path, ids: str | Path | None, known: pd.Index | None) -> Any:
    """Return the movie ids that belong to the rows of an npy file."""
    defaults = [path.with_suffix(".ids.csv"), path.with_suffix(".ids.npy")]
    file = (
        as_path(ids, "a file of movie ids")
        if ids is not None
        else next((name for name in defaults if name.is_file()), None)
    )
    if file is None:
        raise DataError(
            f"the movie ids for the rows of {path} are missing; put {defaults[0].name} next to it, "
            "with a column movie_id"
        )
    if file.suffix.lower() != ".npy":
        return read_movie_table(file, known).frame["movie_id"]
    found = _load_npy(file)
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        raise DataError(
            f"{file} must be a 1-D array of integer or text movie ids, not {found.dtype} of shape {found.shape}"
        )
    return found


NUMPY_ERRORS = (ValueError, TypeError, OSError, EOFError, MemoryError, OverflowError, SyntaxError, tokenize.TokenError)
"""Errors that NumPy raises for a damaged file, whose header it parses as a Python literal."""


def _load_npy(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except NUMPY_ERRORS as error:
        raise DataError(f"{path} is damaged or not a numeric array: {error}") from None
    if not isinstance(loaded, np.ndarray):
        raise DataError(f"{path} is not an npy file, despite its suffix")
    return loaded


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())  # reading never exceeds these
        if total > max_unpacked(path):
            raise DataError(f"{path} unpacks from {path.stat().st_size:,} to {total:,} bytes, too many for embeddings")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DataError:
        raise
    except (*NUMPY_ERRORS, AttributeError, TypeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or not an npz file: {error}") from None


def _select_arrays(arrays: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the array of movie ids and the array of embeddings."""
    ids = [name for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind in "iuU"]
    tables = [name for name, array in arrays.items() if array.ndim == 2]
    ids = ids if len(ids) == 1 else [name for name in ID_NAMES if name in ids][:1]
    tables = tables if len(tables) == 1 else [name for name in EMBEDDING_NAMES if name in tables][:1]
    if not ids or not tables:
        shapes = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            f"{path} must contain a 1-D array of integer or text ids, {ID_NAMES[0]}, and a 2-D array, "
            f"{EMBEDDING_NAMES[0]}; it contains {shapes}"
        )
    return arrays[ids[0]], arrays[tables[0]]


def _check_overlap(embeddings: ContentEmbeddings, known: pd.Index | None, path: Path) -> ContentEmbeddings:
    if known is not None and not embeddings.movie_ids.isin(known).any():
        examples = [", ".join(map(repr, ids[:3].tolist())) for ids in (embeddings.movie_ids, known)]
        raise DataError(
            f"none of the {len(embeddings):,} movies of {path} is in the dataset: the file has {examples[0]}, ..., "
            f"the dataset has {examples[1]}, ..."
        )
    return embeddings
