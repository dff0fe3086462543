"""Color layout and color histogram of a poster; needs no weights, and uses color only, not the content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnnrec.features.encoders.base import FeatureEncoder, l2_normalize
from gnnrec.registry import register_feature_encoder

if TYPE_CHECKING:
    from PIL.Image import Image

_THUMBNAIL_SIZE = (6, 9)  # width, height: the 2:3 aspect ratio of posters
_NUM_SHADES = 4  # per color channel


@register_feature_encoder("color", modality="image")
class ColorEncoder(FeatureEncoder):
    """A thumbnail of 6 x 9 pixels and a histogram of 64 colors, as one unit vector of 226 dimensions.

    Examples
    --------
    >>> from PIL import Image
    >>> encoder = ColorEncoder()
    >>> red, blue = (encoder.preprocess(Image.new("RGB", (60, 90), color)) for color in ("red", "blue"))
    >>> embeddings = encoder.encode([red, red, blue])
    >>> embeddings.shape, bool(embeddings[0] @ embeddings[1] > embeddings[0] @ embeddings[2])
    ((3, 226), True)
    """

    name = "color"

    @property
    def cache_key(self) -> dict[str, Any]:
        """See `FeatureEncoder.cache_key`."""
        return {"encoder": "color", "thumbnail": list(_THUMBNAIL_SIZE), "shades": _NUM_SHADES}

    @property
    def description(self) -> str:
        """See `FeatureEncoder.description`."""
        return "color, thumbnail and histogram"

    def preprocess(self, raw: Image) -> np.ndarray:
        """Return the unnormalized embedding, ``[226]``: thumbnail and histogram, each of unit length."""
        from PIL.Image import Resampling

        small = raw.convert("YCbCr").resize(_THUMBNAIL_SIZE, Resampling.BOX)
        thumbnail = np.asarray(small, dtype=np.float32).reshape(1, -1) / 255 - 0.5
        shades = np.asarray(raw.resize((48, 72), Resampling.BOX)).reshape(-1, 3).astype(np.int64) * _NUM_SHADES // 256
        counts = np.bincount(shades @ [_NUM_SHADES**2, _NUM_SHADES, 1], minlength=_NUM_SHADES**3)
        histogram = np.sqrt(counts / counts.sum()).astype(np.float32)[None]  # [1, 64], of unit length
        embedding: np.ndarray = np.concatenate([l2_normalize(thumbnail), histogram], axis=1)[0]
        return embedding

    def encode(self, batch: list[np.ndarray]) -> np.ndarray:
        """See `FeatureEncoder.encode`."""
        return l2_normalize(np.stack(batch))
