"""The base class of feature encoders, imports of optional packages, and access to the Hugging Face hub."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from gnnrec.errors import ConfigError, GnnrecError
from gnnrec.registry import FEATURE_ENCODERS

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub to respond before downloading; its own client would retry for over a minute."""

LOCAL_FILES = "local files"
"""Part of the description of embeddings whose encoder was loaded from local files; their path is not stored."""

T = TypeVar("T")


class EncoderError(GnnrecError):
    """An encoder is unavailable: its package or its weights are missing or broken.

    Examples
    --------
    >>> try:
    ...     import_optional("no_such_package", "clip", "clip:ViT-B-32/openai")
    ... except EncoderError as error:
    ...     print(error)
    clip:ViT-B-32/openai needs no_such_package; install it with: pip install 'gnnrec[clip]'
    """


class FeatureEncoder(ABC):
    """Encodes images or texts as embeddings.

    A subclass that is registered under a name can be selected by that name, also from a module outside this package.
    Constructing an encoder is cheap and checks nothing; `cache_key` locates the weights, `load` reads them.

    Examples
    --------
    >>> from gnnrec.features import FeatureEncoder, get_encoder
    >>> from gnnrec.registry import register_feature_encoder
    >>> @register_feature_encoder("length", modality="text")
    ... class LengthEncoder(FeatureEncoder):
    ...     name, cache_key = "length", {"encoder": "length"}
    ...     def encode(self, batch):
    ...         return np.array([[len(text)] for text in batch], dtype="float32")
    >>> get_encoder("length", "text").encode(["a", "bcd"]).tolist()
    [[1.0], [3.0]]
    """

    name: str
    """As `get_encoder` takes it, e.g. ``tfidf:256``: the registered name and, after a colon, the options."""

    corpus_dependent: bool = False
    """Whether an embedding depends on all texts or images of the corpus, which are then encoded in one batch."""

    @classmethod
    def from_options(cls, options: str, device: str = "auto") -> FeatureEncoder:
        """Create an encoder from the part of its name after the first colon.

        Parameters
        ----------
        options : str
            For ``tfidf:256``, "256"; empty without a colon.
        device : str
            PyTorch device; "auto" uses a GPU if there is one.

        Raises
        ------
        ConfigError
            The options are invalid. The base class accepts none.
        """
        if options:
            raise ConfigError(f"encoder {cls.name!r} takes no options, but {options!r} follows its name")
        return cls()

    @property
    def is_local(self) -> bool:
        """Whether its name is that of files on this machine; such an encoder is never taken from a saved run."""
        return False

    @property
    def modality(self) -> str:
        """What it encodes, "image" or "text"; by default the modality it is registered with."""
        return str(FEATURE_ENCODERS.metadata(self.name.partition(":")[0])["modality"])

    @property
    @abstractmethod
    def cache_key(self) -> dict[str, Any]:
        """Everything the embeddings depend on, as JSON values: stored embeddings with an equal key are reused.

        Weights belong in it by their content, not by their path. Package versions do not, unless they change the
        embeddings: an upgrade should not force hours of encoding.

        Raises
        ------
        EncoderError
            A package or the weights are unavailable.
        """

    @property
    def description(self) -> str:
        """One line for reports; it starts with the name, which ends at the first comma."""
        return self.name

    def load(self) -> None:  # noqa: B027  not every encoder has something to load
        """Load the weights, once.

        Raises
        ------
        EncoderError
            A package or the weights are unavailable.
        """

    def preprocess(self, raw: Any) -> Any:
        """Reduce one image or text to the input of `encode`, so that only small items are held in a batch."""
        return raw

    @abstractmethod
    def encode(self, batch: list[Any]) -> np.ndarray:
        """Encode a batch.

        Parameters
        ----------
        batch : list
            Outputs of `preprocess`, at least one.

        Returns
        -------
        numpy.ndarray
            ``[len(batch), dim]`` float32.
        """

    def warning(self) -> str | None:
        """Return a warning about the embeddings computed so far, e.g. truncated texts, or None."""
        return None


def import_optional(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    module : str
        Full name of the module, e.g. ``PIL.Image``.
    extra : str
        The extra of gnnrec that installs it.
    purpose : str
        What needs it; begins the error message.

    Raises
    ------
    EncoderError
        The package is missing, with the command that installs it, or it is broken.

    Examples
    --------
    >>> import_optional("json", "clip", "this example").loads("[1]")
    [1]
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        # A torchvision built for another PyTorch raises a RuntimeError about a missing operator.
        if importlib.util.find_spec(package) is None:
            raise EncoderError(f"{purpose} needs {package}; install it with: pip install 'gnnrec[{extra}]'") from None
        raise EncoderError(
            f"{purpose} needs {package}, which is installed but cannot be imported: {first_line(error)}"
        ) from error


def load_from_hub(load: Callable[[], T], name: str) -> T:
    """Call `load` with the local cache of the Hugging Face hub, and with downloads only if files are missing from it.

    Parameters
    ----------
    load : callable
        Loads files from the hub, through any library.
    name : str
        What is loaded, for error messages.

    Returns
    -------
    object
        The result of `load`.

    Raises
    ------
    EncoderError
        Files are missing from the cache and cannot be downloaded, or the files are unusable.
    """
    from huggingface_hub import constants

    try:
        with hub_offline():
            return load()
    except EncoderError:
        raise
    except Exception as error:  # libraries wrap the hub's errors in many types
        if not _is_cache_miss(error):
            raise EncoderError(f"{name} cannot be loaded: {first_line(error)}") from error
    if constants.HF_HUB_OFFLINE:
        raise EncoderError(f"{name} is not in the local cache, and HF_HUB_OFFLINE is set")
    if not _hub_responds():
        raise EncoderError(f"{name} is not in the local cache, and {constants.ENDPOINT} does not respond")
    try:
        return load()
    except Exception as error:
        raise EncoderError(f"{name} cannot be downloaded: {first_line(error)}") from error


@contextmanager
def hub_offline() -> Iterator[None]:
    """Restrict the hub's client to its local cache: missing files raise errors immediately."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_cache_miss(error: BaseException | None) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


def _hub_responds() -> bool:
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception:  # the type depends on the version of huggingface_hub
        return False
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def l2_normalize(values: np.ndarray) -> np.ndarray:
    """Return ``[n, dim]`` float32 rows scaled to unit length; rows of zeros stay zero."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return unit.astype(np.float32)


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, or the name of the error if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
