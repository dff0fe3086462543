"""The two towers of a CLIP model, through open_clip: posters, and texts of a sentence or two.

Reference: A. Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gnnrec._torch import pick_device
from gnnrec.features.encoders.base import Encoder, EncoderError, file_hash, need
from gnnrec.features.encoders.hub import cached_or_fetched


class Clip(Encoder):
    """What both towers share.

    Parameters
    ----------
    architecture : str
        A name from ``open_clip.list_models()``, for example ``ViT-B-32``.
    weights : str
        A pretrained tag of that architecture, or the path of a checkpoint that open_clip reads.
    device : str
        "auto" is a GPU when there is one.
    """

    def __init__(self, architecture: str, weights: str, device: str = "auto") -> None:
        self.architecture, self.weights, self.device = architecture, weights, device
        path = Path(weights).expanduser()
        self._local = path if path.is_file() else None
        self.name = f"clip:{architecture}:{path.name}" if self._local else f"clip:{architecture}/{weights}"

    @cached_property
    def _open_clip(self) -> Any:
        package = need("open_clip", "clip", "CLIP")
        if package.get_model_config(self.architecture) is None:
            raise EncoderError(
                f"open_clip has no architecture {self.architecture!r}; open_clip.list_models() lists them"
            )
        return package

    @cached_property
    def _tag(self) -> dict[str, Any]:
        """What open_clip knows about the tag: where the weights are and how pictures are prepared for them."""
        tag = self._open_clip.get_pretrained_cfg(self.architecture, self.weights)
        if not tag:
            known = ", ".join(self._open_clip.list_pretrained_tags_by_model(self.architecture)) or "none"
            raise EncoderError(
                f"{self.weights!r} is neither a file nor pretrained weights of {self.architecture}; there are: {known}"
            )
        return dict(tag)

    @cached_property
    def key(self) -> dict[str, Any]:
        """See `Encoder.key`; finds the weights, and downloads them the first time."""
        package = self._open_clip
        file, prepared = self._local, {}
        if file is None:
            tag = self._tag
            file = Path(cached_or_fetched(lambda: package.download_pretrained(tag), self.name))
            prepared = {name: value for name, value in tag.items() if name not in ("url", "hf_hub")}
        return {
            "encoder": f"clip {self.reads}",
            "architecture": package.get_model_config(self.architecture),
            "preprocessing": prepared,
            "weights": file_hash(file),
        }

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        source = str(self._local) if self._local else self.weights
        if not self._local:
            _ = self._tag  # a wrong name is told before anything is built
        device, package = pick_device(self.device), self._open_clip
        model, _, transform = cached_or_fetched(
            lambda: package.create_model_and_transforms(self.architecture, pretrained=source, device=device), self.name
        )
        return model.eval(), transform

    def load(self) -> None:
        """See `Encoder.load`."""
        _ = self._model

    @property
    def about(self) -> str:
        """See `Encoder.about`."""
        return f"{self.name}, {self.reads} tower"


class ClipImage(Clip):
    """The image tower: posters -> unit vectors."""

    reads = "image"

    def prepare(self, raw: Image.Image) -> Tensor:
        """Return the picture as the model wants it, ``[3, height, width]``: scaled, its middle cut out, normalized."""
        prepared: Tensor = self._model[1](raw)
        return prepared

    def encode(self, batch: list[Tensor]) -> np.ndarray:
        """See `Encoder.encode`."""
        pictures = torch.stack(batch).to(pick_device(self.device))  # [n, 3, height, width]
        with torch.inference_mode():
            return np.asarray(self._model[0].encode_image(pictures, normalize=True).float().cpu().numpy())


class ClipText(Clip):
    """The text tower: texts -> unit vectors. It reads a window, mostly of 77 tokens, and nothing behind it."""

    reads = "text"

    def __init__(self, architecture: str, weights: str, device: str = "auto") -> None:
        super().__init__(architecture, weights, device)
        self._seen = self._cut = 0

    @cached_property
    def _tokenizer(self) -> Any:
        package = self._open_clip
        return cached_or_fetched(lambda: package.get_tokenizer(self.architecture), f"the tokenizer of {self.name}")

    def load(self) -> None:
        """See `Encoder.load`."""
        _ = self._model, self._tokenizer

    def encode(self, batch: list[str]) -> np.ndarray:
        """See `Encoder.encode`."""
        window = self._tokenizer.context_length
        tokens = self._tokenizer(batch, context_length=window)  # [n, window]
        # With room for one token more, a text that was cut no longer has its end mark at the same place. This is
        # true of every tokenizer of open_clip, which have no common way to count tokens.
        longer = self._tokenizer(batch, context_length=window + 1)
        self._seen += len(batch)
        self._cut += int((tokens != longer[:, :window]).any(dim=1).sum())
        with torch.inference_mode():
            vectors = self._model[0].encode_text(tokens.to(pick_device(self.device)), normalize=True)
        return np.asarray(vectors.float().cpu().numpy())

    def remark(self) -> str | None:
        """Return how many texts were longer than the window."""
        if not self._cut:
            return None
        return (
            f"{self.name} reads {self._tokenizer.context_length} tokens of a text: "
            f"{self._cut / self._seen:.0%} of the texts were longer, and cut"
        )
