"""`encode`: what a source holds -> vectors. Only what has no vector yet is encoded, batch by batch."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gnnrec.data import ContentEmbeddings
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.features.cache import Cache, key_of
from gnnrec.features.encoders.base import Encoder
from gnnrec.features.sources import Item, Source
from gnnrec.features.store import FORMAT, Stored

WARNINGS = 10
"""So many broken posters get a warning each, the others one together."""


def encode(
    source: Source,
    encoder: Encoder,
    *,
    out: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> ContentEmbeddings:
    """Encode what a source holds; `encode_posters` and `encode_plots` say more about it.

    Parameters
    ----------
    source : Source
    encoder : Encoder
        One that reads what the source holds.
    out, batch_size, progress
        As for `encode_posters`.
    say : callable
        Gets the line at the end: how many were encoded, how many were kept from before, how many have none.

    Returns
    -------
    ContentEmbeddings
        Of the movies that could be encoded, in the order of the source.

    Raises
    ------
    ConfigError
        The encoder reads something else, or `batch_size` is below 1.
    DataError
        Nothing could be encoded, or `out` holds something else.
    EncoderError
        The encoder's package or its weights are missing.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.features import find_plots, pick
    >>> encode(find_plots(make_sample(20, 30)), pick("tfidf:8", "text"), progress=False, say=lambda line: None)
    ContentEmbeddings(30 movies, 8 wide: tfidf:8, TF-IDF and SVD of these texts)
    """
    if encoder.reads != source.reads:
        raise ConfigError(f"{encoder.name} reads {encoder.reads}s, which {source.modality}s are not")
    if batch_size < 1:
        raise ConfigError(f"batch_size must be a whole number of at least 1, not {batch_size}")
    values = encoder.key | ({"corpus": _corpus(source.items)} if encoder.fitted else {})
    key = key_of(values)
    cache = Cache(None if out is None else Path(out).expanduser(), source.modality, key)
    todo = {item.content: item for item in source.items if item.content not in cache.known}
    start = time.perf_counter()
    broken: dict[bytes, str] = {}
    if todo:
        encoder.load()
        start = time.perf_counter()
        with cache.keeping():
            broken = _encode(source, encoder, list(todo.values()), cache, batch_size, progress)
    seconds = time.perf_counter() - start
    missing = source.missing | {item.movie_id: broken[item.content] for item in source.items if item.content in broken}
    items = [item for item in source.items if item.content in cache.known]
    if not items:
        raise DataError(f"no {source.modality} from {source.place} could be encoded")
    vectors = ContentEmbeddings(
        [item.movie_id for item in items], np.stack([cache.known[item.content] for item in items]), encoder.about
    )
    account = {
        "format": FORMAT,
        "modality": source.modality,
        "encoder": encoder.name,
        "about": encoder.about,
        "key": key,
        "depends_on": values,
        "source": Path(source.place).name,
        "movies": len(vectors),
        "dim": vectors.dim,
        "missing": _by_reason(missing),
    }
    cache.finish(Stored(vectors, [item.content for item in items], key, encoder.fitted), account)
    new = sum(item.content in todo for item in items)
    rate = f" in {seconds:.1f} s, {(len(todo) - len(broken)) / seconds:,.1f} per second" if new else ""
    say(
        f"{source.modality}: {new:,} encoded{rate}; {len(items) - new:,} from before; {len(missing):,} movies have none"
    )
    if todo and (remark := encoder.remark()):
        warnings.warn(remark, stacklevel=3)
    return vectors


def _encode(
    source: Source, encoder: Encoder, items: list[Item], cache: Cache, batch_size: int, progress: bool
) -> dict[bytes, str]:
    """Encode into the cache; return what is wrong with the items that cannot be opened."""
    broken: dict[bytes, str] = {}
    size = len(items) if encoder.fitted else batch_size
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task(f"{source.modality}s, {encoder.name}", total=len(items))
        for start in range(0, len(items), size):
            content, ready = [], []
            for item in items[start : start + size]:
                try:
                    prepared = encoder.prepare(source.open(item.raw))
                except GnnrecError as error:
                    broken[item.content] = str(error)
                    if len(broken) <= WARNINGS:
                        warnings.warn(f"{error}; its movie counts as one without {source.modality}", stacklevel=4)
                    continue
                content.append(item.content)
                ready.append(prepared)
            if ready:
                cache.add(content, encoder.encode(ready))
            bar.advance(task, len(items[start : start + size]))
    if len(broken) > WARNINGS:
        warnings.warn(f"{len(broken) - WARNINGS:,} more {source.modality}s cannot be opened", stacklevel=4)
    return broken


def _corpus(items: list[Item]) -> str:
    return hashlib.blake2b(b"".join(sorted({item.content for item in items})), digest_size=16).hexdigest()


def _by_reason(missing: dict[Any, str]) -> dict[str, list[Any]]:
    reasons: dict[str, list[Any]] = {}
    for movie, why in missing.items():
        reasons.setdefault(why, []).append(movie)
    return reasons
