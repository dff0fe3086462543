"""`Posters`: the files of a folder by movie id, and drawn covers where there are none."""

from __future__ import annotations

import html
import textwrap
import zlib
from pathlib import Path

from gnnrec.errors import ConfigError
from gnnrec.service.served import MovieInfo

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
COLORS = (
    ("#1f3a5f", "#f2c14e"),
    ("#5f1f3a", "#f4a6b7"),
    ("#1f5f4a", "#b8e0c8"),
    ("#4a2f6b", "#d6c1f0"),
    ("#6b4a1f", "#f0d9b1"),
    ("#23424f", "#9fd3e6"),
    ("#57271f", "#f0b49f"),
    ("#2f3b1f", "#cfe09b"),
)
"""Colors of drawn covers: background and text, with a contrast of at least 4.5."""
MAX_LINES, LINE = 6, 12
GLYPH = 0.64
"""Width of a bold letter relative to the font size, in the widest of the usual fonts."""


class Posters:
    """Posters of movies.

    Parameters
    ----------
    folder : Path, optional
        With ``<movie id>.jpg`` (or png, webp).

    Raises
    ------
    ConfigError
        There is no such folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"--posters {folder} is not a folder")
        files = [] if folder is None else sorted(folder.iterdir())
        # The names are read once, so that no request can name another file.
        self._files = {file.stem: file for file in files if file.suffix.lower() in TYPES}

    def find(self, movie_id: int | str) -> tuple[Path, str] | None:
        """Return the file of a poster and its type, None if there is none."""
        file = self._files.get(str(movie_id))
        return None if file is None else (file, TYPES[file.suffix.lower()])


def draw_cover(movie: MovieInfo) -> str:
    """Return a cover with the title of a movie, as an SVG.

    >>> cover = draw_cover(MovieInfo(7, "<Heat> (1995)", "<Heat>", 1995, ("Crime",), 10, "", (), ()))
    >>> "&lt;Heat&gt;" in cover, "<Heat>" in cover
    (True, False)
    """
    seed = zlib.crc32(movie.title.encode())
    paper, ink = COLORS[seed % len(COLORS)]
    lines = textwrap.wrap(movie.name, LINE) or [movie.name]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "…"]
    widest = max(map(len, lines))
    size = min(28.0, 160 / (GLYPH * max(widest, 1)))
    spans = "".join(
        f'<tspan x="20" dy="{0 if row == 0 else size * 1.15:.1f}">{html.escape(line)}</tspan>'
        for row, line in enumerate(lines)
    )
    x, y, radius = 60 + seed // 8 % 120, 175 + seed // 960 % 60, 50 + seed // 57_600 % 50
    shapes = (
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{ink}" opacity=".18"/>'
        f'<circle cx="{x + 30}" cy="{y + 25}" r="{radius // 2}" fill="{ink}" opacity=".28"/>'
    )
    foot = " · ".join(filter(None, [str(movie.year or ""), html.escape(" / ".join(movie.genres[:2]))]))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 300" width="400" height="600">'
        f'<rect width="200" height="300" fill="{paper}"/>{shapes}'
        f'<rect x="20" y="22" width="34" height="4" fill="{ink}"/>'
        f'<text x="20" y="{32 + size:.1f}" font-family="Georgia, serif" font-weight="700" font-size="{size:.1f}" '
        f'fill="{ink}">{spans}</text>'
        f'<text x="20" y="280" font-family="sans-serif" font-size="11" fill="{ink}">{foot}</text></svg>'
    )
