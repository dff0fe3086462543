"""The logo: a film frame whose picture is a graph in the shape of a play sign, followed by the name."""

from __future__ import annotations

INDIGO, PAPER, SKY, ORANGE = "#24304f", "#ffffff", "#8fc1f2", "#f0883a"
MARK = 96
"""Width and height of the film frame."""

STROKES = (  # of each letter: its path in a box 40 high, and its width; round caps and joins
    ("M40,20 A20,20 0 1 1 40,19.9 M40,2 V42 A19,19 0 0 1 4,50", 40),  # g
    ("M0,40 V2 M0,19 A17,17 0 0 1 34,19 V40", 34),  # n
    ("M0,40 V2 M0,19 A17,17 0 0 1 34,19 V40", 34),  # n
    ("M0,40 V2 M0,19 A17,17 0 0 1 17,2 H20", 20),  # r
    ("M1,22 H39 A19.5,20 0 1 0 33,34.5", 39),  # e
    ("M36,8 A20,20 0 1 0 36,32", 36),  # c
)


def mark() -> list[str]:
    """Return the film frame: two rows of perforation, and three nodes that make a play sign."""
    holes = [
        f'<rect x="{x}" y="{y}" width="10" height="8" rx="2" fill="{PAPER}" fill-opacity="0.9"/>'
        for y in (8, MARK - 16)
        for x in (9, 26, 43, 60, 77)
    ]
    return [
        f'<rect width="{MARK}" height="{MARK}" rx="16" fill="{INDIGO}"/>',
        *holes,
        f'<path d="M32,29 L68,48 L32,67 Z" fill="{SKY}" fill-opacity="0.28" stroke="{SKY}" stroke-width="4.5" '
        'stroke-linejoin="round"/>',
        f'<circle cx="32" cy="29" r="7.5" fill="{PAPER}"/>',
        f'<circle cx="32" cy="67" r="7.5" fill="{PAPER}"/>',
        f'<circle cx="68" cy="48" r="9.5" fill="{ORANGE}"/>',
    ]


def favicon() -> str:
    """Return the mark alone."""
    return _svg(MARK, MARK, "gnnrec", mark())


def logo(ink: str) -> str:
    """Return the mark followed by the name in the color `ink`."""
    parts, x = mark(), float(MARK + 26)
    for path, width in STROKES:
        parts.append(
            f'<path transform="translate({x:g},28)" d="{path}" fill="none" stroke="{ink}" stroke-width="8.5" '
            'stroke-linecap="round" stroke-linejoin="round"/>'
        )
        x += width + 17
    return _svg(round(x) - 12, MARK, "gnnrec", parts)


def _svg(width: int, height: int, title: str, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f"<title>{title}</title>", *parts, "</svg>", ""])
