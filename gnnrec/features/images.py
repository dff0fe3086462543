"""Opens untrusted poster files: the result is an RGB image or a `PosterError` that names the file."""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnnrec.errors import GnnrecError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 40_000_000
"""Maximum number of pixels; the largest posters of TMDB have 6 million."""
MAX_BYTES = 20_000_000
"""Maximum file size."""
MIN_SIDE = 8
"""Minimum width and height in pixels; some hosts send a single pixel in place of a missing poster."""
MAX_RATIO = 16
"""Maximum aspect ratio. Encoders scale the shorter side up, which would make a thin image enormous."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Accepted formats. Each additional one exposes another decoder to untrusted files."""


class PosterError(GnnrecError):
    """A poster cannot be used; the message names the file and the reason."""


def open_poster(path: str | Path, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image:
    """Open a poster that may be damaged or malicious.

    Parameters
    ----------
    path : str or Path
        A JPEG, PNG, WebP, GIF or BMP file, recognized by its content and not by its suffix.
    max_pixels : int
        Larger images are rejected before they are decoded.
    max_bytes : int
        Larger files are not read.

    Returns
    -------
    PIL.Image.Image
        Decoded, RGB, rotated according to EXIF. Transparent areas become white, 16 bits per channel become 8, and
        the first frame of an animation is used. The file is closed.

    Raises
    ------
    PosterError
        The file is missing, empty, truncated, too large, not an image, or its size is implausible for a poster.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "1.png"
    >>> Image.new("LA", (60, 90), (0, 0)).save(path)
    >>> poster = open_poster(path)
    >>> poster.mode, poster.size, poster.getpixel((0, 0))
    ('RGB', (60, 90), (255, 255, 255))
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading from a pipe could block forever
            raise PosterError(f"{path} is not a file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise PosterError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise PosterError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode_poster(data, path, max_pixels, max_bytes)


def decode_poster(data: bytes, name: object, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image:
    """Decode the content of a poster file, as `open_poster` does.

    Parameters
    ----------
    data : bytes
    name : object
        What error messages call the file.
    max_pixels, max_bytes : int
        As for `open_poster`.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    PosterError
        As for `open_poster`.
    """
    import PIL.Image

    if not data:
        raise PosterError(f"{name} is empty")
    if len(data) > max_bytes:
        raise PosterError(f"{name} has more than {max_bytes:,} bytes, the limit for a poster")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual metadata
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image, name, max_pixels)
                image.load()
                return _to_rgb(_apply_exif_rotation(image))
    except PosterError:
        raise
    except PIL.UnidentifiedImageError:
        raise PosterError(f"{name} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise PosterError(f"{name} is too large to decode: {error}") from None
    # Decoders raise nearly everything on malicious bytes: SyntaxError, struct.error, zlib.error, KeyError, ...
    # No file may abort a run over thousands of files.
    except Exception as error:
        raise PosterError(f"{name} is damaged: {error or type(error).__name__}") from None


def _check_size(image: Image, name: object, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise PosterError(f"{name} has {width:,} x {height:,} pixels, more than the limit of {max_pixels:,}")
    if min(width, height) < MIN_SIDE:
        raise PosterError(
            f"{name} has {width:,} x {height:,} pixels; a poster needs at least {MIN_SIDE} in each direction"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise PosterError(
            f"{name} has {width:,} x {height:,} pixels; the aspect ratio of a poster is at most {MAX_RATIO}"
        )


def _to_rgb(image: Image) -> Image:
    import PIL.Image

    if image.mode.startswith("I"):  # 16 bits per pixel: convert() would clip instead of scaling
        gray = np.clip(np.asarray(image).astype(np.int64), 0, 65_535) >> 8
        return PIL.Image.fromarray(gray.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _apply_exif_rotation(image: Image) -> Image:
    """Rotate an image according to its EXIF data; with broken EXIF data it is returned unchanged."""
    from PIL.ImageOps import exif_transpose

    try:
        return exif_transpose(image)
    except Exception:  # the image itself is intact, and EXIF data are often broken
        return image
