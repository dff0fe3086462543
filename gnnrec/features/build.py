"""Posters and plots -> one vector per movie: found, and encoded by the encoder that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from gnnrec.data import ContentEmbeddings, Dataset
from gnnrec.features.encoders.base import Encoder
from gnnrec.features.encoders.pick import pick
from gnnrec.features.encoding import encode
from gnnrec.features.sources import find_plots, find_posters


def encode_posters(
    movies: Dataset | Iterable[Any],
    folder: str | Path,
    encoder: str | Encoder = "auto",
    *,
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    progress: bool = True,
) -> ContentEmbeddings:
    """Turn posters into vectors.

    Parameters
    ----------
    movies : Dataset or iterable of movie ids
    folder : str or Path
        Holds ``<movie_id>.jpg`` or other pictures, see `find_posters`.
    encoder : str or Encoder
        As for `pick`: ``auto``, ``clip:ARCHITECTURE/TAG``, ``clip:ARCHITECTURE:CHECKPOINT``, ``colours``.
    out : str or Path, optional
        Folder in which vectors are kept. What is there already and still true is not encoded again, and an
        interrupted run goes on.
    device : str
        "auto" is a GPU when there is one.
    batch_size : int
        Posters that are open at the same time.
    progress : bool
        Show a bar and say what was done.

    Returns
    -------
    ContentEmbeddings
        Of the movies that have a poster which can be opened, in the order of the dataset. A broken one costs a
        warning.

    Raises
    ------
    DataError
        There are no posters, or none can be opened; or `out` holds something else.
    ConfigError, EncoderError
        There is no such encoder; its package or its weights are missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (60, 90), "red").save(folder / "7.png")
    >>> encode_posters([7, 8], folder, "colours", progress=False)
    ContentEmbeddings(1 movies, 226 wide: colours, a thumbnail and a histogram)
    """
    source, say = find_posters(movies, folder), _say(progress)
    chosen = pick(encoder, "image", device=device, say=say) if isinstance(encoder, str) else encoder
    return encode(source, chosen, out=out, batch_size=batch_size, progress=progress, say=say)


def encode_plots(
    dataset: Dataset,
    plots: str | Path | None = None,
    encoder: str | Encoder = "auto",
    *,
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    progress: bool = True,
) -> ContentEmbeddings:
    """Turn plots into vectors.

    Parameters
    ----------
    dataset : Dataset
    plots : str or Path, optional
        A file, or the name of a column, see `find_plots`; by default the dataset's own plots.
    encoder : str or Encoder
        As for `pick`: ``auto``, ``sentence:MODEL``, ``clip:ARCHITECTURE/TAG``, ``tfidf:DIM``.
    out, device, batch_size, progress
        As for `encode_posters`.

    Returns
    -------
    ContentEmbeddings
        Of the movies that have a plot, in the order of the dataset.

    Raises
    ------
    DataError
        There are no plots, or a row is wrong; or `out` holds something else.
    ConfigError, EncoderError
        There is no such encoder; its package or its weights are missing.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> encode_plots(make_sample(n_users=100, n_movies=80), encoder="tfidf:16", progress=False)
    ContentEmbeddings(80 movies, 16 wide: tfidf:16, TF-IDF and SVD of these texts)
    """
    source, say = find_plots(dataset, plots), _say(progress)
    chosen = pick(encoder, "text", device=device, say=say) if isinstance(encoder, str) else encoder
    return encode(source, chosen, out=out, batch_size=batch_size, progress=progress, say=say)


def _say(progress: bool) -> Callable[[str], None]:
    if not progress:
        return lambda line: None
    console = Console()
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
