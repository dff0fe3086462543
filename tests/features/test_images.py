"""For any file, `open_poster` returns an upright RGB image or raises a `PosterError` that names the file."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gnnrec.errors import GnnrecError
from gnnrec.features.images import FORMATS, MAX_RATIO, PosterError, decode_poster, open_poster

RED, GREEN = (200, 30, 40), (20, 180, 60)


def halves() -> Image.Image:
    """Return 40 x 60 pixels, red above green."""
    image = Image.new("RGB", (40, 60), RED)
    image.paste(GREEN, (0, 30, 40, 60))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def near(image: Image.Image, at: tuple[int, int], color: tuple[int, int, int], tolerance: int = 6) -> bool:
    found = image.getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(one - other) <= tolerance for one, other in zip(found, color, strict=True))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that claims to have so many gray pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    ending = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ending


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_by_content_not_by_ending(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(encoded(halves(), kind))
    poster = open_poster(path)
    assert (poster.mode, poster.size) == ("RGB", (40, 60))
    assert near(poster, (20, 5), RED, 12)
    assert near(poster, (20, 55), GREEN, 12)
    path.unlink()  # nothing is read later


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
def test_modes(mode: str) -> None:
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    image = halves().quantize(8) if mode == "P" else halves().convert(mode)
    poster = decode_poster(encoded(image, kind), "1")
    expected = {"L": 3 * (halves().convert("L").getpixel((0, 0)),), "1": None}.get(mode, RED)
    assert poster.mode == "RGB"
    if mode == "1":
        assert set(np.unique(np.asarray(poster))) == {0, 255}
    else:
        assert expected is not None
        assert near(poster, (20, 5), expected, 12)


def test_transparent_areas_become_white() -> None:
    image = halves().convert("RGBA")
    image.putalpha(Image.new("L", (40, 60), 0))
    image.paste((*GREEN, 255), (0, 30, 40, 60))
    palette = Image.new("P", (40, 60), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.paste(0, (0, 0, 40, 30))
    for data, below in [
        (encoded(image, "PNG"), GREEN),
        (encoded(image, "WEBP", lossless=True), GREEN),
        (encoded(palette, "PNG", transparency=0), RED),
        (encoded(palette, "GIF", transparency=0), RED),
    ]:
        poster = decode_poster(data, "1")
        assert near(poster, (20, 5), (255, 255, 255), 0)
        assert near(poster, (20, 55), below, 0)


def test_half_transparent() -> None:
    poster = decode_poster(encoded(Image.new("LA", (20, 20), (0, 128)), "PNG"), "1")
    assert near(poster, (3, 3), (127, 127, 127), 1)


def test_16_bits_are_scaled_not_clipped() -> None:
    gray = np.full((20, 20), 0x8000, dtype=np.uint16)
    gray[:10] = 0x2010
    poster = decode_poster(encoded(Image.fromarray(gray), "PNG"), "1")
    assert poster.getpixel((5, 5)) == (0x20,) * 3
    assert poster.getpixel((5, 15)) == (0x80,) * 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright(orientation: int) -> None:
    turns = Image.Transpose
    stored = {
        2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
        6: turns.ROTATE_90, 7: turns.TRANSVERSE, 8: turns.ROTATE_270,
    }  # fmt: skip
    image = halves()
    image.paste((0, 0, 250), (0, 0, 20, 30))  # a corner that tells left from right
    turned = image.transpose(stored[orientation]) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    poster = decode_poster(encoded(turned, "PNG", exif=exif), "1")
    assert np.array_equal(np.asarray(poster), np.asarray(image))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + b"\xff" * 90])
def test_broken_exif_does_not_matter(exif: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert near(decode_poster(encoded(halves(), "JPEG", exif=exif), "1"), (20, 5), RED)


def test_first_image_of_an_animation() -> None:
    data = encoded(halves(), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 60), GREEN)] * 3)
    assert near(decode_poster(data, "1"), (20, 5), RED)


JPEG = encoded(halves().resize((400, 600)), "JPEG")
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"<html>Not found</html>", "is not a JPEG, PNG, WEBP, GIF or BMP image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a JPEG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "is not a JPEG"),
    "tiff": (encoded(halves(), "TIFF"), "is not a JPEG"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "is damaged: .*truncated"),
    "truncated png": (encoded(halves(), "PNG")[:80], "is damaged"),
    "only a header": (JPEG[:20], "is (damaged|not a JPEG)"),
    "wrong checksum": (png(40, 60).replace(b"IDAT", b"IDAU"), "is (damaged|not a JPEG)"),
    "no pixels": (png(0, 60), "is (damaged|not a JPEG)"),
    "bomb": (png(60_000, 60_000), "too large to decode"),
    "smaller bomb": (png(10_000, 10_000), "too large to decode|more than the limit"),
    "many pixels": (png(8_000, 6_000), "8,000 x 6,000 pixels, more than the limit of 40,000,000"),
    "a dot": (encoded(Image.new("RGB", (1, 1)), "GIF"), "1 x 1 pixels; a poster needs at least 8"),
    "a thread": (
        encoded(Image.new("L", (8 * MAX_RATIO + 1, 8)), "PNG"),
        "129 x 8 pixels; the aspect ratio of a poster is at most 16",
    ),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "7.jpg"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PosterError, match=words) as caught:
            open_poster(path)
    assert str(caught.value).startswith(str(path))
    assert isinstance(caught.value, GnnrecError)


def test_bombs_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(PosterError, match="decoded"):  # otherwise this test would prove nothing
        decode_poster(png(100, 100), "1")
    for size in (101, 7_000, 10_000, 30_000):
        with pytest.raises(PosterError, match=r"too large to decode|more than the limit"):
            decode_poster(png(size, size), "1", max_pixels=10_000)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(JPEG)
    assert open_poster(path, max_pixels=240_000, max_bytes=len(JPEG)).size == (400, 600)
    with pytest.raises(PosterError, match="400 x 600 pixels, more than the limit of 239,999"):
        open_poster(path, max_pixels=239_999)
    with pytest.raises(PosterError, match=f"more than {len(JPEG) - 1:,} bytes"):
        open_poster(path, max_bytes=len(JPEG) - 1)


def test_no_file(tmp_path: Path) -> None:
    for path, words in [(tmp_path / "1.jpg", "does not exist"), (tmp_path, "is not a file")]:
        with pytest.raises(PosterError, match=f"{path} {words}"):
            open_poster(str(path))
    with pytest.raises(PosterError, match="cannot be read"):
        open_poster("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jpg")
    with pytest.raises(PosterError, match="is not a file"):
        open_poster(tmp_path / "1.jpg")


SEEDS = [JPEG, *(encoded(halves(), kind) for kind in FORMATS)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=8))
def test_damaged_files_give_an_image_or_a_poster_error(data: bytes, damage: list[tuple[int, bytes]]) -> None:
    broken = bytearray(data)
    for at, what in damage:
        broken[at % len(data) : at % len(data) + len(what)] = what
    try:
        poster = decode_poster(bytes(broken), "1", max_pixels=1_000_000)
    except PosterError as error:
        assert str(error).startswith("1 ")
    else:
        assert poster.mode == "RGB"
        assert min(poster.size) >= 8
    if not damage:
        assert decode_poster(data, "1").height in (60, 600)


@given(st.binary(max_size=300))
def test_noise_is_rejected(data: bytes) -> None:
    with pytest.raises(PosterError):
        decode_poster(data, "1")


@pytest.mark.real_data("ml-1m/posters")
def test_real_posters() -> None:
    folder = Path(os.environ.get("GNNREC_DATA", "")) / "ml-1m" / "posters"
    if not os.environ.get("GNNREC_DATA") or not folder.is_dir():
        pytest.skip("set GNNREC_DATA to the folder that holds ml-1m/posters")
    paths = sorted(folder.iterdir())[:200]
    assert paths
    for path in paths:
        poster = open_poster(path)
        assert poster.mode == "RGB"
        assert min(poster.size) >= 60
