"""Opens posters that nobody has looked at before: whatever is in the file, there is a picture or one clear error."""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gnnrec.errors import GnnrecError

MAX_PIXELS = 40_000_000
"""Pixels a poster may have; the largest that TMDB hands out have 6 million."""
MAX_BYTES = 20_000_000
"""Bytes the file of a poster may have."""
MIN_SIDE = 8
"""Pixels; hosts answer with a single dot where there is no picture."""
MAX_RATIO = 16
"""Of the long to the short side. Encoders scale the short one up, and a thread would become a giant."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Formats that are tried. Each one more is a decoder more that a hostile file can reach."""


class PosterError(GnnrecError):
    """A poster that cannot be used; the message names the file and what is wrong with it."""


def open_poster(path: str | Path, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image.Image:
    """Open a poster that may be broken or hostile.

    Parameters
    ----------
    path : str or Path
        A JPEG, PNG, WebP, GIF or BMP; what is in the file counts, not its ending.
    max_pixels : int
        A larger picture is refused before it is decoded.
    max_bytes : int
        A larger file is not read.

    Returns
    -------
    PIL.Image.Image
        Decoded, in RGB, upright as EXIF says. What is transparent becomes white, 16 bits become 8, and of
        an animation the first picture is taken. The file is closed.

    Raises
    ------
    PosterError
        The file is missing, empty, truncated, too large, no picture or not shaped like one.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "1.png"
    >>> Image.new("LA", (60, 90), (0, 0)).save(path)
    >>> poster = open_poster(path)
    >>> poster.mode, poster.size, poster.getpixel((0, 0))
    ('RGB', (60, 90), (255, 255, 255))
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to read from a pipe could take for ever
            raise PosterError(f"{path} is not a file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise PosterError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise PosterError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode_poster(data, path, max_pixels, max_bytes)


def decode_poster(data: bytes, name: object, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Image.Image:
    """Do what `open_poster` does with bytes that are here already; errors call them `name`."""
    if not data:
        raise PosterError(f"{name} is empty")
    if len(data) > max_bytes:
        raise PosterError(f"{name} has more than {max_bytes:,} bytes, which is much for a poster")
    try:
        with warnings.catch_warnings(), _opened(data) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise PosterError(f"{name} would have {width:,} x {height:,} pixels; allowed are {max_pixels:,}")
            if min(width, height) < MIN_SIDE or max(width, height) > MAX_RATIO * min(width, height):
                raise PosterError(f"{name} has {width:,} x {height:,} pixels, which is no poster")
            image.load()
            return _rgb(_upright(image))
    except PosterError:
        raise
    except UnidentifiedImageError:
        raise PosterError(f"{name} is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PosterError(f"{name} would be huge when decoded: {error}") from None
    # Decoders meet hostile bytes here, and have been seen to raise nearly everything: SyntaxError, struct.error,
    # zlib.error, KeyError, ... None of it may end a run over thousands of files.
    except Exception as error:
        raise PosterError(f"{name} is damaged: {error or type(error).__name__}") from None


def _opened(data: bytes) -> Image.Image:
    warnings.simplefilter("ignore")  # of odd metadata, which is nobody's concern
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits per pixel, which convert() would clip instead of scaling
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65_535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data say; where these are broken it stays as it is."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the picture itself is whole, and EXIF data are often odd
        return image
