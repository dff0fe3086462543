"""The image and text towers of CLIP models, through open_clip.

Reference: A. Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gnnrec._checks import as_path
from gnnrec.errors import ConfigError
from gnnrec.features.encoders.base import (
    LOCAL_FILES,
    EncoderError,
    FeatureEncoder,
    file_sha256,
    import_optional,
    load_from_hub,
)
from gnnrec.registry import register_feature_encoder

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, device


class _ClipEncoder(FeatureEncoder):
    """The common part of both towers."""

    _prefix: str

    def __init__(self, architecture: str, weights: str, device: str = "auto") -> None:
        self.architecture, self.weights, self.device = architecture, weights, device
        path = as_path(weights, "a file of weights")
        self._local = path if path.is_file() else None
        self.name = f"{self._prefix}:{architecture}{f':{path.name}' if self._local else f'/{weights}'}"

    @classmethod
    def from_options(cls, options: str, device: str = "auto") -> Self:
        """Create an encoder from ``ARCHITECTURE/TAG`` or ``ARCHITECTURE:CHECKPOINT``."""
        architecture, _, weights = options.partition(":" if ":" in options else "/")
        if not architecture or not weights:
            raise ConfigError(
                f"{cls._prefix} needs an architecture and weights, e.g. {cls._prefix}:ViT-B-32/laion2b_s34b_b79k or "
                f"{cls._prefix}:ViT-B-32:my/checkpoint.pt, not {options!r}"
            )
        return cls(architecture, weights, device)

    @cached_property
    def _open_clip(self) -> Any:
        package = import_optional("open_clip", "clip", self._prefix)
        if package.get_model_config(self.architecture) is None:
            raise EncoderError(
                f"open_clip has no architecture {self.architecture!r}; open_clip.list_models() lists them"
            )
        return package

    @cached_property
    def _device(self) -> device:
        from gnnrec._torch import pick_device

        return pick_device(self.device)

    @cached_property
    def _pretrained(self) -> dict[str, Any]:
        """Where open_clip finds the weights of the tag, and how images are preprocessed for them."""
        pretrained = self._open_clip.get_pretrained_cfg(self.architecture, self.weights)
        if not pretrained:
            tags = ", ".join(self._open_clip.list_pretrained_tags_by_model(self.architecture)) or "none"
            raise EncoderError(
                f"{self.weights!r} is neither a file nor a pretrained tag of {self.architecture}; its tags are: {tags}"
            )
        return dict(pretrained)

    @cached_property
    def cache_key(self) -> dict[str, Any]:
        """See `FeatureEncoder.cache_key`; locates the weights, and downloads them the first time."""
        package = self._open_clip
        file, preprocessing = self._local, {}
        if file is None:
            pretrained = self._pretrained
            file = Path(load_from_hub(lambda: package.download_pretrained(pretrained), self.name))
            preprocessing = {name: value for name, value in pretrained.items() if name not in ("url", "hf_hub")}
        return {
            "encoder": self._prefix,
            "architecture": package.get_model_config(self.architecture),
            "preprocessing": preprocessing,
            "weights": file_sha256(file),
        }

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        """The model and its image transform."""
        source = str(self._local) if self._local else self.weights
        if not self._local:
            _ = self._pretrained  # report a wrong tag before the model is built
        package = self._open_clip
        model, _, transform = load_from_hub(
            lambda: package.create_model_and_transforms(self.architecture, pretrained=source, device=self._device),
            self.name,
        )
        return model.eval(), transform

    def load(self) -> None:
        """See `FeatureEncoder.load`."""
        _ = self._model

    @property
    def is_local(self) -> bool:
        """See `FeatureEncoder.is_local`."""
        return self._local is not None

    @property
    def description(self) -> str:
        """See `FeatureEncoder.description`."""
        return f"{self.name}, {self.modality} tower{f', {LOCAL_FILES}' if self._local else ''}"


@register_feature_encoder("clip", modality="image", usage="clip:ARCHITECTURE/TAG, clip:ARCHITECTURE:CHECKPOINT")
class ClipImageEncoder(_ClipEncoder):
    """The image tower of a CLIP model: posters to unit vectors.

    Parameters
    ----------
    architecture : str
        One of ``open_clip.list_models()``, e.g. ``ViT-B-32``.
    weights : str
        A pretrained tag of that architecture, or the path of a checkpoint that open_clip can load.
    device : str
        PyTorch device; "auto" uses a GPU if there is one.
    """

    _prefix = "clip"

    def preprocess(self, raw: Image) -> Tensor:
        """Return the image as the model takes it, ``[3, height, width]``: resized, center-cropped, normalized."""
        image: Tensor = self._model[1](raw)
        return image

    def encode(self, batch: list[Tensor]) -> np.ndarray:
        """See `FeatureEncoder.encode`."""
        import torch

        images = torch.stack(batch).to(self._device)  # [n, 3, height, width]
        with torch.inference_mode():
            return np.asarray(self._model[0].encode_image(images, normalize=True).float().cpu().numpy())


@register_feature_encoder(
    "clip-text", modality="text", usage="clip-text:ARCHITECTURE/TAG, clip-text:ARCHITECTURE:CHECKPOINT"
)
class ClipTextEncoder(_ClipEncoder):
    """The text tower of a CLIP model: texts to unit vectors.

    Texts are truncated to the context length of the model, usually 77 tokens.

    Parameters
    ----------
    architecture, weights, device : str
        As for `ClipImageEncoder`.
    """

    _prefix = "clip-text"

    def __init__(self, architecture: str, weights: str, device: str = "auto") -> None:
        super().__init__(architecture, weights, device)
        self._num_texts = self._num_truncated = 0

    @cached_property
    def _tokenizer(self) -> Any:
        package = self._open_clip
        return load_from_hub(lambda: package.get_tokenizer(self.architecture), f"the tokenizer of {self.name}")

    def load(self) -> None:
        """See `FeatureEncoder.load`."""
        _ = self._model, self._tokenizer

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `FeatureEncoder.encode`."""
        import torch

        length = self._tokenizer.context_length
        tokens = self._tokenizer(batch, context_length=length)  # [n, length]
        # The tokenizers of open_clip have no common way to count tokens. With one more token allowed, the end marker of
        # a truncated text moves.
        longer = self._tokenizer(batch, context_length=length + 1)
        self._num_texts += len(batch)
        self._num_truncated += int((tokens != longer[:, :length]).any(dim=1).sum())
        with torch.inference_mode():
            embeddings = self._model[0].encode_text(tokens.to(self._device), normalize=True)
        return np.asarray(embeddings.float().cpu().numpy())

    def warning(self) -> str | None:
        """Return the fraction of truncated texts."""
        if not self._num_truncated:
            return None
        return (
            f"{self.name} truncates texts to {self._tokenizer.context_length} tokens: "
            f"{self._num_truncated / self._num_texts:.0%} of the texts were longer"
        )
