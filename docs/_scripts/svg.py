"""What every drawn figure shares: the frame, the colors and the text styles.

A figure is one file for every place. Inlined into a page of the site it takes the colors of the page, so it follows the
theme switch; as an image (in the README) it follows the system's color scheme and brings its own background.
"""

from __future__ import annotations

from html import escape

ROLES = {  # name: light, dark
    "paper": ("#ffffff", "#131416"),
    "panel": ("#f4f6fa", "#1c1f26"),
    "ink": ("#1f2430", "#e8eaf0"),
    "muted": ("#5a6172", "#a4abbb"),
    "line": ("#c3c9d6", "#48505f"),
    "user": ("#2f6fb3", "#5b9de0"),
    "movie": ("#2c8a5a", "#4fb483"),
    "genre": ("#7d5bb5", "#a98be0"),
    "occupation": ("#6b7280", "#98a1b3"),
    "new": ("#d2620a", "#f08a3c"),
    "negative": ("#b8372b", "#e06a5e"),
}
"""Colors by what they stand for."""

SERIES = ("new", "user", "movie", "genre", "occupation")
"""Order of the colors of curves and bars."""


def color(role: str) -> str:
    """Return a color as CSS, for ``fill`` and ``stroke``."""
    return f"var(--{role})"


def figure(width: int, height: int, title: str, *parts: str) -> str:
    """Return a whole SVG file."""
    light, dark = (
        ";".join(f"--{role}:var(--figure-{role},{colors[scheme]})" for role, colors in ROLES.items())
        for scheme in (0, 1)
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" class="figure" '
        f'font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f"<style>svg.figure{{{light}}}@media(prefers-color-scheme:dark){{svg.figure{{{dark}}}}}</style>",
        f'<rect width="{width}" height="{height}" rx="10" fill="{color("paper")}"/>',
    )
    return "\n".join([*head, *parts, "</svg>", ""])


def text(
    x: float,
    y: float,
    words: str,
    role: str = "ink",
    *,
    anchor: str = "start",
    size: float | None = None,
    bold: bool = False,
) -> str:
    """Return a line of text; `y` is its baseline."""
    style = f' text-anchor="{anchor}"' if anchor != "start" else ""
    style += f' font-size="{size:g}"' if size else ""
    style += ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" fill="{color(role)}"{style}>{escape(words)}</text>'


def arrow_head(name: str, role: str) -> str:
    """Return the definition of an arrow head, for ``marker-end="url(#name)"``."""
    return (
        f'<defs><marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{color(role)}"/></marker></defs>'
    )


def curve(x1: float, y1: float, x2: float, y2: float, role: str, *, width: float = 2, arrow: str = "") -> str:
    """Return a curve that leaves and arrives horizontally."""
    bend = (x2 - x1) / 2
    end = f' marker-end="url(#{arrow})"' if arrow else ""
    return (
        f'<path d="M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}" fill="none" '
        f'stroke="{color(role)}" stroke-width="{width:g}"{end}/>'
    )
