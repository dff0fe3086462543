"""What every encoder is: pictures or texts in, vectors out, and an account of what the vectors depend on."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from gnnrec.errors import GnnrecError


class EncoderError(GnnrecError):
    """An encoder that cannot be used here: its package or its weights are missing or broken.

    Examples
    --------
    >>> try:
    ...     need("no_such_package", "clip", "clip:ViT-B-32")
    ... except EncoderError as error:
    ...     print(error)
    clip:ViT-B-32 needs no_such_package; install it with: pip install 'gnnrec[clip]'
    """


class Encoder(ABC):
    """Turns pictures or texts into vectors.

    Making one is cheap and checks nothing; `key` finds the weights, `load` reads them.

    Examples
    --------
    >>> class Length(Encoder):
    ...     name, reads, key = "length", "text", {"name": "length"}
    ...     def encode(self, batch):
    ...         return np.array([[len(text)] for text in batch], dtype="float32")
    >>> Length().encode(["a", "bcd"]).tolist()
    [[1.0], [3.0]]
    """

    name: str
    """As `pick` understands it, for example ``tfidf:256``."""
    reads: ClassVar[str]
    """"image" or "text"."""
    fitted: ClassVar[bool] = False
    """True when a vector depends on all that is encoded; then everything is encoded in one batch."""

    @property
    @abstractmethod
    def key(self) -> dict[str, Any]:
        """What the vectors depend on, as JSON values: another key, other vectors.

        Weights are in it by their content, not by where they lie. Versions of packages are not where they leave the
        vectors as they are: an upgrade must not cost hours.

        Raises
        ------
        EncoderError
            A package or the weights cannot be had.
        """

    @property
    def about(self) -> str:
        """One line for reports; it begins with the name, up to the first comma."""
        return self.name

    def load(self) -> None:  # noqa: B027  not every encoder has something to load
        """Read the weights, once; an `EncoderError` says why that is not possible."""

    def prepare(self, raw: Any) -> Any:
        """Make one picture or text small and ready for `encode`, which gets many of them at once."""
        return raw

    @abstractmethod
    def encode(self, batch: list[Any]) -> np.ndarray:
        """Return one vector for each of the prepared pictures or texts.

        Parameters
        ----------
        batch : list
            What `prepare` returned, at least one.

        Returns
        -------
        numpy.ndarray
            ``[len(batch), dim]`` float32.
        """

    def remark(self) -> str | None:
        """Return what a person should know about the vectors made so far, or None."""
        return None


def need(module: str, extra: str, what: str) -> ModuleType:
    """Import an optional package; where it is missing or broken, an `EncoderError` says what to do."""
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        # torchvision of another PyTorch stops with a RuntimeError about an operator that does not exist.
        if importlib.util.find_spec(module) is None:
            raise EncoderError(f"{what} needs {module}; install it with: pip install 'gnnrec[{extra}]'") from None
        raise EncoderError(
            f"{what} needs {module}, which is installed but does not load: {first_line(error)}"
        ) from error


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unit_length(values: np.ndarray) -> np.ndarray:
    """Return rows scaled to length 1, those of zeros as they are; ``[n, dim]`` float32."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0).astype(np.float32)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or else its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
