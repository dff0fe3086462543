"""One file of vectors: safetensors that know their movies, what each was made of, and what made them.

Tensors: ``vectors`` ``[n, dim]`` float32 and ``content`` ``[n, 16]`` bytes, the hash of what each vector was made of.
The rest is JSON in the header. One file, so that vectors and movies never come apart.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gnnrec._io import write_atomic
from gnnrec.data import ContentEmbeddings
from gnnrec.errors import DataError

HASH_BYTES = 16
"""Of the hash of what a vector was made of."""
FORMAT = 1
"""Version of the layout; raised when an older reader could not make sense of it."""


class DamagedError(DataError):
    """A file of vectors that was cut off or changed."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file of vectors holds."""

    vectors: ContentEmbeddings
    content: list[bytes]
    """``[n]``, hashes of what the vectors were made of; empty for vectors that were given."""
    key: str
    """Of the encoder; empty for vectors that were given."""
    fitted: bool
    """The encoder learned from all of these movies, so its vectors are good for no others."""


def write_stored(path: Path, stored: Stored) -> None:
    """Write a file of vectors whole or not at all."""
    content = np.frombuffer(b"".join(stored.content), dtype=np.uint8).reshape(len(stored.content), HASH_BYTES)
    tensors = {"vectors": np.ascontiguousarray(stored.vectors.values), "content": content.copy()}
    header = {
        "format": FORMAT,
        "about": stored.vectors.about,
        "key": stored.key,
        "fitted": stored.fitted,
        "digest": _digest(tensors),
        "movie_ids": stored.vectors.movie_ids.tolist(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save(tensors, {"gnnrec": json.dumps(header, ensure_ascii=False)}))


def read_stored(path: Path) -> Stored:
    """Read a file of vectors.

    Raises
    ------
    DamagedError
        It was cut off or changed.
    DataError
        It was not written by `write_stored`, or by a later version of it.
    """
    header, tensors = read_tensors(path)
    if header is None:
        raise DataError(f"{path} was not written by gnnrec features")
    if header.get("format") != FORMAT:
        raise DataError(f"{path} has layout {header.get('format')}; this version of gnnrec reads layout {FORMAT}")
    try:
        if header["digest"] != _digest(tensors):
            raise DamagedError(f"{path} is damaged: its numbers are not those that were written")
        vectors = ContentEmbeddings(header["movie_ids"], tensors["vectors"], header["about"])
        content = [row.tobytes() for row in tensors["content"]]
        return Stored(vectors, content, header["key"], header["fitted"])
    except LookupError as error:
        raise DamagedError(f"{path} is damaged: it lacks {error}") from None


def read_tensors(path: Path) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Return gnnrec's own header, None if there is none, and all tensors of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
            metadata = file.metadata() or {}
            read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
        tensors = {name: (t.float() if t.is_floating_point() else t).numpy() for name, t in read.items()}
        return json.loads(metadata["gnnrec"]) if "gnnrec" in metadata else None, tensors
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (SafetensorError, ValueError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from None


def _digest(tensors: dict[str, np.ndarray]) -> str:
    hashed = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        hashed.update(f"{name} {tensors[name].shape}".encode())
        hashed.update(np.ascontiguousarray(tensors[name]).tobytes())
    return hashed.hexdigest()


def load_features(folder: str | Path) -> dict[str, ContentEmbeddings]:
    """Read all vectors that ``gnnrec features`` wrote to a folder.

    Parameters
    ----------
    folder : str or Path
        Holds ``<modality>.safetensors``, for example ``poster.safetensors``.

    Returns
    -------
    dict of str to ContentEmbeddings
        By modality.

    Raises
    ------
    DataError
        There are none, or a file is damaged or something else.

    Examples
    --------
    >>> import tempfile
    >>> from gnnrec.features import save_vectors
    >>> folder = tempfile.mkdtemp()
    >>> path = save_vectors(folder, "text", ContentEmbeddings([1, 2], [[1.0, 0.0], [0.0, 1.0]], about="by hand"))
    >>> load_features(folder)
    {'text': ContentEmbeddings(2 movies, 2 wide: by hand)}
    """
    folder = Path(folder).expanduser()
    # A name with another dot in it is what an encoder made before the present one.
    paths = [path for path in sorted(folder.glob("*.safetensors")) if "." not in path.stem]
    if not paths:
        raise DataError(f"{folder} holds no vectors of movies; gnnrec features --out {folder} makes them")
    return {path.stem: read_stored(path).vectors for path in paths}
