"""One plot or one poster -> a vector, by the encoder that made those of the other movies."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec.data import ContentEmbeddings
from gnnrec.errors import ConfigError, DataError
from gnnrec.features.encoders.base import Encoder
from gnnrec.features.encoders.pick import pick
from gnnrec.features.encoders.sentence import FROM_FOLDER
from gnnrec.features.images import open_poster

EXAMPLES = {
    "text": "'sentence:all-MiniLM-L6-v2'",
    "image": "'clip:ViT-B-32:my/checkpoint.pt'",
}
"""How an encoder is named where it has to be, for messages."""


def encode_plot(plot: str, encoder: str | Encoder | ContentEmbeddings, *, device: str = "auto") -> np.ndarray:
    """Turn one plot into a vector.

    Parameters
    ----------
    plot : str
    encoder : str, Encoder or ContentEmbeddings
        Its name, as for `encode_plots`; what `pick` returns, which for many plots saves reading the weights again; or
        vectors, ``graph.dataset.features["text"]``, of which the encoder is then used.
    device : str
        "auto" is a GPU when there is one.

    Returns
    -------
    numpy.ndarray
        ``[dim]`` float32, the one that `encode_plots` would return.

    Raises
    ------
    DataError
        The plot is empty, or no text.
    ConfigError
        There is no such encoder; it is fitted to all plots at once, as ``tfidf`` is; or vectors do not tell theirs.
    EncoderError
        Its package or its weights are missing.

    Examples
    --------
    >>> vector = encode_plot("A ship is lost in space.", "sentence:all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> gnnrec.similar_movies(graph, gnnrec.NewMovie(features={"text": vector}))  # doctest: +SKIP

    What is fitted to all plots cannot take one more:

    >>> encode_plot("A ship is lost in space.", "tfidf")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: tfidf:256 is fitted to all texts at once, ...
    """
    if not isinstance(plot, str) or not plot.strip():
        raise DataError(f"a plot must be a text, not {plot!r}; leave it out where there is none")
    return _encoded(plot.strip(), _single(encoder, "text", device))


def encode_poster(path: str | Path, encoder: str | Encoder | ContentEmbeddings, *, device: str = "auto") -> np.ndarray:
    """Turn one poster into a vector.

    Parameters
    ----------
    path : str or Path
        A picture, see `gnnrec.features.images.open_poster`.
    encoder : str, Encoder or ContentEmbeddings
        Its name, as for `encode_posters`; what `pick` returns; or vectors, ``graph.dataset.features["poster"]``, of
        which the encoder is then used.
    device : str
        "auto" is a GPU when there is one.

    Returns
    -------
    numpy.ndarray
        ``[dim]`` float32, the one that `encode_posters` would return.

    Raises
    ------
    PosterError
        The file is missing, damaged or no picture.
    ConfigError
        There is no such encoder, or vectors do not tell theirs.
    EncoderError
        Its package or its weights are missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from gnnrec.features import encode_posters
    >>> folder = Path(tempfile.mkdtemp())
    >>> for movie_id, colour in {7: "red", 8: "darkred", 9: "blue"}.items():
    ...     Image.new("RGB", (60, 90), colour).save(folder / f"{movie_id}.png")
    >>> posters = encode_posters([8, 9], folder, "colours", progress=False)
    >>> vector = encode_poster(folder / "7.png", posters)  # by the same encoder
    >>> int(posters.movie_ids[(posters.values @ vector).argmax()])  # the most alike
    8
    """
    return _encoded(open_poster(path), _single(encoder, "image", device))


def _single(encoder: str | Encoder | ContentEmbeddings, reads: str, device: str) -> Encoder:
    """Return an encoder that can turn a single text or picture into a vector."""
    name = _name_of(encoder, reads) if isinstance(encoder, ContentEmbeddings) else encoder
    chosen = pick(name, reads, device=device) if isinstance(name, str) else name
    if chosen.reads != reads:
        raise ConfigError(f"{chosen.name} reads {chosen.reads}s, not {reads}s")
    if chosen.fitted:
        raise ConfigError(
            f"{chosen.name} is fitted to all {reads}s at once, so a single one has no vector that fits theirs; "
            f"encode it together with the others, or all of them by an encoder that is not fitted, {EXAMPLES[reads]}"
        )
    return chosen


def _name_of(vectors: ContentEmbeddings, reads: str) -> str:
    """Return the name of the encoder that made vectors, as `pick` understands it.

    Raises
    ------
    ConfigError
        Nobody knows: they were given, or the weights are somebody's own files, whose place is not kept.
    """
    name, _, how = vectors.about.partition(", ")
    remedy = f"name the encoder: {EXAMPLES[reads]}"
    try:
        made = pick(name, reads)
    except ConfigError:
        raise ConfigError(f"{vectors!r} do not tell their {reads} encoder; {remedy}") from None
    if how.startswith(FROM_FOLDER) or (name.startswith("clip:") and name.count(":") > 1):
        raise ConfigError(f"{made.name} was somebody's own files, and where they lie is not kept; {remedy}")
    return made.name


def _encoded(raw: Any, encoder: Encoder) -> np.ndarray:
    encoder.load()
    vector = encoder.encode([encoder.prepare(raw)])[0]
    if remark := encoder.remark():
        warnings.warn(remark, stacklevel=3)
    return np.asarray(vector, dtype=np.float32)
