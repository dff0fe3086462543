"""Keeps vectors as they are made, so that nothing is encoded twice: not after an interruption, not when others change.

In a folder, for the modality "poster"::

    poster.safetensors             the vectors of the encoder that was used last
    poster.json                    how they were made and which movies have none, for people
    poster.<key>.safetensors       those of an encoder that was used before, to come back to
    poster.parts/<key>-*.safetensors    of a run that has not finished

Vectors are found again by the encoder's key and the hash of what they were made of, not by movie.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec._io import write_atomic
from gnnrec.data import ContentEmbeddings
from gnnrec.features.store import DamagedError, Stored, read_stored, write_stored

KEEP_SECONDS = 10.0
"""At most so much work is lost when a run is killed; one that is interrupted with Ctrl-C loses none."""


def key_of(values: dict[str, Any]) -> str:
    """Return a short name of an encoder's key."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Cache:
    """The vectors that one encoder has made for one folder.

    Parameters
    ----------
    folder : Path or None
        Made when something is written; None keeps nothing.
    modality : str
    key : str
        From `key_of`.
    """

    def __init__(self, folder: Path | None, modality: str, key: str) -> None:
        self.folder, self.modality, self.key = folder, modality, key
        self.vocabularies: dict[bytes, np.ndarray] = {}
        self._new: dict[bytes, np.ndarray] = {}
        self._kept = time.monotonic()
        for path in self._files():
            stored = _read_or_warn(path)
            if stored is not None and stored.key == key:
                self.vocabularies.update(zip(stored.content, stored.vectors.values, strict=True))

    def _files(self) -> list[Path]:
        if self.folder is None:
            return []
        paths = [self._path(), self._path(f".{self.key}")]
        return [path for path in paths if path.is_file()] + self._parts()

    def _path(self, middle: str = "", ending: str = ".safetensors") -> Path:
        assert self.folder is not None
        return self.folder / f"{self.modality}{middle}{ending}"

    def _parts(self) -> list[Path]:
        return sorted(self._path(ending=".parts").glob(f"{self.key}-*.safetensors"))

    def add(self, content: list[bytes], vectors: np.ndarray) -> None:
        """Take new vectors; written at once when the last time was long enough ago."""
        made = dict(zip(content, vectors, strict=True))
        self.vocabularies |= made
        self._new |= made
        if time.monotonic() - self._kept >= KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Write what has not been written."""
        self._kept = time.monotonic()
        if self.folder is None or not self._new:
            return
        content = list(self._new)
        vectors = ContentEmbeddings([one.hex() for one in content], np.stack(list(self._new.values())), "a part")
        name = hashlib.blake2b(b"".join(content), digest_size=8).hexdigest()
        path = self._path(ending=".parts") / f"{self.key}-{name}.safetensors"
        write_stored(path, Stored(vectors, content, self.key, fitted=False))
        self._new = {}

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what was made when the block is left by an error or an interruption."""
        try:
            yield
        except BaseException:
            self.keep()
            raise

    def finish(self, stored: Stored, account: dict[str, Any]) -> None:
        """Write the result and its account; parts go, and what another encoder made is moved aside."""
        if self.folder is None:
            return
        result = self._path()
        earlier = _read_or_warn(result) if result.is_file() else None
        if earlier is not None and earlier.key not in (self.key, "") and not earlier.fitted:
            for ending in (".json", ".safetensors"):
                with contextlib.suppress(FileNotFoundError):
                    self._path(ending=ending).replace(self._path(f".{earlier.key}", ending))
        write_stored(result, stored)
        text = json.dumps(account, ensure_ascii=False, indent=2)
        write_atomic(self._path(ending=".json"), f"{text}\n".encode())
        for ending in (".json", ".safetensors"):
            self._path(f".{self.key}", ending).unlink(missing_ok=True)
        for path in self._parts():
            path.unlink()
        with contextlib.suppress(OSError):  # there are parts of others in it, or there is none
            self._path(ending=".parts").rmdir()


def _read_or_warn(path: Path) -> Stored | None:
    """Read a file of vectors; a damaged one is said to be so and counts for nothing, a foreign one is an error."""
    try:
        return read_stored(path)
    except DamagedError as error:
        warnings.warn(f"{error}; what it held is encoded again", stacklevel=2)
        return None
