"""Embedding files, and the cache that reuses stored embeddings so that nothing is encoded twice.

An embedding file is a safetensors file with the tensors ``embeddings`` ``[n, dim]`` float32 and ``content_hash``
``[n, 16]`` uint8, the hash of what each row was encoded from; movie ids and metadata are JSON in its header. It is one
file so that embeddings and movies cannot get separated.

A folder holds, for a feature named "poster"::

    poster.safetensors                  the embeddings of the last encoder
    poster.json                         a summary for readers: encoder, its settings, movies without embedding
    poster.<key>.safetensors            the embeddings of an earlier encoder, kept for reuse
    poster.parts/<key>-*.safetensors    partial results of an interrupted run

Stored embeddings are looked up by encoder key and content hash, not by movie.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gnnrec._checks import as_path
from gnnrec._io import (
    PARTIAL,
    check_layout,
    make_folder,
    own_file,
    parse_json,
    remove_partials,
    stamp,
    write_atomic,
)
from gnnrec._locks import locked_folder, open_exclusive
from gnnrec.data.embeddings import ContentEmbeddings
from gnnrec.errors import ConfigError, DataError

HASH_BYTES = 16
"""Length of a content hash."""
KEY = re.compile("[0-9a-f]{16}")
"""What `hash_key` returns."""
FORMAT = 3
"""Layout of the file; raised when older versions of gnnrec could not read it."""
FLUSH_SECONDS = 10.0
"""Interval at which new embeddings are written. A killed run loses at most this much work, Ctrl-C loses none."""


class DamagedFileError(DataError):
    """An embedding file was truncated or altered."""


@dataclass(frozen=True, eq=False)
class StoredEmbeddings:
    """Content of an embedding file."""

    embeddings: ContentEmbeddings
    content_hashes: list[bytes]
    """``[n]``, hashes of what the rows were encoded from; empty for embeddings from another source."""
    encoder_key: str
    """From `hash_key`; empty for embeddings from another source."""
    corpus_dependent: bool
    """The encoder was fitted to these movies, so its embeddings are of no use for others."""


def hash_key(values: dict[str, Any]) -> str:
    """Return a short hash of an encoder's cache key."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def write_embedding_file(path: Path, stored: StoredEmbeddings) -> None:
    """Write an embedding file atomically."""
    hashes = np.frombuffer(b"".join(stored.content_hashes), dtype=np.uint8)
    tensors = {
        "embeddings": np.ascontiguousarray(stored.embeddings.values),
        "content_hash": hashes.reshape(len(stored.content_hashes), HASH_BYTES).copy(),
    }
    header = {
        **stamp(FORMAT),
        "description": stored.embeddings.description,
        "encoder_key": stored.encoder_key,
        "corpus_dependent": stored.corpus_dependent,
        "movie_ids": stored.embeddings.movie_ids.tolist(),
    }
    header["digest"] = _digest(header, tensors)
    make_folder(path.parent)
    write_atomic(path, save(tensors, {"gnnrec": json.dumps(header, ensure_ascii=False)}))


def read_embedding_file(path: Path) -> StoredEmbeddings:
    """Read an embedding file.

    Raises
    ------
    DamagedFileError
        The file was truncated or altered.
    DataError
        The file was not written by `write_embedding_file`, or by another version of it.
    """
    header, tensors = read_safetensors(path)
    if header is None:
        raise DataError(f"{path} was not written by gnnrec features")
    if not isinstance(header, dict):
        raise DamagedFileError(f"{path} is damaged: its header is not a JSON object")
    check_layout({"format": None, **header}, FORMAT, str(path), "delete it and encode again with gnnrec features")
    try:
        if header.pop("digest") != _digest(header, tensors):
            raise DamagedFileError(f"{path} is damaged: its content does not match its checksum")
        embeddings = ContentEmbeddings(header["movie_ids"], tensors["embeddings"], header["description"])
        hashes = [row.tobytes() for row in tensors["content_hash"]]
        key = header["encoder_key"]
        if key != "" and not (isinstance(key, str) and KEY.fullmatch(key)):  # used in a file name
            raise DamagedFileError(f"{path} is damaged: {key!r} is not the key of an encoder, 16 hexadecimal digits")
        if (hashes or key) and (len(hashes) != len(embeddings) or any(len(one) != HASH_BYTES for one in hashes)):
            raise DamagedFileError(f"{path} is damaged: it has {len(hashes)} hashes for {len(embeddings)} embeddings")
        return StoredEmbeddings(embeddings, hashes, key, bool(header["corpus_dependent"]))
    except LookupError as error:
        raise DamagedFileError(f"{path} is damaged: {error} is missing") from None
    except (TypeError, AttributeError, ConfigError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def read_safetensors(path: Path) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Return gnnrec's header, or None if there is none, and all tensors of a safetensors file.

    Raises
    ------
    DamagedFileError
        The file was truncated or altered.
    DataError
        The file does not exist.
    """
    if path.exists() and not path.is_file():  # reading from a pipe could block forever
        raise DamagedFileError(f"{path} is not a file")
    try:
        with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
            metadata = file.metadata() or {}
            read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        tensors = {name: (t.float() if t.is_floating_point() else t).numpy() for name, t in read.items()}
        return parse_json(metadata["gnnrec"]) if "gnnrec" in metadata else None, tensors
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (SafetensorError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from None


def load_features(folder: str | Path) -> dict[str, ContentEmbeddings]:
    """Load all embeddings that ``gnnrec features`` wrote to a folder.

    Parameters
    ----------
    folder : str or Path
        Contains ``<name>.safetensors`` files, e.g. ``poster.safetensors``.

    Returns
    -------
    dict of str to ContentEmbeddings
        By feature name.

    Raises
    ------
    DataError
        There are no embedding files, or one is damaged or of another kind.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec.features import save_embeddings
    >>> folder = tempfile.mkdtemp()
    >>> embeddings = ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], description="by hand")
    >>> path = save_embeddings(folder, "text", embeddings)
    >>> load_features(folder)
    {'text': ContentEmbeddings(2 movies, 2 dimensions: by hand)}
    """
    folder = as_path(folder, "a folder of embeddings")
    # A stem with a dot belongs to an earlier encoder.
    names = [path.name for path in sorted(folder.glob("*.safetensors")) if "." not in path.stem]
    paths = [own_file(folder, name) for name in names]
    if not paths:
        raise DataError(f"{folder} contains no embedding files; create them with gnnrec features --out {folder}")
    return {path.stem: read_embedding_file(path).embeddings for path in paths}


def save_embeddings(folder: str | Path, name: str, embeddings: ContentEmbeddings) -> Path:
    """Save embeddings of any source where `load_features` finds them.

    Parameters
    ----------
    folder : str or Path
        Created if missing; embeddings of the same name are replaced.
    name : str
        Feature name: "poster", "text", or another one of letters, digits, hyphens and underscores.
    embeddings : ContentEmbeddings

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        The name is invalid.

    Examples
    --------
    >>> import tempfile
    >>> embeddings = ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], description="by hand")
    >>> save_embeddings(tempfile.mkdtemp(), "mood", embeddings).name
    'mood.safetensors'
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"{name!r} is not a valid feature name; use letters, digits, hyphens and underscores")
    path = as_path(folder, "a folder of embeddings") / f"{name}.safetensors"
    path.with_suffix(".json").unlink(missing_ok=True)  # the summary of the replaced embeddings
    write_embedding_file(path, StoredEmbeddings(embeddings, [], "", corpus_dependent=False))
    return path


class EmbeddingCache:
    """Cache of the embeddings of one encoder in one folder.

    Parameters
    ----------
    folder : Path or None
        Created on the first write; None keeps everything in memory.
    name : str
        Feature name.
    encoder_key : str
        From `hash_key`.

    Attributes
    ----------
    embeddings : dict of bytes to numpy.ndarray
        By content hash, each ``[dim]``.
    added : set of bytes
        Content hashes of the embeddings that were added, not read.
    """

    def __init__(self, folder: Path | None, name: str, encoder_key: str) -> None:
        self.folder, self.name, self.encoder_key = folder, name, encoder_key
        self.embeddings: dict[bytes, np.ndarray] = {}
        self._unsaved: dict[bytes, np.ndarray] = {}
        self.added: set[bytes] = set()
        self._read_files: dict[Path, tuple[int, int]] = {}
        self._last_flush = time.monotonic()
        self.read_files()

    def _path(self, infix: str = "", suffix: str = ".safetensors") -> Path:
        assert self.folder is not None
        return self.folder / f"{self.name}{infix}{suffix}"

    def _parts(self) -> list[Path]:
        return sorted(self._path(suffix=".parts").glob(f"{self.encoder_key}-*.safetensors"))

    def read_files(self) -> None:
        """Read what earlier and concurrent runs have written since the last call."""
        if self.folder is None:
            return
        for path in (self._path(), self._path(f".{self.encoder_key}"), *self._parts()):
            version = _version(path)
            if version is None or self._read_files.get(path) == version:
                continue
            self._read_files[path] = version
            try:
                stored = _read_or_warn(path)
            except DataError:
                if _version(path) == version:
                    raise
                del self._read_files[path]  # another run has just removed or replaced it: it is read next time
                continue
            if stored is not None and stored.encoder_key == self.encoder_key:
                self.embeddings.update(zip(stored.content_hashes, stored.embeddings.values, strict=True))

    def add(self, content_hashes: list[bytes], embeddings: np.ndarray) -> None:
        """Add new embeddings, ``[n, dim]``, and write them if the last write was `FLUSH_SECONDS` ago."""
        new = dict(zip(content_hashes, embeddings, strict=True))
        self.embeddings |= new
        self._unsaved |= new
        self.added |= new.keys()
        if time.monotonic() - self._last_flush >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the embeddings that are only in memory, and read what other runs have written."""
        self._last_flush = time.monotonic()
        if self.folder is None or not self._unsaved:
            return
        hashes = list(self._unsaved)
        part = ContentEmbeddings(
            [one.hex() for one in hashes], np.stack(list(self._unsaved.values())), "partial result"
        )
        digest = hashlib.blake2b(b"".join(hashes), digest_size=8).hexdigest()
        path = self._path(suffix=".parts") / f"{self.encoder_key}-{digest}.safetensors"
        write_embedding_file(path, StoredEmbeddings(part, hashes, self.encoder_key, corpus_dependent=False))
        self._unsaved = {}
        self.read_files()

    @contextlib.contextmanager
    def worker(self) -> Iterator[int]:
        """Register a run while the block runs; yield the lowest number not used by another run of this encoder."""
        if self.folder is None:
            yield 0
            return
        number, descriptor = 0, None
        while descriptor is None:
            path = self._path(suffix=".parts") / f".{self.encoder_key}.{number}.run"
            descriptor = _lock_in_new_folder(path)
            number += descriptor is None
        try:
            yield number
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            self._remove_empty_folder()

    @contextlib.contextmanager
    def flush_on_error(self) -> Iterator[None]:
        """Flush if the block ends with an error or an interruption."""
        try:
            yield
        except BaseException:
            self.flush()
            raise

    def finish(self, stored: StoredEmbeddings, summary: dict[str, Any]) -> None:
        """Write result and summary, remove partial results, and rename the files of another encoder."""
        if self.folder is None:
            return
        make_folder(self.folder)
        with locked_folder(self.folder):
            self._finish(stored, summary)
        self._remove_empty_folder()

    def _finish(self, stored: StoredEmbeddings, summary: dict[str, Any]) -> None:
        result = self._path()
        earlier = _read_or_warn(result) if result.is_file() else None
        if earlier is not None and earlier.encoder_key not in (self.encoder_key, "") and not earlier.corpus_dependent:
            for suffix in (".json", ".safetensors"):
                with contextlib.suppress(FileNotFoundError):
                    self._path(suffix=suffix).replace(self._path(f".{earlier.encoder_key}", suffix))
        write_embedding_file(result, stored)
        text = json.dumps(summary, ensure_ascii=False, indent=2)
        write_atomic(self._path(suffix=".json"), f"{text}\n".encode())
        for suffix in (".json", ".safetensors"):
            self._path(f".{self.encoder_key}", suffix).unlink(missing_ok=True)
        for path in self._parts():
            path.unlink(missing_ok=True)
        remove_partials(result.parent, f".{self.name}.*{PARTIAL}")
        for pattern in (f".{self.encoder_key}*{PARTIAL}", f".{self.encoder_key}.*.run"):
            remove_partials(self._path(suffix=".parts"), pattern)

    def _remove_empty_folder(self) -> None:
        with contextlib.suppress(OSError):  # it is missing, or holds parts of another encoder or run
            self._path(suffix=".parts").rmdir()


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced, None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _lock_in_new_folder(path: Path) -> int | None:
    while True:
        make_folder(path.parent)
        with contextlib.suppress(FileNotFoundError):  # removed by another run
            return open_exclusive(path)


def _digest(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _read_or_warn(path: Path) -> StoredEmbeddings | None:
    """Read an embedding file; a damaged one is ignored with a warning, a file of another kind is an error."""
    try:
        return read_embedding_file(own_file(path.parent, path.name))
    except DamagedFileError as error:
        warnings.warn(f"{error}; its embeddings are computed again", stacklevel=2)
        return None
