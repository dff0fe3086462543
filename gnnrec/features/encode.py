"""Encodes posters and plots: all those of a dataset, or a single one.

`encode` is the core: it looks up stored embeddings, encodes the rest batch by batch, and stores the result.
"""

from __future__ import annotations

import hashlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec._checks import as_path
from gnnrec._progress import progress_bar
from gnnrec.data import Dataset
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.errors import ConfigError, DataError, GnnrecError
from gnnrec.features.encoders import EncoderError, FeatureEncoder, get_encoder
from gnnrec.features.encoders.base import LOCAL_FILES
from gnnrec.features.images import open_poster
from gnnrec.features.sources import FeatureSource, SourceItem, find_plots, find_posters
from gnnrec.features.store import FORMAT, EmbeddingCache, StoredEmbeddings, hash_key

MAX_WARNINGS = 10
"""Maximum number of warnings about unusable posters; the rest share one."""

_EXAMPLES = {"text": "'sentence:all-MiniLM-L6-v2'", "image": "'clip:ViT-B-32:my/checkpoint.pt'"}

_logger = logging.getLogger(__name__)


def encode_posters(
    movies: Dataset | Iterable[Any],
    folder: str | Path,
    encoder: str | FeatureEncoder = "auto",
    *,
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> ContentEmbeddings:
    """Encode the posters of movies.

    Parameters
    ----------
    movies : Dataset or iterable of movie ids
    folder : str or Path
        Contains ``<movie_id>.jpg`` or other images, see `find_posters`.
    encoder : str or FeatureEncoder
        A name as for `get_encoder`, e.g. ``auto``, ``clip:ARCHITECTURE/TAG``, ``clip:ARCHITECTURE:CHECKPOINT``,
        ``color``, or an encoder.
    out : str or Path, optional
        Folder for the embeddings. Embeddings that are stored there and still valid are reused, and an interrupted run
        continues.
    device : str
        PyTorch device of an encoder given by name; "auto" uses a GPU if there is one.
    batch_size : int
        Number of posters in memory at a time.
    progress : bool
        Show a progress bar.
    log : callable, optional
        Receives a line with the encoder that ``auto`` selected, and one with the number of encoded posters; by default
        they are logged.

    Returns
    -------
    ContentEmbeddings
        In the order of `movies`, without movies whose poster is missing or unusable. Unusable posters are warned about.

    Raises
    ------
    DataError
        There are no posters, none is usable, or `out` contains files of another kind.
    ConfigError, EncoderError
        The encoder does not exist, or its package or weights are missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (60, 90), "red").save(folder / "7.png")
    >>> encode_posters([7, 8], folder, "color", progress=False)
    ContentEmbeddings(1 movies, 226 dimensions: color, thumbnail and histogram)
    """
    source = find_posters(movies, folder)
    chosen = get_encoder(encoder, "image", device=device, log=log) if isinstance(encoder, str) else encoder
    return encode(source, chosen, out=out, batch_size=batch_size, progress=progress, log=log)


def encode_plots(
    dataset: Dataset,
    plots: str | Path | None = None,
    encoder: str | FeatureEncoder = "auto",
    *,
    out: str | Path | None = None,
    device: str = "auto",
    batch_size: int = 32,
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> ContentEmbeddings:
    """Encode the plots of movies.

    Parameters
    ----------
    dataset : Dataset
    plots : str or Path, optional
        A file or the name of a column, see `find_plots`; by default the plots of the dataset.
    encoder : str or FeatureEncoder
        A name as for `get_encoder`, e.g. ``auto``, ``sentence:MODEL``, ``clip-text:ARCHITECTURE/TAG``, ``tfidf:DIM``,
        or an encoder.
    out, device, batch_size, progress, log
        As for `encode_posters`.

    Returns
    -------
    ContentEmbeddings
        In the order of the dataset, without movies that have no plot.

    Raises
    ------
    DataError
        There are no plots, a row is invalid, or `out` contains files of another kind.
    ConfigError, EncoderError
        The encoder does not exist, or its package or weights are missing.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> encode_plots(make_sample(num_users=100, num_movies=80), encoder="tfidf:16", progress=False)
    ContentEmbeddings(80 movies, 16 dimensions: tfidf:16, TF-IDF and SVD of this corpus)
    """
    source = find_plots(dataset, plots)
    chosen = get_encoder(encoder, "text", device=device, log=log) if isinstance(encoder, str) else encoder
    return encode(source, chosen, out=out, batch_size=batch_size, progress=progress, log=log)


def encode_poster(
    path: str | Path, encoder: str | FeatureEncoder | ContentEmbeddings, *, device: str = "auto"
) -> np.ndarray:
    """Encode one poster.

    Parameters
    ----------
    path : str or Path
        An image file, see `gnnrec.features.images.open_poster`.
    encoder : str, FeatureEncoder or ContentEmbeddings
        A name as for `get_encoder`; an encoder; or embeddings, e.g. ``dataset.features["poster"]``, whose encoder is
        then used.
    device : str
        PyTorch device of an encoder given by name; "auto" uses a GPU if there is one.

    Returns
    -------
    numpy.ndarray
        ``[dim]`` float32, equal to the row that `encode_posters` returns.

    Raises
    ------
    PosterError
        The file is missing, damaged or not an image.
    ConfigError
        The encoder does not exist, or the encoder of the embeddings is not recorded.
    EncoderError
        Its package or weights are missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from gnnrec.features import encode_posters
    >>> folder = Path(tempfile.mkdtemp())
    >>> for movie_id, color in {7: "red", 8: "darkred", 9: "blue"}.items():
    ...     Image.new("RGB", (60, 90), color).save(folder / f"{movie_id}.png")
    >>> posters = encode_posters([8, 9], folder, "color", progress=False)
    >>> embedding = encode_poster(folder / "7.png", posters)  # with the same encoder
    >>> int(posters.movie_ids[(posters.values @ embedding).argmax()])  # the most similar one
    8
    """
    return _encode_one(open_poster(path), _single_encoder(encoder, "image", device))


def encode_plot(plot: str, encoder: str | FeatureEncoder | ContentEmbeddings, *, device: str = "auto") -> np.ndarray:
    """Encode one plot.

    Parameters
    ----------
    plot : str
    encoder : str, FeatureEncoder or ContentEmbeddings
        A name as for `get_encoder`; an encoder, which for many plots avoids loading the weights each time; or
        embeddings, e.g. ``dataset.features["text"]``, whose encoder is then used.
    device : str
        PyTorch device of an encoder given by name; "auto" uses a GPU if there is one.

    Returns
    -------
    numpy.ndarray
        ``[dim]`` float32, equal to the row that `encode_plots` returns.

    Raises
    ------
    DataError
        The plot is empty or not a string.
    ConfigError
        The encoder does not exist, is fitted to a whole corpus like ``tfidf``, or the encoder of the
        embeddings is not recorded.
    EncoderError
        Its package or weights are missing.

    Examples
    --------
    >>> embedding = encode_plot("A ship is lost in space.", "sentence:all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> gnnrec.similar_movies(graph, gnnrec.NewMovie(features={"text": embedding}))  # doctest: +SKIP

    Encoders that are fitted to a corpus cannot encode a single text:

    >>> encode_plot("A ship is lost in space.", "tfidf")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    gnnrec.errors.ConfigError: tfidf:256 is fitted to all texts of a corpus, ...
    """
    if not isinstance(plot, str) or not plot.strip():
        raise DataError(f"a plot must be a non-empty string, not {plot!r}; leave out the plot if there is none")
    return _encode_one(plot.strip(), _single_encoder(encoder, "text", device))


def encode(
    source: FeatureSource,
    encoder: FeatureEncoder,
    *,
    out: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
    log: Callable[[str], None] | None = None,
) -> ContentEmbeddings:
    """Encode the items of a source; see `encode_posters` and `encode_plots`.

    Parameters
    ----------
    source : FeatureSource
    encoder : FeatureEncoder
        An encoder of the source's modality.
    out, batch_size, progress
        As for `encode_posters`.
    log : callable, optional
        Receives a line with the numbers of encoded, reused and missing items; by default it is logged.

    Returns
    -------
    ContentEmbeddings
        In the order of the source, without items that could not be encoded.

    Raises
    ------
    ConfigError
        The encoder has another modality, or `batch_size` is below 1.
    DataError
        No item could be encoded, or `out` contains files of another kind.
    EncoderError
        The encoder's package or weights are missing.

    Examples
    --------
    >>> from gnnrec.datasets import make_sample
    >>> from gnnrec.features import find_plots, get_encoder
    >>> encode(find_plots(make_sample(20, 30)), get_encoder("tfidf:8", "text"), progress=False)
    ContentEmbeddings(30 movies, 8 dimensions: tfidf:8, TF-IDF and SVD of this corpus)
    """
    if encoder.modality != source.modality:
        raise ConfigError(f"{encoder.name} encodes {encoder.modality}s, not {source.modality}s")
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
    depends_on = encoder.cache_key
    if encoder.corpus_dependent:
        depends_on = depends_on | {"corpus": _hash_corpus(source.items)}
    key = hash_key(depends_on)
    cache = EmbeddingCache(None if out is None else as_path(out, "the folder of embeddings"), source.name, key)
    todo = {item.content_hash: item for item in source.items if item.content_hash not in cache.embeddings}
    start = time.perf_counter()
    unusable: dict[bytes, str] = {}
    if todo:
        encoder.load()
        start = time.perf_counter()
        with cache.worker() as worker, cache.flush_on_error():
            todo_items = list(todo.values())
            if not encoder.corpus_dependent:  # all at once, and their order is part of the result
                todo_items = _order_for(worker, todo_items)
            unusable = _encode_items(source, encoder, todo_items, cache, batch_size, progress)
    seconds = time.perf_counter() - start
    failed = {item.movie_id: unusable[item.content_hash] for item in source.items if item.content_hash in unusable}
    missing = source.missing | failed
    items = [item for item in source.items if item.content_hash in cache.embeddings]
    if not items:
        raise DataError(f"no {source.name} from {source.origin} could be encoded")
    embeddings = ContentEmbeddings(
        [item.movie_id for item in items],
        np.stack([cache.embeddings[item.content_hash] for item in items]),
        encoder.description,
    )
    summary = {
        "format": FORMAT,
        "feature": source.name,
        "encoder": encoder.name,
        "description": encoder.description,
        "encoder_key": key,
        "depends_on": depends_on,
        "source": Path(source.origin).name,
        "num_movies": len(embeddings),
        "dim": embeddings.dim,
        "missing": _group_by_reason(missing),
    }
    hashes = [item.content_hash for item in items]
    cache.finish(StoredEmbeddings(embeddings, hashes, key, encoder.corpus_dependent), summary)
    num_new = sum(one in cache.added for one in hashes)
    rate = f" in {seconds:.1f} s ({len(cache.added) / seconds:,.1f} per second)" if num_new else ""
    (log or _logger.info)(
        f"{source.name}: {num_new:,} encoded{rate}, {len(items) - num_new:,} reused, "
        f"missing for {len(missing):,} movies"
    )
    if todo and (warning := encoder.warning()):
        warnings.warn(warning, stacklevel=3)
    return embeddings


def _encode_items(
    source: FeatureSource,
    encoder: FeatureEncoder,
    items: list[SourceItem],
    cache: EmbeddingCache,
    batch_size: int,
    progress: bool,
) -> dict[bytes, str]:
    """Encode items into the cache; return why items are unusable, by content hash."""
    unusable: dict[bytes, str] = {}
    size = len(items) if encoder.corpus_dependent else batch_size
    with progress_bar(f"{source.name}, {encoder.name}", len(items), progress) as advance:
        for start in range(0, len(items), size):
            hashes, batch = [], []
            for item in items[start : start + size]:
                if item.content_hash in cache.embeddings:  # encoded by another run in the meantime
                    continue
                try:
                    prepared = encoder.preprocess(source.open(item.raw))
                except EncoderError:
                    raise  # every item would fail
                except GnnrecError as error:
                    unusable[item.content_hash] = str(error)
                    if len(unusable) <= MAX_WARNINGS:
                        warnings.warn(f"{error}; the {source.name} counts as missing", stacklevel=4)
                    continue
                hashes.append(item.content_hash)
                batch.append(prepared)
            if batch:
                cache.add(hashes, encoder.encode(batch))
            advance(len(items[start : start + size]))
    if len(unusable) > MAX_WARNINGS:
        warnings.warn(f"{len(unusable) - MAX_WARNINGS:,} more {source.name}s are unusable", stacklevel=4)
    return unusable


def _order_for(worker: int, items: list[SourceItem]) -> list[SourceItem]:
    """Return the items in a different order for each concurrent run, so that the runs share the work."""
    if worker == 0:
        return items
    if worker == 1:
        return items[::-1]
    start = len(items) * (worker - 1) // worker
    return items[start:] + items[:start]


def _hash_corpus(items: list[SourceItem]) -> str:
    return hashlib.blake2b(b"".join(sorted({item.content_hash for item in items})), digest_size=16).hexdigest()


def _group_by_reason(missing: dict[Any, str]) -> dict[str, list[Any]]:
    reasons: dict[str, list[Any]] = {}
    for movie, reason in missing.items():
        reasons.setdefault(reason, []).append(movie)
    return reasons


def _single_encoder(encoder: str | FeatureEncoder | ContentEmbeddings, modality: str, device: str) -> FeatureEncoder:
    """Return an encoder that can encode a single item."""
    if isinstance(encoder, ContentEmbeddings):
        chosen = _stored_encoder(encoder, modality, device)
    else:
        chosen = get_encoder(encoder, modality, device=device) if isinstance(encoder, str) else encoder
    if chosen.modality != modality:
        raise ConfigError(f"{chosen.name} encodes {chosen.modality}s, not {modality}s")
    if chosen.corpus_dependent:
        raise ConfigError(
            f"{chosen.name} is fitted to all {modality}s of a corpus, so it cannot encode a single one; encode it "
            f"together with the others, or use another encoder for all of them, e.g. {_EXAMPLES[modality]}"
        )
    return chosen


def _stored_encoder(embeddings: ContentEmbeddings, modality: str, device: str) -> FeatureEncoder:
    """Return the encoder that computed embeddings, which may come from an untrusted run or file.

    The stored name can therefore select a registered encoder, but never local files.

    Raises
    ------
    ConfigError
        It is unknown: the embeddings come from another source, or from an encoder with local files.
    """
    name, _, details = embeddings.description.partition(", ")
    remedy = f"pass the encoder, e.g. {_EXAMPLES[modality]}"
    try:
        if name == "auto":
            raise ConfigError("'auto' cannot be recorded as an encoder")
        found = get_encoder(name, modality, device=device)
    except ConfigError:
        raise ConfigError(f"the {modality} encoder of {embeddings!r} is not recorded; {remedy}") from None
    if LOCAL_FILES in details:
        raise ConfigError(f"{found.name} was loaded from local files whose path is not stored; {remedy}")
    if found.is_local:
        raise ConfigError(
            f"{embeddings!r} was made with an encoder from local files, which are loaded only on request; {remedy}"
        )
    return found


def _encode_one(raw: Any, encoder: FeatureEncoder) -> np.ndarray:
    encoder.load()
    embedding = encoder.encode([encoder.preprocess(raw)])[0]
    if warning := encoder.warning():
        warnings.warn(warning, stacklevel=3)
    return np.asarray(embedding, dtype=np.float32)
