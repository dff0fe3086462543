"""How a poster looks from afar: its colours and where they are. Needs no weights, knows nothing of what is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from gnnrec.features.encoders.base import Encoder, unit_length

_SMALL = (6, 9)  # width, height: posters are 2 to 3
_SHADES = 4  # of red, of green and of blue


class Colours(Encoder):
    """A thumbnail of 6 x 9 pixels and a histogram of 64 colours: posters -> unit vectors, 226 wide.

    Examples
    --------
    >>> encoder = Colours()
    >>> red, blue = (encoder.prepare(Image.new("RGB", (60, 90), colour)) for colour in ("red", "blue"))
    >>> vectors = encoder.encode([red, red, blue])
    >>> vectors.shape, bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    ((3, 226), True)
    """

    name = "colours"
    reads = "image"

    @property
    def key(self) -> dict[str, Any]:
        """See `Encoder.key`."""
        return {"encoder": "colours", "thumbnail": list(_SMALL), "shades": _SHADES}

    @property
    def about(self) -> str:
        """See `Encoder.about`."""
        return "colours, a thumbnail and a histogram"

    def prepare(self, raw: Image.Image) -> np.ndarray:
        """Return the vector itself, ``[226]``: both halves of length 1."""
        small = raw.convert("YCbCr").resize(_SMALL, Image.Resampling.BOX)
        thumbnail = np.asarray(small, dtype=np.float32).reshape(1, -1) / 255 - 0.5
        seen = np.asarray(raw.resize((48, 72), Image.Resampling.BOX)).reshape(-1, 3).astype(np.int64) * _SHADES // 256
        counts = np.bincount(seen @ [_SHADES**2, _SHADES, 1], minlength=_SHADES**3)
        shares = np.sqrt(counts / counts.sum()).astype(np.float32)[None]  # of length 1
        return np.concatenate([unit_length(thumbnail), shares], axis=1)[0]

    def encode(self, batch: list[np.ndarray]) -> np.ndarray:
        """See `Encoder.encode`."""
        return unit_length(np.stack(batch))
